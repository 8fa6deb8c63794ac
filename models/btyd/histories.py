"""Checked histories, and how many customers become few nodes that compiled loops run over."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from .formulas import FloatArray

__all__ = ["Histories", "Levels", "Marks", "Plan", "compress", "distinct", "ranked", "suspects"]


@dataclass(frozen=True)
class Levels:
    """Distinct pairs of cell and frequency, sorted, shape (levels,).

    Attributes:
        frequency: Repeat purchases.
        cell: Column of the parameters.
        weight: Customers of each level.
        place: Level of each entry, shape (entries,).
    """

    frequency: FloatArray
    cell: npt.NDArray[np.intp]
    weight: FloatArray
    place: npt.NDArray[np.intp]


@dataclass(frozen=True)
class Plan:
    """The entries level after level, with every time said once: what compiled loops run over.

    Attributes:
        start: First entry of each level, and the number of entries, (levels + 1,).
        time: Distinct pairs of cell and time: the time, (times,).
        cell: Their cell.
        at_T: Place of each entry's T among them, (entries,).
        at_recency: Place of its recency, (entries,).
        weight: Customers an entry stands for, (entries,).
    """

    start: npt.NDArray[np.intp]
    time: FloatArray
    cell: npt.NDArray[np.intp]
    at_T: npt.NDArray[np.int32]  # noqa: N815
    at_recency: npt.NDArray[np.int32]
    weight: FloatArray


@dataclass(frozen=True)
class Marks:
    """Distinct pairs of level and time, sorted.

    Attributes:
        start: First mark of each level, and the number of marks, (levels + 1,).
        time: Time of each mark, ascending within a level, (marks,).
        at_T: Mark of the T of each entry, in the order of `Plan`, (entries,).
        at_recency: Mark of its recency.
    """

    start: npt.NDArray[np.intp]
    time: FloatArray
    at_T: npt.NDArray[np.int32]  # noqa: N815
    at_recency: npt.NDArray[np.int32]


@dataclass(frozen=True)
class Histories:
    """Checked histories, one entry a customer or a group of identical customers.

    Attributes:
        frequency: Repeat purchases, whole numbers, shape (n,).
        recency: First to last purchase, weeks.
        T: First purchase to cutoff, weeks.
        weight: Customers an entry stands for; negative on a grid that stands for many (`grid`).
        cell: Which parameters hold for an entry: a column of the (parameters, cells) array that
            the likelihood is asked with. All 0 where one set holds for everybody.
    """

    frequency: FloatArray
    recency: FloatArray
    T: FloatArray
    weight: FloatArray
    cell: npt.NDArray[np.intp]

    def __len__(self) -> int:
        """Number of entries."""
        return len(self.frequency)

    @cached_property
    def levels(self) -> Levels:
        """The distinct (cell, frequency): what the costly special functions depend on."""
        size = int(self.frequency.max(initial=0.0)) + 1
        found, place = ranked(self.cell * size + self.frequency.astype(np.int64))
        weight = np.bincount(place, self.weight, minlength=len(found)).astype(float)
        cell, x = np.divmod(found, size)
        return Levels(x.astype(float), cell.astype(np.intp), weight, place)

    @property
    def plan_start(self) -> npt.NDArray[np.intp]:
        """First entry of each level, and the number of entries, where they are sorted by level."""
        return np.searchsorted(self.levels.place, np.arange(len(self.levels.frequency) + 1))

    @cached_property
    def plan(self) -> Plan:
        """The entries in the order of `levels`."""
        place, n = self.levels.place, len(self)
        order = np.argsort(place, kind="stable")
        start = np.searchsorted(place[order], np.arange(len(self.levels.frequency) + 1))
        times, code = ranked(np.concatenate([self.T[order], self.recency[order]]))
        cell = self.cell[order]
        found, at = ranked(np.concatenate([cell, cell]) * len(times) + code)
        of_cell, of_time = np.divmod(found, max(len(times), 1))
        short: npt.NDArray[np.int32] = at.astype(np.int32)
        return Plan(
            start.astype(np.intp),
            times[of_time],
            of_cell.astype(np.intp),
            short[:n],
            short[n:],
            self.weight[order],
        )

    @cached_property
    def marks(self) -> Marks:
        """The distinct times of each level: what costly functions of one time depend on."""
        plan, n = self.plan, len(self)
        level = np.repeat(np.arange(len(plan.start) - 1), np.diff(plan.start))
        both = np.concatenate([plan.at_T, plan.at_recency]).astype(np.int64)
        found, at = ranked(np.concatenate([level, level]) * len(plan.time) + both)
        of_level, of_time = np.divmod(found, max(len(plan.time), 1))
        start = np.searchsorted(of_level, np.arange(len(plan.start))).astype(np.intp)
        short: npt.NDArray[np.int32] = at.astype(np.int32)
        return Marks(start, plan.time[of_time], short[:n], short[n:])

    def at(self, rows: npt.NDArray[np.intp] | slice) -> Histories:
        """Some of the entries."""
        if isinstance(rows, slice) and rows.indices(len(self)) == (0, len(self), 1):
            return self
        return Histories(
            self.frequency[rows],
            self.recency[rows],
            self.T[rows],
            self.weight[rows],
            self.cell[rows],
        )


def distinct(keys: FloatArray) -> tuple[FloatArray, npt.NDArray[np.intp]]:
    """Distinct rows of `keys` (n, k), sorted by their columns, and each row's place among them."""
    if not len(keys):
        return keys.copy(), np.empty(0, dtype=np.intp)
    code = np.zeros(len(keys), dtype=np.int64)
    for column in keys.T:
        values, place = ranked(column)
        if len(values) > 1:
            if int(code.max()) >= np.iinfo(np.int64).max // len(values):
                code = ranked(code)[1].astype(np.int64)
            code = code * len(values) + place
    found, place = ranked(code)
    first = np.empty(len(found), dtype=np.intp)
    first[place] = np.arange(len(keys))
    return keys[first], place


def ranked(values: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], npt.NDArray[np.intp]]:
    """Distinct values in ascending order and each value's place among them; by hashing."""
    codes, found = pd.factorize(values)
    order = np.argsort(found)
    rank = np.empty(len(found), dtype=np.intp)
    rank[order] = np.arange(len(found))
    return np.asarray(found)[order], rank[codes]


def compress(histories: Histories) -> Histories:
    """Merge identical histories into one entry with the summed weight; the likelihood is equal.

    The entries are sorted by cell, frequency, T and recency, whatever the order of the rows.
    """
    h = histories
    keys = np.column_stack([h.cell.astype(float), h.frequency, h.T, h.recency])
    rows, place = distinct(keys)
    weight = np.bincount(place, h.weight, minlength=len(rows)).astype(float)
    cell, x, T, recency = (np.ascontiguousarray(column) for column in rows.T)
    return Histories(x, recency, T, weight, cell.astype(np.intp))


def suspects(histories: Histories) -> str:
    """What in the data may keep a model from being learned, in words; empty if nothing is found.

    Few repeat buyers, a history that is short against the time between purchases, and a handful
    of customers who make up most of the purchases, by their frequency, recency and T.
    """
    h, found = histories, []
    repeat = h.frequency > 0
    buyers, total = float(h.weight[repeat].sum()), float(h.weight.sum())
    bought = h.weight * h.frequency
    if buyers < 50:
        found.append(f"Only {buyers:,.0f} of {total:,.0f} customers have bought more than once.")
    mean_T = float(h.weight @ h.T) / total
    gap = float(h.weight[repeat] @ h.recency[repeat]) / max(float(bought.sum()), 1.0)
    if gap > 0.0 and mean_T < 2.0 * gap:
        found.append(
            f"The history is short: {mean_T:.3g} weeks on average, with {gap:.3g} weeks between "
            "purchases."
        )
    if repeat.any() and float(np.ptp((h.T - h.recency)[repeat])) == 0.0:
        found.append("All repeat buyers bought last at the same time before the cutoff.")
    largest = [int(row) for row in np.argsort(-h.frequency, kind="stable")[:3]]
    share = float(bought[largest].sum() / max(float(bought.sum()), 1.0))
    if total > 20.0 and share > 0.25:
        rows = "; ".join(
            f"frequency={h.frequency[i]:g}, recency={h.recency[i]:.6g}, T={h.T[i]:.6g}"
            for i in largest
        )
        found.append(f"Few customers make {share:.0%} of the purchases: {rows}.")
    return " ".join(found)
