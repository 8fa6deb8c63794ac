"""The population stability index, and how large it gets when nothing has changed.

PSI = sum over bins of (a - e) ln(a / e), with e the expected and a the actual share of a bin. Below
0.10 is read as no change and above 0.25 as a great one; that is convention, and knows nothing of
the number of customers. If both are samples of one population, of sizes n and m, PSI is about
(1/n + 1/m) times a chi-square with B - 1 degrees of freedom for B bins (Yurdakul 2018, Statistical
Properties of Population Stability Index, Western Michigan University, dissertation 3208; Yurdakul
and Naranjo 2020, Journal of Risk Model Validation 14(4)). So with 100 customers a PSI of 0.25 is
chance, and with 100,000 one of 0.01 is none, but too small to matter: an alarm needs both.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from .base import ModelError

__all__ = [
    "ACT",
    "WATCH",
    "adjusted",
    "bins_in_use",
    "psi",
    "psi_critical",
    "psi_p_value",
]

Floats = npt.NDArray[np.float64]

WATCH = 0.10
"""By convention, the PSI from which on a distribution has moved."""
ACT = 0.25
"""By convention, the PSI from which on it is another one."""

_PRIOR = 0.5  # customers added to every bin, so that an empty one has a logarithm


def psi(expected: npt.ArrayLike, actual: npt.ArrayLike) -> float:
    """Return the population stability index of two sets of counts over the same bins.

    Half a customer is added to every bin that is not empty on both sides.

    Args:
        expected: Customers in each bin of the reference, shape (bins,).
        actual: Customers in each bin now, shape (bins,).

    Returns:
        The index, 0 or more; NaN where one side has no customers.

    Raises:
        ModelError: The shapes differ.

    >>> base = [253, 302, 204, 134, 72, 26, 8]  # seven grades of credit
    >>> later = [177, 262, 285, 158, 88, 25, 6]
    >>> round(psi(base, later), 3)
    0.067
    """
    e, a = _counts(expected), _counts(actual)
    if e.shape != a.shape:
        raise ModelError(f"expected counts over the same bins, got {e.shape} and {a.shape}")
    if not e.sum() or not a.sum():
        return float("nan")
    used = (e > 0) | (a > 0)
    e, a = e[used] + _PRIOR, a[used] + _PRIOR
    e, a = e / e.sum(), a / a.sum()
    return float(np.sum((a - e) * np.log(a / e)))


def bins_in_use(expected: npt.ArrayLike, actual: npt.ArrayLike) -> int:
    """Return how many bins hold a customer on either side: B of the module's text."""
    return int(((_counts(expected) > 0) | (_counts(actual) > 0)).sum())


def psi_p_value(value: float, n: float, m: float, bins: int) -> float:
    """Return how likely a PSI of this size or more is when nothing has changed.

    Args:
        value: The index.
        n: Customers of the reference.
        m: Customers now.
        bins: Bins in use; with one there is nothing to compare.

    Returns:
        The probability; NaN where the index is NaN.

    >>> f"{psi_p_value(0.0677, 999, 1001, 7):.0e}"
    '7e-06'
    """
    from scipy.stats import chi2

    if np.isnan(value) or not n or not m:
        return float("nan")
    if bins < 2:
        return 1.0
    return float(chi2.sf(value / (1 / n + 1 / m), bins - 1))


def psi_critical(n: float, m: float, bins: int, alpha: float) -> float:
    """Return the PSI that chance exceeds with probability `alpha` when nothing has changed.

    Args:
        n: Customers of the reference.
        m: Customers now.
        bins: Bins in use.
        alpha: The probability.

    >>> round(psi_critical(999, 1001, 7, 0.05), 4)
    0.0252
    """
    from scipy.stats import chi2

    if not n or not m:
        return float("nan")
    return float((1 / n + 1 / m) * chi2.isf(alpha, max(bins - 1, 1)))


def adjusted(p_values: Sequence[float]) -> Floats:
    """Return p-values adjusted for being many (Benjamini and Hochberg 1995).

    Where all that is at most `alpha` counts as found, at most a share of `alpha` of it is found by
    chance on average, and where there is nothing to be found something is with probability
    `alpha` at most. That also holds for features that move together (Benjamini and Yekutieli
    2001, positive dependence).

    Args:
        p_values: One a test; NaN where there was none.

    Returns:
        The adjusted values in the same order, NaN staying NaN.

    >>> adjusted([0.01, float("nan"), 0.04, 0.03]).round(3).tolist()
    [0.03, nan, 0.04, 0.04]
    """
    p = np.asarray(p_values, dtype=np.float64)
    out = np.full(p.shape, np.nan)
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known], kind="stable")]
    if len(order):
        scaled = p[order] * len(order) / np.arange(1, len(order) + 1)
        out[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    return out


def _counts(values: npt.ArrayLike) -> Floats:
    return np.asarray(values, dtype=np.float64)
