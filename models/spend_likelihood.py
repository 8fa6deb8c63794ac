"""The likelihood of the Gamma-Gamma spend model, on few nodes for any number of customers.

Fader & Hardie (2013), "The Gamma-Gamma Model of Monetary Value", brucehardie.com/notes/025;
cited as FH. For any number of purchases x, whole or not, with mean value z, their eq. 1a in
logarithms is

    lnG(p x + q) - lnG(p x) - lnG(q) + q ln g + p x ln(x z) - ln z - (p x + q) ln(g + x z)

with g = gamma exp(row of the design x coefficients). The first two terms depend on x alone, and
the last is linear in x, so that the customers of a cell become few points in x and few in x z.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.special import digamma, gammaln

from .btyd.formulas import FloatArray
from .btyd.histories import ranked
from .btyd.mode import find_mode
from .btyd.target import Priors, Target, prior
from .spend_effects import START_SPREAD, Effects

__all__ = ["learn_spreads", "spend_nodes", "spend_target"]

_EFFECT_SD = 0.5  # of a slope or a covariate: a factor of e^0.5 a standard deviation
_SPREAD_LEVELS = 2.0  # how many levels the prior of their spread counts for
_MODES, _EM_STEPS, _CLOSE = 8, 40, 0.01


def spend_nodes(values: FloatArray, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Few points in place of many positive values, for sums of smooth functions of their log.

    The values are spread over a Chebyshev grid in log value by their Lagrange coefficients. The
    functions summed here have their nearest singularity pi away from the real axis, so that the
    error falls by a known factor a point; the grid has as many as 1e-13 takes.

    Args:
        values: (n,), above 0.
        weights: (k, n).

    Returns:
        Points (m,) and their weights (k, m), which may be negative.
    """
    u = np.log(values)
    low, high = float(u.min()), float(u.max())
    half = 0.5 * (high - low)
    steepness = np.arcsinh(np.pi / half) if half > 0.0 else np.inf
    size = int(np.ceil(30.0 / steepness)) + 8
    if len(u) <= size:
        return values, weights
    angle = (np.arange(size) + 0.5) * np.pi / size
    grid, sign = np.cos(angle), np.sin(angle) * (-1.0) ** np.arange(size)
    out = np.zeros((len(weights), size))
    for start in range(0, len(u), 16384):
        block = slice(start, start + 16384)
        gap = ((u[block] - 0.5 * (high + low)) / half)[:, None] - grid
        gap[gap == 0.0] = 1e-300
        share = sign / gap  # barycentric Lagrange coefficients
        share /= share.sum(axis=1, keepdims=True)
        out += weights[:, block] @ share
    return np.exp(0.5 * (high + low) + half * grid), out


@dataclass(frozen=True)
class _Nodes:
    """What the likelihood runs on: all customers, or the few points that stand for them."""

    level: FloatArray  # values of x, (levels,)
    mass: FloatArray  # customers of each
    total: FloatArray  # values of x z, (nodes,)
    weights: FloatArray  # customers of each, and their purchases, (2, nodes)
    cell: npt.NDArray[np.intp]  # where their row of the design is, (nodes,)


def spend_target(
    x: FloatArray,
    money: FloatArray,
    weight: FloatArray,
    priors: Priors,
    effects: Effects | None = None,
    cell: npt.NDArray[np.intp] | None = None,
    rows: FloatArray | None = None,
) -> Target:
    """The posterior of p, q, gamma and the effects, for any (also fractional) x.

    Cost grows with the cells: a number among the covariates has
    some hundred different values (`btyd.covariates`), two of them many more.

    Coordinates: log p, log(q - 1), log gamma, and the coefficients themselves. The prior of
    levels is part of the model and holds with "flat", too: it is what draws small levels
    towards the whole.

    Args:
        x: Purchases with a known value, above 0, (n,).
        money: Their mean value, above 0, (n,).
        weight: Customers that a row stands for, (n,).
        priors: See `GammaGamma.fit`; for q it is the prior of q - 1.
        effects: What moves gamma; nothing when left out.
        cell: Cell of each customer, (n,), and
        rows: the coefficients' values in each cell: `Effects.cells`.

    Returns:
        Likelihood, its gradient and prior, ready for `infer`.
    """
    customers = float(weight.sum())
    total = x * money
    if effects is None or cell is None or rows is None:
        effects, cell, rows = Effects(), np.zeros(len(x), dtype=np.intp), np.empty((1, 0))
    cell_weight = np.bincount(cell, weight, minlength=len(rows)).astype(float)
    both_weights = np.stack([weight, weight * x])
    level, level_weight = spend_nodes(*_merge(x, weight[None, :]))
    nodes = _Nodes(level, level_weight[0], *_nodes(total, both_weights, cell))
    everybody = _Nodes(x, weight, total, both_weights, cell)
    slope_total = float((weight * x) @ np.log(total))
    constant = -float(weight @ np.log(money))
    centre = {"p": 2.0, "q": 2.0, "gamma": float(weight @ money) / customers}

    def log_likelihood(point: FloatArray, at: _Nodes = nodes) -> tuple[float, FloatArray]:
        p, above_one, gamma = np.exp(np.clip(point[:3], -200.0, 200.0))
        q = 1.0 + above_one
        log_scale = np.log(gamma) + _product("ck,k->c", rows, point[3:])
        g = np.exp(log_scale)[at.cell]
        log_sum = np.log(g + at.total)
        once, often = at.weights
        power = p * often + q * once
        shape = p * at.level
        both = digamma(shape + q)
        value = (
            at.mass @ (gammaln(shape + q) - gammaln(shape))
            - customers * gammaln(q)
            + q * (cell_weight @ log_scale)
            + p * slope_total
            + constant
            - power @ log_sum
        )
        by_p = (at.mass * at.level) @ (both - digamma(shape)) + slope_total - often @ log_sum
        by_q = at.mass @ both - customers * digamma(q) + cell_weight @ log_scale - once @ log_sum
        by_scale = q * cell_weight - np.bincount(
            at.cell, power * g / (g + at.total), minlength=len(rows)
        )
        first = [by_p * p, by_q * above_one, by_scale.sum()]
        return float(value), np.concatenate([first, _product("c,ck->k", by_scale, rows)])

    def to_parameters(point: FloatArray) -> FloatArray:
        main = np.exp(point[..., :3])
        main[..., 1] += 1.0
        return np.concatenate([main, point[..., 3:]], axis=-1)

    mean, sd, _ = prior(priors, centre)
    # Levels keep their prior, so that the flat ones beside them are very wide instead.
    flat = 100.0 if effects.levels else np.inf
    effect_sd = np.full(len(effects.names), flat if priors == "flat" else _EFFECT_SD)
    nothing = np.zeros(len(effects.names))
    prior_sd = np.concatenate([np.minimum(sd, flat), effect_sd])
    return Target(
        names=("p", "q", "gamma", *effects.names),
        log_likelihood=log_likelihood,
        to_parameters=to_parameters,
        prior_mean=np.concatenate([mean, nothing]),
        prior_sd=_with_spreads(prior_sd, effects),
        start=np.concatenate([np.log(list(centre.values())), nothing]),
        weight=customers,
        nodes=len(nodes.level) + len(nodes.total),
        exact=lambda point: log_likelihood(point, everybody),
    )


def _with_spreads(prior_sd: FloatArray, effects: Effects) -> FloatArray:
    out = prior_sd.copy()
    for name, places in effects.levels.items():
        out[3 + places] = effects.spreads[name]
    return out


def learn_spreads(target: Target, effects: Effects) -> tuple[Target, Effects]:
    """Learn how much tiers and segments differ.

    By the EM algorithm on the marginal likelihood (empirical Bayes): the squared spread is the
    mean of the expected squared coefficients, with two further levels of the size 0.2 that keep
    it from collapsing. The likelihood is taken for quadratic round the mode, so that the steps
    of the algorithm are linear algebra, and the mode is sought again until it stays.

    Returns:
        The target with the prior that belongs to these spreads, and the effects with them.
    """
    for _ in range(_MODES if effects.levels else 0):
        mode, precision = find_mode(target), target.prior_sd**-2.0
        curvature = np.linalg.inv(mode.scale @ mode.scale.T) - np.diag(precision)
        pull = curvature @ mode.point + precision * (mode.point - target.prior_mean)
        before = effects.spreads
        for _ in range(_EM_STEPS):
            precision = _with_spreads(target.prior_sd, effects) ** -2.0
            covariance = np.linalg.inv(curvature + np.diag(precision))
            mean = covariance @ (pull + precision * target.prior_mean)
            squares = (mean**2 + np.diag(covariance))[3:]
            effects = effects.with_spreads(
                {
                    name: float(
                        np.sqrt(
                            (squares[places].sum() + _SPREAD_LEVELS * START_SPREAD**2)
                            / (len(places) + _SPREAD_LEVELS)
                        )
                    )
                    for name, places in effects.levels.items()
                }
            )
        prior_sd = _with_spreads(target.prior_sd, effects)
        target = replace(target, prior_sd=prior_sd, start=mode.point)
        if all(abs(np.log(s / before[name])) < _CLOSE for name, s in effects.spreads.items()):
            break
    return target, effects


def _product(axes: str, one: FloatArray, other: FloatArray) -> FloatArray:
    """A product of matrix and vector without BLAS, whose threads cost more than they gain here."""
    out: FloatArray = np.einsum(axes, one, other)
    return out


def _merge(values: FloatArray, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Equal values as one."""
    found, place = ranked(values)
    summed = [np.bincount(place, w, minlength=len(found)) for w in weights]
    return found, np.stack(summed).astype(float)


def _nodes(
    total: FloatArray, weights: FloatArray, cell: npt.NDArray[np.intp]
) -> tuple[FloatArray, FloatArray, npt.NDArray[np.intp]]:
    """Points in x z, their weights (2, m), and the cell of each."""
    order = np.argsort(cell, kind="stable")
    edges = np.flatnonzero(np.diff(cell[order])) + 1
    points, masses, cells = [], [], []
    for group in np.split(order, edges):
        point, mass = spend_nodes(*_merge(total[group], weights[:, group]))
        points.append(point)
        masses.append(mass)
        cells.append(np.full(len(point), cell[group[0]]))
    return np.concatenate(points), np.concatenate(masses, axis=1), np.concatenate(cells)
