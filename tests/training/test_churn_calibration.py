"""The choice among calibrations, on made-up scores whose level moves in a known way."""

import datetime as dt
import json

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from models.calibration import Calibrator
from models.venn_abers import VennAbers
from training import calibration_candidates
from training.churn_calibration import (
    CHOSEN,
    Scored,
    Unlabelled,
    choose_calibration,
)

REACH = 90
START = dt.date(2020, 1, 1)


def day(i):
    """Cutoff number i, a month apart."""
    return dt.date(START.year + i // 12, i % 12 + 1, 1)


def scored(i, level, n=400, slope=1.0, btyd_error=None, rate=0.0, seed=0):
    """Customers whose true log-odds of churn are slope * score + level."""
    rng = np.random.default_rng([seed, i])
    score = rng.normal(rate, 1.5, n)
    truth = slope * score + level
    btyd = None if btyd_error is None else expit(truth + btyd_error)
    return Scored(
        cutoff=day(i),
        score=score,
        churned=(rng.random(n) < expit(truth)).astype(float),
        customers=[f"c{k:05d}" for k in range(n)],
        one_time=rng.random(n) < 0.4,
        btyd=btyd,
    )


def choose(levels, i=None, **how):
    """Choose for the cutoff after the last, given level by cutoff; and its customers."""
    past = [scored(k, level, **how) for k, level in enumerate(levels)]
    target = past[-1] if i is None else past[i]
    now = Unlabelled(target.score, target.btyd, target.one_time)
    return choose_calibration(past, target.cutoff, REACH, now=now), target


def log_loss(y, p):
    return -np.mean(np.where(y == 1, np.log(p), np.log1p(-p)))


def winter(i, depth=1.0):
    return -depth if i % 12 in (9, 10, 11) else 0.3 * depth


def test_a_level_that_jumps_every_winter_is_recovered_from_the_winter_before():
    choice, target = choose([winter(i) for i in range(35)])  # the last one is a November
    assert choice.source == "last_year"
    assert choice.method == "shift"
    p = choice.calibrator(target.score)
    truth = expit(np.asarray(target.score) + winter(34))
    assert abs(p.mean() - truth.mean()) < 0.03
    assert expit(target.score).mean() - truth.mean() > 0.1  # what the raw score would miss
    chosen = choice.evidence.query("source == @CHOSEN and group == 'all'").set_index("cutoff")
    latest = choice.evidence.query("source == 'latest' and method == 'shift' and group == 'all'")
    later = chosen.index >= day(18)
    assert (
        chosen["log_loss"][later].mean()
        < latest.set_index("cutoff")["log_loss"].reindex(chosen.index[later]).mean() - 0.02
    )


def test_a_level_that_stands_still_is_left_alone():
    losses = []
    for seed in range(3):
        choice, target = choose([0.0] * 24, seed=seed)
        y = np.asarray(target.churned)
        p = choice.calibrator(target.score)
        losses.append(log_loss(y, p) - log_loss(y, expit(np.asarray(target.score))))
    assert np.mean(losses) < 0.002


def test_a_lasting_error_of_level_is_mended_from_whatever_source():
    choice, target = choose([0.8] * 24)
    truth = expit(np.asarray(target.score) + 0.8)
    assert abs(choice.calibrator(target.score).mean() - truth.mean()) < 0.02
    assert choice.source != "none"


def test_a_lasting_error_of_slope_is_mended():
    choice, target = choose([0.0] * 30, n=1500, slope=0.4)
    truth = expit(0.4 * np.asarray(target.score))
    raw = np.abs(expit(target.score) - truth).mean()
    assert np.abs(choice.calibrator(target.score) - truth).mean() < 0.2 * raw
    assert choice.method != "shift"


def test_the_purchase_model_gives_the_level_where_nothing_has_closed():
    choice, target = choose([1.5, 1.5, 1.5], btyd_error=0.0)
    assert choice.evidence.empty
    assert (choice.source, choice.method) == ("btyd", "shift")
    assert "no earlier cutoff has closed" in choice.reason
    truth = expit(np.asarray(target.score) + 1.5).mean()
    raw = expit(target.score).mean()
    assert abs(choice.calibrator(target.score).mean() - truth) < 0.3 * abs(raw - truth)


def test_a_purchase_model_that_is_wrong_every_time_loses_its_weight():
    choice, _ = choose([0.0] * 24, btyd_error=1.5)
    assert choice.weights.get("btyd/shift", 0.0) < 0.02
    assert sum(choice.weights.values()) == pytest.approx(1.0)


def test_a_purchase_model_that_is_wrong_by_the_same_amount_is_corrected():
    # The level of the score wanders; that of the purchase model is off by a constant.
    levels = np.random.default_rng(5).normal(0, 0.8, 30)
    choice, target = choose(levels, btyd_error=0.7)
    assert choice.source.startswith("btyd+")
    truth = expit(np.asarray(target.score) + levels[-1]).mean()
    assert abs(choice.calibrator(target.score).mean() - truth) < 0.04


def test_labels_that_have_not_closed_change_nothing():
    levels = [winter(i) for i in range(30)]
    past = [scored(i, level, btyd_error=0.1) for i, level in enumerate(levels)]
    target = day(27)
    changed = [
        Scored(s.cutoff, s.score, 1 - np.asarray(s.churned), s.customers, s.one_time, s.btyd)
        if s.cutoff + dt.timedelta(days=REACH) > target
        else s
        for s in past
    ]
    assert sum(a is not b for a, b in zip(past, changed, strict=True)) == 5
    now = Unlabelled(past[27].score, past[27].btyd)
    same_to_the_byte(
        choose_calibration(past, target, REACH, now=now),
        choose_calibration(changed, target, REACH, now=now),
    )


def test_each_earlier_cutoff_is_judged_by_what_had_closed_by_itself():
    past = [scored(i, winter(i)) for i in range(24)]
    whole = choose_calibration(past, day(40), REACH).evidence
    # The same cutoff judged with nothing after it: all its rows agree but for today's weight.
    part = choose_calibration(past[:16], day(40), REACH).evidence
    pd.testing.assert_frame_equal(
        whole[whole["cutoff"] <= day(15)].drop(columns="weight").reset_index(drop=True),
        part.drop(columns="weight"),
    )


def test_the_order_of_rows_and_cutoffs_changes_nothing():
    rng = np.random.default_rng(1)
    past = [scored(i, winter(i), n=300, btyd_error=0.2) for i in range(20)]
    shuffled = []
    for i in rng.permutation(20):
        s, order = past[i], rng.permutation(300)
        rows = (np.asarray(x)[order] for x in (s.score, s.churned, s.customers, s.one_time, s.btyd))
        shuffled.append(Scored(s.cutoff, *rows))
    other = rng.permutation(300)
    t = past[19]
    same_to_the_byte(
        choose_calibration(past, t.cutoff, REACH, now=Unlabelled(t.score, t.btyd, t.one_time)),
        choose_calibration(
            shuffled,
            t.cutoff,
            REACH,
            now=Unlabelled(t.score[other], t.btyd[other], t.one_time[other]),
        ),
    )


def same_to_the_byte(one, two):
    assert json.dumps(one.calibrator.to_dict()) == json.dumps(two.calibrator.to_dict())
    assert json.dumps(one.interval.to_dict()) == json.dumps(two.interval.to_dict())
    assert one.weights == two.weights
    assert one.reason == two.reason
    assert one.expected == two.expected
    pd.testing.assert_frame_equal(one.evidence, two.evidence, check_exact=True)


@pytest.mark.parametrize("level", [0.0, 2.5])
def test_the_interval_encloses_the_probability_and_has_its_level(level):
    choice, target = choose([level] * 12, n=1000)
    score = np.asarray(target.score)
    p = choice.calibrator(score)
    low, high = choice.interval.around(score, p)
    assert np.all((low >= 0) & (low <= p) & (p <= high) & (high <= 1))
    own_low, own_high = choice.interval(score)
    assert own_low.mean() < p.mean() < own_high.mean()
    again = VennAbers.from_dict(json.loads(json.dumps(choice.interval.to_dict())))
    np.testing.assert_array_equal(again(score), (own_low, own_high))


def test_the_interval_is_wider_where_the_level_is_hard_to_foretell():
    still, target = choose([0.0] * 20)
    restless, _ = choose(np.random.default_rng(3).normal(0, 1, 20))
    assert restless.level_error > 2 * still.level_error
    width = [np.subtract(*c.interval(target.score)[::-1]).mean() for c in (still, restless)]
    assert width[1] > 1.5 * width[0]


def test_without_any_past_the_score_is_kept_and_nothing_is_known():
    choice = choose_calibration([], day(5), REACH)
    assert choice.calibrator == Calibrator("identity", {})
    low, high = choice.interval.around([0.0], [0.5])
    assert (low[0], high[0]) == (0.0, 1.0)
    assert choice.evidence.empty
    assert choice.expected == {}


@pytest.mark.parametrize("rate", [-6.5, 4.5])
@pytest.mark.parametrize("n", [30, 400])
def test_rare_and_common_churn_and_few_customers(rate, n):
    choice, target = choose([0.0] * 20, n=n, rate=rate, btyd_error=0.0)
    p = choice.calibrator(target.score)
    assert np.all((p > 0) & (p < 1))
    assert abs(p.mean() - expit(target.score).mean()) < 0.05
    assert set(choice.expected) == {"all", "one_time", "repeat"}


def test_ties_and_cutoffs_with_one_outcome():
    flat = [
        Scored(day(i), np.zeros(50), np.full(50, i % 2 == 0), np.arange(50), np.ones(50, bool))
        for i in range(12)
    ]
    choice = choose_calibration(flat, day(20), REACH, now=Unlabelled(np.zeros(3)))
    p = choice.calibrator(np.zeros(3))
    assert np.all((p > 0.05) & (p < 0.95))
    assert set(choice.evidence["group"]) == {"all", "one_time"}


def test_a_large_cutoff_is_thinned_and_keeps_its_level(monkeypatch):
    monkeypatch.setattr(calibration_candidates, "MAX_CUSTOMERS", 1000)
    choice, target = choose([0.8] * 16, n=3000)
    assert choice.evidence["customers"].max() == 1000
    truth = expit(np.asarray(target.score) + 0.8).mean()
    assert abs(choice.calibrator(target.score).mean() - truth) < 0.04


def test_only_the_methods_that_are_allowed():
    past = [scored(i, 0.8) for i in range(20)]
    none = choose_calibration(past, day(20), REACH, methods=("none",))
    assert none.calibrator == Calibrator("identity", {})
    shift = choose_calibration(past, day(20), REACH, methods=("shift",))
    assert set(shift.evidence["method"]) == {"identity", "shift", "mean"}
    with pytest.raises(ValueError, match="sigmoid"):
        choose_calibration(past, day(20), REACH, methods=("sigmoid",))
    with pytest.raises(ValueError, match="same cutoff"):
        choose_calibration([past[0], past[0]], day(20), REACH)


def test_the_evidence_tells_one_time_buyers_apart():
    choice, _ = choose([0.0] * 16, btyd_error=0.0)
    evidence = choice.evidence
    assert list(evidence.columns) == [
        "cutoff", "source", "method", "group", "customers", "churn_rate", "log_loss", "brier",
        "ece", "mean_p_minus_rate", "weight",
    ]  # fmt: skip
    counts = evidence.pivot_table(index="cutoff", columns="group", values="customers")
    assert (counts["one_time"] + counts["repeat"] == counts["all"]).all()
    sources = {"none", "btyd", "latest", "pooled", "last_year", CHOSEN}
    assert sources < set(evidence["source"])
    now = evidence.query("group == 'all'").drop_duplicates(["source", "method"])
    assert now["weight"].sum() == pytest.approx(1.0)
