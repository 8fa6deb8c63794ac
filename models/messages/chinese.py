"""The texts in simplified Chinese."""

# ruff: noqa: RUF001  (Chinese has punctuation marks of its own)

from __future__ import annotations

from math import ceil, floor

from .language import Kind, Language, share, value

__all__ = ["CHINESE"]


def _some(what: str, none: str) -> Kind:
    """Write a count: `what` has a place for the number, `none` stands for zero."""

    def write(value: float) -> str:
        return what.format(f"{round(value):,}") if round(value) else none

    return write


def _days(value: float) -> str:
    return f"{round(value):,} 天"


def _hours(value: float) -> str:
    hours = max(round(value), 1)
    return _days(value / 24) if hours >= 48 else f"{hours} 小时"


def _smoothed(value: float) -> str:
    # (part + 1) / (whole + 2) lies between the share itself and one half.
    if abs(value - 0.5) < 1e-6:
        return "一半"
    percent = round(100 * value, 3)  # what is 20 stays 20 in single precision
    return f"不到 {ceil(percent)}% " if value < 0.5 else f"超过 {floor(percent)}% "


_KINDS: dict[str, Kind] = {
    "value": value("其他"),
    "count": lambda v: f"{round(v):,}",
    "money": lambda v: f"{round(v):,}",
    "percent": lambda v: f"{share(v)}%",
    "smoothed": _smoothed,
    "factor": lambda v: f"{v:,.1f}",
    "days": _days,
    "hours": _hours,
    "purchases": _some("购买 {} 次", "没有购买"),
    "products": _some("购买了 {} 种商品", "没有购买商品"),
    "visits": _some("线上访问 {} 次", "没有线上访问"),
    "messages": _some("收到 {} 条营销消息", "没有收到营销消息"),
    "tickets": _some("提交了 {} 个客服工单", "没有提交客服工单"),
}

_TEXTS = {
    # Any feature
    "feature": "{feature} 为 {value}",
    "feature_unknown": "{feature} 未知",
    # Lateness
    "bought_once": "只购买过一次，距今 {days_since_last:days}",
    "bought_twice": "购买过两次，相隔 {gap_mean:days}，上次购买距今 {days_since_last:days}",
    "usually_buys": "通常每 {gap_mean:days}购买一次，上次购买距今 {days_since_last:days}",
    "last_purchase": "上次购买距今 {days_since_last:days}",
    # Rhythm
    "gap_mean_max": "平均每 {gap_mean:days}购买一次，最长间隔 {gap_max:days}",
    "gap_mean": "平均每 {gap_mean:days}购买一次",
    "gap_last": "最近两次购买相隔 {gap_last:days}，此前平均约 {usual:days}",
    "gaps_longer": "购买间隔每次约延长 {change:percent}",
    "gaps_shorter": "购买间隔每次约缩短 {change:percent}",
    "gap_spread": "平均每 {gap_mean:days}购买一次，上下浮动约 {spread:days}",
    "lapses_last": "曾有 {n_prior_lapses:count} 次长期未购买后又回来，"
    "最近一次回来距今 {last_lapse_days_ago:days}",
    "lapses": "曾有 {n_prior_lapses:count} 次长期未购买后又回来",
    "no_lapse": "以前从未长期不购买",
    "weekend": "最近 365 天有 {weekend_share_365:percent} 的购买在周末",
    "no_weekend": "最近 365 天没有在周末购买",
    "same_hours": "总在一天中差不多的时段购买",
    "any_hours": "在一天中的不同时段购买",
    # Frequency
    "no_purchase": "最近 {window:days}没有购买",
    "purchases": "最近 {window:days}{purchases:purchases}",
    "purchases_so_far": "累计{n_purchases_all:purchases}",
    "active_months": "最近 12 个月中有 {active_months_12:count} 个月购买过",
    # Spend
    "spent_more_than": "最近 365 天消费 {net_spend_365:money}，"
    "高于 {spend_percentile:percent} 的客户",
    "sent_back_more": "最近 {window:days}的退货金额比购买金额多 {excess:money}",
    "spent_nothing": "最近 {window:days}没有消费",
    "spent": "最近 {window:days}消费 {money:money}",
    "order_mean_max": "最近 365 天平均每次消费 {aov_365:money}，最高一次 {max_order_365:money}",
    "order_mean": "最近 365 天平均每次消费 {aov_365:money}",
    "first_order": "首次购买消费 {first_order_value:money}",
    "last_order_smaller": "上次购买的金额比平时少 {change:percent}",
    "last_order_larger": "上次购买的金额是平时的 {times:factor} 倍",
    "last_order_usual": "上次购买的金额与平时相当",
    "margin": "最近 365 天带来毛利 {margin_365:money}",
    # Trend
    "purchases_and_before": "最近 90 天{n_purchases_90:purchases}，之前的 90 天{before:purchases}",
    "spent_less": "最近 90 天的消费比之前的 90 天少 {change:percent}",
    "spent_same": "最近 90 天的消费与之前的 90 天相当",
    "spent_more": "最近 90 天的消费比之前的 90 天多 {change:percent}",
    "spent_times": "最近 90 天的消费是之前的 90 天的 {change:factor} 倍",
    "spent_no_more": "最近 90 天没有消费，之前的 90 天消费 {before:money}",
    "spent_again": "最近 90 天消费 {net_spend_90:money}，之前的 90 天没有消费",
    "slope_down": "最近 180 天消费 {net_spend_180:money}，越往后越少",
    "slope_up": "最近 180 天消费 {net_spend_180:money}，越往后越多",
    "slope_level": "最近 180 天消费 {net_spend_180:money}，前后平稳",
    "below_peak": "最近 90 天{n_purchases_90:purchases}，过去一年里最多的 90 天{peak:purchases}",
    "at_peak": "最近 90 天{n_purchases_90:purchases}，是过去一年里最多的",
    # Basket
    "products": "最近 365 天{n_products_365:products}",
    "categories": "最近 365 天购买过 {n_categories_365:count} 个品类",
    "one_category": "最近 365 天只购买了一个品类",
    "top_category": "最近 365 天有 {top_category_share_365:percent} 的消费集中在一个品类",
    "nothing_new": "最近 90 天购买的都是以前买过的商品",
    "new_products": "最近 90 天购买的商品中有 {new_product_share_90:percent} 是第一次购买",
    "items": "每次约购买 {items_per_order_365:count} 件商品",
    "replenishment_due": "最常买的商品该补货了："
    "已过去平时间隔的 {replenishment_due_ratio:factor} 倍",
    "replenishment_not_due": "最常买的商品还没到补货的时候",
    # Returns and discounts
    "returned": "最近 365 天的退货占购买金额的 {return_rate_365:percent}",
    "returned_nothing": "最近 365 天没有退货",
    "last_return": "上次退货距今 {days_since_last_return:days}",
    "never_returned": "从未退货",
    "discount": "最近 365 天通过折扣节省了 {discount_share_365:percent}",
    "no_discount": "最近 365 天没有享受折扣",
    "promo": "最近 365 天有 {promo_order_share_365:percent} 的购买享受了折扣",
    # Tenure
    "first_purchase": "首次购买距今 {tenure_days:days}",
    "first_to_last": "首次购买到最近一次购买相隔 {first_to_last_days:days}",
    # Browsing
    "visits_and_before": "最近 30 天{sessions_30:visits}，之前的 30 天{before:visits}",
    "last_visit": "上次线上访问距今 {days_since_session:days}",
    "no_visit_known": "至今没有线上访问",
    "visits": "最近 {window:days}{visits:visits}",
    "active_days": "最近 30 天中有 {active_days_30:count} 天在线上活跃",
    "abandoned_carts": "最近 30 天有 {abandoned_carts_30:count} 个购物车没有付款",
    "visits_since_purchase": "上次购买之后{browse_no_buy_sessions:visits}",
    "views": "每次线上访问约浏览 {views_per_session_90:count} 个页面",
    "view_to_cart": "最近 90 天有{view_to_cart_90:smoothed}的线上访问把商品加入了购物车",
    "cart_to_buy": "最近 90 天有{cart_to_buy_90:smoothed}的购物车最终付款",
    # Marketing
    "messages": "最近 {window:days}{messages:messages}",
    "open_rate": "最近 90 天打开了{open_rate_90:smoothed}的营销消息",
    "click_rate": "最近 90 天点击了{click_rate_90:smoothed}的营销消息",
    "redeem_rate": "最近 365 天使用了{redeem_rate_365:smoothed}的优惠",
    # Loyalty
    "no_member": "没有加入会员计划",
    "member": "已加入会员计划",
    "tier_points": "会员等级 {loyalty_tier}，积分 {points_balance:count}",
    "tier": "会员等级 {loyalty_tier}",
    "points": "会员积分 {points_balance:count}",
    "points_moved": "上次获得或使用积分距今 {days_since_points:days}",
    # Satisfaction and service
    "last_score": "最近一次调查评分 {last_nps:count}（满分 10），距今 {days_since_nps:days}",
    "no_score": "至今没有回复过调查",
    "score_fell": "最近一次调查评分 {last_nps:count}（满分 10），比上一次低 {change:count} 分",
    "score_rose": "最近一次调查评分 {last_nps:count}（满分 10），比上一次高 {change:count} 分",
    "csat": "最近 365 天满意度评分平均为满分的 {csat_mean_365:percent}",
    "negative": "最近 180 天有{neg_sentiment_share_180:smoothed}的客服工单表达了不满",
    "open_tickets": "有 {open_tickets:count} 个客服工单尚未解决",
    "tickets": "最近 {window:days}{tickets:tickets}",
    "resolved_in": "最近 365 天有客服工单，通常 {median_resolve_h_365:hours}后解决",
    # Contract
    "subscribed": "已连续订阅 {subscribed_days:days}",
    "contract_age": "现有合约开始于 {contract_days:days}前",
    "first_contract": "首份合约距今 {subscriber_days:days}",
    "contracts_so_far": "累计签过 {n_contracts:count} 份合约",
    "contracts_running": "有 {n_running_contracts:count} 份合约在履行",
    "month_renewal": "合约再过 {days_to_month_renewal:days}又满一个月",
    "year_renewal": "合约再过 {days_to_year_renewal:days}又满一年",
    "contract_lapses": "曾有 {n_lapses:count} 次超过 30 天没有合约",
    "no_contract_lapse": "自首份合约以来从未中断",
    "contract_fee": "现有合约费用为 {contract_fee}",
    "fee_rose": "费用比上一份合约高 {change:percent}",
    "fee_fell": "费用比上一份合约低 {change:percent}",
    "fee_kept": "费用与上一份合约相同",
    "contract_plan": "套餐为 {contract_plan}",
    "plan_changed": "现有合约更换了套餐",
    "plan_kept": "沿用上一份合约的套餐",
    # Channel and profile
    "channel_main": "最近 365 天的主要渠道：{channel_main}",
    "channel_switched": "最近 90 天更换了购买渠道",
    "won_for": "获客成本 {acquisition_cost:money}",
    "came_through": "通过 {acquisition_channel} 成为客户",
    "no_channel_known": "客户来源未知",
}

CHINESE = Language(_TEXTS, _KINDS, "积极信号：")
"""Simplified Chinese."""
