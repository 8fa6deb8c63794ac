import datetime as dt
import json

import numpy as np
import pandas as pd
import pytest

from features.ledger import Ledger
from features.profile import profile


def ledger(days, customers=None, amounts=1.0):
    count = len(days)
    return Ledger.from_frames(
        pd.DataFrame(
            {
                "customer_id": customers if customers is not None else ["a"] * count,
                "timestamp": pd.to_datetime(days),
                "amount": amounts,
            }
        )
    )


def test_counts_by_hand():
    found = profile(
        ledger(
            ["2024-01-01", "2024-01-01", "2024-01-10", "2024-03-01", "2024-03-02", "2024-04-30"],
            ["a", "a", "a", "b", "c", None],
            [10.0, -10.0, 20.0, 5.0, -5.0, 1.0],
        ),
        horizon_days=30,
    )
    assert (found.rows, found.customers, found.buyers, found.purchases) == (5, 3, 2, 2)
    assert (found.first_day, found.last_day) == (dt.date(2024, 1, 1), dt.date(2024, 3, 2))
    assert found.history_days == 62
    assert (found.sales, found.returns) == (35.0, 2)
    assert found.returned_share == pytest.approx(15 / 35)
    assert (found.without_customer, found.without_customer_share) == (1, pytest.approx(1 / 6))
    assert found.one_time_share == 1.0
    # Cutoff 2024-02-02: a is known, and buys nothing in the 30 days after it.
    assert [(r.cutoff, r.customers, r.churned) for r in found.churn] == [
        (dt.date(2024, 2, 2), 1, 1)
    ]
    assert not found.ready


def test_a_closed_weekday_is_a_pattern_and_a_closed_fortnight_a_gap():
    days = pd.date_range("2024-01-01", "2024-06-30")
    shut = (days >= "2024-03-04") & (days <= "2024-03-17")
    found = profile(ledger(days[(days.day_of_week != 5) & ~shut]), horizon_days=30)
    assert found.closed_weekdays == ("Saturday",)
    assert [(gap.first, gap.last) for gap in found.gaps] == [
        (dt.date(2024, 3, 4), dt.date(2024, 3, 17))
    ]
    assert found.days_without_sales == 12


def test_a_small_shop_that_sells_every_few_days_has_no_gaps():
    random = np.random.default_rng(0)
    days = pd.date_range("2022-01-01", "2023-12-31")
    found = profile(ledger(days[random.random(len(days)) < 0.3]), horizon_days=30)
    assert found.gaps == ()
    assert found.closed_weekdays == ()


@pytest.fixture(scope="module")
def enough():
    random = np.random.default_rng(1)
    days = pd.date_range("2023-01-01", "2023-12-31")
    picks = random.integers(0, len(days), 6000)
    customers = random.integers(0, 800, 6000).astype(str)
    return ledger(days[picks], customers)


def test_the_gate_opens_for_enough_data(enough):
    found = profile(enough, horizon_days=30)
    assert found.ready, [check for check in found.gate if not check.ok]


def test_the_gate_says_what_is_missing_and_what_follows(enough):
    gate = {check.check: check for check in profile(enough, horizon_days=300).gate}
    assert not gate["cutoffs"].ok
    assert "shorter horizon_days" in gate["cutoffs"].words
    gate = {check.check: check for check in profile(ledger(["2024-01-01"]), 30).gate}
    for name in ("buyers", "repeat_buyers", "history_days", "cutoffs"):
        assert not gate[name].ok
        assert gate[name].found < gate[name].needed


def test_the_profile_is_plain_json(enough):
    text = json.dumps(profile(enough, horizon_days=30).to_dict(), allow_nan=False)
    assert json.loads(text)["ready"] is True


@pytest.mark.parametrize("amount", [1.0, -1.0, 0.0])
def test_one_row_is_enough_to_be_described(amount):
    found = profile(ledger(["2024-01-01"], amounts=amount), horizon_days=30)
    json.dumps(found.to_dict(), allow_nan=False)
    assert found.buyers == (amount > 0)


def test_too_few_on_one_side_is_not_called_almost_everyone():
    days = pd.date_range("2023-01-01", periods=400)
    found = profile(ledger(days, [f"c{i % 40}" for i in range(400)]), horizon_days=90)
    outcomes = {check.check: check for check in found.gate}["outcomes"]
    assert not outcomes.ok
    assert "At least 50 who buy and 50 who do not" in outcomes.words
