"""What customers will do in a horizon: expectations, and the intervals round them.

The working side of `CustomerLifetimeValue.predict`: a `Question` holds everything that is the
same for all customers, and `answer` works it out for a block of them.

Intervals are read off at one fixed low-discrepancy set of points: for each point the number of
purchases at its first coordinate's quantile, and, given the number, the value of the purchases
and the customer's own level of spend at its second and third.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import gammaincinv

from .base import CLV_COLUMNS, ModelError
from .btyd import PurchaseModel
from .btyd.formulas import FloatArray
from .btyd.model import Future, thin_draws, weekly_rate
from .spend import GammaGamma, spend_by_draw

__all__ = ["Customers", "Question", "answer"]

_POINTS = 1024  # points at which the distribution of value is read
_INTERVAL_DRAWS = 64  # posterior draws behind the intervals
_DISCOUNT_DRAWS = 25  # and behind the mean discount factor, which hardly depends on them
_TEN_YEARS = 3652.5


@dataclass(frozen=True)
class Customers:
    """What is known of the customers asked about, one entry a customer.

    Attributes:
        frequency: Repeat purchases.
        recency: First to last purchase, weeks.
        T: First purchase to cutoff, weeks.
        values: Purchases with a known value; the same for equal frequency.
        mean_value: Their mean value.
    """

    frequency: FloatArray
    recency: FloatArray
    T: FloatArray
    values: FloatArray
    mean_value: FloatArray

    def __len__(self) -> int:
        """Number of customers."""
        return len(self.frequency)

    def at(self, rows: npt.NDArray[np.intp]) -> Customers:
        """Some of them."""
        return Customers(
            self.frequency[rows],
            self.recency[rows],
            self.T[rows],
            self.values[rows],
            self.mean_value[rows],
        )


@dataclass(frozen=True)
class Question:
    """What is asked, with everything that is the same for all customers. Made by `ask`."""

    purchases: PurchaseModel
    weeks: float
    rate: float
    margin: float
    low: float
    high: float
    intervals: bool
    draws: Mapping[str, FloatArray]
    few: Mapping[str, FloatArray]
    fewest: Mapping[str, FloatArray]
    spend: Mapping[str, FloatArray]
    uniform: FloatArray  # (3, points): number, value and level of spend
    spend_at: Mapping[str, FloatArray]  # spend parameters of each point

    @classmethod
    def ask(
        cls,
        purchases: PurchaseModel,
        spend: GammaGamma,
        *,
        horizon_days: float,
        annual_discount_rate: float,
        margin: float,
        interval: float,
        n_draws: int,
    ) -> Question:
        """Check the arguments of `CustomerLifetimeValue.predict` and prepare the draws.

        Raises:
            ModelError: An impossible argument.
        """
        if not (np.isfinite(horizon_days) and horizon_days > 0):
            raise ModelError(f"horizon_days is {horizon_days}.", "Use a number of days above 0.")
        if not np.isfinite(margin) or margin < 0:
            raise ModelError(f"margin is {margin}.", "Use a share such as 0.35 for 35 %.")
        if not 0.0 < interval < 1.0:
            raise ModelError(f"interval is {interval}.", "Use a probability such as 0.90.")
        if n_draws < 1:
            raise ModelError(f"n_draws is {n_draws}.", "Use at least 1.")
        draws, spend_draws = purchases.posterior, spend.posterior
        uniform = _low_discrepancy(_POINTS)
        size = len(spend_draws["p"])
        which = np.minimum((uniform[3] * size).astype(int), size - 1)
        inferences = (purchases.diagnostics.get("inference"), spend.diagnostics.get("inference"))
        return cls(
            purchases=purchases,
            weeks=horizon_days / 7.0,
            rate=weekly_rate(annual_discount_rate),
            margin=margin,
            low=0.5 * (1.0 - interval),
            high=0.5 * (1.0 + interval),
            intervals="map" not in inferences,
            draws=thin_draws(draws, n_draws),
            few=thin_draws(draws, min(n_draws, _INTERVAL_DRAWS)),
            fewest=thin_draws(draws, min(n_draws, _DISCOUNT_DRAWS)),
            spend=thin_draws(spend_draws, n_draws),
            uniform=uniform[:3],
            spend_at={name: values[which] for name, values in spend_draws.items()},
        )


def answer(ask: Question, who: Customers) -> FloatArray:
    """Work out the output columns for one block of customers, sorted by frequency and T.

    Returns:
        (n, columns of `CLV_COLUMNS`).
    """
    out = np.empty((len(who), len(CLV_COLUMNS)))
    for group in np.split(np.arange(len(who)), np.flatnonzero(np.diff(who.frequency)) + 1):
        if len(group):
            out[group] = _answer_frequency(ask, who.at(group))
    return out


def _answer_frequency(ask: Question, who: Customers) -> FloatArray:
    """The output columns for customers with one frequency."""
    x, known = float(who.frequency[0]), float(who.values[0])
    lengths, place = np.unique(who.T, return_inverse=True)
    history = (np.full((1, 1), x), who.recency[:, None], who.T[:, None])

    alive = ask.purchases._alive(ask.draws, *history)
    future = ask.purchases._future(ask.draws, x, lengths)
    expected = (alive * future.expected(ask.weeks)[place]).mean(axis=1)
    none = 1.0 - (alive * (1.0 - future.none(ask.weeks))[place]).mean(axis=1)
    wait = 7.0 * future.next_purchase().mean(axis=1)[place]
    discount = _discount_factor(ask, x, history, lengths, place)
    per_purchase = spend_by_draw(ask.spend, who.values, who.mean_value).mean(axis=1)

    spend = expected * per_purchase
    unknown = np.full(len(who), np.nan)
    low, high, value_low, value_high = unknown, unknown, unknown, unknown
    if ask.intervals:
        low, high, numbers = _numbers(ask, x, history, lengths, place)
        value_low, value_high = _value_quantiles(ask, numbers, known, who.mean_value)
    factor = ask.margin * discount
    return np.column_stack(
        [
            alive.mean(axis=1),
            none.clip(0.0, 1.0),
            expected,
            low,
            high,
            spend,
            factor * spend,
            factor * value_low,
            factor * value_high,
            np.where(wait <= _TEN_YEARS, wait, np.nan),
        ]
    )


def _numbers(
    ask: Question,
    x: float,
    history: tuple[FloatArray, FloatArray, FloatArray],
    lengths: FloatArray,
    place: npt.NDArray[np.intp],
) -> tuple[FloatArray, FloatArray, npt.NDArray[np.intp]]:
    """Low and high quantile of the number of purchases, (n,), and (n, points) quantiles."""
    alive = ask.purchases._alive(ask.few, *history)
    heavy = ask.purchases._future(ask.few, x, lengths).heavy(ask.weeks)
    levels = np.concatenate([[ask.low, ask.high], ask.uniform[0]])
    order = np.argsort(1.0 - levels)
    threshold = (1.0 - levels)[order]
    numbers = np.empty((len(place), len(levels)), dtype=np.intp)
    light = np.flatnonzero(~heavy[place])
    if len(light):
        kept = np.cumsum(~heavy) - 1
        future = ask.purchases._future(ask.few, x, lengths[~heavy])
        found = _light_numbers(future, alive[light], kept[place[light]], threshold, ask.weeks)
        numbers[light[:, None], order] = found
    for row in np.flatnonzero(heavy[place]):
        future = ask.purchases._future(ask.few, x, lengths[[place[row]]])
        numbers[row, order] = _heavy_numbers(future, alive[row], threshold, ask.weeks)
    return numbers[:, 0].astype(float), numbers[:, 1].astype(float), numbers[:, 2:]


def _discount_factor(
    ask: Question,
    x: float,
    history: tuple[FloatArray, FloatArray, FloatArray],
    lengths: FloatArray,
    place: npt.NDArray[np.intp],
) -> FloatArray:
    """Discounted over plain expected purchases, (n,).

    The ratio depends on when purchases fall inside the horizon and hardly on the parameter
    draw, so a few draws give it to about five digits.
    """
    if ask.rate == 0.0:
        return np.ones(len(place))
    future = ask.purchases._future(ask.fewest, x, lengths)
    alive = ask.purchases._alive(ask.fewest, *history)
    plain = (alive * future.expected(ask.weeks)[place]).mean(axis=1)
    worth = (alive * future.discounted(ask.weeks, ask.rate)[place]).mean(axis=1)
    ratio = np.ones(len(place))
    np.divide(worth, plain, out=ratio, where=plain > 0.0)
    return ratio


def _low_discrepancy(count: int) -> FloatArray:
    """Hammersley points in four dimensions, (4, count), inside (0, 1).

    Halton (1960), Numerische Mathematik 2, 84-90: i / count and the digits of i mirrored at the
    point in bases 2, 3 and 5, so that every margin and pair of margins is evenly filled.
    """
    i = np.arange(count)
    rows = [(i + 0.5) / count]
    for base in (2, 3, 5):
        value, scale, rest = np.zeros(count), 1.0, i + 1
        while rest.any():
            scale /= base
            value = value + scale * (rest % base)
            rest = rest // base
        rows.append(value)
    return np.stack(rows)


def _light_numbers(
    future: Future,
    alive: FloatArray,
    place: npt.NDArray[np.intp],
    threshold: FloatArray,
    weeks: float,
) -> npt.NDArray[np.intp]:
    """Number of k >= 1 with P(X >= k) above each threshold; ascending thresholds.

    P(X >= k) is averaged over the draws. At a threshold of 1 - q this is the quantile q.

    Returns:
        (n, thresholds).
    """
    n, size = len(alive), len(threshold)
    counts = np.zeros((n, size + 1), dtype=np.int32)
    rows = np.arange(n)
    for tail_by_draw in future.tails(weeks):
        tail = (alive * tail_by_draw[place]).mean(axis=1)
        passed = np.searchsorted(threshold, tail)  # how many thresholds lie below
        if not passed.any():
            break
        counts[rows, passed] += 1
    # Threshold i is passed by every k whose rank is above i.
    above = np.cumsum(counts[:, :0:-1], axis=1)[:, ::-1]
    return above.astype(np.intp)


def _heavy_numbers(
    future: Future, alive: FloatArray, threshold: FloatArray, weeks: float
) -> npt.NDArray[np.intp]:
    """The same for one customer with very many purchases, on a geometric grid of k."""
    t = np.array([[weeks]])

    def tail(k: FloatArray) -> FloatArray:
        out: FloatArray = (alive * future.tail(k[:, None, None], t)).mean(axis=(1, 2))
        return out

    top = 1024.0
    while tail(np.array([top]))[0] > threshold[0]:
        top *= 2.0
    grid = np.unique(np.geomspace(1.0, top, 600).round())
    falling = np.minimum.accumulate(tail(grid))
    numbers = np.interp(-threshold, -falling, grid, left=0.0)
    return np.floor(numbers).astype(np.intp)


def _value_quantiles(
    ask: Question, numbers: npt.NDArray[np.intp], x: float, money: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Quantiles of the total value of the purchases, (n,) each.

    Given k purchases and the customer's own rate nu the total is Gamma(p k, rate nu), and given
    x past purchases of mean value `money` = z, nu is Gamma(q + p x, rate gamma + x z) (Fader &
    Hardie 2013, section 2).
    """
    p, q, gamma = (ask.spend_at[name] for name in GammaGamma.names)
    level = gammaincinv(q + p * x, ask.uniform[2])
    present = np.zeros(int(numbers.max()) + 1, dtype=bool)
    present[numbers] = True
    distinct_numbers = np.flatnonzero(present)
    if distinct_numbers.size <= len(numbers):
        k = np.maximum(distinct_numbers[:, None], 1)
        table = gammaincinv(p * k, ask.uniform[1]) * (distinct_numbers > 0)[:, None]
        where = np.cumsum(present) - 1
        amount = table[where[numbers], np.arange(numbers.shape[1])]
    else:
        amount = gammaincinv(p * np.maximum(numbers, 1), ask.uniform[1]) * (numbers > 0)
    total = amount * (gamma + x * money[:, None]) / level
    low, high = np.quantile(total, [ask.low, ask.high], axis=1, method="hazen")
    return low, high
