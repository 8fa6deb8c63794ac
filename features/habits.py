"""Habits: on which days and at what times the customer buys."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from features.expressions import at_most, entropy, ratio, within
from features.feature import Feature
from features.window import ObservationWindow

if TYPE_CHECKING:
    import ibis.expr.types as ir

__all__ = ["FEATURES", "habit_features", "habit_sums"]

FEATURES: tuple[Feature, ...] = (
    Feature(
        "weekend_share_365",
        "share of the purchases in the last 365 days that fell on a Saturday or Sunday; "
        "undefined without a purchase",
        "365",
        "U",
        0,
        "rhythm",
        minimum=0,
        maximum=1,
        core=False,
    ),
    Feature(
        "hour_entropy_365",
        "-sum of q ln q over the shares q of night, morning, afternoon and evening (six hours "
        "each, from midnight) in the purchases of the last 365 days, each by the time of its "
        "first sale line; midnight itself stands for an unknown time; undefined without a "
        "purchase at a known time",
        "365",
        "U",
        0,
        "rhythm",
        minimum=0,
        maximum=math.log(4.0),
        core=False,
    ),
)
"""When in the week and the day the customer buys."""

_QUARTERS = range(4)


def habit_sums(bought: ir.Table, window: ObservationWindow) -> dict[str, ir.Value]:
    """What is counted over a customer's purchases."""
    year = within(bought.day, window, 365)
    time = bought.first_sale
    known = year & (time > time.truncate("D"))
    quarter = (time.hour() / 6).floor()
    return {
        "weekend_purchases": bought.count(where=year & (bought.day.day_of_week.index() >= 5)),
        **{f"quarter_{q}": bought.count(where=known & (quarter == q)) for q in _QUARTERS},
    }


def habit_features(customers: ir.Table) -> dict[str, ir.Value]:
    """Features of habits from the sums."""
    c = customers
    return {
        "weekend_share_365": ratio(c.weekend_purchases, c.purchases_365),
        "hour_entropy_365": at_most(entropy([c[f"quarter_{q}"] for q in _QUARTERS]), math.log(4.0)),
    }
