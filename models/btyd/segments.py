"""Segments as coordinates of a posterior: partially pooled, so that small ones borrow from all.

Segments are a hierarchy: offset ~ Normal(0, spread) for every segment, one spread for the rate
and one for dropout, log spread ~ Normal. A segment with little data stays near the population, a
large one goes where its data say, and how much segments differ at all is learned.

The joint mode of such a posterior says nothing (the spread runs to where the density has its
spike, not its mass). The point that inference starts from, and all that `map` gives, is
therefore empirical Bayes: the spreads at their marginal mode, with the offsets integrated out by
the normal approximation (Laplace; Tierney & Kadane 1986, JASA 81, 82-86), and everything else at
its mode given them.

For the sampler the offsets are neither centred nor non-centred but in between, by how much the
data say about each (Papaspiliopoulos, Roberts & Skold 2007, "A General Framework for the
Parametrization of Hierarchical Models", Statistical Science 22(1)): with s the spread and s0 its
estimate, offset = s0 (s / s0)^(1 - c) w, where c is the share of the spread that the data explain.
Neither small nor large segments make a funnel.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy.optimize import minimize, root

from ..base import ModelError
from .cellwise import Cellwise
from .covariates import Design, printable
from .formulas import FloatArray
from .target import Mode, Target

__all__ = ["offset_name", "pooled_target", "summary"]

_MAX_LOG_SPREAD = 4.0


def pooled_target(
    plain: Target,
    work: Cellwise,
    spreads: tuple[str, ...],
    offsets: tuple[str, ...],
    log_spread: tuple[float, float],
) -> Target:
    """The posterior with segments.

    Args:
        plain: The posterior without them, of parameters and coefficients.
        work: The likelihood by parameters, coefficients and offsets.
        spreads: Names of the spreads, one an effect.
        offsets: Names of the offsets, by effect.
        log_spread: Mean and standard deviation of the prior of log spread.

    Returns:
        A target of parameters, coefficients, spreads and offsets with its `mode`.
    """
    base, effects = len(plain.names), len(spreads)
    groups = len(offsets) // effects
    point = _empirical_bayes(plain, work, effects, groups, log_spread)
    spread = np.repeat(np.exp(point.log_spread), groups)
    explained = np.clip(1.0 - np.diag(point.covariance)[base:] / spread**2, 0.0, 1.0)
    middle = slice(base, base + effects)

    def unfold(q: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Change of log spread from its estimate, by offset, and the offsets."""
        change = np.repeat(q[..., middle] - point.log_spread, groups, axis=-1)
        change = np.clip(change, -20.0, 20.0)
        return change, spread * np.exp((1.0 - explained) * change) * q[..., base + effects :]

    def log_likelihood(q: FloatArray) -> tuple[float, FloatArray]:
        # Beside the likelihood: what the prior of w given the spread adds to Normal(0, 1).
        change, offset = unfold(q)
        w = q[base + effects :]
        value, gradient = work.value(np.concatenate([q[:base], offset]))
        by_offset = gradient[base:]
        narrower = np.expm1(-2.0 * explained * change)
        value -= float(np.sum(0.5 * w**2 * narrower + explained * change))
        by_change = by_offset * offset * (1.0 - explained)
        by_change += explained * (w**2 * (narrower + 1.0) - 1.0)
        by_w = by_offset * spread * np.exp((1.0 - explained) * change) - w * narrower
        return value, np.concatenate(
            [gradient[:base], by_change.reshape(effects, groups).sum(axis=1), by_w]
        )

    def to_parameters(points: FloatArray) -> FloatArray:
        out = np.array(points)
        out[..., :base] = plain.to_parameters(out[..., :base])
        out[..., middle] = np.exp(out[..., middle])
        out[..., base + effects :] = unfold(points)[1]
        return out

    mean, sd = log_spread
    # Flat priors of the rest stand beside proper ones here, so they are only very wide.
    wide = np.where(np.isinf(plain.prior_sd), 1e4, plain.prior_sd)
    target = Target(
        names=(*plain.names, *spreads, *offsets),
        log_likelihood=log_likelihood,
        to_parameters=to_parameters,
        prior_mean=np.concatenate(
            [plain.prior_mean, np.full(effects, mean), np.zeros(len(offsets))]
        ),
        prior_sd=np.concatenate([wide, np.full(effects, sd), np.ones(len(offsets))]),
        start=np.concatenate([point.v[:base], point.log_spread, point.v[base:] / spread]),
        weight=plain.weight,
        nodes=plain.nodes,
    )
    return _with_mode(target, point, spread, explained, base, effects)


def offset_name(effect: str, segment: str, level: str) -> str:
    """Name of the offset of a segment, such as "rate[channel:web]"."""
    return f"{effect}[{segment}:{printable(level)}]"


def summary(
    draws: Mapping[str, FloatArray],
    effects: tuple[str, ...],
    design: Design,
    interval: float | None,
) -> pd.DataFrame:
    """The table of `PurchaseModel.segment_summary`; without an interval only its points."""
    column = str(design.segment)
    out: dict[str, object] = {"segment": list(design.segments), "customers": design.customers}
    for effect in effects:
        names = [offset_name(effect, column, segment) for segment in design.segments]
        offset = np.stack([draws[name] for name in names])
        out[effect] = np.exp(np.median(offset, axis=1))
        low = high = shrinkage = np.full(len(names), np.nan)
        if interval is not None:
            bounds = [0.5 * (1.0 - interval), 0.5 * (1.0 + interval)]
            low, high = np.exp(np.quantile(offset, bounds, axis=1))
            between = float(np.mean(draws[f"sd_{effect}[{column}]"] ** 2))
            shrinkage = np.minimum(offset.var(axis=1) / between, 1.0)
        out[f"{effect}_low"], out[f"{effect}_high"] = low, high
        out[f"{effect}_shrinkage"] = shrinkage
    return pd.DataFrame(out)


@dataclass(frozen=True)
class _Point:
    """Empirical Bayes: the spreads, the coordinates given them and their covariance."""

    log_spread: FloatArray
    v: FloatArray
    covariance: FloatArray  # of v, given the spreads
    precision: FloatArray  # of log_spread


def _empirical_bayes(
    plain: Target, work: Cellwise, effects: int, groups: int, log_spread: tuple[float, float]
) -> _Point:
    """The spreads at their marginal mode, everything else at its mode given them."""
    base = len(plain.names)
    mean, sd = log_spread
    centre = np.concatenate([plain.prior_mean, np.zeros(effects * groups)])
    state = {"v": np.concatenate([plain.start, np.zeros(effects * groups)]), "first": True}

    def inner(lam: FloatArray) -> tuple[FloatArray, FloatArray]:
        narrow = np.concatenate([plain.prior_sd**-2.0, np.repeat(np.exp(-2.0 * lam), groups)])

        def loss(v: FloatArray) -> tuple[float, FloatArray]:
            value, gradient = work.value(v)
            pull = narrow * (v - centre)
            return 0.5 * float(pull @ (v - centre)) - value, pull - gradient

        v = np.asarray(state["v"])
        if state["first"]:
            v = np.asarray(_descend(loss, v, plain.weight))
            state["first"] = False
        v, covariance = _newton(loss, lambda at: work.curvature(at) + np.diag(narrow), v)
        state["v"] = v
        return v, covariance

    def slope(lam: FloatArray) -> FloatArray:
        # Of the log marginal density of log spread: E[offset^2] / spread^2 - 1 for each segment
        # (the missing-information principle), and the prior.
        lam = np.clip(lam, -2.0 * _MAX_LOG_SPREAD - 4.0, _MAX_LOG_SPREAD)
        v, covariance = inner(lam)
        square = (v[base:] ** 2 + np.diag(covariance)[base:]).reshape(effects, groups).sum(axis=1)
        out: FloatArray = square * np.exp(-2.0 * lam) - groups - (lam - mean) / sd**2
        return out / groups

    found = root(slope, np.full(effects, mean), method="hybr", options={"xtol": 1e-4})
    lam = np.asarray(found.x, dtype=float)
    if not np.isfinite(lam).all() or np.abs(found.fun).max() > 0.05 or lam.max() > _MAX_LOG_SPREAD:
        raise ModelError(
            "How much the segments differ could not be found.",
            "Fit without a segment, or merge small segments.",
        )
    curvature = np.empty((effects, effects))
    for e, step in enumerate(0.05 * np.eye(effects)):
        curvature[e] = (slope(lam - step) - slope(lam + step)) * groups / 0.1
    values, vectors = np.linalg.eigh(0.5 * (curvature + curvature.T))
    precision = (vectors * np.maximum(values, sd**-2.0)) @ vectors.T
    v, covariance = inner(lam)
    return _Point(lam, v, covariance, precision)


def _descend(
    loss: Callable[[FloatArray], tuple[float, FloatArray]], v: FloatArray, weight: float
) -> FloatArray:
    scale = max(weight, 1.0)

    def scaled(at: FloatArray) -> tuple[float, FloatArray]:
        value, gradient = loss(at)
        return value / scale, gradient / scale

    found = minimize(
        scaled,
        v,
        jac=True,
        method="L-BFGS-B",
        bounds=list(zip(v - 20.0, v + 20.0, strict=True)),
        options={"maxiter": 60, "ftol": 1e-10, "gtol": 1e-7},
    )
    out: FloatArray = np.asarray(found.x, dtype=float)
    return out


def _newton(
    loss: Callable[[FloatArray], tuple[float, FloatArray]],
    curvature: Callable[[FloatArray], FloatArray],
    v: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """Where the loss is least, and the inverse of its curvature there."""
    value, gradient = loss(v)
    for _ in range(50):
        eigenvalues, vectors = np.linalg.eigh(curvature(v))
        if eigenvalues.min() <= 0.0:  # not convex yet: bend it, which shortens the step
            eigenvalues = np.maximum(np.abs(eigenvalues), 1e-3)
        step = -vectors @ ((vectors.T @ gradient) / eigenvalues)
        if -float(gradient @ step) < 1e-8:  # a hundredth of a hundredth of a standard deviation
            break
        step *= min(1.0, 2.0 / float(np.abs(step).max()))
        for _ in range(30):
            new_value, new_gradient = loss(v + step)
            if new_value <= value + 1e-12 * abs(value):
                break
            step *= 0.5
        else:
            break
        v, value, gradient = v + step, new_value, new_gradient
    covariance = (vectors / eigenvalues) @ vectors.T
    return v, covariance


def _with_mode(
    target: Target,
    point: _Point,
    spread: FloatArray,
    explained: FloatArray,
    base: int,
    effects: int,
) -> Target:
    """The target with the normal that fits it round the empirical Bayes point."""
    groups = len(spread) // effects
    size = len(target.names)
    scale = np.concatenate([np.ones(base), 1.0 / spread])
    inner = scale[:, None] * point.covariance * scale
    # How the mode of the rest moves with log spread.
    moves = np.zeros((len(point.v), effects))
    pull = 2.0 * point.v[base:] / spread**2
    for e in range(effects):
        own = slice(e * groups, (e + 1) * groups)
        at = slice(base + e * groups, base + (e + 1) * groups)
        moves[:, e] = scale * (point.covariance[:, at] @ pull[own])
        moves[at, e] -= (1.0 - explained[own]) * point.v[at] / spread[own]
    rest = np.r_[0:base, base + effects : size]
    middle = np.arange(base, base + effects)

    def triangle(outer: FloatArray) -> FloatArray:
        covariance = np.empty((size, size))
        covariance[np.ix_(rest, rest)] = inner + moves @ outer @ moves.T
        covariance[np.ix_(rest, middle)] = moves @ outer
        covariance[np.ix_(middle, rest)] = outer @ moves.T
        covariance[np.ix_(middle, middle)] = outer
        return np.asarray(np.linalg.cholesky(covariance), dtype=float)

    outer = np.asarray(np.linalg.inv(point.precision), dtype=float)
    value = target.log_posterior(target.start)[0]
    # Few segments leave log spread a longer tail to the right than any normal has.
    longer = 1.0 + 12.0 / groups
    mode = Mode(target.start, triangle(outer), value, wide=triangle(longer * outer))
    return replace(target, mode=mode)
