"""Recency and tenure: how long ago the customer last bought, and first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from features.expressions import days_before
from features.feature import Feature
from features.window import ObservationWindow

if TYPE_CHECKING:
    import ibis.expr.types as ir

__all__ = ["FEATURES", "recency_day_sums", "recency_features", "recency_sums"]

FEATURES: tuple[Feature, ...] = (
    Feature("days_since_last", "cutoff - last purchase day", "all", "", 1, "lateness", minimum=1),
    Feature(
        "tenure_days",
        "cutoff - first purchase day",
        "all",
        "",
        0,
        "tenure",
        minimum=1,
        drift_exempt=True,
    ),
    Feature(
        "first_to_last_days",
        "last - first purchase day, the recency of buy-till-you-die models in days",
        "all",
        "",
        0,
        "tenure",
        minimum=0,
        drift_exempt=True,
        core=False,
    ),
    Feature(
        "recency_ratio",
        "days_since_last / (tenure_days + 1): the silent share of the time as a customer",
        "all",
        "",
        0,
        "lateness",
        minimum=0,
        maximum=1,
        core=False,
    ),
    Feature(
        "days_since_last_return",
        "cutoff - last day with a return; undefined without a return",
        "all",
        "U",
        0,
        "returns",
        minimum=1,
        core=False,
    ),
)
"""Recency and tenure."""


def recency_sums(bought: ir.Table) -> dict[str, ir.Value]:
    """What is kept of a customer's purchases."""
    return {"first_day": bought.day.min(), "last_day": bought.day.max()}


def recency_day_sums(days: ir.Table) -> dict[str, ir.Value]:
    """What is kept of a customer's days."""
    return {"last_return_day": days.day.max(where=days.returned > 0)}


def recency_features(customers: ir.Table, window: ObservationWindow) -> dict[str, ir.Value]:
    """Features of recency, where days_since_last and tenure_days stand beside the sums."""
    c = customers
    return {
        "days_since_last": c.days_since_last,
        "tenure_days": c.tenure_days,
        "first_to_last_days": c.tenure_days - c.days_since_last,
        "recency_ratio": c.days_since_last / (c.tenure_days + 1),
        "days_since_last_return": days_before(c.last_return_day, window),
    }
