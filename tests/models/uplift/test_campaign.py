import numpy as np
import pandas as pd
import pytest

from models.uplift.campaign import (
    Worth,
    measure_campaign,
    measure_without_control,
    value_after,
)


def outcomes(n=1200, effect=0.15, seed=0):
    """Customers of a campaign as the engine would give them."""
    rng = np.random.default_rng(seed)
    age = rng.uniform(10, 100, n)
    frequency = rng.poisson(rng.gamma(1, 2, n)).astype(float)
    recency = np.where(frequency > 0, age * rng.random(n), 0.0)
    treated = (rng.random(n) < 0.5).astype(float)
    bought = (rng.random(n) < 0.25 + effect * treated).astype(float)
    spend = bought * rng.gamma(4, 10, n)
    frame = pd.DataFrame(
        {
            "treated": treated,
            "cost": 0.5 * treated,
            "purchased": bought,
            "purchases": bought,
            "spend": spend,
            "retained": bought,
            "purchases_before": rng.poisson(0.4, n).astype(float),
            "spend_before": rng.gamma(0.5, 20, n),
            "frequency": frequency,
            "recency": recency,
            "T": age,
            "monetary_value": np.where(frequency > 0, rng.gamma(4, 10, n), 0.0),
            "days_so_far": 30.0,
            "spend_so_far": spend,
        },
        index=pd.Index([f"c{i:04d}" for i in range(n)], name="customer_id"),
    )
    days = 30 / 7
    frame["after_frequency"] = frequency + bought
    frame["after_recency"] = np.where(bought > 0, age + days / 2, recency)
    frame["after_T"] = age + days
    frame["after_monetary_value"] = np.where(
        frame["after_frequency"] > 0, frame["monetary_value"].where(frequency > 0, 40.0), 0.0
    )
    return frame


@pytest.fixture(scope="module")
def report():
    return measure_campaign("spring", outcomes(), worth=Worth(margin=0.5), planned_share=0.5)


def test_every_effect_is_measured_plainly_and_adjusted(report):
    assert report.label == "randomised experiment"
    assert list(report.effects) == ["purchase", "purchases", "spend", "retention", "clv"]
    assert list(report.adjusted) == list(report.effects)
    effect = report.effects["purchase"]
    assert effect.low < 0.15 < effect.high
    assert report.adjusted["spend"].se < 1.05 * report.effects["spend"].se


def test_money_and_balance(report):
    frame = outcomes()
    one = frame["treated"] == 1
    more = 0.5 * (frame.loc[one, "spend"].mean() - frame.loc[~one, "spend"].mean()) - 0.5
    assert report.profit.profit == pytest.approx(more * one.sum())
    assert report.profit.roi == pytest.approx(more / 0.5)
    assert report.balance.random
    assert "looks random" in report.sentences[-1]


def test_segments_are_parts_of_the_whole(report):
    by = report.segments.assign(key=report.segments["segment"].str.split("=").str[0])
    assert by.groupby("key")["n"].sum().max() == report.effects["purchase"].n
    assert (report.segments["p_value"] > 0.001).all()  # the effect is the same for all


def test_the_order_of_customers_changes_nothing(report):
    shuffled = outcomes().sample(frac=1, random_state=1)
    again = measure_campaign("spring", shuffled, worth=Worth(margin=0.5), planned_share=0.5)
    assert again.effects == report.effects
    assert again.profit == report.profit
    for name, effect in report.adjusted.items():
        assert again.adjusted[name].value == pytest.approx(effect.value, abs=1e-9)


def test_value_is_what_came_in_and_what_is_expected():
    frame = outcomes()
    near = value_after(frame, Worth(margin=0.5, horizon_days=30))
    np.testing.assert_allclose(near, 0.5 * frame["spend_so_far"])  # the horizon is over
    far = value_after(frame, Worth(margin=0.5, horizon_days=365))
    assert (far >= near).all()
    assert far.mean() > near.mean() + 1


def test_arms_that_are_not_random_are_said_first():
    frame = outcomes()
    rich = frame["spend_before"].rank(pct=True)
    chosen = np.random.default_rng(0).random(len(frame)) < 0.2 + 0.6 * rich
    found = measure_campaign("spring", frame.assign(treated=chosen.astype(float)))
    assert not found.balance.random
    assert "does not look random" in found.sentences[0]


def test_small_arms_are_refused():
    frame = outcomes(60)
    frame.loc[frame.index[10:], "treated"] = 0.0
    found = measure_campaign("spring", frame)
    assert found.label == "not measured"
    assert "at least 25" in found.sentences[0]


def test_customers_without_an_arm_and_open_horizons_are_left_out():
    frame = outcomes()
    frame.loc[frame.index[:100], "treated"] = np.nan
    frame["retained"] = np.nan
    found = measure_campaign("spring", frame)
    assert found.effects["purchase"].n == 1100
    assert "retention" not in found.effects
    assert any("horizon of retention is not over" in sentence for sentence in found.sentences)


def test_a_plain_table_will_do():
    frame = outcomes()[["treated", "purchased", "spend"]]
    found = measure_campaign("spring", frame, has_cost=False)
    assert list(found.effects) == ["purchase", "spend"]
    assert found.profit is None


def test_without_control_the_estimate_says_what_it_is():
    rng = np.random.default_rng(1)
    frame = outcomes(3000, effect=0.0, seed=2)
    lively = (frame["purchases_before"] > 0).to_numpy()
    treated = (rng.random(3000) < np.where(lively, 0.6, 0.3)).astype(float)
    chance = 0.15 + 0.25 * lively + 0.1 * treated
    frame = frame.assign(treated=treated, purchased=(rng.random(3000) < chance).astype(float))
    found = measure_without_control("news", frame)
    assert found.label == "observational estimate"
    assert not found.effects
    estimate = found.observational["purchase"]
    assert estimate.raw.value > estimate.adjusted.high or estimate.raw.value > 0.12
    assert estimate.adjusted.low < 0.1 < estimate.adjusted.high
    assert found.sentences


def test_without_comparable_customers_there_is_a_refusal():
    frame = outcomes(400)
    frame["treated"] = (frame["spend_before"] > 5).astype(float)
    found = measure_without_control("news", frame)
    assert found.label == "not measured"
    assert found.sentences[0].startswith("news: ")
