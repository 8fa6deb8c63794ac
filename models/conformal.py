"""Intervals that hold: a model's predictive quantiles, moved until they held on later customers.

Split conformal prediction (Vovk, Gammerman & Shafer 2005, "Algorithmic Learning in a Random
World") with the level of the predictive distribution as the score (Chernozhukov, Wuethrich & Zhu
2021, "Distributional conformal prediction", PNAS 118): where did the outcome of each calibration
customer fall among the quantiles that were foretold for it? If 5 % fell above the level .97, the
upper end of a 90 % interval is the .97 quantile of whoever is asked about. Both ends are found
apart, so the interval is as lopsided as it has to be, and as wide for each customer as the model
says it should be.

Outcomes beyond the outermost quantile have scores too: the level goes on with the distance on the
scale log(1 + y / unit), which suits money that is zero for many and huge for a few. An outcome
that several quantiles share (nothing bought) falls somewhere among them by chance, told by the
customer's id, as in a randomised PIT.

With n calibration customers and any of the same kind, an interval of nominal level 1 - a holds
with probability at least 1 - a: its ends are the floor((n + 1) a / 2)-th and the
ceil((n + 1) (1 - a / 2))-th smallest score (Lei et al. 2018, JASA 113, 1094-1111, theorem 2.1).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from .base import ModelError

__all__ = ["LEVELS", "Conformal", "chance", "scores"]

Floats = npt.NDArray[np.float64]

_LOWER = (0.0025, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.4)
LEVELS: tuple[float, ...] = (*_LOWER, *(1.0 - u for u in reversed(_LOWER)))
"""Levels of the predictive quantiles that scores are read from; in pairs about one half."""

_KEPT = 200


def chance(index: pd.Index[Any], purpose: str) -> Floats:
    """A number in (0, 1) for each customer, told by the id: no order of rows matters.

    Numbers for different purposes have nothing to do with each other.
    """
    hashes = (hashlib.blake2b(f"{purpose} {i}".encode(), digest_size=4).digest() for i in index)
    codes = np.array([int.from_bytes(code, "big") for code in hashes], dtype=np.float64)
    return (codes + 0.5) / 2.0**32


def scores(quantiles: Floats, outcome: Floats, unit: float, u: Floats) -> Floats:
    """Where outcomes fall among their predictive quantiles.

    Args:
        quantiles: (n, len(LEVELS)), at least 0.
        outcome: (n,), at least 0.
        unit: Unit of the scale log(1 + y / unit), above 0.
        u: (n,), in (0, 1): see `chance`.

    Returns:
        (n,): levels, below 0 or above 1 for outcomes far beyond the outermost quantiles.
    """
    levels = np.asarray(LEVELS)
    q = np.maximum.accumulate(np.log1p(quantiles / unit), axis=1)
    y = np.log1p(outcome / unit)
    below = (q < y[:, None]).sum(axis=1)
    upto = (q <= y[:, None]).sum(axis=1)
    out = np.empty(len(y))
    last = len(levels) - 1
    low, high = below == 0, below == len(levels)
    shared = upto > below
    # Beyond the lowest and the highest quantile.
    out[low] = levels[0] + y[low] - q[low, 0]
    out[high] = levels[-1] + y[high] - q[high, -1]
    # Strictly between two of them.
    inside = ~(low | high | shared)
    right = below[inside]
    rows = np.flatnonzero(inside)
    lower, upper = q[rows, right - 1], q[rows, right]
    share = (y[rows] - lower) / (upper - lower)
    out[rows] = levels[right - 1] + share * (levels[right] - levels[right - 1])
    # On one or several of them. Nothing at all can be at any level from 0 up.
    first = np.where((below == 0) & (outcome == 0.0), 0.0, levels[np.minimum(below, last)])
    top = levels[np.maximum(upto, 1) - 1]
    out[shared] = (first + u * (top - first))[shared]
    return out


@dataclass(frozen=True)
class Conformal:
    """What is kept of the calibration: some ordered scores, and no customer.

    Args:
        count: Calibration customers.
        ranks: Which of the ordered scores are kept, ascending from 1 to `count`.
        scores: They.
        unit: Unit of the scale of `scores`.
    """

    count: int
    ranks: tuple[int, ...]
    scores: tuple[float, ...]
    unit: float

    @classmethod
    def learn(cls, found: npt.ArrayLike, unit: float) -> Self:
        """Keep the scores of calibration customers: at most 200 of them, most of them far out."""
        ordered = np.sort(np.asarray(found, dtype=np.float64))
        n = len(ordered)
        if not n or not np.isfinite(ordered).all():
            raise ModelError("intervals cannot be calibrated: no scores, or some are not finite.")
        # The closer to the ends, the closer to each other.
        place = 0.5 - 0.5 * np.cos(np.linspace(0.0, np.pi, _KEPT))
        ranks = np.unique(1 + (place * (n - 1)).round().astype(int))
        return cls(n, tuple(ranks.tolist()), tuple(ordered[ranks - 1].tolist()), float(unit))

    def levels(self, interval: float) -> tuple[float, float]:
        """Lowest and highest score inside an interval of a nominal level.

        Between two kept scores the outer one is taken.

        Raises:
            ModelError: Not a probability, or one that so few customers cannot vouch for.
        """
        if not 0.0 < interval < 1.0:
            raise ModelError(f"interval is {interval}.", "Use a probability such as 0.90.")
        return self.score(0.5 * (1.0 - interval)), self.score(0.5 * (1.0 + interval))

    def score(self, level: float) -> float:
        """The score of the quantile at a nominal level: rising in it, and outward where between.

        Below one half it is the lower end of an interval, from one half on the upper end.

        Raises:
            ModelError: So few customers cannot vouch for it.
        """
        # Rounding must not make a whole number a little more.
        if level < 0.5:
            rank = math.floor((self.count + 1) * level + 1e-9)
            place = int(np.searchsorted(self.ranks, rank, side="right")) - 1
        else:
            rank = math.ceil((self.count + 1) * level - 1e-9)
            place = int(np.searchsorted(self.ranks, rank, side="left"))
        if not 1 <= rank <= self.count:
            most = 1.0 - 2.0 / (self.count + 1)
            raise ModelError(
                f"An interval of {abs(1.0 - 2.0 * level):g} cannot be vouched for by "
                f"{self.count} calibration customers.",
                f"Ask for at most {math.floor(1000 * most) / 1000:g}.",
            )
        return self.scores[place]

    @staticmethod
    def needed(level: float) -> tuple[int, ...]:
        """Which of `LEVELS` the value at a level is read from: one or two places."""
        right = int(np.searchsorted(LEVELS, level))
        if right == 0 or right == len(LEVELS):
            return (min(right, len(LEVELS) - 1),)
        return (right - 1, right)

    def value(self, level: float, quantiles: Mapping[int, Floats]) -> Floats:
        """The outcome whose score is `level`, (n,).

        Args:
            level: A score.
            quantiles: Place in `LEVELS` -> predictive quantile, (n,), for those `needed`.
        """
        places = self.needed(level)
        first = np.log1p(quantiles[places[0]] / self.unit)
        if len(places) == 1:
            out = first + (level - LEVELS[places[0]])
        else:
            second = np.maximum(np.log1p(quantiles[places[1]] / self.unit), first)
            width = LEVELS[places[1]] - LEVELS[places[0]]
            out = first + (level - LEVELS[places[0]]) / width * (second - first)
        return np.asarray(self.unit * np.expm1(np.maximum(out, 0.0)))

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able description; `from_dict` reads it back to the same bits."""
        return {
            "count": self.count,
            "ranks": list(self.ranks),
            "scores": list(self.scores),
            "unit": self.unit,
        }

    @classmethod
    def from_dict(cls, description: Mapping[str, Any]) -> Self:
        """Read back what `to_dict` returned."""
        return cls(
            int(description["count"]),
            tuple(int(v) for v in description["ranks"]),
            tuple(float(v) for v in description["scores"]),
            float(description["unit"]),
        )
