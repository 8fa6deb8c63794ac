"""What a training writes to MLflow, and how: one flat run a candidate.

Everything goes through a client with its own tracking URI, so a run that the caller has open,
the caller's experiment and a run made by `mlflow run` stay as they are. Nothing that is
written holds a customer's row or id: datasets are described by counts and a digest, tables
are aggregates, and input examples are made up or medians.
"""

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import mlflow
import pandas as pd
from mlflow.entities import (
    LoggedModelOutput,
    Metric,
    Param,
    RunTag,
)
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.models import Model, ModelSignature
from mlflow.tracking import MlflowClient
from mlflow.utils.mlflow_tags import MLFLOW_GIT_COMMIT, MLFLOW_RUN_NOTE, MLFLOW_SOURCE_NAME
from sqlalchemy.exc import SQLAlchemyError

from features.errors import InputError
from features.reading.addresses import shown_store
from features.reading.postgres import check_store
from models import artifact
from models.base import SavableModel
from training.champions import CHALLENGER, CHAMPION, by_alias, database_file, store_lock
from training.leftovers import PROCESS, close_dead_runs, this_process
from training.model_card import ABOUT, shortened
from training.new_store import make_store
from training.run import Run, text
from training.views import experiment_tags

__all__ = [
    "CHALLENGER",
    "CHAMPION",
    "REQUIREMENTS",
    "Tracking",
    "markdown_table",
    "new_training_id",
    "regulars_version",
]

REQUIREMENTS = ("mlflow", "lightgbm", "numpy", "pandas", "scipy", "scikit-learn")
"""What a logged model needs to predict; no sampler. Written down with the installed versions."""

_ROOT = Path(__file__).resolve().parents[1]
_PYFUNC = _ROOT / "serving" / "pyfunc.py"
_MODELS = _ROOT / "models"
_URI_VARIABLES = ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI")
_OPENINGS = 20  # of a store that another process is making, a second apart


class Tracking:
    """An MLflow store and an experiment in it.

    Args:
        tracking_uri: For instance `sqlite:////srv/shop/mlflow.db` or a server's address.
        experiment: Name of the experiment; made when it is not there.
        tags: Put on every run and version, for instance the configuration.
    """

    def __init__(
        self, tracking_uri: str, experiment: str, tags: Mapping[str, str] | None = None
    ) -> None:
        self.tracking_uri = tracking_uri
        self.experiment = experiment
        self.tags = dict(tags or {})
        self._client: MlflowClient | None = None
        self._experiment_id = ""

    @property
    def client(self) -> MlflowClient:
        """The client; connects on first use."""
        if self._client is None:
            # MLflow reports its use to its makers unless told not to.
            os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
            os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
            # It would print addresses of a server's pages between our lines, and into our JSON.
            os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
            self._client = MlflowClient(self.tracking_uri, self.tracking_uri)
        return self._client

    def check(self) -> None:
        """Open the store and the experiment, before long work is done for them.

        Raises:
            InputError: The store cannot be reached or is none, or the experiment has no name.
        """
        if not self.experiment.strip():
            raise InputError(
                "The experiment has no name.", 'Write [mlflow] experiment = "regulars".'
            )
        hint = "Correct tracking_uri in [mlflow] or MLFLOW_TRACKING_URI"
        if self.tracking_uri.startswith("sqlite:///"):
            folder = Path(self.tracking_uri.removeprefix("sqlite:///")).resolve().parent
            if not folder.is_dir():
                raise InputError(
                    f"There is no folder {folder} for the MLflow database.", f"{hint}."
                )
        check_store(self.tracking_uri)
        if self.tracking_uri.startswith(("http://", "https://")):
            # MLflow itself would try for minutes.
            server = urlsplit(self.tracking_uri)
            port = server.port or (443 if server.scheme == "https" else 80)
            try:
                socket.create_connection((server.hostname or "", port), timeout=10).close()
            except OSError:
                raise InputError(
                    f"The MLflow server {shown_store(self.tracking_uri)} does not answer.",
                    f"Start it, or c{hint[1:]}.",
                ) from None
        for attempt in range(_OPENINGS):
            try:
                with store_lock(self.tracking_uri):
                    if (database := database_file(self.tracking_uri)) is not None:
                        make_store(database)
                    self._introduce()
                    close_dead_runs(self.client, self.experiment_id)
                return
            except (MlflowException, SQLAlchemyError) as problem:
                # Another process is making the same new store: it will be there in a moment.
                if "already exists" in str(problem) and attempt < _OPENINGS - 1:
                    self._client = None
                    time.sleep(1)
                    continue
                shown = shown_store(self.tracking_uri)
                raise InputError(
                    f"The MLflow store {shown} cannot be opened: "
                    f"{str(problem).splitlines()[0].replace(self.tracking_uri, shown)}",
                    f"{hint}: sqlite:///mlflow.db, or the address of an MLflow server.",
                ) from None

    @property
    def experiment_id(self) -> str:
        """The experiment's id; the experiment is made when it is not there."""
        if not self._experiment_id:
            found = self.client.get_experiment_by_name(self.experiment)
            self._experiment_id = (
                found.experiment_id
                if found is not None
                else self.client.create_experiment(self.experiment, self._artifact_location())
            )
        return self._experiment_id

    def _introduce(self) -> None:
        """Give the experiment what its pages open with; what somebody has set stays."""
        present = self.client.get_experiment(self.experiment_id).tags
        for key, value in experiment_tags(present).items():
            self.client.set_experiment_tag(self.experiment_id, key, value)

    def _artifact_location(self) -> str | None:
        """Beside a SQLite file, whatever folder the process runs in; else the server's choice."""
        prefix = "sqlite:///"
        if not self.tracking_uri.startswith(prefix):
            return None
        database = Path(self.tracking_uri.removeprefix(prefix)).resolve()
        return (database.parent / "mlartifacts" / uuid.uuid4().hex[:8]).as_uri()

    @contextlib.contextmanager
    def run(
        self,
        candidate: str,
        *,
        family: str,
        training_id: str,
        tags: Mapping[str, Any],
        params: Mapping[str, Any],
    ) -> Iterator[Run]:
        """Open the flat run of one candidate, with a logged model to tie its metrics to.

        The run ends as FINISHED, or as FAILED when the block raises.

        Args:
            candidate: Name of the candidate and, with the training's id, of the run.
            family: `churn` or `clv`.
            training_id: What ties the candidates of one training together.
            tags: More tags.
            params: Settings, shown side by side on the Compare page.
        """
        client = self.client
        about = {"candidate": candidate, "family": family, "training_id": training_id}
        about |= {**self.tags, **tags}
        made = {MLFLOW_SOURCE_NAME: "regulars", PROCESS: this_process()}
        named = {**made, **_git_tags(), **about}
        opened = client.create_run(
            self.experiment_id,
            # Short: the pages cut names off. The whole id is a tag.
            run_name=f"{family} {candidate} {training_id.rsplit('-', 1)[-1]}",
            tags={key: text(value) for key, value in named.items()},
        )
        run_id = opened.info.run_id
        plain = {key: text(value) for key, value in params.items()}
        try:
            client.log_batch(run_id, params=[Param(key, value) for key, value in plain.items()])
            model = client.create_logged_model(
                self.experiment_id,
                name=f"{family}-{candidate}".replace("_", "-"),
                source_run_id=run_id,
                params=plain,
                tags={key: text(value) for key, value in about.items()},
                model_type=family,
            )
            run = Run(client, run_id, model.model_id)
            try:
                yield run
            except BaseException:
                client.finalize_logged_model(run.model_id, "FAILED")
                raise
            if not run.has_model_files:  # else MLflow did both when it stored the files
                client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=0)])
                client.finalize_logged_model(run.model_id, "READY")
        except BaseException:
            client.set_terminated(run_id, "FAILED")
            raise
        client.set_terminated(run_id, "FINISHED")

    def register(
        self,
        run: Run,
        name: str,
        model: SavableModel,
        *,
        signature: ModelSignature,
        input_example: Any,
        card: Mapping[str, Any],
        tags: Mapping[str, Any],
        description: str,
        files: Mapping[str, str] | None = None,
    ) -> ModelVersion:
        """Log a fitted model under its run and make it the newest registered version.

        Call it before measuring: MLflow copies what a run has measured so far to the model,
        without the datasets.

        The logged model holds the artifact folder, a copy of the source of `models`, and the
        file that MLflow runs on loading; nothing is pickled.

        Args:
            run: The candidate's run.
            name: Registered name.
            model: The model.
            signature: Its inputs, outputs and parameters.
            input_example: Made-up or median rows.
            card: Kept on the model's card under `extra`.
            tags: Tags of the version.
            description: The model card, for the version's page and as an artifact of the run.
            files: Further text files of the artifact folder by name, such as the reference.
        """
        with tempfile.TemporaryDirectory() as temporary:
            folder = artifact.save(model, Path(temporary) / "model", extra=card, files=files)
            code = Path(temporary) / "code"
            shutil.copytree(_MODELS, code, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
            parts = {"model": folder, "code": code, "pyfunc": _PYFUNC}
            content = {artifact.CONTENT_TAG: artifact.content_digest(parts)}
            with self.here():
                Model.log(
                    None,
                    flavor=mlflow.pyfunc,
                    model_id=run.model_id,
                    run_id=run.run_id,
                    python_model=str(_PYFUNC),
                    artifacts={"model": str(folder), "code": str(code)},
                    signature=signature,
                    input_example=input_example,
                    pip_requirements=[f"{p}=={metadata.version(p)}" for p in REQUIREMENTS],
                )
        run.has_model_files = True
        client = self.client
        try:
            client.create_registered_model(name, description=ABOUT.get(name, ""))
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        with self.here():  # MLflow looks the logged model up in its module-level store
            version = client.create_model_version(
                name,
                f"models:/{run.model_id}",
                run_id=run.run_id,
                tags={key: text(v) for key, v in {**self.tags, **tags, **content}.items()},
                description=shortened(description),
                model_id=run.model_id,
            )
        run.document("model_card", description)
        client.set_registered_model_alias(name, CHALLENGER, version.version)
        return version

    @contextlib.contextmanager
    def here(self) -> Iterator[None]:
        """Point MLflow's module-level functions at this store inside the block.

        Afterwards MLflow's settings and the environment are as they were: what was not set
        before is not set.
        """
        kept = {name: os.environ.pop(name, None) for name in _URI_VARIABLES}
        # With the environment out of the way: None where nobody has set anything in MLflow itself.
        own = mlflow.is_tracking_uri_set()  # type: ignore[no-untyped-call]
        tracking: Any = mlflow.get_tracking_uri() if own else None
        registry: Any = mlflow.get_registry_uri()
        if registry == mlflow.get_tracking_uri():
            registry = None  # it follows the tracking URI
        mlflow.set_tracking_uri(self.tracking_uri)
        mlflow.set_registry_uri(self.tracking_uri)
        try:
            yield
        finally:
            mlflow.set_tracking_uri(tracking)
            mlflow.set_registry_uri(registry)
            # MLflow writes what it is told to the environment, where the next reader would take
            # it for the user's own choice.
            for name, value in kept.items():
                os.environ.pop(name, None)
                if value is not None:
                    os.environ[name] = value

    def alias(self, name: str, alias: str) -> ModelVersion | None:
        """The version that bears an alias, None where there is none."""
        return by_alias(self.client, name, alias)

    def load_artifact(self, version: ModelVersion) -> Any:
        """Load the model behind a registered version from its folder of stock objects.

        No code that is stored with it runs.
        """
        return self.load_with_card(version)[0]

    def load_with_card(self, version: ModelVersion) -> tuple[Any, dict[str, Any]]:
        """Load the model behind a registered version, and its whole card.

        Raises:
            ModelError: A file is missing, damaged, or of another format.
        """
        location = self.client.get_model_version_download_uri(version.name, version.version)
        with tempfile.TemporaryDirectory() as temporary, self.here():
            local = mlflow.artifacts.download_artifacts(location, dst_path=temporary)
            folder = Path(local) / "artifacts" / "model"
            return artifact.load(folder), artifact.read_card(folder)

    def explain(
        self, run_id: str, outcome: str, reason: str, rule: str, compared: pd.DataFrame
    ) -> None:
        """Write the outcome of the gate on the run of the registered candidate.

        Args:
            run_id: The run.
            outcome: "promoted", "kept" or "refused".
            reason: Why, in words.
            rule: What was applied.
            compared: Of `training.gate.Verdict`; may be empty.
        """
        run = Run(self.client, run_id, "")
        run.tag({"gate": outcome, "promotion": reason})
        known = {"decision": outcome, "reason": reason, "rule": rule}
        # Without a comparison the table still says what came of it.
        table = compared if len(compared) else pd.DataFrame({"measure": ["none"]})
        run.table("promotion", table.assign(**known))

    def summarise(self, tags: Mapping[str, Any], metrics: Mapping[str, float], note: str) -> None:
        """Write the outcome to the run that `mlflow run` made, if that is how we were started.

        The candidates have runs of their own; that one is theirs together.
        """
        parent = os.environ.get("MLFLOW_RUN_ID")
        if not parent:
            return
        try:
            self.client.get_run(parent)
        except MlflowException:
            return  # it lives in another store
        now = int(time.time() * 1000)
        before = self.client.get_run(parent).data.tags.get(MLFLOW_RUN_NOTE, "")
        self.client.log_batch(
            parent,
            metrics=[Metric(name, float(v), now, 0) for name, v in metrics.items()],
            tags=[
                RunTag(MLFLOW_RUN_NOTE, text(f"{before}\n\n{note}".strip())),
                *(RunTag(key, text(value)) for key, value in tags.items()),
            ],
        )


def new_training_id() -> str:
    """A name for one training: sortable by time, and short enough to read aloud."""
    return f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{uuid.uuid4().hex[:4]}"


def regulars_version() -> str:
    """The installed version, or `source`."""
    try:
        return metadata.version("regulars")
    except metadata.PackageNotFoundError:
        return "source"


def markdown_table(metrics: pd.DataFrame, names: Sequence[str]) -> str:
    """Candidates x measures as a Markdown table; `names` are the columns to show."""
    shown = [name for name in names if name in metrics.columns]
    lines = [
        "| candidate | " + " | ".join(shown) + " |",
        "|---|" + "---:|" * len(shown),
    ]
    for candidate, row in metrics.iterrows():
        cells = ["" if pd.isna(row[name]) else f"{row[name]:.4g}" for name in shown]
        lines.append(f"| {candidate} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _git_tags() -> dict[str, str]:
    """The commit of this program's own checkout, if it runs from one."""
    if not (_ROOT / ".git").exists():
        return {}
    try:
        done = subprocess.run(
            ["git", "-C", str(_ROOT), "rev-parse", "HEAD"],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return {}
    return {MLFLOW_GIT_COMMIT: done.stdout.strip()}
