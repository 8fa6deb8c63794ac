"""The output columns, customer by customer."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..btyd.formulas import FloatArray
from .customers import Customers, runs, starts
from .histories import Found, histories
from .money import mean_intervals, spend, value_quantiles
from .question import Question

__all__ = ["answer"]


def answer(ask: Question, who: Customers) -> FloatArray:
    """Work out the output columns for customers in the order of `Customers.order`.

    Returns:
        (n, columns of `Question.columns`).
    """
    out = np.empty((len(who), len(ask.columns)))
    for group in runs(who.group[who.cell], who.frequency):
        mine, filled = who.at(group), out[group]
        first = starts(mine.T, mine.recency, mine.cell)
        ends = np.append(first, len(mine))
        of = np.repeat(np.arange(len(first)), np.diff(ends))
        for part, found in histories(ask, mine, first):
            block = slice(int(ends[part.start]), int(ends[part.stop]))
            filled[block] = _values(ask, found, mine.at(block), of[block] - part.start)
    return out


def _values(ask: Question, found: Found, who: Customers, of: npt.NDArray[np.intp]) -> FloatArray:
    """The output columns of customers, `of` being the history of each."""
    per_purchase = spend(ask, who)
    expected, discounted = found.expected[of], found.discounted[of]
    factor = np.full(len(who), ask.margin)
    np.divide(ask.margin * discounted, expected, out=factor, where=expected > 0.0)
    none = (1.0 - found.numbers.bought[of]).clip(0.0, 1.0)
    numbers = np.full((len(who), len(ask.levels)), np.nan)
    money = numbers
    waits = found.waits[of]
    if not ask.intervals:
        waits[:, 1:] = np.nan
    elif np.isfinite(ask.weeks):
        numbers = found.numbers.quantiles[of]
        money = factor[:, None] * value_quantiles(ask, found.numbers, who, of, none)
    columns = [
        found.alive[of],
        none,
        expected,
        *numbers[:, :2].T,
        expected * per_purchase,
        ask.margin * discounted * per_purchase,
        *money[:, :2].T,
        *waits.T,
    ]
    if ask.means:
        columns += mean_intervals(ask, found, who, of)
    return np.column_stack([*columns, *numbers[:, 2:].T, *money[:, 2:].T])
