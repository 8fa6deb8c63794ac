"""Intervals hold as often as they say, for whatever model and whatever outcomes."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.base import ModelError
from models.conformal import LEVELS, Conformal, chance, scores


def ends(table, quantiles, interval):
    """The interval of each row, the way a model reads it."""
    columns = dict(enumerate(quantiles.T))
    return [table.value(level, columns) for level in table.levels(interval)]


def shop(rng, n, spread):
    """Zero-heavy, heavy-tailed outcomes, and quantiles of a model that is wrong about them."""
    buys = rng.random(n) < rng.beta(0.5, 1.0, n)
    level = rng.lognormal(3.0, 1.0, n)
    y = np.where(buys, level * rng.lognormal(0.0, 1.2, n), 0.0)
    shape = np.quantile(np.where(rng.random(4000) < 0.4, rng.lognormal(0, spread, 4000), 0), LEVELS)
    return 0.7 * level[:, None] * shape, y


@pytest.mark.parametrize("interval", [0.5, 0.8, 0.9, 0.95])
@pytest.mark.parametrize("spread", [0.05, 1.2, 3.0])
def test_coverage_is_at_least_nominal_when_customers_are_alike(interval, spread):
    rng = np.random.default_rng(5)
    held = []
    for _ in range(30):
        q, y = shop(rng, 800, spread)
        table = Conformal.learn(scores(q[:400], y[:400], 20.0, rng.random(400)), 20.0)
        low, high = ends(table, q[400:], interval)
        held.append(((low <= y[400:] + 1e-9) & (y[400:] <= high + 1e-9)).mean())
    assert np.mean(held) >= interval - 2 * np.std(held) / np.sqrt(len(held))


def test_randomised_coverage_is_not_far_above_nominal():
    rng = np.random.default_rng(6)
    q, y = shop(rng, 40_000, 1.2)
    table = Conformal.learn(scores(q[:20_000], y[:20_000], 20.0, rng.random(20_000)), 20.0)
    found = scores(q[20_000:], y[20_000:], 20.0, rng.random(20_000))
    low, high = table.levels(0.9)
    assert ((found >= low) & (found <= high)).mean() == pytest.approx(0.9, abs=0.01)


@given(
    seed=st.integers(0, 10_000),
    scale=st.sampled_from([1e-3, 1.0, 1e6]),
    zeros=st.integers(0, len(LEVELS)),
)
@settings(max_examples=60, deadline=None)
def test_the_value_at_the_score_of_an_outcome_is_the_outcome(seed, scale, zeros):
    rng = np.random.default_rng(seed)
    q = np.sort(rng.lognormal(0.0, 1.0, (20, len(LEVELS))), axis=1) * scale
    q[:, :zeros] = 0.0
    y = np.where(rng.random(20) < 0.3, 0.0, rng.lognormal(0.0, 2.0, 20) * scale)
    y[0] = q[0, -1]  # on a quantile
    table = Conformal(1, (1,), (0.5,), scale)
    found = scores(q, y, scale, rng.random(20))
    back = [table.value(s, dict(enumerate(q[[i]].T)))[0] for i, s in enumerate(found)]
    np.testing.assert_allclose(back, y, rtol=1e-9, atol=1e-9 * scale)


def test_the_finite_sample_ranks_are_the_textbook_ones():
    table = Conformal.learn(np.arange(1.0, 100.0), 1.0)  # 99 customers, scores equal ranks
    assert table.levels(0.90) == (5.0, 95.0)
    assert table.levels(0.98) == (1.0, 99.0)
    with pytest.raises(ModelError, match=r"99 calibration customers[\s\S]*at most 0.98"):
        table.levels(0.99)
    with pytest.raises(ModelError, match="interval is 1"):
        table.levels(1.0)


def test_intervals_of_several_levels_lie_inside_each_other():
    rng = np.random.default_rng(7)
    q, y = shop(rng, 5000, 1.2)
    table = Conformal.learn(scores(q, y, 20.0, rng.random(5000)), 20.0)
    inner = ends(table, q, 0.5)
    outer = ends(table, q, 0.9)
    assert (outer[0] <= inner[0]).all()
    assert (inner[1] <= outer[1]).all()


def test_what_is_kept_is_small_and_no_customer():
    rng = np.random.default_rng(8)
    table = Conformal.learn(rng.normal(size=100_000), 12.5)
    assert len(table.scores) <= 200
    assert (table.ranks[0], table.ranks[-1], table.count) == (1, 100_000, 100_000)
    again = Conformal.from_dict(json.loads(json.dumps(table.to_dict())))
    assert again == table
    with pytest.raises(ModelError, match="no scores"):
        Conformal.learn([], 1.0)


def test_chance_depends_on_the_id_and_the_purpose_only():
    index = pd.Index([f"c{i}" for i in range(2000)])
    u = chance(index, "score")
    assert abs(u.mean() - 0.5) < 0.03
    np.testing.assert_array_equal(chance(index[::-1], "score")[::-1], u)
    assert abs(np.corrcoef(u, chance(index, "calibrate"))[0, 1]) < 0.06


def test_scores_rise_with_the_level_and_make_the_intervals():
    table = Conformal.learn(np.random.default_rng(0).normal(0.5, 0.3, 700), 1.0)
    levels = np.linspace(0.01, 0.99, 197)
    scores_at = [table.score(level) for level in levels]
    assert (np.diff(scores_at) >= 0.0).all()
    assert table.levels(0.8) == (table.score(0.1), table.score(0.9))
    with pytest.raises(ModelError, match=r"interval of 0\.999"):
        table.score(0.9995)
