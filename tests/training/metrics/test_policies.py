"""Policies: by hand on a few customers, and what must always hold."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.decision import Offer
from training import metrics

OFFER = Offer(1.0, 10.0, 0.5, 0.8)


def case(seed, n=200):
    rng = np.random.default_rng(seed)
    model = rng.beta(1.0, 3.0, n).round(2)
    y = (rng.random(n) < model).astype(float)
    rule = np.clip(model + rng.normal(0.0, 0.15, n), 0.0, 1.0).round(1)
    return y, {"rule": rule, "model": model}, rng.gamma(1.0, 60.0, n)


def profits(y, forecasts, value, offer=OFFER, **more):
    return metrics.campaign_policies(y, forecasts, value, offer, replicates=20, **more).set_index(
        "policy"
    )


def test_five_customers_by_hand():
    y, value = [1, 0, 1, 0, 1], 100.0
    gain, loss = 0.5 * 90 - 1, -0.8 * 10 - 1  # 44 for a churner, -9 for another
    model, rule = [0.9, 0.8, 0.7, 0.1, 0.1], [0.1, 0.6, 0.6, 0.6, 0.6]
    found = profits(y, {"rule": rule, "model": model}, value)
    expected = {  # break-even: 9 / 53 = 0.17
        "nothing": 0.0,
        "random": 0.6 * (3 * gain + 2 * loss),
        "everyone": 3 * gain + 2 * loss,
        "risk_only": 2 * gain + loss,  # all are worth the same, so it is the model's list
        "value_only": 0.6 * (3 * gain + 2 * loss),  # and here any list at all
        "rule": 2 * gain + 2 * loss,
        # Three of the four that the rule cannot tell apart, whichever: their mean.
        "rule_same_size": 0.75 * (2 * gain + 2 * loss),
        "model": 2 * gain + loss,
        "oracle": 3 * gain,
    }
    assert found["realised_total"].to_dict() == pytest.approx(expected)
    assert found["realised_profit"].to_dict() == pytest.approx(
        {name: each / 5 for name, each in expected.items()}
    )
    assert found["contacted"].to_dict() == pytest.approx(
        {
            "nothing": 0,
            "random": 0.6,
            "everyone": 1,
            "risk_only": 0.6,
            "value_only": 0.6,
            "rule": 0.8,
            "rule_same_size": 0.6,
            "model": 0.6,
            "oracle": 0.6,
        }
    )
    promise = sum(p * 45 - (1 - p) * 8 - 1 for p in model[:3])
    assert found.loc["model", "expected_profit"] == pytest.approx(promise / 5)
    assert found.loc["model", "of_oracle"] == pytest.approx((2 * gain + loss) / (3 * gain))


def test_risk_alone_and_value_alone_by_hand():
    y, value = [1, 1, 0, 0], [200.0, 20.0, 100.0, 300.0]
    found = profits(y, {"model": [0.9, 0.8, 0.3, 0.02]}, value, Offer(1.0, 10.0, 0.5, 1.0))
    # Expected: 83.5, 1, 5.5, -7.9: the model writes to three.
    came = [94.0, 4.0, -11.0, -11.0]
    assert found.loc["model", "realised_total"] == pytest.approx(sum(came[:3]))
    assert found.loc["risk_only", "realised_total"] == pytest.approx(sum(came[:3]))
    assert found.loc["value_only", "realised_total"] == pytest.approx(94.0 - 22.0)
    assert found.loc["value_only", "expected_profit"] == pytest.approx((83.5 + 5.5 - 7.9) / 4)


def test_random_and_ties_are_the_mean_over_all_lists():
    y, value = np.array([1, 0, 0, 1.0]), np.array([50.0, 80.0, 20.0, 200.0])
    model, rule = [0.9, 0.9, 0.05, 0.05], [0.3, 0.3, 0.3, 0.3]
    found = profits(y, {"rule": rule, "model": model}, value, Offer(1.0, 10.0, 0.5, 1.0))
    came = np.where(y == 1, 0.5 * (value - 10) - 1, -11.0)
    lists = [sum(came[list(pair)]) for pair in itertools.combinations(range(4), 2)]
    assert found.loc["random", "realised_total"] == pytest.approx(np.mean(lists))
    assert found.loc["model", "realised_total"] == pytest.approx(came[:2].sum())


@settings(max_examples=30)
@given(st.integers(0, 10_000), st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_nobody_beats_the_oracle(seed, save_rate, redemption):
    y, forecasts, value = case(seed, 40)
    found = profits(y, forecasts, value, Offer(1.0, 10.0, save_rate, redemption))
    best = found.loc["oracle", "realised_profit"]
    assert (found["realised_profit"] <= best + 1e-9).all()
    assert (found.loc[["model", "rule"], "expected_profit"] >= 0).all()
    assert found["contacted"].between(0, 1).all()


def test_same_bytes_whatever_the_order_of_rows():
    y, forecasts, value = case(1)
    customers = np.random.default_rng(2).integers(0, 80, y.size)
    order = np.random.default_rng(3).permutation(y.size)
    first = profits(y, forecasts, value, customers=customers)
    mixed = {name: p[order] for name, p in forecasts.items()}
    again = profits(y[order], mixed, value[order], customers=customers[order])
    assert first.equals(again)


def test_other_money_scales_profit():
    y, forecasts, value = case(4)
    first = profits(y, forecasts, value)
    again = profits(y, forecasts, 100 * value, Offer(100.0, 1000.0, 0.5, 0.8))
    for column in ("expected_profit", "realised_profit", "low", "high", "minus_model"):
        assert again[column].to_numpy() == pytest.approx(100 * first[column].to_numpy())
    assert again["contacted"].equals(first["contacted"])


def test_intervals_are_paired_with_the_model():
    y, forecasts, value = case(5, 2000)
    found = metrics.campaign_policies(
        y, {"twin": forecasts["model"], **forecasts}, value, OFFER, replicates=200
    ).set_index("policy")
    twin, nothing = found.loc["twin"], found.loc["nothing"]
    assert (twin["minus_model_low"], twin["minus_model_high"]) == (0.0, 0.0)
    assert twin["low"] < twin["realised_profit"] < twin["high"]
    assert (nothing["low"], nothing["high"]) == (0.0, 0.0)
    assert nothing["minus_model_low"] == pytest.approx(-found.loc["model", "high"])
    assert np.isnan(found.loc["model", "p_value"])


def test_where_nobody_is_worth_the_offer_nothing_is_earned():
    found = profits([1, 0], {"model": [0.9, 0.9]}, 5.0)
    assert found.loc[["model", "oracle", "random"], "realised_profit"].tolist() == [0.0] * 3
    assert found["of_oracle"].isna().all()


def test_the_curve_meets_the_policies_on_its_way():
    y, forecasts, value = case(6)
    found = profits(y, forecasts, value)
    curve = metrics.profit_curve(y, forecasts["model"], value, OFFER, points=201, replicates=50)
    assert curve["realised"][0] == curve["expected"][0] == 0.0
    assert curve["realised"][-1] == pytest.approx(found.loc["everyone", "realised_profit"])
    at = round(200 * found.loc["model", "contacted"])
    assert curve["realised"][at] == pytest.approx(found.loc["model", "realised_profit"])
    assert curve["expected"][at] == pytest.approx(found.loc["model", "expected_profit"])
    assert curve["expected"].argmax() == at
    assert (curve["low"] <= curve["high"]).all()


def test_customers_of_one_expected_value_come_in_random_order():
    curve = metrics.profit_curve([1, 0, 1, 0], [0.5] * 4, 100.0, OFFER, points=5, replicates=5)
    assert curve["realised"] == pytest.approx(np.linspace(0, curve["realised"][-1], 5))


def test_the_list_for_the_true_save_rate_is_the_best_for_a_calibrated_forecast():
    rng = np.random.default_rng(0)
    p = rng.beta(1.0, 3.0, 50_000)
    y = (rng.random(p.size) < p).astype(float)
    table = metrics.stress(y, p, 100.0, OFFER, assumed=(0.2, 0.5, 0.8))
    assert len(table) == 3 * 7
    assert (table["realised_profit"] <= table["best_profit"] + 0.02).all()
    at_its_own = table[table["assumed"] == table["true"]]
    assert (at_its_own["realised_profit"] == at_its_own["best_profit"]).all()
    # Whoever believes in a higher save rate contacts more.
    assert table.groupby("assumed")["contacted"].first().is_monotonic_increasing


def test_stress_by_default_halves_and_raises_the_save_rate_of_the_offer():
    table = metrics.stress([1.0, 0.0], [0.6, 0.4], 100.0, Offer(1.0, 10.0, 0.8))
    assert sorted(table["assumed"].unique()) == pytest.approx([0.4, 0.8, 1.0])
    assert 0.8 in set(table["true"])


@pytest.mark.parametrize(
    ("forecasts", "message"),
    [({"btyd": [0.5]}, "called model"), ({"model": [0.5], "oracle": [0.5]}, "other names")],
)
def test_names_that_mean_something_else_are_refused(forecasts, message):
    with pytest.raises(ValueError, match=message):
        metrics.campaign_policies([1.0], forecasts, 100.0, OFFER)
