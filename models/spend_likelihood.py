"""The likelihood of the Gamma-Gamma spend model, on few nodes for any number of customers.

Fader & Hardie (2013), "The Gamma-Gamma Model of Monetary Value", brucehardie.com/notes/025;
cited as FH.
"""

from __future__ import annotations

import numpy as np
from scipy.special import digamma, gammaln

from .btyd.formulas import FloatArray
from .btyd.model import PRIOR_SD
from .btyd.posterior import Target
from .btyd.rfm import distinct

__all__ = ["spend_nodes", "spend_target"]

# Distinct values per frequency above which they are moved to a Chebyshev grid, and its size.
_GRID = 64


def spend_nodes(
    x: FloatArray, money: FloatArray, weight: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Few weighted (frequency, value) nodes with the same likelihood.

    Identical customers are merged. Where one frequency still has many values, its customers are
    spread over a Chebyshev grid in log value by their Lagrange coefficients: the sum over
    customers of any smooth function of log value is kept. The only such function here is
    log(gamma + x z), whose nearest singularity is pi away from the real axis, so that the error
    is about 1e-11. Weights may be negative.
    """
    rows, place = distinct(np.column_stack([x, money]))
    merged = np.bincount(place, weight, minlength=len(rows)).astype(float)
    out = []
    for group in np.split(np.arange(len(rows)), np.flatnonzero(np.diff(rows[:, 0])) + 1):
        values, mass = rows[group, 1], merged[group]
        if len(group) > _GRID:
            y = np.log(values)
            angle = (np.arange(_GRID) + 0.5) * np.pi / _GRID
            centre, half = 0.5 * (y[-1] + y[0]), 0.5 * (y[-1] - y[0])
            grid = np.cos(angle)
            sign = np.sin(angle) * (-1.0) ** np.arange(_GRID)
            deposited = np.zeros(_GRID)
            for start in range(0, len(y), 16384):
                u = (y[start : start + 16384] - centre) / half
                gap = u[:, None] - grid
                gap[gap == 0.0] = 1e-300
                share = sign / gap  # barycentric Lagrange coefficients
                share /= share.sum(axis=1, keepdims=True)
                deposited += mass[start : start + 16384] @ share
            values, mass = np.exp(centre + half * grid), deposited
        out.append(np.column_stack([np.full(len(values), rows[group[0], 0]), values, mass]))
    table = np.concatenate(out)
    return table[:, 0], table[:, 1], table[:, 2]


def spend_target(x: FloatArray, money: FloatArray, weight: FloatArray, priors: str) -> Target:
    """The posterior in the coordinates log p, log(q - 1), log gamma.

    Args:
        x: Purchases with a known value, above 0, (n,).
        money: Their mean value, above 0, (n,).
        weight: Customers that a row stands for, (n,).
        priors: "weak" (see `GammaGamma.fit`) or "flat".

    Returns:
        Likelihood, its gradient and prior, ready for `infer`.
    """
    customers = float(weight.sum())
    centre = np.log([2.0, 2.0, float(weight @ money) / customers])
    node_x, node_money, w = spend_nodes(x, money, weight)
    levels, group = np.unique(node_x, return_inverse=True)
    mass = np.bincount(group, w, minlength=len(levels))
    log_total = np.log(node_x * node_money)
    total = node_x * node_money
    weighted_log_total = float((w * node_x) @ log_total)
    constant = -float(w @ np.log(node_money))

    def log_likelihood(point: FloatArray) -> tuple[float, FloatArray]:
        # FH eq. 1a in logarithms: lnG(px+q) - lnG(px) - lnG(q) + q ln gamma
        #   + (px - 1) ln z + px ln x - (px + q) ln(gamma + x z).
        p, above_one, gamma = np.exp(np.clip(point, -200.0, 200.0))
        q = 1.0 + above_one
        shape = p * levels
        log_sum = np.log(gamma + total)
        power = p * node_x + q
        value = (
            mass @ (gammaln(shape + q) - gammaln(shape))
            + customers * (q * np.log(gamma) - gammaln(q))
            + p * weighted_log_total
            + constant
            - (w * power) @ log_sum
        )
        both = digamma(shape + q)
        by_p = (mass * levels) @ (both - digamma(shape)) + weighted_log_total
        by_p -= (w * node_x) @ log_sum
        by_q = mass @ both + customers * (np.log(gamma) - digamma(q)) - w @ log_sum
        by_gamma = customers * q / gamma - (w * power) @ (1.0 / (gamma + total))
        return float(value), np.array([by_p * p, by_q * above_one, by_gamma * gamma])

    def to_parameters(point: FloatArray) -> FloatArray:
        values = np.exp(point)
        values[..., 1] += 1.0
        out: FloatArray = values
        return out

    return Target(
        names=("p", "q", "gamma"),
        log_likelihood=log_likelihood,
        to_parameters=to_parameters,
        prior_mean=centre,
        prior_sd=np.full(3, PRIOR_SD if priors == "weak" else np.inf),
        start=centre,
        weight=customers,
        nodes=len(node_x),
    )
