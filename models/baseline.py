"""The rules that a model has to beat.

Each is a thing that a shop could do without a model. They share the call of the models:
`predict(features)` returns one number a customer on the index of the frame.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
from scipy.optimize import isotonic_regression

from .base import CHURN_PROBABILITY, ModelError

__all__ = ["BtydBaseline", "DaysSinceLastRule", "PastRateContinues", "Zero"]


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
        x = _column(features, cls.feature)
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
class BtydBaseline:
    """A buy-till-you-die model's probability of no purchase in the horizon, as it is.

    It needs no churn label at all, which makes it the hardest baseline on short histories.
    """

    feature = "probability_no_purchase"

    def predict(self, features: pd.DataFrame) -> pd.Series[float]:
        """Return the column probability_no_purchase as the churn probability."""
        p = _column(features, self.feature)
        return pd.Series(p, index=features.index, name=CHURN_PROBABILITY)


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
