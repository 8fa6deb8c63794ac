"""Amounts that the customers did not pay: mass returns, huge credits, another unit of money."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from features.breaks.daily import Daily
from features.breaks.expectation import expect, runs, trimmed_mean
from features.breaks.finding import Break, span

__all__ = ["large_returns", "mass_returns", "scale_jumps"]

Floats = npt.NDArray[np.float64]

CHANCE = 1e-3
JUMP = 5.0
LEAST = 20
LARGE = 1.0
"""Returns of a day that are worth so many weeks of sales."""
SCALES = ((1, 4.0), (7, 2.0))
"""Days in a block, and by which factor the size of an amount may not change from block to block."""
MIN_ROWS = 30
_LOOK_BACK = 6


def mass_returns(daily: Daily) -> Iterator[Break]:
    """Days with far more returned rows than usual."""
    normal = expect(daily.returns, daily.weekday)
    odd = (daily.returns >= LEAST) & (daily.returns >= JUMP * normal.mean)
    odd &= normal.above(daily.returns) < CHANCE / len(daily)
    # Returns follow sales: a day with as many more sales is no break.
    sales = expect(daily.rows, daily.weekday)
    odd &= daily.returns * np.maximum(sales.mean, 1) >= JUMP * normal.mean * daily.rows
    for first, last in runs(odd):
        found = float(daily.returns[first : last + 1].sum())
        expected = float(normal.mean[first : last + 1].sum())
        yield Break(
            "returns",
            daily.day(first),
            daily.day(last),
            value=found,
            expected=expected,
            n=int(found),
            grave=False,
            words=f"{found:,.0f} rows were returned on {span(daily.day(first), daily.day(last))}; "
            f"about {expected:,.0f} are usual.",
            remedy="See whether this is a correction of the books rather than what customers sent "
            "back; if so, take it out with where.",
        )


def large_returns(daily: Daily) -> Iterator[Break]:
    """Days whose returns are worth more than a usual week of sales."""
    for i in np.flatnonzero(daily.returned > 0).tolist():
        near = np.r_[daily.sold[max(0, i - 28) : i], daily.sold[i + 1 : i + 29]]
        week = 7 * trimmed_mean(near)
        if len(near) >= 28 and week > 0 and daily.returned[i] > LARGE * week and _busy(daily, i):
            yield Break(
                "large_return",
                daily.day(i),
                daily.day(i),
                value=float(daily.returned[i]),
                expected=week,
                n=int(daily.returns[i]),
                grave=False,
                words=f"Returns of {daily.day(i)} come to {daily.returned[i]:,.0f}, more than a "
                f"week of sales ({week:,.0f}).",
                remedy="See whether a huge order was reversed, perhaps under another product or "
                "order: then neither is a purchase, and both can be taken out with where.",
            )


def _busy(daily: Daily, i: int) -> bool:
    """Whether a week has so many sales that one order is a small part of it."""
    return float(daily.rows[max(0, i - 28) : i + 29].sum()) / 57 * 7 >= 5 * LEAST


def scale_jumps(daily: Daily) -> Iterator[Break]:
    """Times in which the usual amount, or the largest tenth, is of another size than before."""
    series = (("median", daily.median, 1.0), ("ninth decile", daily.high, 2.0))
    found = [
        (of, width, *jump)
        for of, values, more in series
        for width, factor in SCALES
        for jump in _jumps(daily, values, width, factor * more)
    ]
    told = np.zeros(len(daily), dtype=bool)
    # The longest first: a day of it is no news. Of equal ones, the median says more.
    for of, width, first, last, before, after in sorted(found, key=lambda f: f[2] - f[3]):
        if told[first : last + 1].any():
            continue
        told[first : last + 1] = True
        to_end = last >= len(daily) - width
        days = f"From {daily.day(first)} on" if to_end else (
            f"On {span(daily.day(first), daily.day(last))}"
        )  # fmt: skip
        yield Break(
            "scale",
            daily.day(first),
            daily.day(last),
            value=after / before,
            expected=1.0,
            n=int(daily.rows[first : last + 1].sum()),
            grave=True,
            words=f"{days} the {of} of an amount is {after:,.2f}; before it was "
            f"{before:,.2f}, {_times(after / before)}.",
            remedy="See whether the currency or the unit (cents?) changed, and map amount "
            "so that it is the same money everywhere.",
        )


def _jumps(
    daily: Daily, values: Floats, width: int, factor: float
) -> Iterator[tuple[int, int, float, float]]:
    """First and last day, level before and level within, of each time of another size."""
    blocks = len(daily) // width
    offset = len(daily) - blocks * width
    rows = daily.rows[offset:].reshape(blocks, width)
    each = values[offset:].reshape(blocks, width)
    enough = rows.sum(axis=1) >= MIN_ROWS
    level = np.full(blocks, np.nan)
    for b in np.flatnonzero(enough).tolist():
        weighed = np.repeat(np.log(each[b][rows[b] > 0]), rows[b][rows[b] > 0].astype(int))
        level[b] = np.median(weighed)
    steps = np.abs(np.diff(level[~np.isnan(level)]))
    if len(steps) < 2 * _LOOK_BACK:
        return
    # A step has the noise of two blocks, and a block with few rows more than the middle one.
    noise = 1.4826 * float(np.median(steps)) / np.sqrt(2)
    count = rows.sum(axis=1)
    few = np.sqrt(np.maximum(np.median(count[enough]) / np.maximum(count, 1), 1))
    least = np.maximum(np.log(factor), 6 * noise * few)
    odd = np.zeros(blocks, dtype=bool)
    base = np.full(blocks, np.nan)
    usual: list[float] = []
    for b in range(blocks):
        if np.isnan(level[b]):
            continue
        if len(usual) >= _LOOK_BACK:
            base[b] = float(np.median(usual[-_LOOK_BACK:]))
            odd[b] = abs(level[b] - base[b]) > least[b]
        if not odd[b]:
            usual.append(float(level[b]))
    for first, last in runs(odd, bridged=np.isnan(level)):
        inside = float(np.median(level[first : last + 1][odd[first : last + 1]]))
        yield (
            offset + first * width,
            offset + last * width + width - 1,
            float(np.exp(base[first])),
            float(np.exp(inside)),
        )


def _times(ratio: float) -> str:
    return f"{ratio:,.3g} times as much" if ratio >= 1 else f"a {1 / ratio:,.3g}th of it"
