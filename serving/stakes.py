"""What is at stake with each customer: their value if kept, and what an offer does to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from features.errors import InputError
from models.worth import value_if_kept
from serving.inputs import CONTRACT_FEE, VALUE

if TYPE_CHECKING:
    from serving.inputs import Taken
    from serving.offers import Decision
    from serving.registry import RegisteredModel

__all__ = ["COST", "learned_effects", "values_if_kept"]

COST = "acquisition.cost"
"""Attribute: what a customer cost to win."""
_BLOCK = 50_000


def values_if_kept(taken: Taken, inputs: pd.DataFrame, decision: Decision) -> pd.Series[float]:
    """What each customer is worth in a year who stays, as in training (`models.worth`).

    Args:
        taken: The customers at the cutoff.
        inputs: What the churn model gets of those who are asked about.
        decision: Margin, and where the value comes from.

    Returns:
        Money, on the index of `inputs`.
    """
    shop, cost = taken.shop, None
    if decision.use_acquisition_cost:
        cost = taken.attributes([COST])[COST].reindex(inputs.index)
    value = inputs.get(VALUE, pd.Series(np.nan, index=inputs.index))
    fee = inputs.get(CONTRACT_FEE) if shop.contracts else None
    known, usual = (value, "usual_value") if fee is None else (fee, "usual_fee")
    worth = value_if_kept(
        value,
        margin=decision.margin,
        first_value=shop.first_value,
        fixed=decision.value,
        fee=fee,
        acquisition_cost=cost,
        # Looked for only where it is needed: it takes a prediction for everybody.
        usual=getattr(shop, usual) if decision.value is None and known.isna().any() else None,
    )
    return pd.Series(worth, index=inputs.index)


def learned_effects(
    decision: Decision, uplift: Mapping[str, RegisteredModel], inputs: pd.DataFrame
) -> dict[str, pd.DataFrame]:
    """What uplift models say of the offers whose effect is learned.

    Args:
        decision: The offers.
        uplift: Offer -> the model that knows its effect.
        inputs: What the churn model gets of the customers.

    Returns:
        Offer -> a frame on the index of `inputs`: `kept`, P(stay | offer) - P(stay | nothing), `p`,
        P(leave | nothing), and `spend`, what the offer adds to the spend in the model's horizon.

    Raises:
        InputError: A model was not given, or knows no campaign of the kind that the offer names.
    """
    found: dict[str, pd.DataFrame] = {}
    for each in decision.offers:
        if each.effect != "uplift":
            continue
        if each.name not in uplift:
            raise InputError(
                f"The effect of the offer {each.name} is to be read from {each.model}, and no such "
                "model is registered.",
                "Run `regulars train uplift`. It registers none where past campaigns do not tell "
                'whom they move; then set effect = "assumed" and a save_rate.',
            )
        model, kind = uplift[each.name], each.campaign or each.name
        blocks = [
            model.predict(inputs.iloc[start : start + _BLOCK])
            for start in range(0, len(inputs), _BLOCK)
        ]
        told = pd.concat(blocks) if blocks else pd.DataFrame(index=inputs.index, dtype=float)
        names = [str(name) for name in told.columns]
        if blocks and f"uplift_{kind}" not in names:
            known = sorted(n.removeprefix("uplift_") for n in names if n.startswith("uplift_"))
            raise InputError(
                f"{model.label} knows no campaign of the kind {kind}, which the offer {each.name} "
                "is to have its effect from.",
                f'Set campaign = "..." to one of: {", ".join(known)}.',
            )
        none = pd.Series(np.nan, index=told.index)
        found[each.name] = pd.DataFrame(
            {
                "kept": told.get(f"uplift_{kind}", none),
                "p": 1.0 - told.get(f"stay_{kind}", none),
                "spend": told.get(f"spend_{kind}", none),
            }
        )
    return found
