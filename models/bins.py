"""Bins of one column, learned once and counted again at every later cutoff.

A bin or level with fewer customers than `MIN_CUSTOMERS` at every cutoff is merged with another: the
bins go wherever the model goes, and tell of nobody. A missing value has a bin of its own. A zero
that many have, too: nothing happened, which is neither missing nor little. A column that is missing
for everybody at a cutoff says nothing there, because the source had not begun early enough to know;
such a cutoff is left out of that column.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from .categories import MAX_LEVELS, factorised

__all__ = ["BINS", "MIN_CUSTOMERS", "Bins", "Column", "learn_column"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

MIN_CUSTOMERS = 10
"""A bin or level with fewer customers at every cutoff is merged with another."""
BINS = 10
"""Most bins of a number, beside those of zero and of missing values: deciles."""

_TINY = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True)
class Bins:
    """How the values of one column are told apart; the last bin is that of missing values.

    Args:
        edges: Of a number: upper ends of all bins but the last, ascending; an end belongs to its
            bin.
        levels: Of a category: those told apart; all others share the bin after them.
        category: Whether it is one.
    """

    edges: tuple[float, ...] = ()
    levels: tuple[str, ...] = ()
    category: bool = False

    @property
    def size(self) -> int:
        """How many bins there are."""
        return len(self.levels if self.category else self.edges) + 2

    @property
    def names(self) -> tuple[str, ...]:
        """What each bin holds, in words.

        >>> Bins((0.0, 3.5)).names
        ('up to 0', '0 to 3.5', 'over 3.5', 'missing')
        """
        if self.category:
            return (*self.levels, "others", "missing")
        ends = [f"{0.0 if abs(edge) <= _TINY else edge:.6g}" for edge in self.edges]
        inner = [f"{low} to {high}" for low, high in pairwise(ends)]
        outer = [f"up to {ends[0]}", *inner, f"over {ends[-1]}"] if ends else ["any"]
        return (*outer, "missing")

    def codes(self, values: pd.Series[Any]) -> Ints:
        """Return the bin of each value, shape (n,)."""
        if self.category:
            codes, texts = factorised(values)
            place = {text: i for i, text in enumerate(self.levels)}
            table = [*(place.get(text, len(self.levels)) for text in texts), self.size - 1]
            return np.array(table, dtype=np.int64)[codes]
        x = _numbers(values)
        found = np.searchsorted(np.asarray(self.edges), x, side="left").astype(np.int64)
        found[np.isnan(x)] = self.size - 1
        return found

    def count(self, values: pd.Series[Any]) -> Ints:
        """Return how many values lie in each bin, shape (size,)."""
        return np.bincount(self.codes(values), minlength=self.size)


@dataclass(frozen=True)
class Column:
    """One column at the cutoffs of a reference.

    Args:
        bins: How its values are told apart.
        counts: Cutoff -> customers in each bin; only cutoffs at which somebody has a value.
        means: Cutoff -> mean of the known values; none of a category.
    """

    bins: Bins
    counts: Mapping[dt.date, Ints]
    means: Mapping[dt.date, float]

    def pooled(self, cutoffs: Collection[dt.date]) -> tuple[Floats, float]:
        """Return the counts of some cutoffs together, as of one sample, and its size.

        The same customers stand at several cutoffs, so all together are worth no more than the
        cutoff that has most of them: its size is the sample's.
        """
        some = [counts for day, counts in self.counts.items() if day in cutoffs]
        if not some:
            return np.zeros(self.bins.size), 0.0
        total = np.sum(some, axis=0).astype(np.float64)
        size = float(max(counts.sum() for counts in some))
        return total / total.sum() * size, size

    def mean(self, cutoffs: Collection[dt.date]) -> float:
        """Return the mean over some cutoffs, each of equal weight; NaN without any."""
        some = [value for day, value in self.means.items() if day in cutoffs]
        return float(np.mean(some)) if some else float("nan")


def learn_column(
    values: Mapping[dt.date, pd.Series[Any]], learned: Collection[dt.date], category: bool
) -> Column:
    """Learn the bins of a column, and count.

    Args:
        values: Cutoff -> one value a customer.
        learned: The cutoffs whose values settle the bins, where anybody has a value at them.
        category: Whether it holds text.
    """
    known = {day: each for day, each in values.items() if each.notna().any()}
    chosen = {day: each for day, each in known.items() if day in learned} or known
    bins = _levels(chosen) if category else _edges(chosen)
    counts = {day: bins.count(each) for day, each in known.items()}
    means = {} if category else {day: float(_numbers(v).mean()) for day, v in _kept(known)}
    return Column(bins, counts, means)


def _kept(known: Mapping[dt.date, pd.Series[Any]]) -> list[tuple[dt.date, pd.Series[Any]]]:
    """The known values by cutoff, where they are enough for their mean to be nobody's own."""
    some = [(day, values.dropna()) for day, values in known.items()]
    return [(day, values) for day, values in some if len(values) >= MIN_CUSTOMERS]


def _levels(columns: Mapping[dt.date, pd.Series[Any]]) -> Bins:
    most: dict[str, int] = {}
    rows: dict[str, int] = {}
    for column in columns.values():
        codes, texts = factorised(column)
        found = np.bincount(codes[codes >= 0], minlength=len(texts)).tolist()
        for text, count in zip(texts, found, strict=True):
            most[text] = max(most.get(text, 0), count)
            rows[text] = rows.get(text, 0) + count
    ranked = sorted(rows, key=lambda text: (-rows[text], text))
    return Bins(
        levels=tuple(t for t in ranked[:MAX_LEVELS] if most[t] >= MIN_CUSTOMERS), category=True
    )


def _edges(columns: Mapping[dt.date, pd.Series[Any]]) -> Bins:
    """Deciles of all values; equal ones fall together, and a frequent zero stands alone."""
    known = [x[~np.isnan(x)] for x in map(_numbers, columns.values())]
    pooled = np.concatenate(known) if known else np.zeros(0)
    if not len(pooled):
        return Bins()
    levels = np.arange(1, BINS) / BINS
    proposed = set(np.quantile(pooled, levels, method="inverted_cdf").tolist())
    if (pooled == 0).any():
        proposed |= {0.0, -_TINY}
    edges = sorted(edge for edge in proposed if pooled.min() <= edge < pooled.max())
    bins = Bins(tuple(edges))
    counts = np.array([bins.count(pd.Series(x))[:-1] for x in known])
    while edges:
        size = counts.max(axis=0)  # at the cutoff where a bin has most customers
        few = int(np.argmin(size))
        if size[few] >= MIN_CUSTOMERS:
            break
        # Merged with the smaller neighbour: the one before it ends at the edge of that number.
        before = few > 0 and (few == len(edges) or size[few - 1] < size[few + 1])
        first = few - 1 if before else few
        del edges[first]
        counts[:, first] += counts[:, first + 1]
        counts = np.delete(counts, first + 1, axis=1)
    return Bins(tuple(edges))


def _numbers(values: pd.Series[Any]) -> Floats:
    """Return numbers as the models see them, with 32 bits, so that equal ones stay equal."""
    x = values.to_numpy(dtype=np.float64, na_value=np.nan)
    largest = np.finfo(np.float32).max
    return np.asarray(np.clip(x, -largest, largest).astype(np.float32), dtype=np.float64)
