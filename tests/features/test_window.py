import datetime as dt
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.errors import InputError, NotEnoughDataError
from features.window import (
    ObservationWindow,
    last_closed_cutoff,
    monthly_cutoffs,
    split_cutoffs,
)

START = dt.date(2024, 1, 1)


def day(text: str) -> dt.date:
    return dt.date.fromisoformat(text)


def test_the_label_window_follows_the_gap_and_is_half_open() -> None:
    window = ObservationWindow(START, day("2024-03-01"), gap_days=7, horizon_days=30)
    assert window.label_start == day("2024-03-08")
    assert window.label_end == day("2024-04-07")


def test_a_window_closes_with_its_last_day() -> None:
    window = ObservationWindow(START, day("2024-03-01"), horizon_days=31)
    assert window.label_end == day("2024-04-01")
    assert window.is_closed(day("2024-03-31"))
    assert not window.is_closed(day("2024-03-30"))


def test_a_window_as_long_as_the_history_is_observed() -> None:
    window = ObservationWindow(START, day("2024-01-31"))
    assert window.observes(30)
    assert not window.observes(31)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"gap_days": -1}, "gap_days is -1"),
        ({"horizon_days": 0}, "horizon_days is 0"),
        ({"cutoff": START}, "data begins on 2024-01-01"),
    ],
)
def test_a_window_that_cannot_be_is_refused(fields: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        ObservationWindow(**{"start": START, "cutoff": day("2024-02-01"), **fields})


def test_a_cutoff_is_a_date_and_no_moment() -> None:
    with pytest.raises(TypeError, match="cutoff is a date"):
        ObservationWindow(START, dt.datetime(2024, 2, 1, 12))


def test_the_last_closed_cutoff_uses_the_whole_last_day() -> None:
    cutoff = last_closed_cutoff(day("2010-11-30"), horizon_days=90)
    assert cutoff == day("2010-09-02")
    assert ObservationWindow(START.replace(year=2009), cutoff).is_closed(day("2010-11-30"))


def test_month_ends_are_clamped_and_come_back() -> None:
    cutoffs = monthly_cutoffs(day("2023-10-01"), day("2024-06-28"), 90, min_history_days=60)
    assert cutoffs == [
        day(text) for text in ("2023-11-30", "2023-12-31", "2024-01-31", "2024-02-29", "2024-03-31")
    ]


def test_one_year_gives_a_usable_split() -> None:
    cutoffs = monthly_cutoffs(day("2009-12-01"), day("2010-11-30"), horizon_days=90)
    split = split_cutoffs(cutoffs, horizon_days=90)
    assert split.test == day("2010-09-02")
    assert split.calibration == [day("2010-06-02")]
    assert split.train == [day("2010-01-02"), day("2010-02-02"), day("2010-03-02")]


def test_two_years_pool_calibration_and_start_after_half_a_year() -> None:
    first, last = day("2022-01-01"), day("2023-12-31")
    cutoffs = monthly_cutoffs(first, last, horizon_days=90)
    assert cutoffs[0] >= first + dt.timedelta(days=180)
    split = split_cutoffs(cutoffs, horizon_days=90)
    assert split.test == day("2023-10-03")
    assert split.calibration == [day("2023-05-03"), day("2023-06-03"), day("2023-07-03")]
    assert split.train[0] == day("2022-07-03")
    assert split.train[-1] == day("2023-02-03") - dt.timedelta(days=31)
    assert len(split.train) == 7


def test_long_histories_train_on_the_latest_two_years() -> None:
    cutoffs = monthly_cutoffs(day("2014-01-01"), day("2023-12-31"), horizon_days=90)
    split = split_cutoffs(cutoffs, horizon_days=90)
    assert len(split.train) == 24
    assert split.train[-1] == day("2023-01-03")


@pytest.mark.parametrize(
    ("last", "message"),
    [
        ("2024-02-15", "No monthly cutoff"),
        ("2024-05-15", "Only one monthly cutoff can be used, 2024-02-16"),
        ("2024-09-30", "Only 6 monthly cutoffs can be used, 2024-02-03 to 2024-07-03"),
    ],
)
def test_a_history_too_short_is_told_in_plain_words(last: str, message: str) -> None:
    with pytest.raises(NotEnoughDataError, match=message) as caught:
        split_cutoffs(monthly_cutoffs(START, day(last), horizon_days=90), horizon_days=90)
    assert "horizon of 90 days about 331 days" in caught.value.hint


@given(
    length=st.integers(1, 1500),
    horizon=st.integers(1, 200),
    gap=st.integers(0, 40),
    anchor=st.dates(day("2001-01-01"), day("2030-12-31")),
)
def test_no_label_window_reaches_into_a_later_stage(
    length: int, horizon: int, gap: int, anchor: dt.date
) -> None:
    last = anchor + dt.timedelta(days=length)
    cutoffs = monthly_cutoffs(anchor, last, horizon, gap)
    assert cutoffs == sorted(set(cutoffs))
    for cutoff in cutoffs:
        assert cutoff >= anchor + dt.timedelta(days=30)
        assert ObservationWindow(anchor, cutoff, gap, horizon).is_closed(last)
    for one, other in pairwise(cutoffs):
        assert 28 <= (other - one).days <= 31
    try:
        split = split_cutoffs(cutoffs, horizon, gap)
    except NotEnoughDataError:
        # What the message promises to be enough must be enough.
        assert length < 3 * (horizon + gap) + 30 + 62
        return
    reach = dt.timedelta(days=horizon + gap)
    assert split.train[-1] + reach <= split.calibration[0]
    assert split.calibration[-1] + reach <= split.test == cutoffs[-1]
    assert set(split.train) | set(split.calibration) <= set(cutoffs)
    assert 1 <= len(split.calibration) <= 3
    assert 1 <= len(split.train) <= 24
    assert len(split.calibration) == 1 or len(split.train) >= 6
