"""What all tests share."""

import importlib.util
import itertools
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

# Before LightGBM loads: see regulars/__main__.py.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")


@pytest.fixture(scope="session")
def development_data() -> Path:
    """The folder of public data sets; tests that need it are skipped without it."""
    folder = os.environ.get("REGULARS_DATA")
    if not folder:
        pytest.skip("REGULARS_DATA is not set: it names a folder of public data sets")
    return Path(folder)


def _beside(name: str) -> Any:
    """A module in this folder, which is no package."""
    spec = importlib.util.spec_from_file_location(
        f"tests_{name}", Path(__file__).parent / f"{name}.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Any]:
    """A PostgreSQL server; tests that need it are skipped where none is installed."""
    with _beside("postgres").running_server() as server:
        yield server


_numbers = itertools.count()


@pytest.fixture
def postgres(postgres_server: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of an empty database; its owner is a role that is not the superuser."""
    import psycopg

    for name in [name for name in os.environ if name.startswith("PG")]:
        monkeypatch.delenv(name)
    name = f"shop{next(_numbers)}"
    with psycopg.connect(postgres_server.admin, autocommit=True) as con:
        con.execute(f"CREATE DATABASE {name} OWNER shop")
    address: str = postgres_server.url(name)
    return address


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests go first, so that no worker is left with one at the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that the developer's shell, or another test, points at is not for this test."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("MLFLOW_REGISTRY_URI", raising=False)
