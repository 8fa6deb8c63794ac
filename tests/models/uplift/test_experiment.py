import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from models.base import ModelError
from models.uplift.experiment import adjusted_effect, campaign_profit, difference_in_means


def trial(n=2000, effect=0.5, seed=0):
    rng = np.random.default_rng(seed)
    before = rng.normal(size=n)
    treated = (rng.random(n) < 0.4).astype(float)
    y = 2 * before + effect * treated + rng.normal(scale=0.5, size=n)
    return y, treated, pd.DataFrame({"before": before})


def test_the_effect_is_the_plain_difference_with_welchs_interval():
    y, treated, _ = trial()
    effect = difference_in_means(y, treated)
    welch = stats.ttest_ind(y[treated == 1], y[treated == 0], equal_var=False)
    low, high = welch.confidence_interval(0.95)
    plain = y[treated == 1].mean() - y[treated == 0].mean()
    assert effect.value == pytest.approx(plain, abs=1e-12)
    assert (effect.low, effect.high) == pytest.approx((low, high), abs=1e-12)
    assert effect.p_value == pytest.approx(welch.pvalue, rel=1e-9)


@given(st.permutations(range(30)))
def test_no_order_of_customers_changes_a_bit(order):
    y, treated, _before = trial(30)
    rows = np.array(order)
    assert difference_in_means(y[rows], treated[rows]) == difference_in_means(y, treated)
    one, other = (
        campaign_profit(a, a / 7, b, margin=0.3)
        for a, b in ((y, treated), (y[rows], treated[rows]))
    )
    assert one == other


def test_the_adjusted_estimate_has_the_same_truth_and_a_shorter_interval():
    y, treated, before = trial(effect=0.5)
    plain, adjusted = difference_in_means(y, treated), adjusted_effect(y, treated, before)
    assert adjusted.se < plain.se / 3
    assert adjusted.low < 0.5 < adjusted.high


def test_the_adjusted_estimate_is_lins_regression_by_hand():
    y, treated, before = trial(400)
    x = before["before"] - before["before"].mean()
    X = np.column_stack([np.ones(400), treated, x, x * treated])
    inverse = np.linalg.inv(X.T @ X)
    beta = inverse @ X.T @ y
    leverage = np.einsum("ij,jk,ik->i", X, inverse, X)
    meat = X.T @ (X * ((y - X @ beta) ** 2 / (1 - leverage))[:, None])
    found = adjusted_effect(y, treated, before)
    assert found.value == pytest.approx(beta[1], abs=1e-9)
    assert found.se == pytest.approx(np.sqrt((inverse @ meat @ inverse)[1, 1]), rel=1e-8)


def test_covariates_that_are_constant_missing_or_repeated_do_no_harm():
    y, treated, before = trial()
    more = before.assign(same=1.0, twice=3 * before["before"], none=np.nan)
    assert adjusted_effect(y, treated, more).value == pytest.approx(
        adjusted_effect(y, treated, before).value, abs=1e-9
    )


def test_intervals_hold_the_truth_as_often_as_they_say():
    hits = [0, 0]
    for seed in range(200):
        y, treated, before = trial(200, seed=seed)
        for i, e in enumerate(
            (difference_in_means(y, treated), adjusted_effect(y, treated, before))
        ):
            hits[i] += e.low < 0.5 < e.high
    assert min(hits) > 180
    assert max(hits) < 199


def test_profit_and_return_by_hand():
    found = campaign_profit([30, 50, 20, 20, 20], [1, 3, 0, 0, 0], [1, 1, 0, 0, 0], margin=0.5)
    # 2 customers x (0.5 x (40 - 20) - 2), for 4 spent
    assert (found.profit, found.cost, found.roi) == pytest.approx((16, 4, 4))
    assert found.low < found.profit < found.high
    assert found.roi_low == pytest.approx(found.low / 4)


@pytest.mark.parametrize(
    ("y", "treated", "said"),
    [
        ([1, 2, 3], [1, 0], "one outcome and one arm"),
        ([1, 2, 3, 4], [1, 1, 1, 1], "4 customers were treated and 0 were not"),
        ([1, 2, 3, 4], [1, 1, 0, 2], "must be 1"),
        ([1, np.nan, 3, 4], [1, 1, 0, 0], "missing or infinite"),
    ],
)
def test_what_is_no_experiment_is_refused(y, treated, said):
    with pytest.raises(ModelError, match=said):
        difference_in_means(y, treated)


def test_too_many_covariates_are_refused():
    rng = np.random.default_rng(0)
    many = pd.DataFrame(rng.normal(size=(40, 10)))
    with pytest.raises(ModelError, match="too many"):
        adjusted_effect(rng.normal(size=40), np.arange(40) % 2, many)


def test_an_outcome_that_nobody_has_is_no_effect():
    effect = difference_in_means(np.zeros(10), np.arange(10) % 2)
    assert (effect.value, effect.low, effect.high, effect.p_value) == (0, 0, 0, 1)
