"""Compiled inner loops of the likelihoods: what is done for every node, and nothing else.

How to write one. A kernel is a plain function of arrays and numbers under the decorator `jit`,
in this file or in a file of its own (``<model>_kernel.py``). Such a file is imported inside the
method that needs it, never at the top of a module, because it loads numba:

    def _log_likelihood(self, parameters, nodes):
        from .kernels import dropout_likelihood

- Special functions are needed at `nodes.levels` only. They are asked of SciPy outside, or, where
  calls of the interpreter would take longer than the sums, of `math.lgamma` and `digamma` here.
- Nodes from `compress` and `grid` are sorted by level, so that level i has the nodes
  ``start[i]:start[i + 1]``, and every time is said once (`Histories.plan`): logarithms are taken
  once for each, not once for each node.
- Sums run in the order of the nodes: equal input gives equal bits. No `fastmath`, no threads
  inside; kernels let go of the interpreter, and the chains of the sampler run side by side.
- Functions that a kernel calls belong into the same file: numba's cache follows only that file.

Compiled code is kept in numba's cache (``__pycache__`` beside the source, or the user's cache
folder, or ``NUMBA_CACHE_DIR``). Where no folder can be written it is compiled anew in every
process, with the same result. Only numba writes and reads that cache: it holds machine code of
this file, never a model or data, and may be deleted at any time.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
import numpy.typing as npt

from .formulas import FloatArray

__all__ = ["digamma", "dropout_likelihood", "dropout_sums", "jit"]

_BLOCK = 1024
_LOG2_E = 1.4426950408889634
_LN2_HIGH = 6.93147180369123816490e-01
_LN2_LOW = 1.90821492927058770002e-10
_JUMP = 1000.0
_ROUND = 6755399441055744.0

_Function = TypeVar("_Function", bound=Callable[..., Any])


def jit(function: _Function) -> _Function:
    """Compile a kernel at its first call; it lets go of the interpreter while it runs."""
    try:
        return cast("_Function", numba.njit(function, nogil=True, cache=True, error_model="numpy"))
    except RuntimeError:  # numba: "cannot cache function: no locator available"
        return cast("_Function", numba.njit(function, nogil=True, error_model="numpy"))


# exp and log as simple loops over blocks that stay in the processor's cache: the compiler makes
# vector instructions of them, which it cannot do with a call of the library. It does so only for
# few arrays that cannot overlap, hence one loop a function and one allocation an array.


@jit
def _waits(
    log_time: FloatArray,
    at_T: npt.NDArray[np.int32],
    at_recency: npt.NDArray[np.int32],
    wait: FloatArray,
) -> None:
    for j in range(len(at_T)):
        wait[j] = log_time[at_T[j]] - log_time[at_recency[j]]


@jit
def _exp_parts(o: float, s: float, wait: FloatArray, part: FloatArray, power: FloatArray) -> None:
    """exp(-|o + s wait|) = part * 2^k, |ln part| <= ln(2) / 2, with k in the low bits of power."""
    for j in range(len(wait)):
        y = -abs(o + s * wait[j])
        y = y if y > -708.0 else -708.0
        power[j] = y * _LOG2_E + _ROUND  # rounds to a whole number
        k = power[j] - _ROUND
        y = (y - k * _LN2_HIGH) - k * _LN2_LOW
        p = 1.0 / 6227020800.0
        p = p * y + 1.0 / 479001600.0
        p = p * y + 1.0 / 39916800.0
        p = p * y + 1.0 / 3628800.0
        p = p * y + 1.0 / 362880.0
        p = p * y + 1.0 / 40320.0
        p = p * y + 1.0 / 5040.0
        p = p * y + 1.0 / 720.0
        p = p * y + 1.0 / 120.0
        p = p * y + 1.0 / 24.0
        p = p * y + 1.0 / 6.0
        p = p * y + 0.5
        part[j] = (p * y + 1.0) * y + 1.0


@jit
def _powers(bits: npt.NDArray[np.int64]) -> None:
    for j in range(len(bits)):
        bits[j] = (bits[j] + 1023) << 52


@jit
def _gone(
    o: float, s: float, wait: FloatArray, e: FloatArray, power: FloatArray, out: FloatArray
) -> None:
    """The logistic function of u = o + s wait, and exp(-|u|) in `e`."""
    for j in range(len(e)):
        e[j] *= power[j]
        out[j] = (1.0 if o + s * wait[j] >= 0.0 else e[j]) / (1.0 + e[j])


@jit
def _log1p(e: FloatArray, out: FloatArray) -> None:
    """ln(1 + e) for 0 <= e <= 1."""
    for j in range(len(e)):
        # 2 artanh(h), h = e / (2 + e) <= 1/3: sixteen terms of the series.
        h = e[j] / (2.0 + e[j])
        h2 = h * h
        q = 1.0 / 31.0
        q = q * h2 + 1.0 / 29.0
        q = q * h2 + 1.0 / 27.0
        q = q * h2 + 1.0 / 25.0
        q = q * h2 + 1.0 / 23.0
        q = q * h2 + 1.0 / 21.0
        q = q * h2 + 1.0 / 19.0
        q = q * h2 + 1.0 / 17.0
        q = q * h2 + 1.0 / 15.0
        q = q * h2 + 1.0 / 13.0
        q = q * h2 + 1.0 / 11.0
        q = q * h2 + 1.0 / 9.0
        q = q * h2 + 1.0 / 7.0
        q = q * h2 + 1.0 / 5.0
        q = q * h2 + 1.0 / 3.0
        q = q * h2 + 1.0
        out[j] = 2.0 * h * q


@jit
def dropout_sums(
    odds: FloatArray,
    shape: FloatArray,
    start: npt.NDArray[np.intp],
    at_T: npt.NDArray[np.int32],
    at_recency: npt.NDArray[np.int32],
    log_time: FloatArray,
    inverse_time: FloatArray,
    weight: FloatArray,
) -> FloatArray:
    """Sums over the nodes of each level for the models in which a purchase may be the last.

    The term of a node is ln[(alpha+T)^-s + e^o (alpha+tx)^-s] with shape s and log odds o of its
    level (FHL eq. 6).

    Args:
        odds: o of each level; -inf where the customer had no chance to leave, (levels,).
        shape: s of each level, (levels,).
        start: First node of each level, and the number of nodes, (levels + 1,).
        at_T: Place of each node's T among the times, (nodes,).
        at_recency: Place of its recency, (nodes,).
        log_time: log(alpha + time), (times,).
        inverse_time: 1 / (alpha + time), (times,).
        weight: Customers of each node, (nodes,).

    Returns:
        (4, levels): weighted sum of the terms, of their derivatives by s, by alpha and by o.
    """
    out = np.zeros((4, len(shape)))
    wait, e, power = np.empty(_BLOCK), np.empty(_BLOCK), np.empty(_BLOCK)
    gone, log1p, bits = np.empty(_BLOCK), np.empty(_BLOCK), power.view(np.int64)
    for level in range(len(shape)):
        s, o = shape[level], odds[level]
        sum_log = sum_term = by_shape = by_alpha = by_odds = 0.0
        for begin in range(start[level], start[level + 1], _BLOCK):
            end = min(begin + _BLOCK, start[level + 1])
            n = end - begin
            T, recency, w = at_T[begin:end], at_recency[begin:end], weight[begin:end]
            for j in range(n):
                sum_log += w[j] * log_time[T[j]]
                by_alpha -= w[j] * inverse_time[T[j]]
            if o == -np.inf:
                continue
            _waits(log_time, T, recency, wait[:n])
            _exp_parts(o, s, wait[:n], e[:n], power[:n])
            _powers(bits[:n])
            _gone(o, s, wait[:n], e[:n], power[:n], gone[:n])
            _log1p(e[:n], log1p[:n])
            for j in range(n):
                u = o + s * wait[j]
                left = w[j] * gone[j]
                sum_term += w[j] * ((u if u > 0.0 else 0.0) + log1p[j])
                by_odds += left
                by_shape += left * wait[j]
                by_alpha += left * (inverse_time[T[j]] - inverse_time[recency[j]])
        out[0, level] = sum_term - s * sum_log
        out[1, level] = by_shape - sum_log
        out[2, level] = s * by_alpha
        out[3, level] = by_odds
    return out


@jit
def digamma(x: float) -> float:
    """Derivative of the logarithm of the gamma function, x > 0 (Abramowitz & Stegun 6.3)."""
    shift = 0.0
    while x < 10.0:
        shift -= 1.0 / x
        x += 1.0
    z = 1.0 / (x * x)
    tail = 1.0 / 12.0 - z * (1.0 / 120.0 - z * (1.0 / 252.0 - z * (1.0 / 240.0 - z / 132.0)))
    tail -= z**5 * (691.0 / 32760.0 - z / 12.0)
    return shift + math.log(x) - 0.5 / x - z * tail


@jit
def _rise(x: float, n: int) -> tuple[float, float]:
    """lnG(x + n) - lnG(x) and its derivative."""
    value, product, slope = 0.0, 1.0, 0.0
    for j in range(n):
        product *= x + j
        slope += 1.0 / (x + j)
        if not 1e-250 < product < 1e250:
            value, product = value + math.log(product), 1.0
    return value + math.log(product), slope


@jit
def _shares(b: float, a: float, n: int) -> tuple[float, float, float]:
    """The logarithm of [B(a, b+n) / B(a, b)], digamma(b+n) - digamma(b), the same of a + b."""
    value, product, slope, both = 0.0, 1.0, 0.0, 0.0
    for j in range(n):
        product *= (b + j) / (a + b + j)
        slope += 1.0 / (b + j)
        both += 1.0 / (a + b + j)
        if product < 1e-250:
            value, product = value + math.log(product), 1.0
    return value + math.log(product), slope, both


@jit
def dropout_likelihood(
    parameters: FloatArray,
    bought: FloatArray,
    chances: FloatArray,
    cell: npt.NDArray[np.intp],
    customers: FloatArray,
    start: npt.NDArray[np.intp],
    time: FloatArray,
    time_cell: npt.NDArray[np.intp],
    at_T: npt.NDArray[np.int32],
    at_recency: npt.NDArray[np.int32],
    weight: FloatArray,
) -> tuple[float, FloatArray]:
    """The likelihood of the models in which a purchase may be the last, FHL eq. 6.

    A node's term, with m purchases' worth of the rate and n chances to leave, is
    lnG(r+m) - lnG(r) + r ln alpha + lnG(b+n) - lnG(b) - lnG(a+b+n) + lnG(a+b)
    + ln[(alpha+T)^-(r+m) + a/(b+n-1) (alpha+tx)^-(r+m)], the last summand only for n > 0.

    Args:
        parameters: r, alpha, a, b, (4, cells).
        bought: m of each level, (levels,).
        chances: n of each level.
        cell: Column of the parameters of each level.
        customers: Summed weight of each level.
        start: As `time`, `time_cell`, `at_T`, `at_recency` and `weight`: see `Plan`.
        time: .
        time_cell: .
        at_T: .
        at_recency: .
        weight: .

    Returns:
        Weighted sum, and its gradient by the parameters, (4, cells).
    """
    log_time, inverse_time = np.empty(len(time)), np.empty(len(time))
    for i in range(len(time)):
        inverse_time[i] = 1.0 / (parameters[1, time_cell[i]] + time[i])
        log_time[i] = math.log(parameters[1, time_cell[i]] + time[i])
    odds, shape = np.empty(len(bought)), np.empty(len(bought))
    for level in range(len(bought)):
        r, _, a, b = parameters[:, cell[level]]
        n = chances[level]
        shape[level] = r + bought[level]
        odds[level] = math.log(a / (b + n - 1.0)) if n > 0.0 else -np.inf
    sums = dropout_sums(odds, shape, start, at_T, at_recency, log_time, inverse_time, weight)
    value, gradient = 0.0, np.zeros(parameters.shape)
    bought_at = stayed_at = 0.0
    before = -1
    ln_buy = ln_stay = by_buy = by_stay = by_both = 0.0
    for level in range(len(bought)):
        c, w, n, m = cell[level], customers[level], chances[level], bought[level]
        r, alpha, a, b = parameters[:, c]
        if c != before or m < bought_at or n < stayed_at:
            bought_at = stayed_at = 0.0
            ln_buy = ln_stay = by_buy = by_stay = by_both = 0.0
        before = c
        # The gamma functions from one level to the next, by their recursion: differences of
        # their logarithms would lose digits where a and b are large.
        if m - bought_at <= _JUMP:
            more, slope = _rise(r + bought_at, int(m - bought_at))
            ln_buy, by_buy = ln_buy + more, by_buy + slope
        else:
            ln_buy, by_buy = math.lgamma(r + m) - math.lgamma(r), digamma(r + m) - digamma(r)
        if n - stayed_at <= _JUMP:
            more, slope, both = _shares(b + stayed_at, a, int(n - stayed_at))
            ln_stay, by_stay, by_both = ln_stay + more, by_stay + slope, by_both + both
        else:
            ln_stay = math.lgamma(b + n) - math.lgamma(b)
            ln_stay -= math.lgamma(a + b + n) - math.lgamma(a + b)
            by_stay = digamma(b + n) - digamma(b)
            by_both = digamma(a + b + n) - digamma(a + b)
        bought_at, stayed_at = m, n
        log_alpha = math.log(alpha)
        value += sums[0, level] + w * (ln_buy + ln_stay + r * log_alpha)
        gradient[0, c] += sums[1, level] + w * (by_buy + log_alpha)
        gradient[1, c] += sums[2, level] + w * r / alpha
        if n > 0.0:
            gradient[2, c] += sums[3, level] / a - w * by_both
            gradient[3, c] += w * (by_stay - by_both) - sums[3, level] / (b + n - 1.0)
    return value, gradient
