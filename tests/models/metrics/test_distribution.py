"""Intervals and draws against their definitions."""

import numpy as np
import pytest
from scipy import stats

from training import metrics


def test_crps_by_pairs(value):
    y, mean = value
    draws = np.random.default_rng(1).gamma(2.0, mean[:, None] / 2, (y.size, 40))
    pairs = np.abs(draws[:, :, None] - draws[:, None, :]).mean(axis=(1, 2))
    by_pairs = (np.abs(draws - y[:, None]).mean(axis=1) - pairs / 2).mean()
    assert metrics.crps(y, draws) == pytest.approx(by_pairs, rel=1e-12)


def test_pit_of_a_right_forecast_is_uniform_even_for_counts():
    rng = np.random.default_rng(3)
    rate = rng.gamma(0.5, 2.0, 4000)
    y = rng.poisson(rate).astype(float)
    draws = rng.poisson(rate[:, None], (4000, 99)).astype(float)
    pit = metrics.randomised_pit(y, draws, rng)
    assert metrics.pit_ks(pit) == pytest.approx(stats.kstest(pit, "uniform").statistic)
    assert metrics.pit_ks(pit) < 1.63 / np.sqrt(4000)
    wrong = metrics.randomised_pit(y, draws + 1, rng)
    assert metrics.pit_ks(wrong) > 0.3


def test_coverage_of_a_right_forecast_is_its_level_where_most_outcomes_are_zero():
    rng = np.random.default_rng(5)
    rate = rng.gamma(0.1, 2.0, 8000)
    y = rng.poisson(rate).astype(float)
    draws = rng.poisson(rate[:, None], (8000, 99)).astype(float)
    pit = metrics.randomised_pit(y, draws, rng)
    for level in (0.5, 0.9):
        assert metrics.coverage(pit, level) == pytest.approx(level, abs=0.02)
    low, high = np.quantile(draws, [0.05, 0.95], axis=1)
    assert metrics.held(y, low, high) > 0.95  # every zero lies inside


@pytest.mark.parametrize("points", [10, 20, 99])
def test_quantiles_in_the_place_of_draws_give_the_same_coverage(points):
    rng = np.random.default_rng(5)
    rate = rng.gamma(0.3, 4.0, 20_000)
    y = rng.poisson(rate).astype(float)
    levels = (np.arange(points) + 0.5) / points
    quantiles = stats.poisson.ppf(levels[None, :], rate[:, None])
    pit = metrics.randomised_pit(y, quantiles, rng, spaced=True)
    assert metrics.coverage(pit, 0.90) == pytest.approx(0.90, abs=0.025)
    assert metrics.coverage(pit, 0.50) == pytest.approx(0.50, abs=0.025)
    assert metrics.pit_ks(pit) < 0.02


def test_held_counts_the_ends():
    assert metrics.held([0.0, 1.0, 5.0, 9.0], [0.0] * 4, [5.0] * 4) == 0.75
    with pytest.raises(ValueError, match="low <= high"):
        metrics.held([0.0], [1.0], [0.0])
