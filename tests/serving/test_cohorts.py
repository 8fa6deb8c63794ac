"""Messages, lots and weights: a sound model is found sound whoever was sent what."""

import json

import numpy as np
import pandas as pd
import pytest

from models.decision import Offer, expected_value
from serving.cohorts import churn_measures, judged_part, planned_earnings, split, value_measures


def shop(n=20_000, seed=0):
    """Calibrated probabilities, and the day on which each customer comes back, if ever."""
    rng = np.random.default_rng(seed)
    ids = pd.Index([f"c{i:06d}" for i in range(n)], name="customer_id")
    p = rng.beta(3.0, 1.5, n)
    back = np.where(rng.random(n) < p, np.inf, rng.uniform(0.0, 90.0, n))
    scores = pd.DataFrame(
        {"churn_probability": p, "arm": pd.Series(None, ids, dtype="str"), "offer": "offer"}, ids
    )
    return rng, scores, back


def series(values, ids):
    return pd.Series(values, ids)[lambda each: np.isfinite(each)]


def measured(scores, sent, back, least=200):
    parts = split(scores, series(sent, scores.index), series(back, scores.index))
    p = scores["churn_probability"].to_numpy()
    table = churn_measures(p, np.isinf(back).astype(float), parts, replicates=60)
    return parts, table.set_index(["part", "measure"])


def holds(row, value=0.0):
    return row["low"] <= value <= row["high"]


def test_without_messages_everybody_is_untouched():
    _, scores, back = shop(500)
    parts = split(scores, None, series(back, scores.index))
    assert parts.masks["untouched"].all()
    assert (parts.weight == 1.0).all()
    assert judged_part(parts, 200) == "untouched"


def test_a_survey_after_a_purchase_does_not_take_the_buyer_away():
    rng, scores, back = shop()
    sent = np.where(rng.random(len(back)) < 0.7, back + 2.0, np.inf)
    parts, table = measured(scores, sent, back)
    assert parts.masks["untouched"].all()
    assert holds(table.loc[("untouched", "calibration_gap")])


def test_a_message_that_keeps_customers_does_not_make_a_sound_model_look_wrong():
    rng, scores, back = shop()
    p = scores["churn_probability"].to_numpy()
    listed = p > 0.7
    control = listed & (rng.random(len(p)) < 0.2)
    scores["arm"] = pd.Series(
        np.select([control, listed], ["control", "treatment"], None), scores.index, dtype="str"
    )
    sent = np.where(listed & ~control, 3.0, np.inf)
    saved = (sent < back) & (rng.random(len(p)) < 0.4)
    back = np.where(saved & np.isinf(back), rng.uniform(3.0, 90.0, len(p)), back)
    parts, table = measured(scores, sent, back)
    assert judged_part(parts, 200) == "untouched"
    assert parts.represented == pytest.approx(1.0, abs=0.02)
    assert holds(table.loc[("untouched", "calibration_gap")])
    assert table.loc[("all", "calibration_gap"), "low"] > 0.03
    assert table.loc[("contacted", "calibration_gap"), "low"] > 0.2
    assert (
        table.loc[("control", "calibration_gap"), "n"] == (control & (sent > back) | control).sum()
    )


def test_messages_at_any_time_to_risky_customers_are_made_up_for():
    rng, scores, back = shop()
    p = scores["churn_probability"].to_numpy()
    sent = np.where(rng.random(len(p)) < 0.8 * p, rng.uniform(0.0, 90.0, len(p)), np.inf)
    parts, table = measured(scores, sent, back)
    gap = table.loc[("untouched", "calibration_gap")]
    assert holds(gap)
    # Without weights the untouched are those who were quick to come back.
    left = parts.masks["untouched"]
    assert abs((p[left] - np.isinf(back[left])).mean()) > 3 * (gap["high"] - gap["low"])
    whole = measured(scores, np.full(len(p), np.inf), back)[1]
    for name in ("roc_auc", "brier"):
        assert holds(table.loc[("untouched", name)], whole.loc[("untouched", name), "value"])


def test_messages_to_everyone_leave_nobody_to_judge_by():
    _, scores, back = shop(2000)
    parts = split(scores, pd.Series(20.0, scores.index), series(back, scores.index))
    assert judged_part(parts, 200) == "all"
    few = split(scores.iloc[:50], None, None)
    assert judged_part(few, 200) == "untouched"


def test_a_wrong_level_is_found_and_its_interval_excludes_zero():
    _, scores, back = shop(3000)
    scores["churn_probability"] **= 2
    _, table = measured(scores, np.full(3000, np.inf), back)
    assert table.loc[("untouched", "calibration_gap"), "high"] < -0.05


def test_the_plan_earns_on_average_what_it_expected():
    rng, scores, back = shop()
    p = scores["churn_probability"].to_numpy()
    worth = rng.gamma(2.0, 40.0, len(p))
    offer = Offer(1.0, 10.0, 0.3, 0.8)
    earns = expected_value(p, worth, offer)
    arm = pd.Series(np.where(earns > 0, "treatment", None), scores.index, dtype="str")
    scores = scores.assign(arm=arm, effect=0.3 * p, value_if_kept=worth)
    terms = {"contact_cost": 1, "offer_cost": 10, "redemption": 0.8, "keeps_days": 365}
    assumed, learned = ({"offer": {**terms, "effect": e}} for e in ("assumed", "uplift"))
    earnings = planned_earnings(scores, json.dumps(assumed))
    np.testing.assert_allclose(earnings.earned(p), np.where(earns > 0, earns, 0.0), atol=1e-9)
    parts = split(scores, None, None)
    table = churn_measures(p, np.isinf(back).astype(float), parts, earnings, replicates=60)
    row = table.set_index(["part", "measure"])
    assert holds(row.loc[("untouched", "realised_profit")],
                 row.loc[("untouched", "expected_profit"), "value"])  # fmt: skip
    assert planned_earnings(scores, json.dumps(learned)) is None
    assert planned_earnings(scores, "{}") is None


def test_value_is_biased_by_what_it_is_too_high():
    rng = np.random.default_rng(1)
    n = 4000
    ids = pd.Index(range(n))
    mean = rng.gamma(1.0, 50.0, n)
    came = np.where(rng.random(n) < 0.6, rng.gamma(1.0, mean / 0.6), 0.0)
    outcomes = pd.DataFrame({"purchases": 2.0, "spend": came, "discounted": 0.95 * came}, ids)
    scores = pd.DataFrame(
        {
            "churn_probability": 0.5, "arm": None, "expected_purchases": 2.5,
            "expected_spend": mean, "clv": 1.3 * 0.4 * 0.95 * mean,
            "clv_low": 0.0, "clv_high": np.nan, "offer": None,
        },
        ids,
    )  # fmt: skip
    table = value_measures(scores, outcomes, 0.4, replicates=100)
    rows = table[table["part"] == "all"].set_index("measure")
    assert rows.loc["purchases_bias", "value"] == pytest.approx(0.25)
    assert holds(rows.loc["spend_bias"])
    assert holds(rows.loc["clv_bias"], 0.3)
    assert rows.loc["clv_bias", "low"] > 0.15
    assert "clv_held" not in rows.index  # no interval was stated
