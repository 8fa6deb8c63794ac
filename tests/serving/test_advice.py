"""Advice: each rule, and which of them comes first."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any

import pytest

from serving.advice import Case, advise
from serving.findings import Finding
from serving.standing import InUse

DAY = dt.date(2024, 6, 1)
LATER = dt.date(2024, 8, 1)


def act(area: Any, measure: str = "psi", severity: Any = "act") -> Finding:
    return Finding(area, "s", measure, severity=severity, words=f"{measure} is off.", remedy="do")


def case(*findings: Finding, unseen: int | None = 40, closes: dt.date | None = None) -> Case:
    return Case("regulars-churn", "regulars-churn/3", findings, unseen, closes)


@pytest.mark.parametrize(
    ("given", "data", "action", "code", "day"),
    [
        (Case("regulars-churn"), [], "train", "no_model", None),
        (case(unseen=10), [], "nothing", "fresh", DAY + dt.timedelta(days=21)),
        (case(unseen=31), [], "retrain", "month", None),
        (case(unseen=None), [], "retrain", "month", None),
        (case(act("performance", "calibration_gap")), [], "retrain", "level", None),
        (case(act("performance", "calibration_gap"), act("performance", "roc_auc")), [],
         "retrain", "errs", None),
        (case(act("drift")), [], "retrain", "changed", None),
        (case(act("early", "early_returns"), unseen=5, closes=LATER), [], "wait", "changed", LATER),
        (case(act("performance", "roc_auc"), unseen=5, closes=LATER), [], "wait", "changed",
         DAY + dt.timedelta(days=26)),
        (case(act("drift"), unseen=5), [], "wait", "changed", DAY + dt.timedelta(days=26)),
        (case(act("drift", severity="watch"), unseen=5), [], "nothing", "fresh",
         DAY + dt.timedelta(days=26)),
        (case(act("performance", "calibration_gap")), [act("breaks", "missing_days")],
         "look_first", "broken", None),
        (case(unseen=90), [act("data", "age_days")], "look_first", "stopped", None),
        (case(unseen=40), [act("breaks", severity="watch")], "retrain", "month", None),
    ],
)  # fmt: skip
def test_every_rule(
    given: Case, data: list[Finding], action: str, code: str, day: dt.date | None
) -> None:
    advice = advise(given, DAY, data)
    assert (advice.action, advice.code, advice.day) == (action, code, day)
    assert advice.name == given.name
    assert advice.reason.endswith((".", "`."))


def test_the_reason_holds_the_words_of_what_was_found() -> None:
    assert "psi is off." in advise(case(act("drift")), DAY).reason
    assert "roc_auc is off." in advise(case(act("performance", "roc_auc")), DAY).reason
    assert "40 days" in advise(case(), DAY).reason
    both = advise(case(act("early", "early_returns"), closes=LATER), DAY)
    assert (both.action, str(LATER) in both.reason) == ("retrain", True)


@pytest.mark.parametrize(
    ("way", "data", "told"),
    [("rollback", [], True), ("gate", [], False), ("hand", [act("breaks", "missing_days")], True)],
)
def test_a_choice_by_hand_is_said_with_every_advice(
    way: Any, data: list[Finding], told: bool
) -> None:
    chosen = InUse(DAY, way, "totals too high")
    plain = advise(case(), DAY, data)
    found = advise(replace(case(), in_use=chosen), DAY, data)
    assert (found.action, found.code) == (plain.action, plain.code)
    assert (found.by_hand == chosen, "totals too high" in found.reason) == (told, told)
