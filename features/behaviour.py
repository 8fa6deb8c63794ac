"""What each customer's transactions say at a cutoff, as one expression on the engine.

The work has four levels: transactions -> customer-days -> purchases -> one row of exact sums
a customer, over purchases and over days -> formulas on these sums. Counts and money stay
integers and decimals until the last level, so neither row order nor threads change a single
bit.

Each family of features is a pair of functions: `*_sums` says what to add up, `*_features`
turns the sums into features. A new family is one more pair.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from features.basket import basket_features, basket_sums, product_counts
from features.expressions import at_most, counted, days_before, ratio, when, within
from features.purchases import customer_days, purchases_in
from features.recent_spend import RECENT_COLUMNS, recent_features, recent_sums
from features.rfm import log_gap_units, log_gaps, weeks
from features.rhythm import (
    gap_distribution,
    gap_statistics,
    rhythm_features,
    rhythm_sums,
    with_gaps,
)
from features.trend import season_features, trend_features, trend_sums
from features.window import ObservationWindow

if TYPE_CHECKING:
    import ibis.expr.types as ir

__all__ = ["RFM_COLUMNS", "WINDOWS", "behaviour"]

WINDOWS = (30, 90, 180, 365)
"""Lengths in days of the windows that end at the cutoff."""

RFM_COLUMNS = (
    *("frequency", "recency", "T", "monetary_value", "first_value", "log_gaps"),
    *RECENT_COLUMNS,
)


def behaviour(
    transactions: ir.Table,
    window: ObservationWindow,
    unit: str = "day",
    days: ir.Table | None = None,
) -> ir.Table:
    """Every feature that comes from transactions, and the RFM summary beside them.

    Args:
        transactions: The standard table.
        window: What is observed.
        unit: What a purchase is: "day" or "order".
        days: The `customer_days`, where they are at hand and no row has a known_at.

    Returns:
        One row a customer with at least one purchase before the cutoff, in no particular
        order: customer_id, the columns `RFM_COLUMNS` (recency and T in weeks) and the
        features that `features.catalogue` lists under the origin "engine", all float64.
        Features of columns that the source does not have are left out.
    """
    rows = window.known(transactions)
    days = customer_days(rows) if days is None else window.known(days, "day")
    bought = with_gaps(purchases_in(rows, days, unit), window)
    customers = bought.group_by("customer_id").agg(
        **_purchase_sums(bought, window),
        **rhythm_sums(bought, window),
        **trend_sums(bought, window),
        **recent_sums(bought, window),
    )
    customers = customers.mutate(
        days_since_last=days_before(customers.last_day, window),
        tenure_days=days_before(customers.first_day, window),
        **gap_statistics(customers),
    )
    shares = gap_distribution(bought, customers)
    money = days.group_by(payer=days.customer_id).agg(
        **_money_sums(days, window), **basket_sums(days, window)
    )
    customers = customers.left_join(money, customers.customer_id == money.payer)
    customers = customers.left_join(shares, customers.days_since_last == shares.days)
    if "product_id" in rows.columns:
        products = product_counts(rows, window)
        customers = customers.left_join(products, customers.customer_id == products.buyer)
    features = {
        **_core_features(customers, window),
        **rhythm_features(customers, window),
        **trend_features(customers, window),
        **basket_features(customers, window),
        **season_features(window),
    }
    columns = {**_rfm(customers), **features}
    return customers.select(
        "customer_id", **{name: value.cast("float64") for name, value in columns.items()}
    )


def _purchase_sums(bought: ir.Table, window: ObservationWindow) -> dict[str, ir.Value]:
    year = within(bought.day, window, 365)
    return {
        "purchases": bought.count(),
        "first_day": bought.day.min(),
        "last_day": bought.day.max(),
        "value": bought.value.sum(),
        "log_gap_units": log_gap_units(bought.gap).sum(),
        "first_value": bought.value.sum(where=bought.previous_day.isnull()),
        "largest_365": bought.value.max(where=year),
        **{f"purchases_{w}": bought.count(where=within(bought.day, window, w)) for w in WINDOWS},
    }


def _money_sums(days: ir.Table, window: ObservationWindow) -> dict[str, ir.Value]:
    return {
        "last_return_day": days.day.max(where=days.returned > 0),
        **{f"net_{w}": days.value.sum(where=within(days.day, window, w)) for w in WINDOWS},
    }


def _core_features(customers: ir.Table, window: ObservationWindow) -> dict[str, ir.Value]:
    c = customers
    rate = c.purchases_365.cast("float64") * 365.0 / at_most(c.tenure_days, 365)
    return {
        "days_since_last": c.days_since_last,
        "tenure_days": c.tenure_days,
        "days_since_last_return": days_before(c.last_return_day, window),
        "n_purchases_all": c.purchases,
        **{f"n_purchases_{w}": counted(c[f"purchases_{w}"], window, w) for w in WINDOWS},
        "purchase_rate_12m": when(c.tenure_days >= 30, rate),
        "is_one_time": (c.purchases == 1).cast("int64"),
        **{f"net_spend_{w}": counted(c[f"net_{w}"], window, w) for w in WINDOWS},
        "aov_365": ratio(c.net_365.fill_null(0), c.purchases_365),
        "max_order_365": c.largest_365,
        "first_order_value": c.first_value,
    }


def _rfm(customers: ir.Table) -> dict[str, ir.Value]:
    c = customers
    repeats = c.purchases - 1
    return {
        "frequency": repeats,
        "recency": weeks(c.last_day.delta(c.first_day, unit="day")),
        "T": weeks(c.tenure_days),
        "monetary_value": ratio(c.value - c.first_value, repeats).fill_null(0.0),
        "first_value": c.first_value,
        "log_gaps": log_gaps(c.log_gap_units, repeats),
        **recent_features(c),
    }
