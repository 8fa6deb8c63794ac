"""Purchases by day, known at a cutoff and no later; public holidays."""

import datetime as dt
import sys

import numpy as np
import pandas as pd
import pytest

from features.errors import InputError, NotEnoughDataError
from features.ledger import Ledger
from features.seasons import daily_purchases, public_holidays
from features.window import ObservationWindow

ROWS = pd.DataFrame(
    [
        ("a", "2024-01-03 09:00", 5.0),
        ("a", "2024-01-03 18:00", 2.0),
        ("a", "2024-01-05 10:00", 1.0),
        ("b", "2024-01-05 11:00", 4.0),
        ("b", "2024-01-06 11:00", -4.0),
        ("a", "2024-01-08 12:00", 3.0),
        ("b", "2024-01-08 12:30", 3.0),
        ("c", "2024-01-09 00:00", 9.0),
        ("b", "2024-01-10 12:00", 3.0),
    ],
    columns=["customer_id", "timestamp", "amount"],
)


def test_repeat_and_first_purchases_are_counted_by_day():
    daily = daily_purchases(Ledger.from_frames(ROWS), dt.date(2024, 1, 9))
    assert daily.first_day == dt.date(2024, 1, 3)
    np.testing.assert_array_equal(daily.births, [1, 0, 1, 0, 0, 0])
    np.testing.assert_array_equal(daily.repeats, [0, 0, 1, 0, 0, 2])


def test_they_agree_with_the_summary():
    rng = np.random.default_rng(0)
    days = rng.integers(0, 300, 4000)
    rows = pd.DataFrame(
        {
            "customer_id": rng.integers(0, 500, 4000).astype(str),
            "timestamp": pd.Timestamp("2023-01-01") + pd.to_timedelta(days, unit="D"),
            "amount": rng.choice([-3.0, 5.0, 8.0], 4000),
        }
    )
    from features.snapshot import build_snapshot

    ledger, cutoff = Ledger.from_frames(rows), dt.date(2023, 9, 1)
    daily = daily_purchases(ledger, cutoff)
    window = ObservationWindow(ledger.first_day, cutoff)
    rfm = build_snapshot(ledger, window, labels=False).rfm
    assert daily.births.sum() == len(rfm)
    assert daily.repeats.sum() == rfm["frequency"].sum()
    assert len(daily.repeats) == round(7 * rfm["T"].max())
    first = np.bincount((7 * rfm["T"]).round().astype(int))[:0:-1]
    np.testing.assert_array_equal(daily.births, first)


def test_what_comes_at_the_cutoff_or_later_changes_nothing():
    cutoff = dt.date(2024, 1, 9)
    known = ROWS[pd.to_datetime(ROWS["timestamp"]) < "2024-01-09"]
    late = pd.DataFrame(
        {"customer_id": ["a"], "timestamp": ["2024-01-04"], "amount": [1.0], "known_at": [cutoff]}
    ).assign(known_at=pd.Timestamp("2024-01-09 00:01"))
    one = daily_purchases(Ledger.from_frames(known), cutoff)
    for rows in (ROWS, ROWS.iloc[::-1], pd.concat([known, late])):
        other = daily_purchases(Ledger.from_frames(rows), cutoff)
        assert other.first_day == one.first_day
        np.testing.assert_array_equal(other.repeats, one.repeats)
        np.testing.assert_array_equal(other.births, one.births)


def test_nothing_before_the_cutoff_is_an_error():
    with pytest.raises(NotEnoughDataError, match="No customer"):
        daily_purchases(Ledger.from_frames(ROWS), dt.date(2023, 1, 1))


def test_public_holidays_by_name():
    pytest.importorskip("holidays")
    found = public_holidays("GB-ENG", 2023, 2025)
    assert found["Christmas Day"] == [dt.date(y, 12, 25) for y in (2023, 2024, 2025)]
    assert found["Christmas Day -1"] == [dt.date(y, 12, 24) for y in (2023, 2024, 2025)]
    assert found["Easter Monday +1"][1] == dt.date(2024, 4, 2)
    assert set(public_holidays("fr", 2024, 2024, offsets=(0,))) <= set(
        public_holidays("FR", 2024, 2024)
    )


@pytest.mark.parametrize("country", ["XX", "GB-NOWHERE", "Utopia"])
def test_an_unknown_country_is_refused(country):
    pytest.importorskip("holidays")
    with pytest.raises(InputError, match="not known"):
        public_holidays(country, 2023, 2024)


def test_without_the_library_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "holidays", None)
    with pytest.raises(InputError, match="not installed") as caught:
        public_holidays("FR", 2023, 2024)
    assert "pip install" in caught.value.hint
