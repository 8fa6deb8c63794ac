"""The backtest of the plan: by hand, against the older table, under limits, on made-up truth."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from models.decision import Offer, expected_cost, expected_value
from training import figures
from training.metrics import campaign_policies
from training.policy_backtest import Moment, Terms, policy_backtest

OFFER = Offer(1.0, 10.0, 0.5, 0.8)


def moment(seed, n=400, cutoff=dt.date(2024, 1, 1), shift=0.0):
    """Customers whose probabilities are right, but for a shift."""
    rng = np.random.default_rng(seed)
    p = rng.beta(1.0, 2.0, n)
    y = (rng.random(n) < np.clip(p + shift, 0, 1)).astype(float)
    rule = np.clip(p + rng.normal(0.0, 0.25, n), 0.0, 1.0)
    ids = np.array([f"C{i}" for i in range(n)], dtype=object)
    return Moment(cutoff, y, {"recency_rule": rule, "model": p}, rng.gamma(1.0, 60.0, n), ids)


def test_one_offer_without_limits_is_the_table_of_the_test_cutoff():
    m = moment(1)
    found = policy_backtest([m], Terms((OFFER,)), replicates=50)
    usual = campaign_policies(
        m.churned, m.forecasts, m.value, OFFER, m.customers, replicates=50
    ).set_index("policy")
    found = found.set_index("policy").drop(columns="cutoff")
    shared = [name for name in usual.index if name in found.index]
    assert set(found.index) == set(shared)
    pd.testing.assert_frame_equal(found.loc[shared], usual.loc[shared], check_names=False)


def test_expected_profit_comes_true_where_the_probabilities_are_right():
    m = moment(2, 40_000)
    found = policy_backtest([m], Terms((OFFER,)), replicates=100).set_index("policy")
    plan = found.loc["model"]
    assert plan["low"] < plan["expected_profit"] < plan["high"]
    late = policy_backtest([moment(2, 40_000, shift=-0.2)], Terms((OFFER,)), replicates=100)
    plan = late.set_index("policy").loc["model"]
    assert plan["expected_profit"] > plan["high"]


def test_the_plan_beats_risk_alone_value_alone_and_nobody():
    found = policy_backtest([moment(3, 20_000)], Terms((OFFER,)), replicates=100)
    found = found.set_index("policy")
    plan = found.loc["model", "realised_profit"]
    for other in ("nothing", "random", "everyone", "risk_only", "value_only", "recency_rule"):
        assert found.loc[other, "minus_model_high"] < 0.0, other
    assert plan < found.loc["oracle", "realised_profit"]


def test_a_budget_holds_at_every_cutoff_and_the_best_offer_is_taken():
    offers = (OFFER, Offer(5.0, 0.0, 0.7))
    moments = [moment(4, cutoff=dt.date(2024, 1, 1)), moment(5, cutoff=dt.date(2024, 2, 1))]
    found = policy_backtest(moments, Terms(offers, budget=300.0), replicates=20)
    assert found["cutoff"].unique().tolist() == ["all", "2024-01-01", "2024-02-01"]
    per = found.set_index(["cutoff", "policy"])
    whole = (per.loc["2024-01-01"] + per.loc["2024-02-01"]) / 2
    for column in ("contacted", "expected_profit", "realised_profit"):
        assert per.loc["all", column].to_numpy() == pytest.approx(whole[column].to_numpy())
    free = policy_backtest(moments, Terms(offers), replicates=20).set_index(["cutoff", "policy"])
    m = moments[0]
    best = np.max([expected_value(m.forecasts["model"], m.value, o) for o in offers], axis=0)
    planned = free.loc[("2024-01-01", "model"), "expected_profit"]
    assert planned == pytest.approx(np.maximum(best, 0.0).mean())
    assert per.loc[("2024-01-01", "model"), "expected_profit"] < planned
    cost = np.min([expected_cost(0.0, 0.0, o) for o in offers])
    assert per.loc[("2024-01-01", "model"), "contacted"] * 400 * cost <= 300.0 + 10.0 * 400


def test_an_offer_that_keeps_for_half_a_year_counts_half_the_value():
    m = moment(6)
    half = policy_backtest([m], Terms((OFFER,), (0.5,)), replicates=20)
    other = Moment(m.cutoff, m.churned, m.forecasts, 0.5 * m.value, m.customers)
    assert half.equals(policy_backtest([other], Terms((OFFER,)), replicates=20))


def test_the_same_bytes_whatever_the_order_of_rows():
    m = moment(7)
    order = np.random.default_rng(0).permutation(400)
    mixed = Moment(
        m.cutoff,
        m.churned[order],
        {name: p[order] for name, p in m.forecasts.items()},
        m.value[order],
        m.customers[order],
    )
    terms = Terms((OFFER,), budget=200.0)
    first, again = (policy_backtest([each], terms, replicates=20) for each in (m, mixed))
    pd.testing.assert_frame_equal(first, again, rtol=1e-12)


def test_the_figure_is_drawn():
    table = policy_backtest([moment(8), moment(9, cutoff=dt.date(2024, 2, 1))], Terms((OFFER,)))
    assert figures.pixels(figures.policy_backtest(table)).ndim == 3
    single = policy_backtest([moment(8)], Terms((OFFER,)))
    assert figures.pixels(figures.policy_backtest(single)).ndim == 3
