"""Runs of processes that are gone are closed; those of others, and of people, are left alone."""

import time

import pytest

from training.leftovers import PROCESS, close_dead_runs, this_process
from training.new_store import make_store


@pytest.fixture
def opened(registry_store):
    """Open runs in an experiment of the test's own: process tag -> status after the next check."""
    client = registry_store.client
    experiment = client.create_experiment(f"left {time.monotonic_ns()}")

    def statuses(*tags, start=None):
        runs = [
            client.create_run(experiment, start_time=start, tags={PROCESS: tag} if tag else {})
            for tag in tags
        ]
        close_dead_runs(client, experiment)
        return [client.get_run(run.info.run_id).info.status for run in runs]

    statuses.client, statuses.experiment = client, experiment
    return statuses


def test_this_process_lives(opened):
    assert opened(this_process()) == ["RUNNING"]


def test_a_process_that_is_gone_is_told_by_its_number_its_start_or_the_machines(opened):
    host, boot, process, start = this_process().split()
    assert (
        opened(
            f"{host} {boot} 4194304 {start}",
            f"{host} {boot} {process} 1",
            f"{host} other-boot {process} {start}",
        )
        == ["KILLED"] * 3
    )


def test_other_machines_are_believed_for_a_week(opened):
    tag = "another boot 1 1"
    assert opened(tag) == ["RUNNING"]
    assert opened(tag, start=int((time.time() - 8 * 24 * 3600) * 1000)) == ["KILLED"]


def test_runs_that_somebody_else_has_opened_stay(opened):
    assert opened(None) == ["RUNNING"]


def test_the_models_of_a_dead_run_have_failed(opened):
    client, experiment = opened.client, opened.experiment
    host, boot, *_ = this_process().split()
    run = client.create_run(experiment, tags={PROCESS: f"{host} {boot} 4194304 1"})
    model = client.create_logged_model(experiment, "m", source_run_id=run.info.run_id)
    assert close_dead_runs(client, experiment) == 1
    assert str(client.get_logged_model(model.model_id).status) == "FAILED"
    assert close_dead_runs(client, experiment) == 0


def test_a_store_that_cannot_be_made_leaves_nothing(tmp_path, monkeypatch):
    def full(uri, root):
        (tmp_path / ".mlflow.db.0123456789ab.new").write_text("half")
        raise OSError("No space left on device")

    monkeypatch.setattr("training.new_store.SqlAlchemyStore", full)
    monkeypatch.setattr("training.new_store.secrets.token_hex", lambda count: "0123456789ab")
    (tmp_path / ".mlflow.db.left.new").write_text("of a killed process")
    with pytest.raises(OSError, match="No space"):
        make_store(tmp_path / "mlflow.db")
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_is_there_stays(tmp_path):
    (tmp_path / "mlflow.db").write_text("theirs")
    make_store(tmp_path / "mlflow.db")
    assert (tmp_path / "mlflow.db").read_text() == "theirs"
