"""Breaks of the ledger as findings: what they ask of a person depends on how long ago they were."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from features.breaks import Break, find_breaks
from serving.findings import Finding, Severity

if TYPE_CHECKING:
    from features.ledger import Ledger

__all__ = ["FRESH_DAYS", "RECENT_DAYS", "break_findings"]

FRESH_DAYS = 31
"""A grave break that ended so many days ago or fewer needs somebody now."""
RECENT_DAYS = 365
"""Features look back a year at most; an older break is told, and asks for nothing."""


def break_findings(ledger: Ledger, cutoff: dt.date | None = None) -> list[Finding]:
    """Look for breaks in what is known at a cutoff.

    Args:
        ledger: The trusted tables.
        cutoff: Everything before its midnight is looked at; the whole ledger when None.

    Returns:
        One finding a break, and one that says so where there is none. A grave break is `act` when
        it ended within `FRESH_DAYS` and `watch` within `RECENT_DAYS`; a lesser one is `watch`
        within `FRESH_DAYS`; all others are `fine`.
    """
    until = cutoff or ledger.last_day + dt.timedelta(days=1)
    found = [_finding(one, until) for one in find_breaks(ledger, until)]
    if found:
        return found
    days = (until - ledger.first_day).days
    return [
        Finding(
            "breaks",
            "transactions",
            "breaks",
            value=0.0,
            limit=1.0,
            n=days,
            words=f"No break in the transactions of {days:,} days: no missing days, no mass of "
            "new, returning or renamed customers, no repeated loads, no amounts of another size.",
        )
    ]


def _finding(one: Break, cutoff: dt.date) -> Finding:
    age = (cutoff - one.last).days
    severity: Severity = "fine"
    if one.grave and age <= RECENT_DAYS:
        severity = "act" if age <= FRESH_DAYS else "watch"
    elif age <= FRESH_DAYS:
        severity = "watch"
    subject = f"{one.first}" if one.first == one.last else f"{one.first}..{one.last}"
    return Finding(
        "breaks",
        subject,
        one.kind,
        value=one.value,
        limit=one.expected,
        n=one.n,
        severity=severity,
        words=one.words,
        remedy=one.remedy if severity != "fine" else "",
    )
