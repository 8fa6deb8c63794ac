"""Small expressions that the feature families share, with their rules for missing values."""

from __future__ import annotations

import datetime as dt
import functools
import operator
from collections.abc import Sequence
from typing import TYPE_CHECKING

import ibis

from features.window import ObservationWindow

if TYPE_CHECKING:
    import ibis.expr.types as ir

__all__ = [
    "WINDOWS",
    "at_least",
    "at_most",
    "counted",
    "days_before",
    "entropy",
    "log_change",
    "most_used",
    "ratio",
    "share",
    "unknown",
    "used",
    "when",
    "within",
]

WINDOWS = (30, 90, 180, 365)
"""Lengths in days of the windows that end at the cutoff."""

_DAYS = 10_000_000
"""More days than there are dates."""
_DIGITS = 18


def unknown() -> ir.FloatingScalar:
    """A missing value."""
    return ibis.null("float64")


def when(condition: ir.BooleanValue, value: ir.NumericValue) -> ir.FloatingValue:
    """`value` where the condition holds, missing elsewhere."""
    return condition.ifelse(value.cast("float64"), unknown())


def at_least(value: ir.NumericValue, low: float) -> ir.NumericValue:
    """`value`, or `low` where it is below that; missing stays missing."""
    return (value < low).ifelse(low, value)


def at_most(value: ir.NumericValue, high: float) -> ir.NumericValue:
    """`value`, or `high` where it is above that; missing stays missing."""
    return (value > high).ifelse(high, value)


def within(
    day: ir.DateValue, window: ObservationWindow, days: int, skip: int = 0
) -> ir.BooleanValue:
    """Whether a day before the cutoff is one of the `days` days that end `skip` days before it."""
    last = window.cutoff - dt.timedelta(days=skip)
    inside = day >= last - dt.timedelta(days=days)
    return inside & (day < last) if skip else inside


def days_before(day: ir.DateValue, window: ObservationWindow) -> ir.IntegerValue:
    """Days from `day` to the cutoff."""
    return ibis.literal(window.cutoff).delta(day, unit="day")


def counted(value: ir.NumericValue, window: ObservationWindow, days: int) -> ir.NumericValue:
    """A total over the last `days` days: 0 if nothing happened, missing if not observed."""
    return value.fill_null(0) if window.observes(days) else unknown()


def ratio(numerator: ir.NumericValue, denominator: ir.NumericValue) -> ir.FloatingValue:
    """A quotient of exact sums as a double; missing unless the denominator is above zero."""
    return numerator.cast("float64") / when(denominator > 0, denominator)


def share(part: ir.NumericValue, whole: ir.NumericValue) -> ir.FloatingValue:
    """A ratio held within 0 and 1."""
    return at_most(ratio(at_least(part.fill_null(0), 0), whole), 1.0)


def entropy(parts: Sequence[ir.IntegerValue]) -> ir.FloatingValue:
    """-sum of q ln q over the shares q of some counts; missing where all are 0."""
    whole = functools.reduce(operator.add, parts).cast("float64")
    terms = [(n > 0).ifelse(n * n.cast("float64").ln(), 0.0) for n in parts]
    # ln(whole) - sum of n ln n / whole; less than 0 only by rounding.
    found = whole.ln() - functools.reduce(operator.add, terms) / whole
    return when(whole > 0, at_least(found.round(12), 0.0))


def log_change(now: ir.NumericValue, before: ir.NumericValue) -> ir.FloatingValue:
    """ln((now + 1) / (before + 1)), each taken as zero where it is missing or below zero."""

    def level(value: ir.NumericValue) -> ir.FloatingValue:
        return at_least(value.fill_null(0), 0).cast("float64") + 1.0

    return (level(now) / level(before)).ln()


def most_used(
    name: ir.StringValue, times: ir.IntegerValue, last: ir.IntegerValue
) -> ir.StringScalar:
    """Aggregate the names used most often, of equals the one used last, as text for `used`.

    Args:
        name: What is used; where times and last are equal, the last in the order of its text.
        times: How often. A name with none, or without `last`, is left out.
        last: How many days ago.
    """
    rank = (times * _DAYS + (_DAYS - last)).cast("string").lpad(_DIGITS, "0")
    return (rank + name).max(where=times > 0)


def used(most: ir.StringValue) -> tuple[ir.StringValue, ir.IntegerValue]:
    """The name that `most_used` found, and how many days ago it was used last."""
    return most.substr(_DIGITS), _DAYS - most.substr(0, _DIGITS).cast("int64") % _DAYS
