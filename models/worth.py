"""What a customer is worth who is kept: the V of every decision, in training and in scoring."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .base import ModelError
from .decision import value_at_stake

__all__ = ["MONTHS", "value_if_kept"]

MONTHS = 12.0
"""Monthly fees that a kept contract brings: a year, as `value_if_alive` looks a year ahead."""

Array = npt.NDArray[np.float64]


def value_if_kept(
    expected: npt.ArrayLike,
    *,
    margin: float = 1.0,
    first_value: float = np.nan,
    fixed: float | None = None,
    fee: npt.ArrayLike | None = None,
    acquisition_cost: npt.ArrayLike | None = None,
    usual: float | None = None,
) -> Array:
    """Money that each customer brings in a year who stays, after margin.

    It is conditional on staying, because the churn probability enters the decision by itself: the
    `value_if_alive` of `models.btyd.features`, E[purchases in 365 days] / P(alive) x E[value of a
    purchase], times the margin.

    Args:
        expected: `value_if_alive` of each customer. Where it is not known (NaN), a customer is
            worth the mean of the others; where it is known of nobody (no spend model), one first
            purchase.
        margin: Share of spend that is profit.
        first_value: Mean value of a first purchase, for that last case.
        fixed: What every customer is worth, margin taken off already; wins over all but the
            acquisition cost.
        fee: Monthly fee of each customer's contract; wins over `expected`. Where it is not known,
            the mean of the others.
        acquisition_cost: What each customer cost to win: nobody is worth more than a
            replacement (`models.decision.value_at_stake`).
        usual: What `expected`, or the fee, is taken to be where it is not known, where these
            are some of the customers only; by default the mean of the others.

    Returns:
        One value a customer.

    Raises:
        ModelError: Nothing says what customers are worth.

    >>> value_if_kept([100.0, np.nan, 300.0], margin=0.5).tolist()
    [50.0, 100.0, 150.0]
    >>> value_if_kept([np.nan, np.nan], margin=0.5, first_value=30.0).tolist()
    [15.0, 15.0]
    """
    known = np.asarray(expected, dtype=np.float64)
    if fixed is not None:
        value = np.full(known.shape, float(fixed))
    elif fee is not None:
        fees = np.asarray(fee, dtype=np.float64)
        if usual is None and fees.size and np.isnan(fees).all():
            raise ModelError(
                "no contract has a fee, so that nothing says what a customer is worth.",
                "Say it: [decision] value.",
            )
        value = margin * MONTHS * _filled(fees, usual)
    elif usual is None and known.size and np.isnan(known).all():
        if not np.isfinite(first_value):
            raise ModelError(
                "there are neither values of purchases nor a value to use instead.",
                "Say what a customer is worth who stays: [decision] value.",
            )
        value = margin * np.full(known.shape, float(first_value))
    else:
        value = margin * _filled(known, usual)
    return value if acquisition_cost is None else value_at_stake(value, acquisition_cost)


def _filled(values: Array, usual: float | None) -> Array:
    missing = np.isnan(values)
    if not missing.any():
        return values
    return np.where(missing, values[~missing].mean() if usual is None else usual, values)
