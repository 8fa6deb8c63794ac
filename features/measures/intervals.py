"""Intervals: how far a figure could be off, where a sample stands for a whole.

All intervals are two-sided at 95 %. Everything is vectorised: arrays in, arrays out, NaN where
there is nothing to go by. Formulas are those of statsmodels and SciPy, not our own.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

__all__ = ["LEVEL", "mean_interval", "ratio_interval", "share_interval"]

LEVEL = 0.95

Floats = npt.NDArray[np.float64]


def share_interval(part: npt.ArrayLike, whole: npt.ArrayLike) -> tuple[Floats, Floats, Floats]:
    """A share and its interval by Wilson (1927), which is right for small numbers too.

    Args:
        part: Successes.
        whole: Trials, in the same shape.

    Returns:
        Share, low and high; NaN where there are no trials.

    >>> [round(float(x[0]), 4) for x in share_interval([3], [10])]
    [0.3, 0.1078, 0.6032]
    """
    k, n = np.atleast_1d(np.asarray(part, float)), np.atleast_1d(np.asarray(whole, float))
    share, low, high = (np.full(len(n), np.nan) for _ in range(3))
    some = n > 0
    share[some] = k[some] / n[some]
    if some.any():
        low[some], high[some] = proportion_confint(
            k[some], n[some], alpha=1 - LEVEL, method="wilson"
        )
    return share, low, high


def mean_interval(
    total: npt.ArrayLike, squares: npt.ArrayLike, count: npt.ArrayLike
) -> tuple[Floats, Floats, Floats]:
    """A mean and its interval by Student's t, from exact sums.

    Args:
        total: Sum of the values.
        squares: Sum of their squares.
        count: How many there are.

    Returns:
        Mean, low and high; low and high are NaN below two values.

    >>> [round(float(x[0]), 3) for x in mean_interval([6.0], [14.0], [3])]
    [2.0, -0.484, 4.484]
    """
    s, q, n = (np.atleast_1d(np.asarray(x, float)) for x in (total, squares, count))
    mean = np.divide(s, n, out=np.full(len(n), np.nan), where=n > 0)
    some = n > 1
    spread = np.full(len(n), np.nan)
    # Rounding may carry a spread of nothing below zero.
    variance = np.maximum(q[some] - s[some] * mean[some], 0) / (n[some] - 1)
    quantile = stats.t.ppf(0.5 + LEVEL / 2, n[some] - 1)
    spread[some] = quantile * np.sqrt(variance / n[some])
    return mean, mean - spread, mean + spread


def ratio_interval(
    sums: npt.ArrayLike,
    over: npt.ArrayLike,
    squares: npt.ArrayLike,
    over_squares: npt.ArrayLike,
    products: npt.ArrayLike,
    count: npt.ArrayLike,
    noise: npt.ArrayLike = 0.0,
) -> tuple[Floats, Floats, Floats]:
    """A ratio of two sums over customers and its interval, by linearisation.

    With R = sum(a) / sum(b), Var(R) = n s^2 / sum(b)^2, where s^2 is the variance of a - R b
    over the n customers (Cochran 1977, Sampling Techniques, 6.3); the interval is by Student's t.

    Args:
        sums: Sum of a, the numerator, over customers.
        over: Sum of b, the denominator.
        squares: Sum of a^2.
        over_squares: Sum of b^2.
        products: Sum of a b.
        count: Customers.
        noise: Sum of the variances of what is uncertain about each a, independently of the
            other customers; added to the variance of the sum.

    Returns:
        Ratio, low and high; NaN where sum(b) is not above zero, low and high also below two
        customers.

    >>> import numpy as np
    >>> a, b = np.array([3.0, 5.0, 4.0]), np.array([1.0, 2.0, 1.0])
    >>> found = ratio_interval(a.sum(), b.sum(), a @ a, b @ b, a @ b, 3)
    >>> [round(float(x[0]), 3) for x in found]
    [3.0, 1.137, 4.863]
    """
    a, b, aa, bb, ab, n = (
        np.atleast_1d(np.asarray(x, float))
        for x in (sums, over, squares, over_squares, products, count)
    )
    some = b > 0
    ratio = np.divide(a, b, out=np.full(len(a), np.nan), where=some)
    several = some & (n > 1)
    # The deviations add up to zero; rounding may carry their squares below it.
    spread = np.maximum(aa - 2 * ratio * ab + ratio**2 * bb, 0)
    dof = np.where(several, n - 1, 1)
    variance = n * spread / dof + noise
    width = stats.t.ppf(0.5 + LEVEL / 2, dof) * np.sqrt(variance) / np.where(some, b, 1.0)
    width = np.where(several, width, np.nan)
    return ratio, ratio - width, ratio + width
