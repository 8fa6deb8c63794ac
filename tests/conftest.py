"""What all tests share."""

import importlib.util
import itertools
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hypothesis
import pytest

# No test minds the time it takes.
hypothesis.settings.register_profile("regulars", deadline=None)
hypothesis.settings.load_profile("regulars")

# Before LightGBM loads: see regulars/__main__.py.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")


@pytest.fixture(scope="session", autouse=True)
def _one_empty_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """MLflow takes a second to make an empty store: the tests of a process copy one."""
    from training import tracking

    make, empty = tracking.make_store, tmp_path_factory.mktemp("store") / "mlflow.db"

    def copied(database: Path) -> None:
        if database.exists():
            make(database)
            return
        make(empty)
        shutil.copyfile(empty, database)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tracking, "make_store", copied)
        yield


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
def server_module() -> Any:
    """How a PostgreSQL server is started: tests/postgres.py."""
    return _beside("postgres")


@pytest.fixture(scope="session")
def postgres_server(server_module: Any) -> Iterator[Any]:
    """A PostgreSQL server; tests that need it are skipped where none is installed."""
    with server_module.running_server() as server:
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


class Rounds:
    """The rounds of a test that repeats itself with other random numbers: see `rounds`."""

    def __call__(self, *, reduced: int, full: int) -> range:
        """The rounds to run; each number is the seed of its round.

        Args:
            reduced: How many in the usual test command; with 0 the test is skipped there.
            full: How many with `make torture`.
        """
        one = os.environ.get("REGULARS_TORTURE_ROUND")
        if one:
            return range(int(one), int(one) + 1)
        said = os.environ.get("REGULARS_TORTURE", "")
        count = full if said == "full" else int(said) if said else reduced
        if not count:
            pytest.skip("runs in full only: make torture")
        return range(count)

    @contextmanager
    def told(self, seed: int) -> Iterator[None]:
        """Say with a failure how its round is repeated."""
        try:
            yield
        except BaseException as error:
            error.add_note(f"Round {seed}: REGULARS_TORTURE_ROUND={seed} repeats it.")
            raise


@pytest.fixture(scope="session")
def rounds() -> Rounds:
    """How often to repeat: seldom in the usual tests, often with REGULARS_TORTURE=full."""
    return Rounds()


@pytest.fixture
def mlflow_store(postgres_server: Any, postgres: str) -> str:
    """The address of a second empty database, for MLflow."""
    import psycopg

    name = f"{psycopg.conninfo.conninfo_to_dict(postgres)['dbname']}_mlflow"
    with psycopg.connect(postgres_server.admin, autocommit=True) as con:
        con.execute(f"CREATE DATABASE {name} OWNER shop")
    address: str = postgres_server.url(name)
    return address


@pytest.fixture(scope="session")
def stores() -> Any:
    """How an MLflow server is started: tests/stores.py."""
    return _beside("stores")


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
