"""From a model's score to a probability that means what it says.

All calibrators map a raw score (log-odds, any real number) to a probability, never reverse the
order of two customers, and are a handful of numbers that go into JSON. They are fitted on
customers of a cutoff later than those the model was trained on.

* `identity`: the model's own probability, the logistic function of the score.
* `shift`: sigmoid(score + b). The level moves, differences between customers stay.
* `platt`: sigmoid(a * score + b). Platt (1999), "Probabilistic outputs for support vector
  machines", with the target smoothing of that paper and the Newton method of Lin, Lin and
  Weng (2007), "A note on Platt's probabilistic outputs".
* `beta`: logit(p) = a * ln(s) - b * ln(1 - s) + c with a, b >= 0 and s the model's own
  probability. Kull, Silva Filho and Flach (2017), "Beta calibration", AISTATS.
* `isotonic`: the monotone step function of Zadrozny and Elkan (2002), fitted by pooling
  adjacent violators.
* `mean`: the weighted mean, in log-odds, of several of these. Not fitted but put together by
  `Calibrator.mean`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
from scipy.special import expit, log_expit, logit

from .base import ModelError
from .calibration_fits import (
    fit_beta,
    fit_isotonic,
    fit_platt,
    fit_shift,
    level_shift,
    scores_and_labels,
)

__all__ = [
    "METHODS",
    "MIN_CLASS",
    "MIN_ISOTONIC",
    "Calibrator",
    "Choice",
    "Method",
    "choose_calibrator",
    "customer_folds",
    "level_shift",
    "scores_and_labels",
]

Floats = npt.NDArray[np.float64]
Method = Literal["identity", "shift", "platt", "beta", "isotonic", "mean"]

METHODS: tuple[Method, ...] = ("identity", "shift", "platt", "beta", "isotonic")
"""What can be fitted, from the simplest to the most flexible."""

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
        method: One of `METHODS`, or "mean".
        parameters: "shift": b. "platt": a, b. "beta": a, b, c and, when moved, `by`, which is
            added to the score first. "isotonic": knots score, probability (ascending lists of
            equal length; straight lines between, flat outside). "mean": weights and parts
            (`to_dict` of each).

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
            churned: 0 or 1, shape (n,). Both must occur unless the method is "identity" or
                "shift".

        Raises:
            ModelError: Shapes differ, a score is not finite, or only one class occurs.
        """
        if method not in METHODS:
            raise ModelError(f"unknown calibration {method!r}; known: {', '.join(METHODS)}")
        z, y = scores_and_labels(score, churned)
        if method == "identity":
            return cls(method, {})
        if method != "shift" and y.min() == y.max():
            raise ModelError(
                f"cannot calibrate by {method}: all {len(y)} customers have the same outcome",
                "Give a calibration cutoff at which some customers churned and some stayed.",
            )
        order = np.lexsort((y, z))  # sums of floats must not depend on the order of the rows
        z, y = z[order], y[order]
        if method == "shift":
            return cls(method, {"b": fit_shift(z, y)})
        if method == "platt":
            a, b = fit_platt(z, y)
            return cls(method, {"a": a, "b": b})
        if method == "beta":
            a, b, c = fit_beta(z, y)
            return cls(method, {"a": a, "b": b, "c": c})
        knots, values = fit_isotonic(z, y)
        return cls(method, {"score": knots.tolist(), "probability": values.tolist()})

    @classmethod
    def mean(cls, parts: Sequence[Calibrator], weights: Sequence[float]) -> Self:
        """Return the weighted mean of several calibrators, taken in log-odds.

        Parts with a constant slope give a calibrator of that kind again.

        Args:
            parts: At least one.
            weights: As many positive numbers; they are made to sum to one.

        Examples:
            >>> raw, moved = Calibrator("identity", {}), Calibrator("shift", {"b": 1.0})
            >>> Calibrator.mean([raw, moved], [1, 3])
            Calibrator(method='shift', parameters={'b': 0.75})
        """
        share = np.asarray(weights, dtype=np.float64)
        if not parts or share.shape != (len(parts),) or not (share > 0).all():
            raise ModelError("a mean of calibrators needs one positive weight for each part")
        share = share / share.sum()
        lines = [part._line() for part in parts]
        if all(line is not None for line in lines):
            a, b = (float(share @ [line[i] for line in lines if line]) for i in (0, 1))
            if any(part.method == "platt" for part in parts):
                return cls("platt", {"a": a, "b": b})
            if all(part.method == "identity" for part in parts):
                return cls("identity", {})
            return cls("shift", {"b": b})
        if len(parts) == 1:
            return cls(parts[0].method, parts[0].parameters)
        return cls("mean", {"weights": share.tolist(), "parts": [part.to_dict() for part in parts]})

    def moved(self, by: float) -> Calibrator:
        """Return the calibrator that gives a score what this one gives the score plus `by`."""
        p = self.parameters
        if line := self._line():
            a, b = line
            if self.method == "platt":
                return Calibrator("platt", {"a": a, "b": b + a * by})
            return Calibrator("shift", {"b": b + by})
        if self.method == "beta":
            return Calibrator("beta", {**p, "by": p.get("by", 0.0) + by})
        if self.method == "isotonic":
            return Calibrator("isotonic", {**p, "score": [s - by for s in p["score"]]})
        parts = [self.from_dict(part).moved(by) for part in p["parts"]]
        return self.mean(parts, p["weights"])

    def __call__(self, score: npt.ArrayLike) -> Floats:
        """Return the probability of churn for each raw score, in [0, 1], shape as given."""
        if self.method == "isotonic":
            z = np.asarray(score, dtype=np.float64)
            p = self.parameters
            return np.asarray(np.interp(z, p["score"], p["probability"]), dtype=np.float64)
        return np.asarray(expit(self.log_odds(score)), dtype=np.float64)

    def log_odds(self, score: npt.ArrayLike) -> Floats:
        """Return ln(p / (1 - p)) for each raw score, shape as given."""
        z = np.asarray(score, dtype=np.float64)
        p = self.parameters
        if line := self._line():
            return np.asarray(line[0] * z + line[1], dtype=np.float64)
        if self.method == "beta":
            # ln(s) and ln(1 - s) for s = expit(z), without cancellation.
            z = z + p.get("by", 0.0)
            out = p["a"] * log_expit(z) - p["b"] * log_expit(-z) + p["c"]
        elif self.method == "isotonic":
            out = logit(self(z))
        else:
            out = np.zeros_like(z)
            for weight, part in zip(p["weights"], p["parts"], strict=True):
                out += weight * self.from_dict(part).log_odds(z)
        return np.asarray(out, dtype=np.float64)

    def _line(self) -> tuple[float, float] | None:
        """Slope and intercept in log-odds, of the methods that are a straight line there."""
        p = self.parameters
        if self.method == "identity":
            return 1.0, 0.0
        if self.method == "shift":
            return 1.0, p["b"]
        return (p["a"], p["b"]) if self.method == "platt" else None

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able description; `from_dict` reads it back to the same bits."""
        return {"method": self.method, "parameters": dict(self.parameters)}

    @classmethod
    def from_dict(cls, description: Mapping[str, Any]) -> Self:
        """Read back what `to_dict` returned."""
        if description["method"] not in (*METHODS, "mean"):
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


def _log_loss(y: Floats, p: Floats) -> Floats:
    p = np.clip(p, 1e-15, 1 - 1e-15)
    return -np.where(y == 1, np.log(p), np.log1p(-p))


def _clustered_standard_error(difference: Floats, cluster: npt.NDArray[np.int64]) -> float:
    # Variance of a mean over clusters: sum of squared cluster totals of the centred values.
    totals = np.bincount(cluster, weights=difference - difference.mean())
    return float(np.sqrt(np.sum(totals**2)) / len(difference))
