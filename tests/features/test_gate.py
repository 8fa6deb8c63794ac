import numpy as np
import pandas as pd
import pytest

from features.gate import count_buyers, gate_problems
from features.labels import LabelSpec
from features.ledger import Ledger
from features.profile import profile


@pytest.fixture(scope="module")
def enough():
    random = np.random.default_rng(1)
    days = pd.date_range("2023-01-01", "2023-12-31")
    return Ledger.from_frames(
        pd.DataFrame(
            {
                "customer_id": random.integers(0, 800, 6000).astype(str),
                "timestamp": days[random.integers(0, len(days), 6000)],
                "amount": 1.0,
            }
        )
    )


def test_enough_data_has_no_problems(enough):
    assert gate_problems(enough, LabelSpec(30)) == ()


@pytest.mark.parametrize("spec", [LabelSpec(300), LabelSpec(120, 60), LabelSpec(30, 0, "cadence")])
def test_training_is_told_what_check_tells(enough, spec):
    told = profile(enough, spec.horizon_days, spec.gap_days, spec.eligibility)
    assert gate_problems(enough, spec) == tuple(c for c in told.gate if not c.ok)


def test_eligible_customers_alone_have_to_suffice():
    """All 300 fast buyers are back soon; only one-time buyers churn, and they do not train."""
    days = pd.date_range("2023-01-01", periods=400)
    regular = [(f"r{i}", day) for i in range(300) for day in days[i % 20 :: 20]]
    once = [(f"o{i}", days[i % 100]) for i in range(300)]
    customers, when = zip(*regular, *once, strict=True)
    ledger = Ledger.from_frames(
        pd.DataFrame({"customer_id": customers, "timestamp": when, "amount": 1.0})
    )
    assert gate_problems(ledger, LabelSpec(60)) == ()
    [problem] = gate_problems(ledger, LabelSpec(60, eligibility="cadence"))
    assert problem.check == "outcomes"
    assert "eligible customers" in problem.words


def test_buyers_are_counted_over_the_whole_history():
    ledger = Ledger.from_frames(
        pd.DataFrame(
            {
                "customer_id": ["a", "a", "a", "b", "c"],
                "timestamp": ["2024-01-01", "2024-01-01", "2024-01-09", "2024-01-09", "2024-01-02"],
                "amount": [1.0, 1.0, 1.0, 1.0, -1.0],
            }
        )
    )
    found = count_buyers(ledger)
    assert (found.buyers, found.repeat, found.purchases) == (2, 1, 3)
