"""Campaigns: the catalogue of their measures, which models of experiments compute."""

from __future__ import annotations

from features.measures.table import Measure

__all__ = ["MEASURES"]

_NEEDS = ("contacts.campaign", "contacts.arm")
_WELCH = "Neyman 1923, Statistical Science 5:465 (1990); interval by Welch"
_EFFECT = "the mean of the treatment arm less that of the control arm, for each customer contacted"

MEASURES = (
    Measure(
        "campaign_effect_purchase",
        "share",
        "Effect on buying",
        "change of the share of customers with a purchase in the campaign's window: " + _EFFECT,
        _WELCH,
        _NEEDS,
    ),
    Measure(
        "campaign_effect_purchases",
        "purchases",
        "Effect on purchases",
        "change of the purchases a customer in the campaign's window: " + _EFFECT,
        _WELCH,
        _NEEDS,
    ),
    Measure(
        "campaign_effect_spend",
        "money",
        "Effect on spend",
        "change of the spend a customer in the campaign's window, returns taken off: " + _EFFECT,
        _WELCH,
        _NEEDS,
    ),
    Measure(
        "campaign_effect_retention",
        "share",
        "Effect on retention",
        "change of the share of customers with a purchase in the churn horizon after the contact: "
        + _EFFECT,
        _WELCH,
        _NEEDS,
    ),
    Measure(
        "campaign_effect_clv",
        "money",
        "Effect on customer lifetime value",
        "change of the margin in the CLV horizon after the contact: what came in so far, plus "
        "what one purchase and spend model, fitted on all contacted customers as they were before, "
        "expects of the days that the data does not reach yet. That model takes a purchase in the "
        "window for as good a sign of loyalty as any other, so of a recent campaign it is an "
        "upper view: " + _EFFECT,
        "a surrogate index (Athey, Chetty, Imbens & Kang 2019, NBER 26463)",
        _NEEDS,
    ),
    Measure(
        "campaign_profit",
        "money",
        "Profit of a campaign",
        "margin of the extra spend in the window of all treated customers, less what their "
        "contacts and offers cost",
        _WELCH,
        (*_NEEDS, "contacts.cost"),
    ),
    Measure(
        "campaign_roi",
        "ratio",
        "Return on investment of a campaign",
        "campaign_profit / cost",
        "",
        (*_NEEDS, "contacts.cost"),
    ),
    Measure(
        "campaign_balance_p",
        "p_value",
        "Was the assignment random?",
        "how often arms drawn at random would differ before the contact as much as these do, in "
        "all that was known together; below 0.01 the assignment does not look random",
        "Hansen & Bowers 2008, Statistical Science 23:219",
        _NEEDS,
    ),
)
"""One row each; see docs/campaigns.md for how they are computed."""
