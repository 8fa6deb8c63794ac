"""The interval against its definition."""

import json

import numpy as np
import pytest
from scipy.optimize import isotonic_regression
from scipy.special import expit, logit

from models.base import ModelError
from models.venn_abers import MAX_KNOTS, VennAbers


def simulated(n, seed, slope=1.0, shift=0.0, digits=6):
    rng = np.random.default_rng(seed)
    score = rng.normal(0, 1.5, n).round(digits)
    return score, (rng.random(n) < expit(slope * score + shift)).astype(float)


@pytest.mark.parametrize("digits", [1, 6])
def test_venn_abers_equals_its_definition(digits):
    score, y = simulated(150, 10, digits=digits)
    fitted = VennAbers.fit(score, y)
    for new in [*np.linspace(-6, 6, 61), *score[:30]]:
        ends = []
        for label in (0.0, 1.0):
            _, code = np.unique(np.append(score, new), return_inverse=True)
            weight = np.bincount(code).astype(float)
            rate = np.bincount(code, weights=np.append(y, label)) / weight
            ends.append(isotonic_regression(rate, weights=weight).x[code[-1]])
        low, high = fitted([new])
        assert low[0] == pytest.approx(ends[0], abs=1e-12)
        assert high[0] == pytest.approx(ends[1], abs=1e-12)


def test_venn_abers_is_valid_on_average():
    # The theorem: the one of p0, p1 that belongs to the true outcome is calibrated. So their
    # means enclose the churn rate, overall and among low and high scores, however wrong the
    # score is. Pooled over many small calibration sets.
    inside = []
    for seed in range(60):
        score, y = simulated(60, 100 + seed, 2.0, 1.0)
        new, outcome = simulated(300, 1000 + seed, 2.0, 1.0)
        low, high = VennAbers.fit(score, y)(new)
        inside.append(np.column_stack([new > 0, low, high, outcome]))
    pooled = np.concatenate(inside)
    for part in (pooled, pooled[pooled[:, 0] == 0], pooled[pooled[:, 0] == 1]):
        _, low, high, rate = part.mean(axis=0)
        assert low < rate < high
    taken = np.where(pooled[:, 3] == 1, pooled[:, 2], pooled[:, 1])
    for edge in (0.2, 0.5, 0.8):
        some = np.abs(taken - edge) < 0.15
        assert taken[some].mean() == pytest.approx(pooled[some, 3].mean(), abs=0.04)


def test_venn_abers_narrows_with_more_calibration_customers():
    width = []
    for n in (100, 1000, 10_000):
        low, high = VennAbers.fit(*simulated(n, 11))(np.linspace(-2, 2, 50))
        assert np.all(low <= high)
        width.append((high - low).mean())
    assert width[0] > 2 * width[1] > 4 * width[2]


def test_venn_abers_stays_small_and_survives_json():
    score, y = simulated(20_000, 12)
    fitted = VennAbers.fit(score, y)
    assert len(fitted.score) <= MAX_KNOTS
    again = VennAbers.from_dict(json.loads(json.dumps(fitted.to_dict())))
    grid = np.linspace(-9, 9, 5000)
    np.testing.assert_array_equal(again(grid), fitted(grid))
    # Merged knots cost little: the coarse interval still encloses the true rate's neighbourhood.
    low, high = fitted(logit([0.2, 0.5, 0.8]))
    assert np.all(low - 0.03 < [0.2, 0.5, 0.8])
    assert np.all(high + 0.03 > [0.2, 0.5, 0.8])


def test_venn_abers_with_one_outcome_only():
    low, high = VennAbers.fit([0.0, 1.0, 2.0], [0, 0, 0])([1.5])
    assert low[0] == 0.0
    assert 0 < high[0] < 1


def test_a_margin_widens_the_interval_to_the_ends_of_moved_scores():
    score, y = simulated(500, 13)
    narrow, wide = VennAbers.fit(score, y), VennAbers.fit(score, y, margin=0.4)
    grid = np.linspace(-4, 4, 200)
    low, high = wide(grid)
    np.testing.assert_array_equal(low, narrow(grid - 0.4)[0])
    np.testing.assert_array_equal(high, narrow(grid + 0.4)[1])
    again = VennAbers.from_dict(json.loads(json.dumps(wide.to_dict())))
    np.testing.assert_array_equal(again(grid), (low, high))
    with pytest.raises(ModelError, match="margin"):
        VennAbers.fit(score, y, margin=-1.0)


def test_around_encloses_the_probability():
    fitted = VennAbers.fit(*simulated(500, 14))
    grid = np.linspace(-4, 4, 200)
    low, high = fitted.around(grid, np.full(200, 0.5))
    assert np.all((low <= 0.5) & (high >= 0.5))
