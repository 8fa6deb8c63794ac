"""The backtest measures what training measures, at more cutoffs."""

import pytest

from training.backtest import COLUMNS, backtest_churn, backtest_clv
from training.churn import ChurnSettings
from training.clv import ClvSettings

# Long enough to roll, short enough to wait for.
CUTOFFS = 2

pytestmark = pytest.mark.slow


def test_the_latest_cutoff_of_churn_is_that_of_training(ledger, churn_result, monkeypatch):
    monkeypatch.setattr("training.backtest._MAX_CUTOFFS", CUTOFFS)
    table = backtest_churn(ledger, ChurnSettings(horizon_days=30), seed=1)
    assert tuple(table.columns) == COLUMNS
    assert table["cutoff"].is_monotonic_increasing
    assert table["cutoff"].nunique() == CUTOFFS
    latest = table[table["cutoff"] == churn_result.cutoffs["evaluation"]["test"]]
    wide = latest.pivot(index="candidate", columns="metric", values="value")
    for candidate, row in churn_result.metrics.iterrows():
        assert wide.loc[candidate, "churn/brier"] == row["churn/brier"]


def test_clv_has_every_candidate_at_every_cutoff(ledger, monkeypatch):
    monkeypatch.setattr("training.backtest._MAX_CUTOFFS", CUTOFFS)
    table = backtest_clv(ledger, ClvSettings(horizon_days=90))
    assert set(table["candidate"]) == {"mbg_nbd", "mbg_nbd_repeat_spend", "bg_nbd", "past_rate"}
    counts = table[table["metric"] == "clv/rmse"].groupby("cutoff").size()
    assert set(counts) == {4}
    assert len(counts) == CUTOFFS
