"""From transactions to purchases: the one definition of a purchase.

A purchase is one of

- `unit="day"` (default): a customer-day whose amounts add up to more than zero. Returns of
  the same day are netted; a return on a later day takes away money, never a past purchase.
- `unit="order"`: an order whose lines, over everything known, add up to more than zero, on
  the order's first day. A return that names its order shrinks or cancels it, whenever it
  comes. Lines without an order are netted by customer-day as above.

A return is never a purchase in either unit.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import ibis

from features.errors import InputError, SchemaError
from features.window import known_rows

if TYPE_CHECKING:
    import ibis.expr.types as ir

__all__ = ["purchases", "purchases_in"]


def purchases(transactions: ir.Table, cutoff: dt.date, unit: str = "day") -> ir.Table:
    """The purchases known at a cutoff.

    Args:
        transactions: The standard table: customer_id, timestamp, amount and, where the
            source has them, order_id and known_at.
        cutoff: Rows dated before it, and known at it, count.
        unit: "day" or "order"; see the module's text.

    Returns:
        One row a purchase: customer_id, day (date), value (decimal, above zero), and for
        orders order_id. A customer has at most one purchase a day unless these are orders.

    Raises:
        InputError: The unit is neither of the two.
        SchemaError: The unit is "order" and the table has no order_id.
    """
    return purchases_in(known_rows(transactions, cutoff), unit)


def purchases_in(rows: ir.Table, unit: str = "day") -> ir.Table:
    """The purchases among rows that are already limited to the time in question.

    Money is summed as decimals, so the result depends on no row order and no threads.

    Returns:
        As `purchases`.
    """
    if unit not in ("day", "order"):
        raise InputError(f"A purchase unit is 'day' or 'order', not {unit!r}.")
    day = rows.timestamp.date()
    if unit == "day":
        baskets = rows.group_by("customer_id", day=day).agg(value=rows.amount.sum())
        return baskets.filter(baskets.value > 0)
    if "order_id" not in rows.columns:
        raise SchemaError(
            "Purchases are counted by order, but the transactions have no order_id.",
            'Map order_id under [tables.transactions], or set unit = "day".',
        )
    # Lines without an order stand for their day, not for one endless order.
    loose = rows.order_id.isnull().ifelse(day, ibis.null("date"))
    baskets = rows.group_by("customer_id", "order_id", loose_day=loose).agg(
        day=day.min(), value=rows.amount.sum()
    )
    return baskets.filter(baskets.value > 0).drop("loose_day")
