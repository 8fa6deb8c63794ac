"""Load a registered model from MLflow, after checking that it is one of ours and whole.

Only folders of stock objects are loaded: MLflow's "models from code" with our two artifacts. A
pickled model is refused before MLflow could read it. That keeps a damaged or foreign file out;
it does not make an untrusted registry safe, because the code stored with a model does run.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import pandas as pd

from features.errors import InputError
from serving.model_folder import RETRAIN, check_folder, copy_folder
from serving.store import open_registry
from serving.versions import some_of, version_with_alias, versions

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.pyfunc import PyFuncModel

__all__ = [
    "CHURN",
    "CLV",
    "RegisteredModel",
    "load",
    "load_if_any",
    "load_version",
    "run_tables",
]

CHURN = "regulars-churn"
"""Name of the registered churn model."""
CLV = "regulars-clv"
"""Name of the registered customer-lifetime-value model."""


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
        folder: Where its card and the files that the card vouches for are.
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
    folder: Path | None = None

    @property
    def label(self) -> str:
        """Name and version as the scored list shows them: `regulars-churn/3`."""
        return f"{self.name}/{self.version}"

    @property
    def trained_until(self) -> date | None:
        """The day up to which it has learned, labels included; None where its card is silent."""
        card = self.card
        said = card.get("trained_until") or card.get("extra", {}).get("trained_until")
        return date.fromisoformat(said) if said else None

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
    with open_registry(tracking_uri) as (client, uri):
        return _loaded(client, version_with_alias(client, name, alias, uri), uri)


def load_version(name: str, version: str, tracking_uri: str | None = None) -> RegisteredModel:
    """Load a version by its number, whether it bears an alias or not.

    Raises:
        InputError: As for `load`, or there is no such version; those that there are are named.
    """
    with open_registry(tracking_uri) as (client, uri):
        found = {str(each.version): each for each in versions(client, name, uri)}
        if version not in found:
            many = "s" if len(found) > 1 else ""
            raise InputError(
                f"{name} has no version {version}.", f"It has version{many} {some_of(list(found))}."
            )
        return _loaded(client, found[version], uri)


def _loaded(client: MlflowClient, found: ModelVersion, uri: str) -> RegisteredModel:
    name = str(found.name)
    label = f"{name}/{found.version}"
    folder, shown = _fetch(client, found, label, uri)
    try:
        card, artifact_folder = check_folder(folder, label, found.tags, shown)
        loaded = _load(folder, label)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
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
        folder=artifact_folder,
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
    from mlflow.exceptions import MlflowException

    with open_registry(tracking_uri) as (client, _):
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


def _fetch(client: MlflowClient, found: ModelVersion, label: str, uri: str) -> tuple[Path, Path]:
    """Return a private copy of the model's folder, and where it comes from."""
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException

    location = client.get_model_version_download_uri(found.name, str(found.version))
    if location.startswith("models:/"):
        location = client.get_logged_model(location.rsplit("/", 1)[-1]).artifact_location
    parts = urlsplit(location)
    target = Path(tempfile.mkdtemp(prefix="regulars-"))
    try:
        if parts.scheme in ("", "file"):
            folder = Path(unquote(parts.path) if parts.scheme else location)
            if not (folder / "MLmodel").is_file():
                raise InputError(f"The files of {label} are missing: {folder}", RETRAIN)
            copy_folder(folder, target, label)
            return target, folder
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
    return folder, folder


def _load(folder: Path, label: str) -> PyFuncModel:
    import mlflow
    from mlflow.exceptions import MlflowException

    # Spinning OpenMP threads cost a factor of 200 on a busy machine; LightGBM reads it once.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    try:
        # The files are stock formats, so other library versions than those noted are fine.
        loaded: PyFuncModel = mlflow.pyfunc.load_model(str(folder), suppress_warnings=True)
    except MlflowException as error:
        raise InputError(f"{label} cannot be loaded: {error.message}", RETRAIN) from error
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


def _count(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'' if n == 1 else 's'}"
