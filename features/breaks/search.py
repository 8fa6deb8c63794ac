"""Look for every kind of break in a ledger, and say what was found."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from features.breaks.amounts import large_returns, mass_returns, scale_jumps
from features.breaks.daily import count_days
from features.breaks.days import last_day, missing_days, silent_tables, thin_days, thin_weeks
from features.breaks.expectation import expect
from features.breaks.finding import KINDS, Break
from features.breaks.people import arrivals, arrivals_stop, id_changes, reactivations
from features.breaks.repeats import doubled_rows, repeated_days
from features.progress import note

if TYPE_CHECKING:
    from features.ledger import Ledger

__all__ = ["MIN_DAYS", "find_breaks", "note_breaks"]

MIN_DAYS = 28
"""A shorter history has no usual days."""
_NOTED = 8


def find_breaks(ledger: Ledger, cutoff: dt.date | None = None) -> tuple[Break, ...]:
    """Look for breaks in what is known at a cutoff.

    It takes some passes over the transactions on the engine, one number a day, and a few seconds
    for ten million rows.

    Args:
        ledger: The trusted tables.
        cutoff: Everything before its midnight is looked at; the whole ledger when None.

    Returns:
        The breaks in order of their first day; none of a history shorter than `MIN_DAYS`.
    """
    until = cutoff or ledger.last_day + dt.timedelta(days=1)
    daily = count_days(ledger, until)
    if daily is None or len(daily) < MIN_DAYS:
        return ()
    normal = expect(daily.buyers, daily.weekday)
    weeks = list(thin_weeks(daily, normal))
    found = [
        *missing_days(daily, normal),
        *weeks,
        *thin_days(daily, normal, weeks),
        *last_day(daily, normal),
        *arrivals(daily),
        *arrivals_stop(daily),
        *id_changes(ledger, until, daily),
        *reactivations(daily),
        *mass_returns(daily),
        *large_returns(daily),
        *repeated_days(ledger, until),
        *doubled_rows(ledger, until),
        *scale_jumps(daily),
        *silent_tables(ledger, until),
    ]
    return tuple(sorted(found, key=lambda one: (one.first, KINDS.index(one.kind))))


def note_breaks(ledger: Ledger, cutoff: dt.date | None = None, days: int | None = None) -> None:
    """Say the breaks to whoever listens, the grave ones first; `regulars check` shows them all.

    Args:
        ledger: The trusted tables.
        cutoff: As for `find_breaks`.
        days: Only those that end within so many days before the cutoff.
    """
    until = cutoff or ledger.last_day + dt.timedelta(days=1)
    found = [
        one
        for one in find_breaks(ledger, until)
        if days is None or one.last >= until - dt.timedelta(days=days)
    ]
    found.sort(key=lambda one: not one.grave)
    for one in found[:_NOTED]:
        note(f"{one.words} {one.remedy}" if one.grave else one.words)
    if len(found) > _NOTED:
        note(f"{len(found) - _NOTED} more remarks about the ledger: run `regulars check`.")
