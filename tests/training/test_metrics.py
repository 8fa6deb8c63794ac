"""Measures against hand-made values, published vectors and scikit-learn."""

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sk

from training import metrics

CHURN = [
    "roc_auc",
    "pr_auc",
    "brier",
    "log_loss",
    "ece",
    "ece_mass",
    "mean_p_minus_rate",
    "lift_at_10",
    "empc",
]
CLV = [
    "mae",
    "nmae",
    "rmse",
    "bias",
    "spearman",
    "gini",
    "top_decile_share",
    "coverage_50",
    "coverage_90",
    "pit_ks",
]


@pytest.fixture(scope="module")
def churn():
    rng = np.random.default_rng(7)
    p = np.round(rng.beta(3, 2, 400), 2)  # rounded: many ties
    return (rng.random(400) < p).astype(float), p


@pytest.fixture(scope="module")
def value():
    rng = np.random.default_rng(11)
    mean = rng.gamma(1.0, 50.0, 300)
    y = np.where(rng.random(300) < 0.5, 0.0, rng.gamma(2.0, mean))
    return y, mean


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (metrics.roc_auc, sk.roc_auc_score),
        (metrics.pr_auc, sk.average_precision_score),
        (metrics.brier, sk.brier_score_loss),
        (metrics.log_loss, sk.log_loss),
    ],
)
def test_same_as_scikit_learn(churn, ours, theirs):
    assert ours(*churn) == pytest.approx(theirs(*churn), abs=1e-12)


def test_log_loss_of_a_confident_mistake_is_finite():
    assert metrics.log_loss([1, 0], [0.0, 0.0]) == pytest.approx(sk.log_loss([1, 0], [0.0, 0.0]))


def test_order_of_rows_changes_nothing(churn):
    y, p = churn
    order = np.random.default_rng(0).permutation(y.size)
    before, after = metrics.churn_metrics(y, p), metrics.churn_metrics(y[order], p[order])
    assert before == pytest.approx(after, abs=1e-12)


def test_ece_by_hand():
    y = [0, 1, 1, 1]
    p = [0.05, 0.05, 0.95, 1.0]
    # Two bins in use: |0.05 - 0.5| * 2/4 + |0.975 - 1| * 2/4.
    assert metrics.ece(y, p) == pytest.approx(0.2375)
    assert metrics.ece(y, p, bins=2, kind="mass") == pytest.approx(0.2375)


def test_mean_p_minus_rate_is_positive_when_overstated():
    assert metrics.mean_p_minus_rate([0, 1], [0.7, 0.9]) == pytest.approx(0.3)


def test_lift_and_gain_by_hand():
    y = [1, 1, 0, 0, 0, 0, 0, 0, 0, 0]
    p = [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.0]
    assert metrics.lift_at(y, p, 0.1) == pytest.approx(5.0)
    assert metrics.lift_at(y, p, 0.4) == pytest.approx(2.5)
    assert metrics.lift_at(y, [0.5] * 10, 0.1) == pytest.approx(1.0)  # all tied: no lift
    at, gain = metrics.cumulative_gain(y, p)
    assert at[[0, -1]].tolist() == [0.0, 1.0]
    assert gain[:3].tolist() == [0.0, 0.5, 1.0]


def test_maximum_profit_vectors():
    # The vector of the EMP and empulse packages.
    y = [0, 1, 0, 1, 0, 1, 0, 1]
    p = [0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 0.8, 0.9]
    assert metrics.mpc(y, p) == pytest.approx((23.875, 0.875))
    assert metrics.empc(y, p) == pytest.approx((23.8755934183, 0.8743701), abs=1e-7)


def test_empc_is_the_integral_of_mpc(churn):
    y, p = churn
    grid = (np.arange(2000) + 0.5) / 2000
    density = stats.beta(6, 14).pdf(grid)
    by_sum = np.mean([metrics.mpc(y, p, save_rate=g).profit for g in grid] * density)
    assert metrics.empc(y, p).profit == pytest.approx(by_sum, rel=1e-4)


def test_reliability_table_counts_everyone_once(churn):
    y, p = churn
    table = metrics.reliability_table(y, p)
    assert table["customers"].sum() == y.size
    assert (table["customers"] * table["churn_rate"]).sum() == pytest.approx(y.sum())
    assert ((table["low"] <= table["churn_rate"]) & (table["churn_rate"] <= table["high"])).all()


def test_decile_table_shares_ties_in_proportion():
    table = metrics.decile_table([1.0, 1.0, 0.0, 0.0], [0.5] * 4, groups=2)
    assert table["mean_actual"].tolist() == [0.5, 0.5]
    table = metrics.decile_table(np.arange(20.0), np.arange(20.0))
    assert table["mean_actual"][0] == 18.5
    assert table["share_of_actual"].sum() == pytest.approx(1.0)
    assert table["customers"].tolist() == [2.0] * 10


def test_value_measures_by_hand():
    y, f = [0.0, 10.0, 30.0], [2.0, 8.0, 20.0]
    assert metrics.mae(y, f) == pytest.approx(14 / 3)
    assert metrics.nmae(y, f) == pytest.approx(0.35)
    assert metrics.rmse(y, f) == pytest.approx(6.0)
    assert metrics.bias(y, f) == pytest.approx(-0.25)
    assert metrics.spearman(y, f) == pytest.approx(1.0)
    assert metrics.normalised_gini(y, f) == pytest.approx(1.0)
    assert metrics.normalised_gini(y, [-v for v in f]) == pytest.approx(-1.0)
    assert metrics.normalised_gini(y, [1.0, 1.0, 1.0]) == pytest.approx(0.0)
    assert metrics.top_share(y, f, 1 / 3) == pytest.approx(0.75)


def test_spearman_same_as_scipy(value):
    assert metrics.spearman(*value) == pytest.approx(stats.spearmanr(*value).statistic)


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


def test_coverage_counts_the_ends():
    assert metrics.coverage([0.0, 1.0, 5.0, 9.0], [0.0] * 4, [5.0] * 4) == 0.75
    with pytest.raises(ValueError, match="low <= high"):
        metrics.coverage([0.0], [1.0], [0.0])


def test_names_every_run_uses(churn, value):
    y, p = churn
    assert set(metrics.churn_metrics(y, p)) == {
        f"churn/{n}"
        for n in [
            "roc_auc",
            "pr_auc",
            "brier",
            "log_loss",
            "ece",
            "ece_mass",
            "mean_p_minus_rate",
            "lift_at_10",
            "empc",
        ]
    }
    y, mean = value
    draws = np.repeat(mean[:, None], 5, axis=1)
    names = set(metrics.clv_metrics(y, mean, draws)) | set(metrics.purchase_metrics(y, mean, draws))
    assert names == {
        f"clv/{n}"
        for n in [
            "mae",
            "nmae",
            "rmse",
            "bias",
            "spearman",
            "gini",
            "top_decile_share",
            "coverage_50",
            "coverage_90",
            "pit_ks",
        ]
    } | {f"purchases/{n}" for n in ["mae", "rmse", "bias", "crps"]}


def test_undefined_measures_are_left_out_not_invented():
    assert np.isnan(metrics.roc_auc([1, 1], [0.2, 0.4]))
    found = metrics.churn_metrics([0, 0], [0.2, 0.4])
    assert set(found) == {
        f"churn/{n}" for n in ("brier", "log_loss", "ece", "ece_mass", "mean_p_minus_rate")
    }
    assert set(metrics.clv_metrics([0.0, 0.0], [1.0, 2.0])) == {"clv/mae", "clv/rmse"}


@pytest.mark.parametrize(
    ("y", "p", "message"),
    [
        ([], [], "at least one"),
        ([0, 1], [0.5], "one length"),
        ([0, np.nan], [0.5, 0.5], "finite"),
        ([0, 2], [0.5, 0.5], "labels 0 and 1"),
        ([0, 1], [0.5, 1.5], "between 0 and 1"),
    ],
)
def test_wrong_input_is_refused(y, p, message):
    with pytest.raises(ValueError, match=message):
        metrics.churn_metrics(y, p)
