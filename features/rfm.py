"""The RFM summary that buy-till-you-die models are fitted on.

The definitions are those of Fader, Hardie and Lee (2005), "Counting your customers the
easy way", Marketing Science 24(2): x, t_x and T, with time in weeks as days / 7.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import ibis

from features.expressions import ratio

if TYPE_CHECKING:
    import ibis.expr.types as ir

__all__ = ["rfm_counts", "rfm_summary", "weeks"]


def weeks(days: ir.IntegerValue) -> ir.FloatingValue:
    """Days as weeks, the time unit of the models."""
    return days.cast("float64") / 7.0


def _clock(purchases: ir.Table, cutoff: dt.date) -> dict[str, ir.Value]:
    first = purchases.day.min()
    return {
        "frequency": (purchases.count() - 1).cast("int64"),
        "recency": weeks(purchases.day.max().delta(first, unit="day")),
        "T": weeks(ibis.literal(cutoff).delta(first, unit="day")),
    }


def rfm_summary(purchases: ir.Table, cutoff: dt.date) -> ir.Table:
    """Frequency, recency, T and monetary value of each customer.

    Args:
        purchases: One row a purchase, as `features.purchases.purchases` gives.
        cutoff: The cutoff that the purchases were taken at.

    Returns:
        One row a customer, in no particular order:

        - customer_id
        - frequency (int64): repeat purchases, that is purchases minus one
        - recency (float64, weeks): first to last purchase; never "time since last"
        - T (float64, weeks): first purchase to cutoff
        - monetary_value (float64): mean value of the repeat purchases, 0 where there are
          none. Where several orders share the first day, the smallest is the first.
    """
    # One value a day, so that "the first" is certain whatever the order of the rows.
    value, first, count = purchases.value, purchases.value, purchases.count()
    if "order_id" in purchases.columns:
        purchases = purchases.group_by("customer_id", "day").agg(
            value=value.sum(), first=value.min(), orders=count
        )
        value, first, count = purchases.value, purchases["first"], purchases.orders.sum()
    totals = purchases.group_by("customer_id").agg(
        frequency=(count - 1).cast("int64"),
        first_day=purchases.day.min(),
        last_day=purchases.day.max(),
        value=value.sum(),
        first_value=first.argmin(purchases.day),
    )
    repeat_value = ratio(totals.value - totals.first_value, totals.frequency)
    return totals.select(
        "customer_id",
        "frequency",
        recency=weeks(totals.last_day.delta(totals.first_day, unit="day")),
        T=weeks(ibis.literal(cutoff).delta(totals.first_day, unit="day")),
        monetary_value=repeat_value.fill_null(0.0),
    )


def rfm_counts(purchases: ir.Table, cutoff: dt.date) -> ir.Table:
    """How many customers share each (frequency, recency, T): all a model of counts needs.

    The purchase models' likelihood depends on a customer only through these three, so
    fitting on the counts is exact and its cost does not grow with the customers.

    Returns:
        One row a combination that occurs: frequency (int64), recency and T (float64,
        weeks), weight (int64, customers), sorted by the first three.
    """
    clocks = purchases.group_by("customer_id").agg(**_clock(purchases, cutoff))
    return (
        clocks.group_by("frequency", "recency", "T")
        .agg(weight=clocks.count())
        .order_by("frequency", "recency", "T")
    )
