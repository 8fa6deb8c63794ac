"""RFM segments: recency, frequency and monetary scores from 1 to 5, and the names of the field.

A score compares a customer with cut points that are learned once and stored, so that a customer
changes segment because of itself and not because others came or went.

The eleven names and the ranges of scores that they may cover are those of Putler ("RFM Analysis
for Successful Customer Segmentation"; the same names and ranges are the example of the R package
rfm): a recency score against the mean of the frequency and the monetary score. Its ranges
overlap, so `GRID` gives every pair of scores to one of the segments whose published range holds it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from .base import ModelError

__all__ = [
    "GRID",
    "SCORE_COLUMNS",
    "SEGMENTS",
    "RfmCuts",
    "behaviour_of",
    "segment_of",
]

SEGMENTS = (
    "Champions",
    "Loyal Customers",
    "Potential Loyalists",
    "New Customers",
    "Promising",
    "Need Attention",
    "About To Sleep",
    "At Risk",
    "Can't Lose Them",
    "Hibernating",
    "Lost",
)
"""Names of the segments, in the usual order of presentation."""

SCORE_COLUMNS = ("recency_score", "frequency_score", "monetary_score")
"""Scores from 1 to 5; 5 is the most recent, the most often, the most money."""

(
    _CHAMPIONS,
    _LOYAL,
    _POTENTIAL,
    _NEW,
    _PROMISING,
    _ATTENTION,
    _SLEEPY,
    _RISK,
    _CANT,
    _HIDE,
    _LOST,
) = range(len(SEGMENTS))
GRID = (
    (_LOST, _HIDE, _RISK, _CANT, _CANT),
    (_HIDE, _HIDE, _RISK, _RISK, _RISK),
    (_SLEEPY, _SLEEPY, _ATTENTION, _LOYAL, _LOYAL),
    (_PROMISING, _POTENTIAL, _POTENTIAL, _LOYAL, _LOYAL),
    (_NEW, _POTENTIAL, _POTENTIAL, _CHAMPIONS, _CHAMPIONS),
)
"""Position in `SEGMENTS` by recency score (rows, 1 first) and by the mean of the other two."""

_SCORES = 5


def segment_of(
    recency_score: npt.ArrayLike, frequency_score: npt.ArrayLike, monetary_score: npt.ArrayLike
) -> npt.NDArray[np.object_]:
    """Return the segment of each customer, shape (n,); every triple of scores has exactly one.

    The frequency and the monetary score count by their mean, rounded down.

    Args:
        recency_score: Scores from 1 to 5, shape (n,).
        frequency_score: The same.
        monetary_score: The same.

    Raises:
        ModelError: A score is not one of 1 to 5.

    >>> list(segment_of([5, 5, 1, 1], [5, 1, 5, 1], [4, 2, 5, 1]))
    ['Champions', 'New Customers', "Can't Lose Them", 'Lost']
    """
    scores = [np.asarray(s) for s in (recency_score, frequency_score, monetary_score)]
    if any(not np.isin(s, np.arange(1, _SCORES + 1)).all() for s in scores):
        raise ModelError("recency, frequency and monetary scores are whole numbers from 1 to 5")
    r, f, m = (s.astype(np.int64) for s in scores)
    names = np.array(SEGMENTS, dtype=object)
    return np.asarray(names[np.array(GRID)[r - 1, (f + m) // 2 - 1]], dtype=object)


def behaviour_of(rfm: pd.DataFrame) -> pd.DataFrame:
    """What the scores are given for, from an RFM summary.

    Args:
        rfm: frequency, recency and T (weeks), monetary_value and first_value.

    Returns:
        On its index, float64: days_since_last (last purchase to cutoff), purchases, and spend (the
        value of all purchases; returns of later days are not taken off).

    Raises:
        ModelError: A column is missing, or a customer has no purchase.
    """
    needed = ("frequency", "recency", "T", "monetary_value", "first_value")
    if missing := [name for name in needed if name not in rfm.columns]:
        raise ModelError(f"an RFM summary has the columns {', '.join(missing)}, too")
    if rfm[list(needed)].isna().to_numpy().any():
        raise ModelError(
            "a customer without a purchase has no RFM scores", "Leave such customers out."
        )
    return pd.DataFrame(
        {
            "days_since_last": (7.0 * (rfm["T"] - rfm["recency"])).round(),
            "purchases": rfm["frequency"] + 1.0,
            "spend": rfm["first_value"] + rfm["frequency"] * rfm["monetary_value"],
        },
        index=rfm.index,
    )


@dataclass(frozen=True)
class RfmCuts:
    """Cut points of the three scores, four ascending numbers each.

    Args:
        recency_days: Days since the last purchase: up to the first the score is 5, up to the
            second 4, and so on; above the fourth 1.
        purchases: All purchases of a customer: up to the first the score is 1, up to the second
            2, and so on; above the fourth 5.
        spend: Value of all purchases, in the same way.

    Raises:
        ModelError: They are not four finite numbers in ascending order.

    Examples:
        >>> cuts = RfmCuts((30, 90, 180, 365), (1, 2, 4, 8), (20, 50, 100, 500))
        >>> behaviour = {"days_since_last": [30, 400], "purchases": [9, 1], "spend": [99, 10]}
        >>> cuts.score(pd.DataFrame(behaviour)).to_numpy().tolist()
        [[5, 5, 3], [1, 1, 1]]
    """

    recency_days: tuple[float, ...]
    purchases: tuple[float, ...]
    spend: tuple[float, ...]

    def __post_init__(self) -> None:
        for field in fields(self):
            cuts = tuple(float(cut) for cut in getattr(self, field.name))
            if (
                len(cuts) != _SCORES - 1
                or not np.isfinite(cuts).all()
                or list(cuts) != sorted(cuts)
            ):
                raise ModelError(
                    f"{field.name} has to be four ascending numbers, got {list(cuts)}.",
                    "Five scores have four cut points between them, such as [30, 90, 180, 365].",
                )
            object.__setattr__(self, field.name, cuts)

    @classmethod
    def learn(
        cls, behaviour: pd.DataFrame, given: Mapping[str, Sequence[float]] | None = None
    ) -> Self:
        """Place the cuts so that each score takes its share of the customers that are left.

        From the lowest score up, a score takes one in five, then one in four of the rest, and so
        on, as near as equal values, which always share a score, allow. Without ties these are the
        quintiles. Where most customers have bought once, they have score 1, and the others share
        the four scores above it.

        Args:
            behaviour: As `behaviour_of` gives it; at least one row.
            given: Cut points that are set by hand, by name; they are taken as they are.

        Raises:
            ModelError: No customers, or given cut points that are not ascending.
        """
        if not len(behaviour):
            raise ModelError("cut points cannot be learned from no customers")
        recency = np.round(behaviour["days_since_last"].to_numpy(np.float64))
        learned = {
            # Whole days: "at least d days" is "more than d - 1 days".
            "recency_days": tuple(float(-cut - 1.0) for cut in reversed(_shares(-recency))),
            "purchases": _shares(behaviour["purchases"].to_numpy(np.float64)),
            "spend": _shares(behaviour["spend"].to_numpy(np.float64)),
        }
        return cls(**{**learned, **{name: tuple(cuts) for name, cuts in (given or {}).items()}})

    def score(self, behaviour: pd.DataFrame) -> pd.DataFrame:
        """Return `SCORE_COLUMNS`, int64 from 1 to 5, on the index of `behaviour`."""
        recency = np.searchsorted(self.recency_days, np.round(behaviour["days_since_last"]))
        found = {
            "recency_score": _SCORES - recency,
            "frequency_score": 1 + np.searchsorted(self.purchases, behaviour["purchases"]),
            "monetary_score": 1 + np.searchsorted(self.spend, behaviour["spend"]),
        }
        return pd.DataFrame(found, index=behaviour.index).astype("int64")

    def assign(self, behaviour: pd.DataFrame) -> pd.DataFrame:
        """Return `SCORE_COLUMNS` and rfm_segment for each customer, on the index."""
        scores = self.score(behaviour)
        named = segment_of(*(scores[name] for name in SCORE_COLUMNS))
        return scores.assign(rfm_segment=pd.Series(named, index=scores.index, dtype="str"))

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able description; `from_dict` reads it back to the same bits."""
        return {field.name: list(getattr(self, field.name)) for field in fields(self)}

    @classmethod
    def from_dict(cls, description: Mapping[str, Any]) -> Self:
        """Read back what `to_dict` returned."""
        return cls(**{field.name: tuple(description[field.name]) for field in fields(cls)})


def _shares(values: npt.NDArray[np.float64]) -> tuple[float, ...]:
    """Four values, each the last one that has the score below it."""
    distinct, counts = np.unique(values, return_counts=True)
    reached = np.cumsum(counts)
    cuts: list[float] = []
    start = 0  # of the values that are left
    for scores_left in range(_SCORES, 1, -1):
        # The greatest value is left to the scores above: it has to be beaten.
        if start >= len(distinct) - 1:
            cuts.append(float(distinct[-1]))
            continue
        taken = reached[start - 1] if start else 0
        target = taken + (len(values) - taken) / scores_left
        end = start + int(np.argmin(np.abs(reached[start:-1] - target)))
        cuts.append(float(distinct[end]))
        start = end + 1
    return tuple(cuts)
