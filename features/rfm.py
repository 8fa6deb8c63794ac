"""The RFM summary that buy-till-you-die models are fitted on.

The definitions are those of Fader, Hardie and Lee (2005), "Counting your customers the
easy way", Marketing Science 24(2): x, t_x and T, with time in weeks as days / 7.
"""

from __future__ import annotations

import datetime as dt
import math
from typing import TYPE_CHECKING

import ibis

from features.expressions import ratio

if TYPE_CHECKING:
    import ibis.expr.types as ir

__all__ = [
    "LOG_UNITS",
    "SAME_DAY",
    "log_gap_units",
    "log_gaps",
    "rfm_counts",
    "rfm_summary",
    "weeks",
]

SAME_DAY = 0.5
"""Gap in days between orders of the same day, whose logarithm would have no bound."""

LOG_UNITS = 2.0**32
"""Whole units of a logarithm, so that sums of logarithms are exact."""


def weeks(days: ir.IntegerValue) -> ir.FloatingValue:
    """Days as weeks, the time unit of the models."""
    return days.cast("float64") / 7.0


def log_gap_units(gap: ir.IntegerValue) -> ir.IntegerValue:
    """ln(gap in days) in whole units of 2^-32, `SAME_DAY` for a gap of 0.

    A sum of whole numbers is the same whatever the order of the rows; what rounding takes away
    is 1e-10 a gap.
    """
    days = (gap == 0).ifelse(SAME_DAY, gap.cast("float64"))  # a missing gap stays missing
    return (days.ln() * LOG_UNITS).round().cast("int64")


def log_gaps(units: ir.NumericValue, frequency: ir.IntegerValue) -> ir.FloatingValue:
    """Sum of ln(gap in weeks) from the sum of `log_gap_units`; 0 where there is no gap."""
    days = units.fill_null(0).cast("float64") / LOG_UNITS
    return days - frequency.cast("float64") * math.log(7.0)


def _with_gap_units(purchases: ir.Table) -> ir.Table:
    own = ibis.window(group_by="customer_id", order_by="day")
    sorted_ = purchases.mutate(previous=purchases.day.lag().over(own))
    gap = sorted_.day.delta(sorted_.previous, unit="day")
    return sorted_.mutate(gap_units=log_gap_units(gap)).drop("previous")


def _gap_sum(purchases: ir.Table) -> dict[str, ir.Value]:
    known = "gap_units" in purchases.columns
    return {"gap_units": purchases.gap_units.sum()} if known else {}


def _clock(purchases: ir.Table, cutoff: dt.date) -> dict[str, ir.Value]:
    first = purchases.day.min()
    return {
        "frequency": (purchases.count() - 1).cast("int64"),
        "recency": weeks(purchases.day.max().delta(first, unit="day")),
        "T": weeks(ibis.literal(cutoff).delta(first, unit="day")),
    }


def rfm_summary(purchases: ir.Table, cutoff: dt.date, regularity: bool = False) -> ir.Table:
    """Frequency, recency, T and monetary value of each customer.

    Args:
        purchases: One row a purchase, as `features.purchases.purchases` gives.
        cutoff: The cutoff that the purchases were taken at.
        regularity: Whether to add log_gaps, for which each customer's purchases are sorted.

    Returns:
        One row a customer, in no particular order:

        - customer_id
        - frequency (int64): repeat purchases, that is purchases minus one
        - recency (float64, weeks): first to last purchase; never "time since last"
        - T (float64, weeks): first purchase to cutoff
        - monetary_value (float64): mean value of the repeat purchases, 0 where there are
          none. Where several orders share the first day, the smallest is the first.
        - log_gaps (float64), if asked for: sum of the natural logarithms of the gaps between
          purchases in weeks, 0 where there are none. Orders of the same day count as half a
          day apart.
    """
    if regularity:
        purchases = _with_gap_units(purchases)
    # One value a day, so that "the first" is certain whatever the order of the rows.
    value, first, count = purchases.value, purchases.value, purchases.count()
    if "order_id" in purchases.columns:
        purchases = purchases.group_by("customer_id", "day").agg(
            value=value.sum(), first=value.min(), orders=count, **_gap_sum(purchases)
        )
        value, first, count = purchases.value, purchases["first"], purchases.orders.sum()
    totals = purchases.group_by("customer_id").agg(
        frequency=(count - 1).cast("int64"),
        first_day=purchases.day.min(),
        last_day=purchases.day.max(),
        value=value.sum(),
        first_value=first.argmin(purchases.day),
        **_gap_sum(purchases),
    )
    repeat_value = ratio(totals.value - totals.first_value, totals.frequency)
    summary = {
        "frequency": totals.frequency,
        "recency": weeks(totals.last_day.delta(totals.first_day, unit="day")),
        "T": weeks(ibis.literal(cutoff).delta(totals.first_day, unit="day")),
        "monetary_value": repeat_value.fill_null(0.0),
    }
    if regularity:
        summary["log_gaps"] = log_gaps(totals.gap_units, totals.frequency)
    return totals.select("customer_id", **summary)


def rfm_counts(purchases: ir.Table, cutoff: dt.date, regularity: bool = False) -> ir.Table:
    """How many customers share each (frequency, recency, T): all a model of counts needs.

    The purchase models' likelihood depends on a customer only through these three, so
    fitting on the counts is exact and its cost does not grow with the customers. How regular
    purchases are enters by the sum of log_gaps over all customers, which the counts keep.

    Args:
        purchases: As in `rfm_summary`.
        cutoff: As in `rfm_summary`.
        regularity: Whether to add log_gaps.

    Returns:
        One row a combination that occurs: frequency (int64), recency and T (float64,
        weeks), weight (int64, customers) and, if asked for, log_gaps (float64, the mean of
        these customers), sorted by the first three.
    """
    if regularity:
        purchases = _with_gap_units(purchases)
    clocks = purchases.group_by("customer_id").agg(
        **_clock(purchases, cutoff), **_gap_sum(purchases)
    )
    counts = clocks.group_by("frequency", "recency", "T").agg(
        weight=clocks.count(), **_gap_sum(clocks)
    )
    if regularity:
        mean = counts.gap_units.fill_null(0).cast("float64") / counts.weight
        counts = counts.mutate(log_gaps=log_gaps(mean, counts.frequency)).drop("gap_units")
    return counts.order_by("frequency", "recency", "T")
