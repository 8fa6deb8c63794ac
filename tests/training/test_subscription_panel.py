"""The churn panel of contracts: who is in it, when its labels are known, what is missing."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from features.ledger import Ledger
from features.subscriptions import RENEWAL_DAYS
from models.decision import Offer
from training.churn_panel import ChurnSettings, churn_panel

FIRST, LAST = dt.date(2023, 1, 1), dt.date(2024, 6, 30)
CUTOFFS = [dt.date(2023, 10, 1), dt.date(2024, 3, 2), dt.date(2024, 4, 3)]


@pytest.fixture(scope="module")
def ledger():
    """60 holders of contracts, half of whom also buy."""
    rng = np.random.default_rng(8)
    days = (LAST - FIRST).days
    ids = [f"h{i:02d}" for i in range(60)]
    start = pd.Timestamp(FIRST)
    began = rng.integers(0, 200, 60)
    lasted = 30 * rng.geometric(0.12, 60)
    ended = pd.Series(start + pd.to_timedelta(began + lasted, unit="D"))
    contracts = pd.DataFrame(
        {
            "customer_id": ids,
            "started_at": start + pd.to_timedelta(began, unit="D"),
            "ended_at": ended.where(ended <= pd.Timestamp(LAST)),
            "fee": rng.choice([5.0, 9.0], 60),
            "plan": rng.choice(["basic", "plus"], 60),
        }
    )
    sales = pd.DataFrame(
        {
            "customer_id": rng.choice(ids[:30], 400),
            "timestamp": start + pd.to_timedelta(rng.integers(0, days, 400), unit="D"),
            "amount": rng.gamma(3.0, 10.0, 400).round(2) + 1.0,
        }
    )
    sales.loc[0, "timestamp"] = pd.Timestamp(LAST)
    return Ledger.from_frames(sales, subscriptions=contracts)


@pytest.fixture(scope="module")
def panel(ledger):
    settings = ChurnSettings(horizon_days=60, label="subscriptions", offer=Offer())
    return churn_panel(ledger, settings, CUTOFFS)


def test_labels_are_known_once_a_renewal_would_have_been_seen(panel):
    assert panel.settings.reach == dt.timedelta(days=60 + RENEWAL_DAYS)
    known = [panel.slices[cutoff].labels is not None for cutoff in CUTOFFS]
    assert known == [True, True, False]  # the last window closes a month before a renewal would
    assert panel.closed_by(dt.date(2023, 12, 30)) == CUTOFFS[:1]
    assert panel.closed_by(dt.date(2023, 12, 29)) == []


def test_everyone_with_a_contract_is_in_it(panel):
    first = panel.slices[CUTOFFS[0]]
    assert first.eligible.all()
    assert 0 < first.churned.mean() < 1
    assert (first.features["contract_days"] > 0).all()
    buyers = first.features["days_since_last"].notna()
    assert 0 < buyers.mean() < 1
    assert first.features["p_alive"].notna().equals(buyers)
    assert not first.one_time[~buyers].any()


def test_a_customer_is_worth_the_fees_of_a_year(panel):
    first = panel.slices[CUTOFFS[0]]
    np.testing.assert_allclose(first.value, 12 * first.features["contract_fee"])
