"""What may be sent to customers, what it costs, and under which limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from models.decision import Offer

__all__ = ["YEAR_DAYS", "Decision", "PlannedOffer"]

YEAR_DAYS = 365
"""Days that the value of a customer who stays looks ahead."""


@dataclass(frozen=True)
class PlannedOffer:
    """An offer that customers may get.

    Attributes:
        name: What the scored list and the campaign call it.
        offer: What it costs, and what it is believed to do.
        effect: "assumed": it keeps those who would leave, and are still there, with the offer's
            save rate; "uplift": an uplift model says whom it keeps.
        earns: With a learned effect, what it brings: "value": the customers whom it keeps; "spend":
            what they spend more in the model's horizon, times the margin.
        campaign: Kind of campaign that this model is asked for.
        model: Name of the registered uplift model.
        keeps_days: For how many days a customer who is kept stays.
        only: Column of the scored list, or static attribute -> values that may get it.
        min_p_alive: Least chance of still being a customer with which they may get it: whoever
            left long ago is not kept by what keeps those who hesitate.
    """

    name: str = "offer"
    offer: Offer = field(default_factory=Offer)
    effect: Literal["assumed", "uplift"] = "assumed"
    campaign: str = ""
    model: str = "regulars-uplift"
    keeps_days: int = YEAR_DAYS
    only: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    min_p_alive: float = 0.0
    earns: Literal["value", "spend"] = "value"


@dataclass(frozen=True)
class Decision:
    """What may be sent, what it costs, and whom it is sent to; `[decision]` of the configuration.

    Attributes:
        offers: To choose from.
        budget: Most that the list may cost in expectation; None: no limit.
        list_size: Most customers who are sent something; None: no limit.
        max_contacts: Nobody gets an offer who got so many messages lately; None: no limit.
        contact_days: Days before the cutoff that are "lately".
        control_share: Share held back by lot of those who would get an offer.
        seed: Of that lot.
        value: What every customer is worth in a year who stays; None: each their own.
        margin: Share of spend that is profit, for the value of their own.
        use_acquisition_cost: Nobody is worth more than they cost to win.
    """

    offers: tuple[PlannedOffer, ...] = (PlannedOffer(),)
    budget: float | None = None
    list_size: int | None = None
    max_contacts: int | None = None
    contact_days: int = 30
    control_share: float = 0.10
    seed: int = 0
    value: float | None = None
    margin: float = 1.0
    use_acquisition_cost: bool = False
