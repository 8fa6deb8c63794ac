"""Level: hand-made values and scikit-learn."""

import pytest
from sklearn import metrics as sk

from training import metrics


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (metrics.brier, sk.brier_score_loss),
        (metrics.log_loss, sk.log_loss),
    ],
)
def test_same_as_scikit_learn(churn, ours, theirs):
    assert ours(*churn) == pytest.approx(theirs(*churn), abs=1e-12)


def test_log_loss_of_a_confident_mistake_is_finite():
    assert metrics.log_loss([1, 0], [0.0, 0.0]) == pytest.approx(sk.log_loss([1, 0], [0.0, 0.0]))


def test_ece_by_hand():
    y = [0, 1, 1, 1]
    p = [0.05, 0.05, 0.95, 1.0]
    # Two bins in use: |0.05 - 0.5| * 2/4 + |0.975 - 1| * 2/4.
    assert metrics.ece(y, p) == pytest.approx(0.2375)
    assert metrics.ece(y, p, bins=2, kind="mass") == pytest.approx(0.2375)


def test_mean_p_minus_rate_is_positive_when_overstated():
    assert metrics.mean_p_minus_rate([0, 1], [0.7, 0.9]) == pytest.approx(0.3)


def test_reliability_table_counts_everyone_once(churn):
    y, p = churn
    table = metrics.reliability_table(y, p)
    assert table["customers"].sum() == y.size
    assert (table["customers"] * table["churn_rate"]).sum() == pytest.approx(y.sum())
    assert ((table["low"] <= table["churn_rate"]) & (table["churn_rate"] <= table["high"])).all()
