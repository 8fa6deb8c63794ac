import datetime as dt

import pandas as pd
import pytest

from features.frequency import frequency_features, frequency_sums
from features.ledger import Ledger
from features.rhythm import with_gaps
from features.window import ObservationWindow


@pytest.mark.parametrize(
    ("cutoff", "days", "months"),
    [
        ("2024-07-01", ["2024-06-01", "2024-06-30"], 1),
        ("2024-07-01", ["2024-05-31", "2024-06-01"], 2),
        # The year is that of 365 days: here it begins with 2 July.
        ("2024-07-01", ["2023-07-01", "2023-07-02", "2023-07-31"], 1),
        ("2024-07-15", ["2024-06-15", "2024-07-14"], 1),
        ("2024-07-15", ["2024-06-14", "2024-06-15"], 2),
        # Months that begin on a 31st end with the 30th, or a little later where there is none.
        ("2024-05-31", ["2024-03-31", "2024-04-30", "2024-05-30"], 2),
        ("2024-07-01", ["2023-06-30"], 0),
        ("2024-07-01", [f"{year}-{m:02d}-05" for year in (2023, 2024) for m in range(1, 13)], 12),
    ],
)
def test_months_begin_on_the_day_of_the_cutoff(cutoff: str, days: list[str], months: int) -> None:
    window = ObservationWindow(dt.date(2022, 1, 1), dt.date.fromisoformat(cutoff))
    frame = pd.DataFrame({"timestamp": pd.to_datetime(days)}).assign(customer_id="a", amount=1)
    bought = with_gaps(Ledger.from_frames(frame).purchases(window.cutoff), window)
    customers = bought.group_by("customer_id").agg(
        tenure_days=bought.count(), **frequency_sums(bought, window)
    )
    found = customers.select(n=frequency_features(customers, window)["active_months_12"])
    assert found.to_pyarrow().to_pylist() == [{"n": months}]
