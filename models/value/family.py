"""The face of all value models: what they are taught with, and what they say."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol, Self

import lightgbm
import numpy as np
import numpy.typing as npt
import pandas as pd

from ..base import ModelError
from ..inputs import SPEND_PERCENTILE, CatalogueRow
from .trees import days_of

__all__ = [
    "BASE_COLUMNS",
    "VALUE_COLUMNS",
    "Floats",
    "ValueModel",
    "base_expectation",
]

Floats = npt.NDArray[np.float64]

BASE_COLUMNS = ("p_alive", "probability_no_purchase", "expected_purchases", "expected_spend")
"""What the base model says of each customer, in the horizon of the labels."""

VALUE_COLUMNS = ("expected_purchases", "expected_spend")
"""What a value model says: expected in the horizon of the labels, undiscounted, before margin."""


class _Predicts(Protocol):
    def predict(self, rfm: pd.DataFrame, *args: Any, **options: Any) -> pd.DataFrame:
        """Predictions with at least `BASE_COLUMNS`."""
        ...


def base_expectation(
    model: _Predicts, rfm: pd.DataFrame, horizon_days: float, **options: Any
) -> pd.DataFrame:
    """What a fitted CLV model expects, as a value model reads it: `BASE_COLUMNS`."""
    found = model.predict(rfm, horizon_days, annual_discount_rate=0.0, intervals=False, **options)
    return found[list(BASE_COLUMNS)]


class ValueModel(ABC):
    """The face of every family; see the module's text.

    Args:
        catalogue: Rows of the feature catalogue; features that only tell the season are left
            out unless the cutoffs span a year.
        num_threads: Threads of training; the result does not depend on it.

    Attributes:
        horizon_days: Length of the label windows it was taught on; 0 before `fit`.
        unit: Usual value of a purchase.
        facts: How the learning went; JSON-able.
    """

    label: ClassVar[str]
    """Short name."""

    def __init__(self, catalogue: Sequence[CatalogueRow] = (), num_threads: int = 1) -> None:
        self.catalogue = tuple(row for row in catalogue if row.name != SPEND_PERCENTILE)
        self.num_threads = num_threads
        self.horizon_days = 0.0
        self.unit = 1.0
        self.facts: dict[str, Any] = {}

    def fit(
        self,
        features: pd.DataFrame,
        base: pd.DataFrame,
        purchases: npt.ArrayLike | pd.Series[float],
        spend: npt.ArrayLike | pd.Series[float],
        horizon_days: float,
        seed: int = 0,
        groups: npt.ArrayLike | pd.Series[Any] | None = None,
    ) -> Self:
        """Learn from examples. The same bits for any order of the rows and number of threads.

        Args:
            features: Snapshot features of all examples, one below the other; index customer_id.
            base: `BASE_COLUMNS` for the same rows, from a model that knew nothing after their
                cutoffs.
            purchases: Purchases that came in the label window.
            spend: Spend that came.
            horizon_days: Length of the label windows.
            seed: Seed of the trees.
            groups: Cutoff of each row (dates or days); one cutoff when left out.

        Returns:
            The model itself.

        Raises:
            ModelError: The parts do not fit together, a column is missing, nobody bought, or
                the base expects nothing of anybody.
        """
        n = len(features)
        if n == 0:
            raise ModelError("there are no examples to learn a value model from")
        days = np.zeros(n, dtype=np.int64) if groups is None else days_of(groups, n)
        bought, spent = _outcome(purchases, n, "purchases"), _outcome(spend, n, "spend")
        if len(base) != n:
            raise ModelError(f"expected as many rows of base as examples, got {len(base)} and {n}")
        if not np.isfinite(horizon_days) or horizon_days <= 0:
            raise ModelError(f"horizon_days is {horizon_days}.", "Use a number of days above 0.")
        if not bought.any() or not spent.any():
            raise ModelError(
                "nobody among the examples bought anything in the label windows.",
                "Use a longer horizon or more customers.",
            )
        self.horizon_days = float(horizon_days)
        self.facts = {
            "examples": n,
            "cutoffs": len(np.unique(days)),
            "bought": int(sum(bought > 0)),
        }
        checked = _read_base(base)
        self.unit = _usual_value(checked)
        self._learn(features, checked, bought, spent, days, seed)
        return self

    @property
    @abstractmethod
    def feature_names(self) -> list[str]:
        """Features that `predict` reads."""

    @abstractmethod
    def _learn(
        self,
        features: pd.DataFrame,
        base: Mapping[str, Floats],
        purchases: Floats,
        spend: Floats,
        days: npt.NDArray[np.int64],
        seed: int,
    ) -> None:
        """Learn from checked examples."""

    @abstractmethod
    def _predict(self, features: pd.DataFrame, base: Mapping[str, Floats]) -> tuple[Floats, Floats]:
        """Expected purchases and spend."""

    @abstractmethod
    def _describe(self) -> tuple[dict[str, Any], dict[str, lightgbm.Booster]]:
        """What to save: a JSON-able description and the trees."""

    @abstractmethod
    def _restore(
        self, description: Mapping[str, Any], trees: Mapping[str, lightgbm.Booster]
    ) -> None:
        """Take back what `_describe` returned."""

    def predict(self, features: pd.DataFrame, base: pd.DataFrame) -> pd.DataFrame:
        """Expected purchases and spend in a window of `horizon_days` after the cutoff.

        Args:
            features: At least `feature_names`; missing values allowed.
            base: `BASE_COLUMNS` at `horizon_days` for the same rows.

        Returns:
            `VALUE_COLUMNS` on the index of `features`: finite, at least 0.

        Raises:
            ModelError: Not fitted, or a column is missing or not numeric.
        """
        if not self.horizon_days:
            raise ModelError(f"{type(self).__name__} is not fitted.", "Call fit first.")
        if len(base) != len(features):
            raise ModelError(f"got {len(features)} rows of features and {len(base)} of base")
        found = self._predict(features, _read_base(base))
        return pd.DataFrame(
            dict(zip(VALUE_COLUMNS, found, strict=True)), index=features.index, dtype=np.float64
        )


def _outcome(values: npt.ArrayLike | pd.Series[float], count: int, what: str) -> Floats:
    out = np.asarray(values, dtype=np.float64)
    if out.shape != (count,):
        raise ModelError(f"expected {what} of each of {count} examples, got shape {out.shape}")
    if not (np.isfinite(out) & (out >= 0)).all():
        raise ModelError(f"{what} must be finite and at least 0 for every example")
    return out


def _read_base(base: pd.DataFrame) -> dict[str, Floats]:
    """The base columns as arrays; the expectations above 0, so that they have a logarithm."""
    if missing := [name for name in BASE_COLUMNS if name not in base.columns]:
        raise ModelError(f"the base lacks the columns {', '.join(missing)}")
    out = {name: base[name].to_numpy(dtype=np.float64) for name in BASE_COLUMNS}
    for name, values in out.items():
        if not (np.isfinite(values) & (values >= 0)).all():
            raise ModelError(f"the base's {name} is not finite and at least 0 everywhere")
    purchases = out["expected_purchases"].clip(1e-12)
    # No purchases and no spend: a value of one purchase is not known, so it is taken as one.
    each = np.divide(
        out["expected_spend"],
        out["expected_purchases"],
        out=np.ones_like(purchases),
        where=(out["expected_purchases"] > 1e-12) & (out["expected_spend"] > 0),
    )
    return {**out, "expected_purchases": purchases, "expected_spend": purchases * each}


def _usual_value(base: Mapping[str, Floats]) -> float:
    """Expected value of a purchase."""
    total = np.sort(base["expected_spend"]).sum()
    return float(total / np.sort(base["expected_purchases"]).sum())
