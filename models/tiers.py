"""Tiers with cut points that are learned once and then stay.

A tier is a promise to the people who read the list: "high" must mean the same next month.
So the cut points are learned at training time and stored with the model; scoring only looks
them up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from .base import TIERS, ModelError

__all__ = ["SHARES", "Tiers"]

SHARES = (0.5, 0.3, 0.2)
"""Share of customers meant for low, medium and high: the top fifth is high."""


@dataclass(frozen=True)
class Tiers:
    """Two cut points: low, above the first medium, above the second high.

    Args:
        medium_above: Values above this are at least medium.
        high_above: Values above this are high.

    Examples:
        >>> list(Tiers(0.5, 0.8).assign([0.5, 0.51, 0.9]))
        ['low', 'medium', 'high']
    """

    medium_above: float
    high_above: float

    @classmethod
    def learn(cls, values: npt.ArrayLike, low_at_most: float = np.inf) -> Self:
        """Place the cuts so that the shares of customers come as near to `SHARES` as they can.

        Equal values always share a tier: a cut lies halfway between two different values. When
        all values are equal, all are medium.

        Args:
            values: Probabilities or money, shape (n,), finite.
            low_at_most: No value above this is low, however many customers lie above it.

        Raises:
            ModelError: No values, or a value that is not finite.
        """
        x = np.sort(np.asarray(values, dtype=np.float64).ravel())
        if not len(x) or not np.isfinite(x).all():
            raise ModelError("tiers need at least one customer, and finite values only")
        if x[0] == x[-1]:
            return cls(min(float(np.nextafter(x[0], -np.inf)), low_at_most), float(x[0]))
        # Last position of each distinct value but the greatest: where a cut can be.
        ends = np.flatnonzero(x[1:] > x[:-1])
        reached = (ends + 1) / len(x)
        cuts = []
        for target in (SHARES[0], SHARES[0] + SHARES[1]):
            end = ends[np.argmin(np.abs(reached - target))]
            middle = x[end] + (x[end + 1] - x[end]) / 2
            cuts.append(float(middle if middle < x[end + 1] else x[end]))
        low, high = min(cuts[0], low_at_most), cuts[1]
        return cls(low, max(low, high))

    def assign(self, values: npt.ArrayLike) -> npt.NDArray[np.object_]:
        """Return "low", "medium" or "high" for each value, shape (n,).

        Raises:
            ModelError: A value is NaN.
        """
        x = np.asarray(values, dtype=np.float64)
        if np.isnan(x).any():
            raise ModelError("a customer without a value has no tier")
        names = np.array(TIERS, dtype=object)
        tier = (x > self.medium_above).astype(np.int64) + (x > self.high_above)
        return np.asarray(names[tier], dtype=object)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able description; `from_dict` reads it back to the same bits."""
        return {"medium_above": self.medium_above, "high_above": self.high_above}

    @classmethod
    def from_dict(cls, description: Mapping[str, Any]) -> Self:
        """Read back what `to_dict` returned."""
        return cls(float(description["medium_above"]), float(description["high_above"]))
