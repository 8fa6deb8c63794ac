"""A model in the registry that was tampered with is refused before anything in it runs."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import py_compile
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest

from features.errors import InputError
from models import artifact
from models.base import ModelError
from serving.registry import load

CODE = "artifacts/models"
MODEL = "artifacts/model"


@pytest.fixture
def mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that appears when something of the attacker's runs."""
    path = tmp_path / "ran"
    monkeypatch.setenv("REGULARS_TEST_MARK", str(path))
    return path


RUNS = 'import os\nopen(os.environ["REGULARS_TEST_MARK"], "w").close()\n'


class Bomb:
    """Leaves the mark when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (exec, (RUNS,))


@pytest.fixture
def noted(intact: Path, churn_registry: Any) -> Iterator[Path]:
    """The champion's folder; its version is tagged with its content, as training does."""
    client = mlflow.MlflowClient(churn_registry.uri, churn_registry.uri)
    digest = artifact.content_digest(
        {"model": intact / MODEL, "code": intact / CODE, "pyfunc": intact / "pyfunc.py"}
    )
    client.set_model_version_tag("regulars-churn", "1", artifact.CONTENT_TAG, digest)
    yield intact
    client.delete_model_version_tag("regulars-churn", "1", artifact.CONTENT_TAG)


def append(name: str, text: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        with (folder / name).open("a") as file:
            file.write(text)

    return change


def flavor(line: str) -> Callable[[Path], None]:
    """Add a line to the flavor that MLflow reads."""

    def change(folder: Path) -> None:
        path = folder / "MLmodel"
        text = path.read_text()
        assert "    streamable: false\n" in text
        path.write_text(text.replace("    streamable: false\n", f"    streamable: false\n{line}"))

    return change


def second_description(folder: Path) -> None:
    """`data` sends MLflow to another description, of a pickled model."""
    inner = folder / "artifacts" / "inner"
    inner.mkdir()
    (inner / "MLmodel").write_text(
        "flavors:\n  python_function:\n    python_model: model.bin\n"
        "    loader_module: mlflow.pyfunc.model\n"
    )
    (inner / "model.bin").write_bytes(pickle.dumps(Bomb()))
    flavor("    data: artifacts/inner\n")(folder)


def other_source(folder: Path) -> None:
    shutil.copytree(folder / CODE, folder / "artifacts" / "evil")
    append("artifacts/evil/__init__.py", RUNS)(folder)
    path = folder / "MLmodel"
    path.write_text(path.read_text().replace(f"path: {CODE}\n", "path: artifacts/evil\n"))


def other_pyfunc(folder: Path) -> None:
    text = (folder / "pyfunc.py").read_text()
    (folder / "evil.py").write_text(RUNS + text)
    path = folder / "MLmodel"
    lines = path.read_text().splitlines()
    lines = [
        "    model_code_path: evil.py" if line.strip().startswith("model_code_path") else line
        for line in lines
    ]
    path.write_text("\n".join(lines))


def linked(name: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        outside = folder.parent / "outside"
        shutil.rmtree(outside, ignore_errors=True)
        target = folder / name
        if target.is_dir():
            shutil.move(target, outside)
        else:
            outside.mkdir()
            shutil.move(target, outside / target.name)
            outside = outside / target.name
        target.symlink_to(outside)

    return change


def rewritten(name: str, content: bytes) -> Callable[[Path], None]:
    """Other content of a model file, with the card made to vouch for it."""

    def change(folder: Path) -> None:
        (folder / MODEL / name).write_bytes(content)
        path = folder / MODEL / "card.json"
        card = json.loads(path.read_text())
        card["files"][name] = hashlib.sha256(content).hexdigest()
        path.write_text(json.dumps(card))

    return change


ATTACKS: dict[str, tuple[Callable[[Path], None], str]] = {
    "another description within": (second_description, "refused"),
    "unknown key": (flavor("    predict_fn: __reduce__\n"), "predict_fn"),
    "source changed": (append(f"{CODE}/base.py", RUNS), "not those that were registered"),
    "source added": (append(f"{CODE}/enum.py", RUNS), "not those that were registered"),
    "other source": (other_source, "not those that were registered"),
    "file that MLflow runs changed": (append("pyfunc.py", RUNS), "not those that were registered"),
    "other file for MLflow to run": (other_pyfunc, "not those that were registered"),
    "card made to fit": (rewritten("booster.txt", b"tree"), "not those that were registered"),
    "source linked": (linked(CODE), "refused"),
    "file linked": (linked(f"{MODEL}/booster.txt"), "is a link"),
    "card linked": (linked(f"{MODEL}/card.json"), "is a link"),
    "description nested": (lambda f: (f / "MLmodel").write_text("[" * 5000), "not a model"),
    "card nested": (lambda f: (f / MODEL / "card.json").write_text("[" * 100_000), "not valid"),
}  # fmt: skip


@pytest.mark.parametrize("case", ATTACKS)
def test_what_was_tampered_with_is_refused_and_does_not_run(
    case: str, noted: Path, churn_registry: Any, mark: Path
) -> None:
    attack, message = ATTACKS[case]
    attack(noted)
    with pytest.raises(InputError, match=message):
        load("regulars-churn", tracking_uri=churn_registry.uri)
    assert not mark.exists()


def test_what_was_not_tampered_with_is_loaded(
    noted: Path, churn_registry: Any, features: pd.DataFrame
) -> None:
    model = load("regulars-churn", tracking_uri=churn_registry.uri)
    assert len(model.predict(features.head())) == 5


@pytest.mark.parametrize("place", ["pyfunc.py", f"{CODE}/__init__.py", f"{CODE}/base.py"])
def test_compiled_code_beside_the_source_never_runs_in_its_place(
    place: str, noted: Path, churn_registry: Any, mark: Path, tmp_path: Path
) -> None:
    source = noted / place
    evil = tmp_path / "evil.py"
    evil.write_text(RUNS + source.read_text())
    cache = source.parent / "__pycache__" / f"{source.stem}.cpython-{_python()}.pyc"
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    py_compile.compile(str(evil), str(cache), invalidation_mode=mode)
    load("regulars-churn", tracking_uri=churn_registry.uri)
    assert not mark.exists()


def _python() -> str:
    import sys

    return f"{sys.version_info.major}{sys.version_info.minor}"


def npz(**arrays: Any) -> bytes:
    out = io.BytesIO()
    np.savez_compressed(out, **arrays)
    return out.getvalue()


def test_arrays_of_objects_are_not_read(clv_folder: Path, tmp_path: Path, mark: Path) -> None:
    objects = np.empty(1, dtype=object)
    objects[0] = Bomb()
    shutil.copytree(clv_folder, tmp_path / MODEL)
    rewritten("draws.npz", npz(draws=objects))(tmp_path)
    card = json.loads((tmp_path / MODEL / "card.json").read_text())
    assert "draws.npz" in card["files"]
    with pytest.raises((ModelError, ValueError)):
        _load_arrays(tmp_path / MODEL)
    assert not mark.exists()


def _load_arrays(folder: Path) -> None:
    """As every reader of arrays among the models does it."""
    artifact.read_card(folder)
    with np.load(folder / "draws.npz", allow_pickle=False) as stored:
        stored["draws"]


def test_an_archive_that_unpacks_to_too_much_is_refused(
    clv_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(artifact, "_LARGEST", 1_000_000)
    shutil.copytree(clv_folder, tmp_path / MODEL)
    rewritten("draws.npz", npz(draws=np.zeros(200_000)))(tmp_path)
    with pytest.raises(ModelError, match="unpacks to more"):
        artifact.load(tmp_path / MODEL)


def test_no_reader_of_models_unpickles() -> None:
    folder = Path(artifact.__file__).parent
    text = "\n".join(path.read_text(encoding="utf-8") for path in folder.rglob("*.py"))
    assert "import pickle" not in text
    assert "joblib" not in text
    assert text.count("np.load(") == text.count("allow_pickle=False")
