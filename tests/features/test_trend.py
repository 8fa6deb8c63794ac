import datetime as dt

import numpy as np
import pandas as pd
import pytest

from features.behaviour import behaviour
from features.ledger import Ledger
from features.window import ObservationWindow

WINDOW = ObservationWindow(dt.date(2022, 1, 1), dt.date(2024, 7, 1))
DAYS_AND_VALUES = {
    # Purchases by days before the cutoff.
    "steady": {15 + 30 * month: 20 for month in range(6)},
    "growing": {15 + 30 * month: 60 - 10 * month for month in range(6)},
    "only long ago": {180: 7},
    "not in the half-year": {181: 7},
    # Four within 90 days, from 300 to 211; the fifth is a day too late. One is left.
    "past its peak": {300: 5, 280: 5, 260: 5, 211: 5, 210: 5, 90: 5},
}


@pytest.fixture(scope="module")
def found() -> pd.DataFrame:
    rows = [
        (name, pd.Timestamp(WINDOW.cutoff) - pd.Timedelta(age, "D"), value)
        for name, own in DAYS_AND_VALUES.items()
        for age, value in own.items()
    ]
    shop = Ledger.from_frames(pd.DataFrame(rows, columns=["customer_id", "timestamp", "amount"]))
    table = behaviour(shop.transactions, WINDOW, "day", shop.days).to_pyarrow()
    return table.to_pandas().set_index("customer_id")


def test_the_slope_is_that_of_least_squares_over_the_mean(found: pd.DataFrame) -> None:
    slope = np.polyfit(range(6), [10, 20, 30, 40, 50, 60], 1)[0] / 35
    np.testing.assert_allclose(found.spend_slope_6m["growing"], slope, rtol=1e-14)
    assert found.spend_slope_6m["steady"] == 0
    np.testing.assert_allclose(found.spend_slope_6m["only long ago"], -6 / 7, rtol=1e-14)
    assert np.isnan(found.spend_slope_6m["not in the half-year"])


def test_the_drop_is_from_the_busiest_90_days(found: pd.DataFrame) -> None:
    assert found.peak_drop["past its peak"] == 1 - 1 / 4
    assert found.peak_drop["only long ago"] == 1
    assert found.peak_drop["steady"] == 0


def test_equal_values_have_no_spread(found: pd.DataFrame) -> None:
    assert found.cv_order_value["steady"] == 0
    values = [10, 20, 30, 40, 50, 60]
    expected = np.std(values, ddof=1) / np.mean(values)
    np.testing.assert_allclose(found.cv_order_value["growing"], expected, rtol=1e-11)
    assert found.last_order_ratio["growing"] == 60 / 30
