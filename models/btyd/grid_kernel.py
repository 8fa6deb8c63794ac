"""Compiled inner loop of `grid`; see `kernels` for the rules."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .formulas import FloatArray
from .kernels import jit

__all__ = ["POINTS", "deposit", "deposit_difference"]

POINTS = 6
"""Lines that a customer is spread over in each direction."""


@jit
def _coefficients(at: float, out: FloatArray) -> None:
    """Lagrange's coefficients at `at` of the points 0, 1, ..., 5."""
    for m in range(POINTS):
        share = 1.0
        for other in range(POINTS):
            if other != m:
                share *= (at - other) / (m - other)
        out[m] = share


@jit
def deposit(
    T: FloatArray,
    recency: FloatArray,
    weight: FloatArray,
    first: int,
    table: FloatArray,
    left: npt.NDArray[np.bool_],
) -> None:
    """Spread customers of one frequency over grid lines.

    Args:
        T: T of each customer in grid steps, (n,).
        recency: Recency in grid steps, at most T; not read where the table has one column.
        weight: Customers of each entry, (n,).
        first: Line of the first row of the table.
        table: (lines of T, lines of recency); what is deposited is added to it.
        left: Set where a customer is too near the corner to be spread, (n,).
    """
    rows, flat = table.shape[0], table.shape[1] == 1
    by_T, by_recency = np.empty(POINTS), np.empty(POINTS)
    for k in range(len(T)):
        i = min(max(int(T[k]) - 2, first), first + rows - POINTS)
        _coefficients(T[k] - i, by_T)
        if flat:
            for m in range(POINTS):
                table[i - first + m, 0] += weight[k] * by_T[m]
            continue
        j = max(int(recency[k]) - 2, 0)
        if j + POINTS - 1 <= i:  # lines of recency below all lines of T
            _coefficients(recency[k] - j, by_recency)
            for m in range(POINTS):
                for n in range(POINTS):
                    table[i - first + m, j + n] += weight[k] * by_T[m] * by_recency[n]
            continue
        # Near recency = T: interpolate in T and in the difference, so that no node has
        # recency above T.
        gap = max(int(T[k] - recency[k]) - 2, 0)
        if i < gap + POINTS - 1:
            left[k] = True
            continue
        _coefficients(T[k] - recency[k] - gap, by_recency)
        for m in range(POINTS):
            for n in range(POINTS):
                table[i - first + m, i + m - gap - n] += weight[k] * by_T[m] * by_recency[n]


@jit
def deposit_difference(
    T: FloatArray,
    apart: FloatArray,
    weight: FloatArray,
    first: int,
    dense: int,
    table: FloatArray,
    left: npt.NDArray[np.bool_],
) -> None:
    """Spread customers over lines of T and denser lines of how far recency is below T.

    Args:
        T: T of each customer in grid steps, (n,).
        apart: T minus recency in dense steps, at least 0, (n,).
        weight: Customers of each entry, (n,).
        first: Line of the first row of the table.
        dense: Dense steps in a step.
        table: (lines of T, dense lines); what is deposited is added to it.
        left: Set where a node's recency would be below 0, (n,).
    """
    by_T, by_apart = np.empty(POINTS), np.empty(POINTS)
    for k in range(len(T)):
        i = min(max(int(T[k]) - 2, first), first + table.shape[0] - POINTS)
        j = max(int(apart[k]) - 2, 0)
        if j + POINTS - 1 > i * dense:
            left[k] = True
            continue
        _coefficients(T[k] - i, by_T)
        _coefficients(apart[k] - j, by_apart)
        for m in range(POINTS):
            for n in range(POINTS):
                table[i - first + m, j + n] += weight[k] * by_T[m] * by_apart[n]
