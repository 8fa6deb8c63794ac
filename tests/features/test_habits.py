import datetime as dt

import numpy as np
import pandas as pd
import pytest

from features.habits import habit_features, habit_sums
from features.ledger import Ledger
from features.window import ObservationWindow

WINDOW = ObservationWindow(dt.date(2022, 1, 1), dt.date(2024, 7, 1))


@pytest.mark.parametrize(
    ("times", "weekend", "entropy"),
    [
        (["2024-06-28 10:00", "2024-06-29 10:00", "2024-06-30 10:00"], 2 / 3, 0),
        (["2024-06-27 00:01", "2024-06-26 06:00", "2024-06-25 17:59", "2024-06-24 18:00"], 0, 4),
        (["2024-06-27 05:59", "2024-06-26 06:00"], 0, 2),
        # The first sale line of a day is its time, and midnight is none.
        (["2024-06-26 09:00", "2024-06-26 20:00", "2024-06-25 11:00"], 0, 0),
        (["2024-06-26", "2024-06-25"], 0, None),
        (["2023-06-30 10:00"], None, None),
    ],
)
def test_days_of_the_week_and_parts_of_the_day(
    times: list[str], weekend: float | None, entropy: float | None
) -> None:
    frame = pd.DataFrame({"timestamp": pd.to_datetime(times, format="ISO8601")})
    shop = Ledger.from_frames(frame.assign(customer_id="a", amount=1))
    bought = shop.purchases(WINDOW.cutoff)
    year = bought.day >= WINDOW.cutoff - dt.timedelta(days=365)
    customers = bought.group_by("customer_id").agg(
        purchases_365=bought.count(where=year), **habit_sums(bought, WINDOW)
    )
    found = customers.select(**habit_features(customers)).to_pyarrow().to_pylist()[0]
    # Parts of the day, all alike: the entropy is the logarithm of their number.
    expected = {
        "weekend_share_365": weekend,
        "hour_entropy_365": np.log(entropy or 1) if entropy is not None else None,
    }
    assert found == pytest.approx(expected, abs=1e-12)
