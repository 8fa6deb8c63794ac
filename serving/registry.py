"""Load a registered model from MLflow, after checking that it is one of ours and whole.

Only folders of stock objects are loaded: MLflow's "models from code" with our two artifacts. A
pickled model is refused before MLflow could read it. That keeps a damaged or foreign file out;
it does not make an untrusted registry safe, because the code stored with a model does run.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import sqlite3
import tempfile
import urllib.request
import weakref
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import pandas as pd

from features.errors import InputError
from models.artifact import read_card
from models.base import ModelError

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.pyfunc import PyFuncModel

__all__ = ["CHURN", "CLV", "RegisteredModel", "load", "load_if_any", "run_tables"]

CHURN = "regulars-churn"
"""Name of the registered churn model."""
CLV = "regulars-clv"
"""Name of the registered customer-lifetime-value model."""

_CODE_LOADER = "mlflow.pyfunc.loaders.code_model"
_PICKLES = {".pkl", ".pickle", ".cloudpickle", ".joblib", ".dill"}
_TRAIN = "Run `regulars train` first."
_TRAIN_AGAIN = (
    "Run `regulars train` again. If the project folder was moved, its old place is still noted "
    "in mlflow.db: move it back, or train in the new place."
)


@dataclass(frozen=True)
class RegisteredModel:
    """A model of the registry, loaded and ready to predict.

    Attributes:
        name: `regulars-churn` or `regulars-clv`.
        version: Its version in the registry.
        model_id: MLflow's id of the logged model.
        uri: `models:/NAME/VERSION`.
        pyfunc: The loaded model.
        card: Its `card.json`: kind, settings, feature names, cutoffs, checksums.
        run_id: The run that trained it.
        metrics: The out-of-time metrics of that run; empty when the run was deleted.
        created: When the version was registered.
    """

    name: str
    version: str
    model_id: str
    uri: str
    pyfunc: PyFuncModel
    card: Mapping[str, Any]
    run_id: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)
    created: datetime | None = None

    @property
    def label(self) -> str:
        """Name and version as the scored list shows them: `regulars-churn/3`."""
        return f"{self.name}/{self.version}"

    @property
    def params(self) -> tuple[str, ...]:
        """Names of the parameters that its predictions take."""
        schema = self.pyfunc.metadata.signature.params
        return () if schema is None else tuple(param.name for param in schema.params)

    def predict(self, frame: pd.DataFrame, **params: float | str) -> pd.DataFrame:
        """Predict for every row of `frame`, on its index.

        Args:
            frame: The model's input columns, numbers of any type; further ones are left out.
            params: Parameters of the prediction.

        Raises:
            InputError: A column is missing or the model refuses a value.
        """
        from mlflow.exceptions import MlflowException

        kinds = self.pyfunc.metadata.signature.inputs.input_dict()
        wanted = [str(name) for name in kinds]
        missing = [name for name in wanted if name not in frame.columns]
        if missing:
            raise InputError(
                f"{self.label} needs {_count(len(missing), 'column')} that the data does not "
                f"have: {', '.join(missing)}.",
                "Bring back the table or column they come from, or train again without it.",
            )
        try:
            # MLflow's schema says double and turns whole numbers away.
            doubles = {n: "float64" for n in wanted if kinds[n].type.name == "double"}
            given = {k: v if isinstance(v, str) else float(v) for k, v in params.items()}
            result = self.pyfunc.predict(frame[wanted].astype(doubles), params=given or None)
        except MlflowException as error:
            raise InputError(f"{self.label}: {error.message}") from error
        return pd.DataFrame(result)


def load(name: str, alias: str = "champion", tracking_uri: str | None = None) -> RegisteredModel:
    """Load the version of a registered model that bears an alias.

    Args:
        name: `regulars-churn` or `regulars-clv`.
        alias: `champion` or `challenger`.
        tracking_uri: Where MLflow keeps its records; MLflow's own setting when left out.

    Raises:
        InputError: There is no MLflow database, it does not answer, it has no such model or
            alias, or the model's files are missing, damaged, pickled or not ours.
    """
    import mlflow

    uri = tracking_uri or mlflow.get_tracking_uri()
    _check_reachable(uri)
    with _mlflow_errors(uri):
        client = mlflow.MlflowClient(tracking_uri=uri, registry_uri=uri)
        found = _version(client, name, alias, uri)
        label = f"{name}/{found.version}"
        folder, temporary = _fetch(client, found, label, uri)
    try:
        card = _check_folder(folder, label)
        loaded = _load(folder, label)
    except BaseException:
        if temporary:
            shutil.rmtree(folder, ignore_errors=True)
        raise
    if temporary:
        # The source that came with the model may import more of itself later on.
        weakref.finalize(loaded, shutil.rmtree, folder, ignore_errors=True)
    return RegisteredModel(
        name=name,
        version=str(found.version),
        model_id=str(loaded.metadata.model_id or ""),
        uri=f"models:/{name}/{found.version}",
        pyfunc=loaded,
        card=card,
        run_id=found.run_id or "",
        metrics=_metrics(client, found.run_id),
        created=datetime.fromtimestamp(found.creation_timestamp / 1000, tz=UTC),
    )


def load_if_any(
    name: str, alias: str = "champion", tracking_uri: str | None = None
) -> RegisteredModel | None:
    """Load a registered model that need not be there, such as one of what is bought next.

    Returns:
        The model, or None where no version of that name bears the alias.

    Raises:
        InputError: As for `load`, but for that.
    """
    import mlflow
    from mlflow.exceptions import MlflowException

    uri = tracking_uri or mlflow.get_tracking_uri()
    _check_reachable(uri)
    with _mlflow_errors(uri):
        client = mlflow.MlflowClient(tracking_uri=uri, registry_uri=uri)
        try:
            registered = client.get_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return None
        if alias not in dict(registered.aliases):
            return None
    return load(name, alias, tracking_uri)


def run_tables(
    run_id: str, names: Sequence[str], tracking_uri: str | None = None
) -> dict[str, pd.DataFrame]:
    """Read tables that a training logged with a run, such as `calibration` and `profit`.

    Args:
        run_id: The run, such as `RegisteredModel.run_id`.
        names: Of the tables, without the ending.
        tracking_uri: Where MLflow keeps its records; MLflow's own setting when left out.

    Returns:
        The tables by name; those that the run does not have, or all where the run was deleted,
        are not among them.
    """
    import mlflow
    from mlflow.exceptions import MlflowException

    if not run_id:
        return {}
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    client = mlflow.MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri)
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        try:
            logged = {file.path for file in client.list_artifacts(run_id)}
            for name in names:
                if f"{name}.json" in logged:
                    path = client.download_artifacts(run_id, f"{name}.json", folder)
                    table = json.loads(Path(path).read_text(encoding="utf-8"))
                    found[name] = pd.DataFrame(table["data"], columns=table["columns"])
        except (MlflowException, OSError):  # the run or its files were deleted
            return found
    return found


def _check_reachable(uri: str) -> None:
    """Refuse a registry that is not there, before MLflow creates one or waits for minutes."""
    parts = urlsplit(uri)
    if parts.scheme == "sqlite":
        _check_sqlite(unquote(uri.split("://", 1)[1].split("?", 1)[0].removeprefix("/")), uri)
    elif parts.scheme in ("", "file"):
        raise InputError(
            f"MLflow keeps no registry in plain folders such as {uri}.",
            'Use tracking_uri = "sqlite:///mlflow.db" or the address of an MLflow server.',
        )
    elif parts.scheme in ("http", "https") and parts.hostname:
        proxied = parts.scheme in urllib.request.getproxies() and not urllib.request.proxy_bypass(
            parts.hostname
        )
        if not proxied:
            port = parts.port or (443 if parts.scheme == "https" else 80)
            try:
                socket.create_connection((parts.hostname, port), timeout=10).close()
            except OSError as error:
                raise InputError(
                    f"The MLflow server {_shown(uri)} does not answer ({error.strerror or error}).",
                    "Start it, or correct tracking_uri or MLFLOW_TRACKING_URI.",
                ) from error


def _check_sqlite(name: str, uri: str) -> None:
    path = Path(name)
    if not name or name == ":memory:" or not path.exists() or path.stat().st_size == 0:
        raise InputError(
            f"There is no MLflow database {path if name else uri}.",
            f"{_TRAIN} If you have trained already, correct tracking_uri or MLFLOW_TRACKING_URI.",
        )
    try:
        # Opened for reading only: MLflow itself would fill any SQLite file with its tables.
        with contextlib.closing(
            sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
        ) as con:
            tables = {row[0] for row in con.execute("SELECT name FROM sqlite_master")}
    except sqlite3.Error as error:
        raise InputError(
            f"{path} is not a database that can be read ({error}).",
            "Correct tracking_uri, or bring the file back from a copy.",
        ) from error
    if not {"registered_models", "model_versions"} <= tables:
        raise InputError(f"{path} is not an MLflow database.", f"Correct tracking_uri. {_TRAIN}")


@contextlib.contextmanager
def _mlflow_errors(uri: str) -> Iterator[None]:
    """Turn the errors of MLflow and of its database into ours."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError) as error:
        reason = str(error).strip().split("\n", 1)[0]
        raise InputError(
            f"MLflow at {_shown(uri)} gave an error: {reason}",
            "Check tracking_uri or MLFLOW_TRACKING_URI and that the server or database is up.",
        ) from error
    except ImportError as error:
        raise InputError(
            f"A library for {_shown(uri)} is not installed: {error}", "Install it with pip."
        ) from error


def _version(client: MlflowClient, name: str, alias: str, uri: str) -> ModelVersion:
    from mlflow.exceptions import MlflowException

    try:
        registered = client.get_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        raise InputError(
            f"There is no registered model {name} in {_shown(uri)}.", _TRAIN
        ) from error
    version = dict(registered.aliases).get(alias)
    if version is None:
        others = ", ".join(f"{key} (version {value})" for key, value in registered.aliases.items())
        raise InputError(
            f"No version of {name} is the {alias}" + (f"; there is {others}." if others else "."),
            "Run `regulars train`, or set the alias on the model's page in the MLflow UI.",
        )
    return client.get_model_version(name, str(version))


def _fetch(client: MlflowClient, found: ModelVersion, label: str, uri: str) -> tuple[Path, bool]:
    """Return the model's folder on this machine, and whether it is a download to remove."""
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException

    location = client.get_model_version_download_uri(found.name, str(found.version))
    if location.startswith("models:/"):
        location = client.get_logged_model(location.rsplit("/", 1)[-1]).artifact_location
    parts = urlsplit(location)
    if parts.scheme in ("", "file"):
        folder = Path(unquote(parts.path) if parts.scheme else location)
        if not (folder / "MLmodel").is_file():
            raise InputError(f"The files of {label} are missing: {folder}", _TRAIN_AGAIN)
        return folder, False
    target = Path(tempfile.mkdtemp(prefix="regulars-"))
    try:
        folder = Path(
            download_artifacts(artifact_uri=location, dst_path=str(target), tracking_uri=uri)
        )
    except (MlflowException, OSError) as error:
        shutil.rmtree(target, ignore_errors=True)
        raise InputError(
            f"The files of {label} cannot be fetched: {str(error).splitlines()[0]}",
            "Check the artifact store of the MLflow server.",
        ) from error
    except BaseException:
        shutil.rmtree(target, ignore_errors=True)
        raise
    return folder, True


def _check_folder(folder: Path, label: str) -> dict[str, Any]:
    """Refuse a model that is pickled, foreign or damaged; return its card."""
    import yaml  # type: ignore[import-untyped]

    try:
        described = yaml.safe_load((folder / "MLmodel").read_text(encoding="utf-8"))
        flavor = described["flavors"]["python_function"]
        code = folder / Path(flavor["model_code_path"]).name
        artifacts = {
            key: (folder / entry["path"]).resolve() for key, entry in flavor["artifacts"].items()
        }
        loader = flavor["loader_module"]
        source, model = artifacts["code"], artifacts["model"]
    except OSError as error:
        raise InputError(f"The files of {label} are missing: {error}", _TRAIN_AGAIN) from error
    except (KeyError, TypeError, AttributeError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(
            f"{label} is not a model that Regulars logged: {folder / 'MLmodel'} does not describe "
            "a model from code with its two artifacts.",
            "Run `regulars train` to register one.",
        ) from error
    pickles = sorted(path for path in folder.rglob("*") if path.suffix.lower() in _PICKLES)
    if pickles or loader != _CODE_LOADER or flavor.get("python_model") or flavor.get("code"):
        what = pickles[0] if pickles else folder / "MLmodel"
        raise InputError(
            f"{label} was refused: it is not a plain model from code ({what}). "
            "Pickled models are never loaded, because reading one can run anything.",
            "Run `regulars train` to register one.",
        )
    inside = folder.resolve()
    for path in (code.resolve(), source, model):
        if not path.is_relative_to(inside):
            raise InputError(
                f"{label} was refused: {path} is outside the model's folder {folder}.",
                "Run `regulars train` to register a model.",
            )
        if not path.exists():
            raise InputError(f"The files of {label} are missing: {path}", _TRAIN_AGAIN)
    try:
        return read_card(model)
    except ModelError as error:
        raise InputError(f"{label} cannot be used: {error.message}", error.hint) from error


def _load(folder: Path, label: str) -> PyFuncModel:
    import mlflow
    from mlflow.exceptions import MlflowException

    # Spinning OpenMP threads cost a factor of 200 on a busy machine; LightGBM reads it once.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    try:
        # The files are stock formats, so other library versions than those noted are fine.
        loaded: PyFuncModel = mlflow.pyfunc.load_model(str(folder), suppress_warnings=True)
    except MlflowException as error:
        raise InputError(f"{label} cannot be loaded: {error.message}", _TRAIN_AGAIN) from error
    if loaded.metadata.signature is None or loaded.metadata.signature.inputs is None:
        raise InputError(f"{label} has no signature.", "Run `regulars train` to register one.")
    return loaded


def _metrics(client: MlflowClient, run_id: str | None) -> dict[str, float]:
    from mlflow.exceptions import MlflowException

    if not run_id:
        return {}
    try:
        return dict(client.get_run(run_id).data.metrics)
    except MlflowException:  # the run was deleted; its model stays valid
        return {}


def _shown(uri: str) -> str:
    """Return an address without its password.

    >>> _shown("postgresql://me:secret@host/db")
    'postgresql://me:***@host/db'
    """
    parts = urlsplit(uri)
    if parts.password is None:
        return uri
    host = parts.netloc.rsplit("@", 1)[1]
    return parts._replace(netloc=f"{parts.username}:***@{host}").geturl()


def _count(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'' if n == 1 else 's'}"
