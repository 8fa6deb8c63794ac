"""Channels: where the customer buys, and whether that has changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from features.expressions import days_before, most_used, used, within
from features.feature import Feature
from features.window import ObservationWindow

if TYPE_CHECKING:
    import ibis.expr.types as ir

__all__ = ["FEATURES", "channel_features", "channels_used"]

_SOURCES = ("transactions.timestamp", "transactions.amount", "transactions.channel")

FEATURES: tuple[Feature, ...] = (
    Feature(
        "channel_main",
        "channel with sale lines (amount > 0) on most days of the last 365, of equals the "
        "latest; undefined without such a line",
        "365",
        "US",
        0,
        "channel",
        sources=_SOURCES,
        core=False,
        kind="category",
    ),
    Feature(
        "channel_switch",
        "1 when the main channel of the last 90 days is not that of the 275 days before, else "
        "0; undefined unless there is one in both",
        "365",
        "US",
        0,
        "channel",
        minimum=0,
        maximum=1,
        sources=_SOURCES,
        core=False,
    ),
)
"""Where the customer buys."""

_TIMES = {"365": (365, 0), "90": (90, 0), "275": (275, 90)}
"""Name -> length in days, and days before the cutoff at which it ends."""


def channels_used(rows: ir.Table, window: ObservationWindow) -> ir.Table:
    """The main channel of each customer, by the days with a sale line in it.

    Args:
        rows: Transactions known at the cutoff, with their channel.
        window: What is observed.

    Returns:
        channel_user (the customer_id), and channel_365, channel_90 and channel_275 (of the
        last 365 days, the last 90 and the 275 before them), missing where there is none;
        customers without any are absent.
    """
    day = rows.timestamp.date()
    sales = rows.filter((rows.amount > 0) & rows.channel.notnull() & within(day, window, 365))
    days = sales.select("customer_id", "channel", day=sales.timestamp.date()).distinct()
    inside = {name: within(days.day, window, *time) for name, time in _TIMES.items()}
    pairs = days.group_by("customer_id", "channel").agg(
        **{f"days_{name}": days.count(where=where) for name, where in inside.items()},
        **{f"last_{name}": days.day.max(where=where) for name, where in inside.items()},
    )
    users = pairs.group_by(channel_user=pairs.customer_id).agg(
        **{
            name: most_used(
                pairs.channel, pairs[f"days_{name}"], days_before(pairs[f"last_{name}"], window)
            )
            for name in _TIMES
        }
    )
    return users.select(
        "channel_user", **{f"channel_{name}": used(users[name])[0] for name in _TIMES}
    )


def channel_features(customers: ir.Table) -> dict[str, ir.Value]:
    """Features of channels, where the source has them."""
    c = customers
    if "channel_365" not in c.columns:
        return {}
    return {
        "channel_main": c.channel_365,
        "channel_switch": (c.channel_90 != c.channel_275).cast("int64"),
    }
