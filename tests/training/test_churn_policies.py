"""What a run shows of the lists that a churn model makes."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from features.ledger import Ledger
from models.decision import Offer
from training.churn_panel import ChurnSettings
from training.churn_policies import log_policies, policy_moments
from training.churn_recipes import CANDIDATES
from training.churn_rolling import Rolling
from training.policy_backtest import Terms

LATE = [dt.date(2023, 7, 1), dt.date(2023, 8, 1)]


@pytest.fixture(scope="module")
def rolling(panel):
    names = ("days_since_last", "btyd")
    return Rolling(panel, {name: CANDIDATES[name] for name in names}, seed=1)


class Run:
    """Keeps what is logged."""

    def __init__(self):
        self.tables, self.figures = {}, []

    def table(self, name, table):
        self.tables[name] = table

    def figure(self, name, figure):
        del figure
        self.figures.append(name)


def shop(panel):
    """Half of the panel were sent something on 10 August, and bought for 9 more."""
    ids = panel.slices[LATE[-1]].customers
    rng = np.random.default_rng(0)
    arm = rng.random(len(ids)) < 0.5
    first = pd.DataFrame({"customer_id": ids, "timestamp": "2023-01-05", "amount": 30.0})
    first["timestamp"] = pd.date_range("2023-01-01", periods=len(ids), freq="h").astype(str)
    after = first.assign(timestamp="2023-08-20", amount=5.0 + 9.0 * arm)
    last = first.head(1).assign(timestamp="2024-02-01")
    contacts = pd.DataFrame(
        {
            "customer_id": ids,
            "timestamp": "2023-08-10",
            "campaign": "gift-2023-08",
            "arm": np.where(arm, "treatment", "control"),
            "cost": np.where(arm, 1.0, 0.0),
        }
    )
    return Ledger.from_frames(pd.concat([first, after, last]), contacts=contacts)


def test_a_moment_holds_the_forecasts_that_were_made_at_it(rolling):
    first, second = policy_moments(rolling, "btyd", LATE)
    assert (first.cutoff, second.cutoff) == tuple(LATE)
    assert set(first.forecasts) == {"recency_rule", "btyd", "model"}
    assert (first.forecasts["model"] == rolling.probability("btyd", LATE[0])).all()
    assert (second.churned == rolling.panel.slices[LATE[1]].churned).all()
    (alone,) = policy_moments(rolling, "btyd", LATE[:1], rules=False)
    assert set(alone.forecasts) == {"model"}


def test_the_plan_is_logged_with_its_terms_and_with_past_campaigns(rolling, panel):
    run, ledger = Run(), shop(panel)
    settings = ChurnSettings(horizon_days=60, terms=Terms((Offer(1.0, 10.0, 0.3),), budget=300.0))
    log_policies(run, ledger, rolling, "btyd", LATE, settings, 0)
    assert run.figures == list(run.tables) == ["policy_backtest", "off_policy"]
    table = run.tables["policy_backtest"].set_index(["cutoff", "policy"])
    assert ("all", "model") in table.index
    assert 0.0 < table.loc[("all", "model"), "contacted"] < 0.5  # the budget
    past = run.tables["off_policy"].set_index("policy")
    assert past.loc["everyone", "gain"] == pytest.approx(8.0)
    # Contracts do not end by purchases, and without contacts nothing is known.
    plain = Run()
    log_policies(plain, ledger, rolling, "btyd", LATE,
                 ChurnSettings(horizon_days=60, label="subscriptions"), 0)  # fmt: skip
    assert list(plain.tables) == ["policy_backtest"]
