"""CLV models that are taught on earlier cutoffs: a stack of models, and learned values.

Both learn from `Fitting.examples`: customers at cutoffs whose label windows were over at the cutoff
of the fitting, with the expectations of models that were fitted before them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.catalogue import CATALOGUE
from models.base import ModelError
from models.ensemble import StackedLifetimeValue, stack_weights
from models.hybrid import CalibrationExample, LearnedLifetimeValue, calibrate
from models.value import VALUE_MODELS, base_expectation
from models.value.trees import level_factor
from training.clv_fitting import Fitting, Purchases, Spend
from training.clv_holdout import STEP_DAYS

__all__ = ["fit_learned", "fit_stack"]

Floats = npt.NDArray[np.float64]


def fit_stack(
    fitting: Fitting, members: Mapping[str, Purchases], spend: Spend
) -> StackedLifetimeValue:
    """Several purchase models with one spend model, weighted by how they did at earlier cutoffs.

    Args:
        fitting: The history.
        members: Purchase models by name; those that cannot be fitted to it are left out.
        spend: The spend model.

    Raises:
        ModelError: There is no earlier cutoff to learn weights from, or fewer than two members.
    """
    examples = fitting.examples()
    days = examples[0].history.window.horizon_days
    kept, bought, spent = {}, [], []
    counts: list[list[Floats]] = []
    money: list[list[Floats]] = []
    for name, purchases in members.items():
        try:
            said = [_expected(example, purchases, spend) for example in examples]
            kept[name] = fitting.clv(purchases, spend)
        except ModelError:
            continue
        counts.append([each["expected_purchases"].to_numpy() for each in said])
        money.append([each["expected_spend"].to_numpy() for each in said])
    if len(kept) < 2:
        raise ModelError("A stack needs at least two purchase models that can be fitted.")
    for example in examples:
        bought.append(example.history.labels["future_purchases"].to_numpy())
        spent.append(example.history.labels["future_spend"].to_numpy())
    came = np.concatenate(bought)
    expected = np.column_stack([np.concatenate(parts) for parts in counts])
    worth = np.column_stack([np.concatenate(parts) for parts in money])
    # Label windows overlap: a day of the history stands in several of them.
    share = min(1.0, STEP_DAYS / days)
    weights = stack_weights(expected, came, share)
    return StackedLifetimeValue(
        kept,
        weights,
        level_factor(came, expected @ weights),
        level_factor(np.concatenate(spent), worth @ weights),
    )


def fit_learned(
    fitting: Fitting, family: str, purchases: Purchases, spend: Spend
) -> LearnedLifetimeValue:
    """A value model taught on earlier cutoffs, on the base of a purchase and a spend model.

    Where the history is long enough for the recipe to have been used at the latest earlier cutoff
    as well, its intervals are calibrated there.

    Args:
        fitting: The history.
        family: Name in `VALUE_MODELS`.
        purchases: The base's purchase model.
        spend: The base's spend model.

    Raises:
        ModelError: There is no earlier cutoff to learn from, or a part cannot be fitted.
    """
    model = _taught(fitting, family, purchases, spend)
    if fitting.method == "map":
        return model  # a base without intervals
    calibration = []
    for example in fitting.examples()[-1:]:
        try:
            before = _taught(example, family, purchases, spend)
        except ModelError:
            return model  # nothing had been over by then
        labels = example.history.labels
        calibration.append(
            CalibrationExample(
                before, example.history.inputs, labels["future_purchases"], labels["future_spend"]
            )
        )
    return LearnedLifetimeValue(model.base, model.value, calibrate(calibration))


def _taught(
    fitting: Fitting, family: str, purchases: Purchases, spend: Spend
) -> LearnedLifetimeValue:
    """The model without calibrated intervals."""
    examples = fitting.examples()
    labels = _together([example.history.labels for example in examples])
    cutoffs = [example.history.window.cutoff for example in examples]
    value = VALUE_MODELS[family](CATALOGUE).fit(
        _together([example.history.inputs for example in examples]),
        _together([_expected(example, purchases, spend) for example in examples]),
        labels["future_purchases"],
        labels["future_spend"],
        examples[0].history.window.horizon_days,
        fitting.shop.seed,
        np.repeat(
            np.array(cutoffs, dtype="datetime64[D]"),
            [len(example.history.labels) for example in examples],
        ),
    )
    return LearnedLifetimeValue(fitting.clv(purchases, spend), value)


def _expected(fitting: Fitting, purchases: Purchases, spend: Spend) -> pd.DataFrame:
    """What a model of these parts expected at the cutoff, in its horizon."""

    def expect() -> pd.DataFrame:
        history = fitting.history
        model = fitting.clv(purchases, spend)
        return base_expectation(
            model, history.inputs, history.window.horizon_days, **fitting.options
        )

    found: pd.DataFrame = fitting.once(("expected", purchases, spend), expect)
    return found


def _together(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    return pd.concat(frames)
