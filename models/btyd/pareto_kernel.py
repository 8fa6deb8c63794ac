"""The compiled inner loop of the Pareto/NBD likelihood; see `kernels` for the rules."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from .formulas import FloatArray
from .kernels import jit

__all__ = ["silence_sums"]


@jit
def silence_sums(
    shape: FloatArray,
    alpha: FloatArray,
    s: FloatArray,
    beta: FloatArray,
    mark_start: npt.NDArray[np.intp],
    mark_time: FloatArray,
    start: npt.NDArray[np.intp],
    at_T: npt.NDArray[np.int32],
    at_recency: npt.NDArray[np.int32],
    weight: FloatArray,
    sizes: npt.NDArray[np.intp],
    offset: npt.NDArray[np.intp],
    node: FloatArray,
    share: FloatArray,
    furthest_fall: float,
) -> FloatArray:
    """Sums over the nodes of each level of ln[alpha^m beta^s (gone(recency) + to_come(T))].

        gone(t)    = integral over u > t of s (alpha+u)^-m (beta+u)^-(s+1) du
        to_come(t) = integral over u > t of m (alpha+u)^-(m+1) (beta+u)^-s du

    and m = r + x is the shape of the level: the end came before the next purchase, or the next
    purchase comes after T. Both depend on one time, so that a level needs them at its distinct
    times only. They are summed up from the last time backwards: beyond the last time by one
    integral in w = ln(1 + (u-t)/(c+t)), c = min(alpha, beta), between two times by a short one.

    Args:
        shape: m of each level, (levels,).
        alpha: Rate of the purchase rate, (levels,).
        s: Shape of the dropout rate, (levels,).
        beta: Rate of the dropout rate, (levels,).
        mark_start: First mark of each level, and the number of marks, (levels + 1,).
        mark_time: Distinct times of each level, ascending, (marks,).
        start: First node of each level, and the number of nodes, (levels + 1,).
        at_T: Mark of each node's T, (nodes,).
        at_recency: Mark of its recency, (nodes,).
        weight: Customers of each node, (nodes,).
        sizes: Numbers of Gauss-Legendre nodes to choose from.
        offset: Where each of these rules begins in `node` and `share`.
        node: Nodes of all rules, on (0, 1).
        share: Their weights.
        furthest_fall: Where an integrand has fallen by exp(-this), it is left off.

    Returns:
        (5, levels): the weighted sums, and their derivatives by m, alpha, s and beta; those by
        alpha and beta without the factor alpha^m beta^s.
    """
    out = np.zeros((5, len(shape)))
    marks = len(mark_time)
    # Two races at every mark: the event of the smaller of alpha and beta comes first (0), or
    # the other (1). Logarithm of the integral, its derivatives by both shapes and both rates.
    value = np.empty((2, marks))
    slope = np.empty((2, marks, 4))
    pull = np.zeros((2, marks))
    for level in range(len(shape)):
        swap = alpha[level] > beta[level]
        low, high = min(alpha[level], beta[level]), max(alpha[level], beta[level])
        near, far = (s[level], shape[level]) if swap else (shape[level], s[level])
        gap = high - low
        # Of the two events: chance, mean of both logarithms and of both inverse times.
        p0 = p1 = near0 = near1 = far0 = far1 = inear0 = inear1 = ifar0 = ifar1 = 0.0
        for j in range(mark_start[level + 1] - 1, mark_start[level] - 1, -1):
            c = low + mark_time[j]
            o = c + gap
            last = j == mark_start[level + 1] - 1
            steep = near + far * c / o
            if last:
                width = min(furthest_fall / steep, math.log(o / c) + 32.0)
                fall = near * width + far * math.log((c * math.exp(width) + gap) / o)
            else:
                ahead = mark_time[j + 1] - mark_time[j]
                step, step_far = math.log1p(ahead / c), math.log1p(ahead / o)
                width, fall = step, near * step + far * step_far
                carry = math.exp(-fall)
                far0 = carry * (far0 + step_far * p0)
                far1 = carry * (far1 + step_far * p1)
                near0 = carry * (near0 + step * p0)
                near1 = carry * (near1 + step * p1)
                p0, p1 = carry * p0, carry * p1
                inear0, inear1 = carry * inear0, carry * inear1
                ifar0, ifar1 = carry * ifar0, carry * ifar1
            if fall > furthest_fall:
                width = min(width, furthest_fall / steep)
                for _ in range(5):  # convex: Newton's steps stay on the far side
                    cu = c * math.exp(width)
                    fall = near * width + far * math.log((cu + gap) / o)
                    width -= (fall - furthest_fall) / (near + far * cu / (cu + gap))
                fall = furthest_fall
            rule, need = 0, 3.0 + 2.5 * math.sqrt(fall) + 2.0 * width
            if fall + width < 0.15:
                need = 3.0 if fall + width > 0.01 else 2.0
            while rule < len(sizes) - 1 and sizes[rule] < need:
                rule += 1
            a0 = a1 = n0 = n1 = f0 = f1 = i0 = i01 = i1 = 0.0
            for k in range(offset[rule], offset[rule] + sizes[rule]):
                w = width * node[k]
                cu = c * math.exp(w)
                ou = cu + gap
                log_far = math.log(ou / o)
                part0 = share[k] * width * math.exp(-near * w - far * log_far)
                part1 = part0 * cu / ou
                a0 += part0
                a1 += part1
                n0 += part0 * w
                n1 += part1 * w
                f0 += part0 * log_far
                f1 += part1 * log_far
                i0 += part0 / cu
                i01 += part0 / ou
                i1 += part1 / ou
            if last:  # beyond `width` both integrands are exponentials of w
                cu = c * math.exp(width)
                log_far = math.log((cu + gap) / o)
                both = near + far
                rest = math.exp(-near * width - far * log_far) / both
                a0 += rest
                a1 += rest
                n0 += rest * (width + 1.0 / both)
                n1 += rest * (width + 1.0 / both)
                f0 += rest * (log_far + 1.0 / both)
                f1 += rest * (log_far + 1.0 / both)
                beyond = rest * both / (both + 1.0) / cu
                i0 += beyond
                i01 += beyond
                i1 += beyond
            p0 += near * a0
            p1 += far * a1
            near0 += near * n0
            near1 += far * n1
            far0 += near * f0
            far1 += far * f1
            inear0 += near * i0
            inear1 += far * i01
            ifar0 += near * i01
            ifar1 += far * i1
            log_c, log_o = math.log1p(mark_time[j] / low), math.log1p(mark_time[j] / high)
            quiet = -near * log_c - far * log_o
            value[0, j] = quiet + math.log(p0)
            value[1, j] = quiet + math.log(p1)
            slope[0, j, 0] = 1.0 / near - log_c - near0 / p0
            slope[1, j, 0] = -log_c - near1 / p1
            slope[0, j, 1] = -log_o - far0 / p0
            slope[1, j, 1] = 1.0 / far - log_o - far1 / p1
            slope[0, j, 2] = -(near + 1.0) * inear0 / p0
            slope[1, j, 2] = -near * inear1 / p1
            slope[0, j, 3] = -far * ifar0 / p0
            slope[1, j, 3] = -(far + 1.0) * ifar1 / p1
        come, gone = (1, 0) if swap else (0, 1)
        total = 0.0
        for i in range(start[level], start[level + 1]):
            before, after = value[gone, at_recency[i]], value[come, at_T[i]]
            e = math.exp(-abs(before - after))
            total += weight[i] * (max(before, after) + math.log1p(e))
            pull_less = weight[i] * e / (1.0 + e)
            pull_more = weight[i] / (1.0 + e)
            if before > after:
                pull[gone, at_recency[i]] += pull_more
                pull[come, at_T[i]] += pull_less
            else:
                pull[gone, at_recency[i]] += pull_less
                pull[come, at_T[i]] += pull_more
        by = np.zeros(4)
        for j in range(mark_start[level], mark_start[level + 1]):
            for i in range(4):
                by[i] += pull[0, j] * slope[0, j, i] + pull[1, j] * slope[1, j, i]
        out[0, level] = total
        out[1, level] = by[1] if swap else by[0]
        out[2, level] = by[3] if swap else by[2]
        out[3, level] = by[0] if swap else by[1]
        out[4, level] = by[2] if swap else by[3]
    return out
