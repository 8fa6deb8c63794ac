"""Inputs of registered models: what two models can share is taken once."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pandas as pd
import pytest

from features.ledger import Ledger
from serving.inputs import Inputs
from serving.model_inputs import Snapshots, model_inputs
from serving.registry import RegisteredModel

CUTOFF = dt.date(2024, 3, 1)
RFM = ["frequency", "recency", "T", "monetary_value"]


def model(kind: str, **card: Any) -> RegisteredModel:
    """A registered model of which nothing but its card is read."""
    return RegisteredModel(f"regulars-{kind}", "1", "", "", None, {"kind": kind, **card})  # type: ignore[arg-type]


CHURN = model("churn", gap_days=0, horizon_days=90, feature_names=["expected_purchases_naive"])


@pytest.mark.parametrize(("columns", "times"), [(RFM, 1), ([*RFM, "expected_purchases_naive"], 2)])
def test_a_value_model_takes_no_snapshot_of_its_own_unless_it_reads_features(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, columns: list[str], times: int
) -> None:
    clv = model("clv", extra={"horizon_days": 365}, input_columns=columns)
    alone = model_inputs(clv, CUTOFF, Snapshots(ledger), 1000)[0]
    taken = []
    of = Inputs.of
    monkeypatch.setattr(Inputs, "of", lambda *a, **k: taken.append(a) or of(*a, **k))
    snapshots = Snapshots(ledger)
    model_inputs(CHURN, CUTOFF, snapshots, 1000)
    shared = model_inputs(clv, CUTOFF, snapshots, 1000)[0]
    pd.testing.assert_frame_equal(shared, alone, check_exact=True)
    assert list(shared.columns) == columns
    assert len(taken) == times
