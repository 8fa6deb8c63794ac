"""Resampled customers: what a draw is, what an interval holds, what clustering changes."""

import numpy as np
import pytest
from scipy.special import expit

from models.decision import Offer
from models.metrics.bootstrap import customer_draws, distinct_customers
from training import metrics

MONEY = {"value": 200.0, "offer": Offer()}


def shop(rng, n, stretch=1.0, shift=0.0):
    """Outcomes and a forecast; calibrated unless the log-odds are stretched or shifted."""
    z = rng.normal(0.0, 1.2, n)
    return (rng.random(n) < expit(z)).astype(float), expit(stretch * z + shift)


def test_on_all_customers_the_measures_are_those_of_a_run(churn):
    y, p = churn
    found = metrics.resample(y, p, replicates=1, **MONEY).sample
    assert found == pytest.approx(metrics.churn_metrics(y, p, **MONEY), abs=1e-12)


def test_a_replicate_is_the_measure_of_the_customers_drawn(churn):
    y, p = churn
    customers = np.random.default_rng(1).integers(0, 150, y.size)
    value = np.random.default_rng(2).gamma(2.0, 60.0, y.size)
    found = metrics.resample(
        y, p, customers, value=value, offer=Offer(), replicates=3, seed=4
    ).replicates
    code, size = distinct_customers(customers, y.size)
    for i, drawn in enumerate(customer_draws(size, 3, 4)):
        rows = np.repeat(np.arange(y.size), drawn[code].astype(int))
        expected = metrics.churn_metrics(y[rows], p[rows], value=value[rows], offer=Offer())
        del expected["churn/ece_mass"]  # its groups are those of the sample
        assert {name: found[name][i] for name in expected} == pytest.approx(expected, abs=1e-12)


def test_same_bytes_whatever_the_order_of_rows(churn):
    y, p = churn
    customers = np.array([f"c{i}" for i in np.random.default_rng(1).integers(0, 150, y.size)])
    order = np.random.default_rng(2).permutation(y.size)
    first = metrics.resample(y, p, customers, replicates=20, **MONEY)
    again = metrics.resample(y[order], p[order], customers[order], replicates=20, **MONEY)
    assert first.sample == again.sample
    for name, draws in first.replicates.items():
        assert draws.tobytes() == again.replicates[name].tobytes()


def test_rows_of_one_customer_are_no_new_evidence():
    y, p = shop(np.random.default_rng(0), 300)
    once = metrics.resample(y, p, np.arange(300), seed=3, **MONEY)
    thrice = [np.tile(a, 3) for a in (y, p, np.arange(300))]
    clustered = metrics.resample(*thrice, seed=3, **MONEY)
    as_if_new = metrics.resample(*thrice[:2], seed=3, **MONEY)
    for name in ("churn/roc_auc", "churn/brier", "churn/realised_profit"):
        one, same, narrow = (r.interval(name) for r in (once, clustered, as_if_new))
        assert same == pytest.approx(one, abs=1e-9)
        assert (narrow.high - narrow.low) < 0.75 * (one.high - one.low)


@pytest.mark.parametrize(("stretch", "shift"), [(1.0, 0.0), (1.6, 0.4)])
def test_intervals_hold_the_truth(stretch, shift):
    rng = np.random.default_rng(1)
    truth = metrics.churn_metrics(*shop(rng, 400_000, stretch, shift), **MONEY)
    held = dict.fromkeys(truth, 0)
    for i in range(60):
        found = metrics.resample(*shop(rng, 600, stretch, shift), seed=i, **MONEY)
        for name, interval in found.intervals().items():
            held[name] += interval.low <= truth[name] <= interval.high
    # Of 60 intervals of 95 %, 49 or fewer hold with a chance below 1 in 3,000.
    assert min(held.values()) >= 50, held


def test_a_calibration_error_of_zero_is_never_ruled_out():
    rng = np.random.default_rng(5)
    for i in range(20):
        low = metrics.resample(*shop(rng, 400), seed=i).interval("churn/ece").low
        assert low < 0.02


def test_a_paired_difference_sees_what_two_intervals_do_not():
    rng = np.random.default_rng(2)
    z = rng.normal(0.0, 1.2, 1500)
    y = (rng.random(z.size) < expit(z)).astype(float)
    better, worse = expit(z), expit(z + rng.normal(0.0, 0.5, z.size))
    found = metrics.paired_difference("roc_auc", y, better, worse)
    assert found.value == pytest.approx(metrics.roc_auc(y, better) - metrics.roc_auc(y, worse))
    assert found.low > 0
    assert found.p_value < 0.02
    one, other = (metrics.resample(y, p).interval("churn/roc_auc") for p in (better, worse))
    assert one.low < other.high


def test_the_p_value_is_that_of_the_sign_seen():
    y, p = shop(np.random.default_rng(3), 800)
    off = np.clip(p + 0.1, 0, 1)
    up = metrics.paired_difference("brier", y, off, p)
    down = metrics.paired_difference("brier", y, p, off)
    assert up.value == -down.value
    assert up.p_value == down.p_value < 0.05
    assert metrics.paired_difference("brier", y, p, p)[:3] == (0.0, 0.0, 0.0)
    assert metrics.paired_difference("brier", y, p, p).p_value == 1.0


def test_one_class_only_leaves_the_undefined_out():
    found = metrics.resample([0.0, 0.0, 0.0], [0.1, 0.2, 0.3]).intervals()
    assert set(found) == set(metrics.churn_metrics([0, 0, 0], [0.1, 0.2, 0.3]))


def test_a_replicate_without_churners_has_no_ranking():
    y = np.zeros(20)
    y[0] = 1.0
    found = metrics.resample(y, np.linspace(0.9, 0.1, 20), replicates=50)
    draws = found.replicates["churn/roc_auc"]
    assert 0 < np.isnan(draws).sum() < 50
    assert found.interval("churn/roc_auc").value == 1.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"customers": ["a"]}, "customer ids"),
        ({"customers": ["a", None]}, "customer id in every row"),
        ({"replicates": 0}, "at least one replicate"),
        ({"value": 3.0}, "or neither"),
    ],
)
def test_wrong_input_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        metrics.resample([0.0, 1.0], [0.5, 0.5], **arguments)


def test_forecasts_of_other_customers_are_not_compared():
    a = metrics.resample([0.0, 1.0, 1.0], [0.5, 0.5, 0.1])
    b = metrics.resample([0.0, 1.0], [0.5, 0.5])
    with pytest.raises(ValueError, match="same customers"):
        a.minus(b, "churn/brier")
    with pytest.raises(ValueError, match="got gini"):
        metrics.paired_difference("gini", [0.0, 1.0], [0.5, 0.5], [0.5, 0.5])


def test_a_weight_is_as_many_rows():
    y, p = shop(np.random.default_rng(5), 200)
    weight = np.random.default_rng(6).integers(0, 4, 200)
    weighed = metrics.resample(y, p, weights=weight, replicates=1, **MONEY).sample
    repeated = [np.repeat(each, weight) for each in (y, p)]
    expected = metrics.resample(*repeated, replicates=1, **MONEY).sample
    del weighed["churn/ece_mass"], expected["churn/ece_mass"]  # its groups are those of the rows
    assert weighed == pytest.approx(expected, abs=1e-12)


def test_weights_below_zero_are_refused():
    with pytest.raises(ValueError, match="weights"):
        metrics.resample([0.0, 1.0], [0.2, 0.7], weights=[-1.0, 1.0])


def test_the_interval_of_many_customers_follows_from_some_of_them():
    y, p = shop(np.random.default_rng(7), 8000)
    whole = metrics.resample(y, p, replicates=200)
    some = metrics.resample(y, p, replicates=200, most=2000)
    assert some.sample == whole.sample
    for name in ("churn/roc_auc", "churn/brier", "churn/mean_p_minus_rate"):
        ours, theirs = some.interval(name), whole.interval(name)
        assert ours.high - ours.low == pytest.approx(theirs.high - theirs.low, rel=0.3)
        assert ours.low < whole.sample[name] < ours.high
