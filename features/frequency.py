"""Frequency: how often the customer buys."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ibis

from features.expressions import WINDOWS, at_most, counted, when, within
from features.feature import Feature
from features.window import ObservationWindow

if TYPE_CHECKING:
    import ibis.expr.types as ir

__all__ = ["FEATURES", "frequency_features", "frequency_sums"]

FEATURES: tuple[Feature, ...] = (
    *(
        Feature(
            f"n_purchases_{days}",
            f"purchases in the last {days} days",
            str(days),
            "ZC",
            -1,
            "frequency",
            minimum=0,
        )
        for days in WINDOWS
    ),
    Feature(
        "n_purchases_all",
        "all purchases",
        "all",
        "",
        -1,
        "frequency",
        minimum=1,
        drift_exempt=True,
        core=False,
    ),
    Feature(
        "purchase_rate_12m",
        "365 * purchases in the last 365 days / min(365, tenure_days); "
        "undefined when tenure_days < 30",
        "365",
        "U",
        -1,
        "frequency",
        minimum=0,
    ),
    Feature(
        "active_months_12",
        "months with a purchase, of the 12 that end at the cutoff; a month begins on the "
        "cutoff's day of the month",
        "365",
        "ZC",
        -1,
        "frequency",
        minimum=0,
        maximum=12,
        core=False,
    ),
    Feature(
        "is_one_time",
        "1 when there is exactly one purchase, else 0",
        "all",
        "",
        1,
        "frequency",
        minimum=0,
        maximum=1,
    ),
)
"""How often the customer buys."""


def frequency_sums(bought: ir.Table, window: ObservationWindow) -> dict[str, ir.Value]:
    """What is added up over a customer's purchases, each with the day of the one before."""
    year = within(bought.day, window, 365)
    # The first purchase of each month: what came before it lies in another month, or too far back.
    new = bought.previous_day.isnull() | ~within(bought.previous_day, window, 365)
    new |= _month(bought.day, window) != _month(bought.previous_day, window)
    return {
        "purchases": bought.count(),
        **{f"purchases_{w}": bought.count(where=within(bought.day, window, w)) for w in WINDOWS},
        "active_months": bought.count(where=year & new),
    }


def _month(day: ir.DateValue, window: ObservationWindow) -> ir.DateValue:
    """The month that a day lies in, where months begin on the cutoff's day of the month."""
    begins = ibis.literal(window.cutoff).day().cast("int64")
    return (day - (begins - 1).as_interval("D")).truncate("M")


def frequency_features(customers: ir.Table, window: ObservationWindow) -> dict[str, ir.Value]:
    """Features of frequency from the sums."""
    c = customers
    rate = c.purchases_365.cast("float64") * 365.0 / at_most(c.tenure_days, 365)
    return {
        **{f"n_purchases_{w}": counted(c[f"purchases_{w}"], window, w) for w in WINDOWS},
        "n_purchases_all": c.purchases,
        "purchase_rate_12m": when(c.tenure_days >= 30, rate),
        "active_months_12": counted(c.active_months, window, 365),
        "is_one_time": (c.purchases == 1).cast("int64"),
    }
