"""A CLV model whose expectations are learned from earlier cutoffs.

`LearnedLifetimeValue` holds a base, any CLV model that predicts from an RFM summary, and a value
model that was taught on earlier cutoffs what the next `horizon_days` after one bring
(`models.value`). It predicts like the base, with the same columns:

- expected purchases and spend in the learned horizon H are the learned ones, and for any other
  horizon h those times base(h) / base(H), customer by customer. Beyond H the base alone says how
  fast a customer fades, so the total never grows faster than the base's: a label of half a year
  is not stretched to a year as if nobody left.
- `clv` is the base's, times learned over expected spend in H: discounting and margin are the
  base's.
- intervals are the base's predictive quantiles, times the same factors, at levels that held on
  later customers (`models.conformal`), and so are further quantiles. Without calibration they are
  at the nominal levels.
- what is said of being alive, of buying nothing and of the next purchase is the base's.

A customer's figures depend on nobody else in the list.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from .base import ModelError
from .conformal import LEVELS, Conformal, chance, scores
from .nested import read_nested, write_nested
from .predictive import quantile_columns
from .value import (
    BASE_COLUMNS,
    VALUE_COLUMNS,
    ValueModel,
    base_expectation,
    read_value_model,
    write_value_model,
)

__all__ = [
    "CalibrationExample",
    "LearnedLifetimeValue",
    "LifetimeValueModel",
    "calibrate",
    "round_outward",
]

Floats = npt.NDArray[np.float64]

_MOST = 5_000  # calibration customers a cutoff
_HOW = ("cutoff", "n_draws", "block_size")  # arguments of `predict` that change what is expected
_OF_PURCHASES = ("purchases_low", "purchases_high", "purchases_mean_low", "purchases_mean_high")
_OF_VALUE = ("clv", "clv_low", "clv_high", "clv_mean_low", "clv_mean_high")


class LifetimeValueModel(Protocol):
    """A model that can be a base: `CustomerLifetimeValue`, or a stack of them."""

    kind: ClassVar[str]

    @property
    def input_columns(self) -> tuple[str, ...]:
        """Columns that `predict` needs."""
        ...

    @property
    def text_columns(self) -> tuple[str, ...]:
        """Those of them that are read as text."""
        ...

    @property
    def diagnostics(self) -> dict[str, Any]:
        """How the fits went."""
        ...

    def posterior_summary(self) -> pd.DataFrame:
        """One row a parameter."""
        ...

    def predict(self, rfm: pd.DataFrame, *args: Any, **options: Any) -> pd.DataFrame:
        """What each customer will do, with the columns of `CLV_COLUMNS`."""
        ...

    def predict_new_customers(
        self, customers: pd.DataFrame, *args: Any, **options: Any
    ) -> pd.DataFrame:
        """The same for customers of whom no purchase is known."""
        ...

    def to_folder(self, folder: Path) -> dict[str, Any]:
        """Write the files of the model."""
        ...

    @classmethod
    def from_folder(cls, folder: Path, description: Mapping[str, Any]) -> Self:
        """Read them back."""
        ...


class LearnedLifetimeValue:
    """A base, a value model and, once calibrated, what its intervals are read by.

    Args:
        base: A fitted CLV model.
        value: A value model fitted on examples of earlier cutoffs.
        intervals: Calibration of purchases and of value; see `calibrate`.
    """

    kind: ClassVar[str] = "clv_learned"
    """Name of the model family in `card.json`."""

    def __init__(
        self,
        base: LifetimeValueModel,
        value: ValueModel,
        intervals: tuple[Conformal, Conformal] | None = None,
    ) -> None:
        self.base = base
        self.value = value
        self.intervals = intervals

    @property
    def input_columns(self) -> tuple[str, ...]:
        """Columns that `predict` needs: those of the base, then the features."""
        return tuple(dict.fromkeys([*self.base.input_columns, *self.value.feature_names]))

    @property
    def text_columns(self) -> tuple[str, ...]:
        """Those of the `input_columns` that are read as text."""
        return self.base.text_columns

    @property
    def diagnostics(self) -> dict[str, Any]:
        """Diagnostics of the base, and under "value" facts of the learning."""
        facts = {"family": self.value.label, "horizon_days": self.value.horizon_days}
        return {**self.base.diagnostics, "value": {**facts, **self.value.facts}}

    def posterior_summary(self) -> pd.DataFrame:
        """One row a parameter of the base."""
        return self.base.posterior_summary()

    def predict(
        self,
        rfm: pd.DataFrame,
        horizon_days: float = 365,
        annual_discount_rate: float = 0.10,
        margin: float = 1.0,
        interval: float = 0.90,
        *,
        quantiles: Sequence[float] | None = None,
        intervals: bool = True,
        **options: Any,
    ) -> pd.DataFrame:
        """What each customer will do in the horizon after the cutoff.

        Args:
            rfm: The `input_columns`: the RFM summary and the features of the same cutoff.
                Not changed.
            horizon_days: Days to look ahead, above 0.
            annual_discount_rate: For example 0.10.
            margin: Share of spend that is margin.
            interval: Probability that the predictive intervals hold.
            quantiles: Levels of further predictive quantiles of purchases and CLV, calibrated as
                the intervals are; a higher level never has a lower one.
            intervals: With False only expectations and probabilities, as the base's.
            **options: Further arguments of the base's `predict`.

        Returns:
            The columns of the base's `predict`, on the index of `rfm`; see the module's text.

        Raises:
            ModelError: An impossible row or argument, or a column is missing.
        """
        asked = () if quantiles is None else tuple(quantiles)
        columns = quantile_columns(asked)
        levels = (0.5 * (1.0 - interval), 0.5 * (1.0 + interval), *asked)
        read: list[list[float]] = []
        of_base = asked
        if intervals and self.intervals is not None:
            self.intervals[0].levels(interval)  # refuses what is no probability
            read = [[table.score(level) for level in levels] for table in self.intervals]
            needed = {i for row in read for score in row for i in Conformal.needed(score)}
            of_base = tuple(LEVELS[i] for i in sorted(needed))
        out = self.base.predict(
            rfm, horizon_days, annual_discount_rate, margin, interval,
            quantiles=of_base, intervals=intervals, **options,
        )  # fmt: skip
        expected = out
        if horizon_days != self.value.horizon_days:
            kept = {name: options[name] for name in _HOW if name in options}
            expected = base_expectation(self.base, rfm, self.value.horizon_days, **kept)
        factors = self._factors(rfm, expected)
        from_base = quantile_columns(of_base)
        for (*names, expectation), more, factor in zip(
            ((*_OF_PURCHASES, VALUE_COLUMNS[0]), (*_OF_VALUE, VALUE_COLUMNS[1])),
            from_base,
            factors,
            strict=True,
        ):
            for name in (name for name in (*names, *more, expectation) if name in out.columns):
                out[name] = out[name].to_numpy() * factor
        if read:
            said = out[[*from_base[0], *from_base[1]]]
            out = out.drop(columns=said.columns)
            for name, scores_at, more, table, given, unit in zip(
                ("purchases", "clv"), read, columns, self.intervals or (), from_base,
                (1.0, margin), strict=True,
            ):  # fmt: skip
                scale = unit if unit > 0 else 1.0
                at = {
                    LEVELS.index(level): said[column].to_numpy() / scale
                    for level, column in zip(of_base, given, strict=True)
                }
                ends = (f"{name}_low", f"{name}_high", *more)
                for column, score in zip(ends, scores_at, strict=True):
                    out[column] = unit * table.value(score, at)
        round_outward(out, asked)
        if {"historic_value", "total_value"} <= set(out.columns):
            out["total_value"] = out["historic_value"] + out["clv"]
        return out

    def predict_new_customers(
        self, customers: pd.DataFrame, *args: Any, **options: Any
    ) -> pd.DataFrame:
        """What to expect of customers of whom no purchase is known, as the base's method.

        There is nothing that the learning could go by: the estimate is the base's.
        """
        return self.base.predict_new_customers(customers, *args, **options)

    def _factors(self, rfm: pd.DataFrame, expected: pd.DataFrame) -> tuple[Floats, Floats]:
        """Learned over expected purchases and spend in the learned horizon."""
        learned = self.value.predict(rfm, expected[list(BASE_COLUMNS)])
        purchases, spend = (
            np.divide(
                learned[name].to_numpy(),
                expected[name].to_numpy(),
                out=np.ones(len(rfm)),
                where=expected[name].to_numpy() > 1e-12,
            )
            for name in VALUE_COLUMNS
        )
        return purchases, spend

    def to_folder(self, folder: Path) -> dict[str, Any]:
        """Write base and trees to `folder`; return the description."""
        tables = None
        if self.intervals is not None:
            tables = [table.to_dict() for table in self.intervals]
        return {
            "base": write_nested(self.base, folder, "base_"),
            "value": write_value_model(self.value, folder),
            "intervals": tables,
            "input_columns": list(self.input_columns),
            "time_unit": "weeks",
        }

    @classmethod
    def from_folder(cls, folder: Path, description: Mapping[str, Any]) -> Self:
        """Read back what `to_folder` wrote.

        Raises:
            ModelError: A file is missing or damaged, or of a kind this version does not know.
        """
        base = read_nested(folder, description["base"])
        value = read_value_model(folder, description["value"])
        saved = description["intervals"]
        if saved is None:
            return cls(base, value)
        purchases, spend = (Conformal.from_dict(table) for table in saved)
        return cls(base, value, (purchases, spend))


@dataclass(frozen=True)
class CalibrationExample:
    """Customers of one cutoff after the examples that a model was taught on.

    Attributes:
        model: The model as it was at the cutoff: nothing after it is known to its base or its
            value model.
        frame: Its `input_columns` at the cutoff; index customer_id.
        purchases: Purchases that came in the model's learned horizon.
        spend: Spend that came.
    """

    model: LearnedLifetimeValue
    frame: pd.DataFrame
    purchases: npt.ArrayLike | pd.Series[float]
    spend: npt.ArrayLike | pd.Series[float]


def calibrate(
    examples: Sequence[CalibrationExample], **options: Any
) -> tuple[Conformal, Conformal]:
    """Learn at which levels the intervals of a recipe held on later customers.

    Args:
        examples: One or several later cutoffs; at most 5,000 customers of each are used, told
            by their ids.
        **options: Further arguments of the base's `predict`.

    Returns:
        Tables of purchases and of value, for `LearnedLifetimeValue`.

    Raises:
        ModelError: No examples, or a base without predictive intervals.
    """
    if not examples:
        raise ModelError("there are no examples to calibrate intervals on")
    unit = examples[0].model.value.unit
    of_purchases: list[Floats] = []
    of_spend: list[Floats] = []
    for example in examples:
        model, frame = example.model, example.frame
        order = np.argsort(chance(frame.index, "calibrate"), kind="stable")
        kept = np.sort(order[:_MOST])
        some = frame.iloc[kept]
        found = model.base.predict(
            some, model.value.horizon_days, annual_discount_rate=0.0, quantiles=LEVELS, **options
        )
        factors = model._factors(some, found)
        came = (np.asarray(example.purchases, float)[kept], np.asarray(example.spend, float)[kept])
        u = chance(some.index, "score")
        columns = quantile_columns(LEVELS)
        for into, names, factor, y, scale in zip(
            (of_purchases, of_spend), columns, factors, came, (1.0, unit), strict=True
        ):
            quantiles = factor[:, None] * found[list(names)].to_numpy()
            if not np.isfinite(quantiles).all():
                raise ModelError(
                    "The base has no predictive intervals to calibrate.",
                    "Fit it by 'nuts' or 'laplace'; 'map' knows no uncertainty.",
                )
            into.append(scores(quantiles, y, scale, u))
    return (
        Conformal.learn(np.concatenate(of_purchases), 1.0),
        Conformal.learn(np.concatenate(of_spend), unit),
    )


def round_outward(out: pd.DataFrame, quantiles: Sequence[float]) -> None:
    """Make the quantiles of purchases in `out` whole numbers: down below one half, else up."""
    rounding = {"purchases_low": np.floor, "purchases_high": np.ceil}
    for level, name in zip(quantiles, quantile_columns(quantiles)[0], strict=True):
        rounding[name] = np.floor if level < 0.5 else np.ceil
    for name, to_whole in rounding.items():
        nudge = 1e-9 if to_whole is np.floor else -1e-9
        out[name] = to_whole(out[name].to_numpy() + nudge)
