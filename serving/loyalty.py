"""What the loyalty programme does: members against comparable customers who did not join."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from features.enrolment import Trials, enrolment_trials, members_and_others
from features.errors import NotEnoughDataError
from features.measures.programme import EFFECT_ADJUSTED, EFFECT_RAW
from features.measures.table import Found, Missing
from models.base import ModelError
from models.uplift.nuisance import design, folds_of, propensities
from models.uplift.observational import Estimate, ObservationalEffect, observational_effect
from models.uplift.sequential import outcomes_after

if TYPE_CHECKING:
    from features.ledger import Ledger

__all__ = ["AT_PURCHASE", "LoyaltyEffects", "loyalty_effects"]

AT_PURCHASE = 0.7
"""Least share of the members who must have joined on a day with a purchase."""

_MOST_CERTAIN = 0.99
"""Chance to join above which the weight of those who did not grows no more."""

_NAMES = (EFFECT_RAW.name, EFFECT_ADJUSTED.name)


@dataclass(frozen=True)
class LoyaltyEffects:
    """What joining did to members in the days after it.

    Attributes:
        found: Rows of the long table: `loyalty_effect_raw` and `loyalty_effect_adjusted`, period
            "all", with the segments outcome=purchases and outcome=spend (per member, in the
            horizon) and outcome=purchase_rate (relative change of purchases); and what is
            missing or has to be said.
        purchases: The adjusted estimate for purchases; None where there is none.
        spend: The same for the money spent.
        trials: What they were estimated on.
    """

    found: Found
    purchases: ObservationalEffect | None = None
    spend: ObservationalEffect | None = None
    trials: Trials | None = None


def loyalty_effects(
    ledger: Ledger, horizon_days: int = 90, *, folds: int = 5, seed: int = 0
) -> LoyaltyEffects:
    """Estimate what the loyalty programme does to those who join.

    The raw figure sets members beside all other customers, as they are usually compared. The
    adjusted one sets those who joined at a purchase beside those who bought then, had a like
    history and did not join; see `features.enrolment`, `models.uplift.sequential` and
    `models.uplift.observational`.

    Args:
        ledger: The trusted tables.
        horizon_days: Days after the purchase in which purchases and spend are counted.
        folds: For cross-fitting.
        seed: Deals customers out to the folds.

    Returns:
        The effects, or what is missing for them.
    """
    if "loyalty" not in ledger.tables:
        return _without("There is no table of the loyalty programme.")
    try:
        trials = enrolment_trials(ledger, horizon_days)
    except NotEnoughDataError as error:
        return _without(error.message)
    joined = trials.at_purchase / max(trials.members, 1)
    if joined < AT_PURCHASE:
        return _without(
            f"Only {joined:.0%} of the members joined on a day with a purchase; the others have "
            "no moment at which one who did not join can stand beside them."
        )
    raw = _raw(members_and_others(ledger, horizon_days))
    try:
        effects = _adjusted(trials, folds, seed)
    except ModelError as error:
        missing = Missing((EFFECT_ADJUSTED.name,), f"{error.message} {error.hint}")
        return LoyaltyEffects(Found(_rows(raw, {}), (missing,)), trials=trials)
    purchases, spend = effects
    said = [purchases.warning.replace("were treated", "joined"), *purchases.sentences]
    if joined < 1:
        said.append(f"{1 - joined:.1%} of the members joined without a purchase: left out.")
    if trials.share < 1:
        said.append(f"Estimated on {trials.share:.0%} of the customers, drawn at random.")
    notes = tuple(f"Loyalty programme: {sentence}" for sentence in said)
    found = {
        "purchases": (purchases.adjusted, purchases.customers_treated),
        "spend": (spend.adjusted, spend.customers_treated),
        "purchase_rate": (purchases.relative, purchases.customers_treated),
    }
    return LoyaltyEffects(Found(_rows(raw, found), notes=notes), purchases, spend, trials)


def _adjusted(
    trials: Trials, folds: int, seed: int
) -> tuple[ObservationalEffect, ObservationalEffect]:
    """The effects on purchases and on spend."""
    frame = trials.frame
    outside = ~frame["member"].to_numpy()
    risk = frame[outside]
    chance = np.zeros(len(frame))
    if not risk["enrols"].any():
        raise ModelError("Nobody joined at a purchase.", "Check the dates of the loyalty table.")
    joins = propensities(
        risk["enrols"], design(risk[trials.covariates]), folds_of(risk["customer_id"], folds, seed)
    )
    chance[outside] = np.minimum(joins, _MOST_CERTAIN)
    after = outcomes_after(
        frame["customer_id"],
        frame["day"],
        frame[["purchases", "spend"]],
        joins=frame["enrols"],
        member=frame["member"],
        chance=chance,
        horizon_days=trials.horizon_days,
    )
    chosen = frame["trial"].to_numpy()
    rows = frame[chosen]
    purchases, spend = (
        observational_effect(
            rows["enrols"],
            outcome,
            rows[trials.covariates],
            clusters=rows["customer_id"],
            folds=folds,
            seed=seed,
        )
        for outcome in after[chosen].T
    )
    return purchases, spend


def _raw(sums: pd.DataFrame) -> dict[str, tuple[Estimate, int]]:
    """Members less all others, with normal intervals."""
    if set(sums.index) != {False, True} or sums["customers"].min() < 2:
        return {}
    n = sums["customers"]
    found: dict[str, tuple[Estimate, int]] = {}
    for name in ("purchases", "spend"):
        mean = sums[name] / n
        # Rounding may carry a spread of nothing below zero.
        variance = (sums[f"{name}_squared"] - n * mean**2).clip(lower=0) / (n - 1) / n
        error = 1.96 * math.sqrt(variance.sum())
        gap = mean[True] - mean[False]
        found[name] = Estimate(gap, gap - error, gap + error), int(n[True])
        if name == "purchases" and mean.min() > 0:
            ratio = mean[True] / mean[False]
            reach = math.exp(1.96 * math.sqrt((variance / mean**2).sum()))
            ends = Estimate(ratio - 1, ratio / reach - 1, ratio * reach - 1)
            found["purchase_rate"] = ends, int(n[True])
    # In the order of the adjusted rows.
    return dict(sorted(found.items(), key=lambda item: item[0] == "purchase_rate"))


def _rows(
    raw: dict[str, tuple[Estimate, int]], adjusted: dict[str, tuple[Estimate, int]]
) -> pd.DataFrame:
    """The long table of both."""
    units = {"purchases": "purchases", "spend": "money", "purchase_rate": "share"}
    made = [
        {
            "measure": measure.name,
            "period": "all",
            "segment": f"outcome={outcome}",
            "value": estimate.value,
            "low": estimate.low,
            "high": estimate.high,
            "n": n,
            "unit": units[outcome],
        }
        for measure, figures in ((EFFECT_RAW, raw), (EFFECT_ADJUSTED, adjusted))
        for outcome, (estimate, n) in figures.items()
        if not math.isnan(estimate.value)
    ]
    return pd.DataFrame(made, columns=list(Found().frame.columns))


def _without(sentence: str) -> LoyaltyEffects:
    return LoyaltyEffects(Found(missing=(Missing(_NAMES, sentence),)))
