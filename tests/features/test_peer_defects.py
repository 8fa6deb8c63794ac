"""Defects of other RFM summaries, each with a test that ours is free of it.

Reproduced in `rfm_summary` of pymc-marketing 0.19.2.
"""

import datetime as dt

import numpy as np
import pandas as pd

from features.ledger import Ledger
from features.rfm import rfm_summary

CUTOFF = dt.date(2024, 12, 29)


def ledger(rows):
    return Ledger.from_frames(pd.DataFrame(rows, columns=["customer_id", "timestamp", "amount"]))


def summary(of):
    found = rfm_summary(of.purchases(CUTOFF), CUTOFF).to_pyarrow().to_pandas()
    return found.set_index("customer_id").sort_index()


def test_7_a_return_is_no_purchase_and_takes_its_money_back():
    found = summary(
        ledger(
            [
                ("a", "2024-01-01", 50.0),
                ("a", "2024-02-01", 40.0),
                ("a", "2024-02-11", -40.0),
                ("b", "2024-01-01", 50.0),
                ("b", "2024-02-01", 40.0),
                ("b", "2024-02-01", -40.0),
            ]
        )
    )
    # Money that comes back on the same day leaves no purchase; later it leaves the one it was.
    assert found.loc["a", "frequency"] == 1
    assert found.loc["a", "recency"] == 31 / 7
    assert found.loc["a", "monetary_value"] == 40.0
    assert found.loc["b", "frequency"] == 0
    assert found.loc["b", "monetary_value"] == 0.0


def test_7_dates_as_month_day_year_are_ordered_as_dates_and_not_as_texts():
    found = summary(
        ledger([("a", "12/15/2023", 1.0), ("a", "02/28/2024", 2.0), ("a", "03/01/2024", 3.0)])
    )
    first = dt.date(2023, 12, 15)
    assert found.loc["a", "frequency"] == 2
    assert found.loc["a", "T"] == (CUTOFF - first).days / 7
    assert found.loc["a", "recency"] == (dt.date(2024, 3, 1) - first).days / 7
    assert found.loc["a", "monetary_value"] == 2.5


def test_7_rows_without_an_id_or_a_time_are_counted_with_their_reason():
    given = ledger(
        [
            ("a", "2024-01-01", 1.0),
            (None, "2024-01-02", 1.0),
            ("b", None, 1.0),
            ("c", "2024-01-03", np.nan),
        ]
    )
    quality = given.quality.tables["transactions"]
    assert (quality.read, quality.accepted) == (4, 1)
    assert sum(quality.quarantined.values()) == 3
    assert len(quality.quarantined) == 3


def test_7_the_frame_handed_in_stays_as_it_was_and_its_order_does_not_matter():
    frame = pd.DataFrame(
        {
            "customer_id": ["b", "a", "b", "a"],
            "timestamp": pd.to_datetime(["2024-03-01", "2024-02-01", "2024-01-01", "2024-05-05"]),
            "amount": [1.0, 2.0, 3.0, 4.0],
        }
    )
    before = frame.copy(deep=True)
    found = summary(Ledger.from_frames(frame))
    pd.testing.assert_frame_equal(frame, before)
    other = summary(Ledger.from_frames(frame.iloc[::-1].reset_index(drop=True)))
    pd.testing.assert_frame_equal(found, other)


def test_7_times_are_in_weeks_whatever_the_data():
    found = summary(ledger([("a", "2024-12-01", 1.0), ("a", "2024-12-08", 1.0)]))
    assert found.loc["a", "recency"] == 1.0
    assert found.loc["a", "T"] == 4.0
