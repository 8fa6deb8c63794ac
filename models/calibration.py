"""From a model's score to a probability that means what it says.

All calibrators map a raw score (log-odds, any real number) to a probability, never reverse the
order of two customers, and are a handful of numbers that go into JSON. They are fitted on
customers of a cutoff later than those the model was trained on.

* `identity`: the model's own probability, the logistic function of the score.
* `platt`: sigmoid(a * score + b). Platt (1999), "Probabilistic outputs for support vector
  machines", with the target smoothing of that paper and the Newton method of Lin, Lin and
  Weng (2007), "A note on Platt's probabilistic outputs".
* `beta`: logit(p) = a * ln(s) - b * ln(1 - s) + c with a, b >= 0 and s the model's own
  probability. Kull, Silva Filho and Flach (2017), "Beta calibration", AISTATS.
* `isotonic`: the monotone step function of Zadrozny and Elkan (2002), fitted by pooling
  adjacent violators.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
from scipy.optimize import isotonic_regression
from scipy.special import expit, log_expit

from .base import ModelError

__all__ = [
    "METHODS",
    "Calibrator",
    "Choice",
    "choose_calibrator",
    "customer_folds",
    "merge_ties",
    "scores_and_labels",
]

Floats = npt.NDArray[np.float64]
Method = Literal["identity", "platt", "beta", "isotonic"]

METHODS: tuple[Method, ...] = ("identity", "platt", "beta", "isotonic")
"""From the simplest to the most flexible."""

MIN_CLASS = 10
"""Fewer churned or fewer staying customers than this cannot support a fitted calibrator."""
MIN_ISOTONIC = 1000
"""Rows from which the isotonic step function is considered."""
N_FOLDS = 5
"""Folds of the cross-validation that chooses."""


@dataclass(frozen=True)
class Calibrator:
    """A fitted map from raw score to probability.

    Args:
        method: One of `METHODS`.
        parameters: "platt": a, b. "beta": a, b, c. "isotonic": knots score, probability
            (ascending lists of equal length; straight lines between, flat outside).

    Examples:
        >>> Calibrator("platt", {"a": 1.0, "b": 0.0})(np.array([0.0])).tolist()
        [0.5]
    """

    method: Method
    parameters: Mapping[str, Any]

    @classmethod
    def fit(cls, method: Method, score: npt.ArrayLike, churned: npt.ArrayLike) -> Self:
        """Fit one calibrator.

        Args:
            method: One of `METHODS`.
            score: Raw scores (log-odds), shape (n,).
            churned: 0 or 1, shape (n,). Both must occur unless the method is "identity".

        Raises:
            ModelError: Shapes differ, a score is not finite, or only one class occurs.
        """
        if method not in METHODS:
            raise ModelError(f"unknown calibration {method!r}; known: {', '.join(METHODS)}")
        z, y = scores_and_labels(score, churned)
        if method == "identity":
            return cls(method, {})
        if y.min() == y.max():
            raise ModelError(
                f"cannot calibrate by {method}: all {len(y)} customers have the same outcome",
                "Give a calibration cutoff at which some customers churned and some stayed.",
            )
        order = np.lexsort((y, z))  # sums of floats must not depend on the order of the rows
        z, y = z[order], y[order]
        if method == "platt":
            a, b = _fit_platt(z, y)
            return cls(method, {"a": a, "b": b})
        if method == "beta":
            a, b, c = _fit_beta(z, y)
            return cls(method, {"a": a, "b": b, "c": c})
        knots, values = _fit_isotonic(z, y)
        return cls(method, {"score": knots.tolist(), "probability": values.tolist()})

    def __call__(self, score: npt.ArrayLike) -> Floats:
        """Return the probability of churn for each raw score, in [0, 1], shape as given."""
        z = np.asarray(score, dtype=np.float64)
        p = self.parameters
        if self.method == "identity":
            out = expit(z)
        elif self.method == "platt":
            out = expit(p["a"] * z + p["b"])
        elif self.method == "beta":
            # ln(s) and ln(1 - s) for s = expit(z), without cancellation.
            out = expit(p["a"] * log_expit(z) - p["b"] * log_expit(-z) + p["c"])
        else:
            out = np.interp(z, p["score"], p["probability"])
        return np.asarray(out, dtype=np.float64)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able description; `from_dict` reads it back to the same bits."""
        return {"method": self.method, "parameters": dict(self.parameters)}

    @classmethod
    def from_dict(cls, description: Mapping[str, Any]) -> Self:
        """Read back what `to_dict` returned."""
        if description["method"] not in METHODS:
            raise ModelError(f"unknown calibration {description['method']!r}")
        return cls(description["method"], dict(description["parameters"]))


@dataclass(frozen=True)
class Choice:
    """A calibrator and why it was taken.

    Args:
        calibrator: Fitted on all calibration rows.
        log_loss: Method -> mean log loss on customers that the fit had not seen.
        reason: Plain words.
    """

    calibrator: Calibrator
    log_loss: Mapping[str, float]
    reason: str


def choose_calibrator(
    score: npt.ArrayLike,
    churned: npt.ArrayLike,
    customers: Sequence[str] | npt.NDArray[Any] | None = None,
) -> Choice:
    """Choose the calibrator by cross-validated log loss over customers.

    The simplest method wins whose loss is not above the best one's by more than one standard
    error of their difference (clustered by customer). Isotonic needs `MIN_ISOTONIC` rows, and
    any fitted method `MIN_CLASS` customers of each outcome; below that the score is kept as it
    is and the reason says so.

    Args:
        score: Raw scores (log-odds), shape (n,).
        churned: 0 or 1, shape (n,).
        customers: Who each row is; all rows of a customer fall into the same fold. Rows are
            different customers when left out.
    """
    z, y = scores_and_labels(score, churned)
    rarer = int(min(y.sum(), len(y) - y.sum()))
    if rarer < MIN_CLASS:
        return Choice(
            Calibrator("identity", {}),
            {},
            f"only {rarer} calibration customers of the rarer outcome "
            f"(at least {MIN_CLASS} are needed to fit a calibration)",
        )
    candidates = [m for m in METHODS if m != "isotonic" or len(z) >= MIN_ISOTONIC]
    who = np.arange(len(z)) if customers is None else np.asarray(customers)
    who = who.astype(str)
    order = np.lexsort((y, z, who))
    z, y, who = z[order], y[order], who[order]
    fold = customer_folds(who, N_FOLDS)
    held = {m: np.full(len(z), np.nan) for m in candidates}
    for k in range(N_FOLDS):
        inside, outside = fold != k, fold == k
        if y[inside].min() == y[inside].max():
            continue  # nothing to learn from; these rows stay out of the comparison
        for method in candidates:
            p = Calibrator.fit(method, z[inside], y[inside])(z[outside])
            held[method][outside] = _log_loss(y[outside], p)
    seen = ~np.isnan(held[candidates[0]])
    losses: dict[str, float] = {m: float(held[m][seen].mean()) for m in candidates}
    best = min(candidates, key=lambda m: losses[m])
    _, cluster = np.unique(who[seen], return_inverse=True)
    for method in candidates:
        difference = held[method][seen] - held[best][seen]
        if difference.mean() <= _clustered_standard_error(difference, cluster):
            break
    reason = (
        f"lowest cross-validated log loss among {', '.join(candidates)}"
        if method == best
        else f"simplest within one standard error of {best}"
    )
    return Choice(Calibrator.fit(method, z, y), losses, reason)


def customer_folds(
    customers: Sequence[str] | npt.NDArray[Any], n_folds: int
) -> npt.NDArray[np.int64]:
    """Deal customers into folds of equal size, all rows of a customer into one.

    The fold depends only on which customers there are, not on the order of the rows.

    Examples:
        >>> customer_folds(["b", "a", "b", "c"], 2).tolist()
        [1, 0, 1, 0]
    """
    _, code = np.unique(np.asarray(customers).astype(str), return_inverse=True)
    return np.asarray(code % n_folds, dtype=np.int64)


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


def _log_loss(y: Floats, p: Floats) -> Floats:
    p = np.clip(p, 1e-15, 1 - 1e-15)
    return -np.where(y == 1, np.log(p), np.log1p(-p))


def _clustered_standard_error(difference: Floats, cluster: npt.NDArray[np.int64]) -> float:
    # Variance of a mean over clusters: sum of squared cluster totals of the centred values.
    totals = np.bincount(cluster, weights=difference - difference.mean())
    return float(np.sqrt(np.sum(totals**2)) / len(difference))


def _smoothed_targets(y: Floats) -> Floats:
    # Platt (1999): out-of-sample targets instead of 0 and 1, so that separable data stay finite.
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


def _fit_platt(z: Floats, y: Floats) -> tuple[float, float]:
    a, b = _fit_logistic(np.column_stack([z, np.ones_like(z)]), _smoothed_targets(y))
    if a < 0:
        # A score that ranks backwards carries nothing to calibrate: keep the level only.
        target = _smoothed_targets(y).mean()
        return 0.0, float(np.log(target / (1 - target)))
    return float(a), float(b)


def _fit_beta(z: Floats, y: Floats) -> tuple[float, float, float]:
    target = _smoothed_targets(y)
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


def _fit_isotonic(z: Floats, y: Floats) -> tuple[Floats, Floats]:
    knots, weight, churners = merge_ties(z, y)
    fitted = isotonic_regression(churners / weight, weights=weight).x
    # No group of customers is certain: keep one pseudo-customer of the other outcome.
    edge = 1.0 / (len(z) + 2.0)
    fitted = np.clip(np.asarray(fitted, dtype=np.float64), edge, 1.0 - edge)
    # Only the two ends of each flat stretch matter to straight-line interpolation.
    inner = np.zeros(len(knots), dtype=bool)
    inner[1:-1] = (fitted[1:-1] == fitted[:-2]) & (fitted[1:-1] == fitted[2:])
    return knots[~inner], fitted[~inner]
