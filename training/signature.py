"""The signature of a registered model."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema

__all__ = ["signature", "usual_rows"]


def signature(
    inputs: pd.DataFrame, outputs: pd.DataFrame, params: Mapping[str, float | str] | None = None
) -> ModelSignature:
    """A signature whose numbers are all double.

    Args:
        inputs: A frame such as the model reads. A whole number in it is still a double.
        outputs: A frame such as the model returns.
        params: Parameters with their defaults.
    """
    return ModelSignature(
        inputs=Schema([ColSpec(kind, name) for name, kind in _kinds(inputs).items()]),
        outputs=Schema([ColSpec(kind, name) for name, kind in _kinds(outputs).items()]),
        params=ParamSchema(
            [
                ParamSpec(name, DataType.string, value)
                if isinstance(value, str)
                else ParamSpec(name, DataType.double, float(value))
                for name, value in params.items()
            ]
        )
        if params
        else None,  # type: ignore[arg-type]
    )


def usual_rows(features: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """Two rows of nobody, as an input example: medians, then lower quartiles; the commonest text.

    A column without a value is 0, or empty text.
    """
    found: dict[str, list[float] | list[str]] = {}
    for name in columns:
        values = features[name].dropna()
        if pd.api.types.is_numeric_dtype(values.dtype):
            middle = values.astype("float64").quantile([0.5, 0.25]).to_numpy()
            found[name] = np.nan_to_num(middle, nan=0.0).tolist()
        else:
            common = str(values.value_counts().sort_index().idxmax()) if len(values) else ""
            found[name] = [common, common]
    return pd.DataFrame(found)


def _kinds(frame: pd.DataFrame) -> dict[str, DataType]:
    return {
        str(name): DataType.double if pd.api.types.is_numeric_dtype(column) else DataType.string
        for name, column in frame.items()
    }
