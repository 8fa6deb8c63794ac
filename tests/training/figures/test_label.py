"""The picture of the label, of a shop and of next to nothing."""

import numpy as np
import pandas as pd
import pytest

from features.label_report import label_report
from features.labels import LabelSpec
from features.ledger import Ledger
from training.figures.label import label


def ledger(customers, days):
    return Ledger.from_frames(
        pd.DataFrame({"customer_id": customers, "timestamp": pd.to_datetime(days), "amount": 1.0})
    )


def test_label(check_picture):
    random = np.random.default_rng(1)
    days = pd.Timestamp("2023-01-01") + pd.to_timedelta(random.integers(0, 400, 900), "D")
    found = label_report(ledger(random.integers(0, 300, 900).astype(str), days), LabelSpec())
    assert found.curve is not None
    check_picture(label, found)


@pytest.mark.parametrize(
    "days",
    [["2024-01-01"], ["2024-01-01", "2024-03-10"]],
    ids=["no cutoff, no curve", "one cutoff, no curve"],
)
def test_label_of_next_to_nothing(check_picture, days):
    found = label_report(ledger(["a"] * len(days), days), LabelSpec(30))
    check_picture(label, found)
