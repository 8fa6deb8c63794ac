"""The rules that a model has to beat.

Each is a thing that a shop could do without a model. They share the call of the models:
`predict(features)` returns one number a customer on the index of the frame.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.optimize import isotonic_regression

from .base import CHURN_PROBABILITY, ModelError

__all__ = [
    "DaysSinceLastRule",
    "HiatusRule",
    "PastRateContinues",
    "SameWindowLastYear",
    "Zero",
]


@dataclass(frozen=True)
class DaysSinceLastRule:
    """The longer the silence, the likelier the churn: an isotonic fit on one feature.

    The rule most shops use, given its best form: the churn rate by `days_since_last`, never
    falling, straight lines between the knots and flat outside.

    Args:
        days: Knots, ascending.
        probability: Churn probability at the knots.
    """

    days: tuple[float, ...]
    probability: tuple[float, ...]
    feature = "days_since_last"

    @classmethod
    def fit(cls, features: pd.DataFrame, churned: pd.Series[float]) -> Self:
        """Learn the rule.

        Args:
            features: A frame with the column days_since_last.
            churned: 0 or 1, as many rows.

        Raises:
            ModelError: The column is missing or has gaps, or the lengths differ.
        """
        return cls.learn(_column(features, cls.feature), churned)

    @classmethod
    def learn(cls, days_since_last: npt.ArrayLike, churned: npt.ArrayLike) -> Self:
        """Learn the rule from two vectors, both of shape (n,).

        Raises:
            ModelError: The lengths differ, or there are no rows.
        """
        x = np.asarray(days_since_last, dtype=np.float64)
        y = np.asarray(churned, dtype=np.float64)
        if len(x) != len(y) or not len(y):
            raise ModelError(f"expected as many outcomes as rows, got {len(y)} and {len(x)}")
        days, code = np.unique(x, return_inverse=True)
        weight = np.bincount(code).astype(np.float64)
        rate = np.bincount(code, weights=y) / weight
        fitted = isotonic_regression(rate, weights=weight).x
        edge = 1.0 / (len(y) + 2.0)  # one day's customers cannot prove that churn is certain
        fitted = np.clip(fitted, edge, 1.0 - edge)
        # Days inside a flat stretch would share a rank. A slope too small to matter keeps the
        # rule's order, so that its AUC is that of days_since_last itself.
        fitted = fitted + 1e-9 * np.arange(len(days)) / len(days)
        return cls(tuple(days.tolist()), tuple(fitted.tolist()))

    def predict(self, features: pd.DataFrame) -> pd.Series[float]:
        """Return the churn probability of each customer."""
        x = _column(features, self.feature)
        p = np.interp(x, self.days, self.probability)
        return pd.Series(p, index=features.index, name=CHURN_PROBABILITY)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able description."""
        return {"days": list(self.days), "probability": list(self.probability)}

    @classmethod
    def from_dict(cls, description: Mapping[str, Any]) -> Self:
        """Read back what `to_dict` returned."""
        return cls(tuple(description["days"]), tuple(description["probability"]))


@dataclass(frozen=True)
class PastRateContinues:
    """The customer goes on as before: purchases so far / time so far * horizon.

    Args:
        horizon_days: Days to predict.
        target: "purchases" for the number of purchases, "spend" for the money.

    Examples:
        >>> rfm = pd.DataFrame({"frequency": [4.0], "T": [20.0], "monetary_value": [15.0]})
        >>> PastRateContinues(70).predict(rfm).tolist()
        [2.0]
        >>> PastRateContinues(70, "spend").predict(rfm).tolist()
        [30.0]
    """

    horizon_days: float
    target: Literal["purchases", "spend"] = "purchases"

    def predict(self, features: pd.DataFrame) -> pd.Series[float]:
        """Predict from an RFM summary.

        Args:
            features: Columns frequency, T (weeks), and monetary_value for the spend. The rate
                counts repeat purchases; a customer first seen at the cutoff (T = 0) gets 0.
        """
        frequency, weeks = _column(features, "frequency"), _column(features, "T")
        rate = np.divide(frequency, weeks, out=np.zeros_like(frequency), where=weeks > 0)
        out = rate * self.horizon_days / 7.0
        if self.target == "spend":
            out = out * _column(features, "monetary_value")
        return pd.Series(out, index=features.index, name=self.target)


@dataclass(frozen=True)
class HiatusRule:
    """Who has been silent for too long is gone; the others go on as before.

    The rule of managers that Wuebben and von Wangenheim (2008, "Instant Customer Base Analysis:
    Managerial Heuristics Often Get It Right", Journal of Marketing 72(3)) held against
    buy-till-you-die models, with the hiatus learned on an earlier cutoff.

    Args:
        hiatus_days: Days of silence after which a customer counts as gone.
        horizon_days: Days to predict.
        target: "purchases" for the number of purchases, "spend" for the money.

    Examples:
        >>> rfm = pd.DataFrame(
        ...     {"frequency": [4.0, 4.0], "recency": [19.0, 9.0], "T": [20.0, 20.0]}
        ... )
        >>> HiatusRule(30, 70).predict(rfm).tolist()
        [2.0, 0.0]
    """

    hiatus_days: float
    horizon_days: float
    target: Literal["purchases", "spend"] = "purchases"

    @classmethod
    def fit(
        cls,
        rfm: pd.DataFrame,
        purchases: pd.Series[float],
        horizon_days: float,
        target: Literal["purchases", "spend"] = "purchases",
    ) -> Self:
        """Learn the hiatus that errs least often on who buys in the horizon.

        Args:
            rfm: Columns recency and T (weeks) at an earlier cutoff.
            purchases: Purchases that came in the horizon after it.
            horizon_days: Its days.
            target: What to predict.

        Raises:
            ModelError: A column is missing or has gaps, or the lengths differ.
        """
        silent = 7.0 * (_column(rfm, "T") - _column(rfm, "recency"))
        buys = np.asarray(purchases, dtype=np.float64) > 0
        if len(silent) != len(buys) or not len(buys):
            raise ModelError(
                f"expected as many outcomes as rows, got {len(buys)} and {len(silent)}"
            )
        days, code = np.unique(silent.round(), return_inverse=True)
        back = np.bincount(code, weights=buys)
        away = np.bincount(code) - back
        # Right if who is silent for up to the hiatus buys, and who is silent for longer does not.
        right = np.cumsum(back) + away.sum() - np.cumsum(away)
        if away.sum() >= right.max():
            return cls(0.0, horizon_days, target)  # nobody comes back is the better guess
        return cls(float(days[int(np.argmax(right))]), horizon_days, target)

    def predict(self, features: pd.DataFrame) -> pd.Series[float]:
        """Predict from an RFM summary: frequency, recency, T (weeks), monetary_value for spend."""
        silent = 7.0 * (_column(features, "T") - _column(features, "recency"))
        rate = PastRateContinues(self.horizon_days, self.target).predict(features)
        return rate.where(silent.round() <= self.hiatus_days, 0.0)


@dataclass(frozen=True)
class SameWindowLastYear:
    """The same window of the year brings what it brought a year before.

    It takes a year and a window of history. On seasonal trade it is hard to beat on the total.

    Args:
        target: "purchases" or "spend".

    Examples:
        >>> frame = pd.DataFrame({"purchases_last_year": [3.0, np.nan]})
        >>> SameWindowLastYear().predict(frame).tolist()
        [3.0, 0.0]
    """

    target: Literal["purchases", "spend"] = "purchases"

    def predict(self, features: pd.DataFrame) -> pd.Series[float]:
        """Predict.

        Args:
            features: Column purchases_last_year or spend_last_year: what came in the label
                window moved back by a year (365 days). Missing where the customer did nothing
                in it.
        """
        name = f"{self.target}_last_year"
        if name not in features.columns:
            raise ModelError(f"column {name!r} is missing")
        values = features[name].to_numpy(dtype=np.float64)
        return pd.Series(np.nan_to_num(values, nan=0.0), index=features.index, name=self.target)


@dataclass(frozen=True)
class Zero:
    """Nothing happens: the prediction that wins on absolute error when most never return."""

    def predict(self, features: pd.DataFrame) -> pd.Series[float]:
        """Return 0 for each customer."""
        return pd.Series(0.0, index=features.index)


def _column(frame: pd.DataFrame, name: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    if name not in frame.columns:
        raise ModelError(f"column {name!r} is missing; got {', '.join(map(str, frame.columns))}")
    values = frame[name].to_numpy(dtype=np.float64)
    if not np.isfinite(values).all():
        first = frame.index[np.flatnonzero(~np.isfinite(values))[0]]
        raise ModelError(f"column {name!r} has no finite value for customer {first}")
    return values
