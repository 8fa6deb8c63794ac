"""Basket: what is bought, sent back and bought at a discount."""

from __future__ import annotations

from typing import TYPE_CHECKING

from features.expressions import ratio, share, within
from features.feature import Feature
from features.window import ObservationWindow

if TYPE_CHECKING:
    import ibis.expr.types as ir

__all__ = ["FEATURES", "basket_day_sums", "basket_features", "basket_sums"]

_QUANTITY = ("transactions.timestamp", "transactions.amount", "transactions.quantity")
_DISCOUNT = ("transactions.timestamp", "transactions.amount", "transactions.discount")

FEATURES: tuple[Feature, ...] = (
    Feature(
        "return_rate_365",
        "returned value / value of sale lines in the last 365 days, held within 0 and 1; "
        "undefined without a sale",
        "365",
        "U",
        0,
        "returns",
        minimum=0,
        maximum=1,
    ),
    Feature(
        "discount_share_365",
        "discounts / value before discount on lines that are no returns in the last 365 "
        "days, held within 0 and 1; undefined when nothing was listed",
        "365",
        "US",
        0,
        "discounts",
        minimum=0,
        maximum=1,
        sources=_DISCOUNT,
    ),
    Feature(
        "promo_order_share_365",
        "share of the purchases in the last 365 days with a discount on any line; undefined "
        "without a purchase",
        "365",
        "US",
        0,
        "discounts",
        minimum=0,
        maximum=1,
        sources=_DISCOUNT,
        core=False,
    ),
    Feature(
        "items_per_order_365",
        "quantity on sale lines (amount > 0) in the last 365 days / purchases in them; "
        "undefined without such a line",
        "365",
        "US",
        0,
        "basket",
        minimum=0,
        sources=_QUANTITY,
        core=False,
    ),
)
"""What is bought, sent back and bought at a discount."""


def basket_sums(bought: ir.Table, window: ObservationWindow) -> dict[str, ir.Value]:
    """What is counted over a customer's purchases."""
    if "discount" not in bought.columns:
        return {}
    year = within(bought.day, window, 365)
    return {"discounted_365": bought.count(where=year & (bought.discount > 0))}


def basket_day_sums(days: ir.Table, window: ObservationWindow) -> dict[str, ir.Value]:
    """What is added up over a customer's days."""
    year = within(days.day, window, 365)
    parts = [c for c in ("sold", "returned", "discount", "milli_items") if c in days.columns]
    return {f"{name}_365": days[name].sum(where=year) for name in parts}


def basket_features(customers: ir.Table) -> dict[str, ir.Value]:
    """Features of the basket; those whose column the source lacks are left out."""
    c = customers
    features: dict[str, ir.Value] = {"return_rate_365": share(c.returned_365, c.sold_365)}
    if "milli_items_365" in c.columns:
        features["items_per_order_365"] = ratio(c.milli_items_365, c.purchases_365) / 1000.0
    if "discount_365" in c.columns:
        discount = c.discount_365.fill_null(0)
        features["discount_share_365"] = share(discount, c.sold_365.fill_null(0) + discount)
        features["promo_order_share_365"] = ratio(c.discounted_365, c.purchases_365)
    return features
