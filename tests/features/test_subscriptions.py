"""Contracts at a cutoff."""

import datetime as dt

import pandas as pd
import pytest

from features.errors import InputError, NotEnoughDataError
from features.ledger import Ledger
from features.subscriptions import contracts_at

CUTOFF = dt.date(2024, 7, 1)
ONE = pd.DataFrame({"customer_id": ["a"], "timestamp": ["2024-01-01"], "amount": [1.0]})


def contracts(*rows, cutoff=CUTOFF, period="month", extra=None):
    frame = pd.DataFrame(rows, columns=["started_at", "ended_at"]).assign(**(extra or {}))
    frame.insert(0, "customer_id", [f"c{i:02d}" for i in range(len(rows))])
    return contracts_at(Ledger.from_frames(ONE, subscriptions=frame), cutoff, period)


@pytest.mark.parametrize(
    ("start", "end", "period", "periods", "ended"),
    [
        ("2024-01-01", "2024-02-01", "month", 1, True),  # to the day
        ("2024-01-01", "2024-03-15", "month", 3, True),  # a period that had begun counts
        ("2024-01-05", "2024-01-05", "month", 1, True),  # one at least
        ("2024-01-31", "2024-02-29", "month", 1, True),  # renewal on the last day of February
        ("2024-02-01", "2024-03-01", "month", 1, True),  # 29 days, and one month
        ("2024-07-01", "2024-07-02", "month", None, None),  # starts at the cutoff
        ("2024-01-01", None, "month", 6, False),  # renews on the day of the cutoff
        ("2024-01-02", None, "month", 5, False),
        ("2024-06-02", None, "month", 0, False),
        ("2024-01-01", "2024-07-01", "month", 6, False),  # an end at the cutoff is not known
        ("2024-01-01", "2025-01-01", "month", 6, False),
        ("2022-02-28", "2024-02-28", "year", 2, True),
        ("2022-02-28", None, "year", 2, False),
        ("2023-10-01", None, "quarter", 3, False),
        ("2023-10-01", "2024-01-02", "quarter", 2, True),
        ("2024-06-01", None, 30, 1, False),
        ("2024-01-01", "2024-03-01", 30, 2, True),
        ("2024-01-01", "2024-03-02", 30, 3, True),
    ],
)
def test_periods_lasted(start, end, period, periods, ended):
    found = contracts((start, end), ("2020-01-01", None), period=period).set_index("customer_id")
    if periods is None:
        assert "c00" not in found.index
    else:
        assert tuple(found.loc["c00", ["periods", "ended"]]) == (periods, ended)


def test_what_happens_after_the_cutoff_changes_nothing():
    early = contracts(("2023-01-15", None), ("2023-03-01", "2024-01-01"))
    late = contracts(
        ("2023-01-15", "2024-09-01"), ("2023-03-01", "2024-01-01"), ("2024-08-01", None)
    )
    pd.testing.assert_frame_equal(early, late)


def test_fee_and_plan_stand_beside_them():
    found = contracts(
        ("2024-01-01", None), ("2023-01-01", None), extra={"fee": [9.99, 4.5], "plan": ["x", "y"]}
    )
    columns = ["customer_id", "started", "periods", "ended", "fee", "plan"]
    assert list(found.columns) == columns
    assert found["fee"].tolist() == [9.99, 4.5]
    assert found["periods"].dtype == "int64"
    assert found["ended"].dtype == bool


def test_a_source_without_ends_has_contracts_that_run():
    frame = pd.DataFrame({"customer_id": ["a"], "started_at": ["2024-01-01"]})
    ledger = Ledger.from_frames(ONE, subscriptions=frame)
    assert contracts_at(ledger, CUTOFF)["ended"].tolist() == [False]


def test_what_cannot_be_counted_is_refused():
    with pytest.raises(InputError, match=r"customer c00 starts at 2024-03-01.*before it"):
        contracts(("2024-03-01", "2024-02-01"))
    with pytest.raises(InputError, match="Unknown contract period 'week'"):
        contracts(("2024-03-01", None), period="week")
    with pytest.raises(InputError, match="no table of subscriptions"):
        contracts_at(Ledger.from_frames(ONE), CUTOFF)
    with pytest.raises(NotEnoughDataError, match="before the cutoff"):
        contracts(("2024-08-01", None))
