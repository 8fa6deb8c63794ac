"""Small trees for effects: few, short steps and large leaves, because effects are faint."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import lightgbm
import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from ..booster import booster_text
from ..inputs import Matrix
from ..order import canonical_order

__all__ = ["Derivatives", "effect_trees", "scores"]

Floats = npt.NDArray[np.float64]
Derivatives = Callable[[Floats, npt.NDArray[np.int64]], tuple[Floats, Floats]]
"""From raw scores of rows, and the positions of these rows, to gradient and curvature."""

_FEWEST_IN_LEAF = 20
_SHARE_IN_LEAF = 20
"""A leaf holds at least one part in so many of all rows."""


def effect_trees(
    X: Matrix,
    y: Floats,
    objective: str | Derivatives,
    rounds: int,
    *,
    categories: Sequence[int] = (),
    seed: int = 0,
    num_threads: int = 1,
) -> lightgbm.Booster:
    """Grow trees on an outcome or on a loss of one's own.

    Neither the order of the rows nor the number of threads changes the result. Trees on
    a loss of one's own start from 0.

    Args:
        X: Features, shape (n, f), missing allowed.
        y: Outcome, shape (n,).
        objective: "binary", "regression", or the derivatives of another loss.
        rounds: Number of trees.
        categories: Positions of columns that hold codes of categories.
        seed: Of the trees.
        num_threads: Threads of training.

    Returns:
        The trees, read back from their own text.
    """
    order = canonical_order(X, y)
    parameters: dict[str, Any] = {
        "objective": objective,
        "learning_rate": 0.03,
        "num_leaves": 4,
        "min_data_in_leaf": max(_FEWEST_IN_LEAF, len(y) // _SHARE_IN_LEAF),
        "lambda_l2": 5.0,
        "feature_fraction": 0.4,
        "bagging_fraction": 0.7,
        "bagging_freq": 1,
        "extra_trees": True,
        "cat_smooth": 50.0,
        "max_bin": 63,
        "feature_pre_filter": False,
        "seed": seed,
        "deterministic": True,
        "force_col_wise": True,
        "num_threads": num_threads,
        "verbosity": -1,
    }
    if callable(objective):
        derive = objective

        def own(raw: Floats, _: lightgbm.Dataset) -> tuple[Floats, Floats]:
            return derive(raw, order)

        parameters["objective"] = own
    data = lightgbm.Dataset(
        np.ascontiguousarray(X[order]),
        y[order],
        categorical_feature=list(categories),
        # A function is no parameter of the dataset.
        params={k: v for k, v in parameters.items() if k != "objective"},
    )
    with threadpool_limits(num_threads, user_api="openmp"):
        grown = lightgbm.train(parameters, data, rounds)
    return lightgbm.Booster(model_str=booster_text(grown))


def scores(booster: lightgbm.Booster, X: Matrix, rounds: int | None = None) -> Floats:
    """Return the raw scores of the first trees (all when left out), shape (n,)."""
    if not len(X):
        return np.empty(0)
    raw = booster.predict(X, raw_score=True, num_iteration=rounds or -1, num_threads=1)
    return np.asarray(raw, dtype=np.float64)
