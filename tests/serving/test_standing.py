"""How the models in use stand."""

from __future__ import annotations

from typing import Any, cast

import pytest

from serving.registry import RegisteredModel
from serving.standing import Standing

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
