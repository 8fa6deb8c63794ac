"""The future of customers who are alive, under every posterior draw; and time and money in it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from itertools import count

import numpy as np
import numpy.typing as npt

from ..base import ModelError
from .formulas import FloatArray

__all__ = ["BLOCK_CELLS", "HEAVY", "WEEKS_A_YEAR", "Future", "thin_draws", "weekly_rate"]

WEEKS_A_YEAR = 365.25 / 7.0

BLOCK_CELLS = 1 << 20
"""Customers x draws held at once: 8 MB an array, whatever the number of customers."""

HEAVY = 500.0
"""Expected purchases above which a future does not enumerate single probabilities."""


def weekly_rate(annual_discount_rate: float) -> float:
    """Continuous discount rate a week: exp(-52.18 * rate) = 1 / (1 + annual rate)."""
    if not (np.isfinite(annual_discount_rate) and annual_discount_rate > -1.0):
        raise ModelError(
            f"annual_discount_rate is {annual_discount_rate}.", "Use for example 0.10 for 10 %."
        )
    return float(np.log1p(annual_discount_rate) / WEEKS_A_YEAR)


def thin_draws(draws: Mapping[str, FloatArray], count: int) -> dict[str, FloatArray]:
    """At most `count` draws, evenly spaced."""
    size = len(next(iter(draws.values())))
    keep = np.linspace(0, size - 1, min(count, size)).round().astype(int)
    return {name: np.asarray(values)[keep] for name, values in draws.items()}


class Future(ABC):
    """What customers who are alive will do from now on, under every posterior draw.

    All results have shape (customers, draws). `customers` are those the future was asked for;
    they share one value of frequency.
    """

    @abstractmethod
    def expected(self, t: FloatArray | float) -> FloatArray:
        """Expected purchases in the next `t` weeks."""

    @abstractmethod
    def discounted(self, t: float, rate: float) -> FloatArray:
        """Expected purchases in the next `t` weeks, each times exp(-rate * its time)."""

    @abstractmethod
    def none(self, t: FloatArray | float) -> FloatArray:
        """Probability of no purchase in the next `t` weeks."""

    def bought(self, times: FloatArray) -> Iterator[FloatArray]:
        """Probability of a purchase in the next t weeks, for ascending `times` t above 0."""
        return (1.0 - self.none(float(t)) for t in times)

    def tails(self, t: FloatArray | float) -> Iterator[FloatArray]:
        """P(at least k purchases in the next `t` weeks) for k = 1, 2, ..."""
        if self.heavy(t).any():  # a recursion would start from an underflow
            return (self.tail(np.asarray(float(k)), t) for k in count(1))
        return self._tails(t)

    def heavy(self, t: FloatArray | float) -> npt.NDArray[np.bool_]:
        """Customers, (customers,), who may buy so often that `tails` takes too many steps."""
        out: npt.NDArray[np.bool_] = np.atleast_2d(self._most(t)).max(axis=1) > HEAVY
        return out

    @abstractmethod
    def tail(self, k: FloatArray, t: FloatArray | float) -> FloatArray:
        """The same as `tails` for given k of shape (..., 1, 1), without a recursion."""

    @abstractmethod
    def _tails(self, t: FloatArray | float) -> Iterator[FloatArray]:
        """`tails` for customers who are not `heavy`, by a recursion."""

    @abstractmethod
    def _most(self, t: FloatArray | float) -> FloatArray:
        """Expected purchases (or what else is counted) of who never leaves; broadcasts."""

    @abstractmethod
    def next_purchase(self) -> FloatArray:
        """Median weeks to the next purchase."""
