"""Few weighted nodes that stand for any number of customers.

Merging identical histories (`histories.compress`) is exact, and with times in days often enough.
Where customers were acquired over years, millions of different (recency, T) are left. But for a
given frequency the log-likelihood is a smooth function of log(c + T) and log(c + recency): so each
customer is spread over the 6 x 6 neighbouring lines of a grid by the coefficients of Lagrange's
interpolation. The sum over the nodes is then the sum over the customers of the interpolated
log-likelihood, for all values of the parameters at once.

- Lines are evenly spaced in log(1 + time / c). Line 0 is time 0, and no node has recency above T.
- The log-likelihood bends within 1 / frequency of a unit of the logarithm, so the step is halved
  until step x (1 + frequency) is below a bound. All steps are halves of one, so that the
  frequencies share their lines.
- With c near the model's own alpha it is only the difference, log((c + T) / (c + recency)), in
  which it bends that fast. Then, for frequent buyers, only the lines of the difference are dense.
- A frequency stays exact where that takes fewer nodes, and so do customers whose neighbouring
  lines do not all exist: both T and recency near 0, or frequent buyers with a recency near 0.

Weights may be negative, so a node is no customer and single nodes have no meaning. How good the
grid was is not taken on trust: see `mode`, which asks for the gradient over all customers.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .histories import Histories

__all__ = ["FINEST", "NODE_BUDGET", "on_grid", "sample"]

NODE_BUDGET = 4_000
"""Different histories up to which the likelihood runs on all of them."""

FINEST = 3
"""How often a grid can be halved before it is given up."""

_STEP = 0.2
# Step times (1 + frequency) for ten million customers. What the grid moves, in posterior standard
# deviations, grows with the root of the number of customers and the sixth power of the step.
_SHARPEST, _AT = 0.7, 1e7
_WIDEST = 1.2
_DENSE = 4  # dense lines in a step from which they are laid in the difference only
_NARROW = 0.25  # c in terms of alpha where they are laid in both directions
_MARGIN = 4  # lines of interpolation beyond the last customer


def on_grid(exact: Histories, fineness: int = 0, alpha: float | None = None) -> Histories:
    """Nodes that stand for the histories.

    Args:
        exact: Histories sorted by cell and frequency, as `compress` gives them.
        fineness: How often the step is halved.
        alpha: Where the posterior of alpha will be, nearly; c. Without it c is a quarter of the
            mean time between purchases, and dense lines are taken in both directions.

    Returns:
        Fewer nodes, or the histories themselves where that is fewer. The order of the rows has
        no influence.
    """
    sharpest = _SHARPEST * (_AT / float(exact.weight.sum())) ** (1.0 / 12.0)
    sharpest = min(sharpest, _WIDEST) / 2.0**fineness
    c = alpha if alpha is not None else _unit(exact) / 2.0**fineness
    start = exact.plan_start
    sizes = np.diff(start)
    keep = np.ones(len(exact), dtype=bool)
    parts: list[Histories] = []
    for level in np.flatnonzero(sizes > 2 * (_MARGIN + 2)):
        rows = slice(int(start[level]), int(start[level + 1]))
        spread = _spread(exact.at(rows), c, _STEP / 2.0**fineness, sharpest, alpha is not None)
        if spread is not None:
            nodes, left = spread
            keep[rows] = left
            parts.append(nodes)
    if not parts:
        return exact
    parts.append(exact.at(np.flatnonzero(keep)))
    return Histories(
        *(
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("frequency", "recency", "T", "weight", "cell")
        )
    )


def sample(exact: Histories, size: int) -> Histories:
    """Customers at even distances in the order of the histories: the same for the same data."""
    reached = np.cumsum(exact.weight)
    ticks = (np.arange(size) + 0.5) / size * reached[-1]
    rows, count = np.unique(np.searchsorted(reached, ticks), return_counts=True)
    picked = exact.at(rows)
    return Histories(picked.frequency, picked.recency, picked.T, count.astype(float), picked.cell)


def _unit(exact: Histories) -> float:
    """The time c under which lines lie evenly: a quarter of the mean time between purchases."""
    waited, bought = exact.weight @ exact.recency, exact.weight @ exact.frequency
    if waited > 0.0:
        return 0.25 * float(waited / bought)
    return float(exact.T.max()) / 64.0


def _spread(
    group: Histories, c: float, step: float, sharpest: float, by_difference: bool
) -> tuple[Histories, npt.NDArray[np.bool_]] | None:
    """Nodes for the customers of one frequency and cell, and who is left out; or None."""
    from .grid_kernel import POINTS, deposit, deposit_difference

    x = float(group.frequency[0])
    halved = int(np.ceil(max(0.0, np.log2(step * (1.0 + x) / sharpest))))
    dense = 2**halved
    by_difference = by_difference and dense >= _DENSE
    c *= 1.0 if by_difference else _NARROW
    T = np.log1p(group.T / c) * ((1 if by_difference else dense) / step)
    first = max(int(T.min()) - 2, 0)
    rows = max(int(T.max()) + _MARGIN, first + POINTS) - first
    left = np.zeros(len(group), dtype=bool)
    if by_difference:
        apart = np.log((c + group.T) / (c + group.recency)) * (dense / step)
        columns = int(apart.max()) + POINTS
    else:
        recency = np.log1p(group.recency / c) * (dense / step)
        columns = first + rows if x > 0.0 else 1
    if rows * columns > 8 * len(group):
        return None
    table = np.zeros((rows, columns))
    if by_difference:
        deposit_difference(T, apart, group.weight, first, dense, table, left)
    else:
        deposit(T, np.minimum(recency, T), group.weight, first, table, left)
    i, j = np.nonzero(table)
    if len(i) + int(left.sum()) >= len(group):
        return None
    i_dense = (i + first) * (dense if by_difference else 1)
    j_dense = i_dense - j if by_difference else j
    nodes = Histories(
        np.full(len(i), x),
        c * np.expm1(step * (j_dense / dense)),
        c * np.expm1(step * (i_dense / dense)),
        table[i, j],
        np.full(len(i), group.cell[0]),
    )
    return nodes, left
