"""The distribution of the number of purchases."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import count, islice

import numpy as np
import numpy.typing as npt

from ..btyd import PurchaseModel
from ..btyd.formulas import FloatArray
from ..btyd.future import Future
from .question import Question

__all__ = ["Numbers", "averaged", "blocks", "future_of", "heavy_rows"]

_STEPS = 16  # numbers of purchases k taken together
_HEAVY_GRID = 256  # numbers looked at where customers buy very often


class Numbers:
    """The distribution of the number of purchases of some histories.

    Attributes:
        bought: Chance of any purchase, (n,).
        quantiles: Quantiles of the number at the levels asked for, (n, levels).
    """

    def __init__(self, ask: Question, size: int) -> None:
        self._ask = ask
        self._shares = ask.points[0]
        self._counts = np.zeros((size, len(self._shares) + 1), dtype=np.int32)
        self._heavy: dict[int, npt.NDArray[np.int32]] = {}
        self.bought, self.quantiles = np.zeros(size), np.zeros((size, len(ask.levels)))

    def take(self, blocks: Iterable[FloatArray], where: npt.NDArray[np.intp] | slice) -> None:
        """Go through P(X >= k) of some histories, in blocks (histories, k)."""
        above, shares = 1.0 - np.asarray(self._ask.levels), self._shares
        least = float(above.min())
        counts, bought = self._counts[where], None
        rows = np.arange(len(counts))
        numbers = np.zeros((len(counts), len(above)))
        for tail in blocks:
            if bought is None:
                bought = tail[:, 0].clip(0.0, 1.0)
                scale = 1.0 / np.maximum(bought, 1e-290)
            # The number at level q is how many k have P(X >= k) > 1 - q.
            for i, share in enumerate(above):
                numbers[:, i] += (tail > share).sum(axis=1)
            # The same given that anything is bought, at the levels of the points.
            passed = np.searchsorted(shares, tail * scale[:, None])
            for step in passed.T:
                counts[rows, step] += 1
            if not passed[:, -1].any() and not (tail[:, -1] > least).any():
                break
        self._counts[where] = counts
        self.quantiles[where] = numbers
        if bought is not None:
            self.bought[where] = bought

    def take_heavy(self, alive: FloatArray, future: Future, row: int) -> None:
        """The same for one history with very many purchases, on a geometric grid of k."""
        weeks = self._ask.weeks
        t = np.array([[weeks]])
        self.bought[row] = float((alive * (1.0 - future.none(weeks))).mean())

        def tail(k: FloatArray) -> FloatArray:
            out: FloatArray = (alive * future.tail(k[:, None, None], t)).mean(axis=(1, 2))
            return out

        above = 1.0 - np.asarray(self._ask.levels)
        wanted = np.concatenate([above, self.bought[row] * self._shares])
        top = 1024.0
        while tail(np.array([top]))[0] > wanted.min():
            top *= 2.0
        grid = np.unique(np.geomspace(1.0, top, _HEAVY_GRID).round())
        falling = np.minimum.accumulate(tail(grid))
        found = np.floor(np.interp(-wanted, -falling, grid, left=0.0))
        self.quantiles[row] = found[: len(above)]
        self._heavy[row] = np.maximum(found[len(above) :], 1.0).astype(np.int32)

    def at_points(self, rows: npt.NDArray[np.intp]) -> npt.NDArray[np.int32]:
        """Number of purchases at each point, given that there is any, (rows, points)."""
        # Share i lies below the tail of every k that passed more than i shares.
        counts = self._counts[rows, :0:-1]
        out = np.cumsum(counts, axis=1, dtype=np.int32)[:, ::-1]
        for place, row in enumerate(rows):
            if self._heavy and int(row) in self._heavy:
                out[place] = self._heavy[int(row)]
        return out


def blocks(tails: Iterator[FloatArray]) -> Iterator[list[FloatArray]]:
    """A few numbers at a time."""
    return (list(islice(tails, _STEPS)) for _ in count())


def averaged(
    alive: FloatArray, future: Future, weeks: float, place: npt.NDArray[np.intp] | slice
) -> Iterator[FloatArray]:
    """P(X >= k), averaged over the draws, in blocks (histories, k)."""
    for block in blocks(future.tails(weeks)):
        found = [(alive * np.broadcast_to(k, (len(k), alive.shape[1]))[place]) for k in block]
        yield np.stack([values.mean(axis=1) for values in found], axis=1)


def future_of(
    purchases: PurchaseModel,
    draws: Mapping[str, FloatArray],
    x: float,
    T: FloatArray,
    recency: FloatArray,
) -> Future:
    """What customers who are alive will do, given as much of their history as the model needs."""
    if purchases.future_needs_recency:
        return purchases._future(draws, x, T, recency)
    return purchases._future(draws, x, T)


def heavy_rows(ask: Question, future: Future, size: int) -> npt.NDArray[np.bool_]:
    """Customers who may buy too often to go through the numbers one by one, (size,)."""
    if np.isinf(ask.weeks):
        return np.zeros(size, dtype=bool)
    return np.broadcast_to(future.heavy(ask.weeks), (size,))
