"""A model is loaded only if it is registered, whole and one of ours."""

from __future__ import annotations

import contextlib
import gc
import json
import pickle
import shutil
import socket
import sqlite3
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest

from features.errors import InputError
from features.reading.addresses import shown_store
from models.churn import ChurnModel
from serving.registry import load, load_if_any


def refusal(uri: str, name: str = "regulars-churn", alias: str = "champion") -> InputError:
    with pytest.raises(InputError) as caught:
        load(name, alias, uri)
    return caught.value


def test_the_champion_is_loaded_with_its_card_and_metrics(
    churn_registry: Any, churn_model: ChurnModel
) -> None:
    model = load("regulars-churn", tracking_uri=churn_registry.uri)
    assert model.label == "regulars-churn/1"
    assert model.uri == "models:/regulars-churn/1"
    assert model.model_id.startswith("m-")
    assert model.card["feature_names"] == churn_model.feature_names
    assert model.metrics == {"churn/roc_auc": 0.75}


def test_a_model_that_need_not_be_there_is_none_where_it_is_not(
    churn_registry: Any, tmp_path: Path
) -> None:
    found = load_if_any("regulars-churn", tracking_uri=churn_registry.uri)
    assert found is not None
    assert found.label == "regulars-churn/1"
    assert load_if_any("regulars-next", tracking_uri=churn_registry.uri) is None
    assert load_if_any("regulars-churn", "challenger", churn_registry.uri) is None
    with pytest.raises(InputError, match="no MLflow database"):
        load_if_any("regulars-churn", tracking_uri=f"sqlite:///{tmp_path / 'no.db'}")


def test_loading_changes_no_global_setting(churn_registry: Any) -> None:
    before = (mlflow.get_tracking_uri(), mlflow.get_registry_uri())
    load("regulars-churn", tracking_uri=churn_registry.uri)
    assert (mlflow.get_tracking_uri(), mlflow.get_registry_uri()) == before


def test_predictions_are_those_of_the_model_in_memory(
    churn_registry: Any, churn_model: ChurnModel, features: pd.DataFrame
) -> None:
    model = load("regulars-churn", tracking_uri=churn_registry.uri)
    shuffled = features[features.columns[::-1]].assign(further=1)
    pd.testing.assert_frame_equal(model.predict(shuffled), churn_model.predict(features))


def test_a_missing_column_is_named(churn_registry: Any, features: pd.DataFrame) -> None:
    model = load("regulars-churn", tracking_uri=churn_registry.uri)
    with pytest.raises(InputError, match=r"regulars-churn/1 needs 1 column .*: gap_mean"):
        model.predict(features.drop(columns="gap_mean"))


def test_what_the_model_refuses_is_an_input_error(
    churn_registry: Any, features: pd.DataFrame
) -> None:
    model = load("regulars-churn", tracking_uri=churn_registry.uri)
    with pytest.raises(InputError, match=r"regulars-churn/1.*infinite"):
        model.predict(features.assign(gap_mean=float("inf")))


@pytest.mark.parametrize("existing", [False, True])
def test_no_database_is_said_and_none_is_made(tmp_path: Path, existing: bool) -> None:
    path = tmp_path / "mlflow.db"
    if existing:
        path.touch()
    error = refusal(f"sqlite:///{path}")
    assert str(path) in error.message
    assert "regulars train" in error.hint
    assert path.exists() is existing
    assert not existing or path.stat().st_size == 0


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    path.write_bytes(b"not a database, but long enough to look at" * 40)
    assert "is not a database that can be read" in refusal(f"sqlite:///{path}").message


def test_a_foreign_database_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    with contextlib.closing(sqlite3.connect(path)) as con:
        con.execute("CREATE TABLE orders (id)")
        con.commit()
    before = path.read_bytes()
    assert "is not an MLflow database" in refusal(f"sqlite:///{path}").message
    assert path.read_bytes() == before


@pytest.mark.parametrize("uri", ["mlruns", "file:///tmp/mlruns", "sqlite://", "sqlite:///:memory:"])
def test_addresses_that_cannot_hold_a_registry_are_refused(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    refusal(uri)
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_is_not_there_is_said_at_once() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    error = refusal(f"http://127.0.0.1:{port}")
    assert "does not answer" in error.message
    assert "tracking_uri" in error.hint


def test_a_server_that_is_something_else_is_an_error_of_the_setting() -> None:
    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            error = refusal(f"http://127.0.0.1:{server.server_port}")
        finally:
            server.shutdown()
    assert "gave an error" in error.message


def test_an_unknown_model_and_a_missing_alias_are_told_apart(churn_registry: Any) -> None:
    error = refusal(churn_registry.uri, name="regulars-nothing")
    assert "no registered model regulars-nothing" in error.message
    assert "There is regulars-churn" in error.hint
    assert "`regulars train next`" in refusal(churn_registry.uri, name="regulars-next").hint
    error = refusal(churn_registry.uri, alias="challenger")
    assert "No version of regulars-churn is the challenger" in error.message
    assert "champion (version 1)" in error.message


def remove(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def append(name: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        with (folder / name).open("a") as file:
            file.write(" ")

    return change


def replace(name: str, old: str, new: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    return change


def write(name: str, content: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / name).write_text(content)

    return change


def set_card(key: str, value: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / "artifacts/model/card.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))

    return change


def remove_all(folder: Path) -> None:
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    folder.rmdir()


class Bomb:
    """Leaves a mark when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (open, ("bomb-went-off", "w"))


def plant(name: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / name).write_bytes(pickle.dumps(Bomb()))

    return change


MODEL = "artifacts/model"

LOADER = "mlflow.pyfunc.loaders.code_model"

DAMAGE: dict[str, tuple[Callable[[Path], None], str]] = {
    "folder gone": (remove_all, "files of regulars-churn/1 are missing"),
    "description gone": (remove("MLmodel"), "files of regulars-churn/1 are missing"),
    "description no mapping": (write("MLmodel", "x"), "not a model that Regulars logged"),
    "description no YAML": (write("MLmodel", "{"), "not a model that Regulars logged"),
    "pyfunc.py gone": (remove("pyfunc.py"), "missing: "),
    "code gone": (remove("artifacts/models/__init__.py"), "source code is missing"),
    "card gone": (remove(f"{MODEL}/card.json"), "card.json"),
    "card garbled": (write(f"{MODEL}/card.json", "{"), "card.json: not valid JSON"),
    "booster gone": (remove(f"{MODEL}/booster.txt"), "booster.txt: listed in card.json"),
    "booster changed": (append(f"{MODEL}/booster.txt"), "booster.txt: changed or damaged"),
    "tiers changed": (append(f"{MODEL}/tiers.json"), "tiers.json: changed or damaged"),
    "file added": (write(f"{MODEL}/more.txt", ""), "more.txt: not part of this model"),
    "format of the future": (set_card("format_version", 99), "format_version is 99"),
    "kind unknown": (set_card("kind", "weather"), "unknown model kind 'weather'"),
    "pickled model": (plant("python_model.pkl"), "python_model.pkl"),
    "pickle in the artifacts": (plant(f"{MODEL}/draws.joblib"), "draws.joblib"),
    "pickle flavor": (
        replace("MLmodel", LOADER, "mlflow.pyfunc.model\n    python_model: python_model.bin"),
        "not a plain model from code",
    ),
    "other loader": (replace("MLmodel", LOADER, "os.path"), "not a plain model from code"),
    "code on the path": (
        replace("MLmodel", "    code: null", "    code: artifacts"),
        "not a plain model from code",
    ),
    "artifact outside": (
        replace("MLmodel", "path: artifacts/models", "path: ../../.."),
        "is outside the model's folder",
    ),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_a_damaged_or_foreign_model_is_refused_and_the_file_named(
    case: str, intact: Path, churn_registry: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    damage, message = DAMAGE[case]
    damage(intact)
    error = refusal(churn_registry.uri)
    assert message in error.message
    assert "regulars-churn/1" in error.message
    assert error.hint
    assert not (tmp_path / "bomb-went-off").exists()


def test_a_password_is_never_shown() -> None:
    assert shown_store("postgresql://me:secret@db:5432/x") == "postgresql://db:5432/x"
    assert shown_store("sqlite:///mlflow.db") == "sqlite:///mlflow.db"


def test_files_behind_a_server_are_fetched_and_removed_again(
    churn_registry: Any, features: pd.DataFrame, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = churn_registry.folder("regulars-churn")
    fetched: list[Path] = []

    def download(artifact_uri: str, dst_path: str, tracking_uri: str) -> str:
        assert artifact_uri == "mlflow-artifacts:/1/models/m-1/artifacts"
        fetched.append(Path(dst_path))
        return str(shutil.copytree(folder, Path(dst_path) / "artifacts"))

    monkeypatch.setattr(mlflow.artifacts, "download_artifacts", download)
    monkeypatch.setattr(
        mlflow.MlflowClient,
        "get_model_version_download_uri",
        lambda *_: "mlflow-artifacts:/1/models/m-1/artifacts",
    )
    model = load("regulars-churn", tracking_uri=churn_registry.uri)
    assert len(model.predict(features)) == len(features)
    assert fetched[0].exists()
    del model
    gc.collect()
    assert not any(fetched[0].rglob("card.json"))
