"""The clock of the calendar: exact sums, inverses, years of every kind, saving."""

import datetime as dt
import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.base import ModelError
from models.calendar import Calendar, SpecialDay, year_position

WEEKS = np.arange(52)
PEAK = 1.0 + 1.2 * np.exp(-(((WEEKS - 47.0) / 2.5) ** 2)) - 0.3 * np.exp(-(((WEEKS - 3) / 3) ** 2))
WORKDAYS = (1.1, 1.1, 1.1, 1.2, 1.2, 0.8, 0.5)
CHRISTMAS = SpecialDay(0.1, tuple(dt.date(year, 12, 25) for year in range(2019, 2046)))


@pytest.fixture(scope="module")
def calendar() -> Calendar:
    return Calendar.of(PEAK, WORKDAYS, {"Christmas Day": CHRISTMAS}, year=2022)


def days_from(day: str, count: int) -> np.ndarray:
    return np.datetime64(day) + np.arange(count)


def summary(first: list[int], last: list[int], cutoff: int = 0) -> pd.DataFrame:
    """Customers by days before the cutoff."""
    start, end = np.array(first), np.array(last)
    return pd.DataFrame(
        {
            "frequency": np.where(start > end, 2.0, 0.0),
            "recency": (start - end) / 7,
            "T": (start - cutoff) / 7,
        },
        index=[f"c{i}" for i in range(len(start))],
    )


def test_a_calendar_without_season_changes_nothing():
    rfm = summary([0, 1, 30, 5000], [0, 1, 3, 17])
    pd.testing.assert_frame_equal(Calendar.of(np.full(52, 3.0)).operational(rfm, dt.date.max), rfm)


def test_the_mean_factor_is_one(calendar):
    assert calendar.factor(days_from("2022-01-01", 1461)).mean() == pytest.approx(1.0, abs=1e-12)
    for year in range(2020, 2040):
        days = np.arange(f"{year}-01-01", f"{year + 1}-01-01", dtype="datetime64[D]")
        assert calendar.factor(days).mean() == pytest.approx(1.0, abs=0.01)


def test_operational_time_is_the_sum_of_the_factors(calendar):
    cutoff, first, last = dt.date(2025, 2, 11), [900, 410, 45, 7], [20, 410, 12, 1]
    rfm = summary(first, last).assign(monetary_value=5.0)
    before = rfm.copy()
    clocked = calendar.operational(rfm, cutoff)
    for row, (begin, end) in enumerate(zip(first, last, strict=True)):
        factors = calendar.factor(np.datetime64(cutoff) + np.arange(-begin, 0)) / 7
        assert clocked["T"].iloc[row] == pytest.approx(factors.sum(), rel=1e-12)
        assert clocked["recency"].iloc[row] == pytest.approx(
            factors[: begin - end].sum(), rel=1e-12
        )
    pd.testing.assert_frame_equal(rfm, before)
    assert list(clocked.columns) == list(rfm.columns)
    assert clocked.index.equals(rfm.index)
    assert clocked["recency"].iloc[1] == 0.0


def test_the_logarithms_of_the_gaps_go_along(calendar):
    cutoff = dt.date(2025, 1, 20)
    rfm = summary([300, 60, 40], [6, 60, 1]).assign(frequency=[3.0, 0.0, 2.0])
    logs = [2.0, np.nan, 2 * np.log(39 / 14)]  # the last one's gaps are all equal
    clocked = calendar.operational(rfm.assign(log_gaps=logs), cutoff)
    ratio = clocked["recency"] / rfm["recency"]
    assert clocked["log_gaps"].iloc[0] == pytest.approx(2 + 3 * np.log(ratio.iloc[0]), abs=0.01)
    assert np.isnan(clocked["log_gaps"].iloc[1])
    assert clocked["log_gaps"].iloc[2] <= 2 * np.log(clocked["recency"].iloc[2] / 2 + 0.5 / 7)
    same = Calendar.of(np.ones(52)).operational(rfm.assign(log_gaps=logs), cutoff)
    pd.testing.assert_frame_equal(same, rfm.assign(log_gaps=logs))


@settings(max_examples=60, deadline=None)
@given(
    cutoff=st.dates(dt.date(1980, 1, 1), dt.date(2060, 1, 1)),
    ages=st.lists(st.integers(0, 4000), min_size=2, max_size=30),
    share=st.floats(0, 1),
)
def test_order_is_kept(cutoff, ages, share):
    calendar = Calendar.of(PEAK, WORKDAYS, {"Christmas Day": CHRISTMAS})
    T = np.sort(np.array(ages)) / 7
    recency = np.floor(7 * T * share) / 7
    rfm = pd.DataFrame({"frequency": (recency > 0) * 1.0, "recency": recency, "T": T})
    clocked = calendar.operational(rfm, cutoff)
    assert (clocked["recency"] >= 0).all()
    assert (clocked["recency"] <= clocked["T"]).all()
    assert ((clocked["recency"] == 0) == (recency == 0)).all()
    assert ((np.diff(clocked["T"]) > 0) == (np.diff(T) > 0)).all()
    whole = calendar.operational(rfm.assign(frequency=1.0, recency=rfm["T"]), cutoff)
    assert (whole["recency"] == whole["T"]).all()


@settings(max_examples=60, deadline=None)
@given(
    cutoff=st.dates(dt.date(1980, 1, 1), dt.date(2060, 1, 1)),
    first=st.integers(0, 800),
    then=st.floats(0.1, 800),
)
def test_the_clock_runs_on_and_back(cutoff, first, then):
    calendar = Calendar.of(PEAK, WORKDAYS, {"Christmas Day": CHRISTMAS})
    later = cutoff + dt.timedelta(days=first)
    whole = calendar.horizon(cutoff, first + then)
    parts = calendar.horizon(cutoff, first) + calendar.horizon(later, then)
    assert parts == pytest.approx(whole, rel=1e-10)
    assert calendar.cumulative(later, -first) == pytest.approx(-calendar.horizon(cutoff, first))
    assert float(calendar.days(cutoff, whole)) == pytest.approx(first + then, rel=1e-9)


def test_a_horizon_in_the_high_season_is_longer(calendar):
    assert calendar.horizon(dt.date(2025, 11, 10), 28) > 1.7 * calendar.horizon(
        dt.date(2025, 5, 1), 28
    )
    assert calendar.horizon(dt.date(2023, 5, 1), 1461) == pytest.approx(1461 / 7, rel=1e-3)


@pytest.mark.parametrize(("month", "day"), [(1, 1), (2, 28), (3, 1), (7, 31), (12, 24), (12, 31)])
def test_a_date_is_at_the_same_place_in_leap_years(month, day):
    dates = np.array([dt.date(y, month, day) for y in (2023, 2024, 2025)], dtype="datetime64[D]")
    season = Calendar.of(PEAK).factor(dates)
    assert np.ptp(year_position(dates)) < 1 / 365
    assert np.ptp(season) / season.mean() < 0.03


@pytest.mark.parametrize("year", [2020, 2023, 2024, 2026])  # 2020 and 2026 have 53 weeks
def test_years_join_without_a_jump(year):
    season = Calendar.of(PEAK).factor(days_from(f"{year}-12-15", 40))
    assert np.abs(np.diff(np.log(season))).max() < 0.035
    leap = Calendar.of(PEAK).factor(days_from("2024-02-20", 20))
    assert np.abs(np.diff(np.log(leap))).max() < 0.035


def test_special_days_and_weekdays_count_on_their_dates_only(calendar):
    plain = Calendar(calendar.season, calendar.weekday)
    week = days_from("2024-12-22", 7)
    ratio = calendar.factor(week) / plain.factor(week)
    np.testing.assert_allclose(ratio, [1, 1, 1, 0.1, 1, 1, 1])
    sunday, monday = calendar.factor(np.array(["2024-06-02", "2024-06-03"], "datetime64[D]"))
    assert sunday / monday == pytest.approx(0.5 / 1.1, rel=0.02)


@pytest.mark.parametrize("days", [1, 20, 364.5, 1000, 7300])
def test_segments_discount_by_real_time(calendar, days):
    cutoff, rate = dt.date(2024, 10, 3), 0.0018
    parts = calendar.segments(cutoff, days)
    assert parts.edges[0] == 0.0
    assert parts.edges[-1] == pytest.approx(calendar.horizon(cutoff, days), rel=1e-12)
    assert (np.diff(parts.edges) > 0).all()
    assert (np.diff(parts.middles) > 0).all()
    assert len(parts.middles) == len(parts.edges) - 1 <= 48
    # Purchases that come at rate 1 on operational time, discounted day by day.
    grid = np.linspace(0, days, 20_000)
    clock = calendar.cumulative(cutoff, grid)
    exact = np.sum(np.diff(clock) * np.exp(-rate * (grid[1:] + grid[:-1]) / 14))
    found = np.sum(np.diff(parts.edges) * np.exp(-rate * parts.middles))
    assert found == pytest.approx(exact, rel=1e-4 if days > 2000 else 1e-5)


def test_segments_of_a_flat_calendar_have_their_mean_time_in_the_middle():
    parts = Calendar.of(np.ones(52)).segments(dt.date(2024, 1, 1), 90)
    np.testing.assert_allclose(parts.edges, [0, 30 / 7, 60 / 7, 90 / 7])
    np.testing.assert_allclose(parts.middles, [15 / 7, 45 / 7, 75 / 7])


def test_waits_are_turned_back_to_days(calendar):
    cutoff = dt.date(2024, 12, 31)
    found = calendar.days(cutoff, np.array([[0.0, 4.0], [np.nan, 1e9]]))
    assert found[0, 0] == 0.0
    assert found[0, 1] > 28  # January is slow
    assert np.isnan(found[1]).all()


def test_it_is_saved_as_json(calendar):
    noted = Calendar(calendar.season, calendar.weekday, calendar.special, {"rounds": 3})
    assert Calendar.from_dict(json.loads(json.dumps(noted.to_dict()))) == noted


@pytest.mark.parametrize(
    "saved", [{}, {"season": [1], "weekday": [1], "special": {}, "notes": {}}, {"season": 3}]
)
def test_a_damaged_calendar_is_refused(saved):
    with pytest.raises(ModelError):
        Calendar.from_dict(saved)


@pytest.mark.parametrize("value", [0.0, -1.0, np.nan, np.inf])
def test_impossible_factors_are_refused(value):
    with pytest.raises(ModelError, match="not positive"):
        Calendar((value, *[1.0] * 51))


@pytest.mark.parametrize(("recency", "T"), [(3.0, 2.0), (-1.0, 2.0), (0.0, np.nan), (np.nan, 2.0)])
def test_impossible_times_are_refused(calendar, recency, T):
    rfm = pd.DataFrame({"frequency": [1.0], "recency": [recency], "T": [T]})
    with pytest.raises(ModelError, match="Row 0"):
        calendar.operational(rfm, dt.date(2024, 1, 1))


@pytest.mark.parametrize("days", [0, -3, np.nan, np.inf])
def test_an_impossible_horizon_is_refused(calendar, days):
    with pytest.raises(ModelError):
        calendar.segments(dt.date(2024, 1, 1), days)
