"""Draw the hidden parameters of a block of customers."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from scipy.special import gammainc, ndtri

from features.simulate.shop import (
    CATEGORIES,
    CHANNELS,
    POPULATION,
    Floats,
    Ints,
    Shop,
)

__all__ = ["AGE_GROUPS", "COUNTRIES", "LONGEST_LIFE", "Customers", "draw_customers"]

COUNTRIES = ("United Kingdom", "Germany", "France", "Spain", "China")
_COUNTRY_SHARES = (0.74, 0.09, 0.07, 0.05, 0.05)
AGE_GROUPS = ("18-24", "25-34", "35-44", "45-54", "55-64", "65+")
_AGE_SHARES = (0.10, 0.22, 0.24, 0.20, 0.14, 0.10)
# Days: keeps dates of practically immortal customers inside every calendar type.
LONGEST_LIFE = 36525.0


@dataclass(frozen=True)
class Customers:
    """Parameters of the n customers of a block, by position; rates are per week.

    Attributes:
        ids: customer_id, ascending with the first purchase.
        first: Shop time of the first purchase.
        end: Shop time of dropout, often after the data ends.
        channel, country, age, category: Indices into the lists of names; `category` is the
            one bought most.
        purchase_rate, dropout_rate: While alive, before season, campaigns and programme.
        mean_spend: Mean order value.
        intent: Browsing sessions a week beside those that end in an order.
        satisfaction: Standard normal; falls with the dropout rate (correlation -0.75).
        deal_seeking: Chance that a line is bought at a discount outside the sales.
        campaign_effect: Relative change of the purchase rate in a treated window, shape
            (n, kinds). It grows with deal_seeking for emails and vouchers; calls put frequent
            buyers off.
        acquisition_cost: Cost of winning the customer.
        store_share: Chance that an order is placed in a store instead of online.
        opted_in: May be contacted.
    """

    ids: pa.Array
    first: Floats
    end: Floats
    channel: Ints
    country: Ints
    age: Ints
    category: Ints
    purchase_rate: Floats
    dropout_rate: Floats
    mean_spend: Floats
    intent: Floats
    satisfaction: Floats
    deal_seeking: Floats
    campaign_effect: Floats
    acquisition_cost: Floats
    store_share: Floats
    opted_in: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        """Number of customers."""
        return len(self.first)


def draw_customers(shop: Shop, number: int, n: int, rng: np.random.Generator) -> Customers:
    """Draw `n` customers whose ids count from `number` on."""
    people = POPULATION
    first = _arrivals(shop, n, rng)
    channel = _channels(first / shop.days, rng)

    def factor(values: list[float]) -> Floats:
        return np.asarray(np.array(values)[channel])

    base_rate = rng.gamma(people.r, 1 / people.alpha, n)
    base_dropout = rng.gamma(people.s, 1 / people.beta, n)
    purchase_rate = base_rate * factor([c.purchases for c in CHANNELS])
    dropout_rate = base_dropout * factor([c.dropout for c in CHANNELS])
    life = 7 * rng.standard_exponential(n) / np.maximum(dropout_rate, 1e-12)
    mean_spend = people.p * people.gamma / rng.gamma(people.q, 1.0, n)
    mean_spend *= factor([c.spend for c in CHANNELS])

    quantile = np.clip(gammainc(people.s, people.beta * base_dropout), 1e-6, 1 - 1e-6)
    luck = rng.standard_normal(n)
    satisfaction = -0.75 * ndtri(quantile) + np.sqrt(1 - 0.75**2) * luck
    deal_seeking = rng.beta(1.2, 2.5, n)
    busy = gammainc(people.r, people.alpha * base_rate)  # rank of the purchase rate, 0 to 1
    effect = np.column_stack([0.12 + 0.6 * deal_seeking, 0.10 + 1.6 * deal_seeking, 0.7 - busy])
    effect = np.clip(effect + 0.05 * rng.standard_normal(effect.shape), -0.5, None)
    cost = factor([c.cost for c in CHANNELS]) * rng.gamma(4.0, 0.25, n)
    numbers = pc.utf8_lpad(pa.array(np.arange(number, number + n)).cast(pa.string()), 7, "0")
    return Customers(
        ids=pc.binary_join_element_wise("C", numbers, ""),
        first=first,
        end=first + np.minimum(life, LONGEST_LIFE),
        channel=channel,
        country=_pick(_COUNTRY_SHARES, n, rng),
        age=_pick(_AGE_SHARES, n, rng),
        category=_pick(tuple(1 / (3 + k) for k in range(len(CATEGORIES))), n, rng),
        purchase_rate=purchase_rate,
        dropout_rate=dropout_rate,
        mean_spend=mean_spend,
        intent=0.9 * purchase_rate * rng.gamma(3.0, 1 / 3, n) + rng.gamma(1.0, 0.12, n),
        satisfaction=satisfaction,
        deal_seeking=deal_seeking,
        campaign_effect=effect,
        acquisition_cost=np.round(cost, 2),
        store_share=rng.beta(0.6, 1.8, n),
        opted_in=rng.random(n) < 0.8,
    )


def _pick(shares: tuple[float, ...], n: int, rng: np.random.Generator) -> Ints:
    edges = np.cumsum(shares)
    return np.asarray(np.searchsorted(edges / edges[-1], rng.random(n), side="right"))


def _arrivals(shop: Shop, n: int, rng: np.random.Generator) -> Floats:
    """Times of the first purchase: a growing shop, in season, sorted."""
    growth = 0.8 + 0.4 * np.arange(shop.days) / shop.days
    edges = np.concatenate([[0.0], np.cumsum(growth * np.sqrt(shop.season(0, shop.days)))])
    times = np.interp(rng.random(n) * edges[-1], edges, np.arange(shop.days + 1.0))
    return np.sort(np.minimum(times, np.nextafter(shop.days, 0)))


def _channels(age_of_shop: Floats, rng: np.random.Generator) -> Ints:
    """Channels of customers won at these fractions of the period."""
    weights = np.stack([c.share * (1 + c.trend * (age_of_shop - 0.5)) for c in CHANNELS])
    edges = np.cumsum(weights, axis=0)
    return np.asarray((rng.random(len(age_of_shop)) * edges[-1] >= edges[:-1]).sum(axis=0))
