"""How the models in use stand."""

from __future__ import annotations

import datetime as dt
from typing import Any, cast

import pytest

from serving.registry import RegisteredModel
from serving.standing import InUse, Standing

MODEL = RegisteredModel("regulars-churn", "3", "", "", cast(Any, None), {})


@pytest.mark.parametrize(
    ("days", "severity"), [(0, "fine"), (62, "fine"), (63, "watch"), (93, "watch"), (94, "act")]
)
def test_a_model_that_is_not_trained_any_more_is_told(days: int, severity: str) -> None:
    [age] = Standing(MODEL, days).findings()
    assert (age.measure, age.value, age.severity) == ("unseen_days", days, severity)


def test_a_newer_version_is_a_question_only_where_nobody_has_compared_it() -> None:
    [waits] = Standing(MODEL, None, "4").findings()
    [judged] = Standing(MODEL, None, "4", "kept", "no better").findings()
    assert (waits.severity, judged.severity) == ("watch", "fine")
    assert "no better" in judged.words
    assert Standing(MODEL, None).findings() == []


@pytest.mark.parametrize(
    ("way", "gate", "severity"),
    [
        ("gate", "kept", "fine"),
        ("rollback", "promoted", "watch"),
        ("outside", "promoted", "watch"),
        ("hand", "refused", "fine"),  # judged since, and a person's choice was as good
    ],
)
def test_a_person_who_overruled_the_gate_is_told_with_the_reason(
    way: Any, gate: str, severity: str
) -> None:
    chosen = InUse(dt.date(2024, 5, 2), way, "totals too high", "ann")
    found = Standing(MODEL, None, "4", gate, "it is as good", chosen).findings()
    assert [one.measure for one in found] == ["in_use", "newer_version"]
    assert found[0].severity == severity
    for said in ("regulars-churn/3", "2024-05-02", "totals too high", "ann"):
        assert said in found[0].words
    assert ("by hand" in found[0].words) == (way in ("hand", "rollback"))


def test_a_model_that_has_seen_everything_is_not_told_of_the_last_0_days() -> None:
    assert [Standing(MODEL, days).findings()[0].words for days in (0, 1, 2)] == [
        "regulars-churn/3 has learned from the newest data.",
        "regulars-churn/3 has learned nothing from the last 1 day.",
        "regulars-churn/3 has learned nothing from the last 2 days.",
    ]
