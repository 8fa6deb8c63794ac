"""The calendar factor is found where there is one, and not where there is none."""

import datetime as dt
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from models.base import ModelError
from models.btyd import ModifiedBetaGeoNBD
from models.calendar import Calendar, SpecialDay, year_position
from models.calendar_learning import MIN_HISTORY_DAYS, learn

START = dt.date(2021, 3, 1)
POPULATION = {"r": 0.8, "alpha": 8.0, "a": 0.8, "b": 2.5}
YEAR = np.datetime64("2023-01-01") + np.arange(364)

Factor = Callable[[np.ndarray], np.ndarray]


def seasonal(days: np.ndarray) -> np.ndarray:
    """High before Christmas, low after it and in summer; quiet on Sundays; 1 on average."""
    at = year_position(days)
    raw = (
        1 + 0.9 * np.exp(-(((at - 0.93) / 0.04) ** 2)) - 0.25 * np.exp(-(((at - 0.06) / 0.05) ** 2))
    )
    raw = raw - 0.15 * np.exp(-(((at - 0.58) / 0.07) ** 2))
    sunday = (days.astype(int) + 3) % 7 == 6
    return raw / 1.014 * np.where(sunday, 0.5, 6.5 / 6)


def flat(days: np.ndarray) -> np.ndarray:
    return np.ones(len(days))


class Shop:
    """Customers of an MBG/NBD population whose rates follow a factor; days counted from START."""

    def __init__(self, factor: Factor, customers: int, days: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        clock = np.concatenate([[0.0], np.cumsum(factor(np.datetime64(START) + np.arange(days)))])
        clock /= 7
        grid = np.arange(days + 1.0)
        share = np.sqrt(np.diff(clock)) * (1 + np.arange(days) / days)  # a growing shop
        first = rng.choice(days, customers, p=share / share.sum())
        rate = rng.gamma(POPULATION["r"], 1 / POPULATION["alpha"], customers)
        leaving = rng.beta(POPULATION["a"], POPULATION["b"], customers)
        who, when = [np.arange(customers)], [first]
        there = np.flatnonzero(rng.random(customers) > leaving)
        now = np.interp(first + 0.5, grid, clock)
        while len(there):
            now[there] += rng.exponential(1 / rate[there])
            there = there[now[there] < clock[-1]]
            who.append(there)
            when.append(np.floor(np.interp(now[there], clock, grid)).astype(int))
            there = there[rng.random(len(there)) > leaving[there]]
        both = np.unique(np.concatenate(who).astype(np.int64) * days + np.concatenate(when))
        self.customer, self.day = both // days, both % days

    def known(self, cutoff: int) -> tuple[pd.DataFrame, np.ndarray]:
        """The summary and the repeat purchases by day."""
        known = self.day < cutoff
        who, day = self.customer[known], self.day[known]
        ids, start, count = np.unique(who, return_index=True, return_counts=True)
        first, last = day[start], day[start + count - 1]
        rfm = pd.DataFrame(
            {"frequency": count - 1.0, "recency": (last - first) / 7, "T": (cutoff - first) / 7},
            index=ids,
        )
        repeats = np.bincount(day, minlength=cutoff) - np.bincount(first, minlength=cutoff)
        return rfm, repeats

    def bought(self, ids: np.ndarray, cutoff: int, days: int) -> int:
        """Purchases of these customers in the `days` days from the cutoff on."""
        coming = (self.day >= cutoff) & (self.day < cutoff + days)
        return int(np.isin(self.customer[coming], ids).sum())


def date(day: int) -> dt.date:
    return START + dt.timedelta(days=day)


def weekly(days: np.ndarray) -> np.ndarray:
    return days.reshape(-1, 7).mean(axis=1)


def error(calendar: Calendar, factor: Factor) -> np.ndarray:
    return np.log(weekly(calendar.factor(YEAR)) / weekly(factor(YEAR)))


@pytest.fixture(scope="module")
def shop() -> Shop:
    return Shop(seasonal, 16_000, 1400, seed=1)


@pytest.fixture(scope="module")
def calm() -> Shop:
    return Shop(flat, 8_000, 1100, seed=2)


@pytest.mark.parametrize(("years", "worst"), [(2.0, 0.17), (3.0, 0.12)])
def test_a_season_is_found(shop, years, worst):
    cutoff = int(365.25 * years)
    calendar = learn(*shop.known(cutoff), date(cutoff))
    wrong = error(calendar, seasonal)
    assert np.sqrt(np.mean(wrong**2)) < 0.05
    assert np.abs(wrong).max() < worst
    sunday = calendar.weekday[6] / np.mean(calendar.weekday[:6])
    assert sunday == pytest.approx(0.5 / (6.5 / 6), rel=0.1)
    assert calendar.notes["season_sd"] > 0.05
    assert np.sqrt(np.mean(wrong**2)) < 1.5 * np.mean(calendar.notes["season_error"])
    assert calendar.notes["learned_until"] == str(date(cutoff))


def test_none_is_found_where_there_is_none(calm):
    cutoff = 1000
    rfm, repeats = calm.known(cutoff)
    calendar = learn(rfm, repeats, date(cutoff))
    assert np.abs(calendar.factor(YEAR) - 1).max() < 0.05
    actual = calm.bought(rfm.index, cutoff, 91)
    plain = ModifiedBetaGeoNBD().fit(rfm, method="map").expected_purchases(rfm, 13).sum()
    clocked = calendar.operational(rfm, date(cutoff))
    model = ModifiedBetaGeoNBD().fit(clocked, method="map")
    timed = model.expected_purchases(clocked, calendar.horizon(date(cutoff), 91)).sum()
    assert abs(timed / actual - 1) < abs(plain / actual - 1) + 0.01


@pytest.mark.parametrize("cutoff", [date(990), date(1060)])  # before Christmas and in January
def test_a_holdout_in_another_season_is_not_biased(shop, cutoff):
    days = (cutoff - START).days
    rfm, repeats = shop.known(days)
    actual = shop.bought(rfm.index, days, 56)
    plain = ModifiedBetaGeoNBD().fit(rfm, method="map").expected_purchases(rfm, 8).sum()
    assert abs(plain / actual - 1) > 0.15
    calendar = learn(rfm, repeats, cutoff)
    clocked = calendar.operational(rfm, cutoff)
    model = ModifiedBetaGeoNBD().fit(clocked, method="map")
    expected = model.expected_purchases(clocked, calendar.horizon(cutoff, 56)).sum()
    assert abs(expected / actual - 1) < 0.06


def test_the_population_is_found_on_operational_time():
    strong = Calendar.of(np.where(np.arange(52) >= 40, 3.0, 0.4))
    shop = Shop(strong.factor, 12_000, 800, seed=3)
    rfm, _ = shop.known(800)
    clocked = strong.operational(rfm, date(800))
    found = ModifiedBetaGeoNBD().fit(clocked, method="map")
    blind = ModifiedBetaGeoNBD().fit(rfm, method="map")
    truth = ModifiedBetaGeoNBD.from_parameters(**POPULATION)
    # The truth is about as likely as the best fit, to four parameters' worth.
    gain = found.log_likelihood(clocked) - truth.log_likelihood(clocked)
    assert 0 <= gain < 12
    # In real time, the sum of ln c brings both densities to the same measure.
    repeats = shop.known(800)[1]
    days = np.datetime64(START) + np.arange(800)
    shift = float(repeats @ np.log(strong.factor(days)))
    assert found.log_likelihood(clocked) + shift > blind.log_likelihood(rfm) + 1000


def test_special_days_are_found():
    closed = SpecialDay(0.05, tuple(dt.date(y, 12, 25) for y in range(2020, 2030)))
    easter = [(2021, 4, 4), (2022, 4, 17), (2023, 4, 9), (2024, 3, 31), (2025, 4, 20)]
    peak = SpecialDay(3.0, tuple(dt.date(*day) for day in easter))
    truth = Calendar.of(np.ones(52), special={"Christmas Day": closed, "Easter": peak})
    shop = Shop(truth.factor, 14_000, 1000, seed=4)
    dates = {name: day.dates for name, day in truth.special.items()}
    nothing = {"Labour Day": [dt.date(y, 5, 1) for y in range(2020, 2030)]}
    never = {"One Day": [dt.date(2031, 1, 1)]}
    calendar = learn(*shop.known(1000), date(1000), dates | nothing | never)
    assert set(calendar.special) == {"Christmas Day", "Easter", "Labour Day"}
    assert calendar.special["Christmas Day"].factor < 0.4
    assert 1.8 < calendar.special["Easter"].factor < 3.6
    assert 0.6 < calendar.special["Labour Day"].factor < 1.6
    assert calendar.special["Easter"].dates == peak.dates
    days = np.datetime64("2021-01-01") + np.arange(1461)
    assert calendar.factor(days).mean() == pytest.approx(1, abs=1e-9)


def test_a_trend_is_no_season():
    def growing(days: np.ndarray) -> np.ndarray:
        return 1.3 ** ((days - np.datetime64(START)).astype(int) / 365.25)

    shop = Shop(growing, 8_000, 900, seed=5)
    calendar = learn(*shop.known(900), date(900))
    assert np.abs(np.log(weekly(calendar.factor(YEAR)))).max() < 0.06


def test_one_wild_week_is_no_season():
    def wild(days: np.ndarray) -> np.ndarray:
        since = (days - np.datetime64("2022-05-02")).astype(int)
        return np.where((since >= 0) & (since < 7), 3.0, 1.0)

    shop = Shop(wild, 8_000, 1200, seed=6)
    calendar = learn(*shop.known(1200), date(1200))
    assert np.abs(np.log(weekly(calendar.factor(YEAR)))).max() < 0.15


def test_weights_stand_for_customers(shop):
    rfm, repeats = shop.known(700)
    counted = rfm.groupby(["frequency", "recency", "T"]).size().rename("weight").reset_index()
    one = learn(rfm, repeats, date(700))
    other = learn(counted, repeats, date(700))
    np.testing.assert_allclose(one.season, other.season, rtol=1e-4)
    # Days before the first purchase say nothing.
    padded = learn(counted, np.concatenate([np.zeros(50), repeats]), date(700))
    assert padded == other


def test_a_short_history_is_refused(shop):
    cutoff = MIN_HISTORY_DAYS - 1
    with pytest.raises(ModelError, match=r"too short .* 547 days"):
        learn(*shop.known(cutoff), date(cutoff))


def test_few_purchases_are_refused(shop):
    rfm, _ = shop.known(800)
    with pytest.raises(ModelError, match="Too few repeat purchases"):
        learn(rfm.assign(frequency=0.0, recency=0.0), np.zeros(800), date(800))


def test_other_purchases_are_refused(shop):
    rfm, repeats = shop.known(800)
    with pytest.raises(ModelError, match="not those of the summary"):
        learn(rfm, repeats[1:] + 1, date(800))
    with pytest.raises(ModelError, match="not those of the summary"):
        learn(rfm, repeats[-600:], date(800))
