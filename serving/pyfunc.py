"""The file that MLflow stores with every logged model and runs when it loads one.

"Models from code": MLflow copies this file beside the model and runs the copy under a name of
its own, so nothing is pickled. The file imports no package of ours. A logged model brings two
artifacts with it:

- `model`: the folder that `models.artifact.save` wrote (stock objects and `card.json`). On the
  card of a customer-lifetime-value model, `extra` holds the settings it was trained and judged
  with and the cut points of its value tiers: `horizon_days`, `annual_discount_rate`, `margin`,
  `cutoff`, `value_tiers` (as `Tiers.to_dict` gives them);
- `code`: a copy of the source of the `models` package.

That source is imported under a private name made from a hash of its content. An application's
own `models` package is therefore never touched or taken by mistake, and two versions of a model
in one process each run their own code.

Imported as `serving.pyfunc` this file only defines things.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import importlib
import importlib.util
import os
import sys
import threading
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import mlflow
import numpy as np
import numpy.typing as npt
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE

__all__ = ["CHURN_PARAMS", "CLV_PARAMS", "RegularsModel", "import_source", "source_digest"]

CLV_PARAMS = (
    "horizon_days", "annual_discount_rate", "margin", "interval", "cutoff", "quantiles",
)  # fmt: skip
"""Parameters of a customer-lifetime-value prediction; left out, the settings on its card hold.

`cutoff` is the day that T was counted to, as text such as "2026-01-31" (a model with a calendar
needs it); `quantiles` a text of levels such as "0.1,0.5,0.9", for which the output has the columns
`purchases_q0.1`, `clv_q0.1` and so on.
"""

CHURN_PARAMS = ("language",)
"""Parameters of a churn prediction: the language of the reasons, "en" when left out."""

_SERVING = "_MLFLOW_IS_IN_SERVING_ENVIRONMENT"
"""What MLflow's model server sets to "true"; it writes answers as JSON, and NaN as NaN."""

_importing = threading.Lock()


def source_digest(code: Path) -> str:
    """Return the SHA-256 of a source tree: every file's path and content, caches left out."""
    digest = hashlib.sha256()
    files = (path for path in code.rglob("*") if path.is_file() and path.suffix != ".pyc")
    for path in sorted(files, key=lambda path: path.relative_to(code).as_posix()):
        relative = path.relative_to(code)
        if "__pycache__" in relative.parts:
            continue
        content = path.read_bytes()
        digest.update(f"{relative.as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def import_source(code: Path) -> ModuleType:
    """Import the package in the folder `code` under a private name.

    Args:
        code: The folder that holds the package's `__init__.py`. All its intra-package imports
            must be relative.

    Returns:
        The package `_regulars_<hash of its source>`. The same source gives the same package.

    Raises:
        MlflowException: The folder holds no package.
    """
    start = code / "__init__.py"
    if not start.is_file():
        raise _refused(f"The model's source code is missing: {start}")
    name = f"_regulars_{source_digest(code)[:16]}"
    with _importing:
        package = sys.modules.get(name)
        if package is None:
            spec = importlib.util.spec_from_file_location(
                name, start, submodule_search_locations=[str(code)]
            )
            if spec is None or spec.loader is None:
                raise _refused(f"The model's source code cannot be imported: {start}")
            package = importlib.util.module_from_spec(spec)
            sys.modules[name] = package
            try:
                spec.loader.exec_module(package)
            except BaseException:
                del sys.modules[name]
                raise
        else:
            # The folder it first came from may have been a download that is gone by now.
            for loaded, module in list(sys.modules.items()):
                if f"{loaded}.".startswith(f"{name}.") and hasattr(module, "__path__"):
                    inner = loaded.removeprefix(name).strip(".").split(".")
                    module.__path__ = [str(code.joinpath(*inner))]
    return package


class RegularsModel(mlflow.pyfunc.PythonModel):  # type: ignore[misc, name-defined, unused-ignore]
    """A model of Regulars behind MLflow's `predict`.

    Input, all columns double (whole numbers are accepted where MLflow lets them through) but the
    attributes that a model reads as text: a churn model takes the feature columns of its card, of
    which the `text_columns` are categories; a customer-lifetime-value model the `input_columns`
    of its card: `frequency`, `recency`, `T` (weeks), `monetary_value` and, if it learned spend
    from all purchases, `first_value`; the feature columns that it learned from, if it learned
    from earlier cutoffs; and the static attributes that it was fitted with. Further columns are
    ignored.

    A row with `frequency` and `T` 0 and without `monetary_value` and `first_value` is a customer of
    whom no purchase is known: the answer is the estimate for one who makes the first purchase at
    the cutoff, not counting it, and `p_alive` is missing.

    Output, on the index of the input: `churn_probability, churn_low, churn_high, risk_tier,
    reason_1, reason_2, reason_3`; or `p_alive, probability_no_purchase, expected_purchases,
    purchases_low, purchases_high, expected_spend, clv, clv_low, clv_high, next_purchase_days,
    value_tier`. The tier compares `clv` with cut points learned at the settings of the card, so
    it means little at others.

    Two more kinds take and give what their signatures say: a model of segments the RFM summary
    and the features of its clusters, and scores, `rfm_segment` and `cluster`; a model of the next
    purchase the text `bought`, and `next_1` to `next_3` and `new_1` to `new_3`.
    """

    def load_context(self, context: Any) -> None:
        """Import the model's own source and load its artifact folder.

        Raises:
            MlflowException: A file is missing or altered; the message names it.
        """
        # Spinning OpenMP threads cost a factor of 200 on a busy machine; read once by libgomp.
        os.environ.setdefault("OMP_WAIT_POLICY", "passive")
        package = import_source(Path(context.artifacts["code"]))
        base = importlib.import_module(f"{package.__name__}.base")
        artifact = importlib.import_module(f"{package.__name__}.artifact")
        self._model_error: type[Exception] = base.ModelError
        folder = Path(context.artifacts["model"])
        try:
            self._model: Any = artifact.load(folder)
            # "clv", or one of its kinds: "clv_learned", "clv_stack".
            self._values = str(self._model.kind).split("_")[0] == "clv"
            self._defaults: dict[str, Any] = {}
            self._texts: Collection[str] = self._model.text_columns
            self._tiers: Any = None
            if self._values:
                extra = artifact.read_card(folder)["extra"]
                if "value_tiers" not in extra:
                    raise _refused(f"{folder / artifact.CARD}: extra.value_tiers is missing")
                tiers = importlib.import_module(f"{package.__name__}.tiers")
                self._tiers = tiers.Tiers.from_dict(extra["value_tiers"])
                given = {name: extra[name] for name in CLV_PARAMS if name in extra}
                self._defaults = _settings(given)
        except self._model_error as error:
            raise _refused(str(error)) from error

    def predict(
        self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Predict for every row.

        Args:
            context: Not used; MLflow's convention.
            model_input: The input columns.
            params: For a customer-lifetime-value model any of `CLV_PARAMS`, for a churn model any
                of `CHURN_PARAMS`.

        Returns:
            One row for each row of the input, in its order and on its index.

        Raises:
            MlflowException: A column is missing, a value is impossible or a parameter unknown.
        """
        del context
        frame = _as_double(model_input, self._texts)
        given = {key: value for key, value in (params or {}).items() if value is not None}
        known = CLV_PARAMS if self._values else CHURN_PARAMS
        if unknown := sorted(set(given) - set(known)):
            raise _refused(
                f"Unknown parameter {', '.join(unknown)}; this model takes "
                f"{', '.join(known) or 'none'}."
            )
        settings = {**self._defaults, **_settings(given)}
        try:
            predicted = self._predicted(frame, settings)
            if self._tiers is not None:
                predicted = predicted.assign(value_tier=self._tiers.assign(predicted["clv"]))
        except self._model_error as error:
            raise _refused(str(error)) from error
        return _without_nan(predicted) if os.environ.get(_SERVING) == "true" else predicted

    def _predicted(self, frame: pd.DataFrame, settings: Mapping[str, Any]) -> pd.DataFrame:
        """What the model says, customers without a purchase among the others."""
        new = _without_purchase(frame) if self._values else np.zeros(len(frame), dtype=bool)
        if not new.any():
            found: pd.DataFrame = self._model.predict(frame, **settings)
            return found
        starting = self._model.predict_new_customers(frame[new], **settings)
        parts = [starting.assign(p_alive=np.nan)]
        if not new.all():
            parts.append(self._model.predict(frame[~new], **settings))
        places = np.concatenate([np.flatnonzero(new), np.flatnonzero(~new)])
        together: pd.DataFrame = pd.concat(parts).iloc[np.argsort(places)]
        return together


def _without_purchase(frame: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Rows of customers of whom no purchase is known, (n,)."""
    if not {"frequency", "T", "monetary_value"} <= set(frame.columns):
        return np.zeros(len(frame), dtype=bool)
    new = (frame["frequency"] == 0) & (frame["T"] == 0) & frame["monetary_value"].isna()
    if "first_value" in frame:
        new &= frame["first_value"].isna()
    return new.to_numpy()


def _without_nan(predicted: pd.DataFrame) -> pd.DataFrame:
    """The answer of a model server: JSON has no NaN and no infinity, but null."""
    numbers = predicted.select_dtypes("float64")
    holes = [name for name in numbers.columns if not np.isfinite(numbers[name]).all()]
    values = {name: numbers[name].to_numpy().tolist() for name in holes}
    found = {
        name: pd.array([v if np.isfinite(v) else None for v in column], dtype="object")
        for name, column in values.items()
    }
    return predicted.assign(**found)


def _as_double(frame: pd.DataFrame, texts: Collection[str]) -> pd.DataFrame:
    """Return the input as a frame of float64 columns, and those that are read as text."""
    if all(kind == np.float64 or name in texts for name, kind in frame.dtypes.items()):
        return frame
    columns = {}
    for name in frame.columns:
        if name in texts:
            columns[name] = frame[name]
            continue
        try:
            columns[name] = frame[name].astype("float64")
        except (TypeError, ValueError) as error:
            raise _refused(f"Column {name} must hold numbers only: {error}") from error
    return pd.DataFrame(columns, index=frame.index)


def _settings(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters as `predict` of the model takes them."""
    return {name: _reader(name)(name, value) for name, value in params.items()}


def _reader(name: str) -> Callable[[str, Any], Any]:
    if name == "cutoff":
        return _date
    if name == "language":
        return _text
    return _levels if name == "quantiles" else _number


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise _refused(f'{name} is {value!r}: it must be text such as "en".')
    return value


def _number(name: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise _refused(f"{name} is {value!r}: it must be a number.") from error


def _date(name: str, value: Any) -> dt.date:
    try:
        return dt.date.fromisoformat(value)
    except (TypeError, ValueError) as error:
        raise _refused(f'{name} is {value!r}: it must be a date such as "2026-01-31".') from error


def _levels(name: str, value: Any) -> tuple[float, ...]:
    try:
        return tuple(float(level) for level in value.split(",")) if value.strip() else ()
    except (AttributeError, ValueError) as error:
        raise _refused(f'{name} is {value!r}: it must be text such as "0.1,0.5,0.9".') from error


def _refused(message: str) -> MlflowException:
    """Return the error that a model server answers with 400 and the reason."""
    return MlflowException(message, error_code=INVALID_PARAMETER_VALUE)


if not __package__:  # run by MLflow as a file, not imported as part of `serving`
    mlflow.models.set_model(RegularsModel())
