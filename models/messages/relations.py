"""What can be said beside the purchases: visits, messages, surveys, tickets, and who it is."""

from __future__ import annotations

import numpy as np

from .message import Bools, Columns, Floats, Message, Topic, Value, at_least, below, topic, ways
from .timing import no_purchase

__all__ = ["RELATION_TOPICS"]


def _sessions_before(c: Columns) -> Floats:
    """Sessions of the 30 days before the last 30, from ln((now + 1) / (before + 1))."""
    return np.asarray(np.round((c["sessions_30"] + 1.0) * np.exp(-c["engage_change_30"]) - 1.0))


def _fewer_sessions(c: Columns) -> Bools:
    return np.asarray(c["sessions_30"] < _sessions_before(c))


def _more_sessions(c: Columns) -> Bools:
    return np.asarray(c["sessions_30"] > _sessions_before(c))


def _some_sessions(c: Columns) -> Bools:
    return np.asarray((c["sessions_30"] > 0) | (_sessions_before(c) > 0))


def _change_of_score(c: Columns) -> Floats:
    return np.asarray(np.abs(c["nps_delta"]))


_SEEN = "the last visit"


def _visits_in(days: int) -> tuple[Message, ...]:
    name = f"sessions_{days}"
    values: dict[str, Value] = {"visits": name, "window": days}
    return (
        Message("visits", (name,), when=below(name, 0.5), reads=1, values=values, fact=_SEEN),
        Message("visits", (name,), values=values),
    )


def _tickets_in(days: int) -> tuple[Message, ...]:
    name = f"tickets_{days}"
    by = ((at_least(name, 0.5), 1), (None, -1))
    return ways("tickets", name, by=by, tickets=name, window=days)


def _rate(feature: str, key: str) -> tuple[Message, ...]:
    """Return what to say about a smoothed share of something good."""
    by = ((below(feature, 0.2), 1), (at_least(feature, 0.5), -1), (None, 0))
    return ways(key, feature, by=by)


_LAST_VISIT = (
    *(
        Message("last_visit", ("days_since_session",), when=when, reads=reads, fact=_SEEN)
        for when, reads in (
            (below("days_since_session", 7.5), -1),
            (at_least("days_since_session", 30.5), 1),
            (None, 0),
        )
    ),
    Message("no_visit_known", lacks=("days_since_session",), reads=1, fact=_SEEN),
)
_VISITS = (
    *ways(
        "visits_and_before",
        *("sessions_30", "engage_change_30"),
        by=((_fewer_sessions, 1), (_more_sessions, -1), (_some_sessions, 0)),
        before=_sessions_before,
    ),
    *_LAST_VISIT,
    *(message for days in (90, 30, 7) for message in _visits_in(days)),
)
_BROWSING = (
    topic(
        "browsing",
        *_VISITS,
        about=(
            *("sessions_30", "engage_change_30", "engage_ewma", "stickiness_7_30"),
            "session_gap_cv",
        ),
    ),
    topic("browsing", *_LAST_VISIT, *_VISITS, about=["days_since_session"]),
    *(
        topic("browsing", *_visits_in(days), *_VISITS, about=[f"sessions_{days}"])
        for days in (7, 90)
    ),
    *(
        topic("browsing", message, *_VISITS, about=message.needs)
        for message in (
            Message("active_days", ("active_days_30",), when=at_least("active_days_30", 0.5)),
            Message(
                "abandoned_carts", ("abandoned_carts_30",), when=at_least("abandoned_carts_30", 0.5)
            ),
            Message("visits_since_purchase", ("browse_no_buy_sessions",)),
            Message("views", ("views_per_session_90",)),
            Message("view_to_cart", ("view_to_cart_90",)),
            Message("cart_to_buy", ("cart_to_buy_90",)),
        )
    ),
)

_CONTACTS = tuple(
    message
    for days in (90, 30)
    for message in ways(
        "messages",
        f"contacts_{days}",
        by=[(None, 0)],
        messages=f"contacts_{days}",
        window=days,
    )
)
_MARKETING = (
    topic("marketing", *_CONTACTS, about=("contacts_30", "contacts_90")),
    *(
        topic("marketing", *_rate(feature, key), *_CONTACTS, about=[feature])
        for feature, key in (
            ("open_rate_90", "open_rate"),
            ("click_rate_90", "click_rate"),
            ("redeem_rate_365", "redeem_rate"),
        )
    ),
)

_MEMBERSHIP = (
    Message("no_member", ("is_member",), when=below("is_member", 0.5), reads=1),
    Message("tier_points", ("loyalty_tier", "points_balance")),
    Message("tier", ("loyalty_tier",)),
    Message("points", ("points_balance",)),
    Message("member", ("is_member",), reads=-1),
)
_LOYALTY = (
    topic("loyalty", *_MEMBERSHIP, about=("is_member", "loyalty_tier", "points_balance")),
    topic(
        "loyalty",
        Message("points_moved", ("days_since_points",)),
        *_MEMBERSHIP,
        about=["days_since_points"],
    ),
)

_SCORES = ways(
    "last_score",
    *("last_nps", "days_since_nps"),
    by=((below("last_nps", 6.5), 1), (at_least("last_nps", 8.5), -1), (None, 0)),
)
_NO_SCORE = Message("no_score", lacks=("last_nps",))
_SATISFIED = ways(
    "csat",
    "csat_mean_365",
    by=((below("csat_mean_365", 0.6), 1), (at_least("csat_mean_365", 0.8), -1), (None, 0)),
)
_SATISFACTION = (
    topic(
        "satisfaction",
        *_SCORES,
        *_SATISFIED,
        _NO_SCORE,
        about=("last_nps", "nps_group", "days_since_nps", "has_nps"),
    ),
    topic(
        "satisfaction",
        *ways(
            "score_fell",
            *("last_nps", "nps_delta"),
            by=[(below("nps_delta", -0.5), 1)],
            change=_change_of_score,
        ),
        *ways(
            "score_rose",
            *("last_nps", "nps_delta"),
            by=[(at_least("nps_delta", 0.5), -1)],
            change=_change_of_score,
        ),
        *_SCORES,
        _NO_SCORE,
        about=["nps_delta"],
    ),
    topic(
        "satisfaction",
        *_SATISFIED,
        *_SCORES,
        _NO_SCORE,
        about=("csat_mean_365", "csat_answers_365"),
    ),
)

_TICKETS = (
    Message("open_tickets", ("open_tickets",), when=at_least("open_tickets", 0.5), reads=1),
    *_tickets_in(90),
    *_tickets_in(30),
)
_SERVICE = (
    topic("service", *_TICKETS, about=["open_tickets"]),
    *(
        topic("service", *_tickets_in(days), *_TICKETS, about=[f"tickets_{days}"])
        for days in (30, 90)
    ),
    topic(
        "service",
        Message("resolved_in", ("median_resolve_h_365",), reads=1),
        *_TICKETS,
        about=["median_resolve_h_365"],
    ),
    topic(
        "service",
        *ways(
            "negative",
            "neg_sentiment_share_180",
            by=((at_least("neg_sentiment_share_180", 0.5), 1), (None, -1)),
        ),
        *_TICKETS,
        about=["neg_sentiment_share_180"],
    ),
)

RELATION_TOPICS: tuple[Topic, ...] = (
    *_BROWSING,
    *_MARKETING,
    *_LOYALTY,
    *_SATISFACTION,
    *_SERVICE,
    topic(
        "channel",
        Message("channel_main", ("channel_main",)),
        no_purchase(365),
        about=["channel_main"],
    ),
    topic(
        "channel",
        Message("channel_switched", ("channel_switch",), when=at_least("channel_switch", 0.5)),
        Message("channel_main", ("channel_main",)),
        no_purchase(365),
        about=["channel_switch"],
    ),
    topic(
        "profile",
        Message("came_through", ("acquisition_channel",)),
        Message("no_channel_known", lacks=("acquisition_channel",)),
        about=["acquisition_channel"],
    ),
    topic(
        "profile",
        Message("won_for", ("acquisition_cost",)),
        Message("no_channel_known", lacks=("acquisition_channel",)),
        about=["acquisition_cost"],
    ),
)
"""What can be said beside the purchases."""
