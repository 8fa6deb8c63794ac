"""The uplift model: for each kind of treatment, what it would change for each customer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self

import lightgbm
import numpy as np
import pandas as pd

from ..base import ModelError
from ..booster import booster_text, raw_scores
from ..inputs import Inputs
from .learners import Effects

__all__ = ["PURCHASE_VALUE", "UpliftModel"]

BASE = "base.txt"
PURCHASE_VALUE = "aov_gg"
"""Feature with the expected value of a customer's next purchase (`btyd.features`)."""

_SURE = 1e-6


@dataclass(frozen=True, eq=False)
class UpliftModel:
    """Effects of treatments on single customers, learned from randomised campaigns.

    Attributes:
        horizon_days: Days after the contact within which a purchase counts as staying.
        inputs: The features it reads.
        base: Trees for the log-odds of staying, whatever the arm.
        effects: Treatment -> its effects.
        card: What the model says of itself; JSON-able.
    """

    kind: ClassVar[str] = "uplift"

    horizon_days: int
    inputs: Inputs = field(repr=False)
    base: lightgbm.Booster = field(repr=False)
    effects: Mapping[str, Effects] = field(repr=False)
    card: Mapping[str, Any] = field(repr=False, default_factory=dict)

    @property
    def treatments(self) -> tuple[str, ...]:
        """The kinds of treatment, by name."""
        return tuple(sorted(self.effects))

    @property
    def feature_names(self) -> list[str]:
        """Columns that `predict` needs."""
        return self.inputs.columns

    @property
    def text_columns(self) -> list[str]:
        """Those of them that hold text."""
        return self.inputs.text_columns

    def predict(self, features: pd.DataFrame) -> pd.DataFrame:
        """Say what each treatment would change.

        Args:
            features: A frame with at least `feature_names`, in any order, missing values allowed.
                It is not written to.

        Returns:
            A frame on the index of `features`; for each treatment NAME:

            - `uplift_NAME`: P(stay | treated) - P(stay | untreated), where staying is at least
              one purchase in the horizon;
            - `stay_NAME`: P(stay | untreated);
            - `spend_NAME`: what the treatment adds to the spend in the horizon, in money. It
              takes purchases as a Poisson process, whose mean is -ln P(none), and a purchase to
              be worth what the feature `aov_gg` says; missing where that is missing, or not
              among the features.

        Raises:
            ModelError: A column is missing, not numeric, or infinite somewhere.
        """
        X = self.inputs.matrix(features)
        base = raw_scores(self.base, X)
        names = self.inputs.names
        worth = (
            X[:, names.index(PURCHASE_VALUE)].astype(np.float64)
            if PURCHASE_VALUE in names
            else np.full(len(X), np.nan)
        )
        columns = {}
        for name in self.treatments:
            effect = self.effects[name]
            uplift, stay = effect(X, base), effect.untreated(X, base)
            none = np.clip(1 - stay, _SURE, 1), np.clip(1 - stay - uplift, _SURE, 1)
            columns[f"uplift_{name}"] = uplift
            columns[f"stay_{name}"] = stay
            columns[f"spend_{name}"] = (np.log(none[0]) - np.log(none[1])) * worth
        return pd.DataFrame(columns, index=features.index)

    def to_folder(self, folder: Path) -> dict[str, Any]:
        """Write the trees; return the description."""
        texts = {BASE: booster_text(self.base)}
        for number, name in enumerate(self.treatments):
            for part, tree in enumerate(self.effects[name].trees):
                texts[_file(number, part)] = booster_text(tree)
        for file, text in texts.items():
            (folder / file).write_text(text, encoding="utf-8", newline="\n")
        return {
            **self.card,
            "horizon_days": self.horizon_days,
            "feature_names": self.feature_names,
            "text_columns": self.text_columns,
            "inputs": self.inputs.to_dict(),
            "treatments": [
                {"name": name, **self.effects[name].description} for name in self.treatments
            ],
            "lightgbm_version": lightgbm.__version__,
        }

    @classmethod
    def from_folder(cls, folder: Path, description: Mapping[str, Any]) -> Self:
        """Read back.

        Raises:
            ModelError: A file holds no trees, or those of other features.
        """
        inputs = Inputs.from_dict(description["inputs"])

        def trees(file: str) -> lightgbm.Booster:
            try:
                text = (folder / file).read_text(encoding="utf-8")
                booster = lightgbm.Booster(model_str=text)
            except (lightgbm.basic.LightGBMError, OSError, UnicodeError) as error:
                raise ModelError(f"{file}: not a LightGBM model ({error})") from error
            if booster.num_feature() != len(inputs.features):
                raise ModelError(
                    f"{file}: has {booster.num_feature()} features, the card lists "
                    f"{len(inputs.features)}"
                )
            return booster

        effects = {
            str(said["name"]): Effects.from_description(
                said, [trees(_file(number, part)) for part in range(said["trees"])]
            )
            for number, said in enumerate(description["treatments"])
        }
        own = ("horizon_days", "inputs", "treatments")
        card = {key: value for key, value in description.items() if key not in own}
        return cls(int(description["horizon_days"]), inputs, trees(BASE), effects, card)


def _file(treatment: int, part: int) -> str:
    return f"effect_{treatment}_{part}.txt"
