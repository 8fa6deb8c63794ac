"""When customers buy: purchases, campaigns and the loyalty programme, as one point process."""

import itertools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from features.simulate.customers import Customers
from features.simulate.shop import POPULATION, Campaign, Floats, Ints, Shop

__all__ = ["Contact", "History", "simulate_purchases", "window_truth"]


@dataclass(frozen=True)
class Contact:
    """One campaign's contacts.

    Attributes:
        customer: Positions of the contacted customers, ascending.
        treated: Random assignment.
        expected, probability: True number of purchases and chance of at least one in the
            window given the hidden state at contact, shape (contacts, 2): untreated, treated.
    """

    campaign: Campaign
    customer: Ints
    treated: npt.NDArray[np.bool_]
    expected: Floats
    probability: Floats


@dataclass(frozen=True)
class History:
    """All orders of a block of customers.

    Attributes:
        customer, time: Position and shop time of each order, sorted by both.
        enrolled: Shop time of enrolment by customer, inf for non-members.
        expected: Expected number of orders by customer given the parameters and, for each
            moment, what happened before it (the compensator, first order included).
        contacts: One entry a campaign.
    """

    customer: Ints
    time: Floats
    enrolled: Floats
    expected: Floats
    contacts: tuple[Contact, ...]


def window_truth(rate: Floats, dropout: Floats, season: Floats) -> tuple[Floats, Floats]:
    """Expected purchases and chance of any in a window, for customers alive at its start.

    Purchases come at `rate * season[d]` a day on day d of the window, dropout at the constant
    rate `dropout` a day. Within a day both rates are constant, so the integrals are exact:
    E = sum_d rate s_d exp(-m d) (1 - exp(-m)) / m, and the chance of none adds up dropping
    out first and surviving, each without a purchase.

    Args:
        rate: Purchases a day in average season, shape (n,).
        dropout: Dropouts a day, shape (n,).
        season: Factors of the days of the window.

    Returns:
        Expected number of purchases and probability of at least one, each of shape (n,).
    """
    expected = np.zeros_like(rate)
    none = np.zeros_like(rate)
    alive = np.ones_like(rate)  # still a customer at the midnight that starts the day
    silent = np.ones_like(rate)  # still a customer and without a purchase so far
    leaves = -np.expm1(-dropout)
    mean_day = np.divide(leaves, dropout, out=np.ones_like(rate), where=dropout > 0)
    for factor in season:
        intensity = rate * factor
        expected += intensity * alive * mean_day
        alive *= 1 - leaves
        both = intensity + dropout
        ended = -np.expm1(-both)
        share = np.divide(dropout, both, out=np.zeros_like(rate), where=both > 0)
        none += silent * share * ended
        silent *= 1 - ended
    return expected, np.maximum(1 - none - silent, 0)


def simulate_purchases(customers: Customers, shop: Shop, rng: np.random.Generator) -> History:
    """Draw every order of a block of customers.

    The period is cut where a campaign starts or ends. Inside a piece a customer's rate is
    constant but for season and enrolment, so orders are Poisson in season time; a customer
    who enrols within a piece gets the extra orders of a member from that moment on.
    """
    n = len(customers)
    clock = shop.season_clock()
    grid = np.arange(shop.days + 1.0)
    starting = {campaign.day: campaign for campaign in shop.campaigns}
    cuts = {0, shop.days, *starting, *(c.day + c.window_days for c in shop.campaigns)}
    effect = POPULATION.loyalty_effect
    rate = customers.purchase_rate / 7

    enrolled = np.full(n, np.inf)
    boost = np.ones(n)  # factor of the campaign that is on
    last = np.full(n, -np.inf)
    orders = np.zeros(n, dtype=np.int64)
    expected = np.ones(n)
    found: list[tuple[Ints, Floats]] = []
    contacts: list[Contact] = []

    def draw(who: Ints, low: Floats, high: Floats, intensity: Floats) -> tuple[Ints, Floats]:
        """Orders of `who` between two season-clock times at `intensity`; adds to expected."""
        mean = intensity * (high - low)
        expected[who] += mean
        count = rng.poisson(mean)
        place = np.repeat(np.arange(len(who)), count)
        at = low[place] + rng.random(len(place)) * (high - low)[place]
        return who[place], np.interp(at, clock, grid)

    edges = sorted(cuts)
    for begin, finish in itertools.pairwise(edges):
        boost[:] = 1
        if begin in starting:
            contact = _contact(customers, shop, starting[begin], last, enrolled, rng)
            who = contact.customer[contact.treated]
            boost[who] += customers.campaign_effect[who, contact.campaign.kind]
            contacts.append(contact)
        low = np.maximum(customers.first, begin)
        high = np.minimum(customers.end, finish)
        active = np.flatnonzero(high > low)
        low_clock, high_clock = (np.interp(x, grid, clock) for x in (low[active], high[active]))
        member = np.where(np.isfinite(enrolled[active]), 1 + effect, 1.0)
        who, time = draw(active, low_clock, high_clock, rate[active] * boost[active] * member)
        new = np.flatnonzero((customers.first >= begin) & (customers.first < finish))
        who, time = np.concatenate([new, who]), np.concatenate([customers.first[new], time])
        order = np.lexsort((time, who))
        who, time = who[order], time[order]

        joins = _enrol(who, time, orders, enrolled, shop.programme_day, rng)
        high_clock = np.interp(high[joins], grid, clock)
        low_clock = np.interp(enrolled[joins], grid, clock)
        extra = draw(joins, low_clock, high_clock, rate[joins] * boost[joins] * effect)
        who, time = np.concatenate([who, extra[0]]), np.concatenate([time, extra[1]])
        np.maximum.at(last, who, time)
        orders += np.bincount(who, minlength=n)
        found.append((who, time))

    who = np.concatenate([piece[0] for piece in found])
    time = np.concatenate([piece[1] for piece in found])
    # Rounding in the inversion must carry no order past dropout or the last day.
    time = np.minimum(time, np.minimum(customers.end[who], np.nextafter(shop.days, 0)))
    order = np.lexsort((time, who))
    return History(who[order], time[order], enrolled, expected, tuple(contacts))


def _enrol(
    who: Ints,
    time: Floats,
    orders: Ints,
    enrolled: Floats,
    programme_day: int,
    rng: np.random.Generator,
) -> Ints:
    """Let non-members enrol at their orders (sorted); sets `enrolled`, returns who did."""
    chance = rng.random(len(who))
    starts = np.flatnonzero(np.diff(who, prepend=-1))
    rank = np.arange(len(who)) - np.repeat(starts, np.diff(starts, append=len(who)))
    number = orders[who] + rank + 1
    odds = np.exp(POPULATION.enrol_base + POPULATION.enrol_slope * np.log(number))
    says_yes = (chance < odds / (1 + odds)) & (time >= programme_day) & np.isinf(enrolled[who])
    # Sorted by time, so the first yes of a customer is the enrolment.
    joins, where = np.unique(who[says_yes], return_index=True)
    enrolled[joins] = time[says_yes][where]
    return joins


def _contact(
    customers: Customers,
    shop: Shop,
    campaign: Campaign,
    last: Floats,
    enrolled: Floats,
    rng: np.random.Generator,
) -> Contact:
    """Choose 70 % of the opted-in customers of the last 365 days; assign arms at random."""
    eligible = customers.opted_in & (last >= campaign.day - 365)
    who = np.flatnonzero(eligible & (rng.random(len(customers)) < 0.7))
    treated = rng.random(len(who)) < campaign.treated_share
    alive = customers.end[who] > campaign.day
    member = np.where(np.isfinite(enrolled[who]), 1 + POPULATION.loyalty_effect, 1.0)
    rate = customers.purchase_rate[who] / 7 * member * alive
    dropout = customers.dropout_rate[who] / 7
    days = shop.season(campaign.day, campaign.window_days)
    untreated = window_truth(rate, dropout, days)
    boosted = rate * (1 + customers.campaign_effect[who, campaign.kind])
    effects = window_truth(boosted, dropout, days)
    return Contact(
        campaign,
        who,
        treated,
        np.column_stack([untreated[0], effects[0]]),
        np.column_stack([untreated[1], effects[1]]),
    )
