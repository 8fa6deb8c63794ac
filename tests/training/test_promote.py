"""The end of a training, case by case, on a registry without files."""

import datetime as dt
import itertools
import threading

import numpy as np
import pandas as pd
import pytest

from features.compatibility import feature_facts
from features.window import ObservationWindow
from models.base import ModelError
from models.metrics.bootstrap import Resampled
from training.champions import CHAMPION, events
from training.dataset import Holdout, holdout
from training.gate import Yardstick
from training.promote import APPOINTED, Contest, appoint, promote

TEST = Holdout("churn_test", "a" * 32, {"cutoff": "2024-06-01"})
STICKS = (Yardstick("loss", "loss", "money", margin=0.01, leads=True),)
NAMES = (f"gate-{i}" for i in itertools.count())


def loss(value):
    """A measure without noise."""
    return Resampled({"loss": value}, {"loss": np.full(20, value)}, (1, 0, 1, 20, 0))


def never(champion):
    raise AssertionError("must not be asked")


class Registry:
    """A registered model of its own in a shared store, whose versions have no files."""

    def __init__(self, tracking):
        self.tracking, self.name = tracking, next(NAMES)
        tracking.client.create_registered_model(self.name)

    def version(self, until="2024-09-01", data="new", **tags):
        tags = {"trained_until": until, "data_fingerprint": data, **tags}
        return self.tracking.client.create_model_version(self.name, "file:///nowhere", tags=tags)

    def judge(self, version, value=1.0, as_it_is=never, again=never, **more):
        contest = Contest(more.pop("test", TEST), STICKS, loss(value), as_it_is, again, **more)
        return promote(self.tracking, version, contest, training_id="t1")

    @property
    def champion(self):
        found = self.tracking.alias(self.name, CHAMPION)
        return found and str(found.version)

    def tags(self, version):
        return self.tracking.client.get_model_version(self.name, version.version).tags


@pytest.fixture
def registry(registry_store, monkeypatch):
    loaded = lambda version: (f"model {version.version}", {"extra": {}})  # noqa: E731
    monkeypatch.setattr(registry_store, "load_with_card", loaded)
    return Registry(registry_store)


@pytest.fixture
def crowned(registry):
    """A registry whose champion, version 1, has seen data until June."""
    registry.judge(registry.version(until="2024-06-01", data="old"))
    return registry


def test_the_first_version_becomes_champion(registry):
    first = registry.version()
    decision = registry.judge(first)
    assert (decision.outcome, decision.compared) == ("promoted", "no champion")
    assert registry.champion == "1"
    tags = registry.tags(first)
    assert (tags["gate"], tags["promoted"]) == ("promoted", "true")
    assert (tags["reason"], tags["champion_before"]) == ("there was no champion yet", "none")
    (event,) = events(registry.tracking.client, registry.name)
    assert (event.version, event.way, event.training_id) == ("1", "gate", "t1")


@pytest.mark.parametrize(
    ("theirs", "outcome"), [(2.0, "promoted"), (1.0, "promoted"), (0.5, "refused")]
)
def test_a_champion_that_has_not_seen_the_test_is_judged_as_it_is(crowned, theirs, outcome):
    asked = []
    second = crowned.version()
    decision = crowned.judge(second, as_it_is=lambda c: asked.append(c.model) or loss(theirs))
    assert asked == ["model 1"]
    assert (decision.outcome, decision.compared) == (outcome, "as it is")
    assert crowned.champion == ("2" if outcome == "promoted" else "1")
    assert decision.table["champion"].tolist() == [theirs]
    assert crowned.tags(second)["gate"] == outcome
    assert f"{theirs:g}" in crowned.tags(second)["reason"]


@pytest.mark.parametrize(("theirs", "outcome"), [(1.0, "promoted"), (0.5, "refused")])
def test_of_a_champion_that_has_seen_the_test_the_recipe_is_judged(registry, theirs, outcome):
    registry.judge(registry.version(until="2024-08-25", data="a week ago"))
    decision = registry.judge(registry.version(), again=lambda champion: loss(theirs))
    assert (decision.outcome, decision.compared) == (outcome, "recipes")
    assert "2024-08-25" in decision.reason


def test_the_same_recipe_on_the_same_data_changes_nothing(registry):
    registry.judge(registry.version())
    assert registry.judge(registry.version(), again=lambda champion: loss(1.0)).outcome == "kept"
    assert registry.champion == "1"
    better = registry.judge(registry.version(), 0.9, again=lambda champion: loss(1.0))
    assert better.outcome == "promoted"


def test_data_that_was_corrected_or_another_question_makes_a_version_newer(registry):
    equal = {"again": lambda champion: loss(1.0)}
    registry.judge(registry.version(), asked={"margin": 1.0})
    assert registry.judge(registry.version(), asked={"margin": 0.4}, **equal).promoted
    assert registry.judge(registry.version(data="mended"), asked={"margin": 0.4}, **equal).promoted
    older = registry.version(until="2024-08-01", data="older")
    assert registry.judge(older, asked={"margin": 0.4}, **equal).outcome == "kept"


def test_what_cannot_be_compared_is_refused_and_the_way_out_is_named(crowned):
    decision = crowned.judge(crowned.version(), objection=lambda c: "as their horizons differ")
    assert (decision.outcome, decision.compared) == ("refused", "not comparable")
    assert f"regulars promote {crowned.name} --to champion 2" in decision.reason

    def fails(champion):
        raise ModelError("unknown kind")

    third = crowned.version()
    dateless = Holdout("table", "b" * 32, {"customers": 10})
    decision = crowned.judge(third, again=fails, test=dateless)
    assert decision.outcome == "refused"
    assert "unknown kind" in decision.reason
    assert crowned.champion == "1"


@pytest.mark.parametrize("error", [ModelError("card.json: not found"), FileNotFoundError("x")])
def test_a_champion_without_its_files_gives_way(crowned, monkeypatch, error):
    def fails(version):
        raise error

    monkeypatch.setattr(crowned.tracking, "load_with_card", fails)
    decision = crowned.judge(crowned.version())
    assert (decision.outcome, decision.compared) == ("promoted", "unusable champion")


def test_a_champion_that_cannot_be_fetched_just_now_stays(crowned, monkeypatch):
    def fails(version):
        raise ConnectionError("no route to host")

    monkeypatch.setattr(crowned.tracking, "load_with_card", fails)
    decision = crowned.judge(crowned.version())
    assert (decision.outcome, crowned.champion) == ("refused", "1")
    assert "no route to host" in decision.reason


@pytest.mark.parametrize(("reads", "promoted"), [("gap_mean", True), ("gap_cv", False)])
def test_a_champion_whose_features_mean_something_else_gives_way(
    crowned, monkeypatch, reads, promoted
):
    facts = feature_facts()
    facts["feature_hashes"]["gap_mean"] = "another"
    card = {"feature_names": [reads], "extra": facts}
    monkeypatch.setattr(crowned.tracking, "load_with_card", lambda version: ("model", card))
    decision = crowned.judge(crowned.version(), as_it_is=lambda champion: loss(0.1))
    assert decision.promoted is promoted
    assert ("gap_mean" in decision.reason) is promoted


def test_a_champion_that_was_changed_meanwhile_is_judged_again(crowned):
    """As behind a server, where nothing keeps another training out."""
    crowned.version()  # the other training's
    third, asked = crowned.version(), []

    def as_it_is(champion):
        asked.append(champion.model)
        if len(asked) == 1:
            crowned.tracking.client.set_registered_model_alias(crowned.name, CHAMPION, "2")
        return loss(2.0)

    decision = crowned.judge(third, as_it_is=as_it_is, again=as_it_is)
    assert asked == ["model 1", "model 2"]
    assert (decision.champion_version, crowned.champion) == ("2", "3")
    ways = [(e.version, e.way) for e in events(crowned.tracking.client, crowned.name)]
    assert ways == [("1", "gate"), ("2", "outside"), ("3", "gate")]


def test_a_champion_that_changes_again_and_again_is_left_alone(crowned):
    others = itertools.cycle([crowned.version(), crowned.version()])

    def as_it_is(champion):
        crowned.tracking.client.set_registered_model_alias(
            crowned.name, CHAMPION, next(others).version
        )
        return loss(2.0)

    decision = crowned.judge(crowned.version(), as_it_is=as_it_is, again=as_it_is)
    assert decision.outcome == "refused"
    assert "was changed" in decision.reason


def test_two_first_trainings_do_not_both_win(registry):
    versions = [registry.version(), registry.version()]
    found = []

    def train(version):
        found.append(registry.judge(version, again=lambda champion: loss(1.0)))

    threads = [threading.Thread(target=train, args=[version]) for version in versions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(each.outcome for each in found) == ["kept", "promoted"]
    assert len(events(registry.tracking.client, registry.name)) == 1
    kept = next(each for each in found if each.outcome == "kept")
    assert kept.champion_version == registry.champion


def test_a_version_that_a_killed_training_left_is_told_of(crowned, monkeypatch):
    said = []
    monkeypatch.setattr("training.promote.note", said.append)
    crowned.version()  # registered, and no more
    crowned.judge(crowned.version(), as_it_is=lambda champion: loss(1.0))
    assert len(said) == 1
    assert "version 2 was registered, but has not been judged" in said[0]
    crowned.judge(crowned.version(), again=lambda champion: loss(1.0))
    assert len(said) == 1
    left = crowned.version()
    crowned.tracking.client.set_registered_model_alias(crowned.name, CHAMPION, left.version)
    crowned.judge(crowned.version(), again=lambda champion: loss(1.0))
    assert len(said) == 1  # somebody uses it


def test_what_there_is_nothing_to_compare_with_is_put_in_use_and_written_down(registry):
    version = registry.version()
    decision = appoint(registry.tracking, version, "asked for", training_id="t9")
    assert (decision.outcome, registry.champion) == ("promoted", "1")
    assert registry.tags(version)["promotion_rule"] == APPOINTED
    (event,) = events(registry.tracking.client, registry.name)
    assert (event.why, event.training_id) == ("asked for", "t9")


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
