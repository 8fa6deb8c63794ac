"""Days on which rows are missing: whole days, nearly empty ones, and a last day cut off."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from features.breaks.daily import Daily
from features.breaks.expectation import Expectation, runs, trimmed_mean
from features.breaks.finding import Break, span
from features.window import known_rows

if TYPE_CHECKING:
    from features.ledger import Ledger

__all__ = ["last_day", "missing_days", "silent_tables", "thin_days", "thin_weeks"]

CHANCE = 1e-3
"""Probability that chance alone makes any finding of one kind in a history."""
FEW = 20.0
"""So many purchases have to be expected for their absence to say something."""
SHORT = 2
"""So many open days in a row may be a holiday."""
_LISTED = 6
_BEFORE = 28
_TIMES = {
    "events": "timestamp",
    "surveys": "timestamp",
    "tickets": "opened_at",
    "contacts": "timestamp",
    "loyalty": "timestamp",
}


def missing_days(daily: Daily, normal: Expectation) -> Iterator[Break]:
    """Runs of open days without a sale that chance does not explain.

    A run of one or two open days, at the turn of the year or at Easter may be a holiday: such
    runs are told together and are not grave. Runs that come every year are not grave either.

    Args:
        daily: The counts; without sales on their last day, that day is missing, too.
        normal: What is expected of `daily.buyers`.
    """
    found = _silent_runs(daily, normal)
    holidays = []
    for first, last, days, expected in found:
        if days <= SHORT or _holiday_time(daily.day(first), daily.day(last)):
            holidays.append((first, last, days, expected))
            continue
        yearly = any(abs(abs(first - other) - 365) <= 7 for other, *_ in found if other != first)
        yield Break(
            "missing_days",
            daily.day(first),
            daily.day(last),
            value=float(days),
            expected=expected,
            n=days,
            grave=not yearly,
            words=f"Nothing was sold on {days} open days, {span(daily.day(first), daily.day(last))}"
            f", where about {expected:,.0f} purchases are usual"
            + (", as at the same time of another year." if yearly else "."),
            remedy="If the shop was closed, nothing is wrong. If rows are missing, load them: "
            "without them customers look lost who are not.",
        )
    if holidays:
        total = sum(each[2] for each in holidays)
        shown = ", ".join(span(daily.day(f), daily.day(e)) for f, e, *_ in holidays[:_LISTED])
        more = ", ..." if len(holidays) > _LISTED else ""
        yield Break(
            "missing_days",
            daily.day(holidays[0][0]),
            daily.day(holidays[-1][1]),
            value=float(total),
            expected=float(sum(each[3] for each in holidays)),
            n=total,
            grave=False,
            words=f"Nothing was sold on {total} day{'s' * (total > 1)} that may be holidays: "
            f"{shown}{more}.",
            remedy="Nothing is wrong if these were holidays.",
        )


def thin_days(daily: Daily, normal: Expectation, weeks: Sequence[Break] = ()) -> Iterator[Break]:
    """Open days with hardly a fifth of the usual customers, told together; not those of `weeks`."""
    counts = daily.buyers
    odd = (counts > 0) & (counts <= 0.2 * normal.mean) & (normal.mean >= FEW)
    odd &= normal.below(counts) < CHANCE / len(daily)
    for week in weeks:
        first = (week.first - daily.first_day).days
        odd[first : first + (week.last - week.first).days + 1] = False
    odd[[0, -1]] = False  # the first day may begin late, and the last is judged on its own
    found = np.flatnonzero(odd)
    if not len(found):
        return
    shown = ", ".join(
        f"{daily.day(i)} ({counts[i]:.0f} of {normal.mean[i]:.0f})" for i in found[:_LISTED]
    )
    more = ", ..." if len(found) > _LISTED else ""
    one = len(found) == 1
    yield Break(
        "thin_days",
        daily.day(found[0]),
        daily.day(found[-1]),
        value=float(counts[found].sum()),
        expected=float(normal.mean[found].sum()),
        n=len(found),
        grave=len(found) >= 3,
        words=f"{len(found)} day{'' if one else 's'} {'has' if one else 'have'} hardly any of the "
        f"usual customers: {shown}{more}.",
        remedy="See whether these days were loaded whole.",
    )


def thin_weeks(daily: Daily, normal: Expectation) -> Iterator[Break]:
    """Weeks with hardly a fifth of the customers of the weeks before, whole closed days apart.

    The weeks are counted back from the last day, so a tail that was not loaded is seen at once.
    """
    weeks = len(daily) // 7
    offset = len(daily) - 7 * weeks
    weight = normal.factor[daily.weekday].copy()
    for first, last, *_ in _silent_runs(daily, normal):
        weight[first : last + 1] = 0
    counts = daily.buyers[offset:].reshape(weeks, 7).sum(axis=1)
    opened = weight[offset:].reshape(weeks, 7).sum(axis=1)
    usual: list[float] = []
    thin = np.zeros(weeks, dtype=bool)
    expected = np.zeros(weeks)
    for w in range(weeks):
        expected[w] = float(np.median(usual[-8:])) * opened[w] if len(usual) >= 4 else 0.0
        lone = Expectation(expected[w : w + 1], 7 * normal.dispersion, normal.factor)
        rare = lone.below(counts[w : w + 1])[0] < CHANCE / len(daily)
        thin[w] = expected[w] >= 2 * FEW and counts[w] <= 0.2 * expected[w] and rare
        if opened[w] > 0 and not thin[w]:
            usual.append(counts[w] / opened[w])
    for first, last in runs(thin, bridged=opened == 0):
        found, lost = float(counts[first : last + 1].sum()), float(expected[first : last + 1].sum())
        start, end = daily.day(offset + 7 * first), daily.day(offset + 7 * last + 6)
        yield Break(
            "thin_days",
            start,
            end,
            value=found,
            expected=lost,
            n=last - first + 1,
            grave=True,
            words=f"Hardly anything was sold on {span(start, end)}: {found:,.0f} purchases where "
            f"about {lost:,.0f} are usual.",
            remedy="See whether these weeks were loaded whole; until they are, choose a cutoff "
            "before them.",
        )


def last_day(daily: Daily, normal: Expectation) -> Iterator[Break]:
    """A last day that was cut off: it ends early by the clock, or has too few customers."""
    i = len(daily) - 1
    if i < 28 or normal.factor[daily.weekday[i]] == 0:
        return
    found, before = daily.buyers[i], daily.buyers[:i]
    same = np.flatnonzero((before > 0) & (daily.weekday[:i] == daily.weekday[i]))[-8:]
    if len(same) < 4:
        return
    expected = trimmed_mean(before[same])
    usual_end = float(np.min(daily.last_hour[same]))
    ends = daily.last_hour[i]
    lone = Expectation(np.array([expected]), normal.dispersion, normal.factor)
    rare = float(lone.below(np.array([found]))[0])
    early = usual_end - ends > 1.0 and rare < 0.05 and ends > 0
    if found <= 0.7 * expected and expected >= FEW and (rare < CHANCE or early):
        clock = (
            f", and its last row is of {_clock(ends)}, on such days never before " if early else ""
        )
        clock += _clock(usual_end) if early else ""
        yield Break(
            "last_day",
            daily.day(i),
            daily.day(i),
            value=float(found),
            expected=expected,
            n=int(found),
            grave=False,
            words=f"The last day, {daily.day(i)}, has {found:,.0f} customers where {expected:,.0f} "
            f"are usual on this weekday{clock}: it is probably not over, or not loaded whole.",
            remedy=f"Score with --cutoff {daily.day(i)}, or load the rest of the day first.",
        )


def silent_tables(ledger: Ledger, cutoff: dt.date) -> Iterator[Break]:
    """Tables beside the transactions that have had no rows for longer than ever before."""
    end = min(cutoff, ledger.last_day + dt.timedelta(days=1))
    for name, column in _TIMES.items():
        table = ledger.tables.get(name)
        if table is None:
            continue
        rows = known_rows(table, cutoff, column)
        rows = rows.filter(rows[column].notnull())
        found = ledger.con.to_pyarrow(
            rows.group_by(day=rows[column].date()).agg(n=lambda t: t.count()).order_by("day")
        ).to_pydict()
        days = found["day"]
        if len(days) < 20:
            continue
        silent = (end - days[-1]).days - 1
        longest = max((b - a).days - 1 for a, b in pairwise(days))
        recent = [n for day, n in zip(days, found["n"], strict=True) if (days[-1] - day).days < 90]
        expected = sum(recent) / 90 * silent
        if silent >= 3 and silent > 2 * longest and expected >= FEW:
            yield Break(
                "silent_table",
                days[-1] + dt.timedelta(days=1),
                end - dt.timedelta(days=1),
                value=float(silent),
                expected=float(longest),
                n=silent,
                grave=True,
                words=f"The table {name} has had no row since {days[-1]}, {silent} days; the "
                f"longest silence before was {longest}, and about {expected:,.0f} rows are usual.",
                remedy=f"See whether {name} is still loaded. Features made from it fall to zero.",
            )


def _silent_runs(daily: Daily, normal: Expectation) -> list[tuple[int, int, int, float]]:
    """First and last day, open days and expected purchases of each run without a sale."""
    weekday = daily.weekday
    closed = normal.factor[weekday] == 0
    empty = (daily.buyers == 0) & (daily.rows == 0) & ~closed
    level = np.where(closed, np.nan, daily.buyers / np.where(closed, 1, normal.factor[weekday]))
    level = np.where(empty, np.nan, level)
    found = []
    for first, last in runs(empty, bridged=closed):
        sides = [level[max(0, first - _BEFORE) : first], level[last + 1 : last + 1 + _BEFORE]]
        known = [trimmed_mean(side) for side in sides if (~np.isnan(side)).sum() >= 5]
        if not known:
            continue
        missing = np.flatnonzero(empty[first : last + 1]) + first
        expected = min(known) * float(normal.factor[weekday[missing]].sum())
        if expected >= FEW and _log_none(expected, normal.dispersion) < math.log(
            CHANCE / len(daily)
        ):
            found.append((first, last, len(missing), expected))
    return found


def _log_none(expected: float, dispersion: float) -> float:
    """Logarithm of the probability of nothing at all, where so many are expected."""
    if dispersion <= 1.0 + 1e-9:
        return -expected
    return -expected / (dispersion - 1) * math.log(dispersion)


def _holiday_time(first: dt.date, last: dt.date) -> bool:
    """Whether days lie at the turn of the year, 20 December to 7 January, or at Easter."""
    year = (first + dt.timedelta(days=14)).year  # the year that a run in December leads to
    turn = dt.date(year - 1, 12, 20) <= first <= last <= dt.date(year, 1, 7)
    sunday = _easter(first.year)
    around = dt.timedelta(days=3)
    return turn or sunday - around <= first <= last <= sunday + dt.timedelta(days=1)


def _easter(year: int) -> dt.date:
    """Easter Sunday of the Gregorian calendar (Meeus 1991, Astronomical Algorithms, chapter 8).

    >>> _easter(2010), _easter(2024)
    (datetime.date(2010, 4, 4), datetime.date(2024, 3, 31))
    """
    a, (b, c) = year % 19, divmod(year, 100)
    (d, e), f = divmod(b, 4), (b + 8) // 25
    h = (19 * a + b - d - (b - f + 1) // 3 + 15) % 30
    i, k = divmod(c, 4)
    m = (32 + 2 * e + 2 * i - h - k) % 7
    n = (a + 11 * h + 22 * m) // 451
    month, day = divmod(h + m - 7 * n + 114, 31)
    return dt.date(year, month, day + 1)


def _clock(hour: float) -> str:
    return f"{int(hour):02d}:{int(hour % 1 * 60):02d}"
