"""Findings: what a person reads first, and the long table."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from serving.findings import FINDING_DTYPES, Finding, findings_table, ordered, worst


def found(area: str, severity: str = "fine", subject: str = "x") -> Finding:
    return Finding(
        area, subject, "m", 1.0, severity=severity, words="w", remedy="do" * (severity != "fine")
    )  # type: ignore[arg-type]


def test_what_needs_a_person_comes_first_then_the_data_before_the_models() -> None:
    given = [
        found("drift"),
        found("drift", "act"),
        found("performance", "watch"),
        found("breaks", "act"),
        found("breaks", subject="a"),
        found("breaks", subject="b"),
    ]
    told = [(one.severity, one.area, one.subject) for one in ordered(given)]
    assert told == [
        ("act", "breaks", "x"), ("act", "drift", "x"), ("watch", "performance", "x"),
        ("fine", "breaks", "a"), ("fine", "breaks", "b"), ("fine", "drift", "x"),
    ]  # fmt: skip
    assert worst(given) == "act"
    assert worst([found("drift"), found("model", "watch")]) == "watch"


def test_a_finding_that_asks_for_something_says_what() -> None:
    with pytest.raises(ValueError, match="say what"):
        Finding("drift", "spend", "psi", severity="watch", words="w")


def test_the_table_has_the_same_columns_with_and_without_findings() -> None:
    empty, full = findings_table([]), findings_table([found("drift", "act"), found("breaks")])
    for table in (empty, full):
        assert {name: str(kind) for name, kind in table.dtypes.items()} == FINDING_DTYPES
    assert list(full["area"]) == ["drift", "breaks"]
    assert math.isnan(full["limit"][0])
    assert isinstance(empty, pd.DataFrame)
