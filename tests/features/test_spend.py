import datetime as dt

import pandas as pd

from features.ledger import Ledger
from features.purchases import customer_days
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
