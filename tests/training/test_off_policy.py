"""What lists would have earned in past campaigns: against the truth of made-up ones."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from features.ledger import Ledger
from models.decision import Offer
from training import figures
from training.off_policy import off_policy, off_policy_backtest
from training.policy_backtest import Moment, Terms


def experiment(seed, n=4000, share=0.3):
    """Outcomes of both arms of an experiment: half of the customers gain 5, the others lose 2."""
    rng = np.random.default_rng(seed)
    good = rng.random(n) < 0.5
    effect = np.where(good, 5.0, -2.0)
    base = rng.gamma(2.0, 10.0, n)
    arm = (rng.random(n) < share).astype(float)
    lists = {"nothing": np.zeros(n), "everyone": np.ones(n), "model": good.astype(float)}
    return base + arm * effect, arm, lists, effect


def test_six_customers_by_hand():
    y, arm = [10.0, 4.0, 8.0, 1.0, 3.0, 5.0], [1, 1, 0, 0, 1, 0]
    lists = {"model": [1, 1, 1, 1, 0, 0], "everyone": [1] * 6, "nothing": [0] * 6}
    found = off_policy(y, arm, 0.5, lists, replicates=20).set_index("policy")
    # Among the four: 7 treated, 4.5 held back; of all: 17 / 3 and 14 / 3.
    assert found["gain"].tolist() == pytest.approx([4 / 6 * 2.5, 1.0, 0.0])
    assert found.loc["model", ["treated", "control"]].tolist() == [2, 2]
    assert found.loc["everyone", "minus_model"] == pytest.approx(1.0 - 4 / 6 * 2.5)


def test_the_interval_covers_the_truth_as_often_as_it_says():
    covered = {"model": 0, "everyone": 0}
    for seed in range(40):
        y, arm, lists, effect = experiment(seed, 800)
        found = off_policy(y, arm, 0.3, lists, replicates=200, seed=seed).set_index("policy")
        for name in covered:
            truth = float((lists[name] * effect).mean())
            covered[name] += found.loc[name, "low"] <= truth <= found.loc[name, "high"]
    assert all(count >= 34 for count in covered.values())


def test_the_right_list_is_seen_to_be_better():
    y, arm, lists, _ = experiment(0, 20_000)
    found = off_policy(y, arm, 0.3, lists, replicates=100).set_index("policy")
    assert found.loc["nothing", "gain"] == 0.0
    assert found.loc["everyone", "minus_model_high"] < 0.0
    assert found.loc["model", "gain"] == pytest.approx(2.5, abs=0.5)


def test_a_list_with_nobody_in_an_arm_has_no_estimate():
    lists = {"model": [1.0, 1.0, 0.0], "everyone": [1.0] * 3}
    found = off_policy([1.0, 2.0, 3.0], [1, 1, 0], 0.5, lists, replicates=20).set_index("policy")
    assert np.isnan(found.loc["model", ["gain", "low", "high"]].astype(float)).all()
    assert found.loc["everyone", "gain"] == pytest.approx(1.5 - 3.0)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (([1.0], [1, 0], 0.5), "one outcome and one arm"),
        (([1.0, 2.0], [1, 2], 0.5), "arms of 0 and 1"),
        (([1.0, np.nan], [1, 0], 0.5), "finite outcomes"),
        (([1.0, 2.0], [1, 0], 1.0), "above 0 and below 1"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments, says):
    with pytest.raises(ValueError, match=says):
        off_policy(*arguments, {"model": [1.0, 1.0]})


def shop(n=400):
    """A shop that wrote to half of its customers on 10 February: those buy for 20 more."""
    rng = np.random.default_rng(5)
    ids = [f"C{i:03}" for i in range(n)]
    arm = rng.random(n) < 0.5
    days = pd.to_datetime("2024-01-01") + pd.to_timedelta(rng.integers(0, 30, n), unit="D")
    spend = rng.integers(10, 90, n).astype(float)
    first = pd.DataFrame({"customer_id": ids, "timestamp": days.astype(str), "amount": spend})
    after = first.assign(timestamp="2024-02-20", amount=10.0 + 20.0 * arm)
    last = pd.DataFrame({"customer_id": ["z"], "timestamp": ["2024-06-30"], "amount": [1.0]})
    contacts = pd.DataFrame(
        {
            "customer_id": ids,
            "timestamp": "2024-02-10",
            "campaign": "gift-2024-02",
            "arm": np.where(arm, "treatment", "control"),
            "cost": np.where(arm, 2.0, 0.0),
        }
    )
    ledger = Ledger.from_frames(pd.concat([first, after, last]), contacts=contacts)
    p = rng.random(n)
    who = np.array(ids, dtype=object)
    y = (p > 0.5).astype(float)
    return ledger, Moment(dt.date(2024, 2, 1), y, {"model": p}, np.full(n, 100.0), who)


def test_campaigns_of_the_ledger_are_matched_with_the_lists_of_their_day():
    ledger, moment = shop()
    terms = Terms((Offer(1.0, 10.0, 0.5),))
    found = off_policy_backtest(ledger, [moment], terms, window_days=30, margin=0.5, replicates=50)
    assert found["campaign"].unique().tolist() == ["gift-2024-02"]
    found = found.set_index("policy")
    assert found.loc["everyone", "gain"] == pytest.approx(0.5 * 20.0 - 2.0)
    share = found.loc["model", "contacted"]
    assert 0.0 < share < 1.0
    assert found.loc["model", "gain"] == pytest.approx(share * 8.0)
    assert figures.pixels(figures.off_policy(found.reset_index())).ndim == 3
    # A forecast of long ago is none of that day.
    old = moment.__class__(dt.date(2023, 11, 1), *list(vars(moment).values())[1:])
    assert off_policy_backtest(ledger, [old], terms, window_days=30).empty
