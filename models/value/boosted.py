"""The recalibrated expectation as the offset of trees."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import lightgbm
import numpy as np
import numpy.typing as npt
import pandas as pd

from ..booster import raw_scores
from ..inputs import Inputs
from .columns import choose, matrix, plain_columns
from .family import Floats, ValueModel
from .recalibrated import RecalibratedValue
from .trees import grow, held_back, tweedie

__all__ = ["BoostedValue"]

_SMALLEST = 1e-6  # of the mean: expectations are kept above this share of it


class BoostedValue(ValueModel):
    """The recalibrated expectation as the offset of trees."""

    label = "boosted"

    _start: RecalibratedValue
    _inputs: Inputs
    _trees: dict[str, lightgbm.Booster]

    @property
    def feature_names(self) -> list[str]:
        """Features that `predict` reads."""
        return list(dict.fromkeys([*self._start.feature_names, *plain_columns(self._inputs)]))

    def _learn(
        self,
        features: pd.DataFrame,
        base: Mapping[str, Floats],
        purchases: Floats,
        spend: Floats,
        days: npt.NDArray[np.int64],
        seed: int,
    ) -> None:
        self._inputs, X = choose(features, base, self.catalogue, days, with_base=True)
        split = held_back(days, features.index, self.horizon_days)
        # The offset of held-back examples must not have seen them either.
        early = self._recalibrated(features, base, purchases, spend, days, split.train)
        self._start = self._recalibrated(features, base, purchases, spend, days, None)
        self._trees = {}
        outcomes = {"purchases": (purchases, 1.0), "spend": (spend, 1.5)}
        before, now = early._predict(features, base), self._start._predict(features, base)
        for (name, (y, power)), first, final in zip(outcomes.items(), before, now, strict=True):
            scale = float(np.sort(y).mean())
            offset = np.where(split.held, first, final) / scale
            trees, _ = grow(
                X,
                y / scale,
                split,
                objective=tweedie(power),
                offset=np.log(offset.clip(_SMALLEST)),
                seed=seed,
                num_threads=self.num_threads,
                must_help=True,
            )
            if trees is not None:
                self._trees[name] = trees
        self.facts |= {"held_back": int(split.held.sum()), "later": split.later}
        self.facts |= {f"{name}_trees": _rounds(self._trees, name) for name in outcomes}

    def _recalibrated(
        self,
        features: pd.DataFrame,
        base: Mapping[str, Floats],
        purchases: Floats,
        spend: Floats,
        days: npt.NDArray[np.int64],
        rows: npt.NDArray[np.bool_] | None,
    ) -> RecalibratedValue:
        at = slice(None) if rows is None else rows
        model = RecalibratedValue()
        model.horizon_days = self.horizon_days
        some = {name: values[at] for name, values in base.items()}
        model._learn(features[at], some, purchases[at], spend[at], days[at], 0)
        return model

    def _predict(self, features: pd.DataFrame, base: Mapping[str, Floats]) -> tuple[Floats, Floats]:
        X = matrix(self._inputs, features, base)
        first, second = self._start._predict(features, base)
        return self._raise("purchases", first, X), self._raise("spend", second, X)

    def _raise(self, name: str, start: Floats, X: Floats) -> Floats:
        if name not in self._trees:
            return start
        factor = np.exp(raw_scores(self._trees[name], X)).clip(0.2, 5.0)
        return factor * start

    def _describe(self) -> tuple[dict[str, Any], dict[str, lightgbm.Booster]]:
        return {
            "start": self._start._describe()[0],
            "inputs": self._inputs.to_dict(),
        }, self._trees

    def _restore(
        self, description: Mapping[str, Any], trees: Mapping[str, lightgbm.Booster]
    ) -> None:
        self._start = RecalibratedValue()
        self._start.horizon_days = self.horizon_days
        self._start._restore(description["start"], {})
        self._inputs = Inputs.from_dict(description["inputs"])
        self._trees = dict(trees)


def _rounds(trees: Mapping[str, lightgbm.Booster], name: str) -> int:
    return trees[name].num_trees() if name in trees else 0
