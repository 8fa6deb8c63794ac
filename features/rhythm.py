"""Rhythm: the gaps between a customer's purchases, and how late the next one is.

A gap is the number of days between two purchases in a row. All sums over gaps are sums of
integers, so means and spreads come out the same whatever the order of the rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import ibis

from features.expressions import at_least, days_before, ratio, when
from features.feature import Feature
from features.window import ObservationWindow

if TYPE_CHECKING:
    import ibis.expr.types as ir

__all__ = [
    "FEATURES",
    "PRIOR_GAPS",
    "gap_distribution",
    "gap_lengths",
    "gap_statistics",
    "rhythm_features",
    "rhythm_sums",
    "with_gaps",
]

FEATURES: tuple[Feature, ...] = (
    Feature(
        "gap_mean",
        "mean days between purchases, (last - first day) / (purchases - 1), at least 1; "
        "undefined below 2 purchases",
        "all",
        "U",
        1,
        "rhythm",
        minimum=1,
    ),
    Feature(
        "gap_median",
        "median days between purchases; undefined below 2 purchases",
        "all",
        "U",
        1,
        "rhythm",
        minimum=0,
        core=False,
    ),
    Feature(
        "gap_cv",
        "sample standard deviation of the gaps / gap_mean; undefined below 3 purchases",
        "all",
        "U",
        0,
        "rhythm",
        minimum=0,
    ),
    Feature(
        "gap_last",
        "days between the last two purchases; undefined below 2 purchases",
        "all",
        "U",
        0,
        "rhythm",
        minimum=0,
        core=False,
    ),
    Feature(
        "gap_last_ratio",
        "gap_last / mean of the gaps before it, at least 1; undefined below 3 purchases",
        "all",
        "U",
        0,
        "trend",
        minimum=0,
        core=False,
    ),
    Feature(
        "gap_max",
        "longest gap between two purchases; undefined below 2 purchases",
        "all",
        "U",
        0,
        "rhythm",
        minimum=0,
        drift_exempt=True,
        core=False,
    ),
    Feature(
        "overdue_ratio",
        "days_since_last / gap_mean; undefined below 2 purchases",
        "all",
        "U",
        1,
        "lateness",
        minimum=0,
    ),
    Feature(
        "overdue_percentile",
        "share of own gaps that are no longer than days_since_last, shrunk to the share "
        "F among the gaps of all customers: (3 F + own such gaps) / (3 + own gaps); "
        "undefined when nobody has a gap",
        "all",
        "U",
        1,
        "lateness",
        minimum=0,
        maximum=1,
    ),
    Feature(
        "expected_purchases_naive",
        "purchases in the horizon at the customer's own pace, horizon / gap_mean; undefined below "
        "2 purchases",
        "all",
        "U",
        -1,
        "frequency",
        minimum=0,
        core=False,
    ),
    Feature(
        "n_prior_lapses",
        "gaps longer than the horizon: times the customer would have been called lost and "
        "came back",
        "all",
        "",
        0,
        "rhythm",
        minimum=0,
        drift_exempt=True,
    ),
    Feature(
        "last_lapse_days_ago",
        "cutoff - end of the last gap longer than the horizon; undefined without one",
        "all",
        "U",
        0,
        "rhythm",
        minimum=1,
        drift_exempt=True,
        core=False,
    ),
)
"""Rhythm and lateness."""

PRIOR_GAPS = 3
"""How many gaps of one's own the whole customer base weighs in `overdue_percentile`."""


def with_gaps(bought: ir.Table, window: ObservationWindow) -> ir.Table:
    """Add to each purchase the one before it.

    Args:
        bought: One row a purchase, as `features.purchases` gives.
        window: What is observed.

    Returns:
        The same rows with previous_day (date) and gap (days), both missing for a customer's
        first purchase, place (0 for that purchase, 1 for the one that ends the first gap, and
        so on) and since_last (days from the customer's last purchase to the cutoff).
    """
    # Orders of the same day are taken by value, never by the order of the rows.
    own = ibis.window(group_by="customer_id", order_by=["day", "value"])
    bought = bought.mutate(
        previous_day=bought.day.lag().over(own),
        place=ibis.row_number().over(own),
        last_day=bought.day.max().over(ibis.window(group_by="customer_id")),
    )
    return bought.mutate(
        gap=bought.day.delta(bought.previous_day, unit="day"),
        since_last=days_before(bought.last_day, window),
    ).drop("last_day")


def rhythm_sums(bought: ir.Table, window: ObservationWindow) -> dict[str, ir.Value]:
    """What is added up over a customer's gaps."""
    horizon = ibis.literal(window.horizon_days, "int32")
    return {
        "gap_squares": (bought.gap * bought.gap).sum(),
        "gaps_up_to_now": bought.gap.count(where=bought.gap <= bought.since_last),
        "lapses": bought.gap.count(where=bought.gap > horizon),
        "last_lapse_day": bought.day.max(where=bought.gap > horizon),
        "longest_gap": bought.gap.max(),
        "median_gap": bought.gap.median(),
        "last_gap": bought.gap.min(where=days_before(bought.day, window) == bought.since_last),
    }


def gap_statistics(customers: ir.Table) -> dict[str, ir.Value]:
    """Mean and spread of a customer's gaps, from the sums."""
    c = customers
    gaps = (c.purchases - 1).cast("float64")
    total = c.last_day.delta(c.first_day, unit="day").cast("float64")
    # Several orders may share a day, so the mean is held at one day or more.
    mean = when(c.purchases >= 2, at_least(total / gaps, 1.0))
    # Sums of whole days are exact in a double, so only this last step rounds.
    squares = gaps * c.gap_squares.cast("float64") - total * total
    spread = when(c.purchases >= 3, (squares / (gaps * (gaps - 1.0))).sqrt())
    return {"gaps": gaps, "gap_mean": mean, "gap_spread": spread}


def gap_lengths(bought: ir.Table) -> ir.Table:
    """How many gaps there are of each length: days (int64), gaps (int64)."""
    lengths = bought.filter(bought.gap.notnull()).group_by(days=bought.gap.cast("int64"))
    return lengths.agg(gaps=lambda t: t.count().cast("int64"))


def gap_distribution(
    bought: ir.Table, customers: ir.Table, lengths: ir.Table | None = None
) -> ir.Table:
    """The share of all gaps known at the cutoff that are no longer than a number of days.

    Args:
        bought: One row a purchase, with gaps.
        customers: One row a customer with `days_since_last`.
        lengths: The `gap_lengths` of all customers, where the rows are those of some.

    Returns:
        days (int64) for every length that occurs as a gap or as somebody's days_since_last,
        and share_of_gaps (float64), missing where nobody has a gap.
    """
    asked = customers.select(days=customers.days_since_last.cast("int64")).distinct()
    both = ibis.union(
        gap_lengths(bought) if lengths is None else lengths,
        asked.mutate(gaps=ibis.literal(0, "int64")),
    )
    steps = both.group_by("days").agg(gaps=both.gaps.sum())
    up_to = ibis.window(order_by="days", preceding=None, following=0)
    everything = ibis.window()
    return steps.select(
        "days", share_of_gaps=ratio(steps.gaps.sum().over(up_to), steps.gaps.sum().over(everything))
    )


def rhythm_features(customers: ir.Table, window: ObservationWindow) -> dict[str, ir.Value]:
    """Features of rhythm from sums, `gap_statistics` and the share of all gaps."""
    c = customers
    total = c.last_day.delta(c.first_day, unit="day").cast("float64")
    earlier = (total - c.last_gap) / when(c.gaps >= 2, c.gaps - 1.0)
    shrunk = (c.share_of_gaps * PRIOR_GAPS + c.gaps_up_to_now) / (c.gaps + PRIOR_GAPS)
    return {
        "gap_mean": c.gap_mean,
        "gap_median": c.median_gap,
        "gap_cv": c.gap_spread / c.gap_mean,
        "gap_last": c.last_gap,
        "gap_last_ratio": when(c.purchases >= 3, c.last_gap / at_least(earlier, 1.0)),
        "gap_max": c.longest_gap,
        "overdue_ratio": c.days_since_last.cast("float64") / c.gap_mean,
        "overdue_percentile": shrunk,
        "expected_purchases_naive": ibis.literal(window.horizon_days, "int32") / c.gap_mean,
        "n_prior_lapses": c.lapses,
        "last_lapse_days_ago": days_before(c.last_lapse_day, window),
    }
