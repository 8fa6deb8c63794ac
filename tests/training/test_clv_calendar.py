"""The calendar of a ledger: learned from the past of a cutoff only, or refused with a reason."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from features.errors import InputError
from features.ledger import Ledger
from training.clv_calendar import learn_calendar

START = np.datetime64("2021-01-04")
CUTOFF = dt.date(2023, 6, 1)


def transactions(peak: float, customers: int = 700, days: int = 1000) -> pd.DataFrame:
    """Everybody buys once every ten days or so for ever, `peak` times as often in December."""
    rng = np.random.default_rng(0)
    dates = START + np.arange(days)
    december = (dates.astype("datetime64[M]").astype(int) % 12) == 11
    first = rng.integers(0, days // 2, customers)
    rate = rng.gamma(2.0, 0.02, customers)
    chance = rate[:, None] * np.where(december, peak, 1.0)
    bought = rng.random((customers, days)) < chance
    bought &= np.arange(days) > first[:, None]
    bought[np.arange(customers), first] = True
    who, day = np.nonzero(bought)
    return pd.DataFrame({"customer_id": who.astype(str), "timestamp": dates[day], "amount": 10.0})


@pytest.fixture(scope="module")
def busy() -> pd.DataFrame:
    return transactions(peak=2.5)


def test_a_season_is_learned_and_told(busy):
    calendar, told = learn_calendar(Ledger.from_frames(busy), CUTOFF)
    assert calendar is not None
    december, june = (np.datetime64(day) for day in ("2024-12-14", "2024-06-14"))
    assert calendar.factor(december) / calendar.factor(june) == pytest.approx(2.5, rel=0.2)
    assert "December" in told


def test_the_future_is_not_looked_at(busy):
    past = busy[busy["timestamp"] < pd.Timestamp(CUTOFF)]
    more = pd.concat([busy, busy[busy["timestamp"] >= pd.Timestamp(CUTOFF)]])
    one, _ = learn_calendar(Ledger.from_frames(past), CUTOFF)
    other, _ = learn_calendar(Ledger.from_frames(more.iloc[::-1]), CUTOFF)
    assert one == other


def test_no_season_is_no_calendar():
    calendar, reason = learn_calendar(Ledger.from_frames(transactions(peak=1.0)), CUTOFF)
    assert calendar is None
    assert "no season" in reason


def test_a_short_history_is_no_calendar(busy):
    calendar, reason = learn_calendar(Ledger.from_frames(busy), dt.date(2022, 3, 1))
    assert calendar is None
    assert "too short" in reason


def test_holidays_are_learned_with_their_coming_dates(busy):
    pytest.importorskip("holidays")
    closed = busy[pd.to_datetime(busy["timestamp"]).dt.strftime("%m-%d") != "12-25"]
    calendar, _ = learn_calendar(Ledger.from_frames(closed), CUTOFF, country="GB-ENG")
    assert calendar is not None
    assert calendar.special["Christmas Day"].factor < 0.6
    assert calendar.special["Christmas Day"].dates[-1].year == CUTOFF.year + 21
    with pytest.raises(InputError, match="not known"):
        learn_calendar(Ledger.from_frames(closed), CUTOFF, country="ZZ")
