"""What to do with each cell of the value x risk matrix, and names of segments and clusters."""

# ruff: noqa: RUF001  (Chinese has punctuation marks of its own)

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

__all__ = ["ABSENT_TEXTS", "AVERAGE_TEXTS", "CLUSTER_TEXTS", "PLAY_TEXTS", "SEGMENT_TEXTS"]

Texts = Mapping[str, Mapping[str, tuple[str, str]]]

PLAY_TEXTS: Texts = MappingProxyType(
    {
        "en": {
            "save": (
                "Save",
                (
                    "Worth the most and likely to leave. Ask in person what is wrong, and make the "
                    "best offer that pays."
                ),
            ),
            "protect": (
                "Protect",
                (
                    "Worth much and beginning to drift. Get in touch before they are late: service "
                    "first, an offer second."
                ),
            ),
            "reward": (
                "Reward",
                (
                    "Worth the most and here to stay. Thank them, show them new things early, ask "
                    "for a recommendation. No discounts: they buy without."
                ),
            ),
            "win_back": (
                "Win back",
                (
                    "Of middling value and likely to leave. Send a timed offer to those for whom "
                    "it is expected to pay."
                ),
            ),
            "remind": (
                "Remind",
                "Of middling value, not lost yet. Remind them when their next purchase is due.",
            ),
            "grow": (
                "Grow",
                (
                    "They stay and could buy more. Show them what they are likely to buy next, and "
                    "what goes with it."
                ),
            ),
            "let_go": (
                "Let go",
                (
                    "Worth little and likely to leave. Spend no money on keeping them; a free "
                    "message is enough."
                ),
            ),
            "automate": (
                "Automate",
                "Worth little so far, future open. Automatic messages only.",
            ),
            "welcome": (
                "Build the habit",
                (
                    "Loyal but small, often new. Lead them to the next purchase with help and "
                    "ideas rather than discounts."
                ),
            ),
        },
        "zh": {
            "save": (
                "全力挽留",
                "价值最高且很可能流失。由专人联系，了解原因，并给出划算范围内的最好优惠。",
            ),
            "protect": (
                "重点维护",
                "价值高，开始疏远。在逾期之前主动联系：先改善服务，再考虑优惠。",
            ),
            "reward": (
                "回馈奖励",
                "价值最高且稳定。表达感谢，优先体验新品，邀请推荐。无需打折：他们本来就会购买。",
            ),
            "win_back": ("择优召回", "价值中等且很可能流失。只向预期有收益的客户发送限时优惠。"),
            "remind": ("适时提醒", "价值中等，尚未流失。在下次购买临近时提醒。"),
            "grow": ("促进增长", "关系稳定，还能买得更多。推荐他们接下来最可能购买的商品及搭配。"),
            "let_go": ("顺其自然", "价值低且很可能流失。不为挽留花钱，发送免费消息即可。"),
            "automate": ("自动触达", "目前价值低，去留未定。只使用自动消息。"),
            "welcome": (
                "培养习惯",
                "忠诚但消费少，多为新客户。用帮助和灵感而不是折扣引导下一次购买。",
            ),
        },
    }
)
"""Language -> code of the play -> its title and what to do."""

SEGMENT_TEXTS: Texts = MappingProxyType(
    {
        "en": {
            "Champions": ("Champions", "Bought just now, buy often and spend the most."),
            "Loyal Customers": ("Loyal customers", "Buy often and spend well, and still come."),
            "Potential Loyalists": (
                "Potential loyalists",
                "Bought lately, more than once or for more than a little.",
            ),
            "New Customers": ("New customers", "Bought just now, little and rarely so far."),
            "Promising": ("Promising", "Bought lately, little and rarely so far."),
            "Need Attention": (
                "Need attention",
                "Middling in frequency and spend, and not seen for a while.",
            ),
            "About To Sleep": (
                "About to sleep",
                "Bought little and rarely, and not seen for a while.",
            ),
            "At Risk": ("At risk", "Bought often or spent well, but long ago."),
            "Can't Lose Them": (
                "Can't lose them",
                "Among the best once, and not seen for longest.",
            ),
            "Hibernating": ("Hibernating", "Bought little and rarely, long ago."),
            "Lost": ("Lost", "Bought least, and longest ago."),
        },
        "zh": {
            "Champions": ("冠军客户", "刚刚买过，买得勤，消费最高。"),
            "Loyal Customers": ("忠诚客户", "买得勤，消费高，仍在购买。"),
            "Potential Loyalists": ("潜在忠诚客户", "近期买过，不止一次或金额不低。"),
            "New Customers": ("新客户", "刚刚买过，目前次数少、金额小。"),
            "Promising": ("有潜力客户", "近期买过，目前次数少、金额小。"),
            "Need Attention": ("需要关注", "次数和金额中等，有一段时间没来。"),
            "About To Sleep": ("即将沉睡", "次数少、金额小，有一段时间没来。"),
            "At Risk": ("有流失风险", "曾经买得勤或消费高，但已很久没来。"),
            "Can't Lose Them": ("不能失去", "曾是最好的客户之一，最久没来。"),
            "Hibernating": ("休眠客户", "次数少、金额小，很久没来。"),
            "Lost": ("已流失", "消费最少，也最久没来。"),
        },
    }
)
"""Language -> RFM segment -> its name and what it means."""

CLUSTER_TEXTS: Texts = MappingProxyType(
    {
        "en": {
            "n_purchases_365": ("buys rarely", "buys often"),
            "n_purchases_all": ("buys rarely", "buys often"),
            "days_since_last": ("bought lately", "not seen for long"),
            "aov_365": ("small baskets", "large baskets"),
            "items_per_order_365": ("few items an order", "many items an order"),
            "n_categories_365": ("few kinds of goods", "many kinds of goods"),
            "discount_share_365": ("pays the full price", "buys at a discount"),
            "sessions_90": ("hardly looks around", "looks around a lot"),
        },
        "zh": {
            "n_purchases_365": ("购买少", "购买频繁"),
            "n_purchases_all": ("购买少", "购买频繁"),
            "days_since_last": ("近期买过", "很久没来"),
            "aov_365": ("客单价低", "客单价高"),
            "items_per_order_365": ("每单件数少", "每单件数多"),
            "n_categories_365": ("品类单一", "品类多样"),
            "discount_share_365": ("多按原价购买", "偏好折扣"),
            "sessions_90": ("很少浏览", "浏览频繁"),
        },
    }
)
"""Language -> feature -> how a cluster is described that is far below or far above the average."""

AVERAGE_TEXTS: Mapping[str, str] = MappingProxyType(
    {"en": "close to the average", "zh": "接近平均"}
)
"""Language -> the description of a cluster that stands out by nothing."""

ABSENT_TEXTS: Mapping[str, str] = MappingProxyType(
    {"en": "no purchase in the last year", "zh": "最近一年没有购买"},
)
"""Language -> the description of customers who are in no cluster."""
