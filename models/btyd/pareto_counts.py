"""How many purchases Pareto/NBD expects in a horizon: the chance of at least k of them.

The notation and the rules of integration are those of `pareto_formulas`.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from scipy.special import betaln, expit

from .formulas import FloatArray
from .pareto_formulas import (
    FALL,
    SIZES,
    Values,
    broadcast,
    elementwise,
    legendre,
    log_quiet,
    rule_size,
)

__all__ = ["purchase_tail", "purchase_tails"]


def purchase_tails(
    r: Values, alpha: Values, s: Values, beta: Values, t: Values
) -> Iterator[FloatArray]:
    """Yield P(X(t) >= k) for k = 1, 2, ... of a customer who is alive at 0.

    P(X = k) is the NBD probability of k purchases in the time u for which the customer stays,
    averaged over u: a lifetime that ends in (0, t), by Gauss-Legendre in ln(1 + u/c), or t
    itself. At every node the NBD probabilities follow from the previous ones by a recursion.

    Accurate to about 1e-13 absolutely; for expected counts above a few hundred use
    `purchase_tail`.
    """
    r, alpha, s, beta, t = broadcast(r, alpha, s, beta, t)
    smaller = np.minimum(alpha, beta)
    # A lifetime longer than `last` has a chance below exp(-FALL).
    last = np.minimum(t, beta * np.expm1(np.minimum(FALL / s, 700.0)))
    width = np.log1p(last / smaller)
    fall = s * np.log1p(last / beta)
    need = 6.0 + 2.5 * np.sqrt(fall) + 3.0 * width + (2.0 + width) * np.sqrt(2.0 * r * last / alpha)
    kind = np.minimum(np.searchsorted(SIZES, need), len(SIZES) - 1)
    flat = [v.reshape(-1) for v in (r, alpha, s, beta, t, smaller, width)]
    groups = [
        (rows, *_mixture(SIZES[size], *(v[rows] for v in flat)))
        for size in np.unique(kind)
        for rows in [_at_least_two(np.flatnonzero(kind.reshape(-1) == size))]
    ]
    tail = np.ones(r.shape)
    k = 0
    while True:
        for rows, mass, ratio, shape in groups:
            tail.reshape(-1)[rows] -= mass.sum(axis=0)
            mass *= ratio
            mass *= (shape + k) / (k + 1.0)
        k += 1
        yield np.maximum(tail, 0.0)


def _at_least_two(rows: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """The same row twice if it is alone: NumPy adds up a single column in another order."""
    return np.resize(rows, max(2, len(rows)))


def _mixture(
    size: int,
    r: FloatArray,
    alpha: FloatArray,
    s: FloatArray,
    beta: FloatArray,
    t: FloatArray,
    smaller: FloatArray,
    width: FloatArray,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Weight times P(no purchase in u), u / (alpha + u) at all nodes (size + 1, n), and r."""
    nodes, weights = legendre(size)
    w = nodes[:, None] * width
    u = np.concatenate([smaller * np.expm1(w), t[None, :]])
    ended = weights[:, None] * width * (smaller * np.exp(w)) * s / (beta + u[:-1])
    share = np.concatenate([ended, np.ones((1, len(t)))])
    mass = share * np.exp(log_quiet(r, alpha, s, beta, u))
    return mass, u / (alpha + u), r


def purchase_tail(
    k: Values, r: Values, alpha: Values, s: Values, beta: Values, t: Values
) -> FloatArray:
    """P(X(t) >= k) of a customer who is alive at 0, for any k >= 1, without a recursion.

    The k-th purchase comes at u, where u / (alpha + u) ~ Beta(k, r) (a beta prime law), and
    counts when the customer is still there, which has the chance (1 + u/beta)^-s. The integral
    over u < t is taken in y = ln(u/alpha), in which the logarithm of the integrand is concave:
    from its top, or from t, to where it has fallen by exp(-45) on either side.
    """
    k, r, alpha, s, beta, t = broadcast(k, r, alpha, s, beta, t)
    shift = np.log(alpha / beta)
    with np.errstate(divide="ignore"):
        end = np.log(t / alpha)  # -inf at t = 0, where the tail is 0
    possible = end > -np.inf
    end = np.where(possible, end, 0.0)
    law = (k, r, s, shift)
    low = np.log(k / (k + r + s)) - np.maximum(shift, 0.0)
    high = np.log((k + r + s) / (r + s)) - np.minimum(shift, 0.0)
    for _ in range(30):
        middle = 0.5 * (low + high)
        rising = _slope(middle, *law) > 0.0
        low, high = np.where(rising, middle, low), np.where(rising, high, middle)
    top = np.minimum(low, end)
    peak = _height(top, *law)
    reach = FALL / np.minimum(k, r + s) + 10.0 * np.sqrt(1.0 / k + 1.0 / (r + s))
    total = np.zeros(k.shape)
    for side, furthest in ((-1.0, np.inf), (1.0, end - top)):
        width = np.minimum(reach, furthest)
        for _ in range(6):  # the fall is convex: Newton's steps stay on the far side
            excess = peak - _height(top + side * width, *law) - FALL
            steep = np.maximum(-side * _slope(top + side * width, *law), 1e-300)
            width = np.where(excess > 0.0, width - excess / steep, width)
        size = rule_size(np.full(k.shape, FALL), width)
        total += elementwise(_one_side, size, *law, top, peak, side * width)
    out: FloatArray = np.exp(peak - betaln(k, r)) * total
    return np.where(possible, np.minimum(out, 1.0), 0.0)


def _height(
    y: FloatArray, k: FloatArray, r: FloatArray, s: FloatArray, shift: FloatArray
) -> FloatArray:
    """Logarithm of the integrand of `purchase_tail`."""
    out: FloatArray = k * y - (k + r) * np.logaddexp(0.0, y) - s * np.logaddexp(0.0, y + shift)
    return out


def _slope(
    y: FloatArray, k: FloatArray, r: FloatArray, s: FloatArray, shift: FloatArray
) -> FloatArray:
    out: FloatArray = k - (k + r) * expit(y) - s * expit(y + shift)
    return out


def _one_side(
    kind: int,
    k: FloatArray,
    r: FloatArray,
    s: FloatArray,
    shift: FloatArray,
    top: FloatArray,
    peak: FloatArray,
    reach: FloatArray,
) -> FloatArray:
    total = np.zeros(k.shape)
    for node, weight in zip(*legendre(SIZES[kind]), strict=True):
        total += weight * np.exp(_height(top + node * reach, k, r, s, shift) - peak)
    total *= np.abs(reach)
    return total
