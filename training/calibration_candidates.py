"""Candidates for the level of a churn score: sources and methods of `churn_calibration`."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from models.calibration import (
    MIN_CLASS,
    MIN_ISOTONIC,
    Calibrator,
    Method,
    level_shift,
    scores_and_labels,
)

__all__ = [
    "ANCHOR",
    "NONE",
    "Candidates",
    "Key",
    "Scored",
    "Slice",
    "Unlabelled",
    "allowed_methods",
    "anchor_of",
    "slice_of",
]

Floats = npt.NDArray[np.float64]
Key = tuple[str, str]
"""Source and method."""

NONE: Key = ("none", "identity")
ANCHOR = "btyd"

SEASON_DAYS, NEIGHBOUR_DAYS = 16, 46
"""A cutoff this near to the day one year earlier makes a `last_year`; it is pooled with those
up to a month and a half around that day, as one season's level is a noisy thing."""
MAX_CUSTOMERS = 50_000
"""So many customers of a cutoff, drawn by a hash of the id, say all there is to say of it."""


@dataclass(frozen=True, eq=False)
class Unlabelled:
    """Customers to be scored.

    Attributes:
        score: Raw log-odds, shape (n,).
        btyd: Probability of no purchase in the horizon under the purchase model, known without
            labels; NaN where unknown. None where there is no purchase model.
        one_time: Who has bought once only.
    """

    score: npt.ArrayLike
    btyd: npt.ArrayLike | None = None
    one_time: npt.ArrayLike | None = None


@dataclass(frozen=True, eq=False)
class Scored:
    """Customers of an earlier cutoff with what became of them.

    Attributes:
        cutoff: When they were scored.
        score: Raw log-odds by a scorer fitted only on labels that had closed by `cutoff`.
        churned: 0 or 1, same shape.
        customers: Who they are, each once.
        one_time: Who had bought once only.
        btyd: As in `Unlabelled`.
    """

    cutoff: dt.date
    score: npt.ArrayLike
    churned: npt.ArrayLike
    customers: Sequence[Any] | npt.NDArray[Any]
    one_time: npt.ArrayLike
    btyd: npt.ArrayLike | None = None


@dataclass(frozen=True, eq=False)
class Slice:
    """A labelled cutoff in canonical order. `anchor` is the shift to the purchase model."""

    day: dt.date
    z: Floats
    y: Floats
    one_time: npt.NDArray[np.bool_]
    anchor: float | None


class Candidates:
    """Candidates for any target. What has been fitted once is kept.

    Args:
        slices: All closed cutoffs, ascending.
    """

    def __init__(self, slices: Sequence[Slice]) -> None:
        steps = [(b.day - a.day).days for a, b in pairwise(slices)]
        self._near = max(SEASON_DAYS, median(steps) / 2 if steps else 0)
        self._kept: dict[tuple[bool, tuple[dt.date, ...], Method], Calibrator] = {}

    def at(
        self,
        day: dt.date,
        anchor: float | None,
        closed: Sequence[Slice],
        allowed: Sequence[Method],
    ) -> dict[Key, Calibrator]:
        """Candidate -> its calibrator for the raw scores of a target.

        Args:
            day: The target.
            anchor: Shift to the purchase model there, where known.
            closed: Cutoffs whose labels had closed by `day`, ascending.
            allowed: Methods to fit.
        """
        found = {NONE: Calibrator("identity", {})}
        if anchor is not None and "shift" in allowed:
            found[ANCHOR, "shift"] = Calibrator("shift", {"b": anchor})
        for source, slices in self._sources(day, closed).items():
            for method in allowed:
                if not _supports(method, slices):
                    continue
                found[source, method] = self._fit(slices, method, anchored=False)
                if anchor is not None and all(s.anchor is not None for s in slices):
                    fitted = self._fit(slices, method, anchored=True)
                    found[f"{ANCHOR}+{source}", method] = fitted.moved(anchor)
        return found

    def _sources(self, day: dt.date, closed: Sequence[Slice]) -> dict[str, list[Slice]]:
        if not closed:
            return {}
        found = {"latest": [closed[-1]], "pooled": list(closed[-3:])}
        away = {s.day: abs((day - s.day).days - 365) for s in closed}
        if min(away.values()) <= self._near:
            reach = max(NEIGHBOUR_DAYS, self._near)
            found["last_year"] = [s for s in closed if away[s.day] <= reach]
        return found

    def _fit(self, slices: Sequence[Slice], method: Method, *, anchored: bool) -> Calibrator:
        key = (anchored, tuple(s.day for s in slices), method)
        if key not in self._kept:
            moved = [s.z + (s.anchor or 0.0) if anchored else s.z for s in slices]
            outcomes = np.concatenate([s.y for s in slices])
            self._kept[key] = Calibrator.fit(method, np.concatenate(moved), outcomes)
        return self._kept[key]


def allowed_methods(methods: Sequence[str] | None) -> tuple[Method, ...]:
    """Return the methods to fit, from the simplest on; "none" is always a candidate.

    Raises:
        ValueError: A method is unknown.
    """
    order: tuple[Method, ...] = ("shift", "platt", "beta", "isotonic")
    if methods is None:
        return order
    if unknown := sorted(set(methods) - {"none", *order}):
        raise ValueError(f"unknown calibration {', '.join(unknown)}")
    return tuple(m for m in order if m in methods)


def _supports(method: Method, slices: Sequence[Slice]) -> bool:
    if method == "shift":
        return True
    y = np.concatenate([s.y for s in slices])
    enough = min(y.sum(), len(y) - y.sum()) >= MIN_CLASS
    return bool(enough) and (method != "isotonic" or len(y) >= MIN_ISOTONIC)


def slice_of(scored: Scored) -> Slice:
    """Check a cutoff, put its customers in order and thin them out.

    Raises:
        ModelError: A score is not finite or an outcome not 0 or 1.
    """
    z, y = scores_and_labels(scored.score, scored.churned)
    # A hash of the id: as good an order as any, fast with millions, and thinning by it is fair.
    ids = np.asarray(scored.customers, dtype=object)
    who = pd.util.hash_array(ids, categorize=False)
    once = np.asarray(scored.one_time, dtype=bool)
    btyd = np.full(len(z), np.nan)
    if scored.btyd is not None:
        btyd = np.asarray(scored.btyd, dtype=np.float64)
    order = np.lexsort((y, z, who))
    order = order[:: -(-len(order) // MAX_CUSTOMERS)]
    z, y, once, btyd = z[order], y[order], once[order], btyd[order]
    return Slice(scored.cutoff, z, y, once, anchor_of(z, btyd))


def anchor_of(z: Floats, btyd: Floats) -> float | None:
    """Shift that gives the scores the mean of the purchase model; None where it is unknown."""
    known = np.isfinite(btyd)
    n = int(known.sum())
    if not n:
        return None
    rate = float(np.sort(btyd[known]).mean())
    return level_shift(z[known], min(max(rate, 0.5 / (n + 1)), 1 - 0.5 / (n + 1)))
