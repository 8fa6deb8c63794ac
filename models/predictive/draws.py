"""Draws of the number of purchases."""

from __future__ import annotations

import numpy as np

from ..btyd.formulas import FloatArray
from ..btyd.future import Future
from .counts import future_of, heavy_rows
from .customers import Customers, runs
from .question import Question

__all__ = ["counts_by_draw"]

_UNSHARED = 1 << 16  # histories x draws at once where nothing is shared


def counts_by_draw(ask: Question, who: Customers, uniform: FloatArray) -> FloatArray:
    """One number of purchases a customer and draw: the inverse of its distribution function.

    Args:
        ask: With as many draws as there are columns in `uniform`.
        who: Customers in the order of `Customers.order`.
        uniform: (n, draws), in (0, 1).

    Returns:
        (n, draws), whole numbers.
    """
    out = np.zeros(uniform.shape)
    size = max(1, _UNSHARED // uniform.shape[1])
    for group in runs(who.group[who.cell], who.frequency):
        for start in range(group.start, group.stop, size):
            block = slice(start, min(start + size, group.stop))
            rows, u, x = who.at(block), uniform[block], float(who.frequency[start])
            own = ask.purchases.at(ask.draws, rows.cells, rows.cell)
            history = (np.full((1, 1), x), rows.recency[:, None], rows.T[:, None])
            alive = np.broadcast_to(ask.purchases._alive(own, *history), u.shape)
            future = future_of(ask.purchases, own, x, rows.T, rows.recency)
            if heavy_rows(ask, future, len(rows)).any():
                out[block] = _heavy_counts(ask, alive, future, u)
                continue
            for tail in future.tails(ask.weeks):
                more = u < alive * tail
                if not more.any():
                    break
                out[block] += more
    return out


def _heavy_counts(ask: Question, alive: FloatArray, future: Future, u: FloatArray) -> FloatArray:
    """The same where numbers run into the thousands, on a geometric grid of them."""
    t = np.array([[ask.weeks]])

    def tail(k: float) -> FloatArray:
        return np.broadcast_to(alive * future.tail(np.array(k), t), u.shape)

    before, at_before = np.zeros(u.shape), np.ones(u.shape)
    out, k = np.zeros(u.shape), 1.0
    while True:
        at = tail(k)
        passing = (u >= at) & (u < at_before)
        part = np.divide(at_before - u, at_before - at, out=np.zeros(u.shape), where=passing)
        out = np.where(passing, np.floor(before + part * (k - before)), out)
        if (u >= at).all():
            return out
        before, at_before, k = np.full(u.shape, k), at, np.ceil(1.02 * k)
