"""Monitoring: everything in one place, and what is missing said instead of hidden."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from features.errors import InputError
from features.ledger import Ledger
from serving import monitor as monitor_module
from serving.findings import Finding
from serving.look_back import MonitorSettings
from serving.monitor import Watch, monitor
from serving.recording import recording
from serving.registry import CHURN, CLV, RegisteredModel
from serving.score_ledger import list_facts, parse_score_ledger
from serving.scorer import score

SCORED_ON = dt.date(2024, 3, 1)


@pytest.fixture
def bare(tmp_path: Path) -> Watch:
    """Nothing but data: no registry, no score ledger."""
    return Watch(f"sqlite:///{tmp_path / 'none.db'}")


@pytest.fixture
def equipped(full_registry: Any, tmp_path: Path) -> Watch:
    """Two models in use, and a place for scored lists."""
    place = parse_score_ledger("lists.duckdb", tmp_path)
    return Watch(full_registry.uri, place, MonitorSettings(min_customers=30, replicates=20))


def codes(found: Any) -> list[str]:
    return [lack.code for lack in found.lacks]


def test_without_models_and_lists_the_data_is_looked_at(ledger: Ledger, bare: Watch) -> None:
    found = monitor(ledger, None, bare)
    assert found.as_of == dt.date(2024, 7, 1)
    assert {one.area for one in found.findings} == {"breaks"}
    assert codes(found) == ["no_model", "no_model", "ledger_off"]
    assert [one.action for one in found.advice] == ["train", "train"]
    assert all("regulars train" in one.reason for one in found.advice)


def test_with_one_model_the_other_one_is_said_to_be_missing(
    ledger: Ledger, equipped: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = monitor_module.standing
    monkeypatch.setattr(
        monitor_module,
        "standing",
        lambda name, *rest: known(name, *rest) if name == CHURN else None,
    )
    found = monitor(ledger, None, equipped)
    assert [lack.subject for lack in found.lacks if lack.code == "no_model"] == [CLV]
    assert [one.action for one in found.advice][1] == "train"
    assert set(found.drift) == {CHURN}


def test_models_without_a_reference_and_lists_that_are_not_there_are_said(
    ledger: Ledger, equipped: Watch
) -> None:
    found = monitor(ledger, None, equipped)
    assert codes(found) == ["no_reference", "no_reference", "no_lists"]
    assert found.lookback is None


def test_a_list_that_is_over_is_judged_and_one_that_runs_is_watched(
    ledger: Ledger, equipped: Watch, registered: tuple[RegisteredModel, RegisteredModel]
) -> None:
    for day in (dt.date(2024, 6, 1), SCORED_ON):
        facts = list_facts(day, *registered, whole=True, data_until=ledger.last_day)
        with recording(equipped.score_ledger, facts) as record:
            record(score(ledger, day, *registered))
    found = monitor(ledger, None, equipped)
    assert {one.area for one in found.findings} >= {"early", "estimate", "performance"}
    assert "no_contacts" in codes(found)
    assert found.lookback is not None
    assert set(found.lookback.lists["churn_state"]) == {"closed", "open"}


def test_what_cannot_be_read_calls_for_a_person_and_stops_nothing_else(
    ledger: Ledger, equipped: Watch, tmp_path: Path
) -> None:
    (tmp_path / "lists.duckdb").write_bytes(b"no database" * 100)
    store = tmp_path / "mlflow.db"
    store.write_bytes(b"no database" * 100)
    found = monitor(ledger, None, replace(equipped, tracking_uri=f"sqlite:///{store}"))
    bad = [one for one in found.findings if one.severity == "act"]
    assert {(one.area, one.measure) for one in bad} == {
        ("model", "registry"),
        ("model", "score_ledger"),
    }
    assert found.severity == "act"
    assert any(one.area == "breaks" for one in found.findings)


def test_a_reference_that_cannot_be_read_stops_nothing_else(
    ledger: Ledger, equipped: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    def damaged(*given: object, **named: object) -> None:
        raise InputError("reference.json is of another format.", "Train again.")

    monkeypatch.setattr(monitor_module, "look_for_drift", damaged)
    found = monitor(ledger, None, equipped)
    bad = [one for one in found.findings if one.severity == "act"]
    assert "reference.json is of another format." in {one.words for one in bad}
    assert len(found.advice) == 2


@pytest.mark.parametrize(("late", "severity"), [(1, "fine"), (30, "act")])
def test_data_that_does_not_arrive_any_more_is_found_by_the_clock(
    ledger: Ledger, bare: Watch, late: int, severity: str
) -> None:
    today = ledger.last_day + dt.timedelta(days=late)
    found = monitor(ledger, None, replace(bare, today=today))
    [age] = [one for one in found.findings if one.area == "data"]
    assert (age.value, age.severity) == (late, severity)
    assert age.limit < 30


def test_a_break_forbids_training_on_it(
    ledger: Ledger, equipped: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    gap = Finding("breaks", "d", "missing_days", 9.0, severity="act", words="9 days.", remedy="do")
    monkeypatch.setattr(monitor_module, "break_findings", lambda *given: [gap])
    found = monitor(ledger, None, equipped)
    assert found.findings[0] is gap
    assert {one.action for one in found.advice} == {"look_first"}


@pytest.mark.parametrize("day", [dt.date(2023, 1, 1), dt.date(2024, 7, 2)])
def test_a_cutoff_outside_the_data_is_refused(ledger: Ledger, bare: Watch, day: dt.date) -> None:
    with pytest.raises(InputError, match="outside the data"):
        monitor(ledger, day, bare)
