"""The texts in English."""

from __future__ import annotations

from math import ceil, floor

from .language import Kind, Language, share, value

__all__ = ["ENGLISH"]


def _plural(one: str, many: str) -> Kind:
    def write(value: float) -> str:
        rounded = round(value)
        return f"no {one}" if not rounded else f"{rounded:,} {one if rounded == 1 else many}"

    return write


def _days(value: float) -> str:
    rounded = round(value)
    return f"{rounded:,} {'day' if rounded == 1 else 'days'}"


def _times(value: float) -> str:
    rounded = round(value)
    return {1: "once", 2: "twice"}.get(rounded, f"{rounded:,} times")


def _hours(value: float) -> str:
    hours = max(round(value), 1)
    if hours >= 48:
        return _days(value / 24)
    return f"{hours} {'hour' if hours == 1 else 'hours'}"


def _smoothed(value: float) -> str:
    # (part + 1) / (whole + 2) lies between the share itself and one half.
    if abs(value - 0.5) < 1e-6:
        return "half"
    percent = round(100 * value, 3)  # what is 20 stays 20 in single precision
    return f"less than {ceil(percent)} %" if value < 0.5 else f"more than {floor(percent)} %"


_KINDS: dict[str, Kind] = {
    "value": value("something else"),
    "count": lambda v: f"{round(v):,}",
    "money": lambda v: f"{round(v):,}",
    "percent": lambda v: f"{share(v)} %",
    "smoothed": _smoothed,
    "factor": lambda v: f"{v:,.1f}",
    "days": _days,
    "ago": lambda v: f"{_days(v)} ago" if round(v) else "today",
    "every": lambda v: "day" if round(v) <= 1 else _days(v),
    "hours": _hours,
    "times": _times,
    "purchases": _plural("purchase", "purchases"),
    "products": _plural("product", "different products"),
    "categories": _plural("category", "different categories"),
    "items": lambda v: "1 item" if round(v) <= 1 else f"{round(v):,} items",
    "visits": _plural("online visit", "online visits"),
    "pages": lambda v: "1 page" if round(v) <= 1 else f"{round(v):,} pages",
    "carts": _plural("cart", "carts"),
    "messages": _plural("message", "messages"),
    "points": lambda v: "1 point" if round(v) == 1 else f"{round(v):,} points",
    "contracts": _plural("contract", "contracts"),
    "tickets": _plural("support ticket", "support tickets"),
    "open_tickets": _plural("open support ticket", "open support tickets"),
}

_TEXTS = {
    # Any feature
    "feature": "{feature} is {value}",
    "feature_unknown": "{feature} is not known",
    # Lateness
    "bought_once": "bought once, {days_since_last:ago}",
    "bought_twice": "bought twice, {gap_mean:days} apart; last purchase {days_since_last:ago}",
    "usually_buys": "usually buys every {gap_mean:every}; last purchase {days_since_last:ago}",
    "last_purchase": "last purchase {days_since_last:ago}",
    # Rhythm
    "gap_mean_max": "{gap_mean:days} between purchases on average, {gap_max:count} at most",
    "gap_mean": "{gap_mean:days} between purchases on average",
    "gap_last": "{gap_last:days} between the last two purchases, about {usual:count} before that",
    "gaps_longer": "the time between purchases grows by about {change:percent} each time",
    "gaps_shorter": "the time between purchases shrinks by about {change:percent} each time",
    "gap_spread": "{gap_mean:days} between purchases on average, give or take {spread:count}",
    "lapses_last": "stayed away for long {n_prior_lapses:times} before; "
    "last came back {last_lapse_days_ago:ago}",
    "lapses": "stayed away for long {n_prior_lapses:times} before and came back",
    "no_lapse": "never stayed away for long before",
    "weekend": "{weekend_share_365:percent} of the purchases of the last 365 days on a weekend",
    "no_weekend": "bought nothing on a weekend in the last 365 days",
    "same_hours": "buys at about the same time of the day",
    "any_hours": "buys at different times of the day",
    # Frequency
    "no_purchase": "no purchase in the last {window:days}",
    "purchases": "{purchases:purchases} in the last {window:days}",
    "purchases_so_far": "{n_purchases_all:purchases} so far",
    "active_months": "bought in {active_months_12:count} of the last 12 months",
    # Spend
    "spent_more_than": "spent {net_spend_365:money} in the last 365 days, "
    "more than {spend_percentile:percent} of customers",
    "sent_back_more": "sent back {excess:money} more than was bought in the last {window:days}",
    "spent_nothing": "spent nothing in the last {window:days}",
    "spent": "spent {money:money} in the last {window:days}",
    "order_mean_max": "{aov_365:money} a purchase on average in the last 365 days, "
    "{max_order_365:money} at most",
    "order_mean": "{aov_365:money} a purchase on average in the last 365 days",
    "first_order": "spent {first_order_value:money} on the first purchase",
    "last_order_smaller": "spent {change:percent} less than usual on the last purchase",
    "last_order_larger": "spent {times:factor} times as much as usual on the last purchase",
    "last_order_usual": "spent about as much as usual on the last purchase",
    "margin": "brought a margin of {margin_365:money} in the last 365 days",
    # Trend
    "purchases_and_before": "{n_purchases_90:purchases} in the last 90 days, "
    "{before:count} in the 90 days before",
    "spent_less": "spent {change:percent} less in the last 90 days than in the 90 days before",
    "spent_same": "spent about as much in the last 90 days as in the 90 days before",
    "spent_more": "spent {change:percent} more in the last 90 days than in the 90 days before",
    "spent_times": "spent {change:factor} times as much in the last 90 days "
    "as in the 90 days before",
    "spent_no_more": "spent nothing in the last 90 days, {before:money} in the 90 days before",
    "spent_again": "spent {net_spend_90:money} in the last 90 days, nothing in the 90 days before",
    "slope_down": "spent {net_spend_180:money} in the last 180 days, less towards the end",
    "slope_up": "spent {net_spend_180:money} in the last 180 days, more towards the end",
    "slope_level": "spent {net_spend_180:money} in the last 180 days, evenly spread",
    "below_peak": "{n_purchases_90:purchases} in the last 90 days, "
    "{peak:count} in the best 90 days of the last year",
    "at_peak": "{n_purchases_90:purchases} in the last 90 days, the most of the last year",
    # Basket
    "products": "{n_products_365:products} in the last 365 days",
    "categories": "bought from {n_categories_365:categories} in the last 365 days",
    "one_category": "all that was bought in the last 365 days is of one category",
    "top_category": "{top_category_share_365:percent} of the money of the last 365 days "
    "went to one category",
    "nothing_new": "bought nothing new in the last 90 days",
    "new_products": "{new_product_share_90:percent} of the products of the last 90 days were "
    "bought for the first time",
    "items": "buys about {items_per_order_365:items} at a time",
    "replenishment_due": "the product bought most often is due again: "
    "{replenishment_due_ratio:factor} times its usual interval has passed",
    "replenishment_not_due": "the product bought most often is not due again yet",
    # Returns and discounts
    "returned": "sent back {return_rate_365:percent} of what was bought in the last 365 days",
    "returned_nothing": "sent nothing back in the last 365 days",
    "last_return": "last sent something back {days_since_last_return:ago}",
    "never_returned": "never sent anything back",
    "discount": "saved {discount_share_365:percent} through discounts in the last 365 days",
    "no_discount": "no discount in the last 365 days",
    "promo": "{promo_order_share_365:percent} of the purchases of the last 365 days "
    "with a discount",
    # Tenure
    "first_purchase": "first purchase {tenure_days:ago}",
    "first_to_last": "{first_to_last_days:days} from the first purchase to the last",
    # Browsing
    "visits_and_before": "{sessions_30:visits} in the last 30 days, "
    "{before:count} in the 30 days before",
    "last_visit": "last online visit {days_since_session:ago}",
    "no_visit_known": "no online visit so far",
    "visits": "{visits:visits} in the last {window:days}",
    "active_days": "online on {active_days_30:count} of the last 30 days",
    "abandoned_carts": "left {abandoned_carts_30:carts} unpaid in the last 30 days",
    "visits_since_purchase": "{browse_no_buy_sessions:visits} since the last purchase",
    "views": "looks at about {views_per_session_90:pages} at an online visit",
    "view_to_cart": "put something into the cart at {view_to_cart_90:smoothed} "
    "of the online visits of the last 90 days",
    "cart_to_buy": "bought {cart_to_buy_90:smoothed} of the carts filled in the last 90 days",
    # Marketing
    "messages": "was sent {messages:messages} in the last {window:days}",
    "open_rate": "opened {open_rate_90:smoothed} of the messages of the last 90 days",
    "click_rate": "clicked on {click_rate_90:smoothed} of the messages of the last 90 days",
    "redeem_rate": "used {redeem_rate_365:smoothed} of the offers of the last 365 days",
    # Loyalty
    "no_member": "not in the loyalty programme",
    "member": "in the loyalty programme",
    "tier_points": "loyalty tier {loyalty_tier}, {points_balance:points}",
    "tier": "loyalty tier {loyalty_tier}",
    "points": "{points_balance:points} in the loyalty programme",
    "points_moved": "last won or used loyalty points {days_since_points:ago}",
    # Satisfaction and service
    "last_score": "gave {last_nps:count} of 10 in the last survey, {days_since_nps:ago}",
    "no_score": "no survey answered so far",
    "score_fell": "gave {last_nps:count} of 10 in the last survey, {change:count} less than before",
    "score_rose": "gave {last_nps:count} of 10 in the last survey, {change:count} more than before",
    "csat": "gave {csat_mean_365:percent} of full marks in the surveys of the last 365 days",
    "negative": "{neg_sentiment_share_180:smoothed} of the support tickets "
    "of the last 180 days were unhappy",
    "open_tickets": "{open_tickets:open_tickets}",
    "tickets": "{tickets:tickets} in the last {window:days}",
    "resolved_in": "had support tickets in the last 365 days, "
    "usually settled after {median_resolve_h_365:hours}",
    # Contract
    "subscribed": "subscribed for {subscribed_days:days} without a break",
    "contract_age": "the running contract began {contract_days:ago}",
    "first_contract": "first contract {subscriber_days:ago}",
    "contracts_so_far": "{n_contracts:contracts} so far",
    "contracts_running": "{n_running_contracts:contracts} running",
    "month_renewal": "the contract completes another month in {days_to_month_renewal:days}",
    "year_renewal": "the contract completes another year in {days_to_year_renewal:days}",
    "contract_lapses": "was {n_lapses:times} without a contract for more than 30 days",
    "no_contract_lapse": "never without a contract since the first one",
    "contract_fee": "pays {contract_fee} for the running contract",
    "fee_rose": "pays {change:percent} more than for the contract before",
    "fee_fell": "pays {change:percent} less than for the contract before",
    "fee_kept": "pays the same as for the contract before",
    "contract_plan": "has the plan {contract_plan}",
    "plan_changed": "changed the plan with the running contract",
    "plan_kept": "kept the plan of the contract before",
    # Channel and profile
    "channel_main": "main channel of the last 365 days: {channel_main}",
    "channel_switched": "changed channel in the last 90 days",
    "won_for": "cost {acquisition_cost:money} to win as a customer",
    "came_through": "came through {acquisition_channel}",
    "no_channel_known": "how the customer came is not known",
}

ENGLISH = Language(_TEXTS, _KINDS, "Good sign: ")
"""English."""
