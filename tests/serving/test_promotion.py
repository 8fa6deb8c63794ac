"""`regulars promote`: what it does, what it refuses, and what the history says afterwards."""

import datetime as dt
import json
import shutil
from dataclasses import replace
from pathlib import Path

import mlflow
import pytest

from features.compatibility import feature_facts
from features.errors import InputError
from regulars.cli import run
from regulars.config import load_config
from regulars.monitor import champions_in_use
from serving import compatibility
from serving.compatibility import check_features
from serving.registry import load, load_version
from training.champions import move_champion
from training.tracking import Tracking

NAME = "shop-churn"


@pytest.fixture(scope="module")
def files(empty_registry, churn_folder, churn_model, features) -> Path:
    """The files of a registered model, which all its versions share."""
    empty_registry.add(NAME, churn_folder, features[churn_model.feature_names].head(3), alias=None)
    client = mlflow.MlflowClient(empty_registry.uri, empty_registry.uri)
    version = client.get_model_version(NAME, "1")
    with Tracking(empty_registry.uri, "regulars").here():
        for _ in range(2):
            client.create_model_version(NAME, version.source, version.run_id)
    return Path(client.get_model_version_download_uri(NAME, "1"))


@pytest.fixture
def client(files, empty_registry):
    """The registry, where nobody has been champion yet."""
    client = mlflow.MlflowClient(empty_registry.uri, empty_registry.uri)
    yield client
    registered = client.get_registered_model(NAME)
    if "champion" in registered.aliases:
        client.delete_registered_model_alias(NAME, "champion")
    for key in registered.tags:
        client.delete_registered_model_tag(NAME, key)


@pytest.fixture
def promote(client, empty_registry, tmp_path, capsys):
    """The command: its exit code, and what it prints on both streams."""
    config = tmp_path / "regulars.toml"
    config.write_text(
        f'[mlflow]\ntracking_uri = "{empty_registry.uri}"\n[tables.transactions]\nfrom = "x.csv"\n'
    )

    def call(*arguments):
        code = run(["promote", *arguments, "-c", str(config)])
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


def test_by_hand_and_back_again(promote, client):
    assert promote(NAME, "--to", "champion", "1", "--why", "a start")[0] == 0
    code, out, _ = promote("--to", "champion", f"{NAME}/3", "--why", "by request", "--json")
    assert code == 0
    assert json.loads(out) == {"name": NAME, "version": "3", "before": "1", "why": "by request"}
    assert str(client.get_model_version_by_alias(NAME, "champion").version) == "3"
    code, out, _ = promote(NAME, "--rollback", "--why", "too many contacts")
    assert (code, f"{NAME} version 1 is champion now, in place of version 3" in out) == (0, True)
    code, _, err = promote(NAME, "--rollback", "--why", "again")
    assert (code, "no champion before" in err) == (2, True)
    code, out, _ = promote(NAME, "--history", "--json")
    said = json.loads(out)[NAME]
    assert [(r["version"], r["way"], r["why"]) for r in said] == [
        ("1", "hand", "a start"),
        ("3", "hand", "by request"),
        ("1", "rollback", "too many contacts"),
    ]
    code, out, _ = promote("--history")
    assert (code, "too many contacts" in out) == (0, True)


def test_monitoring_knows_who_put_a_version_back_and_why(promote, client, tmp_path, monkeypatch):
    monkeypatch.setattr("serving.registry.CHURN", NAME)
    config = load_config(tmp_path)
    assert NAME not in champions_in_use(config)
    for version in ("1", "2"):
        move_champion(client, NAME, version, way="gate", why="better")
    assert not champions_in_use(config)[NAME].by_hand
    assert promote(NAME, "--rollback", "--why", "too many contacts")[0] == 0
    found = champions_in_use(config)[NAME]
    assert (found.way, found.why, found.by_hand) == ("rollback", "too many contacts", True)
    assert found.since == dt.datetime.now(dt.UTC).date()
    client.set_registered_model_alias(NAME, "champion", "3")
    assert champions_in_use(config)[NAME].way == "outside"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((NAME, "--to", "champion", "9", "--why", "x"), "It has versions 3, 2, 1."),
        ((NAME, "--to", "champion", "1"), "Say why"),
        ((NAME, "--to", "champion", "1", "--why", "  "), "There is no reason"),
        ((NAME, "--to", "champion", "1", "--why", "x" * 1001), "1,001 characters"),
        ((NAME, "--to", "winner", "1", "--why", "x"), "'winner' is not 'champion'"),
        ((NAME, "--rollback"), "Say why"),
        ((NAME,), "Give one of"),
        ((NAME, "--rollback", "--history", "--why", "x"), "Give one of"),
        (("--history", "--why", "x"), "--why goes with"),
        (("shop-value", "--history"), "no registered model shop-value"),
        (("clv", "--to", "champion", f"{NAME}/1", "--why", "x"), "no version of regulars-clv"),
    ],
)
def test_what_makes_no_sense_is_refused(promote, client, arguments, words):
    code, out, err = promote(*arguments)
    assert (code, out, words in err) == (2, "", True), err
    assert "champion" not in client.get_registered_model(NAME).aliases


def test_nothing_is_rolled_back_where_the_champion_was_changed_meanwhile(
    promote, client, monkeypatch
):
    for version in ("1", "2"):
        assert promote(NAME, "--to", "champion", version, "--why", "x")[0] == 0

    def train(*_):
        move_champion(client, NAME, "3", way="gate", why="better")

    monkeypatch.setattr("serving.compatibility.check_features", train)
    code, _, err = promote(NAME, "--rollback", "--why", "complaints")
    assert (code, "changed meanwhile: it is version 3 now" in err) == (2, True)
    assert str(client.get_model_version_by_alias(NAME, "champion").version) == "3"


def test_the_champion_is_not_promoted_twice(promote):
    assert promote(NAME, "--to", "champion", "2", "--why", "x")[0] == 0
    code, _, err = promote(NAME, "--to", "champion", "2", "--why", "x")
    assert (code, "is the champion already" in err) == (2, True)


@pytest.fixture
def damaged(files, tmp_path):
    """The files, to damage: they are put back afterwards."""
    shutil.copytree(files, tmp_path / "copy")
    yield files
    shutil.rmtree(files, ignore_errors=True)
    shutil.copytree(tmp_path / "copy", files)


DAMAGE = {
    "missing": (shutil.rmtree, "are missing"),
    "a file missing": (lambda f: (f / "artifacts/model/tiers.json").unlink(), "tiers.json"),
    "damaged": (lambda f: (f / "artifacts/model/booster.txt").write_text("x"), "booster.txt"),
    "pickled": (lambda f: (f / "python_model.pkl").write_bytes(b"x"), "Pickled models"),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_a_version_that_could_not_be_loaded_is_refused(promote, client, damaged, case):
    damage, words = DAMAGE[case]
    damage(damaged)
    code, _, err = promote(NAME, "--to", "champion", "1", "--why", "x")
    assert (code, words in err, f"{NAME}/1" in err) == (2, True, True), err
    assert "champion" not in client.get_registered_model(NAME).aliases


def test_a_format_that_this_version_does_not_read_is_named(promote, damaged):
    card = damaged / "artifacts/model/card.json"
    told = json.loads(card.read_text()) | {"format_version": 1, "regulars_version": "0.0.9"}
    card.write_text(json.dumps(told))
    code, _, err = promote(NAME, "--to", "champion", "1", "--why", "x")
    assert (code, "format_version is 1, written by Regulars 0.0.9" in err) == (2, True), err


def test_a_registry_without_a_champion_says_how_to_get_one(client, empty_registry):
    client.set_registered_model_alias(NAME, "challenger", "2")
    with pytest.raises(InputError, match="No version of shop-churn is the champion") as caught:
        load(NAME, tracking_uri=empty_registry.uri)
    assert "version 2 was ended half-way" in caught.value.hint
    assert f"regulars promote {NAME} --to champion 2" in caught.value.hint
    client.delete_registered_model_alias(NAME, "challenger")


@pytest.fixture
def model(files, empty_registry):
    """A loaded model whose card holds the features of today."""
    found = load_version(NAME, "1", empty_registry.uri)
    return replace(found, card={**found.card, "extra": feature_facts()})


def changed(model, **changes):
    hashes = {**model.card["extra"]["feature_hashes"], **changes}
    kept = {name: value for name, value in hashes.items() if value is not None}
    return replace(model, card={**model.card, "extra": {"feature_hashes": kept}})


def test_features_that_differ_are_listed(model):
    check_features(model)
    other = changed(model, gap_mean="x", gap_cv=None, contract_fee="x", moon_phase="x")
    names = [*model.card["feature_names"], "moon_phase"]
    other = replace(other, card={**other.card, "feature_names": names})
    with pytest.raises(InputError) as caught:
        check_features(other)
    said = caught.value.message
    assert "Of those that it reads, gone: moon_phase; defined otherwise: gap_mean." in said
    assert "Beside these, new: gap_cv; defined otherwise: contract_fee." in said


def test_features_that_a_model_does_not_read_are_only_noted(model, monkeypatch):
    said = []
    monkeypatch.setattr(compatibility, "note", said.append)
    check_features(changed(model, contract_fee="x", moon_phase="x", gap_cv=None))
    assert len(said) == 1
    assert "gone: moon_phase; new: gap_cv; defined otherwise: contract_fee" in said[0]
