"""The store is entered and left without a trace in MLflow's settings or the environment."""

import os

import mlflow
import pytest
from sqlalchemy.exc import OperationalError

from training.tracking import Tracking

VARIABLES = ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI")


@pytest.fixture
def untouched(monkeypatch):
    """MLflow as in a fresh process: nothing set in it or in the environment."""
    tracking, registry = mlflow.get_tracking_uri(), mlflow.get_registry_uri()
    kept = {name: os.environ.get(name) for name in VARIABLES}
    mlflow.set_tracking_uri(None)
    mlflow.set_registry_uri(None)
    for name in VARIABLES:
        os.environ.pop(name, None)
    yield monkeypatch
    mlflow.set_tracking_uri(tracking)
    mlflow.set_registry_uri(registry if registry != tracking else None)
    for name, value in kept.items():
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value


def _environment():
    return {name: os.environ.get(name) for name in VARIABLES}


@pytest.fixture
def other(tmp_path):
    return Tracking(f"sqlite:///{tmp_path / 'other.db'}", "shop")


def test_what_was_not_set_is_not_set_afterwards(untouched, other, tmp_path):
    with other.here():
        assert mlflow.get_tracking_uri() == mlflow.get_registry_uri() == other.tracking_uri
    assert _environment() == dict.fromkeys(VARIABLES)
    assert not mlflow.is_tracking_uri_set()
    # Whoever chooses a store next chooses the registry with it.
    untouched.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'chosen.db'}")
    assert mlflow.get_registry_uri() == os.environ["MLFLOW_TRACKING_URI"]


def test_the_environment_stays_the_users_choice(untouched, other, tmp_path):
    mine = {name: f"sqlite:///{tmp_path / name}.db" for name in VARIABLES}
    for name, value in mine.items():
        untouched.setenv(name, value)
    with pytest.raises(ZeroDivisionError), other.here():
        raise ZeroDivisionError
    assert _environment() == mine
    assert (mlflow.get_tracking_uri(), mlflow.get_registry_uri()) == tuple(mine.values())


def test_what_was_set_in_mlflow_stays(untouched, other, tmp_path):
    first, second = (f"sqlite:///{tmp_path / name}.db" for name in "ab")
    mlflow.set_tracking_uri(first)
    mlflow.set_registry_uri(second)
    with other.here():
        pass
    assert (mlflow.get_tracking_uri(), mlflow.get_registry_uri()) == (first, second)
    assert _environment() == dict(zip(VARIABLES, (first, second), strict=True))


def test_no_run_is_left_open(untouched, other):
    with other.here():
        pass
    assert mlflow.active_run() is None


def test_a_store_that_another_process_is_making_is_waited_for(untouched, other):
    answers = [OperationalError("CREATE TABLE", {}, Exception("table t already exists")), None]

    def lookup(self, name):
        answer = answers.pop(0)
        if answer is not None:
            raise answer

    untouched.setattr("training.tracking.time.sleep", lambda seconds: None)
    untouched.setattr("mlflow.MlflowClient.get_experiment_by_name", lookup)
    untouched.setattr("mlflow.MlflowClient.create_experiment", lambda self, name, place: "7")
    untouched.setattr("training.tracking.Tracking._introduce", lambda self: self.experiment_id)
    other.check()
    assert (other.experiment_id, answers) == ("7", [])
