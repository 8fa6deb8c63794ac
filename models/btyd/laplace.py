"""Draws from a wide normal at the mode, corrected by importance sampling or refused."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from scipy.special import logsumexp

from .formulas import FloatArray
from .target import KEPT_DRAWS, Mode, Target

__all__ = ["laplace", "pareto_smooth"]

_MAX_K_HAT = 0.7


def laplace(target: Target, mode: Mode, seed: int) -> tuple[FloatArray, dict[str, Any]]:
    """Resampled draws of a Student t at the mode, weighted towards the posterior."""
    k, size, freedom = len(mode.point), 2000, 8.0
    rng = np.random.default_rng(seed)
    z = rng.standard_normal((size, k)) / np.sqrt(rng.chisquare(freedom, (size, 1)) / freedom)
    points = mode.point + z @ (mode.scale if mode.wide is None else mode.wide).T
    log_proposal = -0.5 * (freedom + k) * np.log1p((z * z).sum(axis=1) / freedom)

    def density(block: FloatArray) -> list[float]:
        with np.errstate(all="ignore"):
            return [target.log_posterior(p)[0] for p in block]

    with ThreadPoolExecutor(target.threads(mode.point)) as pool:
        log_target = np.concatenate(list(pool.map(density, np.array_split(points, 32))))
    log_ratio = np.where(np.isfinite(log_target), log_target, -np.inf) - log_proposal
    log_weight, k_hat = pareto_smooth(log_ratio - log_ratio.max())
    if not k_hat <= _MAX_K_HAT:
        raise target.refusal(
            f"The normal approximation of the posterior is unreliable (k-hat {k_hat:.2f}, "
            f"at most {_MAX_K_HAT}).",
            "Fit with method='nuts'.",
        )
    weight = np.exp(log_weight - logsumexp(log_weight))
    # Systematic resampling: each point is kept in proportion to its weight.
    ticks = (np.arange(KEPT_DRAWS) + rng.random()) / KEPT_DRAWS
    chosen = np.searchsorted(np.cumsum(weight), ticks).clip(0, size - 1)
    return points[chosen], {"k_hat": float(k_hat), "ess": float(1.0 / np.sum(weight**2))}


def pareto_smooth(log_ratio: FloatArray) -> tuple[FloatArray, float]:
    """Pareto-smoothed importance weights (Vehtari et al. 2024, JMLR 25(72)).

    The largest weights are replaced by the quantiles of a generalised Pareto distribution that
    is fitted to them by Zhang & Stephens (2009, Technometrics 51(3)); its shape is k-hat.
    """
    size = len(log_ratio)
    tail = int(np.ceil(min(0.2 * size, 3.0 * np.sqrt(size))))
    order = np.argsort(log_ratio)
    cut = log_ratio[order[-tail - 1]]
    excess = np.exp(log_ratio[order[-tail:]]) - np.exp(cut)
    if excess[-1] <= 0.0:
        return log_ratio, 0.0
    excess = np.maximum(excess, 1e-300)
    grid = 30 + int(np.sqrt(tail))
    quartile = excess[int(tail / 4 + 0.5) - 1]
    theta = 1.0 / excess[-1] + (1.0 - np.sqrt(grid / (np.arange(1, grid + 1) - 0.5))) / (
        3.0 * quartile
    )
    shape = np.log1p(-theta[:, None] * excess).mean(axis=1)
    profile = tail * (np.log(-theta / shape) - shape - 1.0)
    weight = np.exp(profile - logsumexp(profile))
    theta_hat = float(weight @ theta)
    k_hat = float(np.log1p(-theta_hat * excess).mean())
    sigma = -k_hat / theta_hat
    k_hat = (k_hat * tail + 5.0) / (tail + 10.0)  # weak prior that pulls k-hat to 0.5
    if not np.isfinite(k_hat):
        return log_ratio, float("inf")
    at = (np.arange(tail) + 0.5) / tail
    smooth = sigma * np.expm1(-k_hat * np.log1p(-at)) / k_hat + np.exp(cut)
    out = log_ratio.copy()
    out[order[-tail:]] = np.minimum(np.log(smooth), 0.0)
    return out, k_hat
