"""An uplift champion is measured on the campaigns that the learners were judged on."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from models.base import ModelError
from models.uplift.qini import qini
from training.dataset import Holdout
from training.gate import judge
from training.promote import Champion
from training.uplift_contest import METRIC, YARDSTICKS, uplift_contest

RNG = np.random.default_rng(1)
TRUE = RNG.normal(0.1, 0.3, 800)
TREATED = RNG.integers(0, 2, 800)
STAYED = (RNG.random(800) < np.clip(0.4 + TREATED * TRUE, 0, 1)).astype(float)
EFFECTS = {"odds": TRUE, "t": -TRUE}


@pytest.fixture(scope="module")
def contest():
    judged = SimpleNamespace(
        kind="voucher",
        learner="odds",
        earned=True,
        test=SimpleNamespace(features=pd.DataFrame({"x": TRUE}), stayed=STAYED, treated=TREATED),
        found={name: qini(STAYED, TREATED, effect, seed=3) for name, effect in EFFECTS.items()},
    )
    test = Holdout("uplift_test", "a" * 32, {"cutoff": "2024-01-01"})
    return uplift_contest([judged], test, 30, None, 3)


def learned(*kinds):
    return Champion(None, {"treatments": [{"name": k, "learner": v} for k, v in kinds]})


def outcome(contest, theirs, newer=True):
    return judge(contest.ours, theirs, YARDSTICKS, newer=newer).outcome


def test_the_same_learner_is_as_good_and_the_opposite_is_surely_worse(contest):
    assert outcome(contest, contest.again(learned(("voucher", "odds")))) == "promoted"
    assert outcome(contest, contest.again(learned(("voucher", "odds"))), newer=False) == "kept"
    assert outcome(contest, contest.again(learned(("voucher", "t"))), newer=False) == "promoted"


def test_a_kind_that_the_champion_does_not_know_is_a_random_order(contest):
    assert contest.again(learned(("mail", "odds"))).sample[METRIC] == 0.0
    model = SimpleNamespace(predict=lambda features: pd.DataFrame({"uplift_mail": features["x"]}))
    assert contest.as_it_is(Champion(model)).sample[METRIC] == 0.0


def test_as_it_is_it_ranks_the_same_customers(contest):
    model = SimpleNamespace(
        predict=lambda features: pd.DataFrame({"uplift_voucher": features["x"]})
    )
    theirs = contest.as_it_is(Champion(model))
    assert theirs.sample[METRIC] == contest.ours.sample[METRIC] < 0.0
    np.testing.assert_array_equal(theirs.replicates[METRIC], contest.ours.replicates[METRIC])


def test_what_cannot_be_compared_is_said(contest):
    assert contest.objection(Champion(None, {"horizon_days": 30})) == ""
    assert "30 days against 90" in contest.objection(Champion(None, {"horizon_days": 90}))
    with pytest.raises(ModelError, match="oracle is not known"):
        contest.again(learned(("voucher", "oracle")))
