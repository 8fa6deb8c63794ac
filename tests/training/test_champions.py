"""Who is champion: the history only grows, survives what people do beside it, and is locked."""

import itertools
import json
import subprocess
import sys
import threading
from dataclasses import replace

import pytest
from mlflow.tracking import MlflowClient

from features.errors import InputError
from training import champions
from training.champions import (
    CHAMPION,
    MOST_WORDS,
    events,
    move_champion,
    predecessor,
    registry_lock,
    reigns,
)
from training.tracking import Tracking

NAMES = (f"shop-{i}" for i in itertools.count())


@pytest.fixture
def client(registry_store):
    return registry_store.client


@pytest.fixture
def name(client):
    """A registered model with four versions, none of which is in use."""
    return made(client, next(NAMES))


def made(client, name):
    client.create_registered_model(name)
    for _ in range(4):
        client.create_model_version(name, "file:///nowhere")
    return name


def told(client, name):
    return [(r.version, r.way) for r in reigns(client, name)]


def test_every_move_is_kept_with_its_reason(client, name):
    move_champion(client, name, "1", way="gate", why="the first", training_id="t1")
    move_champion(client, name, "2", way="hand", why="by request")
    first, second = reigns(client, name)
    assert (first.version, first.way, first.why, first.training_id) == (
        "1",
        "gate",
        "the first",
        "t1",
    )
    assert (second.version, second.way, second.why) == ("2", "hand", "by request")
    assert first.since < first.until == second.since
    assert second.until == ""
    assert str(client.get_model_version_by_alias(name, CHAMPION).version) == "2"


def test_who_asked_is_kept_of_moves_by_hand_only(client, name, monkeypatch):
    monkeypatch.setattr("getpass.getuser", lambda: "ann")
    move_champion(client, name, "1", way="gate", why="x")
    move_champion(client, name, "2", way="hand", why="x")
    assert [r.by for r in reigns(client, name)] == ["", "ann"]


def test_rolling_back_twice_goes_back_by_two(client, name):
    assert predecessor(client, name) == ""
    for version in "123":
        move_champion(client, name, version, way="gate", why="x")
    assert predecessor(client, name) == "2"
    move_champion(client, name, "2", way="rollback", why="x")
    assert predecessor(client, name) == "1"
    move_champion(client, name, "1", way="rollback", why="x")
    assert predecessor(client, name) == ""
    move_champion(client, name, "4", way="gate", why="x")
    assert predecessor(client, name) == "1"


def test_a_move_in_the_ui_is_noticed_and_kept_with_the_next_one(client, name):
    move_champion(client, name, "1", way="gate", why="x")
    client.set_registered_model_alias(name, CHAMPION, "3")
    assert told(client, name) == [("1", "gate"), ("3", "outside")]
    assert len(events(client, name)) == 1  # looking writes nothing
    assert predecessor(client, name) == "1"
    move_champion(client, name, "2", way="gate", why="y")
    assert told(client, name) == [("1", "gate"), ("3", "outside"), ("2", "gate")]
    client.delete_registered_model_alias(name, CHAMPION)
    assert told(client, name)[-1] == ("", "outside")


def test_a_champion_from_before_there_was_a_history_is_part_of_it(client, name):
    client.set_model_version_tag(name, "2", "promoted", "true")
    client.set_registered_model_alias(name, CHAMPION, "2")
    move_champion(client, name, "3", way="gate", why="x")
    first, second = reigns(client, name)
    assert (first.version, first.way, second.version) == ("2", "gate", "3")
    assert "before a history was kept" in first.why
    assert first.since < second.since


def test_nobody_was_champion_yet(client, name):
    assert reigns(client, name) == []


def test_a_version_that_was_deleted_stays_in_the_history(client, name):
    for version in "12":
        move_champion(client, name, version, way="gate", why="x")
    client.delete_model_version(name, "1")
    assert [r.version for r in reigns(client, name)] == ["1", "2"]


def test_any_reason_fits_and_any_number_of_moves(client, name):
    for i in range(20):
        move_champion(client, name, str(1 + i % 4), way="gate", why='\U0001f600"\n' * MOST_WORDS)
    found = events(client, name)
    assert len(found) == 20
    assert all(len(each.why) == MOST_WORDS for each in found)
    assert max(map(len, client.get_registered_model(name).tags.values())) < 5000


def test_a_clock_that_is_set_back_does_not_change_the_order(client, name):
    move_champion(client, name, "1", way="gate", why="x")
    (first,) = events(client, name)
    champions._write(client, name, replace(first, at="2199-01-01T00:00:00+00:00", version="2"))
    client.set_registered_model_alias(name, CHAMPION, "2")
    move_champion(client, name, "3", way="gate", why="x")
    assert [each.version for each in events(client, name)] == ["1", "2", "3"]


def test_a_tag_that_somebody_has_edited_is_left_out_and_said(client, name, monkeypatch):
    said = []
    monkeypatch.setattr(champions, "note", said.append)
    move_champion(client, name, "1", way="gate", why="x")
    client.set_registered_model_tag(name, "champion.20240101T000000.000000Z.abcd", "{oops")
    for i, at in enumerate(("noon", "2024-01-01T00:00:00")):
        edited = json.dumps({"at": at, "version": "9", "before": "", "way": "hand", "why": "x"})
        client.set_registered_model_tag(name, f"champion.20240101T000000.000000Z.000{i}", edited)
    client.set_registered_model_tag(name, "champion.of.hearts", "mine")
    assert told(client, name) == [("1", "gate")]
    assert any("champion.20240101T000000.000000Z.abcd" in each for each in said)


def test_names_of_any_kind_have_a_lock(tmp_path):
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    for name in ("regulars-churn", "Früh & Spät", "../../x", "a" * 256):
        with registry_lock(uri, name):
            [lock] = tmp_path.rglob("*")
            assert lock.parent == tmp_path
            assert lock.name.startswith(".mlflow.db.")
    assert list(tmp_path.iterdir()) == []


def test_whoever_holds_the_lock_keeps_others_out(tmp_path, monkeypatch):
    monkeypatch.setattr(champions, "_WAIT", 0.2)
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    refused = pytest.raises(InputError, match="the registry of regulars-churn")
    with registry_lock(uri, "regulars-churn"):
        with refused, registry_lock(uri, "regulars-churn"):
            pass
        with registry_lock(uri, "regulars-clv"):
            pass


OPEN = """
import sys
from training.tracking import Tracking
Tracking(sys.argv[1], "shop").check()
"""


def open_at_once(uri):
    """How two processes end that open a store."""
    started = [
        subprocess.Popen([sys.executable, "-c", OPEN, uri], stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    return [(each.communicate()[1][-2000:], each.returncode) for each in started]


@pytest.mark.slow
def test_two_may_open_a_new_store_at_once(tmp_path):
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    assert [code for _, code in open_at_once(uri)] == [0, 0]
    client = MlflowClient(uri, uri)
    assert client.get_experiment_by_name("shop") is not None


@pytest.mark.slow
def test_postgresql_keeps_the_history_and_the_lock(postgres, monkeypatch):
    uri = postgres.replace("postgresql://", "postgresql+psycopg://")
    tracking = Tracking(uri, "shop")
    tracking.check()
    name = made(tracking.client, "regulars-churn")
    move_champion(tracking.client, name, "1", way="gate", why="x")
    move_champion(tracking.client, name, "2", way="hand", why="ü" * MOST_WORDS)
    assert told(tracking.client, name) == [("1", "gate"), ("2", "hand")]
    assert predecessor(tracking.client, name) == "1"

    monkeypatch.setattr(champions, "_WAIT", 0.1)
    refused = []

    def other():
        try:
            with registry_lock(uri, name):
                pass
        except InputError as error:
            refused.append(error.message)

    with registry_lock(uri, name):
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert len(refused) == 1
    with registry_lock(uri, name):
        pass
