"""The gate on cases whose answer is known, and what must hold of any two models."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit

from models.decision import Offer
from models.metrics.bootstrap import Resampled, resample
from models.metrics.ranking import normalised_gini
from training.churn_contest import YARDSTICKS, with_level
from training.clv_contest import Expected, resample_value
from training.gate import Yardstick, judge

OFFER = Offer(contact_cost=1.0, offer_cost=10.0, save_rate=0.3)
RNG = np.random.default_rng(5)
TRUTH = RNG.beta(1.2, 2.0, 3000)
CAME = (RNG.random(3000) < TRUTH).astype(float)
VALUE = RNG.gamma(2.0, 60.0, 3000)


def measured(p):
    return with_level(resample(CAME, p, value=VALUE, offer=OFFER, replicates=150, seed=1))


GOOD = measured(TRUTH)
NOISY = measured(expit(logit(TRUTH) + RNG.normal(scale=1.5, size=3000)))
TOO_HIGH = measured(expit(logit(TRUTH) + 1.0))
BLIND = measured(np.full(3000, CAME.mean()))


@pytest.mark.parametrize("newer", [True, False])
@pytest.mark.parametrize("worse", [NOISY, TOO_HIGH, BLIND])
def test_a_degraded_challenger_is_refused_and_a_degraded_champion_gives_way(worse, newer):
    down = judge(worse, GOOD, YARDSTICKS, newer=newer)
    assert (down.outcome, down.reason.startswith("surely worse")) == ("refused", True)
    up = judge(GOOD, worse, YARDSTICKS, newer=newer)
    assert (up.outcome, up.reason.startswith("surely better")) == ("promoted", True)


def test_of_equals_the_newer_one_wins():
    assert judge(GOOD, GOOD, YARDSTICKS, newer=True).outcome == "promoted"
    assert judge(GOOD, GOOD, YARDSTICKS, newer=False).outcome == "kept"


def test_calibration_alone_refuses():
    verdict = judge(TOO_HIGH, GOOD, YARDSTICKS, newer=True)
    told = verdict.table.set_index("measure")["verdict"]
    assert told["churn/level"] == "worse"
    assert "|mean p - rate|" in verdict.reason


def of(values, seed=0):
    """Measures a and b, each with draws around its value."""
    draws = np.random.default_rng(seed).normal(size=200)
    return Resampled(
        {name: value for name, (value, _) in values.items()},
        {name: value + spread * draws for name, (value, spread) in values.items()},
        (1, 0, 1, 200, 0),
    )


LEADING = (Yardstick("a", "a", "money", margin=0.01, leads=True),)


def test_a_newer_model_that_is_likely_worse_waits_though_nothing_is_sure():
    theirs = of({"a": (1.0, 0.5)})
    verdict = judge(of({"a": (1.5, 1.0)}), theirs, LEADING, newer=True)
    assert (verdict.outcome, "likely worse" in verdict.reason) == ("kept", True)
    as_good = judge(of({"a": (1.1, 1.0)}), theirs, LEADING, newer=True)
    assert as_good.outcome == "promoted"
    assert judge(of({"a": (1.1, 1.0)}), theirs, LEADING, newer=False).outcome == "kept"


def test_a_sure_but_tiny_difference_counts_as_none():
    worse = judge(of({"a": (1.005, 0.0)}), of({"a": (1.0, 0.0)}), LEADING, newer=True)
    assert (worse.outcome, worse.table["verdict"].item()) == ("promoted", "no sure difference")


def test_better_in_one_and_worse_in_the_other_is_refused_either_way():
    sticks = (*LEADING, Yardstick("b", "b", "calibration", margin=0.01))
    one, other = of({"a": (1.0, 0), "b": (2.0, 0)}), of({"a": (2.0, 0), "b": (1.0, 0)})
    assert judge(one, other, sticks, newer=True).outcome == "refused"
    assert judge(other, one, sticks, newer=True).outcome == "refused"


def test_what_is_only_shown_decides_nothing():
    sticks = (*LEADING, Yardstick("b", "b", "shown", margin=0.01))
    verdict = judge(
        of({"a": (1.0, 0), "b": (9.0, 0)}), of({"a": (1.0, 0), "b": (1.0, 0)}), sticks, newer=True
    )
    assert verdict.outcome == "promoted"
    assert verdict.table["verdict"].tolist() == ["no sure difference", "worse"]


def test_where_nothing_can_be_measured_the_champion_stays():
    verdict = judge(of({}), of({}), LEADING, newer=True)
    assert (verdict.outcome, verdict.table["verdict"].item()) == ("kept", "undefined")


def test_a_measure_that_is_undefined_promotes_nobody():
    one = of({"a": (1.0, 0)})
    undefined = Resampled({"a": float("nan")}, {"a": one.replicates["a"] * np.nan}, one.drawn)
    for pair in ((undefined, one), (one, undefined), (undefined, undefined)):
        assert judge(*pair, LEADING, newer=True).outcome == "kept"


levels = st.floats(-3, 3, allow_nan=False)
spreads = st.floats(0, 2, allow_nan=False)
STICKS = (
    Yardstick("a", "a", "money", margin=0.01, higher_is_better=True),
    Yardstick("b", "b", "calibration", margin=0.1, relative=False, leads=True),
)


@settings(max_examples=100, deadline=None)
@given(st.tuples(levels, spreads, levels, spreads, levels, spreads, levels, spreads))
def test_swapping_the_two_turns_every_difference_round(x):
    ours = of({"a": x[0:2], "b": x[2:4]})
    theirs = of({"a": x[4:6], "b": x[6:8]})
    there, back = (judge(*pair, STICKS, newer=False) for pair in ((ours, theirs), (theirs, ours)))
    np.testing.assert_allclose(there.table["difference"], -back.table["difference"])
    turned = {"better": "worse", "worse": "better"}
    assert there.table["verdict"].tolist() == [turned.get(v, v) for v in back.table["verdict"]]
    assert not there.outcome == back.outcome == "promoted"
    if there.outcome == "promoted":
        assert back.outcome == "refused"


def test_the_measures_of_value_are_those_that_runs_log():
    rng = np.random.default_rng(2)
    spend = np.where(rng.random(400) < 0.5, 0.0, rng.gamma(2.0, 30.0, 400))
    said = spend * 0.5 + rng.gamma(2.0, 10.0, 400).round(0)
    purchases, naive = (spend > 0) * 2.0, np.full(400, spend.mean())
    low, high = np.zeros(100), np.full(100, np.quantile(spend, 0.85))
    found = resample_value(
        purchases, spend, Expected(purchases, said, low, high), naive, naive, every=4, replicates=20
    )
    rmse = np.sqrt(np.mean((said - spend) ** 2))
    assert found.sample["clv/rmse"] == pytest.approx(rmse)
    assert found.sample["clv/level"] == pytest.approx(abs(said.sum() / spend.sum() - 1))
    assert found.sample["clv/gini"] == pytest.approx(normalised_gini(spend, said))
    held = np.mean(spend[::4] <= high)
    assert found.sample["clv/shortfall_90"] == pytest.approx(max(0.9 - held, 0.0))
    parts = [rmse / np.sqrt(np.mean((naive - spend) ** 2)), found.sample["clv/level"]]
    parts += [1 - found.sample["clv/gini"], 0.0, 0.0, 0.0]
    assert found.sample["clv/loss"] == pytest.approx(np.mean(parts))
    assert all(np.isfinite(draws).all() for draws in found.replicates.values())
