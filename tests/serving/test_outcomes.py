"""What customers did is told as in training, and never of those who are in no table any more."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from features.contracts import RENEWAL_DAYS
from features.ledger import Ledger
from features.snapshot import build_snapshot
from features.subscriptions import subscription_snapshot
from features.window import ObservationWindow
from serving.outcomes import (
    churned,
    first_messages,
    first_returns,
    is_over,
    known_customers,
    list_window,
    timing_curve,
    value_outcomes,
)

CUTOFF = dt.date(2024, 2, 1)
WINDOW = ObservationWindow(dt.date(2023, 1, 1), CUTOFF, 7, 60)


def test_who_left_and_what_was_bought_are_the_labels_of_training(ledger):
    labels = build_snapshot(ledger, WINDOW).labels
    assert 0.2 < labels["churned"].mean() < 0.8
    found = churned(ledger, WINDOW, labels.index)
    np.testing.assert_array_equal(found, labels["churned"])
    value = value_outcomes(ledger, WINDOW, labels.index, 0.0)
    np.testing.assert_array_equal(value["purchases"], labels["future_purchases"])
    np.testing.assert_array_equal(value["spend"], labels["future_spend"])
    np.testing.assert_allclose(value["discounted"], labels["future_spend"], atol=1e-4)


def test_the_end_of_contracts_is_the_label_of_training():
    rng = np.random.default_rng(0)
    ids = [f"c{i}" for i in range(60)]
    start = pd.Timestamp("2023-01-10") + pd.to_timedelta(rng.integers(0, 300, 60), unit="D")
    end = start + pd.to_timedelta(rng.integers(60, 500, 60), unit="D")
    rows = {"customer_id": ids, "started_at": start, "ended_at": end}
    orders = pd.DataFrame(
        {"customer_id": ids * 2, "timestamp": [*start, *[pd.Timestamp("2024-12-30")] * 60],
         "amount": 10.0}
    )  # fmt: skip
    ledger = Ledger.from_frames(orders, subscriptions=pd.DataFrame(rows))
    window = ObservationWindow(ledger.first_day, CUTOFF, 0, 60)
    labels = subscription_snapshot(ledger, window).labels
    assert 0.05 < labels["churned"].mean() < 0.95
    found = churned(ledger, window, labels.index, "subscriptions")
    np.testing.assert_array_equal(found, labels["churned"])


def test_a_horizon_is_over_when_the_data_holds_its_last_day(ledger):
    for label, more in (("purchases", 0), ("subscriptions", RENEWAL_DAYS)):
        end = ledger.last_day + dt.timedelta(days=1)
        last = ObservationWindow(WINDOW.start, end - dt.timedelta(days=67 + more), 7, 60)
        assert is_over(ledger, last, label)
        late = ObservationWindow(WINDOW.start, last.cutoff + dt.timedelta(days=1), 7, 60)
        assert not is_over(ledger, late, label)


def shop():
    orders = pd.DataFrame(
        [
            ("a", "2024-01-05 10:00", 50.0),
            ("a", "2024-03-02 12:00", 73.05),  # 30.5 days from the cutoff
            ("a", "2024-03-20 12:00", -3.05),
            ("b", "2024-01-06 10:00", 20.0),
            ("b", "2024-02-10 06:00", 5.0),
            ("b", "2024-06-30 10:00", 5.0),
            ("c", "2024-01-07 10:00", 20.0),
            ("c", "2024-02-09 10:00", -20.0),
            ("late", "2024-02-15 10:00", 9.0),
        ],
        columns=["customer_id", "timestamp", "amount"],
    )
    contacts = pd.DataFrame(
        [
            ("a", "2024-02-03 12:00", "mail", "control"),
            ("a", "2024-02-05 12:00", "mail", "treatment"),
            ("b", "2024-02-11 12:00", "survey", None),
            ("c", "2024-01-31 23:00", "mail", "treatment"),
            ("c", "2024-04-08 00:00", "mail", "treatment"),
        ],
        columns=["customer_id", "timestamp", "campaign", "arm"],
    )
    return Ledger.from_frames(
        orders.assign(timestamp=pd.to_datetime(orders["timestamp"])),
        contacts=contacts.assign(timestamp=pd.to_datetime(contacts["timestamp"])),
    )


def test_money_is_discounted_from_the_noon_of_its_day():
    ledger = shop()
    window = ObservationWindow(ledger.first_day, CUTOFF, 0, 67)
    ids = pd.Index(["a", "b", "c", "gone"], name="customer_id")
    found = value_outcomes(ledger, window, ids, 0.10)
    assert found["spend"].tolist() == [70.0, 5.0, 0.0, 0.0]
    assert found["purchases"].tolist() == [1.0, 1.0, 0.0, 0.0]
    first, back = (1.1 ** -((day + 0.5) / 365.25) for day in (30, 48))
    assert found.loc["a", "discounted"] == pytest.approx(73.05 * first - 3.05 * back, abs=1e-5)
    assert found.loc["c", "discounted"] == 0.0


def test_messages_and_returns_count_from_the_cutoff():
    ledger = shop()
    window = ObservationWindow(ledger.first_day, CUTOFF, 7, 60)  # 8 February to 7 April
    assert first_messages(ledger, window).to_dict() == {"a": 4.5, "b": 10.5}
    assert first_returns(ledger, window).to_dict() == {"a": 30.5, "b": 9.25, "late": 14 + 10 / 24}
    assert (
        first_messages(Ledger.from_frames(ledger.transactions.to_pyarrow().to_pandas()), window)
        is None
    )


def test_the_timing_curve_is_of_those_who_had_bought_before_and_came_back():
    ledger = shop()
    window = ObservationWindow(ledger.first_day, CUTOFF, 7, 60)
    curve = timing_curve(ledger, window)
    assert curve.shape == (60,)
    assert curve[[0, 1, 2, 22, 23, 59]].tolist() == [0.0, 0.0, 0.5, 0.5, 1.0, 1.0]
    silent = ObservationWindow(ledger.first_day, dt.date(2024, 4, 15), 0, 30)
    assert timing_curve(ledger, silent) is None


def test_customers_are_those_of_the_tables(ledger):
    assert set(known_customers(shop())) == {"a", "b", "c", "late"}
    assert "visitor" not in known_customers(ledger)


def test_a_list_without_a_horizon_or_before_the_data_has_no_window(ledger):
    row = {"as_of": pd.Timestamp("2024-02-01"), "gap_days": 7, "horizon_days": 60,
           "clv_horizon_days": np.nan}  # fmt: skip
    assert list_window(ledger, row, "churn") == WINDOW
    assert list_window(ledger, row, "clv") is None
    assert list_window(ledger, {**row, "as_of": pd.Timestamp("2022-01-01")}, "churn") is None
