"""Basket: what is bought, sent back and bought at a discount."""

from __future__ import annotations

from typing import TYPE_CHECKING

from features.expressions import counted, share, within
from features.window import ObservationWindow

if TYPE_CHECKING:
    import ibis.expr.types as ir

__all__ = ["basket_features", "basket_sums", "product_counts"]


def basket_sums(days: ir.Table, window: ObservationWindow) -> dict[str, ir.Value]:
    """What is added up over a customer's days."""
    year = within(days.day, window, 365)
    parts = [name for name in ("sold", "returned", "discount") if name in days.columns]
    return {f"{name}_365": days[name].sum(where=year) for name in parts}


def product_counts(rows: ir.Table, window: ObservationWindow) -> ir.Table:
    """Distinct products on lines that are sales (amount above zero), last 365 days.

    Args:
        rows: Transactions known at the cutoff, with their product_id.
        window: What is observed.

    Returns:
        buyer (the customer_id) and products; customers without any are absent.
    """
    year = within(rows.timestamp.date(), window, 365)
    sales = rows.filter((rows.amount > 0) & rows.product_id.notnull() & year)
    pairs = sales.select("customer_id", "product_id").distinct()
    return pairs.group_by(buyer=pairs.customer_id).agg(products=pairs.count())


def basket_features(customers: ir.Table, window: ObservationWindow) -> dict[str, ir.Value]:
    """Features of the basket; those whose column the source lacks are left out."""
    c = customers
    features: dict[str, ir.Value] = {"return_rate_365": share(c.returned_365, c.sold_365)}
    if "products" in c.columns:
        features["n_products_365"] = counted(c.products, window, 365)
    if "discount_365" in c.columns:
        discount = c.discount_365.fill_null(0)
        features["discount_share_365"] = share(discount, c.sold_365.fill_null(0) + discount)
    return features
