"""Compiled inner loop of the likelihood of regular buyers; see `kernels` for the rules."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from .formulas import FloatArray
from .kernels import jit

__all__ = ["phase_sums"]


@jit
def phase_sums(
    k: int,
    odds: FloatArray,
    shape: FloatArray,
    start: npt.NDArray[np.intp],
    at_T: npt.NDArray[np.int32],
    at_recency: npt.NDArray[np.int32],
    time: FloatArray,
    log_time: FloatArray,
    inverse_time: FloatArray,
    weight: FloatArray,
) -> FloatArray:
    """Sums over the nodes of each level for purchases at every k-th event.

    The term of a node with shape s and log odds o of its level, and u = (T - tx) / (alpha + T), is

        -s ln(alpha+T) + ln[e^o ((alpha+T) / (alpha+tx))^s + sum_{j<k} G(s+j)/G(s) u^j / j!].

    Args:
        k: Events a purchase.
        odds: o of each level, (levels,).
        shape: s of each level, (levels,).
        start: First node of each level, and the number of nodes, (levels + 1,).
        at_T: Place of each node's T among the times, (nodes,).
        at_recency: Place of its recency, (nodes,).
        time: The times, (times,).
        log_time: log(alpha + time), (times,).
        inverse_time: 1 / (alpha + time), (times,).
        weight: Customers of each node, (nodes,).

    Returns:
        (4, levels): weighted sum of the terms, of their derivatives by s, by alpha and by o.
    """
    out = np.zeros((4, len(shape)))
    factor = np.empty(k)  # of u^j
    slope = np.empty(k)  # of its logarithm by s
    for level in range(len(shape)):
        s, o = shape[level], odds[level]
        factor[0], slope[0] = 1.0, 0.0
        for j in range(1, k):
            factor[j] = factor[j - 1] * (s + (j - 1)) / j
            slope[j] = slope[j - 1] + 1.0 / (s + (j - 1))
        terms = by_shape = by_alpha = by_odds = 0.0
        for i in range(start[level], start[level + 1]):
            T, recency, w = at_T[i], at_recency[i], weight[i]
            u = (time[T] - time[recency]) * inverse_time[T]
            alive, mean_slope, mean_phase, power = 1.0, 0.0, 0.0, 1.0
            for j in range(1, k):
                power *= u
                term = factor[j] * power
                alive += term
                mean_slope += term * slope[j]
                mean_phase += term * j
            mean_slope /= alive
            mean_phase /= alive
            log_alive = math.log(alive)
            wait = log_time[T] - log_time[recency]
            against = o + s * wait - log_alive
            e = math.exp(-abs(against))
            gone = (1.0 if against >= 0.0 else e) / (1.0 + e)
            stays = (e if against >= 0.0 else 1.0) / (1.0 + e)
            softplus = max(against, 0.0) + math.log1p(e)
            terms += w * (log_alive + softplus - s * log_time[T])
            by_shape += w * (gone * wait + stays * mean_slope - log_time[T])
            by_alpha += w * (
                gone * s * (inverse_time[T] - inverse_time[recency])
                - (stays * mean_phase + s) * inverse_time[T]
            )
            by_odds += w * gone
        out[0, level] = terms
        out[1, level] = by_shape
        out[2, level] = by_alpha
        out[3, level] = by_odds
    return out
