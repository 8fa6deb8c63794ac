"""Small helpers that turn arrays into columns and rows of tables."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from features.simulate.customers import Customers
from features.simulate.shop import POPULATION, Floats, Ints

__all__ = ["chance", "is_fading", "names", "sorted_rows", "times"]


def times(minute: Ints) -> pa.Array:
    """Minutes since 1970 as timestamps."""
    return pa.array(minute * 60, pa.timestamp("s"))


def names(choices: tuple[str, ...], index: Ints) -> pa.Array:
    """The names at these positions."""
    return pa.array(choices).take(pa.array(index))


def sorted_rows(table: pa.Table, minute: Ints, customer: Ints) -> pa.Table:
    """The rows by time and then customer."""
    return table.take(pa.array(np.lexsort((customer, minute))))


def is_fading(customers: Customers, who: Ints, time: Floats) -> npt.NDArray[np.bool_]:
    """Whether these customers are about to leave, or have left, at these shop times."""
    return np.asarray(time > customers.end[who] - POPULATION.fading_days)


def chance(log_odds: Floats) -> Floats:
    """Probability of log-odds."""
    return np.asarray(1 / (1 + np.exp(-log_odds)))
