"""The holdout, and purchases counted by week."""

import pandas as pd
import pytest

from training.clv_holdout import holdout_window, rolling_windows, weekly_purchases


@pytest.mark.parametrize(
    ("days", "horizon", "held"), [(365, 365, 119), (1200, 365, 364), (60, 365, 14), (300, 5, 5)]
)
def test_the_holdout_is_a_third_of_the_history_at_most(days, horizon, held):
    first = pd.Timestamp("2020-01-01").date()
    window = holdout_window(first, first + pd.Timedelta(days=days - 1), horizon)
    assert window.horizon_days == held
    assert (window.label_end - first).days == days


def test_weeks_count_every_repeat_purchase_of_the_known_customers(ledger, orders):
    window = holdout_window(ledger.first_day, ledger.last_day, 90)
    weekly = weekly_purchases(ledger, window)
    days = orders.assign(day=orders["timestamp"].dt.date).drop_duplicates(["customer_id", "day"])
    first = days.groupby("customer_id")["day"].transform("min")
    known = days[first < window.cutoff]
    repeat = known[known["day"] > first[known.index]]
    assert weekly.births.sum() == known["customer_id"].nunique()
    assert weekly.repeats.sum() == len(repeat)
    before = weekly.repeats[: weekly.cutoff_week].sum()
    assert before == (repeat["day"] < window.cutoff).sum()


def test_rolling_windows_have_one_horizon_and_end_in_time():
    first = pd.Timestamp("2020-01-01").date()
    end = first + pd.Timedelta(days=500)
    windows = rolling_windows(first, end, 90, 4)
    assert len(windows) == 4
    assert {window.horizon_days for window in windows} == {84}
    assert windows[-1].label_end == end
    assert all(window.label_end <= end for window in windows)
    assert [w.cutoff for w in windows] == sorted(w.cutoff for w in windows)
    assert rolling_windows(first, first + pd.Timedelta(days=30), 90, 4) == ()
