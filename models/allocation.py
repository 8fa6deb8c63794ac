"""Who gets which offer: the best list under a budget and a limit of size, and who is held back.

With no limit every customer gets the offer that earns most from them, if it earns anything. Under a
budget B the best list maximises the sum of what it earns with the sum of its expected costs at most
B: a knapsack with a choice of one offer a customer. Its relaxation has a price for money, lambda:
everybody gets the offer with the highest EV - lambda cost, if that is above 0, and lambda is the
lowest price at which the money suffices (Sinha and Zoltners 1979, Operations Research 27:503-515).
So the list

- is the one with the highest EV, in this order, where only its size is limited;
- takes customers by EV per expected cost where there is one offer and a budget (the greedy rule of
  Dantzig 1957, Operations Research 5:266-288);
- moves somebody from a dear offer to a cheap one where the difference earns more elsewhere.

It earns less than the best possible list by no more than what the next customer would have earned.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .base import ModelError

__all__ = ["NOBODY", "Allocation", "allocate", "held_back"]

NOBODY = -1
"""Instead of the place of an offer: none."""

_HALVINGS = 100
_SHARPEST = 1e-13  # relative width of the price below which halving stops

Array = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Allocation:
    """Who gets what.

    Attributes:
        offer: Place of the offer of each customer, `NOBODY` for none.
        price: What the last unit of the budget earns: more budget earns no more than that for
            each further unit. 0 where the budget does not limit the list.
        surplus: What each customer's offer earns above the price of its cost, the order in
            which a list is best cut; 0 without an offer.
    """

    offer: Places
    price: float
    surplus: Array


def allocate(
    worth: npt.ArrayLike,
    cost: npt.ArrayLike,
    *,
    budget: float | None = None,
    most: int | None = None,
    held_back: npt.ArrayLike | None = None,
    order: npt.ArrayLike | None = None,
) -> Allocation:
    """Give each customer the offer that is best for the whole list, or none.

    Args:
        worth: What each offer is expected to earn from each customer, costs taken off: shape
            (customers, offers). NaN: not known, or not allowed.
        cost: What each offer is expected to cost, same shape, 0 or more.
        budget: Most that the list may cost in expectation; None: no limit.
        most: Most customers on the list; None: no limit.
        held_back: The random control: they are given the offer that they would get, but count
            neither for the budget nor for the size, since nothing is sent to them.
        order: Numbers that decide between customers who are equally good, the lower first; by
            default the order of rows.

    Returns:
        The allocation. It does not depend on the order of rows if `order` is given.

    Raises:
        ModelError: Shapes that do not fit, or a negative cost or limit.

    >>> worth = [[5.0, 8.0], [4.0, -1.0], [-2.0, -1.0]]
    >>> cost = [[1.0, 6.0], [1.0, 1.0], [1.0, 1.0]]
    >>> allocate(worth, cost).offer.tolist(), allocate(worth, cost, budget=2.0).offer.tolist()
    ([1, 0, -1], [0, 0, -1])
    """
    earns, costs = np.asarray(worth, dtype=np.float64), np.asarray(cost, dtype=np.float64)
    if earns.ndim != 2 or earns.shape != costs.shape:
        raise ModelError(
            f"expected one worth and one cost a customer and offer, got {earns.shape} and "
            f"{costs.shape}."
        )
    if (costs < 0.0).any():
        raise ModelError("the cost of an offer cannot be below 0.")
    if (budget is not None and not budget >= 0.0) or (most is not None and most < 0):
        raise ModelError("a budget or a size of a list cannot be below 0.")
    if not earns.shape[1]:
        raise ModelError("there is no offer to give.")
    rows = len(earns)
    sent = np.ones(rows, bool) if held_back is None else ~np.asarray(held_back, dtype=bool)
    ranks = np.arange(rows) if order is None else np.asarray(order)
    # Nobody is chosen at any price whom no offer earns anything from.
    earns = np.where(np.isnan(earns) | np.isnan(costs), -np.inf, earns)
    some = np.flatnonzero((earns > 0.0).any(axis=1))
    # In one order whatever that of the rows: sums of floats depend on it in the last bits.
    some = some[np.argsort(ranks[some], kind="stable")]
    task = _Task(earns[some], np.where(np.isnan(costs[some]), 0.0, costs[some]), sent[some],
                 ranks[some], most)  # fmt: skip
    chosen, price = _priced(task, budget)
    offer = np.full(rows, NOBODY, dtype=np.int64)
    offer[some] = chosen
    surplus = np.zeros(rows)
    surplus[some] = np.where(chosen == NOBODY, 0.0, task.taken(chosen, task.worth))
    surplus[some] -= price * task.taken(chosen, task.cost)
    return Allocation(offer, price, surplus)


def held_back(ids: Iterable[object], share: float, *salt: object) -> npt.NDArray[np.bool_]:
    """Whether each customer is in the random control group.

    Drawn by a hash (BLAKE2b) of the id and the salt: the same ids, share and salt give the same
    group on every machine, whoever else is asked about, and a larger share keeps the smaller
    one's members. Another salt, such as the next cutoff, draws anew.

    Args:
        ids: Customer ids.
        share: Share of customers to hold back, 0 to 1.
        salt: What the draw depends on beside the id: the cutoff, a seed.

    Raises:
        ModelError: The share is not between 0 and 1.

    >>> bool(0.08 < held_back(range(10_000), 0.1, "2025-07-01", 0).mean() < 0.12)
    True
    """
    if not 0.0 <= share <= 1.0:
        raise ModelError(f"a share of customers must be between 0 and 1, got {share}.")
    start = hashlib.blake2b("\0".join(map(str, salt)).encode(), digest_size=8)
    drawn = []
    for customer in ids:
        one = start.copy()
        one.update(f"\0{customer}".encode())
        drawn.append(one.digest())
    lots = np.frombuffer(b"".join(drawn), dtype=">u8").astype(np.float64) / 2.0**64
    return np.asarray(lots < share)


@dataclass(frozen=True)
class _Task:
    """What is to be shared out, among customers whom some offer earns something from."""

    worth: Array
    cost: Array
    sent: npt.NDArray[np.bool_]
    order: npt.NDArray[np.generic]
    most: int | None

    def taken(self, offer: Places, table: Array) -> Array:
        """The entry of each customer's offer, 0 without one."""
        picked = table[np.arange(len(offer)), np.maximum(offer, 0)]
        return np.asarray(np.where(offer == NOBODY, 0.0, picked))

    def spends(self, offer: Places) -> float:
        """What it costs."""
        return float(self.taken(offer, self.cost)[self.sent].sum())

    def at(self, price: float) -> Places:
        """The best choice where every unit of cost costs the price as well."""
        net = self.worth - price * self.cost if price else self.worth
        best = net.argmax(axis=1)
        value = net[np.arange(len(net)), best]
        offer = np.where(value > 0.0, best, NOBODY)
        if self.most is None:
            return offer
        wanted = (value > 0.0) & self.sent
        if int(wanted.sum()) <= self.most:
            return offer
        if self.most == 0:
            return np.full(len(offer), NOBODY)
        least = np.partition(value[wanted], -self.most)[-self.most]
        room = self.most - int((wanted & (value > least)).sum())
        tied = np.flatnonzero(value == least)
        tied = tied[np.argsort(self.order[tied], kind="stable")]
        keep = value > least
        keep[tied[np.cumsum(self.sent[tied]) <= room]] = True
        return np.where(keep, offer, NOBODY)


def _priced(task: _Task, budget: float | None) -> tuple[Places, float]:
    """The choice at the lowest price of money at which the budget suffices, and the price."""
    free = task.at(0.0)
    if budget is None or task.spends(free) <= budget:
        return free, 0.0
    with np.errstate(divide="ignore", invalid="ignore"):
        rate = task.worth / task.cost
    # A little above what any offer earns for its cost: there only free ones are left.
    low, high = 0.0, float(rate[np.isfinite(rate)].max()) * (1.0 + 1e-9)
    dear, cheap = free, task.at(high)
    for _ in range(_HALVINGS):
        if high - low <= _SHARPEST * high:
            break
        middle = 0.5 * (low + high)
        found = task.at(middle)
        if task.spends(found) <= budget:
            high, cheap = middle, found
        else:
            low, dear = middle, found
    return _filled(task, cheap, dear, budget), high


def _filled(task: _Task, cheap: Places, dear: Places, budget: float) -> Places:
    """What is left of the budget, spent on those who are next: all at the same price, by order."""
    step = np.flatnonzero((dear != cheap) & (dear != NOBODY))
    step = step[np.argsort(task.order[step], kind="stable")]
    more = task.taken(dear, task.cost)[step] - task.taken(cheap, task.cost)[step]
    left = budget - task.spends(cheap)
    fits = np.cumsum(np.where(task.sent[step], more, 0.0)) <= left
    if task.most is not None:
        room = task.most - int((task.sent & (cheap != NOBODY)).sum())
        fits &= np.cumsum(task.sent[step] & (cheap[step] == NOBODY)) <= room
    out = cheap.copy()
    out[step[fits]] = dear[step[fits]]
    return out
