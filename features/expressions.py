"""Small expressions that the feature families share, with their rules for missing values."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import ibis

from features.window import ObservationWindow

if TYPE_CHECKING:
    import ibis.expr.types as ir

__all__ = ["counted", "days_before", "log_change", "ratio", "share", "unknown", "when", "within"]


def unknown() -> ir.FloatingScalar:
    """A missing value."""
    return ibis.null("float64")


def when(condition: ir.BooleanValue, value: ir.NumericValue) -> ir.FloatingValue:
    """`value` where the condition holds, missing elsewhere."""
    return condition.ifelse(value.cast("float64"), unknown())


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
    below = denominator.cast("float64")
    return numerator.cast("float64") / (below > 0).ifelse(below, unknown())


def share(part: ir.NumericValue, whole: ir.NumericValue) -> ir.FloatingValue:
    """A ratio held within 0 and 1."""
    return ratio(part.fill_null(0), whole).clip(lower=0.0, upper=1.0)


def log_change(now: ir.NumericValue, before: ir.NumericValue) -> ir.FloatingValue:
    """ln((now + 1) / (before + 1)), each taken as zero where it is missing or below zero."""

    def level(value: ir.NumericValue) -> ir.FloatingValue:
        return value.fill_null(0).cast("float64").clip(lower=0.0) + 1.0

    return (level(now) / level(before)).ln()
