"""Marketing: messages that reached a customer, what became of them, and the loyalty programme."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from features.expressions import days_before, when, within
from features.feature import Feature
from features.known_tables import (
    REDEMPTION_DAYS,
    RESPONSE_DAYS,
    counted_from,
    has_source,
    smoothed,
    source_flag,
)
from features.window import ObservationWindow

if TYPE_CHECKING:
    import ibis.expr.types as ir

__all__ = [
    "FEATURES",
    "contact_features",
    "contact_sums",
    "loyalty_features",
    "loyalty_sums",
]

_CONTACT = ("contacts.timestamp", "contacts.campaign")
_POINTS = ("loyalty.timestamp", "loyalty.points")

_RATES = {
    "open_rate_90": ("opened", 90, RESPONSE_DAYS),
    "click_rate_90": ("clicked", 90, RESPONSE_DAYS),
    "redeem_rate_365": ("redeemed", 365, REDEMPTION_DAYS),
}

CONTACT_FEATURES: tuple[Feature, ...] = (
    *(
        Feature(
            f"contacts_{days}",
            f"messages of the last {days} days; the control arm of a campaign gets none",
            str(days),
            "ZCS",
            0,
            "marketing",
            minimum=0,
            sources=_CONTACT,
            core=False,
        )
        for days in (30, 90)
    ),
    *(
        Feature(
            name,
            f"(messages {column} + 1) / (messages of which that is known + 2), among those more "
            f"than {settled} days old; undefined without any",
            str(days),
            "US",
            -1,
            "marketing",
            minimum=0,
            maximum=1,
            sources=(*_CONTACT, f"contacts.{column}"),
            core=name == "click_rate_90",
        )
        for name, (column, days, settled) in _RATES.items()
    ),
    source_flag("contacts"),
)
"""What messages say."""

LOYALTY_FEATURES: tuple[Feature, ...] = (
    Feature(
        "is_member",
        "1 when the customer has any row in the loyalty programme, else 0; missing where "
        "nobody has one yet",
        "all",
        "ZCS",
        -1,
        "loyalty",
        minimum=0,
        maximum=1,
        sources=_POINTS,
    ),
    Feature(
        "loyalty_tier",
        "the last tier noted; undefined without one",
        "all",
        "US",
        0,
        "loyalty",
        sources=(*_POINTS, "loyalty.tier"),
        core=False,
        kind="category",
    ),
    Feature(
        "points_balance",
        "sum of all points; undefined for who is no member",
        "all",
        "US",
        0,
        "loyalty",
        sources=_POINTS,
        core=False,
    ),
    Feature(
        "days_since_points",
        "cutoff - last day with points won or used, expiry (a kind that begins with "
        "'expir') left out; undefined without one",
        "all",
        "US",
        1,
        "loyalty",
        minimum=1,
        sources=_POINTS,
        core=False,
    ),
    source_flag("loyalty"),
)
"""What the loyalty programme says."""

FEATURES: tuple[Feature, ...] = (*CONTACT_FEATURES, *LOYALTY_FEATURES)
"""What messages and the loyalty programme say."""


def contact_sums(rows: ir.Table, window: ObservationWindow) -> tuple[ir.Table, ...]:
    """What is added up over the messages to a customer.

    Args:
        rows: The standard table, as `features.known_tables.known_tables` gives it, so that
            answers which may be younger than the cutoff are missing.
        window: What is observed.

    Returns:
        Tables for `features.known_tables.beside`.
    """
    starts = rows.agg(begun=rows.timestamp.min().date())
    if "arm" in rows.columns:
        rows = rows.filter(rows.arm.isnull() | (rows.arm != "control"))
    day = rows.timestamp.date()
    sums: dict[str, ir.Value] = {
        f"contacts_{days}": rows.count(where=within(day, window, days)) for days in (30, 90)
    }
    for column, days, _ in _RATES.values():
        if column in rows.columns:
            answer, inside = rows[column], within(day, window, days)
            sums[column] = rows.count(where=inside & answer)
            sums[f"{column}_or_not"] = rows.count(where=inside & answer.notnull())
    return rows.group_by(owner=rows.customer_id).agg(**sums), starts


def contact_features(c: Mapping[str, ir.Value], window: ObservationWindow) -> dict[str, ir.Value]:
    """Features of messages from the sums; those whose column is not there are left out."""
    return {
        **{
            f"contacts_{days}": counted_from(c[f"contacts_{days}"], c["begun"], window, days)
            for days in (30, 90)
        },
        **{
            name: smoothed(c[column], c[f"{column}_or_not"])
            for name, (column, _, _) in _RATES.items()
            if column in c
        },
        "has_contacts": has_source(c["begun"]),
    }


def loyalty_sums(rows: ir.Table, window: ObservationWindow) -> tuple[ir.Table, ...]:
    """What is taken from a customer's rows in the loyalty programme.

    Args:
        rows: The standard table, as `features.known_tables.known_tables` gives it.
        window: What is observed.

    Returns:
        Tables for `features.known_tables.beside`.
    """
    moved = rows.points != 0
    if "kind" in rows.columns:
        moved = moved & ~rows.kind.lower().startswith("expir").fill_null(False)
    # Decimals, so that the sum is the same whatever the order and the threads.
    sums = rows.group_by(owner=rows.customer_id).agg(
        balance=rows.points.cast("decimal(38, 4)").sum(),
        moved_day=rows.timestamp.max(where=moved).date(),
    )
    starts = rows.agg(begun=rows.timestamp.min().date())
    if "tier" not in rows.columns:
        return sums, starts
    noted = rows.filter(rows.tier.notnull())
    # Of several tiers noted at one moment the last by name counts.
    moments = noted.group_by("customer_id", "timestamp").agg(tier=noted.tier.max())
    latest = moments.group_by(owner=moments.customer_id).agg(
        tier=moments.tier.argmax(moments.timestamp)
    )
    return sums, latest, starts


def loyalty_features(c: Mapping[str, ir.Value], window: ObservationWindow) -> dict[str, ir.Value]:
    """Features of the loyalty programme from the sums; `loyalty_tier` is text."""
    features = {
        "is_member": when(c["begun"].notnull(), c["balance"].notnull()),
        "points_balance": c["balance"],
        "days_since_points": days_before(c["moved_day"], window),
        "has_loyalty": has_source(c["begun"]),
    }
    return {**features, "loyalty_tier": c["tier"]} if "tier" in c else features
