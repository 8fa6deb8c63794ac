"""The backtest measures what training measures, at more cutoffs."""

import numpy as np
import pytest

from training.backtest import COLUMNS, backtest_churn, clv_windows

# Long enough to roll, short enough to wait for.
CUTOFFS = 2


@pytest.mark.slow
def test_the_latest_cutoff_of_churn_is_that_of_training(
    ledger, churn_settings, churn_result, monkeypatch
):
    monkeypatch.setattr("training.backtest.MAX_CUTOFFS", CUTOFFS)
    table = backtest_churn(ledger, churn_settings, seed=1)
    assert tuple(table.columns) == COLUMNS
    assert table["cutoff"].is_monotonic_increasing
    assert table["cutoff"].nunique() == CUTOFFS
    latest = table[table["cutoff"] == churn_result.cutoffs["evaluation"]["test"]]
    assert set(latest["group"]) == {"all", "one_time", "repeat"}
    latest = latest[latest["group"] == "all"]
    wide = latest.pivot(index="candidate", columns="metric", values="value")
    for candidate, row in churn_result.metrics.iterrows():
        assert wide.loc[candidate, "churn/brier"] == row["churn/brier"]


def test_the_last_clv_window_ends_with_the_history(ledger):
    windows = clv_windows(ledger, 90)
    assert (windows[-1].label_end - ledger.last_day).days == 1
    assert len({window.horizon_days for window in windows}) == 1
    assert set(np.diff([window.cutoff.toordinal() for window in windows])) == {28}
