"""Distinct histories: who is still there, and what they will do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from ..btyd.formulas import FloatArray
from ..btyd.future import Future, thin_draws
from .counts import Numbers, averaged, blocks, future_of, heavy_rows
from .customers import Customers, starts
from .question import Question
from .tables import LENGTHS, PRODUCT, Table, panels
from .waits import log_times, wait_quantiles

__all__ = ["Found", "histories"]

_ROWS = 2048  # distinct histories worked on at once
_UNSHARED = 1 << 16  # histories x draws at once where nothing is shared
_DISCOUNT_DRAWS = 25  # draws behind the mean discount factor there


@dataclass(frozen=True)
class Found:
    """What was worked out for distinct histories, (n,) or (n, draws)."""

    alive: FloatArray
    expected: FloatArray
    discounted: FloatArray
    waits: FloatArray
    numbers: Numbers
    expected_by_draw: FloatArray | None
    discounted_by_draw: FloatArray | None


def histories(
    ask: Question, who: Customers, first: npt.NDArray[np.intp]
) -> Iterator[tuple[slice, Found]]:
    """Work out the distinct histories, which begin at `first`; all of one frequency and group."""
    rows = who.at(first)
    if ask.by_history:
        size = max(1, _UNSHARED // len(next(iter(ask.draws.values()))))
        for start in range(0, len(rows), size):
            part = slice(start, min(start + size, len(rows)))
            yield part, _by_history(ask, rows.at(part))
        return
    x = float(rows.frequency[0])
    draws = ask.purchases.at(ask.draws, rows.cells, rows.cell[:1])
    draws = {name: values.reshape(-1) for name, values in draws.items()}
    begin = starts(rows.T)
    lengths = rows.T[begin]
    ends = np.append(begin, len(rows))
    anchor = min(float(draws[name].min()) for name in ("alpha", "beta") if name in draws)
    for panel, table in panels(ask, draws, x, lengths, anchor):
        at = panel.start
        while at < panel.stop:
            # As many lengths of T as make a block of histories, at least one.
            upto = int(np.searchsorted(ends, ends[at] + _ROWS, side="right")) - 1
            upto = min(max(upto, at + 1), at + LENGTHS, panel.stop)
            some = slice(at - panel.start, upto - panel.start)
            part = slice(int(ends[at]), int(ends[upto]))
            borders = ends[at : upto + 1] - ends[at]
            yield part, _by_table(ask, draws, x, rows.at(part), table, some, borders)
            at = upto


def _by_table(
    ask: Question,
    draws: Mapping[str, FloatArray],
    x: float,
    rows: Customers,
    table: Table,
    some: slice,
    borders: npt.NDArray[np.intp],
) -> Found:
    """Histories of one frequency; those from border i to i + 1 share length i of T."""
    size = len(next(iter(draws.values())))
    history = (np.full((1, 1), x), rows.recency[:, None], rows.T[:, None])
    alive = np.broadcast_to(ask.purchases._alive(draws, *history), (len(rows), size))
    place = np.repeat(np.arange(len(borders) - 1), np.diff(borders))

    def average(values: FloatArray) -> FloatArray:
        """Values at the points times P(alive), averaged over the draws: (rows, k)."""
        here = table.at(values, some)
        out = np.empty((len(rows), values.shape[1]))
        step = max(1, PRODUCT // here[0].size)
        for length, (begin, end) in enumerate(pairwise(borders.tolist())):
            for start in range(begin, end, step):
                part = slice(start, min(start + step, end))
                np.matmul(alive[part], here[length].T, out=out[part])
        out /= size
        return out

    living = alive.mean(axis=1)
    means = average(table.means)
    waits = np.full((len(rows), len(ask.waits)), np.nan)
    if not ask.light:
        waits = wait_quantiles(ask, average(table.bought()), living, table.log_times)
    numbers = Numbers(ask, len(rows))
    heavy = np.zeros(len(borders) - 1, bool) if table.weights is not None else table.heavy[some]
    if np.isinf(ask.weeks):
        numbers.bought[:] = np.nan
    elif not ask.intervals:
        bought = average(table.stack([1.0 - table.future.none(ask.weeks)]))
        numbers.bought[:] = bought[:, 0]
    elif not heavy.any():
        tails = blocks(table.future.tails(ask.weeks))
        numbers.take((average(table.stack(block)) for block in tails), slice(None))
    else:
        light = np.flatnonzero(~heavy[place])
        if len(light):
            kept = np.cumsum(~heavy)[place[light]] - 1
            future = ask.purchases._future(draws, x, rows.T[borders[:-1]][~heavy])
            numbers.take(averaged(alive[light], future, ask.weeks, kept), light)
        for row in np.flatnonzero(heavy[place]):
            future = ask.purchases._future(draws, x, rows.T[[row]])
            numbers.take_heavy(alive[[row]], future, int(row))
    by_draw: tuple[FloatArray | None, FloatArray | None] = (None, None)
    if ask.means:
        here = table.at(table.means, some)
        by_draw = (alive * here[place, 0], alive * here[place, -1])
    return Found(living, means[:, 0], means[:, -1], waits, numbers, *by_draw)


def _by_history(ask: Question, rows: Customers) -> Found:
    """Histories of one frequency and group, each with a future of its own."""
    x = float(rows.frequency[0])
    history = (np.full((1, 1), x), rows.recency[:, None], rows.T[:, None])

    def known(draws: Mapping[str, FloatArray], which: slice) -> tuple[FloatArray, Future]:
        own = ask.purchases.at(draws, rows.cells, rows.cell[which])
        x, recency, T = history[0], rows.recency[which], rows.T[which]
        alive = ask.purchases._alive(own, x, recency[:, None], T[:, None])
        shape = (len(T), len(next(iter(draws.values()))))
        return np.broadcast_to(alive, shape), future_of(
            ask.purchases, own, float(x[0, 0]), T, recency
        )

    alive, future = known(ask.draws, slice(None))
    living = alive.mean(axis=1)

    def average(values: FloatArray) -> FloatArray:
        return np.asarray((alive * values).mean(axis=1))

    by_draw = np.full(alive.shape, np.nan)
    if np.isfinite(ask.weeks):
        by_draw = alive * future.expected(ask.weeks)
    expected = by_draw.mean(axis=1)
    if ask.rate == 0.0:
        worth = by_draw
    elif np.isinf(ask.weeks) or ask.means:
        worth = alive * ask.discounted(future)
    else:
        # The ratio depends on when purchases come within the horizon and hardly on the draw.
        few = thin_draws(ask.draws, _DISCOUNT_DRAWS)
        there, later = known(few, slice(None))
        plain = (there * later.expected(ask.weeks)).mean(axis=1)
        ratio = np.ones(len(rows))
        np.divide((there * ask.discounted(later)).mean(axis=1), plain, out=ratio, where=plain > 0)
        worth = by_draw * ratio[:, None]
    waits = np.full((len(rows), len(ask.waits)), np.nan)
    if not ask.light:
        times = log_times(ask, -np.log1p(x))
        bought = np.stack([average(each) for each in future.bought(np.exp(times))], axis=1)
        waits = wait_quantiles(ask, bought, living, times)
    numbers = Numbers(ask, len(rows))
    heavy = heavy_rows(ask, future, len(rows))
    if np.isinf(ask.weeks):
        numbers.bought[:] = np.nan
    elif not ask.intervals:
        numbers.bought[:] = average(1.0 - future.none(ask.weeks))
    else:
        light = np.flatnonzero(~heavy)
        if len(light):
            own = ask.purchases.at(ask.draws, rows.cells, rows.cell[light])
            some = future_of(ask.purchases, own, x, rows.T[light], rows.recency[light])
            numbers.take(averaged(alive[light], some, ask.weeks, slice(None)), light)
        for row in np.flatnonzero(heavy):
            there, later = known(ask.draws, slice(row, row + 1))
            numbers.take_heavy(there, later, int(row))
    return Found(living, expected, worth.mean(axis=1), waits, numbers, by_draw, worth)
