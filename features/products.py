"""Products: which ones the customer comes back for, which are new, and which are due."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ibis

from features.expressions import at_least, counted, days_before, most_used, ratio, used, within
from features.feature import Feature
from features.window import ObservationWindow

if TYPE_CHECKING:
    import ibis.expr.types as ir

__all__ = ["FEATURES", "product_features", "products_bought"]

_SOURCES = ("transactions.timestamp", "transactions.amount", "transactions.product_id")

FEATURES: tuple[Feature, ...] = (
    Feature(
        "n_products_365",
        "distinct products on sale lines (amount > 0) in the last 365 days",
        "365",
        "ZCS",
        -1,
        "basket",
        minimum=0,
        sources=_SOURCES,
    ),
    Feature(
        "new_product_share_90",
        "share of the products on sale lines in the last 90 days that the customer had not "
        "bought before; undefined without such a line",
        "90",
        "US",
        0,
        "basket",
        minimum=0,
        maximum=1,
        drift_exempt=True,
        sources=_SOURCES,
        core=False,
    ),
    Feature(
        "replenishment_due_ratio",
        "days since the customer's main product was last bought / median days in which those "
        "who buy it again do so, at least 1; the main product is the one bought on most days, "
        "of equals the latest; undefined when nobody has bought it again",
        "all",
        "US",
        0,
        "lateness",
        minimum=0,
        sources=_SOURCES,
        core=False,
    ),
)
"""What the customer buys."""


def products_bought(rows: ir.Table, window: ObservationWindow) -> ir.Table:
    """What each customer's products on sale lines come to.

    Args:
        rows: Transactions known at the cutoff, with their product_id.
        window: What is observed.

    Returns:
        product_buyer (the customer_id), products, recent_products and new_products (counts),
        main_product_days (since it was last bought) and main_product_gap (median days until
        it is bought again, missing where nobody has); customers without any are absent.
    """
    sales = rows.filter((rows.amount > 0) & rows.product_id.notnull())
    days = sales.select("customer_id", "product_id", day=sales.timestamp.date()).distinct()
    own = ibis.window(group_by=["customer_id", "product_id"], order_by="day")
    days = days.mutate(gap=days.day.delta(days.day.lag().over(own), unit="day"))
    again = days.group_by(product=days.product_id).agg(main_product_gap=days.gap.median())
    pairs = days.group_by("customer_id", "product_id").agg(
        first_day=days.day.min(), last_day=days.day.max(), days=days.count()
    )
    last = days_before(pairs.last_day, window)
    buyers = pairs.group_by(product_buyer=pairs.customer_id).agg(
        products=pairs.count(where=within(pairs.last_day, window, 365)),
        recent_products=pairs.count(where=within(pairs.last_day, window, 90)),
        new_products=pairs.count(where=within(pairs.first_day, window, 90)),
        main=most_used(pairs.product_id, pairs.days, last),
    )
    main, since = used(buyers.main)
    buyers = buyers.mutate(main_product=main, main_product_days=since)
    return buyers.left_join(again, buyers.main_product == again.product).drop(
        "main", "main_product", "product"
    )


def product_features(customers: ir.Table, window: ObservationWindow) -> dict[str, ir.Value]:
    """Features of products, where the source has them."""
    c = customers
    if "products" not in c.columns:
        return {}
    return {
        "n_products_365": counted(c.products, window, 365),
        "new_product_share_90": ratio(c.new_products, c.recent_products),
        "replenishment_due_ratio": c.main_product_days / at_least(c.main_product_gap, 1.0),
    }
