"""Scorer of gradient-boosted trees, which may start from a probability that is already known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Self

import lightgbm
import numpy as np
from scipy.optimize import brentq
from scipy.special import expit

from ..base import ModelError
from ..booster import TreeSettings, booster_text, contributions, grow, raw_scores
from ..inputs import Inputs
from .recipe import Recipe
from .scorer import Floats, Matrix, Read, by_block, log_odds

__all__ = ["Offset", "TreeScorer"]

OFFSET_EDGE = 1e-4
"""A probability nearer to 0 or 1 than this is taken as no surer: trees must be able to undo it."""

BOOSTER = "booster.txt"


@dataclass(frozen=True)
class Offset:
    """The log-odds that trees start from: those of a feature, moved to the level of the labels.

    Args:
        column: Position of the feature in the matrix.
        shift: Added to its log-odds, so that they give the churn rate of the training rows.
        missing: Log-odds, without the shift, of who has none: the shift makes it the training
            churn rate.
        centre: Mean log-odds of the training rows.
    """

    column: int
    shift: float
    missing: float
    centre: float

    @classmethod
    def learn(cls, column: int, X: Matrix, y: Floats) -> Self:
        """Find the level."""
        own = log_odds(X[:, column], OFFSET_EDGE)
        known = ~np.isnan(own)
        rate = float(log_odds(y.mean(), 1e-9))
        if not known.any():
            return cls(column, 0.0, rate, rate)
        # Sorted: the order of the rows must not decide over the last bit of a sum.
        order = np.lexsort((y[known], own[known]))
        start, churned = own[known][order], y[known][order]
        goal = float(np.clip(churned.mean(), 1e-9, 1 - 1e-9))
        shift = float(brentq(lambda c: expit(start + c).mean() - goal, -40.0, 40.0, xtol=1e-12))
        missing = rate - shift
        total = float(start.sum()) + missing * float((~known).sum())
        return cls(column, shift, missing, total / len(y))

    def __call__(self, X: Matrix) -> Floats:
        """Return the log-odds of each row, without the shift, shape (n,)."""
        own = log_odds(X[:, self.column], OFFSET_EDGE)
        return np.where(np.isnan(own), self.missing, own)


@dataclass(frozen=True, eq=False)
class TreeScorer:
    """Trees of LightGBM over some columns of the matrix, and where they start from.

    Args:
        booster: The trees.
        columns: Positions in the matrix that they see.
        width: Columns of the matrix.
        offset: What they start from; None for the churn rate, which is then in the trees.
        settings: What they were grown with.
        monotone: Whether they are held to the signs of the catalogue.
    """

    booster: lightgbm.Booster = field(repr=False)
    columns: tuple[int, ...]
    width: int
    offset: Offset | None
    settings: TreeSettings
    monotone: bool

    @classmethod
    def fit(
        cls,
        recipe: Recipe,
        inputs: Inputs,
        X: Matrix,
        y: Floats,
        *,
        seed: int,
        num_threads: int,
        validation: tuple[Matrix, Floats] | None = None,
    ) -> Self:
        """Grow the trees; see `fit_scorer`."""
        columns = inputs.without(recipe.without)
        names = inputs.names
        settings = TreeSettings(**recipe.params)
        offset = None
        if recipe.offset is not None:
            if recipe.offset not in names:
                raise ModelError(f"the offset {recipe.offset!r} is not among the features")
            offset = Offset.learn(names.index(recipe.offset), X, y)
        signs = {i: f.monotone for i, f in enumerate(inputs.features) if f.monotone}
        booster = grow(
            X,
            y,
            settings,
            names=names,
            columns=columns,
            categories=[names.index(name) for name in inputs.categories],
            signs=signs if recipe.monotone else {},
            start=None if offset is None else offset(X) + offset.shift,
            validation=validation,
            validation_start=(
                None
                if offset is None or validation is None
                else offset(validation[0]) + offset.shift
            ),
            seed=seed,
            num_threads=num_threads,
        )
        return cls(
            booster,
            columns,
            len(names),
            offset,
            settings.sized(len(X), validation is not None),
            recipe.monotone and any(i in signs for i in columns),
        )

    @property
    def rounds(self) -> int:
        """Number of trees."""
        return int(self.booster.num_trees())

    @property
    def description(self) -> dict[str, Any]:
        """All but the trees, JSON-able."""
        return {
            "kind": "trees",
            "columns": list(self.columns),
            "width": self.width,
            "offset": None if self.offset is None else vars(self.offset).copy(),
            "settings": self.settings.to_dict(),
            "monotone": self.monotone,
        }

    def raw(self, X: Matrix) -> Floats:
        """Return the log-odds of each row, shape (n,)."""
        return by_block(self._raw, X)

    def _raw(self, X: Matrix) -> Floats:
        score = raw_scores(self.booster, self._seen(X))
        if self.offset is not None:
            score = score + (self.offset(X) + self.offset.shift)
        return score

    def staged(self, X: Matrix, rounds: Sequence[int]) -> Iterator[Floats]:
        """Yield the log-odds that the first trees alone give, for each of some ascending numbers.

        Where there are fewer trees than asked for, all of them count.
        """
        seen = self._seen(X)
        score = np.zeros(len(X)) if self.offset is None else self.offset(X) + self.offset.shift
        for before, upto in pairwise((0, *(min(k, self.rounds) for k in rounds))):
            if upto > before:
                part = self.booster.predict(
                    seen,
                    raw_score=True,
                    start_iteration=before,
                    num_iteration=upto - before,
                    num_threads=1,
                )
                score = score + np.asarray(part, dtype=np.float64)
            yield score

    def contributions(self, X: Matrix) -> Floats:
        """Split each score, shape (n, f + 1).

        TreeSHAP of the trees (Lundberg, Erion and Lee 2018); the part of the offset, against
        its mean in training, counts for its feature.
        """
        return by_block(self._contributions, X)

    def _contributions(self, X: Matrix) -> Floats:
        parts = contributions(self.booster, self._seen(X))
        out = np.zeros((len(X), self.width + 1))
        out[:, [*self.columns, self.width]] = parts
        if self.offset is not None:
            out[:, self.offset.column] += self.offset(X) - self.offset.centre
            out[:, -1] += self.offset.centre + self.offset.shift
        return out

    def to_parts(self) -> dict[str, str]:
        """Return the text of the trees."""
        return {BOOSTER: booster_text(self.booster)}

    @classmethod
    def from_parts(cls, description: dict[str, Any], read: Read) -> Self:
        """Read back.

        Raises:
            ModelError: Not trees, or trees of other features.
        """
        try:
            booster = lightgbm.Booster(model_str=read(BOOSTER))
        except (lightgbm.basic.LightGBMError, OSError, UnicodeError) as error:
            raise ModelError(f"{BOOSTER}: not a LightGBM model ({error})") from error
        columns = tuple(description["columns"])
        if booster.num_feature() != len(columns):
            raise ModelError(
                f"{BOOSTER}: has {booster.num_feature()} features, the card lists {len(columns)}"
            )
        offset = description["offset"]
        return cls(
            booster,
            columns,
            description["width"],
            None if offset is None else Offset(**offset),
            TreeSettings(**description["settings"]),
            description["monotone"],
        )

    def _seen(self, X: Matrix) -> Matrix:
        if len(self.columns) == self.width:
            return X
        return np.ascontiguousarray(X[:, list(self.columns)])
