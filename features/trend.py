"""Trend and season: this period against the one before, and against the same time last year."""

from __future__ import annotations

import datetime as dt
import math
from typing import TYPE_CHECKING

import ibis

from features.expressions import log_change, ratio, unknown, within
from features.window import ObservationWindow

if TYPE_CHECKING:
    import ibis.expr.types as ir

__all__ = ["season_features", "trend_features", "trend_sums"]

YEAR = dt.timedelta(days=365)


def trend_sums(bought: ir.Table, window: ObservationWindow) -> dict[str, ir.Value]:
    """What is added up over a customer's purchases to see a trend."""
    last_year = (bought.day >= window.label_start - YEAR) & (bought.day < window.label_end - YEAR)
    return {
        "purchases_before_90": bought.count(where=within(bought.day, window, 90, skip=90)),
        "purchases_last_year": bought.count(where=last_year),
    }


def trend_features(customers: ir.Table, window: ObservationWindow) -> dict[str, ir.Value]:
    """Features of trend from the sums."""
    c = customers
    net_before_90 = c.net_180.fill_null(0) - c.net_90.fill_null(0)
    both = window.observes(180)
    begin, end = window.label_start - YEAR, window.label_end - YEAR
    last_year = window.start <= begin and end <= window.cutoff
    return {
        "purchase_change_90": log_change(c.purchases_90, c.purchases_before_90)
        if both
        else unknown(),
        "spend_change_90": log_change(c.net_90, net_before_90) if both else unknown(),
        "share_recent": ratio(c.purchases_90, c.purchases_365),
        "yoy_same_window": c.purchases_last_year if last_year else unknown(),
    }


def season_features(window: ObservationWindow) -> dict[str, ir.Value]:
    """The month of the cutoff on a circle, rounded so that it is the same everywhere."""
    angle = 2.0 * math.pi * (window.cutoff.month - 1) / 12.0
    return {
        "month_sin": ibis.literal(_exact(math.sin(angle)), "float64"),
        "month_cos": ibis.literal(_exact(math.cos(angle)), "float64"),
    }


def _exact(value: float) -> float:
    """Twelve digits, and never minus zero."""
    return round(value, 12) + 0.0
