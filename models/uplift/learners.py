"""Learners of individual effects: T, X and DR on LightGBM, and one on the scale of log-odds.

The effect on a customer is tau = P(y = 1 | x, treated) - P(y = 1 | x, untreated). With e the chance
of treatment, which an experiment knows:

- `t`: a model for each arm; tau is their difference.
- `x`: trees on what each arm's customers did less what the other arm's model expects of them, mixed
  by e (Kuenzel, Sekhon, Bickel & Yu 2019, PNAS 116:4156-4165).
- `dr`: trees on the doubly robust score m1 - m0 + T (y - m1) / e - (1 - T)(y - m0) / (1 - e)
  (Kennedy 2023, Electronic Journal of Statistics 17:3008-3049).
- `odds`: log-odds of y = f(x) + (T - e) g(x). f is what is expected of a customer whatever the
  arm, learned from all campaigns together, and g, the change of the log-odds, is a + b f(x), and
  trees beside it where cross-validation finds that they do better. It is the R-learner's residual
  on treatment (Nie & Wager 2021, Biometrika 108:299-319) under a logistic loss. The effect in
  probability then differs between customers already because their base does: little can be done
  to somebody who buys anyway, or who never will. That is most of what there is to learn where
  effects are faint, and the other three have to find it in the differences between two arms.

Whatever is predicted of a customer to learn from it is cross-fitted (`models.uplift.examples`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import lightgbm
import numpy as np
import numpy.typing as npt
from scipy.special import expit

from ..base import ModelError
from ..inputs import Matrix
from .examples import Examples, each_fold
from .trees import Derivatives, effect_trees, scores

__all__ = [
    "LEARNERS",
    "Effects",
    "cross_fitted_effects",
    "fit_effects",
]

Floats = npt.NDArray[np.float64]

LEARNERS = ("odds", "t", "x", "dr")
"""Names of the learners."""

ROUNDS = 100
_STEPS = range(0, 121, 20)  # numbers of trees of g that are tried
_EDGE = 1e-6

SLOPE_SD = 0.2
"""How much the change of log-odds is believed to differ between bases, beforehand."""


@dataclass(frozen=True, eq=False)
class Effects:
    """A fitted learner: from features and base to the effect on each customer.

    Attributes:
        learner: One of `LEARNERS`.
        share: Share of treated customers.
        constant: Of `odds`: the change of the log-odds, before any tree, where the base is 0.
        slope: Of `odds`: how much more it is where the base is 1 higher.
        trees: Of `odds` none or one; of `t` those of control and treatment arm; of `x` likewise
            of the effects; of `dr` one.
    """

    learner: str
    share: float
    constant: float = 0.0
    slope: float = 0.0
    trees: tuple[lightgbm.Booster, ...] = field(default=(), repr=False)

    def __call__(self, X: Matrix, base: Floats) -> Floats:
        """Return the effects, shape (n,).

        Args:
            X: Features, shape (n, f).
            base: Log-odds whatever the arm, shape (n,).
        """
        if self.learner == "odds":
            low, high = self._log_odds(X, base)
            return np.asarray(expit(high) - expit(low))
        found = [scores(tree, X) for tree in self.trees]
        if self.learner == "t":
            return np.asarray(expit(found[1]) - expit(found[0]))
        if self.learner == "x":
            return self.share * found[0] + (1 - self.share) * found[1]
        return found[0]

    def untreated(self, X: Matrix, base: Floats) -> Floats:
        """Return P(y = 1) without treatment, shape (n,); with the effect added it is a chance."""
        if self.learner == "odds":
            return np.asarray(expit(self._log_odds(X, base)[0]))
        effect = self(X, base)
        low, high = np.maximum(-effect, 0.0), np.minimum(1.0 - effect, 1.0)
        return np.clip(expit(base) - self.share * effect, np.minimum(low, high), high)

    def _log_odds(self, X: Matrix, base: Floats) -> tuple[Floats, Floats]:
        change = self.constant + self.slope * base
        for tree in self.trees:
            change += scores(tree, X)
        return base - self.share * change, base + (1 - self.share) * change

    @property
    def description(self) -> dict[str, Any]:
        """All but the trees, JSON-able."""
        return {
            "learner": self.learner,
            "share": self.share,
            "constant": self.constant,
            "slope": self.slope,
            "trees": len(self.trees),
        }

    @classmethod
    def from_description(
        cls, description: Mapping[str, Any], trees: Sequence[lightgbm.Booster]
    ) -> Self:
        """Put together what `description` and the trees' texts hold."""
        share, constant, slope = (float(description[n]) for n in ("share", "constant", "slope"))
        return cls(str(description["learner"]), share, constant, slope, tuple(trees))


def fit_effects(learner: str, examples: Examples, *, seed: int, num_threads: int = 1) -> Effects:
    """Fit a learner.

    Args:
        learner: One of `LEARNERS`.
        examples: Customers of one or more campaigns of a kind.
        seed: Of the trees.
        num_threads: Threads of training; the result does not depend on it.

    Raises:
        ModelError: The learner is unknown, or an arm is empty.
    """
    if learner not in LEARNERS:
        raise ModelError(f"unknown learner {learner!r}.", f"Choose one of {', '.join(LEARNERS)}.")
    share = float(examples.treated.mean())
    if not 0 < share < 1:
        raise ModelError("all customers are in the same arm.", "An effect needs two arms.")
    options: dict[str, Any] = {
        "categories": examples.categories,
        "seed": seed,
        "num_threads": num_threads,
    }
    if learner == "odds":
        return _odds(examples, share, options)
    if learner == "t":
        return Effects("t", share, trees=_arms(examples, options))
    expected = _expected(examples, options)
    if learner == "x":
        return Effects("x", share, trees=_imputed(examples, expected, options))
    t, e = examples.treated, examples.chance
    score = (
        expected[1]
        - expected[0]
        + t * (examples.y - expected[1]) / e
        - (1 - t) * (examples.y - expected[0]) / (1 - e)
    )
    tree = effect_trees(examples.X, score, "regression", ROUNDS, **options)
    return Effects("dr", share, trees=(tree,))


def cross_fitted_effects(
    learner: str, examples: Examples, *, seed: int, num_threads: int = 1
) -> Floats:
    """Effect on each customer by a learner fitted on the other folds, shape (n,)."""
    effect = np.empty(len(examples.y))
    for out in each_fold(examples.fold):
        fitted = fit_effects(learner, examples.where(~out), seed=seed, num_threads=num_threads)
        effect[out] = fitted(examples.X[out], examples.base[out])
    return effect


def _arms(examples: Examples, options: Mapping[str, Any]) -> tuple[lightgbm.Booster, ...]:
    found = []
    for arm in (0.0, 1.0):
        rows = examples.treated == arm
        y = examples.y[rows]
        found.append(effect_trees(examples.X[rows], y, "binary", ROUNDS, **options))
    return tuple(found)


def _expected(examples: Examples, options: Mapping[str, Any]) -> Floats:
    """P(y = 1) of each row in each arm, by models that have not seen the customer: (2, n)."""
    expected = np.empty((2, len(examples.y)))
    for out in each_fold(examples.fold):
        for arm, tree in enumerate(_arms(examples.where(~out), options)):
            expected[arm, out] = expit(scores(tree, examples.X[out]))
    return expected


def _imputed(
    examples: Examples, expected: Floats, options: Mapping[str, Any]
) -> tuple[lightgbm.Booster, ...]:
    found = []
    for arm, effect in ((0.0, expected[1] - examples.y), (1.0, examples.y - expected[0])):
        rows = examples.treated == arm
        X = examples.X[rows]
        found.append(effect_trees(X, effect[rows], "regression", ROUNDS, **options))
    return tuple(found)


def _odds(examples: Examples, share: float, options: Mapping[str, Any]) -> Effects:
    level, constant, slope = _line(examples)
    offset = examples.base + level[examples.campaign]
    residual = examples.treated - examples.chance
    line = constant + slope * examples.base
    losses = np.zeros(len(_STEPS))
    for out in each_fold(examples.fold):
        rest = ~out
        trees = _change(examples.where(rest), offset[rest], residual[rest], line[rest], options)
        for place, rounds in enumerate(_STEPS):
            change = line[out] + (scores(trees, examples.X[out], rounds) if rounds else 0.0)
            raw = offset[out] + residual[out] * change
            losses[place] += np.sort(np.logaddexp(0.0, raw) - examples.y[out] * raw).sum()
    rounds = _STEPS[int(np.argmin(losses))]
    if not rounds:
        return Effects("odds", share, constant, slope)
    tree = _change(examples, offset, residual, line, options, rounds)
    return Effects("odds", share, constant, slope, (tree,))


def _line(examples: Examples) -> tuple[Floats, float, float]:
    """Newton's method for the level of each campaign, and a line of the change in the base."""
    campaigns = int(examples.campaign.max()) + 1
    residual = examples.treated - examples.chance
    middle = float(np.sort(examples.base).mean())
    sloped = residual * (examples.base - middle)
    design = np.column_stack([np.eye(campaigns)[examples.campaign], residual, sloped])
    # Weak normal priors: a campaign in which everybody bought, or nobody, stays finite, and
    # customers are taken to differ little until they show it.
    precision = np.append(np.full(campaigns + 1, 0.1), SLOPE_SD**-2)
    beta = np.zeros(campaigns + 2)
    for _ in range(50):
        p = expit(examples.base + design @ beta)
        gradient = design.T @ (examples.y - p) - precision * beta
        curvature = (design * (p * (1 - p))[:, None]).T @ design + np.diag(precision)
        step = np.linalg.solve(curvature, gradient)
        beta += step
        if np.abs(step).max() < 1e-10:
            break
    slope = float(beta[-1])
    constant = float(beta[-2]) - slope * middle
    # Sums differ in the last bits with the order of rows.
    return np.round(beta[:-2], 9), round(constant, 9), round(slope, 9)


def _change(
    examples: Examples,
    offset: Floats,
    residual: Floats,
    line: Floats,
    options: Mapping[str, Any],
    rounds: int = max(_STEPS),
) -> lightgbm.Booster:
    """Trees beside the line; the outcome tells the arms apart in the order of rows."""
    derivatives = _logistic(offset + residual * line, residual, examples.y)
    keyed = np.round(examples.y + 2 * residual, 9)
    return effect_trees(examples.X, keyed, derivatives, rounds, **options)


def _logistic(offset: Floats, residual: Floats, y: Floats) -> Derivatives:
    def derive(raw: Floats, rows: npt.NDArray[np.int64]) -> tuple[Floats, Floats]:
        r, p = residual[rows], expit(offset[rows] + residual[rows] * raw)
        return (p - y[rows]) * r, np.maximum(p * (1 - p) * r * r, _EDGE)

    return derive
