"""The promotion rule, case by case, on a registry without files."""

import datetime as dt

import pandas as pd
import pytest

from features.window import ObservationWindow
from models.base import ModelError
from training.dataset import Holdout, holdout
from training.promote import promote
from training.tracking import CHAMPION, Tracking

NAME = "regulars-churn"
TEST = Holdout("churn_test", "a" * 32, {"cutoff": "2024-06-01"})


@pytest.fixture(scope="module")
def tracking(tmp_path_factory):
    folder = tmp_path_factory.mktemp("registry")
    return Tracking(f"sqlite:///{folder / 'mlflow.db'}", "rules")


@pytest.fixture
def registry(tracking, monkeypatch):
    name = f"{NAME}-{dt.datetime.now(dt.UTC).timestamp()}".replace(".", "-")
    tracking.client.create_registered_model(name)

    def version(**tags):
        return tracking.client.create_model_version(name, "file:///nowhere", tags=tags)

    monkeypatch.setattr(tracking, "load_artifact", lambda found: f"model {found.version}")
    return tracking, name, version


def _promote(tracking, version, measured, score=lambda model: pytest.fail("must not score")):
    return promote(
        tracking, version, metric="churn/brier", measured=measured, test=TEST, score=score
    )


def test_the_first_version_becomes_champion(registry):
    tracking, name, version = registry
    decision = _promote(tracking, version(), 0.2)
    assert (decision.promoted, decision.compared) == (True, "none")
    found = tracking.alias(name, CHAMPION)
    assert str(found.version) == "1"
    found = tracking.client.get_model_version(name, "1")
    assert found.tags["promoted"] == "true"
    assert found.tags["reason"] == "there was no champion yet"


@pytest.mark.parametrize(("measured", "promoted"), [(0.19, True), (0.20, False), (0.21, False)])
def test_on_the_same_test_the_recorded_measures_decide(registry, measured, promoted):
    tracking, name, version = registry
    recorded = {"churn/brier": "0.2", "test_digest": TEST.digest, "trained_until": "2024-12-01"}
    _promote(tracking, version(**recorded), 0.2)
    decision = _promote(tracking, version(), measured)
    assert (decision.promoted, decision.compared) == (promoted, "recorded")
    assert str(tracking.alias(name, CHAMPION).version) == ("2" if promoted else "1")


@pytest.mark.parametrize(("theirs", "promoted"), [(0.3, True), (0.1, False)])
def test_a_champion_that_has_not_seen_the_test_is_scored_on_it(registry, theirs, promoted):
    tracking, _, version = registry
    _promote(tracking, version(test_digest="other", trained_until="2024-06-01"), 0.2)
    asked = []
    decision = _promote(tracking, version(), 0.2, lambda model: asked.append(model) or theirs)
    assert asked == ["model 1"]
    assert (decision.promoted, decision.compared, decision.champion) == (promoted, "scored", theirs)


def test_a_champion_that_has_seen_the_test_window_stays(registry):
    tracking, name, version = registry
    _promote(tracking, version(test_digest="other", trained_until="2024-06-02"), 0.2)
    decision = _promote(tracking, version(), 0.0001)
    assert (decision.promoted, decision.compared) == (False, "not comparable")
    assert "2024-06-02" in decision.reason
    assert str(tracking.alias(name, CHAMPION).version) == "1"


def test_a_champion_that_cannot_be_scored_stays_and_the_reason_is_said(registry):
    tracking, _, version = registry
    _promote(tracking, version(trained_until="2024-01-01"), 0.2)

    def fails(model):
        raise ModelError("column basket is missing")

    decision = _promote(tracking, version(), 0.1, fails)
    assert not decision.promoted
    assert "column basket is missing" in decision.reason


def test_the_digest_is_of_customers_outcomes_and_windows():
    labels = pd.DataFrame(
        {"churned": [0.0, 1.0], "future_purchases": [2.0, 0.0], "future_spend": [9.5, 0.0]},
        index=pd.Index(["b", "a"], name="customer_id"),
    )
    window = ObservationWindow(dt.date(2023, 1, 1), dt.date(2024, 1, 1))
    first = holdout("x", window, labels)
    assert first.digest == holdout("y", window, labels.iloc[::-1]).digest
    assert len(first.digest) <= 36
    other = labels.assign(future_spend=[9.5, 0.01])
    assert holdout("x", window, other).digest != first.digest
    later = ObservationWindow(dt.date(2023, 1, 1), dt.date(2024, 1, 2))
    assert holdout("x", later, labels).digest != first.digest
    renamed = labels.rename(index={"a": "c"})
    assert holdout("x", window, renamed).digest != first.digest


def test_a_test_without_a_date_is_no_ground_for_a_comparison(registry):
    tracking, name, version = registry
    _promote(tracking, version(trained_until="2020-01-01"), 0.2)
    dateless = Holdout("churn_table", "b" * 32, {"customers": 10})
    decision = promote(
        tracking,
        version(),
        metric="churn/brier",
        measured=0.1,
        test=dateless,
        score=lambda model: pytest.fail("must not score"),
    )
    assert (decision.promoted, decision.compared) == (False, "not comparable")
    assert "no date" in decision.reason
    assert str(tracking.alias(name, CHAMPION).version) == "1"
