"""Estimates from calibrated probabilities come to what happens, on average and in spread."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.base import ModelError
from models.estimated_performance import (
    Earnings,
    estimated_auc,
    estimated_performance,
    expected_returns,
)
from models.metrics.probability import brier
from models.metrics.ranking import roc_auc


def draws(n, times, seed=0):
    """Calibrated probabilities and what came, several times."""
    rng = np.random.default_rng(seed)
    for _ in range(times):
        p = rng.beta(3.0, 1.5, n)
        yield p, (rng.random(n) < p).astype(float)


def test_what_happens_is_what_was_estimated_on_average_and_lies_in_the_interval():
    off, held = [], []
    for p, y in draws(1500, 60):
        listed = p > 0.6
        earnings = Earnings(listed, np.where(listed, 20.0, 0.0), np.where(listed, -11.0, 0.0))
        told = estimated_performance(p, earnings, replicates=60)
        came = {
            "churn_rate": y.mean(),
            "roc_auc": roc_auc(y, p),
            "brier": brier(y, p),
            "precision": y[listed].mean(),
            "profit": earnings.earned(y).mean(),
        }
        assert told.keys() == came.keys()
        spread = [(told[name].high - told[name].low) / 3.92 for name in came]
        off.append([(came[n] - told[n].value) / s for n, s in zip(came, spread, strict=True)])
        held.append([told[name].low <= came[name] <= told[name].high for name in came])
    # 60 standard normal deviates have a mean within 0.45 but for one in two thousand.
    assert np.abs(np.mean(off, axis=0)).max() < 0.45
    assert np.mean(held, axis=0).min() > 0.85


def test_the_auc_is_the_sum_over_pairs():
    p = np.array([0.1, 0.1, 0.4, 0.8, 0.8, 0.9])
    won = pairs = 0.0
    for i, one in enumerate(p):
        for j, other in enumerate(p):
            if i != j:
                chance = one * (1.0 - other)
                pairs += chance
                won += chance * (1.0 if one > other else 0.5 if one == other else 0.0)
    assert estimated_auc(p) == pytest.approx(won / pairs, abs=1e-14)


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=30), st.randoms())
def test_the_auc_is_of_any_order_and_no_worse_than_chance(values, random):
    found = estimated_auc(values)
    random.shuffle(values)
    assert estimated_auc(values) == pytest.approx(found, abs=1e-9, nan_ok=True)
    assert np.isnan(found) or 0.5 - 1e-9 <= found <= 1.0 + 1e-9


def test_of_very_many_customers_some_are_drawn_and_the_spread_is_that_of_all():
    p = np.random.default_rng(1).beta(3.0, 1.5, 200_000)
    told = estimated_performance(p, replicates=40)["churn_rate"]
    spread = np.sqrt((p * (1 - p)).sum()) / p.size
    assert (told.high - told.low) / 3.92 == pytest.approx(spread, rel=0.35)


def test_probabilities_that_are_none_are_refused():
    for wrong in ([0.2, 1.2], [0.1, np.nan]):
        with pytest.raises(ModelError, match="between 0 and 1"):
            estimated_auc(wrong)
    with pytest.raises(ModelError, match="nobody"):
        estimated_performance([])


def test_returns_by_a_day_lie_in_the_band_as_often_as_it_says():
    rng = np.random.default_rng(2)
    held = []
    for p, y in draws(800, 200, seed=3):
        back = rng.exponential(40.0, 800) % 90.0  # when, of those who come back
        curve = np.searchsorted(np.sort(rng.exponential(40.0, 4000) % 90.0), [31.0]) / 4000
        share = ((y == 0.0) & (back < 31.0)).mean()
        _, low, high = expected_returns(p, [curve])
        held.append(low[0] <= share <= high[0])
    assert np.mean(held) > 0.90


def test_curves_that_differ_widen_the_band_and_few_who_stand_for_many_do():
    p = np.full(500, 0.5)
    alike = expected_returns(p, [[0.3], [0.3], [0.3]])
    apart = expected_returns(p, [[0.2], [0.3], [0.4]])
    few = expected_returns(p, [[0.3], [0.3], [0.3]], effective=50)
    for mean, low, high in (alike, apart, few):
        assert mean[0] == pytest.approx(0.15)
        assert low[0] < mean[0] < high[0]
    width = [high[0] - low[0] for _, low, high in (alike, apart, few)]
    assert width[0] < 0.5 * width[1]
    assert width[2] == pytest.approx(width[0] * np.sqrt(10.0), rel=0.01)
