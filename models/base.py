"""What every model shares: its error, the names of its output columns, its protocols.

A model learns from snapshots and predicts for customers: one row in, one row out, the index
kept. It opens no file except the folder it is told to save to, and never changes a frame that
is handed to it. The source of this package is shipped inside every logged model, so it imports
nothing from its siblings and refers to itself by relative imports only.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self, runtime_checkable

import pandas as pd

__all__ = [
    "CHURN_COLUMNS",
    "CHURN_HIGH",
    "CHURN_LOW",
    "CHURN_PROBABILITY",
    "CLV_COLUMNS",
    "REASON_COLUMNS",
    "RFM_COLUMNS",
    "RISK_TIER",
    "TIERS",
    "ModelError",
    "Predictor",
    "SavableModel",
]

RFM_COLUMNS = ("frequency", "recency", "T", "monetary_value")
"""Input of the purchase and spend models; times in weeks."""

CHURN_PROBABILITY = "churn_probability"
CHURN_LOW = "churn_low"
CHURN_HIGH = "churn_high"
RISK_TIER = "risk_tier"
REASON_COLUMNS = ("reason_1", "reason_2", "reason_3")
CHURN_COLUMNS = (CHURN_PROBABILITY, CHURN_LOW, CHURN_HIGH, RISK_TIER, *REASON_COLUMNS)
"""Output of the churn model, in this order."""

CLV_COLUMNS = (
    "p_alive",
    "probability_no_purchase",
    "expected_purchases",
    "purchases_low",
    "purchases_high",
    "expected_spend",
    "clv",
    "clv_low",
    "clv_high",
    "next_purchase_days",
)
"""Output of the customer-lifetime-value model, in this order."""

TIERS = ("low", "medium", "high")
"""Names of the tiers, ascending."""


class ModelError(ValueError):
    """A model cannot be fitted, saved, loaded or applied to what it was given.

    Args:
        message: What was expected and what came.
        hint: What to do about it.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        """The message, and the hint on a line of its own."""
        return f"{self.message}\n{self.hint}" if self.hint else self.message


@runtime_checkable
class Predictor(Protocol):
    """Anything that gives each customer a number: a model or a rule it has to beat."""

    def predict(self, features: pd.DataFrame) -> pd.Series[float]:
        """Return one value per row of `features`, on its index."""
        ...


@runtime_checkable
class SavableModel(Protocol):
    """A fitted model that `artifact.save` can write and `artifact.load` can read back."""

    kind: ClassVar[str]
    """Name of the model family in `card.json`."""

    def to_folder(self, folder: Path) -> dict[str, Any]:
        """Write the model's files flat into `folder`; return its JSON-able description."""
        ...

    @classmethod
    def from_folder(cls, folder: Path, description: Mapping[str, Any]) -> Self:
        """Read back what `to_folder` wrote; `description` is what it returned."""
        ...
