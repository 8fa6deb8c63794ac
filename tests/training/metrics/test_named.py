"""What a run logs: the names, what is left out, what is refused."""

import numpy as np
import pytest

from models.decision import Offer
from training import metrics


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
    measures = [
        *("mae", "nmae", "rmse", "bias", "correlation", "spearman", "gini", "top_decile_share"),
        *("crps", "coverage_50", "coverage_90", "held_90", "pit_ks"),
    ]
    assert names == {f"{prefix}/{n}" for prefix in ("clv", "purchases") for n in measures}


def test_money_comes_with_an_offer(churn):
    y, p = churn
    without = metrics.churn_metrics(y, p)
    found = metrics.churn_metrics(y, p, value=200.0, offer=Offer())
    assert set(found) - set(without) == {"churn/expected_profit", "churn/realised_profit"}
    tenfold = Offer(contact_cost=10.0, offer_cost=100.0)
    scaled = metrics.churn_metrics(y, p, value=2000.0, offer=tenfold)
    for name in ("churn/expected_profit", "churn/realised_profit"):
        assert scaled[name] == pytest.approx(10 * found[name])
    with pytest.raises(ValueError, match="or neither"):
        metrics.churn_metrics(y, p, offer=Offer())


def test_order_of_rows_changes_nothing(churn):
    y, p = churn
    order = np.random.default_rng(0).permutation(y.size)
    before, after = metrics.churn_metrics(y, p), metrics.churn_metrics(y[order], p[order])
    assert before == pytest.approx(after, abs=1e-12)


def test_undefined_measures_are_left_out_not_invented():
    assert np.isnan(metrics.roc_auc([1, 1], [0.2, 0.4]))
    found = metrics.churn_metrics([0, 0], [0.2, 0.4])
    assert set(found) == {
        f"churn/{n}" for n in ("brier", "log_loss", "ece", "ece_mass", "mean_p_minus_rate", "empc")
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
