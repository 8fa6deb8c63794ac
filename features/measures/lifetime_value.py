"""Customer lifetime value from the books: what customers have brought, and the classic formula."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
from ibis import _

from features.measures.intervals import mean_interval, ratio_interval
from features.measures.table import Found, Measure, Missing, rows
from features.measures.worth import by_channel, worth

if TYPE_CHECKING:
    from features.measures.segments import Question

__all__ = ["MEASURES", "lifetime_value"]

HISTORICAL = Measure(
    "clv_historical",
    "money",
    "Historical CLV",
    "margin x revenue so far / customers with a purchase. It counts nothing of the future, so it "
    "is low where many customers are new, and it discounts nothing",
)
CLASSIC = Measure(
    "clv_classic",
    "money",
    "Classic CLV",
    "margin x average_purchase_value x purchases per active month x customer_lifetime, which is "
    "margin x revenue / times a customer became lost. It stands for the whole life of an average "
    "customer, from the first purchase on: one who comes back after being lost counts as "
    "another customer, nothing is discounted, and in a growing shop, where those who will leave "
    "have not done so yet, it is too high",
    source="Berger and Nasr 1998, J. Interactive Marketing 12:17, case 1, with retention as the "
    "exponential lifetime of customer_lifetime and without discounting",
)

MEASURES = (HISTORICAL, CLASSIC)


def lifetime_value(asked: Question) -> Found:
    """Historical and classic CLV for everyone, each acquisition channel and segment.

    Args:
        asked: The question; its `margin` is used.

    Returns:
        Both `MEASURES` over all data, with intervals for how far the mean would move with as
        many other customers of the same kind.
    """
    table = by_channel(
        asked,
        worth(asked),
        customers=_.count(),
        margin=_.margin.sum(),
        squares=(_.margin * _.margin).sum(),
        lost=_.lost.sum(),
        lost_squares=(_.lost * _.lost).sum(),
        products=(_.margin * _.lost).sum(),
    )
    so_far = mean_interval(table["margin"], table["squares"], table["customers"])
    parts = [rows(HISTORICAL, table, so_far[0], "customers", *so_far[1:])]
    missing: tuple[Missing, ...] = ()
    gone = table[table["lost"] > 0]
    if len(gone):
        classic = ratio_interval(
            gone["margin"],
            gone["lost"],
            gone["squares"],
            gone["lost_squares"],
            gone["products"],
            gone["customers"],
        )
        parts.append(rows(CLASSIC, gone, classic[0], "customers", *classic[1:]))
    else:
        needs = "Nobody became lost by the end of the data: a longer history is needed."
        missing = (Missing((CLASSIC.name,), needs),)
    notes: tuple[str, ...] = ()
    if asked.margin == 1:
        notes = ("The margin is 1, so every CLV and what is derived from it is revenue.",)
    return Found(pd.concat(parts, ignore_index=True), missing, notes)
