"""Small expressions that the feature families share, with their rules for missing values."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import ibis

from features.window import ObservationWindow

if TYPE_CHECKING:
    import ibis.expr.types as ir

__all__ = [
    "at_least",
    "at_most",
    "counted",
    "days_before",
    "log_change",
    "ratio",
    "share",
    "unknown",
    "when",
    "within",
]


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


def log_change(now: ir.NumericValue, before: ir.NumericValue) -> ir.FloatingValue:
    """ln((now + 1) / (before + 1)), each taken as zero where it is missing or below zero."""

    def level(value: ir.NumericValue) -> ir.FloatingValue:
        return at_least(value.fill_null(0), 0).cast("float64") + 1.0

    return (level(now) / level(before)).ln()
