"""Order: hand-made values, scikit-learn and SciPy."""

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sk

from training import metrics


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (metrics.roc_auc, sk.roc_auc_score),
        (metrics.pr_auc, sk.average_precision_score),
    ],
)
def test_same_as_scikit_learn(churn, ours, theirs):
    assert ours(*churn) == pytest.approx(theirs(*churn), abs=1e-12)


def test_lift_and_gain_by_hand():
    y = [1, 1, 0, 0, 0, 0, 0, 0, 0, 0]
    p = [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.0]
    assert metrics.lift_at(y, p, 0.1) == pytest.approx(5.0)
    assert metrics.lift_at(y, p, 0.4) == pytest.approx(2.5)
    assert metrics.lift_at(y, [0.5] * 10, 0.1) == pytest.approx(1.0)  # all tied: no lift
    at, gain = metrics.cumulative_gain(y, p)
    assert at[[0, -1]].tolist() == [0.0, 1.0]
    assert gain[:3].tolist() == [0.0, 0.5, 1.0]


def test_decile_table_shares_ties_in_proportion():
    table = metrics.decile_table([1.0, 1.0, 0.0, 0.0], [0.5] * 4, groups=2)
    assert table["mean_actual"].tolist() == [0.5, 0.5]
    table = metrics.decile_table(np.arange(20.0), np.arange(20.0))
    assert table["mean_actual"][0] == 18.5
    assert table["share_of_actual"].sum() == pytest.approx(1.0)
    assert table["customers"].tolist() == [2.0] * 10


def test_order_by_hand():
    y, f = [0.0, 10.0, 30.0], [2.0, 8.0, 20.0]
    assert metrics.spearman(y, f) == pytest.approx(1.0)
    assert metrics.normalised_gini(y, f) == pytest.approx(1.0)
    assert metrics.normalised_gini(y, [-v for v in f]) == pytest.approx(-1.0)
    assert metrics.normalised_gini(y, [1.0, 1.0, 1.0]) == pytest.approx(0.0)
    assert metrics.top_share(y, f, 1 / 3) == pytest.approx(0.75)


def test_spearman_same_as_scipy(value):
    assert metrics.spearman(*value) == pytest.approx(stats.spearmanr(*value).statistic)
