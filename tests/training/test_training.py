"""One whole training of each family through a real MLflow store, seen from all sides."""

import json
import tempfile
from pathlib import Path

import mlflow
import pandas as pd
import pytest

from features.errors import NotEnoughDataError
from features.ledger import Ledger
from models.artifact import read_card
from models.churn import ChurnModel
from models.clv import CustomerLifetimeValue
from models.ensemble import StackedLifetimeValue
from models.hybrid import LearnedLifetimeValue
from models.reference import REFERENCE, read_reference
from training.churn import train_churn
from training.churn_panel import ChurnSettings
from training.churn_recipes import QUICK
from training.clv import ClvSettings, train_clv
from training.clv_candidates import RULES
from training.model_card import shortened
from training.run import escaped
from training.tracking import CHALLENGER, CHAMPION, Tracking

pytestmark = pytest.mark.slow


@pytest.fixture(params=["churn", "clv"])
def result(request):
    return request.getfixturevalue(f"{request.param}_result")


@pytest.fixture
def runs(result, store):
    return {name: store[0].client.get_run(run_id) for name, run_id in result.run_ids.items()}


def _artifacts(client, run_id):
    return {entry.path for entry in client.list_artifacts(run_id) if not entry.is_dir}


def test_one_flat_finished_run_a_candidate(result, runs):
    family = result.name.removeprefix("regulars-")
    # The calendar needs a longer history than there is; the others could be fitted.
    models = ("mbg_nbd", "bg_nbd", "stack", "recalibrated")
    rules = [name for name in RULES if name != "last_year"]  # nor is there a year before
    candidates = {"churn": QUICK, "clv": (*models, *rules)}[family]
    assert set(runs) == set(candidates)
    for name, run in runs.items():
        tags = run.data.tags
        assert run.info.status == "FINISHED"
        assert "mlflow.parentRunId" not in tags
        assert (tags["candidate"], tags["family"]) == (name, family)
        assert tags["training_id"] == result.training_id
        for wanted in ("catalogue_hash", "data_fingerprint", "cutoffs", "seed", "test_digest"):
            assert tags[wanted]
        assert result.winner in tags["mlflow.note.content"]


def test_same_measures_pictures_and_tables_in_every_run(result, runs, store):
    shared = {"churn": "churn/", "clv": "clv/"}[result.name.removeprefix("regulars-")]
    whole = ("coverage_50", "coverage_90", "held_90", "pit_ks")  # need a distribution
    undefined = ("correlation", "spearman")  # of a rule that says one number of everybody
    point = {f"clv/{name}" for name in (*whole, *undefined)}
    names, files = [], []
    for run in runs.values():
        names.append({m for m in run.data.metrics if m.startswith(shared)} - point)
        files.append(_artifacts(store[0].client, run.info.run_id))
    # What only the winner has, and those that were tuned.
    own = {
        "model_card.md",
        "promotion.json",
        "tuning.json",
        "policy_backtest.json",
        "policy_backtest.png",
    }
    files = [found - own for found in files]
    assert all(found == names[0] for found in names)
    assert all(found == files[0] for found in files)
    assert any(name.endswith(".png") for name in files[0])


def test_measures_are_tied_to_one_dataset_and_to_the_models(result, runs, store):
    client = store[0].client
    digests = set()
    for run in runs.values():
        (used,) = run.inputs.dataset_inputs
        assert [(t.key, t.value) for t in used.tags] == [("mlflow.data.context", "test")]
        digests.add(used.dataset.digest)
        (output,) = run.outputs.model_outputs
        model = client.get_logged_model(output.model_id)
        measured = {m.key: m for m in model.metrics if m.key.endswith(("/brier", "clv/rmse"))}
        assert {m.dataset_digest for m in measured.values()} == {used.dataset.digest}
        assert model.status.value == "READY"
    assert len(digests) == 1
    assert len(digests.pop()) <= 36


def test_the_version_says_where_it_comes_from(result, store):
    client = store[0].client
    version = client.get_model_version(result.name, result.version)
    assert version.run_id == result.run_ids[result.winner]
    for tag in ("training_id", "trained_until", "cutoffs", "catalogue_hash", "data_fingerprint"):
        assert version.tags[tag]
    assert version.tags["promotion_rule"]
    with tempfile.TemporaryDirectory() as folder:
        path = client.download_artifacts(version.run_id, "model_card.md", folder)
        card = Path(path).read_text(encoding="utf-8")
    gate = f"\n\n## The gate\n\n{escaped(result.reason)}."
    assert version.description == shortened(shortened(card) + gate)
    assert result.winner in card.splitlines()[0]
    for heading in ("Intended use", "Limits", "Data", "How it was chosen"):
        assert f"\n## {heading}\n" in card
    assert "| clv/rmse" in card or "| churn/brier" in card


def test_a_candidate_that_cannot_be_fitted_has_a_run_that_says_why(clv_result, store):
    client = store[0].client
    runs = client.search_runs(
        [store[0].experiment_id], f"tags.training_id = '{clv_result.training_id}'"
    )
    (failed,) = [run for run in runs if run.info.status == "FAILED"]
    assert failed.data.tags["candidate"] == "mbg_nbd_calendar"
    assert "calendar" in failed.data.tags["mlflow.note.content"]


def test_the_choice_is_made_before_the_holdout(clv_result, store):
    cutoffs = clv_result.cutoffs
    assert len(cutoffs["backtest"]) >= 1
    assert max(cutoffs["backtest"]) < cutoffs["cutoff"]
    run = store[0].client.get_run(clv_result.run_ids[clv_result.winner])
    assert 0 < run.data.metrics["backtest/loss"] < 1
    assert clv_result.winner in run.data.tags["choice"]


def test_it_loads_and_predicts_with_double_inputs(result, store):
    tracking, _ = store
    with tracking.here():
        loaded = mlflow.pyfunc.load_model(f"models:/{result.name}@{CHALLENGER}")
        example = loaded.input_example
    kinds = {str(column.type) for column in loaded.metadata.signature.inputs.inputs}
    assert kinds == {"DataType.double"}
    predicted = loaded.predict(example)
    assert list(predicted.columns) == loaded.metadata.signature.outputs.input_names()
    assert len(predicted) == len(example)


def test_the_artifact_is_one_of_ours(store, churn_result, clv_result):
    families = (CustomerLifetimeValue, StackedLifetimeValue, LearnedLifetimeValue)
    for trained, kind in ((churn_result, ChurnModel), (clv_result, families)):
        version = store[0].alias(trained.name, CHALLENGER)
        assert isinstance(store[0].load_artifact(version), kind)


def test_the_requirements_are_pinned_and_hold_no_sampler(result, store):
    with store[0].here():
        path = mlflow.artifacts.download_artifacts(
            f"models:/{result.name}@{CHALLENGER}/requirements.txt"
        )
    lines = Path(path).read_text().split()
    assert all("==" in line for line in lines)
    assert not any(line.startswith(("pymc", "nutpie", "arviz")) for line in lines)


def test_no_customer_is_in_any_artifact(store, churn_result, clv_result):
    _, folder = store
    found = [p for p in folder.rglob("*") if p.is_file() and b"SECRET-" in p.read_bytes()]
    assert found == []
    assert sum(1 for _ in folder.rglob("*.png")) > 20


def test_churn_beats_nothing_less_than_chance(churn_result):
    table = churn_result.metrics
    assert table.loc["lightgbm_offset", "churn/roc_auc"] > 0.6
    assert set(table.index) == set(QUICK)


def test_clv_is_near_the_truth_of_its_own_kind(clv_result):
    best = clv_result.metrics.loc[clv_result.winner]
    assert abs(best["clv/bias"]) < 0.5
    assert best["clv/rmse"] < clv_result.metrics.loc["past_rate", "clv/rmse"]
    assert best["clv/coverage_90"] > 0.8


def test_the_card_holds_what_scoring_needs(clv_result, store):
    with store[0].here():
        path = mlflow.artifacts.download_artifacts(
            f"models:/{clv_result.name}@{CHALLENGER}/artifacts/model/card.json"
        )
    extra = json.loads(Path(path).read_text())["extra"]
    assert (extra["horizon_days"], extra["annual_discount_rate"], extra["margin"]) == (90, 0.1, 0.4)
    assert extra["trained_until"] == "2023-08-29"
    assert extra["value_tiers"]
    assert extra["candidate"] == clv_result.winner
    assert extra["feature_hashes"]["contract_fee"]


def test_the_version_asks_for_what_the_winner_reads(clv_result, store):
    with store[0].here():
        loaded = mlflow.pyfunc.load_model(f"models:/{clv_result.name}@{CHALLENGER}")
    columns = loaded.metadata.signature.inputs.input_names()
    assert columns[:3] == ["frequency", "recency", "T"]
    assert "first_value" in columns
    once, thrice = loaded.input_example.to_dict("records")
    assert (once["frequency"], once["first_value"]) == (0.0, thrice["first_value"])


def test_the_result_is_json(result):
    said = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert said["promoted"] is True
    assert said["metrics"][result.winner]


def test_again_gives_the_same_measures_and_keeps_the_champion(
    ledger, churn_settings, churn_result, store, monkeypatch
):
    tracking, _ = store
    parent = tracking.client.create_run(tracking.experiment_id)  # what `mlflow run` makes
    monkeypatch.setenv("MLFLOW_RUN_ID", parent.info.run_id)
    again = train_churn(ledger, churn_settings, seed=1, tracking=tracking)
    pd.testing.assert_frame_equal(again.metrics, churn_result.metrics)
    assert again.outcome == "kept"
    assert "version 1 stays champion" in again.reason
    assert "neither newer nor surely better" in again.reason
    path = tracking.client.download_artifacts(again.run_ids[again.winner], "promotion.json")
    table = pd.read_json(path, orient="split").set_index("measure")
    assert (table.loc["churn/brier", ["difference", "low", "high"]] == 0.0).all()
    assert set(table["decision"]) == {"kept"}
    assert str(tracking.alias(again.name, CHAMPION).version) == churn_result.version
    assert str(tracking.alias(again.name, CHALLENGER).version) == again.version
    assert parent.info.run_id not in again.run_ids.values()
    summary = tracking.client.get_run(parent.info.run_id)
    assert summary.data.metrics["churn/brier"] == again.metrics.loc[again.winner, "churn/brier"]
    assert again.training_id == summary.data.tags["training_id"]


def test_too_short_a_history_is_said_in_plain_words(store):
    days = pd.date_range("2024-01-01", periods=30)
    short = Ledger.from_frames(
        pd.DataFrame({"customer_id": ["a", "b"] * 15, "timestamp": days, "amount": 5.0})
    )
    with pytest.raises(NotEnoughDataError, match="label"):
        train_churn(short, ChurnSettings(horizon_days=90), tracking=store[0])
    with pytest.raises(NotEnoughDataError, match="history"):
        train_clv(short, ClvSettings(), tracking=store[0])


def test_a_model_with_covariates_and_segments_is_trained_and_shown(orders, tmp_path):
    people = sorted(orders["customer_id"].unique())
    attributes = pd.DataFrame(
        {"customer_id": people, "age": range(len(people)), "country": ["NL", "DE", "FR"] * 200}
    )
    settings = ClvSettings(
        horizon_days=60,
        covariates={"rate": ["age"], "dropout": ["country"], "spend": ["country"]},
        segment="country",
        candidates=("mbg_nbd_covariates", "mbg_nbd_segments"),
    )
    tracking = Tracking(f"sqlite:///{tmp_path / 'mlflow.db'}", "shop")
    ledger = Ledger.from_frames(orders, customers=attributes)
    result = train_clv(ledger, settings, seed=1, tracking=tracking, method="laplace")
    assert result.promoted
    with tracking.here():
        loaded = mlflow.pyfunc.load_model(f"models:/{result.name}@{CHAMPION}")
    assert "country" in loaded.metadata.signature.inputs.input_names()
    assert len(loaded.predict(loaded.input_example)) == 2


@pytest.mark.parametrize("family", ["churn", "clv"])
def test_the_reference_is_registered_under_the_checksums_of_the_model(
    family, request, store, orders
):
    tracking, _ = store
    result = request.getfixturevalue(f"{family}_result")
    version = tracking.client.get_model_version(result.name, result.version)
    location = tracking.client.get_model_version_download_uri(version.name, version.version)
    with tempfile.TemporaryDirectory() as temporary, tracking.here():
        local = mlflow.artifacts.download_artifacts(location, dst_path=temporary)
        folder = Path(local) / "artifacts" / "model"
        assert REFERENCE in read_card(folder)["files"]
        found = read_reference(folder)
        text = (folder / REFERENCE).read_text()
    assert found is not None
    assert found.as_of == orders["timestamp"].max().date() + pd.Timedelta(days=1)
    assert not any(f'"{customer}"' in text for customer in orders["customer_id"].astype(str))
