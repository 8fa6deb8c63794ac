"""The features that the trees of value models see, and their matrix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..inputs import SPEND_PERCENTILE, CatalogueRow, Inputs
from .family import BASE_COLUMNS, Floats

__all__ = ["HORIZON_FEATURES", "choose", "matrix", "plain_columns"]

HORIZON_FEATURES = ("n_prior_lapses", "yoy_same_window")
"""Features that depend on the horizon of their snapshot. Scoring takes one snapshot for all
models, so a value model does not read them."""


def _with_base(features: pd.DataFrame, base: Mapping[str, Floats]) -> pd.DataFrame:
    plain = features.drop(columns=[n for n in BASE_COLUMNS if n in features.columns])
    return pd.concat([plain, pd.DataFrame(dict(base), index=features.index)], axis=1)


def choose(
    features: pd.DataFrame,
    base: Mapping[str, Floats],
    catalogue: Sequence[CatalogueRow],
    days: npt.NDArray[np.int64],
    *,
    with_base: bool,
) -> tuple[Inputs, Floats]:
    """The features that trees see, and their matrix."""
    away = {*HORIZON_FEATURES, SPEND_PERCENTILE, *BASE_COLUMNS}
    numbers = features.select_dtypes("number")  # categories tell churn, hardly money
    frame = numbers.drop(columns=[name for name in numbers.columns if name in away])
    if with_base:
        frame = _with_base(frame, base)
    cutoffs = [pd.Timestamp(int(day), unit="D").date() for day in np.unique(days)]
    inputs, _ = Inputs.choose(frame, catalogue, cutoffs)
    return inputs, inputs.matrix(frame, "the examples").astype(np.float64)


def plain_columns(inputs: Inputs) -> list[str]:
    """Names of the inputs that are features, not what the base says."""
    return [name for name in inputs.columns if name not in BASE_COLUMNS]


def matrix(inputs: Inputs, features: pd.DataFrame, base: Mapping[str, Floats]) -> Floats:
    """The inputs as trees read them, (n, columns).

    Raises:
        ModelError: A feature is missing.
    """
    plain = plain_columns(inputs)
    if len(plain) == len(inputs.columns):
        return inputs.matrix(features).astype(np.float64)
    missing = [name for name in plain if name not in features.columns]
    if missing:
        inputs.matrix(features)  # says what is missing
    return inputs.matrix(_with_base(features[plain], base)).astype(np.float64)
