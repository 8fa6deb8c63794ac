"""From transactions to purchases: the one definition of a purchase.

A purchase is one of

- `unit="day"` (default): a customer-day whose amounts add up to more than zero. Returns of
  the same day are netted; a return on a later day takes away money, never a past purchase.
- `unit="order"`: an order whose lines, over everything known, add up to more than zero, on
  the order's first day. A return that names its order shrinks or cancels it, whenever it
  comes. Lines without an order are netted by customer-day as above.

A return is never a purchase in either unit.

What one day of a customer comes to depends on no cutoff, as a cutoff is a midnight. So the
customer-days of a source without `known_at` can be netted once and every cutoff take those
before it; `days` stands for such a table wherever it is an argument. Where rows become known
late they are netted for each cutoff, and so are orders, which a later return may shrink.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import ibis

from features.errors import InputError, SchemaError
from features.expressions import at_least, at_most
from features.window import known_rows

if TYPE_CHECKING:
    import ibis.expr.types as ir

__all__ = ["customer_days", "purchases", "purchases_in"]


def customer_days(rows: ir.Table) -> ir.Table:
    """Net transactions by customer and day.

    Money is summed as decimals, so the result depends on no row order and no threads.

    Args:
        rows: Transactions: customer_id, timestamp, amount and, where the source has them,
            discount, cost and quantity.

    Returns:
        One row a customer and day with any transaction: customer_id, day (date), value (the
        net amount), sold and returned (the amounts above and below zero, both without sign),
        first_sale (time of the first line above zero) and, where the source has what they
        need, discount (on amounts not below zero), margin (amount less cost, of the lines
        whose cost is known; a return gives its cost back, however it is signed) and
        milli_items (quantity on lines above zero, in thousandths). Money is decimal; a sum
        of nothing is missing.
    """
    amount = rows.amount
    sums = {
        "value": amount.sum(),
        "sold": amount.sum(where=amount > 0),
        "returned": (-amount).sum(where=amount < 0),
        "first_sale": rows.timestamp.min(where=amount > 0),
    }
    if "discount" in rows.columns:
        sums["discount"] = rows.discount.sum(where=amount >= 0)
    if "cost" in rows.columns:
        sums["margin"] = (amount - (amount < 0).ifelse(-rows.cost.abs(), rows.cost.abs())).sum()
    if "quantity" in rows.columns:
        # Held to what a whole number can take; a quantity below zero counts for nothing.
        items = at_most(at_least(rows.quantity, 0.0), 1e12)
        milli = (items * 1000).round().cast("int64")
        sums["milli_items"] = milli.sum(where=(amount > 0) & (milli > 0))
    return rows.group_by("customer_id", day=rows.timestamp.date()).agg(**sums)


def purchases(
    transactions: ir.Table, cutoff: dt.date, unit: str = "day", days: ir.Table | None = None
) -> ir.Table:
    """The purchases known at a cutoff.

    Args:
        transactions: The standard table: customer_id, timestamp, amount and, where the
            source has them, order_id and known_at.
        cutoff: Rows dated before it, and known at it, count.
        unit: "day" or "order"; see the module's text.
        days: Their `customer_days`, where they are at hand and no row has a known_at.

    Returns:
        One row a purchase: customer_id, day (date), value (decimal, above zero), first_sale
        (time of its first line above zero), discount where the source has it, and for orders
        order_id. A customer has at most one purchase a day unless these are orders.

    Raises:
        InputError: The unit is neither of the two.
        SchemaError: The unit is "order" and the table has no order_id.
    """
    rows = known_rows(transactions, cutoff)
    known = customer_days(rows) if days is None else known_rows(days, cutoff, "day")
    return purchases_in(rows, known, unit)


def purchases_in(rows: ir.Table, days: ir.Table, unit: str = "day") -> ir.Table:
    """The purchases among rows that are already limited to the time in question.

    Args:
        rows: The transactions.
        days: Their `customer_days`.
        unit: "day" or "order".

    Returns:
        As `purchases`.
    """
    if unit not in ("day", "order"):
        raise InputError(f"A purchase unit is 'day' or 'order', not {unit!r}.")
    if unit == "day":
        columns = ["customer_id", "day", "value", "first_sale", "discount"]
        return days.filter(days.value > 0).select(*(c for c in columns if c in days.columns))
    if "order_id" not in rows.columns:
        raise SchemaError(
            "Purchases are counted by order, but the transactions have no order_id.",
            'Map order_id under [tables.transactions], or set unit = "day".',
        )
    day = rows.timestamp.date()
    # Lines without an order stand for their day, not for one endless order.
    loose = rows.order_id.isnull().ifelse(day, ibis.null("date"))
    sums = {
        "day": day.min(),
        "value": rows.amount.sum(),
        "first_sale": rows.timestamp.min(where=rows.amount > 0),
    }
    if "discount" in rows.columns:
        sums["discount"] = rows.discount.sum(where=rows.amount >= 0)
    baskets = rows.group_by("customer_id", "order_id", loose_day=loose).agg(**sums)
    return baskets.filter(baskets.value > 0).drop("loose_day")
