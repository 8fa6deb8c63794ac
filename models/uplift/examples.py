"""Customers of past experiments, and what was to be expected of them whatever the arm.

Whatever is predicted of a customer to learn from it comes from models that have not seen the
customer (cross-fitting): folds are told by the customers' ids.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

import lightgbm
import numpy as np
import numpy.typing as npt
import pandas as pd

from ..base import ModelError
from ..booster import TreeSettings, grow, raw_scores
from ..conformal import chance
from ..inputs import Inputs, Matrix
from .arms import checked_arms

__all__ = ["Examples", "cross_fitted_base", "each_fold", "fit_base", "folds_of"]

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

FOLDS = 5


@dataclass(frozen=True)
class Examples:
    """Customers of past experiments.

    Attributes:
        inputs: The features.
        X: Their matrix, shape (n, f).
        y: 0 or 1, shape (n,).
        treated: 0 or 1, shape (n,).
        chance: Chance of treatment, shape (n,): of a randomised campaign its treated share.
        base: Log-odds of y whatever the arm, by models that have not seen the customer.
        campaign: Number of the campaign of each row, from 0 on.
        fold: Fold of each row's customer.
    """

    inputs: Inputs
    X: Matrix
    y: Floats
    treated: Floats
    chance: Floats
    base: Floats
    campaign: npt.NDArray[np.int64]
    fold: npt.NDArray[np.int64]

    @classmethod
    def of(
        cls,
        features: pd.DataFrame,
        y: npt.ArrayLike,
        treated: npt.ArrayLike,
        *,
        seed: int = 0,
        num_threads: int = 1,
    ) -> Self:
        """Examples from one randomised experiment in a plain table.

        Args:
            features: What was known before, a row a customer on an index of ids: numbers, and
                text as categories; missing values allowed.
            y: 0 or 1, one a customer.
            treated: 0 or 1, one a customer.
            seed: Of the base.
            num_threads: Threads of training.

        Raises:
            ModelError: No feature varies, an arm is empty, or all outcomes are the same.
        """
        outcome, one = checked_arms(y, treated)
        inputs, _ = Inputs.choose(features)
        X, fold = inputs.matrix(features), folds_of(features.index)
        base = cross_fitted_base(inputs, X, outcome, fold, seed=seed, num_threads=num_threads)
        drawn = np.full(len(outcome), one.mean())
        number = np.zeros(len(outcome), dtype=np.int64)
        return cls(inputs, X, outcome, one.astype(np.float64), drawn, base, number, fold)

    def where(self, rows: Mask) -> Examples:
        """Some of the examples."""
        return Examples(
            self.inputs,
            self.X[rows],
            self.y[rows],
            self.treated[rows],
            self.chance[rows],
            self.base[rows],
            self.campaign[rows],
            self.fold[rows],
        )

    @property
    def categories(self) -> list[int]:
        """Positions of the columns with codes of categories."""
        return [i for i, f in enumerate(self.inputs.features) if f.kind == "category"]


def folds_of(customers: pd.Index[Any], folds: int = FOLDS) -> npt.NDArray[np.int64]:
    """Return the fold of each customer, told by the id: a customer is always in the same."""
    return np.asarray(np.floor(chance(customers, "uplift fold") * folds), dtype=np.int64)


def fit_base(
    inputs: Inputs, X: Matrix, y: Floats, *, seed: int, num_threads: int = 1
) -> lightgbm.Booster:
    """Learn f: the log-odds of y whatever the arm.

    Raises:
        ModelError: All outcomes are the same.
    """
    if y.min() == y.max():
        raise ModelError(
            f"all {len(y)} customers have the outcome {y[0]:g}.",
            "Choose a window in which some buy and some do not.",
        )
    return grow(
        X,
        y,
        TreeSettings(),
        names=inputs.names,
        categories=[i for i, f in enumerate(inputs.features) if f.kind == "category"],
        seed=seed,
        num_threads=num_threads,
    )


def cross_fitted_base(
    inputs: Inputs,
    X: Matrix,
    y: Floats,
    fold: npt.NDArray[np.int64],
    *,
    seed: int,
    num_threads: int = 1,
) -> Floats:
    """Log-odds of each row by a `fit_base` on the other folds, shape (n,)."""
    base = np.empty(len(y))
    for out in each_fold(fold):
        booster = fit_base(inputs, X[~out], y[~out], seed=seed, num_threads=num_threads)
        base[out] = raw_scores(booster, X[out])
    return base


def each_fold(fold: npt.NDArray[np.int64]) -> Iterator[Mask]:
    """Yield the rows of each fold, as a mask.

    Raises:
        ModelError: There is only one.
    """
    numbers = np.unique(fold)
    if len(numbers) < 2:
        raise ModelError(f"{len(fold)} customers are too few to cross-fit.")
    for number in numbers:
        yield fold == number
