"""Scorer that averages others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from .scorer import Floats, Matrix, Read, Scorer

__all__ = ["BlendScorer"]


@dataclass(frozen=True, eq=False)
class BlendScorer:
    """Weighted mean of the log-odds of other scorers (a logarithmic opinion pool).

    Args:
        members: The others.
        weights: Their weights, which sum to 1.
    """

    members: tuple[Scorer, ...]
    weights: tuple[float, ...]

    @property
    def rounds(self) -> int | None:
        """Number of trees of all members; None where there are none."""
        trees = [member.rounds for member in self.members if member.rounds is not None]
        return sum(trees) if trees else None

    @property
    def description(self) -> dict[str, Any]:
        """All but the members' files, JSON-able."""
        return {
            "kind": "blend",
            "weights": list(self.weights),
            "members": [member.description for member in self.members],
        }

    def raw(self, X: Matrix) -> Floats:
        """Return the log-odds of each row, shape (n,)."""
        total = np.zeros(len(X))
        for weight, member in zip(self.weights, self.members, strict=True):
            total += weight * member.raw(X)
        return total

    def contributions(self, X: Matrix) -> Floats:
        """Split each score, shape (n, f + 1): the weighted mean of the members' parts."""
        total = np.zeros((len(X), X.shape[1] + 1))
        for weight, member in zip(self.weights, self.members, strict=True):
            total += weight * member.contributions(X)
        return total

    def to_parts(self) -> dict[str, str]:
        """Return the files of all members, each under its number."""
        return {
            f"{_prefix(k)}{name}": text
            for k, member in enumerate(self.members)
            for name, text in member.to_parts().items()
        }

    @classmethod
    def from_parts(cls, description: dict[str, Any], read: Read) -> Self:
        """Read back."""
        from . import read_scorer

        def member(k: int, part: dict[str, Any]) -> Scorer:
            return read_scorer(part, lambda name: read(f"{_prefix(k)}{name}"))

        members = tuple(member(k, part) for k, part in enumerate(description["members"]))
        return cls(members, tuple(description["weights"]))


def _prefix(k: int) -> str:
    return f"member_{k + 1}_"
