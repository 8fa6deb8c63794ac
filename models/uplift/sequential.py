"""What follows each of a sequence of trials, with those who switch later weighted out.

A customer who does not join at one purchase may join at a later one, inside the time in which
the outcome of the first is counted. What comes after this is no longer the outcome of not
joining, so it is cut off; and as frequent buyers are cut off more often, the purchases of those
who could have joined and did not count for them too, each with the inverse of the chance not to
have joined so far (inverse probability of censoring weights: Robins & Finkelstein 2000,
Biometrics 56:779; per-protocol effects of emulated trials: Danaei et al. 2013).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..base import ModelError

__all__ = ["outcomes_after"]

Floats = npt.NDArray[np.float64]


def outcomes_after(
    customer: npt.ArrayLike,
    day: npt.ArrayLike,
    values: npt.ArrayLike,
    *,
    joins: npt.ArrayLike,
    member: npt.ArrayLike,
    chance: npt.ArrayLike,
    horizon_days: int,
) -> Floats:
    """Sum of the values in the `horizon_days` days after each row.

    A row that joins, or is a member's, gets the plain sum over the customer's later rows. For
    the others a later row counts

        1 / prod (1 - chance_u)   over the rows u strictly between the two,

    and 0 once the customer has joined. The row at which one joins counts still: joining is no
    cause of the purchase that it happens at. Given the chances, the mean of this over those
    who did not join is the mean of what they would have done had they never joined.

    Args:
        customer: Whose row it is; rows of one customer stand together, ascending by day.
        day: Days as whole numbers, at most one row a customer and day.
        values: What is added up, shape (n,) or (n, k).
        joins: Whether the customer joins at the row.
        member: Whether the customer had joined before the row.
        chance: Chance to join at the row for one who has not yet; below 1. Not used for rows
            that join or are a member's.
        horizon_days: The row's own day is day 0; days 1 to `horizon_days` count.

    Returns:
        Sums, in the shape of `values`.

    Raises:
        ModelError: The rows are not in order, or a chance that is used is not in [0, 1).

    >>> outcomes_after(
    ...     ["a"] * 4, [0, 10, 20, 30], [1, 1, 1, 1],
    ...     joins=[False, False, True, False], member=[False, False, False, True],
    ...     chance=[0.1, 0.2, 0.3, 0.0], horizon_days=25,
    ... ).tolist()
    [2.25, 1.0, 1.0, 0.0]
    """
    who, when = np.asarray(customer), np.asarray(day, dtype=np.int64)
    amount = np.asarray(values, dtype=np.float64)
    joined, was_member = np.asarray(joins, dtype=bool), np.asarray(member, dtype=bool)
    risk = np.asarray(chance, dtype=np.float64)
    n = len(who)
    if not n:
        return np.zeros(amount.shape)
    new = np.r_[True, who[1:] != who[:-1]]
    if np.any(~new[1:] & (np.diff(when) <= 0)) or new.sum() != len(np.unique(who)):
        raise ModelError(
            "The rows are not in order of customer and day, one a day.",
            "Sort them by customer, then day.",
        )
    stays = ~joined & ~was_member
    if np.any(~((risk[stays] >= 0) & (risk[stays] < 1))):
        raise ModelError("A chance to join is not in [0, 1).", "Pass probabilities below 1.")
    # Cumulated within the customer, the row's own chance in it.
    logs = np.zeros(n)
    logs[stays] = -np.log1p(-risk[stays])
    group = np.cumsum(new) - 1
    total = np.cumsum(logs)
    first = np.flatnonzero(new)
    total -= (total[first] - logs[first])[group]
    # One customer's days all lie before the next one's on this line.
    line = group * (int(when.max() - when.min()) + horizon_days + 1) + (when - when.min())
    ends = np.searchsorted(line, line + horizon_days, side="right")
    counts = ends - np.arange(n) - 1
    start = np.repeat(np.arange(n), counts)
    later = np.arange(len(start)) - np.repeat(np.cumsum(counts) - counts, counts) + start + 1
    weight = np.exp(total[later - 1] - total[start])
    weight[~stays[start]] = 1.0
    weight[stays[start] & was_member[later]] = 0.0
    columns = amount[:, None] if amount.ndim == 1 else amount
    sums = [np.bincount(start, weight * column[later], minlength=n) for column in columns.T]
    return np.column_stack(sums).astype(np.float64).reshape(amount.shape)
