"""Trend and season: this period against the one before, and against the same time last year."""

from __future__ import annotations

import datetime as dt
import math
from typing import TYPE_CHECKING

import ibis

from features.expressions import at_least, at_most, days_before, log_change, ratio, unknown, within
from features.feature import Feature
from features.window import ObservationWindow

if TYPE_CHECKING:
    import ibis.expr.types as ir

__all__ = [
    "FEATURES",
    "SEASON_FEATURES",
    "season_features",
    "trend_features",
    "trend_sums",
    "with_busy",
]

FEATURES: tuple[Feature, ...] = (
    Feature(
        "purchase_change_90",
        "ln((purchases of the last 90 days + 1) / (those of the 90 days before + 1))",
        "180",
        "C",
        -1,
        "trend",
    ),
    Feature(
        "spend_change_90",
        "ln((net spend of the last 90 days + 1) / (that of the 90 days before + 1)), "
        "each taken as 0 when negative",
        "180",
        "C",
        -1,
        "trend",
    ),
    Feature(
        "share_recent",
        "purchases of the last 90 days / those of the last 365; undefined without any",
        "365",
        "U",
        -1,
        "trend",
        minimum=0,
        maximum=1,
        core=False,
    ),
    Feature(
        "spend_slope_6m",
        "least-squares slope of the value of purchases in each of the last six times 30 days, "
        "/ their mean; undefined without a purchase in them",
        "180",
        "UC",
        0,
        "trend",
        minimum=-6 / 7,
        maximum=6 / 7,
        core=False,
    ),
    Feature(
        "peak_drop",
        "1 - n_purchases_90 / most purchases within 90 days during the last 365; undefined "
        "without a purchase in them",
        "365",
        "U",
        1,
        "trend",
        minimum=0,
        maximum=1,
        core=False,
    ),
    Feature(
        "yoy_same_window",
        "purchases in the label window moved back by 365 days; missing where the source "
        "begins after that window's start or the moved window reaches past the cutoff",
        "365 + horizon",
        "C",
        -1,
        "season",
        minimum=0,
        seasonal=True,
    ),
)
"""Trend, and the same window last year."""

SEASON_FEATURES: tuple[Feature, ...] = (
    Feature(
        "month_sin",
        "sin(2 pi (month of the cutoff - 1) / 12)",
        "",
        "",
        0,
        "season",
        minimum=-1,
        maximum=1,
        drift_exempt=True,
        seasonal=True,
        sources=(),
    ),
    Feature(
        "month_cos",
        "cos(2 pi (month of the cutoff - 1) / 12)",
        "",
        "",
        0,
        "season",
        minimum=-1,
        maximum=1,
        drift_exempt=True,
        seasonal=True,
        sources=(),
    ),
)
"""The time of the year."""

YEAR = 365


def with_busy(bought: ir.Table, window: ObservationWindow) -> ir.Table:
    """Add to each purchase how many there were in the 90 days that end with its day.

    Args:
        bought: One row a purchase, as `features.purchases` gives.
        window: What is observed.

    Returns:
        The same rows with busy, in which purchases more than 365 days old count for nothing.
    """
    quarter = ibis.range_window(
        group_by="customer_id",
        order_by="day",
        preceding=ibis.interval(days=89),
        following=ibis.interval(days=0),
    )
    counts = within(bought.day, window, 365).cast("int64")
    return bought.mutate(busy=counts.sum().over(quarter))


def trend_sums(bought: ir.Table, window: ObservationWindow) -> dict[str, ir.Value]:
    """What is added up over a customer's purchases to see a trend."""
    # Months are numbered from -2.5 (the oldest) to 2.5, times two to stay whole.
    age = days_before(bought.day, window)
    month = 5 - 2 * ((age - 1) / 30).floor().cast("int64")
    half_year = within(bought.day, window, 180)
    value = bought.value.cast("decimal(27, 4)")
    back = dt.timedelta(days=YEAR)
    last_year = (bought.day >= window.label_start - back) & (bought.day < window.label_end - back)
    return {
        "purchases_before_90": bought.count(where=within(bought.day, window, 90, skip=90)),
        "value_180": bought.value.sum(where=half_year),
        "value_by_month": (value * month.cast("decimal(8, 0)")).sum(where=half_year),
        "busiest": bought.busy.max(where=within(bought.day, window, 365)),
        "purchases_last_year": bought.count(where=last_year),
    }


def trend_features(customers: ir.Table, window: ObservationWindow) -> dict[str, ir.Value]:
    """Features of trend from the sums."""
    c = customers
    net_before_90 = c.net_180.fill_null(0) - c.net_90.fill_null(0)
    both = window.observes(180)
    # Sum of squares of the numbers is 17.5, and the mean is a sixth of the sum.
    slope = ratio(c.value_by_month, c.value_180) * (6.0 / 2.0 / 17.5)
    slope = at_most(at_least(slope, -6 / 7), 6 / 7)
    last_year = window.observes_labels_before(YEAR)
    return {
        "purchase_change_90": log_change(c.purchases_90, c.purchases_before_90)
        if both
        else unknown(),
        "spend_change_90": log_change(c.net_90, net_before_90) if both else unknown(),
        "share_recent": ratio(c.purchases_90, c.purchases_365),
        "spend_slope_6m": slope if both else unknown(),
        "peak_drop": 1.0 - ratio(c.purchases_90, c.busiest),
        "yoy_same_window": c.purchases_last_year if last_year else unknown(),
    }


def season_features(window: ObservationWindow) -> dict[str, ir.Value]:
    """The month of the cutoff on a circle, rounded so that it is the same everywhere."""
    angle = (ibis.literal(window.cutoff).month() - 1) * (2.0 * math.pi) / 12.0
    return {"month_sin": _exact(angle.sin()), "month_cos": _exact(angle.cos())}


def _exact(value: ir.FloatingValue) -> ir.FloatingValue:
    """Twelve digits, and never minus zero."""
    return value.round(12) + 0.0
