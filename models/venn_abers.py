"""An interval around a calibrated probability, by the inductive Venn-Abers predictor.

Vovk, Petej and Fedorova (2015), "Large-scale probabilistic predictors with and without
guarantees of validity", NIPS.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from .base import ModelError
from .calibration_fits import merge_ties, scores_and_labels

__all__ = ["MAX_KNOTS", "VennAbers"]

Floats = npt.NDArray[np.float64]

MAX_KNOTS = 1000
"""With more distinct scores than this, neighbours of equal mass are merged first, which makes
the interval a little wider."""


@dataclass(frozen=True)
class VennAbers:
    """Interval of the churn rate among customers with a score like this one.

    For a new customer, `low` is the isotonic estimate of the churn probability at the score
    when the customer is added to the calibration set as one who stayed, and `high` when added
    as one who churned. One of the two is perfectly calibrated whatever the score is worth, as
    long as the customer is drawn from the same population as the calibration customers
    (Vovk, Petej and Fedorova 2015, theorem 1). So the width says how much one more customer
    would move the estimate: wide where calibration customers are few, narrow where they are
    many. It is no confidence interval of the rate (with m customers near the score it is about
    1/m wide) and says nothing of the luck of the single customer.

    By itself it does not cover a change of level between the calibration cutoff and today.
    Where the usual size of such changes is known, `margin` widens it: the ends are those of a
    customer whose score is so much lower, or higher.

    Both ends are step functions of the score, kept as knots. Without any knot nothing is known:
    the interval is 0 to 1.

    Args:
        score: Distinct calibration scores, ascending, shape (k,).
        low: p0 for `score[i] <= s < score[i+1]`; below `score[0]` it is 0. Shape (k,).
        high: p1 for `score[i-1] < s <= score[i]`; above `score[-1]` it is 1. Shape (k,).
        margin: Uncertainty of the level, log-odds.
    """

    score: Floats
    low: Floats
    high: Floats
    margin: float = 0.0

    @classmethod
    def fit(cls, score: npt.ArrayLike, churned: npt.ArrayLike, margin: float = 0.0) -> Self:
        """Precompute both ends for every possible score.

        Args:
            score: Calibration scores, shape (n,).
            churned: 0 or 1, shape (n,).
            margin: Uncertainty of the level, log-odds, not negative.

        Raises:
            ModelError: Shapes differ, a score is not finite, or the margin is negative.
        """
        if not 0.0 <= margin < np.inf:
            raise ModelError(f"expected a margin of zero or more, got {margin}")
        z, y = scores_and_labels(score, churned)
        knots, weight, churners = merge_ties(z, y)
        if len(knots) > MAX_KNOTS:
            knots, weight, churners = _coarsen(knots, weight, churners)
        high = _isotonic_with_one_more(weight, churners)
        # By symmetry (score -> -score, churned -> stayed) p0 is one minus the mirrored p1.
        low = 1.0 - _isotonic_with_one_more(weight[::-1], (weight - churners)[::-1])[::-1]
        low, high = np.clip(low, 0.0, 1.0), np.clip(high, 0.0, 1.0)
        # A knot inside a flat stretch of both steps changes no answer.
        keep = np.ones(len(knots), dtype=bool)
        keep[1:-1] = (low[1:-1] != low[:-2]) | (high[1:-1] != high[2:])
        return cls(knots[keep], low[keep], high[keep], float(margin))

    def __call__(self, score: npt.ArrayLike) -> tuple[Floats, Floats]:
        """Return (p0, p1), each of the shape of `score`, with 0 <= p0 <= p1 <= 1."""
        z = np.asarray(score, dtype=np.float64)
        below = np.searchsorted(self.score, z - self.margin, side="right")
        above = np.searchsorted(self.score, z + self.margin, side="left")
        low = np.concatenate([[0.0], self.low])[below]
        high = np.concatenate([self.high, [1.0]])[above]
        return low, np.maximum(low, high)

    def around(self, score: npt.ArrayLike, probability: npt.ArrayLike) -> tuple[Floats, Floats]:
        """Return the two ends, moved where needed so that they enclose `probability`."""
        low, high = self(score)
        p = np.asarray(probability, dtype=np.float64)
        return np.minimum(low, p), np.maximum(high, p)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able description; `from_dict` reads it back to the same bits."""
        ends = {name: getattr(self, name).tolist() for name in ("score", "low", "high")}
        return {**ends, "margin": self.margin}

    @classmethod
    def from_dict(cls, description: Mapping[str, Any]) -> Self:
        """Read back what `to_dict` returned."""
        score, low, high = (
            np.asarray(description[name], np.float64) for name in ("score", "low", "high")
        )
        return cls(score, low, high, float(description.get("margin", 0.0)))


def _coarsen(knots: Floats, weight: Floats, churners: Floats) -> tuple[Floats, Floats, Floats]:
    # Groups of about equal mass; a group is known by its largest score.
    middle = np.cumsum(weight) - weight / 2
    group = np.minimum((middle / weight.sum() * MAX_KNOTS).astype(np.int64), MAX_KNOTS - 1)
    last = np.append(np.flatnonzero(np.diff(group)), len(group) - 1)
    _, code = np.unique(group, return_inverse=True)
    merged = (np.asarray(np.bincount(code, weights=w), np.float64) for w in (weight, churners))
    return knots[last], *merged


def _isotonic_with_one_more(weight: Floats, churners: Floats) -> Floats:
    """Isotonic estimate at group i once a churner is added to group i, for every i.

    In the cumulative sum diagram P_j = (weight, churners of groups 0..j-1) the extra customer
    moves every point after group i by (1, 1). The estimate is the slope of the common lower
    tangent of the points before group i and the moved points after it (algorithms 1 and 2 of
    Vovk et al. walk along it; here the two hulls are so small that all pairs are compared).
    """
    x = np.concatenate([[0.0], np.cumsum(weight)])
    y = np.concatenate([[0.0], np.cumsum(churners)])
    k = len(weight)
    after: list[list[int]] = [[] for _ in range(k)]
    hull: list[int] = []
    for i in range(k, 0, -1):
        _extend_hull(hull, i, x, y, sign=-1.0)
        after[i - 1] = hull.copy()
    out = np.empty(k)
    before: list[int] = []
    for i in range(k):
        _extend_hull(before, i, x, y, sign=1.0)
        right = after[i]
        rise = y[right][None, :] + 1.0 - y[before][:, None]
        run = x[right][None, :] + 1.0 - x[before][:, None]
        out[i] = (rise / run).max(axis=0).min()
    return out


def _extend_hull(hull: list[int], new: int, x: Floats, y: Floats, sign: float) -> None:
    # Lower convex hull, grown to the right (sign 1) or to the left (sign -1).
    while len(hull) > 1:
        a, b = hull[-2], hull[-1]
        turn = (x[b] - x[a]) * (y[new] - y[a]) - (y[b] - y[a]) * (x[new] - x[a])
        if sign * turn > 0:
            break
        hull.pop()
    hull.append(new)
