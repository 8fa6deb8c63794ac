"""Customers who begin, come back or are renamed in a mass."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from features.breaks.daily import SILENCE_DAYS, Daily, bought_days
from features.breaks.expectation import expect, runs
from features.breaks.finding import Break, span

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from features.ledger import Ledger

__all__ = ["arrivals", "arrivals_stop", "id_changes", "reactivations"]

Floats = npt.NDArray[np.float64]

CHANCE = 1e-3
JUMP = 4.0
"""A day with so many times the usual number is a mass."""
WEEKLY_JUMP = 3.0
"""So is a week with so many times the usual number."""
LEAST = 20
"""A mass has at least so many customers on a day, and twice as many in a week."""
WARM_UP = 56
"""Days at the begin of a ledger in which most customers are seen for the first time."""
ACTIVE_DAYS = 56
"""Customers who bought within so many days should be seen again."""
_CANDIDATES = 5
_CONTROLS = 6
_STEP = 28


def arrivals(daily: Daily) -> Iterator[Break]:
    """Days and weeks with far more first purchases than usual."""
    for first, last, found, expected in _masses(daily.births, daily.weekday, WARM_UP):
        days = span(daily.day(first), daily.day(last))
        yield Break(
            "arrivals",
            daily.day(first),
            daily.day(last),
            value=found,
            expected=expected,
            n=int(found),
            grave=False,
            words=f"{found:,.0f} customers bought for the first time on {days}; about "
            f"{expected:,.0f} are usual.",
            remedy="A campaign or another shop's customers may explain it. If ids were issued "
            "anew, bring the old and the new ones together before training.",
        )


def reactivations(daily: Daily) -> Iterator[Break]:
    """Days and weeks on which far more customers than usual came back after a long silence."""
    start = SILENCE_DAYS + WARM_UP
    for first, last, found, expected in _masses(daily.returners, daily.weekday, start):
        days = span(daily.day(first), daily.day(last))
        yield Break(
            "reactivations",
            daily.day(first),
            daily.day(last),
            value=found,
            expected=expected,
            n=int(found),
            grave=False,
            words=f"{found:,.0f} customers bought on {days} after more than {SILENCE_DAYS} days of "
            f"silence; about {expected:,.0f} are usual.",
            remedy="A campaign may explain it. If old orders were loaded with new dates, or ids "
            "were given to other customers, set that right before training.",
        )


def arrivals_stop(daily: Daily) -> Iterator[Break]:
    """Times without a single first purchase while customers go on buying."""
    births, buyers = daily.births, daily.buyers
    normal = expect(births, daily.weekday)
    for first, last in runs(births == 0):
        before = slice(max(0, first - WARM_UP), first)
        usual = float(births[before].mean()) if first else 0.0
        days = last - first + 1
        expected = usual * days
        # Over all neighbours births may come in bursts: the dispersion covers that.
        none = np.exp(-expected / max(normal.dispersion, 2.0))
        bought = float(buyers[first : last + 1].sum())
        repeats = float((buyers - births)[before].mean()) if first else 0.0
        if first < 28 or expected < LEAST or none > CHANCE / len(daily):
            continue
        if bought < max(LEAST, 0.3 * repeats * days):
            continue  # the shop sold hardly anything to anybody
        yield Break(
            "arrivals",
            daily.day(first),
            daily.day(last),
            value=0.0,
            expected=expected,
            n=int(bought),
            grave=True,
            words=f"Nobody bought for the first time on {span(daily.day(first), daily.day(last))}, "
            f"though {bought:,.0f} purchases were made; about {expected:,.0f} new customers are "
            "usual.",
            remedy="If the ledger follows a fixed group of customers, nothing is wrong. If new "
            "customers are missing, load them: the base rates of churn rest on them.",
        )


def id_changes(ledger: Ledger, cutoff: dt.date, daily: Daily) -> Iterator[Break]:
    """Days from which on many known customers are not seen any more while as many new ones begin.

    Of the customers who bought in the eight weeks before such a day, the share that buys again is
    compared with the same share before six earlier days; the customers who fail to come back are
    compared with the excess of first purchases.
    """
    told = -len(daily)
    bought: ir.Table | None = None
    for day in _surges(daily):
        follow = min(ACTIVE_DAYS, len(daily) - day)
        controls = [day - _STEP * k for k in range(1, _CONTROLS + 1)]
        # Controls may not look across the day itself, nor customers be active before a change.
        controls = [c - follow for c in controls if c - follow >= ACTIVE_DAYS]
        if follow < 14 or len(controls) < 3 or day - told <= ACTIVE_DAYS:
            continue
        bought = bought_days(ledger, cutoff) if bought is None else bought
        active, again = _seen_again(ledger, bought, daily.day(day), follow)
        usual = []
        for control in controls:
            n, r = _seen_again(ledger, bought, daily.day(control), follow)
            if n:
                usual.append(r / n)
        if not active or len(usual) < 3:
            continue
        middle = float(np.median(usual))
        error = float(np.sqrt(middle * (1 - middle) / active))
        lost = active * middle - again
        before = daily.births[max(0, day - ACTIVE_DAYS) : day].mean() * follow
        begun = daily.births[day : day + follow].sum() - before
        gone = again / active
        fewer = gone <= 0.75 * middle and gone < min(usual) - 3 * error
        if not fewer or lost < LEAST or begun < LEAST or not 0.33 <= begun / lost <= 3:
            continue
        yield Break(
            "id_changes",
            daily.day(day),
            daily.day(day),
            value=gone,
            expected=middle,
            n=int(lost),
            grave=True,
            words=f"From {daily.day(day)} on, known customers are not seen any more while new ones "
            f"begin: {gone:.0%} of those active before bought again within {follow} days, where "
            f"{middle:.0%} are usual, and {begun:,.0f} more customers than usual were new.",
            remedy="Customer ids were probably issued anew. Bring old and new ids together before "
            "training: the model takes the change for churn.",
        )
        told = day


def _masses(
    counts: Floats, weekday: npt.NDArray[np.int64], start: int
) -> Iterator[tuple[int, int, float, float]]:
    """First and last day, found and expected of each mass, days before weeks."""
    normal = expect(counts, weekday)
    odd = (counts >= LEAST) & (counts >= JUMP * normal.mean)
    odd &= normal.above(counts) < CHANCE / len(counts)
    odd[:start] = False
    told = np.zeros(len(counts), dtype=bool)
    for first, last in runs(odd):
        told[first : last + 1] = True
        yield (
            first,
            last,
            float(counts[first : last + 1].sum()),
            float(normal.mean[first : last + 1].sum()),
        )
    weeks = len(counts) // 7
    offset = len(counts) - 7 * weeks  # whole weeks, counted back from the last day
    by_week = np.where(told, normal.mean, counts)[offset:].reshape(weeks, 7).sum(axis=1)
    weekly = expect(by_week, np.zeros(weeks, dtype=np.int64), width=2, reach=8)
    odd = (by_week >= 2 * LEAST) & (by_week >= WEEKLY_JUMP * weekly.mean)
    odd &= weekly.above(by_week) < CHANCE / max(weeks, 1)
    odd[: max(0, (start - offset) // 7 + 1)] = False
    for first, last in runs(odd):
        yield (
            offset + 7 * first,
            offset + 7 * last + 6,
            float(by_week[first : last + 1].sum()),
            (float(weekly.mean[first : last + 1].sum())),
        )


def _surges(daily: Daily) -> list[int]:
    """Days on which first purchases begin to be far more than in the eight weeks before."""
    births, size = daily.births, len(daily)
    scores: list[tuple[float, int]] = []
    for i in range(WARM_UP, size - 13):
        before = births[i - WARM_UP : i].mean() * 7
        after = births[i : i + 7].sum()
        if after - before >= LEAST and after >= 1.5 * before:
            scores.append(((after - before) / np.sqrt(before + 1), i))
    chosen: list[int] = []
    for _, i in sorted(scores, reverse=True):
        if all(abs(i - other) > 14 for other in chosen):
            chosen.append(_first_day(births, i))
        if len(chosen) == _CANDIDATES:
            break
    return sorted(chosen)


def _first_day(births: Floats, i: int) -> int:
    """The day within a week of a surge on which it begins."""
    usual = births[i - WARM_UP : i - 7].mean()
    for day in range(max(0, i - 6), i + 7):
        if births[day] >= 2 * usual + 2:
            return day
    return i


def _seen_again(ledger: Ledger, bought: ir.Table, day: dt.date, follow: int) -> tuple[int, int]:
    """Customers active before a day, and those of them who buy in the days after."""
    start, end = day - dt.timedelta(days=ACTIVE_DAYS), day + dt.timedelta(days=follow)
    near = bought.filter(bought.day >= start, bought.day < end)
    each = near.group_by("customer_id").agg(
        before=(near.day < day).any(), after=(near.day >= day).any()
    )
    both = each.filter(each.before).agg(n=lambda t: t.count(), again=lambda t: t.after.sum())
    row = ledger.con.to_pyarrow(both).to_pylist()[0]
    return int(row["n"]), int(row["again"] or 0)
