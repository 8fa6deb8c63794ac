"""Whom to contact: what an offer is expected to earn from each customer.

A customer who would churn is kept by the offer with the chance `save_rate`, and is then worth their
value less the offer. A customer who would have stayed anyway takes the offer with the chance
`redemption`, and costs it. Every contact costs something. So a contact is expected to earn

    p save_rate (V - offer_cost) - (1 - p) redemption offer_cost - contact_cost

(Verbraken, Verbeke and Baesens 2013, IEEE TKDE 25:961-973, where redemption is 1), and pays above
the break-even probability

    p* = (redemption offer_cost + contact_cost)
         / (save_rate (V - offer_cost) + redemption offer_cost).

The value V is conditional on staying: the margin that a customer brings who is kept. A lifetime
value that already holds the chance of leaving would count churn twice, because p is in the formula.

An experiment tells the chance that the offer keeps a customer, tau, without a save rate: then a
contact earns tau V - offer_cost P(redeem) - contact_cost (`effect_value`). With tau = p save_rate
the two are the same.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from .base import ModelError

__all__ = [
    "Offer",
    "break_even",
    "contact",
    "effect_value",
    "expected_cost",
    "expected_value",
    "value_at_stake",
]

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Offer:
    """What is sent to a customer, what it costs, and what it is believed to do.

    Args:
        contact_cost: Cost of reaching a customer, whatever comes of it.
        offer_cost: Cost of the offer when it is taken.
        save_rate: Chance that the offer keeps a customer who would otherwise churn.
        redemption: Chance that a customer who would have stayed anyway takes the offer.

    Raises:
        ModelError: A cost is negative, or a chance is not between 0 and 1.
    """

    contact_cost: float = 1.0
    offer_cost: float = 10.0
    save_rate: float = 0.30
    redemption: float = 1.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            top = math.inf if field.name.endswith("_cost") else 1.0
            if not (math.isfinite(value) and 0.0 <= value <= top):
                allowed = "a number from 0 up" if top > 1.0 else "a number between 0 and 1"
                raise ModelError(
                    f"{field.name} must be {allowed}, got {value}.",
                    "Costs are in the money of the transactions; 0.3 is 30 %.",
                )


def break_even(value: npt.ArrayLike, offer: Offer) -> Array:
    """Churn probability above which a contact pays, one a value.

    Args:
        value: Money that a customer brings who stays.
        offer: The offer.

    Returns:
        The probability; above 1 (often infinity) where no customer of that value is worth a
        contact, and always where the value is no higher than the offer costs. NaN where the
        value is NaN.

    >>> float(break_even(200.0, Offer(1.0, 10.0, 0.30)).round(5))
    0.16418
    """
    worth = np.asarray(value, dtype=np.float64)
    given_away = offer.redemption * offer.offer_cost
    gained = offer.save_rate * (worth - offer.offer_cost) + given_away
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        p = (given_away + offer.contact_cost) / gained
    never = (worth <= offer.offer_cost) | (gained <= 0.0)
    return np.asarray(np.where(never, np.inf, p), dtype=np.float64)


def expected_value(p: npt.ArrayLike, value: npt.ArrayLike, offer: Offer) -> Array:
    """What a contact is expected to earn, one a customer, in the money of `value`.

    Args:
        p: Churn probability.
        value: Money that the customer brings who stays; one for all, or one each.
        offer: The offer.

    Returns:
        The expected profit against not contacting, which earns nothing; NaN where the
        probability or the value is NaN.

    Raises:
        ModelError: A probability is not between 0 and 1.

    >>> expected_value([0.5, 0.1], 200.0, Offer(1.0, 10.0, 0.30)).round(9).tolist()
    [22.5, -4.3]
    """
    chance = np.asarray(p, dtype=np.float64)
    if ((chance < 0.0) | (chance > 1.0)).any():
        raise ModelError("a churn probability must be between 0 and 1.")
    worth = np.asarray(value, dtype=np.float64)
    kept = chance * (offer.save_rate * (worth - offer.offer_cost))
    given_away = (1.0 - chance) * (offer.redemption * offer.offer_cost)
    return np.asarray(kept - given_away - offer.contact_cost, dtype=np.float64)


def effect_value(
    kept: npt.ArrayLike, p: npt.ArrayLike, value: npt.ArrayLike, offer: Offer
) -> Array:
    """What a contact is expected to earn where its effect on each customer is known.

    kept V - offer_cost P(redeem) - contact_cost; who redeems, see `expected_cost`. The save rate of
    the offer is not used.

    Args:
        kept: Chance that the contact makes the customer stay, P(stay | offer) - P(stay | nothing):
            the tau of an uplift model. Below 0 where the offer drives them away.
        p: Churn probability without the contact.
        value: Money that the customer brings who stays; one for all, or one each.
        offer: What it costs, and who takes it.

    Returns:
        The expected profit against not contacting; NaN where anything is NaN.

    Raises:
        ModelError: A probability is not between 0 and 1, or an effect not between -1 and 1.

    >>> effect_value(0.5 * 0.3, 0.5, 200.0, Offer(1.0, 10.0, 0.3)).round(9).tolist()
    22.5
    """
    gained = np.asarray(kept, dtype=np.float64) * np.asarray(value, dtype=np.float64)
    return np.asarray(gained - expected_cost(kept, p, offer), dtype=np.float64)


def expected_cost(kept: npt.ArrayLike, p: npt.ArrayLike, offer: Offer) -> Array:
    """What a contact is expected to cost, one a customer: contact_cost + offer_cost P(redeem).

    The offer is taken by those whom it keeps, and by the share `redemption` of those who would
    have stayed anyway: P(redeem) = max(kept, 0) + (1 - p) redemption, at most 1.

    Args:
        kept: Chance that the contact makes the customer stay; p save_rate where that is assumed.
        p: Churn probability without the contact.
        offer: What it costs, and who takes it.

    Raises:
        ModelError: A probability is not between 0 and 1, or an effect not between -1 and 1.

    >>> expected_cost(0.15, 0.5, Offer(1.0, 10.0, 0.3)).tolist()
    7.5
    """
    effect, chance = np.asarray(kept, dtype=np.float64), np.asarray(p, dtype=np.float64)
    if ((chance < 0.0) | (chance > 1.0)).any():
        raise ModelError("a churn probability must be between 0 and 1.")
    if (np.abs(effect) > 1.0).any():
        raise ModelError("the effect of an offer on staying must be between -1 and 1.")
    redeemed = np.minimum(np.maximum(effect, 0.0) + (1.0 - chance) * offer.redemption, 1.0)
    return np.asarray(offer.contact_cost + offer.offer_cost * redeemed, dtype=np.float64)


def contact(p: npt.ArrayLike, value: npt.ArrayLike, offer: Offer) -> npt.NDArray[np.bool_]:
    """Whether a contact is expected to earn more than it costs, one a customer.

    A customer whose probability or value is not known (NaN) is not contacted.
    """
    return np.asarray(expected_value(p, value, offer) > 0.0)


def value_at_stake(value: npt.ArrayLike, acquisition_cost: npt.ArrayLike) -> Array:
    """What is lost with a customer who leaves, where they could be replaced.

    A lost customer costs no more than a new one does: min(V, acquisition cost). Where the
    acquisition cost is not known (NaN), it is the value; where the value is NaN, it is NaN.

    >>> value_at_stake([200.0, 200.0, 20.0], [80.0, float("nan"), 80.0]).tolist()
    [80.0, 200.0, 20.0]
    """
    worth = np.asarray(value, dtype=np.float64)
    cost = np.asarray(acquisition_cost, dtype=np.float64)
    return np.asarray(np.where(cost < worth, cost, worth), dtype=np.float64)
