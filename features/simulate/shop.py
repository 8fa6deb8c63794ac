"""The made-up shop: everything about it that is true of all customers.

Time inside the simulation is a float of *shop days* since midnight of the first day.
Within a day it runs evenly over the purchases of that day; `clock` turns it into minutes of
the wall clock, so order in shop time is order on the clock.
"""

import datetime as dt
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

__all__ = [
    "CAMPAIGN_KINDS",
    "CATEGORIES",
    "CHANNELS",
    "DIRT",
    "POPULATION",
    "Campaign",
    "Channel",
    "Floats",
    "Ints",
    "Population",
    "Shop",
    "list_prices",
    "season",
]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Population:
    """How customers differ: the parameters that a fitted model is after.

    While alive, customer i buys as a Poisson process of rate `purchase_rate_i * season(day)`
    a week; the lifetime after the first purchase is exponential with rate `dropout_rate_i` a
    week. Both rates are gamma distributed over customers, so that without season, campaigns
    and programme this is the Pareto/NBD process (Schmittlein, Morrison & Colombo 1987,
    Management Science 33:1). Order values are gamma distributed around a mean that is itself
    inverse-gamma over customers: Gamma-Gamma (Fader, Hardie & Lee 2005, JMR 42:415).

    Attributes:
        r, alpha: Shape and rate (weeks) of the purchase rates, before the channel's factor.
        s, beta: Shape and rate (weeks) of the dropout rates, before the channel's factor.
        p, q, gamma: Gamma-Gamma of the order value, before the channel's factor.
        fading_days: Days before dropout in which browsing and satisfaction fall.
        fading_browse, gone_browse: Share of the usual browsing rate while fading and after.
        loyalty_effect: Relative change of the purchase rate from enrolment on.
        enrol_base, enrol_slope: A purchase made as the k-th one leads a non-member to enrol
            with log-odds `enrol_base + enrol_slope * ln k`. Enrolment depends on nothing else,
            so adjusting for the purchases made so far removes the self-selection.
    """

    r: float = 0.9
    alpha: float = 9.0
    s: float = 0.6
    beta: float = 25.0
    p: float = 5.0
    q: float = 4.0
    gamma: float = 26.0
    fading_days: float = 45.0
    fading_browse: float = 0.3
    gone_browse: float = 0.04
    loyalty_effect: float = 0.2
    enrol_base: float = -4.0
    enrol_slope: float = 1.1


POPULATION = Population()


@dataclass(frozen=True)
class Channel:
    """A way customers are won.

    Attributes:
        share: Share of new customers half-way through the period.
        trend: Relative change of that share from the first day to the last.
        cost: Mean cost of winning one customer.
        purchases, dropout, spend: Factors on the rates and on the mean order value.
    """

    name: str
    share: float
    trend: float
    cost: float
    purchases: float
    dropout: float
    spend: float


CHANNELS = (
    Channel("organic", 0.28, -0.2, 0.0, 1.0, 1.0, 1.0),
    Channel("search", 0.24, 0.0, 14.0, 1.0, 1.0, 1.05),
    Channel("social", 0.20, 1.0, 11.0, 0.8, 1.5, 0.85),
    Channel("referral", 0.12, 0.0, 6.0, 1.3, 0.65, 1.1),
    Channel("marketplace", 0.16, -0.6, 9.0, 0.75, 1.4, 0.9),
)

CAMPAIGN_KINDS = ("email", "voucher", "call")
_SEND_COST = (0.05, 0.40, 3.00)
_TREATED_SHARE = (0.6, 0.5, 0.5)
VOUCHER_VALUE = 5.0


@dataclass(frozen=True)
class Campaign:
    """A campaign with randomly assigned arms.

    Attributes:
        kind: Index into `CAMPAIGN_KINDS`.
        day: Shop day on whose early morning everybody is contacted.
        window_days: The effect lasts this long from that midnight on.
        treated_share: Chance of the treatment arm, the same for everybody.
        send_cost: Cost of one treated contact. A redeemed voucher costs `VOUCHER_VALUE` more.
    """

    name: str
    kind: int
    day: int
    window_days: int
    treated_share: float
    send_cost: float


CATEGORIES = (
    "Kitchen",
    "Bakeware",
    "Garden",
    "Lighting",
    "Bedding",
    "Toys",
    "Stationery",
    "Gifts",
    "Candles",
    "Storage",
    "Bags",
    "Decoration",
)
N_PRICES = 100

# Share of the clean order lines that each kind of dirt adds (or, for untidy text, changes).
DIRT = MappingProxyType(
    {
        "missing_customer": 0.015,
        "exact_duplicate": 0.003,
        "zero_price": 0.002,
        "unparseable_date": 0.0007,
        "write_off": 0.001,
        "non_product_code": 0.01,
        "untidy_text": 0.005,
    }
)
# The same for events.
EVENT_DIRT = MappingProxyType({"missing_customer": 0.01, "exact_duplicate": 0.001})

_WEEKDAYS = np.array([1.02, 1.04, 1.05, 1.12, 1.13, 0.86, 0.78])
# Purchases by hour of the day, 07:00 to 23:00.
_HOURS = np.array([1, 2, 4, 6, 7, 8, 8, 7, 6, 6, 6, 7, 8, 8, 6, 3], dtype=np.float64)
_HOUR_EDGES = np.arange(7, 7 + len(_HOURS) + 1) * 60.0
_HOUR_SHARES = np.concatenate([[0.0], np.cumsum(_HOURS) / _HOURS.sum()])


def _yearly(day_of_year: Floats) -> Floats:
    def bump(centre: float, width: float) -> Floats:
        return np.asarray(np.exp(-(((day_of_year - centre) / width) ** 2)))

    wave = 0.06 * np.cos(2 * np.pi * (day_of_year - 340) / 365.25)
    return np.asarray(1 + wave + 0.8 * bump(336, 17) - 0.22 * bump(24, 20) - 0.12 * bump(214, 25))


_YEARLY_MEAN = float(_yearly(np.arange(1.0, 367.0)).mean())


def season(days: npt.NDArray[np.datetime64]) -> Floats:
    """Factor on every purchase rate on each calendar day; 1 on average over a year.

    High in November and December, low in late January and in high summer, and lower on
    Saturdays and Sundays.

    >>> import numpy as np
    >>> december, january = season(np.array(["2024-12-02", "2024-01-22"], dtype="datetime64[D]"))
    >>> bool(december > 2 * january)
    True
    """
    days = days.astype("datetime64[D]")
    day_of_year = (days - days.astype("datetime64[Y]")).astype(np.int64) + 1
    weekday = (days.astype(np.int64) + 3) % 7  # 1970-01-01 was a Thursday
    return np.asarray(_yearly(day_of_year.astype(np.float64)) / _YEARLY_MEAN * _WEEKDAYS[weekday])


def list_prices() -> Ints:
    """List prices in cents of the `N_PRICES` products of any category, ascending."""
    prices = 95 * (300_00 / 95) ** (np.arange(N_PRICES) / (N_PRICES - 1))
    # Shelf prices end in 5 or 9; the small ones keep their cents so that all differ.
    rounded = np.where(prices < 500, np.round(prices), np.round(prices / 10) * 10 - 1)
    return np.asarray(rounded, dtype=np.int64)


@dataclass(frozen=True)
class Shop:
    """The shop's calendar: first day, length, season, campaigns, loyalty programme."""

    start: dt.date
    days: int

    @property
    def first(self) -> np.datetime64:
        """First day of the data."""
        return np.datetime64(self.start, "D")

    @property
    def last_day(self) -> dt.date:
        """Last day of the data."""
        return self.start + dt.timedelta(days=self.days - 1)

    def season(self, start: int, days: int) -> Floats:
        """Season factors of `days` days from shop day `start` on."""
        return season(self.first + np.arange(start, start + days))

    def season_clock(self) -> Floats:
        """Season added up to each midnight, shape (days + 1,), starting at 0."""
        return np.concatenate([[0.0], np.cumsum(self.season(0, self.days))])

    def minutes(self, time: Floats) -> Ints:
        """Wall-clock minutes since 1970 of shop times; keeps their order."""
        day = np.floor(time)
        minute = np.floor(np.interp(time - day, _HOUR_SHARES, _HOUR_EDGES))
        since = int(self.first.astype(np.int64)) * 1440
        return np.asarray(since + day.astype(np.int64) * 1440 + minute.astype(np.int64))

    @property
    def end_minute(self) -> int:
        """Minutes since 1970 of the midnight that ends the data."""
        return (int(self.first.astype(np.int64)) + self.days) * 1440

    @property
    def programme_day(self) -> int:
        """Shop day on which the loyalty programme starts."""
        return min(180, self.days // 2)

    @property
    def campaigns(self) -> tuple[Campaign, ...]:
        """Campaigns of 42 days every 91 days that fit into the period; windows never overlap."""
        found = []
        for number, day in enumerate(range(150, self.days - 41, 91)):
            kind = number % len(CAMPAIGN_KINDS)
            when = self.start + dt.timedelta(days=day)
            found.append(
                Campaign(
                    name=f"{CAMPAIGN_KINDS[kind]}-{when:%Y-%m}",
                    kind=kind,
                    day=day,
                    window_days=42,
                    treated_share=_TREATED_SHARE[kind],
                    send_cost=_SEND_COST[kind],
                )
            )
        return tuple(found)
