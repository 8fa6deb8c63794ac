"""Value models in files."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightgbm

from ..base import ModelError
from ..booster import booster_text
from .boosted import BoostedValue
from .family import ValueModel
from .recalibrated import RecalibratedValue
from .two_part import QuantileValue, TwoPartBtydValue, TwoPartValue

__all__ = ["VALUE_MODELS", "read_value_model", "write_value_model"]

VALUE_MODELS: Mapping[str, type[ValueModel]] = {
    model.label: model
    for model in (RecalibratedValue, BoostedValue, TwoPartValue, TwoPartBtydValue, QuantileValue)
}
"""Value models by their short name."""


def write_value_model(model: ValueModel, folder: Path) -> dict[str, Any]:
    """Write the trees of a fitted model to `folder`; return its JSON-able description."""
    if not model.horizon_days:
        raise ModelError(f"{type(model).__name__} is not fitted.", "Call fit first.")
    description, trees = model._describe()
    for name, booster in trees.items():
        # LightGBM writes text, four times as long as it has to be.
        packed = gzip.compress(booster_text(booster).encode(), mtime=0)
        (folder / f"value_{name}.txt.gz").write_bytes(packed)
    return {
        "family": model.label,
        "horizon_days": model.horizon_days,
        "unit": model.unit,
        "features": model.feature_names,
        "trees": sorted(trees),
        "facts": model.facts,
        "fitted": description,
    }


def read_value_model(folder: Path, description: Mapping[str, Any]) -> ValueModel:
    """Read back what `write_value_model` wrote.

    Raises:
        ModelError: An unknown family, or a file that holds no trees.
    """
    family = str(description.get("family"))
    if family not in VALUE_MODELS:
        raise ModelError(f"This version cannot read a value model of the family {family!r}.")
    trees = {}
    for name in description["trees"]:
        path = folder / f"value_{name}.txt.gz"
        if path.parent != folder:
            raise ModelError(f"{folder}: {name!r} is not the plain name of a model file")
        try:
            text = gzip.decompress(path.read_bytes()).decode()
            trees[name] = lightgbm.Booster(model_str=text)
        except (lightgbm.basic.LightGBMError, OSError, EOFError, zlib.error, UnicodeError) as error:
            raise ModelError(f"{path}: not a LightGBM model ({error})") from error
    model = VALUE_MODELS[family]()
    model.horizon_days = float(description["horizon_days"])
    model.unit = float(description["unit"])
    model.facts = dict(description["facts"])
    model._restore(description["fitted"], trees)
    return model
