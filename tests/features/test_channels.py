import datetime as dt

import pandas as pd

from features.channels import channels_used
from features.ledger import Ledger
from features.window import ObservationWindow

WINDOW = ObservationWindow(dt.date(2022, 1, 1), dt.date(2024, 7, 1))

# customer, days before the cutoff, amount, channel
ROWS = [
    ("days count, not lines", 300, 5, "app"),
    ("days count, not lines", 300, 5, "app"),
    ("days count, not lines", 300, 5, "app"),
    ("days count, not lines", 290, 5, "web"),
    ("days count, not lines", 280, 5, "web"),
    ("of equals the latest", 200, 5, "web"),
    ("of equals the latest", 100, 5, "app"),
    ("of equals the latest", 20, 5, "shop"),
    ("no sale", 20, -5, "web"),
    ("too long ago", 366, 5, "web"),
    ("unknown", 20, 5, None),
]


def test_the_main_channel_is_that_of_most_days() -> None:
    frame = pd.DataFrame(ROWS, columns=["customer_id", "age", "amount", "channel"])
    frame["timestamp"] = pd.Timestamp(WINDOW.cutoff) - pd.to_timedelta(frame.pop("age"), unit="D")
    rows = Ledger.from_frames(frame).transactions
    found = channels_used(rows, WINDOW).order_by("channel_user").to_pyarrow().to_pylist()
    assert [tuple(row.values()) for row in found] == [
        ("days count, not lines", "web", None, "web"),
        ("of equals the latest", "shop", "shop", "app"),
    ]
