"""Scorers of one feature: days since the last purchase, or a probability taken at its word."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from ..artifact import dump_json
from ..base import ModelError
from ..baseline import DaysSinceLastRule
from ..inputs import Inputs
from .scorer import Floats, Matrix, Read, log_odds

__all__ = ["CurveScorer"]

EDGE = 1e-7
"""Probabilities nearer to 0 or 1 than this are not told apart; 32-bit floats hardly can."""


@dataclass(frozen=True)
class CurveScorer:
    """Log-odds as a rising function of one feature.

    Args:
        column: Position of the feature in the matrix.
        width: Columns of the matrix.
        knots: Its values, ascending; empty where the feature is a probability, whose own
            log-odds are the score.
        scores: Log-odds at the knots; straight lines between, flat outside.
        missing: Log-odds of who has no value: those of the training churn rate.
        centre: Mean score of the training rows.
    """

    column: int
    width: int
    knots: tuple[float, ...]
    scores: tuple[float, ...]
    missing: float
    centre: float

    @classmethod
    def of_days(cls, inputs: Inputs, X: Matrix, y: Floats) -> Self:
        """Learn the churn rate by `days_since_last`, as `DaysSinceLastRule` does."""
        column = _place(inputs, DaysSinceLastRule.feature)
        known = ~np.isnan(X[:, column])
        rule = DaysSinceLastRule.learn(X[known, column].astype(np.float64), y[known])
        scores = log_odds(rule.probability, 1e-12)
        return cls._centred(column, X, y, rule.days, tuple(scores.tolist()))

    @classmethod
    def of_probability(cls, feature: str, inputs: Inputs, X: Matrix, y: Floats) -> Self:
        """Take a feature that is a probability at its word."""
        return cls._centred(_place(inputs, feature), X, y, (), ())

    @classmethod
    def _centred(
        cls, column: int, X: Matrix, y: Floats, knots: tuple[float, ...], scores: tuple[float, ...]
    ) -> Self:
        missing = float(log_odds(y.mean(), EDGE))
        width = X.shape[1]
        raw = cls(column, width, knots, scores, missing, 0.0).raw(X)
        return cls(column, width, knots, scores, missing, float(np.sort(raw).mean()))

    @property
    def rounds(self) -> None:
        """None: there are no trees."""
        return

    @property
    def description(self) -> dict[str, Any]:
        """What it is, JSON-able."""
        return {"kind": "curve"}

    def raw(self, X: Matrix) -> Floats:
        """Return the log-odds of each row, shape (n,)."""
        x = X[:, self.column].astype(np.float64)
        score = np.interp(x, self.knots, self.scores) if self.knots else log_odds(x, EDGE)
        return np.where(np.isnan(x), self.missing, score)

    def contributions(self, X: Matrix) -> Floats:
        """Split each score, shape (n, f + 1): all but the mean score counts for the feature."""
        out = np.zeros((len(X), self.width + 1))
        out[:, self.column] = self.raw(X) - self.centre
        out[:, -1] = self.centre
        return out

    def to_parts(self) -> dict[str, str]:
        """Return its numbers as JSON."""
        numbers = vars(self) | {"knots": list(self.knots), "scores": list(self.scores)}
        return {"curve.json": dump_json(numbers)}

    @classmethod
    def from_parts(cls, description: dict[str, Any], read: Read) -> Self:
        """Read back."""
        numbers = json.loads(read("curve.json"))
        numbers["knots"], numbers["scores"] = tuple(numbers["knots"]), tuple(numbers["scores"])
        return cls(**numbers)


def _place(inputs: Inputs, feature: str) -> int:
    if feature not in inputs.names:
        raise ModelError(
            f"the rule needs the feature {feature!r}, which is missing or the same for everyone"
        )
    return inputs.names.index(feature)
