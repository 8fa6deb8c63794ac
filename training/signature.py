"""The signature of a registered model."""

from collections.abc import Mapping, Sequence

import pandas as pd
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema

__all__ = ["double_signature"]


def double_signature(
    inputs: Sequence[str], outputs: pd.DataFrame, params: Mapping[str, float] | None = None
) -> ModelSignature:
    """A signature whose inputs and parameters are all double.

    Args:
        inputs: Input columns. A whole number in one of them is still a double.
        outputs: A frame such as the model returns; text columns become string.
        params: Parameters with their defaults.
    """
    kinds = {
        name: DataType.double if pd.api.types.is_numeric_dtype(column) else DataType.string
        for name, column in outputs.items()
    }
    return ModelSignature(
        inputs=Schema([ColSpec(DataType.double, name) for name in inputs]),
        outputs=Schema([ColSpec(kind, str(name)) for name, kind in kinds.items()]),
        params=ParamSchema(
            [ParamSpec(name, DataType.double, float(value)) for name, value in params.items()]
        )
        if params
        else None,  # type: ignore[arg-type]
    )
