"""Spend: how much money the customer leaves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from features.expressions import (
    WINDOWS,
    at_least,
    at_most,
    counted,
    days_before,
    ratio,
    when,
    within,
)
from features.feature import Feature
from features.window import ObservationWindow

if TYPE_CHECKING:
    import ibis.expr.types as ir

__all__ = ["FEATURES", "LARGEST_SQUARED", "spend_day_sums", "spend_features", "spend_sums"]

LARGEST_SQUARED = 10**13
"""The greatest value of a purchase of which squares are added up exactly."""

FEATURES: tuple[Feature, ...] = (
    *(
        Feature(
            f"net_spend_{days}",
            f"sum of amounts, returns taken off, in the last {days} days",
            str(days),
            "ZC",
            -1,
            "spend",
        )
        for days in WINDOWS
    ),
    Feature(
        "margin_365",
        "sum of amount - cost over the lines of the last 365 days whose cost is known; a "
        "return gives its cost back, however the source signs it",
        "365",
        "ZCS",
        0,
        "spend",
        sources=("transactions.timestamp", "transactions.amount", "transactions.cost"),
        core=False,
    ),
    Feature(
        "aov_365",
        "net spend of the last 365 days / purchases in them; undefined without a purchase",
        "365",
        "U",
        0,
        "spend",
    ),
    Feature(
        "max_order_365",
        "largest value of a purchase in the last 365 days; undefined without a purchase",
        "365",
        "U",
        0,
        "spend",
        minimum=0,
    ),
    Feature(
        "cv_order_value",
        "sample standard deviation / mean of the values of the purchases in the last 365 days; "
        "undefined below 3 of them",
        "365",
        "U",
        0,
        "spend",
        minimum=0,
        core=False,
    ),
    Feature(
        "last_order_ratio",
        "value of the last purchase / mean value of those before it; undefined below 2 purchases",
        "all",
        "U",
        0,
        "trend",
        minimum=0,
        core=False,
    ),
    Feature(
        "first_order_value",
        "value of the first purchase",
        "all",
        "",
        0,
        "spend",
        minimum=0,
        core=False,
    ),
)
"""How much the customer spends."""


def spend_sums(bought: ir.Table, window: ObservationWindow) -> dict[str, ir.Value]:
    """What is added up over a customer's purchases."""
    year = within(bought.day, window, 365)
    # Of 19 digits, as the engine multiplies narrower ones in 64 bits, which 100,000 squared is
    # too large for. Greater values than the bound have no variation.
    value = at_most(bought.value, LARGEST_SQUARED).cast("decimal(19, 4)")
    return {
        "value": bought.value.sum(),
        "first_value": bought.value.sum(where=bought.previous_day.isnull()),
        # Of several orders on the last day the largest is the last.
        "last_value": bought.value.max(where=days_before(bought.day, window) == bought.since_last),
        "largest_365": bought.value.max(where=year),
        "value_365": bought.value.sum(where=year),
        "value_squares_365": (value * value).sum(where=year),
    }


def spend_day_sums(days: ir.Table, window: ObservationWindow) -> dict[str, ir.Value]:
    """What is added up over a customer's days."""
    sums = {f"net_{w}": days.value.sum(where=within(days.day, window, w)) for w in WINDOWS}
    if "margin" in days.columns:
        sums["margin_365"] = days.margin.sum(where=within(days.day, window, 365))
    return sums


def spend_features(customers: ir.Table, window: ObservationWindow) -> dict[str, ir.Value]:
    """Features of spend from the sums; those whose column the source lacks are left out."""
    c = customers
    features: dict[str, ir.Value] = {
        **{f"net_spend_{w}": counted(c[f"net_{w}"], window, w) for w in WINDOWS},
        "aov_365": ratio(c.net_365.fill_null(0), c.purchases_365),
        "max_order_365": c.largest_365,
        "cv_order_value": _variation(c),
        "last_order_ratio": ratio(c.last_value, c.value - c.last_value) * (c.purchases - 1),
        "first_order_value": c.first_value,
    }
    if "margin_365" in c.columns:
        features["margin_365"] = counted(c.margin_365, window, 365)
    return features


def _variation(customers: ir.Table) -> ir.FloatingValue:
    c = customers
    n, total = c.purchases_365.cast("float64"), c.value_365.cast("float64")
    # Twelve digits of the square, so that equal values have no spread at all.
    square = (n * c.value_squares_365.cast("float64") / (total * total) - 1.0).round(12)
    known = (c.purchases_365 >= 3) & (c.largest_365 <= LARGEST_SQUARED)
    return when(known, (at_least(square, 0.0) * n / (n - 1.0)).sqrt())
