"""What a training leaves behind, for whoever asked for it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

__all__ = ["TrainingResult"]


@dataclass(frozen=True)
class TrainingResult:
    """The outcome of one training.

    Attributes:
        name: Registered model, `regulars-churn` or `regulars-clv`.
        version: Its new version.
        training_id: Tag that ties the runs of this training together.
        run_ids: Candidate -> run.
        metrics: Candidates as rows, measures as columns; all on the same holdout.
        winner: The candidate that was registered.
        promoted: Whether the new version is the champion.
        reason: Why, in one sentence.
        cutoffs: The cutoffs of evaluation and of the final fit, as ISO dates.
        outcome: Of the gate: "promoted", "kept" or "refused"; empty where nothing was registered.
    """

    name: str
    version: str
    training_id: str
    run_ids: Mapping[str, str]
    metrics: pd.DataFrame
    winner: str
    promoted: bool
    reason: str
    cutoffs: Mapping[str, Any] = field(default_factory=dict)
    outcome: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON-able values; measures that are undefined are None."""
        measured = self.metrics.astype(object).where(self.metrics.notna(), None)
        return {
            "name": self.name,
            "version": self.version,
            "training_id": self.training_id,
            "run_ids": dict(self.run_ids),
            "metrics": {str(row): values.to_dict() for row, values in measured.iterrows()},
            "winner": self.winner,
            "promoted": self.promoted,
            "outcome": self.outcome,
            "reason": self.reason,
            "cutoffs": dict(self.cutoffs),
        }
