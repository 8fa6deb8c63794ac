"""The catalogue: one row a feature, with everything that is known about it but its code.

Null classes (why a value may be missing):

- "Z" structural zero: the window is observed and nothing happened, so the value is 0.
- "U" undefined: too few events for the formula to have a meaning, so it is missing.
- "C" censored: the window begins before the source does, so it is missing, never 0.
- "S" source absent: the column it needs does not exist; then the feature is left out.
- "" never missing.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Literal

__all__ = ["CATALOGUE", "REASON_GROUPS", "Feature", "catalogue_hash", "feature"]

Origin = Literal["engine", "model"]

REASON_GROUPS: dict[str, str] = {
    "lateness": "how long ago the last purchase was, against the customer's own rhythm",
    "rhythm": "how far apart and how regular the purchases are",
    "frequency": "how often the customer buys",
    "spend": "how much the customer spends",
    "trend": "buying or spending less, or more, than before",
    "basket": "how many different products the customer buys",
    "returns": "how much the customer sends back",
    "discounts": "how much is bought at a discount",
    "tenure": "how long the customer has been one",
    "season": "the time of the year",
}
"""The subjects that reasons are given in, and what each is about."""


@dataclass(frozen=True)
class Feature:
    """One feature.

    Attributes:
        name: Its column.
        definition: What it is at the cutoff, in words and symbols.
        window: Days before the cutoff that it looks at; "all", or "" where there is none.
        null_class: Letters of the null classes that can apply; see the module's text.
        monotone: Sign of its expected effect on the probability of churn: -1, 0 (none
            assumed) or +1.
        reason_group: The subject it speaks about, a key of `REASON_GROUPS`.
        minimum: Least possible value, None where there is none.
        maximum: Greatest possible value, None where there is none.
        drift_exempt: Whether it moves with the calendar or the age of the data by nature.
        seasonal: Whether it tells the model about the season.
        sources: Columns that it needs, as table.column.
        origin: "engine": computed here, on the data engine. "model": computed by the
            models, from what is learned on training data.
        core: Whether it belongs to the core set.
        version: Raised whenever the definition changes.
    """

    name: str
    definition: str
    window: str
    null_class: str
    monotone: Literal[-1, 0, 1]
    reason_group: str
    minimum: float | None = None
    maximum: float | None = None
    drift_exempt: bool = False
    seasonal: bool = False
    sources: tuple[str, ...] = ("transactions.timestamp", "transactions.amount")
    origin: Origin = "engine"
    core: bool = True
    version: int = 1


_PRODUCT = ("transactions.timestamp", "transactions.amount", "transactions.product_id")
_DISCOUNT = ("transactions.timestamp", "transactions.amount", "transactions.discount")

CATALOGUE: tuple[Feature, ...] = (
    # Recency and tenure
    Feature("days_since_last", "cutoff - last purchase day", "all", "", 1, "lateness", minimum=1),
    Feature(
        "tenure_days",
        "cutoff - first purchase day",
        "all",
        "",
        0,
        "tenure",
        minimum=1,
        drift_exempt=True,
    ),
    Feature(
        "days_since_last_return",
        "cutoff - last day with a return; undefined without a return",
        "all",
        "U",
        0,
        "returns",
        minimum=1,
        core=False,
    ),
    # Frequency
    *(
        Feature(
            f"n_purchases_{days}",
            f"purchases in the last {days} days",
            str(days),
            "ZC",
            -1,
            "frequency",
            minimum=0,
        )
        for days in (30, 90, 180, 365)
    ),
    Feature(
        "n_purchases_all",
        "all purchases",
        "all",
        "",
        -1,
        "frequency",
        minimum=1,
        drift_exempt=True,
        core=False,
    ),
    Feature(
        "purchase_rate_12m",
        "365 * purchases in the last 365 days / min(365, tenure_days); "
        "undefined when tenure_days < 30",
        "365",
        "U",
        -1,
        "frequency",
        minimum=0,
    ),
    Feature(
        "is_one_time",
        "1 when there is exactly one purchase, else 0",
        "all",
        "",
        1,
        "frequency",
        minimum=0,
        maximum=1,
    ),
    # Money
    *(
        Feature(
            f"net_spend_{days}",
            f"sum of amounts, returns taken off, in the last {days} days",
            str(days),
            "ZC",
            -1,
            "spend",
        )
        for days in (30, 90, 180, 365)
    ),
    Feature(
        "aov_365",
        "net spend of the last 365 days / purchases in them; undefined without a purchase",
        "365",
        "U",
        0,
        "spend",
    ),
    Feature(
        "max_order_365",
        "largest value of a purchase in the last 365 days; undefined without a purchase",
        "365",
        "U",
        0,
        "spend",
        minimum=0,
    ),
    Feature(
        "first_order_value",
        "value of the first purchase",
        "all",
        "",
        0,
        "spend",
        minimum=0,
        core=False,
    ),
    Feature(
        "spend_percentile",
        "rank of net_spend_365 within the distribution of the training data, which is "
        "frozen with the model",
        "365",
        "C",
        -1,
        "spend",
        minimum=0,
        maximum=1,
        origin="model",
    ),
    # Rhythm
    Feature(
        "gap_mean",
        "mean days between purchases, (last - first day) / (purchases - 1), at least 1; "
        "undefined below 2 purchases",
        "all",
        "U",
        1,
        "rhythm",
        minimum=1,
    ),
    Feature(
        "gap_cv",
        "sample standard deviation of the gaps / gap_mean; undefined below 3 purchases",
        "all",
        "U",
        0,
        "rhythm",
        minimum=0,
    ),
    Feature(
        "gap_last",
        "days between the last two purchases; undefined below 2 purchases",
        "all",
        "U",
        0,
        "rhythm",
        minimum=0,
        core=False,
    ),
    Feature(
        "gap_max",
        "longest gap between two purchases; undefined below 2 purchases",
        "all",
        "U",
        0,
        "rhythm",
        minimum=0,
        core=False,
    ),
    Feature(
        "overdue_ratio",
        "days_since_last / gap_mean; undefined below 2 purchases",
        "all",
        "U",
        1,
        "lateness",
        minimum=0,
    ),
    Feature(
        "overdue_percentile",
        "share of own gaps that are no longer than days_since_last, shrunk to the share "
        "F among the gaps of all customers: (3 F + own such gaps) / (3 + own gaps); "
        "undefined when nobody has a gap",
        "all",
        "U",
        1,
        "lateness",
        minimum=0,
        maximum=1,
    ),
    Feature(
        "n_prior_lapses",
        "gaps longer than the horizon: times the customer would have been called lost and "
        "came back",
        "all",
        "",
        0,
        "rhythm",
        minimum=0,
    ),
    # Trend
    Feature(
        "purchase_change_90",
        "ln((purchases of the last 90 days + 1) / (those of the 90 days before + 1))",
        "180",
        "C",
        -1,
        "trend",
    ),
    Feature(
        "spend_change_90",
        "ln((net spend of the last 90 days + 1) / (that of the 90 days before + 1)), "
        "each taken as 0 when negative",
        "180",
        "C",
        -1,
        "trend",
    ),
    Feature(
        "share_recent",
        "purchases of the last 90 days / those of the last 365; undefined without any",
        "365",
        "U",
        -1,
        "trend",
        minimum=0,
        maximum=1,
        core=False,
    ),
    Feature(
        "yoy_same_window",
        "purchases in the label window moved back by 365 days; missing where the source "
        "begins after that window's start or the moved window reaches past the cutoff",
        "365 + horizon",
        "C",
        -1,
        "season",
        minimum=0,
        seasonal=True,
    ),
    # Basket
    Feature(
        "n_products_365",
        "distinct products on sale lines (amount > 0) in the last 365 days",
        "365",
        "ZCS",
        -1,
        "basket",
        minimum=0,
        sources=_PRODUCT,
    ),
    Feature(
        "return_rate_365",
        "returned value / value of sale lines in the last 365 days, held within 0 and 1; "
        "undefined without a sale",
        "365",
        "U",
        0,
        "returns",
        minimum=0,
        maximum=1,
    ),
    Feature(
        "discount_share_365",
        "discounts / value before discount on lines that are no returns in the last 365 "
        "days, held within 0 and 1; undefined when nothing was listed",
        "365",
        "US",
        0,
        "discounts",
        minimum=0,
        maximum=1,
        sources=_DISCOUNT,
    ),
    # Fitted on the purchases before the cutoff
    Feature(
        "p_alive",
        "probability that the customer is still one, from a buy-till-you-die model",
        "all",
        "U",
        -1,
        "lateness",
        minimum=0,
        maximum=1,
        origin="model",
    ),
    Feature(
        "probability_no_purchase",
        "probability of no purchase in the horizon, from the same model",
        "all",
        "U",
        1,
        "lateness",
        minimum=0,
        maximum=1,
        origin="model",
    ),
    Feature(
        "expected_purchases",
        "expected purchases in the horizon, from the same model",
        "all",
        "U",
        -1,
        "frequency",
        minimum=0,
        origin="model",
    ),
    # Season
    Feature(
        "month_sin",
        "sin(2 pi (month of the cutoff - 1) / 12)",
        "",
        "",
        0,
        "season",
        minimum=-1,
        maximum=1,
        drift_exempt=True,
        seasonal=True,
        sources=(),
    ),
    Feature(
        "month_cos",
        "cos(2 pi (month of the cutoff - 1) / 12)",
        "",
        "",
        0,
        "season",
        minimum=-1,
        maximum=1,
        drift_exempt=True,
        seasonal=True,
        sources=(),
    ),
)
"""Every feature, in the order of the columns of a snapshot."""

_BY_NAME = {row.name: row for row in CATALOGUE}


def feature(name: str) -> Feature:
    """The row of the catalogue called `name`.

    >>> feature("gap_mean").null_class
    'U'
    """
    return _BY_NAME[name]


def catalogue_hash() -> str:
    """A hash over all rows: two models with the same hash mean the same by each name.

    >>> len(catalogue_hash())
    16
    """
    rows = json.dumps([asdict(row) for row in CATALOGUE], sort_keys=True)
    return hashlib.sha256(rows.encode()).hexdigest()[:16]
