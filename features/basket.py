"""Basket: what is bought, sent back and bought at a discount."""

from __future__ import annotations

from typing import TYPE_CHECKING

from features.expressions import counted, share, within
from features.window import ObservationWindow

if TYPE_CHECKING:
    import ibis.expr.types as ir

__all__ = ["basket_features", "basket_sums", "product_counts"]


def basket_sums(rows: ir.Table, window: ObservationWindow) -> dict[str, ir.Value]:
    """What is added up over a customer's transactions."""
    year = within(rows.day, window, 365)
    sums = {
        "sold_365": rows.amount.sum(where=(rows.amount > 0) & year),
        "returned_365": (-rows.amount).sum(where=(rows.amount < 0) & year),
    }
    if "discount" in rows.columns:
        sale = (rows.amount >= 0) & year
        sums["discount_365"] = rows.discount.sum(where=sale)
        sums["paid_365"] = rows.amount.sum(where=sale)
    return sums


def product_counts(rows: ir.Table, window: ObservationWindow) -> ir.Table:
    """Distinct products on lines that are sales (amount above zero), last 365 days.

    Args:
        rows: Transactions known at the cutoff, with their day and product_id.
        window: What is observed.

    Returns:
        buyer (the customer_id) and products; customers without any are absent.
    """
    sales = rows.filter(
        (rows.amount > 0) & rows.product_id.notnull() & within(rows.day, window, 365)
    )
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
        features["discount_share_365"] = share(discount, c.paid_365.fill_null(0) + discount)
    return features
