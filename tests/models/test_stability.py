"""Tests of the population stability index and of its size by chance."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import false_discovery_control

from models.base import ModelError
from models.stability import (
    ACT,
    WATCH,
    adjusted,
    bins_in_use,
    psi,
    psi_critical,
    psi_p_value,
)

counts = st.lists(st.integers(0, 500), min_size=2, max_size=12)


def test_known_answer_without_smoothing_that_matters() -> None:
    # 0.1 ln 2 + 0.1 ln(0.4 / 0.3) twice over: shares .2/.3/.5 against .1/.4/.5.
    expected = (0.1 - 0.2) * np.log(0.1 / 0.2) + (0.4 - 0.3) * np.log(0.4 / 0.3)
    found = psi([200_000, 300_000, 500_000], [100_000, 400_000, 500_000])
    assert found == pytest.approx(expected, rel=1e-4)


def test_critical_value_of_seven_grades() -> None:
    # (1/999 + 1/1001) times the 95 % point of chi-square with 6 degrees of freedom, 12.592.
    assert psi_critical(999, 1001, 7, 0.05) == pytest.approx(
        12.592 * (1 / 999 + 1 / 1001), rel=1e-4
    )
    critical = psi_critical(500, 300, 11, 0.01)
    assert psi_p_value(critical, 500, 300, 11) == pytest.approx(0.01)


@given(counts, st.randoms())
def test_properties(values: list[int], random: object) -> None:
    other = values[::-1]
    if not sum(values):
        assert np.isnan(psi(values, other))
        return
    assert psi(values, values) == 0.0
    assert psi(values, other) >= 0.0
    assert psi(values, other) == pytest.approx(psi(other, values))
    order = np.random.default_rng(len(values)).permutation(len(values))
    assert psi(np.array(values)[order], np.array(other)[order]) == pytest.approx(psi(values, other))


def test_an_empty_bin_is_finite_and_bins_empty_on_both_sides_do_not_count() -> None:
    assert np.isfinite(psi([50, 50, 0], [50, 0, 50]))
    assert psi([50, 50, 0, 0], [60, 40, 0, 0]) == psi([50, 50], [60, 40])
    assert bins_in_use([50, 50, 0, 0], [60, 40, 0, 1]) == 3


def test_one_bin_says_nothing() -> None:
    assert psi_p_value(psi([100], [50]), 100, 50, 1) == 1.0


def test_shapes_must_agree() -> None:
    with pytest.raises(ModelError, match="same bins"):
        psi([1, 2], [1, 2, 3])


def test_adjusted_p_values_are_those_of_scipy() -> None:
    p = np.random.default_rng(3).uniform(size=40) ** 3
    assert adjusted(p.tolist()) == pytest.approx(false_discovery_control(p))
    assert adjusted([]).tolist() == []


@pytest.mark.parametrize("size", [100, 1_000, 10_000])
def test_false_alarms_over_a_hundred_columns_stay_rare(size: int) -> None:
    rng = np.random.default_rng(size)
    alone, families = [], []
    for _ in range(15):
        p = []
        for _ in range(108):
            share = rng.dirichlet(np.full(11, 20.0))
            before, now = rng.multinomial(size, share), rng.multinomial(size, share)
            p.append(psi_p_value(psi(before, now), size, size, bins_in_use(before, now)))
        alone += p
        families.append(bool((adjusted(p) <= 0.01).any()))
    # With ten customers a bin the smoothing makes the test a little shy.
    assert 0.01 < np.mean(np.array(alone) <= 0.05) < 0.065
    assert sum(families) <= 1


def test_the_fixed_limit_alone_would_alarm_at_chance_in_small_shops_and_ours_does_not() -> None:
    rng = np.random.default_rng(8)
    found = [psi(*rng.multinomial(100, np.full(11, 1 / 11), size=2)) for _ in range(200)]
    assert np.mean(np.array(found) > WATCH) > 0.5
    assert np.mean(np.array(found) > psi_critical(100, 100, 11, 0.01)) < 0.04


def test_a_shift_by_half_a_standard_deviation_is_found_with_a_thousand_customers() -> None:
    rng = np.random.default_rng(9)
    edges = np.quantile(rng.normal(size=5000), np.arange(1, 10) / 10)
    hits = 0
    for _ in range(50):
        before = np.bincount(np.searchsorted(edges, rng.normal(size=1000)), minlength=10)
        now = np.bincount(np.searchsorted(edges, rng.normal(0.5, 1, size=1000)), minlength=10)
        value = psi(before, now)
        # The p-value times 108: as if it were the only one of so many columns that moved.
        hits += value > WATCH and 108 * psi_p_value(value, 1000, 1000, 10) <= 0.01
    assert hits >= 48
    assert ACT > WATCH
