"""The value of what will be bought."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import gammaincinv

from ..btyd.formulas import FloatArray
from ..spend import scale_by_draw, spend_by_draw
from .counts import Numbers
from .customers import Customers, starts
from .histories import Found
from .question import Question

__all__ = ["mean_intervals", "spend", "value_quantiles"]

_CUSTOMERS = 512  # customers whose money is worked out at once


def spend(ask: Question, who: Customers) -> FloatArray:
    """Expected value of a purchase, averaged over the draws, (n,)."""
    out = np.empty(len(who))
    numbers, place = np.unique(who.known, return_inverse=True)
    if not who.effects.shape[1] and len(numbers) <= 16:
        # Linear in the mean value of what was bought (Fader & Hardie 2013, eq. 5).
        unit = float(ask.spend["gamma"].mean())
        at_zero = spend_by_draw(ask.spend, numbers, np.zeros(len(numbers))).mean(axis=1)
        at_unit = spend_by_draw(ask.spend, numbers, np.full(len(numbers), unit)).mean(axis=1)
        slope = (at_unit - at_zero) / unit
        return np.asarray(at_zero[place] + slope[place] * who.mean_value)
    for start in range(0, len(who), _CUSTOMERS):
        block = slice(start, start + _CUSTOMERS)
        scale = scale_by_draw(ask.spend, who.effects[block])
        money = spend_by_draw(ask.spend, who.known[block], who.mean_value[block], scale)
        out[block] = money.mean(axis=1)
    return out


def mean_intervals(
    ask: Question, found: Found, who: Customers, of: npt.NDArray[np.intp]
) -> list[FloatArray]:
    """Posterior quantiles of expected purchases and of expected value, four of (n,)."""
    out = np.full((4, len(who)), np.nan)
    if ask.intervals and found.expected_by_draw is not None:
        levels = ask.levels[:2]
        assert found.discounted_by_draw is not None
        out[:2] = np.quantile(found.expected_by_draw, levels, axis=1)[:, of]
        for start in range(0, len(who), _CUSTOMERS):
            block = slice(start, start + _CUSTOMERS)
            scale = scale_by_draw(ask.spend, who.effects[block])
            money = spend_by_draw(ask.spend, who.known[block], who.mean_value[block], scale)
            bought = found.discounted_by_draw[of[block]]
            # Draw i of the one posterior goes with draw i of the other: they are independent.
            size = min(money.shape[1], bought.shape[1])
            worth = ask.margin * bought[:, _even(bought.shape[1], size)]
            worth = worth * money[:, _even(money.shape[1], size)]
            out[2:, block] = np.quantile(worth, levels, axis=1)
    return list(out)


def _even(have: int, wanted: int) -> npt.NDArray[np.intp]:
    return np.linspace(0, have - 1, wanted).round().astype(np.intp)


def value_quantiles(
    ask: Question,
    numbers: Numbers,
    who: Customers,
    of: npt.NDArray[np.intp],
    none: FloatArray,
) -> FloatArray:
    """Quantiles of the total value of the purchases, (n, levels).

    Given k purchases and the customer's own rate nu the total is Gamma(p k, rate nu), and given
    x past purchases of mean value z, nu is Gamma(q + p x, rate gamma + x z) (Fader & Hardie 2013,
    section 2). The distribution given any purchase is read at the points, and its levels are
    those that are left once the chance of no purchase is taken off.
    """
    out = np.zeros((len(who), len(ask.levels)))
    wanted = np.flatnonzero(none < max(ask.levels))
    gamma = ask.spend_at["gamma"]
    size = ask.points.shape[1]
    for start in range(0, len(wanted), _CUSTOMERS):
        some = wanted[start : start + _CUSTOMERS]
        first = starts(of[some])
        row = np.repeat(np.arange(len(first)), np.diff(np.append(first, len(some))))
        amount = ask.amounts(numbers.at_points(of[some[first]]))
        x, money = who.known[some], who.mean_value[some]
        scale = scale_by_draw(ask.spend_at, who.effects[some])
        total = amount[row] / _levels(ask, x) * (scale * gamma + (x * money)[:, None])
        total.sort(axis=1)
        rows, chance = np.arange(len(some)), none[some]
        for i, level in enumerate(ask.levels):
            left = (level - chance) / (1.0 - chance)
            at = (left * size - 0.5).clip(0.0, size - 1.0)
            low = np.minimum(at.astype(np.intp), size - 2)
            part = at - low
            value = (1.0 - part) * total[rows, low] + part * total[rows, low + 1]
            out[some, i] = np.where(left > 0.0, value, 0.0)
    return out


def _levels(ask: Question, x: FloatArray) -> FloatArray:
    """Standard Gamma(q + p x) variable at the points, (n, points) or (1, points)."""
    p, q, share = ask.spend_at["p"], ask.spend_at["q"], ask.points[2]
    if (x == x[0]).all():
        out: FloatArray = gammaincinv(q + p * x[:1, None], share)
        return out
    if (x == np.floor(x)).all():
        numbers, place = np.unique(x, return_inverse=True)
        return np.asarray(gammaincinv(q + p * numbers[:, None], share)[place])
    # Numbers that are not whole differ from customer to customer: in between, the logarithm is
    # linear in log(1 + x) to 1e-3.
    at = np.log1p(x) / 0.05
    low = np.floor(at)
    knots, place = np.unique(np.concatenate([low, low + 1.0]), return_inverse=True)
    log = np.log(gammaincinv(q + p * np.expm1(0.05 * knots)[:, None], share))
    part = (at - low)[:, None]
    return np.asarray(np.exp((1.0 - part) * log[place[: len(x)]] + part * log[place[len(x) :]]))
