"""What a CLV training lays before the gate: the loss it chooses by, the total, and the intervals.

The loss is that of `training.clv_choice`, with each part on resampled customers; the total is the
bias of value without its sign; the intervals fall short by as much as fewer than 90 of 100
customers come out within their 90 % interval. Too wide is not counted: many customers buy nothing,
which any interval that starts at zero holds.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.attributes import attribute_names, attributes
from features.errors import InputError
from models.base import ModelError
from models.metrics.bootstrap import Resampled, customer_draws
from training.clv_candidates import STACK, Forecast, candidates, forecast
from training.clv_choice import BASELINE
from training.clv_fitting import ClvSettings, Fitting, Fittings
from training.dataset import Holdout
from training.gate import Yardstick
from training.promote import Champion, Contest

__all__ = ["YARDSTICKS", "Expected", "clv_contest", "recipe_of", "resample_value"]

Floats = npt.NDArray[np.float64]

YARDSTICKS = (
    Yardstick("clv/loss", "loss", "money", margin=0.01, leads=True),
    Yardstick("clv/level", "total value off by", "calibration", margin=0.05, relative=False),
    Yardstick(
        "clv/shortfall_90", "intervals fall short by", "calibration", margin=0.02, relative=False
    ),
    Yardstick("clv/rmse", "RMSE of value", "shown", margin=0.01),
    Yardstick("clv/gini", "Gini of value", "shown", margin=0.01, higher_is_better=True),
    Yardstick("purchases/level", "total purchases", "shown", margin=0.05, relative=False),
)
"""What counts, and what is shown beside it. A total 5 % nearer is nobody's merit: the trend of one
holdout moves it by more."""

REPLICATES = 300
MANY = 50_000
"""Customers above which fewer resamples do."""
_LOOKED_AT = 5_000  # customers whose intervals are worked out
_LEVEL = 0.90


class Expected(NamedTuple):
    """What a model expects of each customer, one entry each.

    Attributes:
        purchases: Purchases in the holdout.
        spend: Spend in it.
        low: Lower ends of the 90 % intervals of spend, of the customers looked at; missing where
            the model gives none.
        high: Their upper ends.
    """

    purchases: Floats
    spend: Floats
    low: Floats
    high: Floats


def clv_contest(
    winner: str,
    forecasts: Mapping[str, Forecast],
    fitting: Fitting,
    settings: ClvSettings,
    test: Holdout,
) -> Contest:
    """The candidate that was taken in the holdout, and how a champion is measured on the same.

    Args:
        winner: The candidate that was registered.
        forecasts: What each candidate and rule expects in the holdout.
        fitting: The history before the holdout.
        settings: How value is counted.
        test: Who they were judged on.
    """
    labels, inputs = fitting.history.labels, fitting.history.inputs
    days = fitting.history.window.horizon_days
    order = np.argsort(labels.index.astype(str).to_numpy(), kind="stable")
    some = order[:: -(-len(order) // _LOOKED_AT)]
    naive = forecasts[BASELINE]

    def ordered(values: "pd.Series[float]") -> Floats:
        return np.asarray(values, dtype=np.float64)[order]

    def expected(found: Forecast, inputs: pd.DataFrame) -> Expected:
        nothing = np.full(len(some), np.nan)
        low = high = nothing
        if found.model is not None:
            said = found.model.predict(
                inputs.iloc[some], days, annual_discount_rate=0.0, margin=1.0, interval=_LEVEL,
                **fitting.options,
            )  # fmt: skip
            low = np.asarray(said["clv_low"], dtype=np.float64)
            high = np.asarray(said["clv_high"], dtype=np.float64)
        return Expected(ordered(found.purchases), ordered(found.spend), low, high)

    def measured(found: Forecast, inputs: pd.DataFrame = inputs) -> Resampled:
        return resample_value(
            ordered(labels["future_purchases"]),
            ordered(labels["future_spend"]),
            expected(found, inputs),
            ordered(naive.purchases),
            ordered(naive.spend),
            every=-(-len(order) // _LOOKED_AT),
            seed=fitting.shop.seed,
        )

    def as_it_is(champion: Champion) -> Resampled:
        its = _with_columns(fitting, inputs, champion)
        said = champion.model.predict(
            its, days, annual_discount_rate=0.0, intervals=False, **fitting.options
        )
        found = Forecast(said["expected_purchases"], said["expected_spend"], champion.model)
        return measured(found, its)

    def again(champion: Champion) -> Resampled:
        name, its = recipe_of(champion, settings)
        if its.recipe() == settings.recipe():
            return measured(forecasts[name] if name in forecasts else forecast(name, fitting))
        try:
            shop = Fittings(fitting.shop.snapshots.ledger, its, seed=fitting.shop.seed)
            then = shop.at(fitting.history.window, fitting.method)
            return measured(forecast(name, then), then.history.inputs)
        except InputError as error:
            raise ModelError(error.message) from error

    asked = {key: value for key, value in asdict(settings).items() if key != "candidates"}
    return Contest(test, YARDSTICKS, measured(forecasts[winner]), as_it_is, again, asked=asked)


def recipe_of(champion: Champion, settings: ClvSettings) -> tuple[str, ClvSettings]:
    """What a champion is made of, by its card: the candidate, and the settings to fit it with.

    Args:
        champion: The version in use.
        settings: How value is counted today.

    Raises:
        ModelError: The card does not say, or says something that this version does not know.
    """
    extra = champion.card.get("extra", {})
    its = settings.with_recipe(extra.get("recipe"))
    name = str(extra.get("candidate", champion.tags.get("winner", "")))
    if name not in candidates(replace(its, candidates=()), every=True):
        raise ModelError(f"the candidate {name or 'that it is'} is not known any more")
    # Which others were tried makes no difference but to a stack of them.
    return name, its if name == STACK else replace(its, candidates=settings.candidates)


def _with_columns(fitting: Fitting, inputs: pd.DataFrame, champion: Champion) -> pd.DataFrame:
    """The inputs with the attributes that a champion reads and today's settings do not name."""
    ledger = fitting.shop.snapshots.ledger
    wanted = set(champion.card.get("input_columns", ())) - set(inputs.columns)
    more = sorted(wanted & set(attribute_names(ledger)))
    return inputs.join(attributes(ledger, fitting.history.window, more)) if more else inputs


def resample_value(
    purchases: Floats,
    spend: Floats,
    expected: Expected,
    naive_purchases: Floats,
    naive_spend: Floats,
    *,
    every: int = 1,
    replicates: int | None = None,
    seed: int = 0,
) -> Resampled:
    """Measures of expected purchases and spend on resampled customers.

    Args:
        purchases: What came, one entry a customer, in the order of their ids.
        spend: Likewise.
        expected: What was expected, in the same order.
        naive_purchases: What the past rate expected: the RMSE of the loss is held against it.
        naive_spend: Likewise.
        every: The intervals of `expected` are of each so manieth customer.
        replicates: Draws; None: 300, or 100 of very many customers.
        seed: Of the draws.

    Returns:
        `clv/loss`; RMSE, bias, level and Gini of `purchases` and of `clv`; and, where there are
        intervals, `clv/shortfall_90`. What is not defined is left out.
    """
    n = len(spend)
    if replicates is None:
        replicates = REPLICATES if n <= MANY else REPLICATES // 3
    parts = {
        "purchases": _Amount(purchases, expected.purchases, naive_purchases),
        "clv": _Amount(spend, expected.spend, naive_spend),
    }
    some = slice(None, None, every)
    held = None
    if np.isfinite(expected.low).all() and np.isfinite(expected.high).all():
        held = ((expected.low <= spend[some]) & (spend[some] <= expected.high)).astype(np.float64)

    def measures(weight: Floats) -> dict[str, float]:
        found: dict[str, float] = {}
        loss = []
        for what, amount in parts.items():
            rmse, naive, bias, gini = amount.measures(weight)
            found |= {f"{what}/rmse": rmse, f"{what}/bias": bias, f"{what}/gini": gini}
            found[f"{what}/level"] = abs(bias)
            loss += [rmse / naive if naive > 0 else np.nan, abs(bias), 1.0 - gini]
        found["clv/loss"] = float(np.mean(loss))
        if held is not None:
            w = weight[some]
            share = float((w * held).sum() / w.sum()) if w.sum() > 0 else np.nan
            found["clv/shortfall_90"] = max(_LEVEL - share, 0.0)
        return found

    sample = {name: v for name, v in measures(np.ones(n)).items() if np.isfinite(v)}
    drawn = {name: np.full(replicates, np.nan) for name in sample}
    for i, weight in enumerate(customer_draws(n, replicates, seed)):
        found = measures(weight)
        for name, values in drawn.items():
            values[i] = found[name]
    return Resampled(sample, drawn, (n, 0, n, replicates, seed))


class _Amount:
    """One amount of each customer, sorted once for all draws."""

    def __init__(self, came: Floats, expected: Floats, naive: Floats) -> None:
        self.came, self.expected = came, expected
        self.missed, self.naive_missed = (expected - came) ** 2, (naive - came) ** 2
        self.order = _gain_by(came, expected)
        self.best = _gain_by(came, came)

    def measures(self, weight: Floats) -> tuple[float, float, float, float]:
        """RMSE, that of the past rate, bias of the total, and normalised Gini."""
        total, came = weight.sum(), (weight * self.came).sum()
        best = self.best(weight)
        return (
            float(np.sqrt((weight * self.missed).sum() / total)),
            float(np.sqrt((weight * self.naive_missed).sum() / total)),
            float((weight * self.expected).sum() / came - 1.0) if came > 0 else np.nan,
            self.order(weight) / best if best > 1e-12 else np.nan,
        )


def _gain_by(came: Floats, score: Floats) -> Callable[[Floats], float]:
    """The Gini of an amount in the order of a score, as a function of the customers' weights."""
    order = np.lexsort((came, -score))
    ends = np.append(np.flatnonzero(np.diff(score[order])), len(score) - 1)
    sorted_came = came[order]

    def gini(weight: Floats) -> float:
        w = weight[order]
        at, gain = w.cumsum()[ends], (w * sorted_came).cumsum()[ends]
        if not gain[-1] > 0:
            return np.nan
        share = np.append(0.0, at / at[-1])
        return float(2 * np.trapezoid(np.append(0.0, gain / gain[-1]), share) - 1)

    return gini
