"""Scorers: from the matrix of `Inputs` to log-odds of churn, and what each column adds to them.

A `Recipe` says what to fit, `fit_scorer` fits it, and `to_parts` and `read_scorer` take it to
files and back. All are calibrated, explained, saved and served in the same way.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ..base import ModelError
from ..inputs import Inputs
from .blend import BlendScorer
from .curve import CurveScorer
from .linear import LinearScorer
from .recipe import Recipe
from .scorer import Floats, Matrix, Read, Scorer
from .trees import TreeScorer

__all__ = [
    "BlendScorer",
    "CurveScorer",
    "LinearScorer",
    "Recipe",
    "Scorer",
    "TreeScorer",
    "fit_scorer",
    "read_scorer",
]

_KINDS: Mapping[str, type[Scorer]] = {
    "trees": TreeScorer,
    "linear": LinearScorer,
    "curve": CurveScorer,
    "blend": BlendScorer,
}


def fit_scorer(
    recipe: Recipe,
    inputs: Inputs,
    X: Matrix,
    y: npt.ArrayLike,
    *,
    seed: int = 0,
    num_threads: int = 1,
    validation: tuple[Matrix, npt.ArrayLike] | None = None,
) -> Scorer:
    """Fit what a recipe asks for.

    Args:
        recipe: What to fit.
        inputs: The features.
        X: Their matrix over the training rows, `inputs.matrix(...)`, shape (n, f). Not changed,
            and not copied as a whole.
        y: 1 churned, 0 stayed, shape (n,).
        seed: Seed of the trees.
        num_threads: Threads of training; the result does not depend on it.
        validation: Rows of cutoffs not before the end of the label windows of X, and their
            outcomes: trees stop where these gain no more (`Scorer.rounds` says when). Scorers
            without trees do not read them.

    Returns:
        The scorer. The same rows in another order give the same scorer, byte for byte.

    Raises:
        ModelError: The outcomes are all the same, do not fit the rows, or a feature that the
            recipe needs is not there.
    """
    outcome = _outcome(inputs, X, y)
    if outcome.min() == outcome.max():
        raise ModelError(
            f"all {len(outcome)} training rows are of one class ({outcome[0]:g}), so there is "
            "nothing to tell apart",
            "Use a horizon at which some customers churn and some stay, or more history.",
        )
    later = None if validation is None else (validation[0], _outcome(inputs, *validation))
    if recipe.kind == "days_since_last":
        return CurveScorer.of_days(inputs, X, outcome)
    if recipe.kind == "btyd":
        return CurveScorer.of_probability("probability_no_purchase", inputs, X, outcome)
    if recipe.kind == "logistic":
        return LinearScorer.fit(recipe, inputs, X, outcome)
    if recipe.kind == "lightgbm":
        return TreeScorer.fit(
            recipe, inputs, X, outcome, seed=seed, num_threads=num_threads, validation=later
        )
    weights = np.array(recipe.weights or [1.0] * len(recipe.members))
    members = tuple(
        fit_scorer(member, inputs, X, outcome, seed=seed, num_threads=num_threads, validation=later)
        for member in recipe.members
    )
    return BlendScorer(members, tuple((weights / weights.sum()).tolist()))


def read_scorer(description: Mapping[str, Any], read: Read) -> Scorer:
    """Read back a scorer.

    Args:
        description: Its `description`.
        read: From the name of one of its `to_parts` to the text.

    Raises:
        ModelError: A file does not hold what it should.
    """
    return _KINDS[description["kind"]].from_parts(dict(description), read)


def _outcome(inputs: Inputs, X: Matrix, y: npt.ArrayLike) -> Floats:
    outcome = np.asarray(y, dtype=np.float64)
    if X.ndim != 2 or X.shape[1] != len(inputs.features):
        raise ModelError(f"expected a matrix of {len(inputs.features)} columns, got {X.shape}")
    if outcome.shape != (len(X),) or not len(outcome):
        raise ModelError(f"expected as many outcomes as rows, got {outcome.shape} and {len(X)}")
    if not np.isin(outcome, (0.0, 1.0)).all():
        raise ModelError("outcomes must be 0 (stayed) or 1 (churned)")
    return outcome
