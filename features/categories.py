"""Categories: over how many kinds of goods the customer's spend is spread."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ibis

from features.expressions import at_least, at_most, counted, ratio, within
from features.feature import Feature
from features.window import ObservationWindow

if TYPE_CHECKING:
    import ibis.expr.types as ir

__all__ = ["FEATURES", "categories_bought", "category_features"]

_SOURCES = ("transactions.timestamp", "transactions.amount", "transactions.category")

FEATURES: tuple[Feature, ...] = (
    Feature(
        "n_categories_365",
        "distinct categories on sale lines (amount > 0) in the last 365 days",
        "365",
        "ZCS",
        -1,
        "basket",
        minimum=0,
        sources=_SOURCES,
        core=False,
    ),
    Feature(
        "category_entropy_365",
        "-sum of q ln q over the shares q of the categories in the value of sale lines in the "
        "last 365 days; undefined without such a line",
        "365",
        "US",
        0,
        "basket",
        minimum=0,
        sources=_SOURCES,
        core=False,
    ),
    Feature(
        "top_category_share_365",
        "largest of these shares; undefined without such a line",
        "365",
        "US",
        0,
        "basket",
        minimum=0,
        maximum=1,
        sources=_SOURCES,
        core=False,
    ),
)
"""How the customer's spend is spread over categories."""

_SHARE_UNITS = 2.0**32


def categories_bought(rows: ir.Table, window: ObservationWindow) -> ir.Table:
    """Sums over each customer's categories on sale lines of the last 365 days.

    Args:
        rows: Transactions known at the cutoff, with their category.
        window: What is observed.

    Returns:
        category_buyer (the customer_id), categories, category_top and category_value
        (decimal) and category_logs (whole units); customers without any are absent.
    """
    year = within(rows.timestamp.date(), window, 365)
    sales = rows.filter((rows.amount > 0) & rows.category.notnull() & year)
    spend = sales.group_by("customer_id", "category").agg(value=sales.amount.sum())
    own = ibis.window(group_by="customer_id")
    share = spend.value.cast("float64") / spend.value.sum().over(own).cast("float64")
    spend = spend.mutate(logs=(-share * share.ln() * _SHARE_UNITS).round().cast("int64"))
    return spend.group_by(category_buyer=spend.customer_id).agg(
        categories=spend.count(),
        category_top=spend.value.max(),
        category_value=spend.value.sum(),
        category_logs=spend.logs.sum(),
    )


def category_features(customers: ir.Table, window: ObservationWindow) -> dict[str, ir.Value]:
    """Features of categories, where the source has them."""
    c = customers
    if "categories" not in c.columns:
        return {}
    return {
        "n_categories_365": counted(c.categories, window, 365),
        "category_entropy_365": at_least(c.category_logs.cast("float64") / _SHARE_UNITS, 0.0),
        "top_category_share_365": at_most(ratio(c.category_top, c.category_value), 1.0),
    }
