"""What is known about a feature, but its code: one row of the catalogue.

Null classes (why a value may be missing):

- "Z" structural zero: the window is observed and nothing happened, so the value is 0.
- "U" undefined: too few events for the formula to have a meaning, so it is missing.
- "C" censored: the window begins before the source does, so it is missing, never 0.
- "S" source absent: the column it needs does not exist; then the feature is left out.
- "" never missing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["REASON_GROUPS", "Feature"]

Kind = Literal["number", "category"]
Origin = Literal["engine", "model"]

REASON_GROUPS: dict[str, str] = {
    "lateness": "how long ago the last purchase was, against the customer's own rhythm",
    "rhythm": "how far apart and how regular the purchases are",
    "frequency": "how often the customer buys",
    "spend": "how much the customer spends",
    "trend": "buying or spending less, or more, than before",
    "basket": "which products the customer buys, and how many of them",
    "returns": "how much the customer sends back",
    "discounts": "how much is bought at a discount",
    "browsing": "how much the customer looks around, in the shop's own pages or app",
    "marketing": "which messages and offers reach the customer, and what becomes of them",
    "loyalty": "points and tier in the loyalty programme",
    "satisfaction": "what the customer says in surveys and reviews",
    "service": "trouble the customer has had, and how it was dealt with",
    "channel": "where the customer buys",
    "profile": "who the customer is, and where they came from",
    "tenure": "how long the customer has been one",
    "contract": "the contract: its age, its fee and plan, when it renews",
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
        kind: "number": float64, missing as NaN. "category": text, missing as None, whose
            levels a model freezes in training; it has no minimum, maximum or monotone sign.
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
    kind: Kind = "number"
