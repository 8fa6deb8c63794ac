"""Maximum likelihood and isotonic fits behind the calibrators of `calibration`."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq, isotonic_regression
from scipy.special import expit, log_expit, logit

from .base import ModelError

__all__ = [
    "fit_beta",
    "fit_isotonic",
    "fit_platt",
    "fit_shift",
    "level_shift",
    "merge_ties",
    "scores_and_labels",
    "smoothed_targets",
]

Floats = npt.NDArray[np.float64]


def scores_and_labels(score: npt.ArrayLike, churned: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Return scores and outcomes as doubles, after checking that they can be calibrated on."""
    z = np.asarray(score, dtype=np.float64)
    y = np.asarray(churned, dtype=np.float64)
    if z.ndim != 1 or z.shape != y.shape or not len(z):
        raise ModelError(f"expected as many scores as outcomes, got {z.shape} and {y.shape}")
    if not np.isfinite(z).all():
        raise ModelError("a score to calibrate is not a finite number")
    if not np.isin(y, (0.0, 1.0)).all():
        raise ModelError("outcomes must be 0 (stayed) or 1 (churned)")
    return z, y


def level_shift(score: npt.ArrayLike, rate: float) -> float:
    """Return the number which, added to every score, makes the mean probability equal `rate`.

    It is the maximum-likelihood intercept of a logistic model whose slope is fixed at one.

    Args:
        score: Log-odds, finite, shape (n,). Their order does not matter.
        rate: Strictly between 0 and 1.

    Examples:
        >>> round(level_shift([0.0, 0.0], 0.75), 6)  # ln 3
        1.098612
    """
    z = np.sort(np.asarray(score, dtype=np.float64))
    if not 0.0 < rate < 1.0:
        raise ModelError(f"expected a rate between 0 and 1, got {rate}")
    wanted = float(logit(rate))
    low, high = wanted - z[-1], wanted - z[0]  # all below the rate, all above it
    if high - low < 1e-12:
        return float(low)
    found = brentq(lambda b: expit(z + b).mean() - rate, low - 1e-9, high + 1e-9, xtol=1e-12)
    return float(found)


def fit_shift(z: Floats, y: Floats) -> float:
    """Return the intercept for a slope of one; also where only one outcome occurs."""
    return level_shift(z, float(smoothed_targets(y).mean()))


def smoothed_targets(y: Floats) -> Floats:
    """Return the targets of Platt (1999) instead of 0 and 1: separable data stay finite."""
    churners = y.sum()
    stayers = len(y) - churners
    smoothed = np.where(y == 1, (churners + 1) / (churners + 2), 1 / (stayers + 2))
    return np.asarray(smoothed)


def _fit_logistic(design: Floats, target: Floats) -> Floats:
    """Maximum likelihood of a logistic model with soft targets, by damped Newton steps."""
    scale = np.maximum(np.abs(design).max(axis=0), 1e-12)
    X = design / scale
    theta = np.zeros(X.shape[1])

    def loss(t: Floats) -> float:
        linear = X @ t
        return float(-(target * log_expit(linear) + (1 - target) * log_expit(-linear)).sum())

    current = loss(theta)
    for _ in range(100):
        p = expit(X @ theta)
        gradient = X.T @ (p - target)
        if np.abs(gradient).max() < 1e-10 * len(target):
            break
        hessian = (X * (p * (1 - p))[:, None]).T @ X + 1e-10 * np.eye(X.shape[1])
        step = np.linalg.solve(hessian, gradient)
        size = 1.0
        while size > 1e-10:
            following = loss(theta - size * step)
            if following <= current:
                break
            size /= 2
        else:
            break
        theta, current = theta - size * step, following
    return np.asarray(theta / scale)


def fit_platt(z: Floats, y: Floats) -> tuple[float, float]:
    """Return slope and intercept; the slope is never negative."""
    a, b = _fit_logistic(np.column_stack([z, np.ones_like(z)]), smoothed_targets(y))
    if a < 0:
        # A score that ranks backwards carries nothing to calibrate: keep the level only.
        target = smoothed_targets(y).mean()
        return 0.0, float(np.log(target / (1 - target)))
    return float(a), float(b)


def fit_beta(z: Floats, y: Floats) -> tuple[float, float, float]:
    """Return the coefficients a and b, neither negative, and the intercept c."""
    target = smoothed_targets(y)
    logs, mirrored, one = log_expit(z), -log_expit(-z), np.ones_like(z)
    a, b, c = _fit_logistic(np.column_stack([logs, mirrored, one]), target)
    # Kull et al.: a negative coefficient would break the order; drop its term and refit.
    if a < 0:
        b, c = _fit_logistic(np.column_stack([mirrored, one]), target)
        a = 0.0
    elif b < 0:
        a, c = _fit_logistic(np.column_stack([logs, one]), target)
        b = 0.0
    if a < 0 or b < 0:
        level = target.mean()
        return 0.0, 0.0, float(np.log(level / (1 - level)))
    return float(a), float(b), float(c)


def merge_ties(z: Floats, y: Floats) -> tuple[Floats, Floats, Floats]:
    """Return the distinct scores, ascending, with the customers and the churners at each."""
    knots, code = np.unique(z, return_inverse=True)
    weight = np.bincount(code).astype(np.float64)
    churners = np.asarray(np.bincount(code, weights=y), dtype=np.float64)
    return knots, weight, churners


def fit_isotonic(z: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Return knots and their probabilities, both ascending, strictly inside 0 and 1."""
    knots, weight, churners = merge_ties(z, y)
    fitted = isotonic_regression(churners / weight, weights=weight).x
    # No group of customers is certain: keep one pseudo-customer of the other outcome.
    edge = 1.0 / (len(z) + 2.0)
    fitted = np.clip(np.asarray(fitted, dtype=np.float64), edge, 1.0 - edge)
    # Only the two ends of each flat stretch matter to straight-line interpolation.
    inner = np.zeros(len(knots), dtype=bool)
    inner[1:-1] = (fitted[1:-1] == fitted[:-2]) & (fitted[1:-1] == fitted[2:])
    return knots[~inner], fitted[~inner]
