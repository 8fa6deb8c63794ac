"""What the report is made from is that of the ledger, the list and the models' runs."""

from __future__ import annotations

import pandas as pd
import pytest

from features.ledger import Ledger
from serving.offers import Decision
from serving.registry import CHURN, CLV, RegisteredModel, run_tables
from serving.report import render
from serving.report.gather import gather
from serving.scorer import score_and_plan
from training.tracking import Tracking


@pytest.mark.slow
def test_a_report_is_gathered_from_a_small_shop(
    ledger: Ledger, registered: tuple[RegisteredModel, RegisteredModel], full_registry: object
) -> None:
    churn, clv = registered
    uri = full_registry.uri  # type: ignore[attr-defined]
    client = Tracking(uri, "regulars").client
    table = pd.DataFrame({"share": [0.0, 1.0], "expected": [0.0, 2.0], "realised": [0.0, None],
                          "low": [0.0, 0.5], "high": [0.0, 1.5]})  # fmt: skip
    client.log_table(churn.run_id, table, "profit.json")
    decision = Decision()
    scored, plan = score_and_plan(ledger, None, churn, clv, decision=decision)
    found = gather(ledger, scored, churn, clv, uri, plan=plan, decision=decision)
    pd.testing.assert_frame_equal(found.table(CHURN, "profit"), table)
    assert found.table(CLV, "deciles").empty
    assert found.segments is None
    assert {"revenue", "retention_rate", "clv_predictive"} <= set(found.measures["measure"])
    assert "nps" not in set(found.measures["measure"])
    assert found.summary is not None
    assert found.summary["contacted"] == (plan["arm"] == "treatment").sum()
    page = render(found)
    assert "needs the table surveys" in page
    assert churn.label in page


def test_a_run_that_was_deleted_has_no_tables(full_registry: object) -> None:
    uri = full_registry.uri  # type: ignore[attr-defined]
    assert run_tables("0" * 32, ("calibration",), uri) == {}
    assert run_tables("", ("calibration",), uri) == {}
