"""The expectation of the base times a smooth factor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import lightgbm
import numpy as np
import numpy.typing as npt
import pandas as pd

from ..base import ModelError
from ..log_linear import LogLinear
from .family import Floats, ValueModel

__all__ = ["TERM_FEATURES", "RecalibratedValue"]

TERM_FEATURES = ("n_purchases_all", "gap_last", "gap_mean", "overdue_ratio")
"""Features behind the terms of the smooth factor."""


class RecalibratedValue(ValueModel):
    """The base expectation times a smooth factor."""

    label = "recalibrated"

    _purchases: LogLinear
    _spend: LogLinear
    _centre: float  # logarithm of usual purchases

    @property
    def feature_names(self) -> list[str]:
        """Features that `predict` reads."""
        return list(TERM_FEATURES)

    def _learn(
        self,
        features: pd.DataFrame,
        base: Mapping[str, Floats],
        purchases: Floats,
        spend: Floats,
        days: npt.NDArray[np.int64],
        seed: int,
    ) -> None:
        self._centre = float(np.log(np.sort(base["expected_purchases"]).mean()))
        cutoffs = np.unique(days)
        windows = 1.0 + float(cutoffs[-1] - cutoffs[0]) / self.horizon_days
        panel: dict[str, Any] = {"windows": min(windows, len(cutoffs)), "cutoffs": len(cutoffs)}
        terms = self._terms(features, base)
        expected = base["expected_purchases"]
        self._purchases = LogLinear.fit(terms, expected, purchases, power=1.0, **panel)
        # A common factor only: any term of spend is settled by a few of the largest customers.
        learned = self._purchases.factor(terms) * base["expected_spend"]
        self._spend = LogLinear.fit(terms[:, :0], learned, spend, power=1.0, **panel)

    def _terms(self, features: pd.DataFrame, base: Mapping[str, Floats]) -> Floats:
        """Terms of the factor of purchases, (n, 4)."""
        number, last, mean, overdue = (_feature(features, name) for name in TERM_FEATURES)
        with np.errstate(divide="ignore", invalid="ignore"):
            trend = np.log(np.clip(last / mean, 0.05, 20.0))
            late = np.log(np.clip(overdue, 0.05, 20.0))
        # One gap is its own mean, and no gap has no mean: nothing is known, so no correction.
        trend = np.where((number >= 3) & np.isfinite(trend), trend, 0.0)
        late = np.where((number >= 2) & np.isfinite(late), late, 0.0)
        rate = np.log(base["expected_purchases"]) - self._centre
        return np.column_stack([rate, np.log(number), trend, late])

    def _predict(self, features: pd.DataFrame, base: Mapping[str, Floats]) -> tuple[Floats, Floats]:
        terms = self._terms(features, base)
        factor = self._purchases.factor(terms)
        spend = factor * self._spend.factor(terms[:, :0]) * base["expected_spend"]
        return factor * base["expected_purchases"], spend

    def _describe(self) -> tuple[dict[str, Any], dict[str, lightgbm.Booster]]:
        return {
            "purchases": self._purchases.to_dict(),
            "spend": self._spend.to_dict(),
            "centre": self._centre,
        }, {}

    def _restore(
        self, description: Mapping[str, Any], trees: Mapping[str, lightgbm.Booster]
    ) -> None:
        self._purchases = LogLinear.from_dict(description["purchases"])
        self._spend = LogLinear.from_dict(description["spend"])
        self._centre = float(description["centre"])


def _feature(features: pd.DataFrame, name: str) -> Floats:
    if name not in features.columns:
        raise ModelError(
            f"the feature {name!r} is missing.",
            "Build the features with the version of regulars that trained the model.",
        )
    return features[name].to_numpy(dtype=np.float64, na_value=np.nan)
