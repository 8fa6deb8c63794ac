"""From events to visits: sessions by inactivity, cut at midnight, and what happened in each.

A session ends after 30 minutes without an event. Where the shop gives events a session_id, a
session is all events of a customer with the same one; events without one are told apart by
inactivity.

A *visit* is the part of a session that lies on one day. Cutoffs are midnights, so a visit lies
wholly before or after any of them, and what it says depends on rows of its own day and earlier
ones only. Visits of a shop whose rows have no `known_at` can therefore be made once, and every
cutoff take those before it. The one exception, whether a cart was followed by a purchase, looks
48 hours ahead and may be read only once these are over (`settled_at`).
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import ibis

if TYPE_CHECKING:
    import ibis.expr.types as ir

__all__ = [
    "CARTS",
    "CART_HOURS",
    "INACTIVITY_MINUTES",
    "PURCHASES",
    "VIEWS",
    "session_events",
    "visits",
]

INACTIVITY_MINUTES = 30
"""A longer silence ends a session: the custom of web analytics."""

CART_HOURS = 48
"""A cart without a purchase within so many hours counts as abandoned."""

VIEWS = (
    *("view", "views", "viewed", "pv", "detail", "productdetail", "screenview"),
    *("pageview", "pageviewed", "viewpage", "productview", "productviewed", "viewproduct"),
    *("itemview", "itemviewed", "viewitem", "viewcontent", "viewcontentlist", "viewitemlist"),
    *("productlistviewed", "productdetailview", "productpageview", "categoryview"),
)
"""Names of an event that is a view of a page or a product, in lower case, letters only."""

CARTS = (
    *("cart", "carts", "addtocart", "addedtocart", "cartadd", "atc", "addtobasket", "basket"),
    *("basketadd", "addedtobasket", "addtobag", "productadded", "productaddedtocart"),
    *("itemaddedtocart", "additemtocart", "additem", "productaddtocart"),
)
"""Names of an event that puts something into the cart."""

PURCHASES = (
    *("purchase", "purchases", "purchased", "buy", "bought", "transaction", "order", "ordered"),
    *("orderplaced", "placeorder", "placedorder", "ordercompleted", "ordercomplete", "sale"),
    *("checkout", "checkoutcompleted", "checkoutcomplete", "completedcheckout", "conversion"),
    *("payment", "paymentcompleted", "completepurchase", "productpurchased", "itempurchased"),
)
"""Names of an event that is a purchase. One that only begins a checkout is none."""


def visits(events: ir.Table, transactions: ir.Table) -> ir.Table:
    """Sum events up to visits.

    The name of an event is compared without case, blanks and punctuation, so "Add to Cart",
    "add_to_cart" and "addToCart" are the same. Names that are in none of the three lists
    count as activity, and as nothing else.

    A cart is followed by a purchase when the customer has a purchase event or a transaction
    with an amount above zero between the midnight before it (as many shops date transactions
    by the day) and 48 hours after it.

    Args:
        events: The standard table: customer_id, timestamp, event and perhaps session_id.
        transactions: The standard table: customer_id, timestamp, amount.

    Returns:
        One row a visit: customer_id; day (date); opens (whether the session began on this
        day, which makes it the row that stands for the session); gap (minutes since the
        customer's session before this one began) and previous_day (when that was), both on
        rows that open one; first_of_day (whether it is the customer's first visit of the
        day); views, carts and purchases (int64); settled_at (48 hours after the last cart of
        the visit, missing without one); bought (whether a purchase followed that cart).
    """
    rows = session_events(events)
    last_cart = rows.timestamp.max(where=rows.is_cart)
    parts = rows.group_by("customer_id", "session", "started", day=rows.timestamp.date()).agg(
        views=rows.is_view.sum().cast("int64"),
        carts=rows.is_cart.sum().cast("int64"),
        purchases=rows.is_purchase.sum().cast("int64"),
        cart_at=last_cart,
    )
    parts = parts.mutate(opens=parts.started.date() == parts.day)
    own = ibis.window(group_by=[parts.customer_id, parts.opens], order_by=parts.started)
    of_day = ibis.window(
        group_by=[parts.customer_id, parts.day], order_by=[parts.started, parts.session]
    )
    before = parts.started.lag().over(own)
    parts = parts.mutate(
        gap=parts.opens.ifelse(parts.started.delta(before, unit="minute"), ibis.null("int64")),
        previous_day=parts.opens.ifelse(before.date(), ibis.null("date")),
        first_of_day=ibis.row_number().over(of_day) == 0,
        settled_at=parts.cart_at + ibis.interval(hours=CART_HOURS),
    )
    bought = _first_purchase_near(events, transactions)
    both = parts.left_join(
        bought, [parts.customer_id == bought.buyer, parts.day == bought.cart_day]
    )
    return both.select(
        *("customer_id", "day", "opens", "gap", "previous_day", "first_of_day"),
        *("views", "carts", "purchases", "settled_at"),
        bought=(both.bought_at <= both.settled_at).fill_null(False),
    )


def session_events(events: ir.Table) -> ir.Table:
    """Events with the moment their session began, told from earlier events only.

    Args:
        events: The standard table: customer_id, timestamp, event and perhaps session_id.

    Returns:
        One row an event: customer_id, timestamp, session (the shop's own id, missing without
        one), started (customer_id, session and started together name a session), is_view,
        is_cart and is_purchase.
    """
    given = "session_id" in events.columns
    name = _letters(events.event)
    rows = events.select(
        "customer_id",
        "timestamp",
        session=events.session_id if given else ibis.null("string"),
        is_view=name.isin(VIEWS),
        is_cart=name.isin(CARTS),
        is_purchase=name.isin(PURCHASES),
    )
    keys = [rows.customer_id, rows.session] if given else [rows.customer_id]
    before = rows.timestamp.lag().over(ibis.window(group_by=keys, order_by=rows.timestamp))
    silent = rows.timestamp > before + ibis.interval(minutes=INACTIVITY_MINUTES)
    if given:
        silent = silent & rows.session.isnull()
    begins = before.isnull() | silent
    rows = rows.mutate(began=begins.ifelse(rows.timestamp, ibis.null("timestamp")))
    # A range, so that events of one moment see each other whatever their order.
    keys = [rows.customer_id, rows.session] if given else [rows.customer_id]
    so_far = ibis.range_window(group_by=keys, order_by=rows.timestamp, preceding=None, following=0)
    return rows.mutate(started=rows.began.max().over(so_far)).drop("began")


def _letters(event: ir.StringValue) -> ir.StringValue:
    return event.lower().re_replace("[^a-z]+", "")


def _first_purchase_near(events: ir.Table, transactions: ir.Table) -> ir.Table:
    """For each day near a purchase, the first purchase on it or the two days after it."""
    bought = events.filter(_letters(events.event).isin(PURCHASES))
    sold = transactions.filter(transactions.amount > 0)
    both = ibis.union(*(rows.select("customer_id", "timestamp") for rows in (bought, sold)))
    firsts = both.group_by("customer_id", day=both.timestamp.date()).agg(at=both.timestamp.min())
    reach = range(dt.timedelta(hours=CART_HOURS).days + 1)
    near = ibis.union(
        *(
            firsts.select(
                buyer=firsts.customer_id, cart_day=firsts.day - ibis.interval(days=days), at="at"
            )
            for days in reach
        )
    )
    near = near.mutate(cart_day=near.cart_day.cast("date"))
    return near.group_by("buyer", "cart_day").agg(bought_at=near["at"].min())
