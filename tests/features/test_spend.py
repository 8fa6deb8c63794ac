import datetime as dt

import pandas as pd
import pytest

from features.ledger import Ledger
from features.purchases import customer_days
from features.snapshot import build_snapshot
from features.spend import spend_day_sums
from features.window import ObservationWindow

WINDOW = ObservationWindow(dt.date(2022, 1, 1), dt.date(2024, 7, 1))

# days before the cutoff, amount, cost
ROWS = [
    (400, 50, 1),  # more than a year ago
    (300, 40, 30),
    (200, 20, None),  # a cost that is not known leaves the line out
    (100, 10, 25),  # sold below cost
    (90, -40, 30),  # sent back: the cost comes back, too,
    (80, -10, -25),  # with either sign
    (70, 0, 3),  # a gift costs, and is no return
]


def test_the_margin_is_that_of_lines_whose_cost_is_known() -> None:
    frame = pd.DataFrame(ROWS, columns=["age", "amount", "cost"])
    frame["timestamp"] = pd.Timestamp(WINDOW.cutoff) - pd.to_timedelta(frame.pop("age"), unit="D")
    days = customer_days(Ledger.from_frames(frame.assign(customer_id="a")).transactions)
    found = days.agg(margin=spend_day_sums(days, WINDOW)["margin_365"])
    assert found.to_pyarrow().to_pylist() == [{"margin": 10 - 15 - 10 + 15 - 3}]


@pytest.mark.parametrize("scale", [1, 10_000, 1_000_000_000])
def test_a_currency_of_large_numbers_changes_no_ratio(scale: int) -> None:
    """A day worth 100,000 once overflowed the sum of squares."""
    days = pd.date_range("2023-01-05", periods=8, freq="30D")
    rows = [("a", day, (20 + i) * scale) for i, day in enumerate(days)]
    ledger = Ledger.from_frames(pd.DataFrame(rows, columns=["customer_id", "timestamp", "amount"]))
    cutoff = dt.date(2023, 8, 4)
    window = ObservationWindow(dt.date(2023, 1, 1), cutoff, horizon_days=30)
    found = build_snapshot(ledger, window, labels=False).features.loc["a"]
    assert found["cv_order_value"] == pytest.approx(0.104233606, abs=1e-9)
    assert found["first_order_value"] == 20 * scale
