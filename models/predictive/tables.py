"""Quantities of the future by T: worked out at Chebyshev points, interpolated in between."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from ..btyd.formulas import FloatArray
from .counts import heavy_rows
from .customers import runs
from .question import Question
from .waits import log_times

__all__ = ["LENGTHS", "PRODUCT", "Table", "panels"]

LENGTHS = 48
"""Distinct T worked on at once."""
PRODUCT = 1 << 18
"""Multiplications in one product of matrices. BLAS starts threads of its own for more, and all
processors are at work already."""

_NODES = 24  # Chebyshev points over a range of T
_RANGE = 3.2  # and its width in log(c + T), at first
_TOLERANCE = 1e-12
_SPLITS = 4


class Table:
    """Quantities of the future of customers with one frequency, over a range of T.

    Attributes:
        future: At the points.
        weights: (lengths of T, points); None where the points are the lengths themselves.
        heavy: Points whose customers may buy too often to go through the numbers one by one.
        means: Expected and discounted purchases, (points, 1 or 2, draws).
        log_times: Logarithms of the times at which waits are looked at, the same for the range.
    """

    def __init__(
        self,
        ask: Question,
        draws: Mapping[str, FloatArray],
        x: float,
        points: FloatArray,
        weights: FloatArray | None,
        low: float,
    ) -> None:
        self.future = ask.purchases._future(draws, x, points)
        self.weights = weights
        self.heavy = heavy_rows(ask, self.future, len(points))
        self.log_times = log_times(ask, low - np.log1p(x))
        self._shape = (len(points), len(next(iter(draws.values()))))
        if np.isinf(ask.weeks):
            means = [np.full(self._shape, np.nan)]
        else:
            means = [self.future.expected(ask.weeks)]
        if ask.rate != 0.0:
            means.append(ask.discounted(self.future))
        self.means = self.stack(means)

    def stack(self, values: Sequence[FloatArray]) -> FloatArray:
        """Some quantities side by side, (points, quantities, draws)."""
        return np.stack([np.broadcast_to(value, self._shape) for value in values], axis=1)

    def bought(self) -> FloatArray:
        """Chance of a purchase before each of the times."""
        return self.stack(list(self.future.bought(np.exp(self.log_times))))

    def error(self) -> float:
        """Last coefficients of the Chebyshev series over the largest, at worst."""
        finite = self.means[:, -1] if np.isnan(self.means[0, 0, 0]) else self.means
        k = np.arange(_NODES)[:, None]
        series = np.tensordot(np.cos(k * _ANGLES) * (2.0 / _NODES), finite, axes=1)
        size, last = np.abs(series).max(axis=0), np.abs(series[-2:]).max(axis=0)
        return float((last / np.maximum(size, 1e-290)).max())

    def at(self, values: FloatArray, some: slice) -> FloatArray:
        """Values at the points, (points, k, draws), carried to some lengths of T."""
        if self.weights is None:
            return values[some]
        weights, flat = self.weights[some], values.reshape(len(values), -1)
        out = np.empty((len(weights), flat.shape[1]))
        step = max(1, PRODUCT // weights.size)
        for start in range(0, out.shape[1], step):
            part = slice(start, start + step)
            np.matmul(weights, flat[:, part], out=out[:, part])
        return out.reshape(-1, *values.shape[1:])


_ANGLES = (2 * np.arange(_NODES) + 1) * np.pi / (2 * _NODES)
_WHERE = np.cos(_ANGLES)


def _interpolation(at: FloatArray) -> FloatArray:
    """Weights (n, nodes) that carry values at the Chebyshev points to places in [-1, 1].

    The second, true barycentric form (Berrut & Trefethen 2004, "Barycentric Lagrange
    Interpolation", SIAM Review 46(3), section 5).
    """
    sign = np.where(np.arange(_NODES) % 2 == 0, 1.0, -1.0) * np.sin(_ANGLES)
    gap = at[:, None] - _WHERE
    exact = gap == 0.0
    weights = sign / np.where(exact, 1.0, gap)
    hit = exact.any(axis=1)
    weights[hit] = exact[hit]
    out: FloatArray = weights / weights.sum(axis=1, keepdims=True)
    return out


def panels(
    ask: Question, draws: Mapping[str, FloatArray], x: float, lengths: FloatArray, anchor: float
) -> Iterator[tuple[slice, Table]]:
    """Tables that cover the distinct lengths of T; their ranges are the same whoever asks."""
    log = np.log(anchor + lengths)
    number = np.floor((log - np.log(anchor)) / _RANGE)
    for piece in runs(number):
        low = np.log(anchor) + _RANGE * float(number[piece.start])
        yield from _split(ask, draws, x, lengths, piece, anchor, low, low + _RANGE, _SPLITS)


def _split(
    ask: Question,
    draws: Mapping[str, FloatArray],
    x: float,
    lengths: FloatArray,
    piece: slice,
    anchor: float,
    low: float,
    high: float,
    splits: int,
) -> Iterator[tuple[slice, Table]]:
    """Tables for one range of T, from `low` to `high` on the scale of log(anchor + T)."""
    mine = lengths[piece]
    if len(mine) > _NODES:
        log = np.log(anchor + mine)
        points = np.exp(0.5 * (low + high) + 0.5 * (high - low) * _WHERE) - anchor
        weights = _interpolation(((2.0 * log - low - high) / (high - low)).clip(-1.0, 1.0))
        table = Table(ask, draws, x, np.maximum(points, 0.0), weights, low)
        if table.error() <= _TOLERANCE and not table.heavy.any():
            yield piece, table
            return
        if splits:
            middle = 0.5 * (low + high)
            cut = piece.start + int(np.searchsorted(log, middle))
            for part, left, right in (
                (slice(piece.start, cut), low, middle),
                (slice(cut, piece.stop), middle, high),
            ):
                yield from _split(ask, draws, x, lengths, part, anchor, left, right, splits - 1)
            return
    # So few lengths that a table would cost more than it saves, or no smooth function of T.
    for start in range(piece.start, piece.stop, LENGTHS):
        part = slice(start, min(start + LENGTHS, piece.stop))
        yield part, Table(ask, draws, x, lengths[part], None, low)
