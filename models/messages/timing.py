"""What can be said about when a customer buys: lateness, rhythm, frequency, tenure."""

from __future__ import annotations

import numpy as np

from .message import (
    Bools,
    Columns,
    Condition,
    Floats,
    Message,
    Topic,
    at_least,
    below,
    topic,
    ways,
)

__all__ = ["GONE", "LAST_GAP", "ONCE", "TIMING_TOPICS", "WINDOWS", "no_purchase", "purchases_in"]

WINDOWS = (365, 180, 90, 30)
"""Days; the widest that the history covers is the one to speak of."""

MANY_PURCHASES = 5
"""From here on nobody takes a plain number of purchases for a reason to worry."""

GONE = "the last purchase"
"""The fact behind every way to say that there was no purchase lately."""

ONCE = Message(
    "bought_once",
    ("is_one_time", "days_since_last"),
    when=lambda c: np.asarray(c["is_one_time"] == 1),
    fact=GONE,
)
"""Said in place of whatever has no meaning for a customer with one purchase."""


def no_purchase(days: int) -> Message:
    """Return the message that a window is empty."""
    name = f"n_purchases_{days}"
    return Message(
        "no_purchase", (name,), when=below(name, 0.5), reads=1, values={"window": days}, fact=GONE
    )


def _often(name: str) -> tuple[tuple[Condition, int], ...]:
    """Return how a number of purchases reads: many of them can only be a good sign."""
    return (at_least(name, MANY_PURCHASES), -1), (below(name, MANY_PURCHASES), 0)


def purchases_in(days: int) -> tuple[Message, ...]:
    """Return what to say about the number of purchases in a window."""
    name = f"n_purchases_{days}"
    counted = ways("purchases", name, by=_often(name), purchases=name, window=days)
    return no_purchase(days), *counted


def _overdue(c: Columns) -> Bools:
    return np.asarray(c["days_since_last"] > c["gap_mean"])


def _twice(c: Columns) -> Bools:
    return np.asarray(c["n_purchases_all"] == 2)


def _twice_and_overdue(c: Columns) -> Bools:
    return _twice(c) & _overdue(c)


def _longest_is_longer(c: Columns) -> Bools:
    return np.asarray(np.round(c["gap_max"]) > np.round(c["gap_mean"]))


def _shorter(c: Columns) -> Bools:
    return np.asarray((c["gap_last_ratio"] > 0.0) & (c["gap_last_ratio"] <= 0.8))


def _earlier_gap(c: Columns) -> Floats:
    return np.asarray(c["gap_last"] / c["gap_last_ratio"])


def _spread(c: Columns) -> Floats:
    return np.asarray(c["gap_mean"] * c["gap_cv"])


LAST_GAP = ways(
    "gap_last",
    *("gap_last", "gap_last_ratio"),
    by=((at_least("gap_last_ratio", 1.2), 1), (_shorter, -1)),
    usual=_earlier_gap,
)
"""The last gap, where it differs from those before it."""

_TWICE = ways(
    "bought_twice",
    *("n_purchases_all", "gap_mean", "days_since_last"),
    by=((_twice_and_overdue, 1), (_twice, -1)),
    fact=GONE,
)
_GAPS = (
    ONCE,
    *_TWICE,
    Message("gap_mean_max", ("gap_mean", "gap_max"), when=_longest_is_longer, fact="gaps"),
    Message("gap_mean", ("gap_mean",), fact="gaps"),
)
_LATENESS = (
    ONCE,
    *_TWICE,
    *ways(
        "usually_buys",
        *("gap_mean", "days_since_last"),
        by=((_overdue, 1), (None, -1)),
        fact=GONE,
    ),
    Message("last_purchase", ("days_since_last",), fact=GONE),
)
_PURCHASES = tuple(message for days in WINDOWS for message in purchases_in(days))
_FIRST = Message("first_purchase", ("tenure_days",))
_SO_FAR = ways("purchases_so_far", "n_purchases_all", by=_often("n_purchases_all"))

TIMING_TOPICS: tuple[Topic, ...] = (
    topic(
        "lateness",
        *_LATENESS,
        about=(
            *("days_since_last", "recency_ratio", "overdue_ratio", "overdue_percentile"),
            *("overdue_z", "p_alive", "probability_no_purchase"),
        ),
    ),
    topic(
        "lateness",
        Message(
            "replenishment_due",
            ("replenishment_due_ratio",),
            when=at_least("replenishment_due_ratio", 1.05),
            reads=1,
        ),
        Message("replenishment_not_due", ("replenishment_due_ratio",), reads=-1),
        *_LATENESS,
        about=["replenishment_due_ratio"],
    ),
    topic("rhythm", *_GAPS, about=("gap_mean", "gap_median", "gap_max")),
    topic("rhythm", *LAST_GAP, *_GAPS, about=["gap_last"]),
    topic(
        "rhythm",
        Message("gap_spread", ("gap_mean", "gap_cv"), values={"spread": _spread}, fact="gaps"),
        *_GAPS,
        about=("gap_cv", "regularity_k", "burstiness", "clumpiness"),
    ),
    topic(
        "rhythm",
        ONCE,
        Message(
            "lapses_last",
            ("n_prior_lapses", "last_lapse_days_ago"),
            when=at_least("n_prior_lapses", 0.5),
        ),
        Message("lapses", ("n_prior_lapses",), when=at_least("n_prior_lapses", 0.5)),
        Message("no_lapse", ("n_prior_lapses",)),
        about=("n_prior_lapses", "last_lapse_days_ago"),
    ),
    topic(
        "rhythm",
        ONCE,
        Message("no_weekend", ("weekend_share_365",), when=below("weekend_share_365", 1e-6)),
        Message("weekend", ("weekend_share_365",)),
        *_GAPS,
        about=["weekend_share_365"],
    ),
    topic(
        "rhythm",
        ONCE,
        Message("same_hours", ("hour_entropy_365",), when=below("hour_entropy_365", 0.35)),
        Message("any_hours", ("hour_entropy_365",)),
        *_GAPS,
        about=["hour_entropy_365"],
    ),
    topic(
        "frequency",
        ONCE,
        *_PURCHASES,
        *_SO_FAR,
        about=(
            *("n_purchases_365", "purchase_rate_12m", "is_one_time"),
            *("expected_purchases", "expected_purchases_naive"),
        ),
    ),
    *(
        topic("frequency", ONCE, *purchases_in(days), *_PURCHASES, about=[f"n_purchases_{days}"])
        for days in WINDOWS[1:]
    ),
    topic("frequency", ONCE, *_SO_FAR, about=["n_purchases_all"]),
    topic(
        "frequency",
        ONCE,
        no_purchase(365),
        Message("active_months", ("active_months_12",), when=at_least("active_months_12", 0.5)),
        *_PURCHASES,
        about=["active_months_12"],
    ),
    topic("tenure", ONCE, _FIRST, about=["tenure_days"]),
    topic(
        "tenure",
        ONCE,
        Message("first_to_last", ("first_to_last_days",), when=at_least("first_to_last_days", 0.5)),
        _FIRST,
        about=["first_to_last_days"],
    ),
)
"""What can be said about when a customer buys."""
