"""Scorer of a logistic regression, kept as plain numbers."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from ..artifact import dump_json
from ..inputs import Inputs
from ..order import canonical_order
from .recipe import Recipe
from .scorer import Floats, Matrix, Read, by_block

__all__ = ["LinearScorer"]

DEFAULT_C = 0.01
"""Variance of a coefficient before the data: one standard deviation of a feature is thought to
move the odds by a tenth. Many features say nearly the same, so each says little of its own; on
panels of some thousand rows more freedom cost log loss at later cutoffs."""

MAX_ROWS = 200_000
"""A few hundred coefficients learn no more from more rows than this; which ones are taken depends
on what is in the rows only."""

SKEWED = 1.0
"""Sample skewness above which a number is read on a logarithmic scale."""

FARTHEST = 5.0
"""Standard deviations from the mean at which a value is read as no farther."""


@dataclass(frozen=True)
class Design:
    """How the columns of the matrix become the terms of the regression.

    A number gives a term: the signed logarithm where it is skewed, the median where it is
    missing, standardised, at most `FARTHEST` from the mean. Where it was missing in some
    training rows and known in others there is a term for that as well. A category gives a term
    for each level and one for all others; a missing level has none of them.

    Args:
        numbers: Positions of the numbers in the matrix.
        skewed: Which of them are read as sign(x) ln(1 + |x|).
        median: Their medians, on that scale.
        mean: Their means, after that.
        scale: Their standard deviations.
        gaps: Positions of the numbers that have a term for being missing.
        categories: Positions of the categories, with their number of codes.
    """

    numbers: tuple[int, ...]
    skewed: npt.NDArray[np.bool_] = field(repr=False)
    median: Floats = field(repr=False)
    mean: Floats = field(repr=False)
    scale: Floats = field(repr=False)
    gaps: tuple[int, ...]
    categories: tuple[tuple[int, int], ...]

    @classmethod
    def learn(cls, X: Matrix, numbers: tuple[int, ...], categories: dict[int, int]) -> Self:
        """Learn the scales from training rows."""
        count = len(numbers)
        skewed = np.zeros(count, dtype=bool)
        median, mean, scale = np.zeros(count), np.zeros(count), np.ones(count)
        gaps = []
        for j, i in enumerate(numbers):
            x = X[:, i].astype(np.float64)
            known = x[~np.isnan(x)]
            if 0 < len(known) < len(x):
                gaps.append(i)
            if not len(known) or known.min() == known.max():
                median[j] = known[0] if len(known) else 0.0
                mean[j] = median[j]
                continue
            skewed[j] = abs(_skewness(known)) > SKEWED
            x = _signed_log(x) if skewed[j] else x
            median[j] = np.nanmedian(x)
            x[np.isnan(x)] = median[j]
            mean[j], scale[j] = x.mean(), x.std()
        return cls(
            numbers=numbers,
            skewed=skewed,
            median=median,
            mean=mean,
            scale=scale,
            gaps=tuple(gaps),
            categories=tuple(sorted(categories.items())),
        )

    @property
    def owners(self) -> npt.NDArray[np.int64]:
        """Position in the matrix that each term speaks of, shape (k,)."""
        levels = [i for i, size in self.categories for _ in range(size)]
        return np.array([*self.numbers, *self.gaps, *levels], dtype=np.int64)

    def __call__(self, X: Matrix) -> Floats:
        """Return the terms, shape (n, k)."""
        values = X[:, list(self.numbers)].astype(np.float64)
        values[:, self.skewed] = _signed_log(values[:, self.skewed])
        values = np.where(np.isnan(values), self.median, values)
        values = np.clip((values - self.mean) / self.scale, -FARTHEST, FARTHEST)
        missing = np.isnan(X[:, list(self.gaps)]).astype(np.float64)
        levels = [X[:, [i]] == np.arange(size) for i, size in self.categories]
        return np.column_stack([values, missing, *levels])

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able description; `from_dict` reads it back to the same bits."""
        lists = {k: getattr(self, k).tolist() for k in ("skewed", "median", "mean", "scale")}
        return lists | {
            "numbers": list(self.numbers),
            "gaps": list(self.gaps),
            "categories": [list(pair) for pair in self.categories],
        }

    @classmethod
    def from_dict(cls, description: dict[str, Any]) -> Self:
        """Read back what `to_dict` returned."""
        return cls(
            numbers=tuple(description["numbers"]),
            skewed=np.array(description["skewed"], dtype=bool),
            median=np.array(description["median"], dtype=np.float64),
            mean=np.array(description["mean"], dtype=np.float64),
            scale=np.array(description["scale"], dtype=np.float64),
            gaps=tuple(description["gaps"]),
            categories=tuple((i, size) for i, size in description["categories"]),
        )


@dataclass(frozen=True, eq=False)
class LinearScorer:
    """A logistic regression with an L2 penalty.

    Args:
        design: From the matrix to its terms.
        coefficients: Of the terms, shape (k,).
        intercept: Log-odds where all terms are 0.
        centre: Mean of each term over the training rows, shape (k,).
        width: Columns of the matrix.
    """

    design: Design
    coefficients: Floats = field(repr=False)
    intercept: float
    centre: Floats = field(repr=False)
    width: int

    @classmethod
    def fit(cls, recipe: Recipe, inputs: Inputs, X: Matrix, y: Floats) -> Self:
        """Fit by penalised maximum likelihood; see `fit_scorer`."""
        from sklearn.linear_model import LogisticRegression

        columns = inputs.without(recipe.without)
        kinds = {i: inputs.features[i] for i in columns}
        rows = canonical_order(X, y)[:MAX_ROWS]
        X, y = X[rows], y[rows]
        design = Design.learn(
            X,
            tuple(i for i, f in kinds.items() if f.kind == "number"),
            {i: len(f.levels) + 1 for i, f in kinds.items() if f.kind == "category"},
        )
        terms = design(X)
        model = LogisticRegression(C=recipe.params.get("C", DEFAULT_C), max_iter=2000, tol=1e-6)
        # The number of threads of a matrix product decides over the last bits of its sums.
        with threadpool_limits(1, user_api="blas"):
            model.fit(terms, y)
        return cls(
            design,
            np.asarray(model.coef_[0], dtype=np.float64),
            float(model.intercept_[0]),
            terms.mean(axis=0),
            len(inputs.features),
        )

    @property
    def rounds(self) -> None:
        """None: there are no trees."""
        return

    @property
    def description(self) -> dict[str, Any]:
        """What it is, JSON-able."""
        return {"kind": "linear"}

    def raw(self, X: Matrix) -> Floats:
        """Return the log-odds of each row, shape (n,)."""
        return by_block(self._raw, X)

    def _raw(self, X: Matrix) -> Floats:
        # A sum along each row, not a matrix product: one customer's score must not depend on
        # how many others are in the block.
        products: Floats = self.design(X) * self.coefficients
        return np.asarray(products.sum(axis=1) + self.intercept)

    def contributions(self, X: Matrix) -> Floats:
        """Split each score, shape (n, f + 1): what each term adds to the mean of training."""
        return by_block(self._contributions, X)

    def _contributions(self, X: Matrix) -> Floats:
        moved = (self.design(X) - self.centre) * self.coefficients
        out = np.zeros((len(X), self.width + 1))
        for term, owner in enumerate(self.design.owners):
            out[:, owner] += moved[:, term]
        out[:, -1] = self.intercept + float((self.centre * self.coefficients).sum())
        return out

    def to_parts(self) -> dict[str, str]:
        """Return its numbers as JSON."""
        numbers = {
            "design": self.design.to_dict(),
            "coefficients": self.coefficients.tolist(),
            "intercept": self.intercept,
            "centre": self.centre.tolist(),
            "width": self.width,
        }
        return {"linear.json": dump_json(numbers)}

    @classmethod
    def from_parts(cls, description: dict[str, Any], read: Read) -> Self:
        """Read back."""
        numbers = json.loads(read("linear.json"))
        return cls(
            Design.from_dict(numbers["design"]),
            np.array(numbers["coefficients"], dtype=np.float64),
            numbers["intercept"],
            np.array(numbers["centre"], dtype=np.float64),
            numbers["width"],
        )


def _signed_log(x: Floats) -> Floats:
    return np.asarray(np.sign(x) * np.log1p(np.abs(x)))


def _skewness(x: Floats) -> float:
    z = (x - x.mean()) / x.std()
    return float((z**3).mean())
