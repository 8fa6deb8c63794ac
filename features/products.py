"""Products: which ones the customer comes back for, which are new, and which are due."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ibis

from features.expressions import at_least, counted, days_before, most_used, ratio, used, within
from features.feature import Feature
from features.window import ObservationWindow

if TYPE_CHECKING:
    import ibis.expr.types as ir

__all__ = ["FEATURES", "product_features", "products_bought", "repurchases", "usual_gaps"]

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


def products_bought(
    rows: ir.Table, window: ObservationWindow, usual: ir.Table | None = None
) -> ir.Table:
    """What each customer's products on sale lines come to.

    Args:
        rows: Transactions known at the cutoff, with their product_id.
        window: What is observed.
        usual: The `usual_gaps` of all customers, where the rows are those of some.

    Returns:
        product_buyer (the customer_id), products, recent_products and new_products (counts),
        main_product_days (since it was last bought) and main_product_gap (median days until
        it is bought again, missing where nobody has); customers without any are absent.
    """
    days = _product_days(rows)
    if usual is None:
        again = days.group_by(product=days.product_id).agg(main_product_gap=days.gap.median())
    else:
        again = usual
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


def repurchases(rows: ir.Table) -> ir.Table:
    """How often each product was bought again after so many days: product, gap, times (int64)."""
    again = _product_days(rows).filter(lambda t: t.gap.notnull())
    counted_ = again.group_by(product=again.product_id, gap=again.gap.cast("int64"))
    return counted_.agg(times=lambda t: t.count().cast("int64"))


def usual_gaps(again: ir.Table) -> ir.Table:
    """The median of the gaps of each product: product, main_product_gap (float64).

    Args:
        again: Of `repurchases`, one row a product and gap.
    """
    own = ibis.window(group_by="product", order_by="gap", preceding=None, following=0)
    whole = ibis.window(group_by="product")
    steps = again.mutate(up_to=again.times.sum().over(own), n=again.times.sum().over(whole))
    # The middle one, or the two in the middle.
    found = steps.group_by("product").agg(
        low=steps.gap.min(where=2 * steps.up_to >= steps.n),
        high=steps.gap.min(where=2 * steps.up_to >= steps.n + 1),
    )
    middle = (found.low + found.high).cast("float64") / 2.0
    return found.select("product", main_product_gap=middle)


def _product_days(rows: ir.Table) -> ir.Table:
    """One row a customer, product and day with a sale line, and the days since the one before."""
    sales = rows.filter((rows.amount > 0) & rows.product_id.notnull())
    days = sales.select("customer_id", "product_id", day=sales.timestamp.date()).distinct()
    own = ibis.window(group_by=["customer_id", "product_id"], order_by="day")
    return days.mutate(gap=days.day.delta(days.day.lag().over(own), unit="day"))


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
