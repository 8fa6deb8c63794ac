"""What happened in the horizon after a cutoff: the truth that models are trained on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from features.expressions import at_least
from features.purchases import customer_days, purchases_in
from features.window import ObservationWindow

if TYPE_CHECKING:
    import ibis.expr.types as ir

__all__ = ["LABELS", "future_activity"]

LABELS = ("churned", "future_purchases", "future_spend")
"""churned (1 for no purchase in the label window, else 0), purchases and spend in it."""


def future_activity(
    transactions: ir.Table,
    window: ObservationWindow,
    unit: str = "day",
    days: ir.Table | None = None,
) -> ir.Table:
    """Purchases and spend of each customer in the label window.

    Only rows of the label window are looked at, whenever they came in, so no row is part of
    both a feature and a label. An order with lines on both sides of the window's edge
    therefore counts on each side with the lines that lie there.

    Args:
        transactions: The standard table.
        window: Has the label window.
        unit: What a purchase is: "day" or "order".
        days: The `customer_days` of the transactions, where they are at hand.

    Returns:
        One row a customer with any row in the window (who is absent did nothing):
        customer_id; future_purchases (float64), purchases by the same definition as in
        features; future_spend (float64), the sum of all amounts in the window, returns
        taken off, and 0 where returns outweigh sales: what comes back of earlier sales is
        no negative future.
    """
    rows = window.future(transactions)
    days = customer_days(rows) if days is None else window.future(days, "day")
    bought = purchases_in(rows, days, unit)
    counts = bought.group_by(buyer=bought.customer_id).agg(purchases=bought.count())
    spend = days.group_by("customer_id").agg(net=days.value.sum())
    both = spend.left_join(counts, spend.customer_id == counts.buyer)
    return both.select(
        "customer_id",
        future_purchases=both.purchases.fill_null(0).cast("float64"),
        future_spend=at_least(both.net, 0).cast("float64"),
    )
