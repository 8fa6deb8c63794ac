"""The customers asked about, and stretches of them that share work."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from ..btyd.covariates import Cells
from ..btyd.formulas import FloatArray

__all__ = ["Customers", "runs", "starts"]


@dataclass(frozen=True)
class Customers:
    """What is known of the customers asked about, one entry a customer.

    Attributes:
        frequency: Repeat purchases.
        recency: First to last purchase, weeks.
        T: First purchase to cutoff, weeks.
        cell: Which parameters of the purchase model hold, a place in `cells`.
        known: Purchases with a known value.
        mean_value: Their mean value.
        effects: What moves their level of spend, (n, k).
        cells: Covariates and segment of each cell.
        group: A number for each cell: parameters but those of the rate are equal within one.
    """

    frequency: FloatArray
    recency: FloatArray
    T: FloatArray
    cell: npt.NDArray[np.intp]
    known: FloatArray
    mean_value: FloatArray
    effects: FloatArray
    cells: Cells
    group: npt.NDArray[np.intp]

    def __len__(self) -> int:
        """Number of customers."""
        return len(self.frequency)

    def at(self, rows: npt.NDArray[np.intp] | slice) -> Customers:
        """Some of them."""
        return Customers(
            self.frequency[rows],
            self.recency[rows],
            self.T[rows],
            self.cell[rows],
            self.known[rows],
            self.mean_value[rows],
            self.effects[rows],
            self.cells,
            self.group,
        )

    def order(self) -> npt.NDArray[np.intp]:
        """The order that `answer` wants: neighbours share most of the work."""
        group = self.group[self.cell]
        return np.lexsort((self.cell, self.recency, self.T, self.frequency, group))


def runs(*columns: npt.NDArray[Any]) -> list[slice]:
    """Stretches over which all columns stay the same."""
    n = len(columns[0])
    edges = [*starts(*columns).tolist(), n]
    return [slice(begin, end) for begin, end in pairwise(edges)] if n else []


def starts(*columns: npt.NDArray[Any]) -> npt.NDArray[np.intp]:
    """Where such stretches begin."""
    new = np.ones(len(columns[0]), dtype=bool)
    if len(new):
        new[1:] = np.any([column[1:] != column[:-1] for column in columns], axis=0)
    return np.flatnonzero(new)
