"""What can be said about what a customer buys: spend, basket, returns, discounts."""

from __future__ import annotations

import numpy as np

from .message import Bools, Columns, Message, Topic, Value, at_least, below, topic, ways
from .timing import GONE, WINDOWS, no_purchase

__all__ = ["MONEY_TOPICS"]


def _lower_half(c: Columns) -> Bools:
    share = c["spend_percentile"]
    return np.asarray((c["net_spend_365"] >= 0.5) & (share >= 0.01) & (share < 0.5))


def _upper_half(c: Columns) -> Bools:
    share = c["spend_percentile"]
    return np.asarray((c["net_spend_365"] >= 0.5) & (share >= 0.5) & (share <= 0.99))


def _largest_is_larger(c: Columns) -> Bools:
    return np.asarray(np.round(c["max_order_365"]) > np.round(c["aov_365"]))


def _spent_in(days: int) -> tuple[Message, ...]:
    money = f"net_spend_{days}"
    values: dict[str, Value] = {"money": money, "window": days}
    return (
        Message(
            "sent_back_more",
            (money,),
            when=below(money, -0.5),
            reads=1,
            values={"excess": lambda c: np.asarray(-c[money]), "window": days},
        ),
        Message(
            "spent_nothing", (money,), when=below(money, 0.5), reads=1, values=values, fact=GONE
        ),
        Message("spent", (money,), values=values),
    )


_SPENT = tuple(message for days in WINDOWS for message in _spent_in(days))
_FIRST_ORDER = Message("first_order", ("first_order_value",))
_ORDERS = (
    Message("first_order", ("first_order_value", "is_one_time"), when=at_least("is_one_time", 0.5)),
    Message("order_mean_max", ("aov_365", "max_order_365"), when=_largest_is_larger),
    Message("order_mean", ("aov_365", "n_purchases_365"), when=at_least("n_purchases_365", 1.5)),
    *_SPENT,
    Message("order_mean", ("aov_365",)),
)
_PRODUCTS = (no_purchase(365), Message("products", ("n_products_365",)))
_RETURNED = (
    Message("last_return", ("days_since_last_return",), reads=1),
    Message("never_returned", lacks=("days_since_last_return",), reads=-1),
)

MONEY_TOPICS: tuple[Topic, ...] = (
    topic(
        "spend",
        *ways(
            "spent_more_than",
            *("net_spend_365", "spend_percentile"),
            by=((_lower_half, 1), (_upper_half, -1)),
        ),
        *_SPENT,
        *_ORDERS,
        about=("net_spend_365", "spend_percentile"),
    ),
    *(
        topic("spend", *_spent_in(days), *_SPENT, about=[f"net_spend_{days}"])
        for days in WINDOWS[1:]
    ),
    topic(
        "spend",
        *_ORDERS,
        _FIRST_ORDER,
        about=("aov_365", "aov_gg", "max_order_365", "cv_order_value", "value_if_alive"),
    ),
    topic("spend", _FIRST_ORDER, about=["first_order_value"]),
    topic("spend", Message("margin", ("margin_365",)), *_SPENT, about=["margin_365"]),
    topic("basket", *_PRODUCTS, about=["n_products_365"]),
    topic(
        "basket",
        Message("categories", ("n_categories_365",), when=at_least("n_categories_365", 0.5)),
        *_PRODUCTS,
        about=["n_categories_365"],
    ),
    topic(
        "basket",
        Message(
            "one_category",
            ("top_category_share_365",),
            when=at_least("top_category_share_365", 0.995),
        ),
        Message("top_category", ("top_category_share_365",)),
        *_PRODUCTS,
        about=("top_category_share_365", "category_entropy_365"),
    ),
    topic(
        "basket",
        Message("nothing_new", ("new_product_share_90",), when=below("new_product_share_90", 1e-6)),
        Message("new_products", ("new_product_share_90",)),
        *_PRODUCTS,
        about=["new_product_share_90"],
    ),
    topic(
        "basket",
        Message("items", ("items_per_order_365",)),
        *_PRODUCTS,
        about=["items_per_order_365"],
    ),
    topic(
        "returns",
        Message("returned", ("return_rate_365",), when=at_least("return_rate_365", 1e-6), reads=1),
        Message("returned_nothing", ("return_rate_365",), reads=-1),
        no_purchase(365),
        *_RETURNED,
        about=["return_rate_365"],
    ),
    topic("returns", *_RETURNED, about=["days_since_last_return"]),
    topic(
        "discounts",
        Message("no_discount", ("discount_share_365",), when=below("discount_share_365", 1e-6)),
        Message("discount", ("discount_share_365",)),
        no_purchase(365),
        about=["discount_share_365"],
    ),
    topic(
        "discounts",
        Message(
            "no_discount", ("promo_order_share_365",), when=below("promo_order_share_365", 1e-6)
        ),
        Message("promo", ("promo_order_share_365",)),
        no_purchase(365),
        about=["promo_order_share_365"],
    ),
)
"""What can be said about what a customer buys."""
