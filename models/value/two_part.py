"""Who buys, and how much: trees for each, the spend by its mean or by its quantiles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import lightgbm
import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import ndtr, ndtri

from ..base import ModelError
from ..booster import raw_scores
from ..inputs import Inputs
from .columns import choose, matrix, plain_columns
from .family import Floats, ValueModel
from .trees import Held, grow, held_back, level_factor, tweedie

__all__ = ["QuantileValue", "TwoPartBtydValue", "TwoPartValue", "mean_of_quantiles"]


class TwoPartValue(ValueModel):
    """Trees for who buys, and for the purchases and the spend of those who do."""

    label = "two_part"
    with_base: ClassVar[bool] = False
    """Whether the base is among the features."""

    _inputs: Inputs
    _trees: dict[str, lightgbm.Booster]
    _scales: dict[str, float]  # usual purchases and spend of a buyer, level factors included

    @property
    def feature_names(self) -> list[str]:
        """Features that `predict` reads."""
        return plain_columns(self._inputs)

    def _learn(
        self,
        features: pd.DataFrame,
        base: Mapping[str, Floats],
        purchases: Floats,
        spend: Floats,
        days: npt.NDArray[np.int64],
        seed: int,
    ) -> None:
        self._inputs, X = choose(features, base, self.catalogue, days, with_base=self.with_base)
        split = held_back(days, features.index, self.horizon_days)
        buys = purchases > 0
        if min(buys[split.train].sum(), buys[split.held].sum()) < 10 or buys[split.train].all():
            raise ModelError(
                f"only {int(buys.sum())} of {len(buys)} examples bought anything: too few, or too "
                "many, to learn who does.",
                "Use more customers, more cutoffs or another horizon.",
            )
        options: dict[str, Any] = {"seed": seed, "num_threads": self.num_threads}
        trees, held = grow(
            X, buys.astype(float), split, objective={"objective": "binary"}, **options
        )
        assert trees is not None
        self._trees = {"buys": trees}
        chance = 1.0 / (1.0 + np.exp(-held))
        # Only buyers tell how much is bought.
        among = Held(split.train[buys], split.held[buys], split.later)
        self._scales = {}
        for name, y in (("purchases", purchases), ("spend", spend)):
            scale = float(np.sort(y[buys]).mean())
            amount = self._grow_amount(
                name, X[buys], y[buys] / scale, among, X[split.held], options
            )
            predicted = scale * chance * amount
            self._scales[name] = scale * level_factor(y[split.held], predicted)
        self.facts |= {"held_back": int(split.held.sum()), "later": split.later}
        self.facts |= {f"{name}_trees": t.num_trees() for name, t in self._trees.items()}

    def _grow_amount(
        self,
        name: str,
        X: Floats,
        y: Floats,
        split: Held,
        unseen: Floats,
        options: Mapping[str, Any],
    ) -> Floats:
        """Grow the trees of an amount; the amounts of held-back rows by trees without them."""
        objective = tweedie(1.0 if name == "purchases" else 1.8)
        trees, raw = grow(X, y, split, objective=objective, score_at=unseen, **options)
        assert trees is not None
        self._trees[name] = trees
        return np.exp(raw)

    def _amount(self, name: str, X: Floats) -> Floats:
        """Mean of an amount given that anything is bought, in units of its scale."""
        return np.exp(raw_scores(self._trees[name], X))

    def _predict(self, features: pd.DataFrame, base: Mapping[str, Floats]) -> tuple[Floats, Floats]:
        X = matrix(self._inputs, features, base)
        chance = 1.0 / (1.0 + np.exp(-raw_scores(self._trees["buys"], X)))
        return (
            self._scales["purchases"] * chance * self._amount("purchases", X),
            self._scales["spend"] * chance * self._amount("spend", X),
        )

    def _describe(self) -> tuple[dict[str, Any], dict[str, lightgbm.Booster]]:
        return {"inputs": self._inputs.to_dict(), "scales": self._scales}, self._trees

    def _restore(
        self, description: Mapping[str, Any], trees: Mapping[str, lightgbm.Booster]
    ) -> None:
        self._inputs = Inputs.from_dict(description["inputs"])
        self._scales = {name: float(value) for name, value in description["scales"].items()}
        self._trees = dict(trees)


class TwoPartBtydValue(TwoPartValue):
    """The same with the base among the features."""

    label = "two_part_btyd"
    with_base = True


class QuantileValue(TwoPartBtydValue):
    """The same with the spend of buyers by its quantiles."""

    label = "quantile"

    levels: ClassVar[tuple[float, ...]] = (0.1, 0.3, 0.5, 0.7, 0.9)

    def _grow_amount(
        self,
        name: str,
        X: Floats,
        y: Floats,
        split: Held,
        unseen: Floats,
        options: Mapping[str, Any],
    ) -> Floats:
        if name == "purchases":
            return super()._grow_amount(name, X, y, split, unseen, options)
        logarithm = np.log(y.clip(0.01))
        found = []
        for level in self.levels:
            objective = {"objective": "quantile", "alpha": level, "metric": "quantile"}
            trees, raw = grow(X, logarithm, split, objective=objective, score_at=unseen, **options)
            assert trees is not None
            self._trees[f"spend_{round(100 * level)}"] = trees
            found.append(raw)
        return mean_of_quantiles(np.sort(np.column_stack(found), axis=1), self.levels)

    def _amount(self, name: str, X: Floats) -> Floats:
        if name == "purchases":
            return super()._amount(name, X)
        quantiles = [raw_scores(self._trees[f"spend_{round(100 * u)}"], X) for u in self.levels]
        return mean_of_quantiles(np.sort(np.column_stack(quantiles), axis=1), self.levels)


def mean_of_quantiles(quantiles: Floats, levels: Sequence[float]) -> Floats:
    """Mean of exp(Q(U)) from quantiles of the logarithm, (n,).

    Between two levels the logarithm is linear in the normal score of the level, and beyond the
    outermost it goes on with the slope of the nearest piece: each piece is a part of a log-normal
    distribution, whose mean over a range of scores (a, b) is
    exp(m + s^2 / 2) (Phi(b - s) - Phi(a - s)).
    """
    score = ndtri(np.asarray(levels))
    slope = np.diff(quantiles, axis=1) / np.diff(score)
    # Beyond this spread the tail is a guess: a factor of 40 between the 5 % and the 95 % quantile.
    slope = slope.clip(0.0, 1.1)
    edges = np.concatenate([[-np.inf], score[1:-1], [np.inf]])
    total = np.zeros(len(quantiles))
    for i in range(len(levels) - 1):
        middle = quantiles[:, i] - slope[:, i] * score[i]
        part = ndtr(edges[i + 1] - slope[:, i]) - ndtr(edges[i] - slope[:, i])
        total += np.exp(middle + 0.5 * slope[:, i] ** 2) * part
    return total
