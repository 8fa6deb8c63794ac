import datetime as dt

import numpy as np
import pandas as pd
import pytest

from features.base_rates import churn_rate, churn_rates
from features.labels import LabelSpec, eligible
from features.ledger import Ledger
from features.snapshot import build_snapshot

CUTOFF = dt.date(2024, 3, 1)


def ledger(rows):
    customers, days = zip(*rows, strict=True)
    return Ledger.from_frames(
        pd.DataFrame({"customer_id": customers, "timestamp": pd.to_datetime(days), "amount": 5.0})
    )


def test_outcomes_at_one_cutoff_by_hand():
    rows = [
        ("once", "2024-02-01"),
        ("once_back", "2024-02-01"),
        ("once_back", "2024-03-31"),  # first day after the label window of 30 days
        ("regular", "2024-01-31"),
        ("regular", "2024-02-29"),
        ("regular", "2024-03-30"),  # last day of it
        ("lapsed", "2024-01-01"),
        ("lapsed", "2024-01-05"),  # due on 9 January: long ago
        ("new", "2024-03-05"),
        ("someone", "2024-05-15"),
    ]
    found = churn_rate(ledger(rows), LabelSpec(30), CUTOFF)
    assert (found.customers, found.churned) == (4, 3)
    assert (found.one_time, found.one_time_churned) == (2, 2)
    assert (found.due, found.due_churned) == (1, 0)
    assert found.came_back == 1
    assert (found.rate, found.one_time_rate, found.repeat_rate) == (3 / 4, 1.0, 1 / 2)
    assert found.reactivation_rate == 1 / 3


def test_who_came_back_is_unknown_until_the_next_horizon_is_closed():
    rows = [("a", "2024-02-01"), ("b", "2024-02-01"), ("b", "2024-03-03")]
    label_end, next_end = dt.date(2024, 3, 31), dt.date(2024, 4, 30)
    closed = next_end - dt.timedelta(days=1)
    for last, known in ((label_end, False), (closed - dt.timedelta(days=1), False), (closed, True)):
        found = churn_rate(ledger([*rows, ("c", str(last))]), LabelSpec(30), CUTOFF)
        assert (found.came_back is not None) == known, last
        assert (found.customers, found.churned) == (2, 1)


def test_nobody_known_is_no_rate():
    assert churn_rate(ledger([("a", "2024-02-29")]), LabelSpec(1), dt.date(2024, 3, 1)) is not None
    shop = Ledger.from_frames(
        pd.DataFrame(
            {
                "customer_id": ["a", "a"],
                "timestamp": pd.to_datetime(["2024-01-01", "2024-03-01"]),
                "amount": [-5.0, 5.0],
            }
        )
    )
    assert churn_rate(shop, LabelSpec(1), dt.date(2024, 2, 1)) is None


@pytest.mark.parametrize("spec", [LabelSpec(45), LabelSpec(30, 10, "cadence")])
def test_base_rates_are_of_the_labels_that_training_uses(spec):
    random = np.random.default_rng(5)
    shop = Ledger.from_frames(
        pd.DataFrame(
            {
                "customer_id": random.integers(0, 150, 1500).astype(str),
                "timestamp": pd.Timestamp("2023-01-01")
                + pd.to_timedelta(random.integers(0, 500, 1500), "D"),
                "amount": random.choice([5.0, 9.0, -4.0], 1500),
            }
        )
    )
    cutoffs = [dt.date(2023, 2, 1), dt.date(2024, 3, 1)]
    rates = churn_rates(shop, spec, cutoffs)
    assert [rate.cutoff for rate in rates] == cutoffs
    for rate in rates:
        snapshot = build_snapshot(shop, spec.window(shop.first_day, rate.cutoff))
        churned = snapshot.labels["churned"] == 1
        once = snapshot.rfm["frequency"] == 0
        due = eligible(snapshot.rfm, LabelSpec(spec.horizon_days, spec.gap_days, "cadence"))
        assert (rate.customers, rate.churned) == (len(churned), churned.sum())
        assert (rate.one_time, rate.one_time_churned) == (once.sum(), (once & churned).sum())
        assert (rate.due, rate.due_churned) == (due.sum(), (due & churned).sum())
