"""What can be said about change: this period against the one before."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .message import Bools, Columns, Floats, Message, Topic, at_least, below, topic, ways
from .timing import LAST_GAP, ONCE, no_purchase

__all__ = ["TREND_TOPICS"]


def _purchases_before(c: Columns) -> Floats:
    return np.asarray(c["n_purchases_180"] - c["n_purchases_90"])


def _money_before(c: Columns) -> Floats:
    return np.asarray(c["net_spend_180"] - c["net_spend_90"])


def _fewer(c: Columns) -> Bools:
    return np.asarray(c["n_purchases_90"] < _purchases_before(c))


def _more(c: Columns) -> Bools:
    return np.asarray(c["n_purchases_90"] > _purchases_before(c))


def _spent_no_more(c: Columns) -> Bools:
    return np.asarray((np.abs(c["net_spend_90"]) < 0.5) & (_money_before(c) >= 0.5))


def _spent_again(c: Columns) -> Bools:
    return np.asarray((c["net_spend_90"] >= 0.5) & (np.abs(_money_before(c)) < 0.5))


def _spend_ratio(c: Columns) -> Floats:
    """Spend of the last 90 days / of the 90 before, NaN where either is nothing."""
    now, before = c["net_spend_90"], _money_before(c)
    return np.where((now >= 0.5) & (before >= 0.5), now / before, np.nan)


def _spent(
    key: str, reads: int, low: float, high: float, change: Callable[[Floats], Floats]
) -> Message:
    def within(c: Columns) -> Bools:
        ratio = _spend_ratio(c)
        return np.asarray((ratio >= low) & (ratio < high))

    return Message(
        key,
        ("net_spend_90", "net_spend_180"),
        when=within,
        reads=reads,
        values={"change": lambda c: change(_spend_ratio(c))},
    )


def _less_than_usual(c: Columns) -> Floats:
    return np.asarray(1.0 - c["last_order_ratio"])


def _growth(c: Columns) -> Floats:
    """How much each gap differs from the one before, as a share of it, without a sign."""
    return np.asarray(np.abs(np.expm1(c["gap_trend"])))


def _below_peak(c: Columns) -> Bools:
    return np.asarray((c["peak_drop"] > 0.0) & (c["peak_drop"] < 1.0))


def _peak(c: Columns) -> Floats:
    return np.asarray(c["n_purchases_90"] / (1.0 - c["peak_drop"]))


_PURCHASES = (
    ONCE,
    no_purchase(180),
    *ways(
        "purchases_and_before",
        *("n_purchases_90", "n_purchases_180"),
        by=((_fewer, 1), (_more, -1), (None, 0)),
        before=_purchases_before,
    ),
)

TREND_TOPICS: tuple[Topic, ...] = (
    topic("trend", *_PURCHASES, about=("purchase_change_90", "share_recent")),
    topic(
        "trend",
        ONCE,
        no_purchase(180),
        _spent("spent_less", 1, 0.0, 0.95, lambda ratio: 1.0 - ratio),
        _spent("spent_same", 0, 0.95, 1.05, lambda ratio: ratio),
        _spent("spent_more", -1, 1.05, 2.0, lambda ratio: ratio - 1.0),
        _spent("spent_times", -1, 2.0, np.inf, lambda ratio: ratio),
        *(
            message
            for key, when, reads in (
                ("spent_no_more", _spent_no_more, 1),
                ("spent_again", _spent_again, -1),
            )
            for message in ways(
                key, "net_spend_90", "net_spend_180", by=[(when, reads)], before=_money_before
            )
        ),
        *_PURCHASES,
        about=["spend_change_90"],
    ),
    topic(
        "trend",
        ONCE,
        no_purchase(180),
        *(
            Message(key, ("spend_slope_6m", "net_spend_180"), when=when, reads=reads)
            for key, when, reads in (
                ("slope_down", below("spend_slope_6m", -0.05), 1),
                ("slope_up", at_least("spend_slope_6m", 0.05), -1),
            )
        ),
        Message("slope_level", ("spend_slope_6m", "net_spend_180")),
        *_PURCHASES,
        about=["spend_slope_6m"],
    ),
    topic(
        "trend",
        ONCE,
        no_purchase(90),
        *ways(
            "at_peak",
            *("n_purchases_90", "peak_drop"),
            by=[(lambda c: np.asarray(c["peak_drop"] <= 0.0), -1)],
        ),
        *ways("below_peak", "n_purchases_90", "peak_drop", by=[(_below_peak, 1)], peak=_peak),
        *_PURCHASES,
        about=["peak_drop"],
    ),
    topic(
        "trend",
        *ways("gaps_longer", "gap_trend", by=[(at_least("gap_trend", 0.02), 1)], change=_growth),
        *ways("gaps_shorter", "gap_trend", by=[(below("gap_trend", -0.02), -1)], change=_growth),
        *_PURCHASES,
        about=["gap_trend"],
    ),
    topic(
        "trend",
        Message(
            "last_order_smaller",
            ("last_order_ratio",),
            when=below("last_order_ratio", 0.95),
            reads=1,
            values={"change": _less_than_usual},
        ),
        Message(
            "last_order_larger",
            ("last_order_ratio",),
            when=at_least("last_order_ratio", 1.05),
            reads=-1,
            values={"times": "last_order_ratio"},
        ),
        Message("last_order_usual", ("last_order_ratio",)),
        *_PURCHASES,
        about=["last_order_ratio"],
    ),
    topic("trend", *LAST_GAP, *_PURCHASES, about=["gap_last_ratio"]),
)
"""What can be said about change."""
