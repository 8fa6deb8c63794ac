"""Engagement: how much a customer looks around, from the events of the shop's pages and app."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import ibis

from features.expressions import days_before, log_change, ratio, when, within
from features.feature import Feature
from features.known_tables import (
    counted_from,
    has_source,
    observed,
    smoothed,
    source_flag,
)
from features.window import ObservationWindow

if TYPE_CHECKING:
    import ibis.expr.types as ir

__all__ = ["FEATURES", "engagement_features", "engagement_sums"]

SESSION_WINDOWS = (7, 30, 90)

FADING_DAYS = 20
"""A session counts 1/e after so many days in `engage_ewma`: a half-life of about 14 days."""

_BILLION = 1_000_000_000
_EVENT = ("events.timestamp", "events.event")

FEATURES: tuple[Feature, ...] = (
    *(
        Feature(
            f"sessions_{days}",
            f"sessions that began in the last {days} days; a session ends after 30 minutes "
            "without an event, or is what the shop gave one session_id",
            str(days),
            "ZCS",
            -1,
            "browsing",
            minimum=0,
            sources=_EVENT,
        )
        for days in SESSION_WINDOWS
    ),
    Feature(
        "days_since_session",
        "cutoff - last day with an event; undefined without any",
        "all",
        "US",
        1,
        "browsing",
        minimum=1,
        sources=_EVENT,
    ),
    Feature(
        "active_days_30",
        "days with an event among the last 30",
        "30",
        "ZCS",
        -1,
        "browsing",
        minimum=0,
        maximum=30,
        sources=_EVENT,
        core=False,
    ),
    Feature(
        "stickiness_7_30",
        "(days with an event among the last 7 / 7) / (those among the last 30 / 30); "
        "undefined without any in the last 30",
        "30",
        "UCS",
        -1,
        "browsing",
        minimum=0,
        maximum=30 / 7,
        sources=_EVENT,
    ),
    Feature(
        "engage_change_30",
        "ln((sessions of the last 30 days + 1) / (those of the 30 days before + 1))",
        "60",
        "CS",
        -1,
        "browsing",
        sources=_EVENT,
    ),
    Feature(
        "engage_ewma",
        f"sum over sessions of exp(-days before the cutoff / {FADING_DAYS}); a half-life of "
        "about 14 days",
        "180",
        "ZCS",
        -1,
        "browsing",
        minimum=0,
        sources=_EVENT,
        core=False,
    ),
    Feature(
        "views_per_session_90",
        "views of pages and products / sessions; undefined without a session, and where the "
        "shop's events have no views",
        "90",
        "US",
        0,
        "browsing",
        minimum=0,
        sources=_EVENT,
        core=False,
    ),
    Feature(
        "view_to_cart_90",
        "(visits with a view and a cart + 1) / (visits with a view + 2), a visit being the "
        "part of a session on one day; undefined without a view, and where the shop's events "
        "have no carts",
        "90",
        "US",
        0,
        "browsing",
        minimum=0,
        maximum=1,
        sources=_EVENT,
        core=False,
    ),
    Feature(
        "cart_to_buy_90",
        "(visits with a cart that a purchase followed within 48 hours + 1) / (visits with a "
        "cart + 2), among those whose 48 hours are over; undefined without any",
        "90",
        "US",
        0,
        "browsing",
        minimum=0,
        maximum=1,
        sources=_EVENT,
        core=False,
    ),
    Feature(
        "abandoned_carts_30",
        "visits with a cart that no purchase followed within 48 hours, among those whose 48 "
        "hours are over",
        "30",
        "ZCS",
        0,
        "browsing",
        minimum=0,
        sources=_EVENT,
        core=False,
    ),
    Feature(
        "browse_no_buy_sessions",
        "sessions that began after the last purchase day; missing where the events begin "
        "later than that",
        "all",
        "ZCS",
        0,
        "browsing",
        minimum=0,
        sources=_EVENT,
    ),
    Feature(
        "session_gap_cv",
        "sample standard deviation / mean of the times between the beginnings of the sessions "
        "of the last 90 days; undefined below 3 sessions, and where all began at once",
        "90",
        "US",
        0,
        "browsing",
        minimum=0,
        sources=_EVENT,
        core=False,
    ),
    source_flag("events"),
)
"""What the events say."""


def engagement_sums(
    visits: ir.Table, bought: ir.Table, window: ObservationWindow
) -> tuple[ir.Table, ...]:
    """What is added up over a customer's visits.

    Args:
        visits: `features.visits.visits` of events known at the cutoff, or of all events where
            none has a known_at.
        bought: The purchases known at the cutoff: customer_id, day.
        window: What is observed.

    Returns:
        Tables for `features.known_tables.beside`.
    """
    rows = window.known(visits, "day")
    sums = rows.group_by(owner=rows.customer_id).agg(**_sums(rows, window))
    starts = rows.agg(
        begun=rows.day.min(),
        views_begun=rows.day.min(where=rows.views > 0),
        carts_begun=rows.day.min(where=rows.carts > 0),
    )
    last = bought.group_by(buyer=bought.customer_id).agg(purchase_day=bought.day.max())
    opened = rows.filter(rows.opens)
    later = opened.join(last, opened.customer_id == last.buyer)
    later = later.filter(later.day > later.purchase_day)
    return sums, later.group_by(owner=later.buyer).agg(sessions_since=later.count()), starts


def _sums(rows: ir.Table, window: ObservationWindow) -> dict[str, ir.Value]:
    age = days_before(rows.day, window)
    quarter = within(rows.day, window, 90)
    # Whole numbers, so that the sum is the same whatever the order and the threads.
    weight = ((age.cast("float64") / -float(FADING_DAYS)).exp() * _BILLION).round().cast("int64")
    settled = rows.settled_at < ibis.literal(window.cutoff).cast("timestamp")
    chained = quarter & within(rows.previous_day, window, 90)
    return {
        **{
            f"sessions_{days}": rows.count(where=rows.opens & within(rows.day, window, days))
            for days in SESSION_WINDOWS
        },
        "sessions_before_30": rows.count(where=rows.opens & within(rows.day, window, 30, skip=30)),
        **{
            f"days_{days}": rows.count(where=rows.first_of_day & within(rows.day, window, days))
            for days in (7, 30)
        },
        "last_day": rows.day.max(),
        "faded": weight.sum(where=rows.opens & within(rows.day, window, 180)),
        "views_90": rows.views.sum(where=quarter),
        "visits_with_view": rows.count(where=quarter & (rows.views > 0)),
        "visits_with_both": rows.count(where=quarter & (rows.views > 0) & (rows.carts > 0)),
        "carts_90": rows.count(where=quarter & settled),
        "bought_90": rows.count(where=quarter & settled & rows.bought),
        "abandoned": rows.count(where=within(rows.day, window, 30) & settled & ~rows.bought),
        "gap_count": rows.count(where=chained),
        "gap_total": rows.gap.sum(where=chained),
        "gap_squares": (rows.gap * rows.gap).sum(where=chained),
    }


def engagement_features(
    c: Mapping[str, ir.Value], days_since_last: ir.Value, window: ObservationWindow
) -> dict[str, ir.Value]:
    """Features of engagement from the sums and the days since the last purchase."""
    month = observed(c["begun"], window, 30)
    viewed, carted = c["views_begun"].notnull(), c["carts_begun"].notnull()
    sessions = ratio(c["views_90"].fill_null(0), c["sessions_90"])
    stickiness = ratio(c["days_7"], c["days_30"]) * 30.0 / 7.0
    change = log_change(c["sessions_30"], c["sessions_before_30"])
    since_purchase = days_before(c["begun"], window) >= days_since_last - 1
    n = c["gap_count"].cast("float64")
    total, squares = c["gap_total"].cast("float64"), c["gap_squares"].cast("float64")
    spread = ((n * squares - total * total) / (n * (n - 1.0))).sqrt()
    return {
        **{
            f"sessions_{days}": counted_from(c[f"sessions_{days}"], c["begun"], window, days)
            for days in SESSION_WINDOWS
        },
        "days_since_session": days_before(c["last_day"], window),
        "active_days_30": counted_from(c["days_30"], c["begun"], window, 30),
        "stickiness_7_30": when(month, stickiness),
        "engage_change_30": when(observed(c["begun"], window, 60), change),
        "engage_ewma": counted_from(c["faded"], c["begun"], window, 180) / float(_BILLION),
        "views_per_session_90": when(viewed, sessions),
        "view_to_cart_90": when(carted, smoothed(c["visits_with_both"], c["visits_with_view"])),
        "cart_to_buy_90": smoothed(c["bought_90"], c["carts_90"]),
        "abandoned_carts_30": counted_from(c["abandoned"], c["carts_begun"], window, 30),
        "browse_no_buy_sessions": when(since_purchase, c["sessions_since"].fill_null(0)),
        "session_gap_cv": when((n >= 2.0) & (total > 0.0), spread / (total / n)),
        "has_events": has_source(c["begun"]),
    }
