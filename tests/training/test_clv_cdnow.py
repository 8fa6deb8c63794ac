"""The whole choice on real data: what backtests before the holdout pick, judged on the holdout.

CDNOW, the sample of one customer in ten: purchases from 1997-01-01 to 1998-06-30 of customers who
first bought in the first quarter of 1997; 39 weeks to learn from and 39 to foretell. Rivals on the
same task: Pareto/NBD has RMSE 1.603, correlation .630 and bias -11.5 %.
"""

import datetime as dt
import os
from pathlib import Path

import pandas as pd
import pytest

from features.ledger import Ledger
from features.window import ObservationWindow
from training.clv_backtest import backtest_clv
from training.clv_candidates import forecast, measure
from training.clv_choice import HISTORY_PARTS
from training.clv_fitting import ClvSettings, Fittings
from training.clv_holdout import rolling_windows

pytestmark = [pytest.mark.data, pytest.mark.slow]


@pytest.fixture(scope="module")
def cdnow():
    folder = os.environ.get("REGULARS_DATA")
    file = Path(folder or "") / "cdnow_sample.parquet"
    if not folder or not file.exists():
        pytest.skip("REGULARS_DATA does not name a folder with cdnow_sample.parquet")
    frame = pd.read_parquet(file).rename(columns={"date": "timestamp"})
    return Ledger.from_frames(frame[["customer_id", "timestamp", "amount"]])


def test_what_backtests_before_the_holdout_pick_does_well_on_it(cdnow):
    first, cutoff, days = dt.date(1997, 1, 1), dt.date(1997, 10, 1), 273
    shop = Fittings(cdnow, ClvSettings(horizon_days=days), seed=0)
    windows = rolling_windows(first, cutoff, days, 3, parts=HISTORY_PARTS)
    assert max(window.label_end for window in windows) <= cutoff
    winner = backtest_clv(shop, windows).choice.winner

    fitting = shop.at(ObservationWindow(first, cutoff, 0, days))
    found = measure(forecast(winner, fitting), fitting).found
    assert found["purchases/rmse"] <= 1.60
    assert found["purchases/correlation"] >= 0.63
    assert abs(found["purchases/bias"]) <= 0.08
    assert 0.88 <= found["purchases/coverage_90"] <= 0.92
    assert 0.88 <= found["clv/coverage_90"] <= 0.92
