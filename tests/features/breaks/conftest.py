"""A shop of which everything is known: who buys when, and nothing broken."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

START = pd.Timestamp("2023-01-02")
DAYS = 420


def clean_shop(seed: int = 0, customers: int = 1200, days: int = DAYS) -> pd.DataFrame:
    """Transactions of customers who begin at any time, buy at a rate of their own, and leave.

    The shop is closed on Sundays, busy on Saturdays, and open from 8 to 20 o'clock.
    """
    rng = np.random.default_rng(seed)
    begin = rng.uniform(-300, days, customers)
    life = rng.exponential(250, customers)
    rate = rng.gamma(2.0, 1 / 40, customers)
    size = rng.poisson(rate * life)
    who = np.concatenate([np.arange(customers), np.repeat(np.arange(customers), size)])
    later = np.repeat(begin, size) + rng.uniform(0, np.repeat(life, size))
    day = np.floor(np.concatenate([begin, later]))
    table = pd.DataFrame({"customer_id": [f"c{i:05}" for i in who], "day": day})
    weekday = (table["day"] % 7).astype(int)  # 0 = Monday, as the first day is one
    moved = (weekday == 6) | ((weekday < 3) & (rng.random(len(table)) < 0.2))
    table.loc[moved, "day"] += (5 - weekday)[moved]
    table = table[(table["day"] >= 0) & (table["day"] < days)].reset_index(drop=True)
    hour = rng.uniform(8, 20, len(table))
    lines = table.assign(
        timestamp=START
        + pd.to_timedelta(table["day"], unit="D")
        + pd.to_timedelta((hour * 60).astype(int), unit="min"),
        order_id=[f"o{k}" for k in range(len(table))],
        product_id=rng.integers(0, 300, len(table)).astype(str),
        amount=rng.lognormal(3, 0.8, len(table)).round(2),
    )
    back = lines[rng.random(len(lines)) < 0.03]
    returned = back.assign(amount=-back["amount"], timestamp=back["timestamp"] + pd.Timedelta("4D"))
    both = pd.concat([lines, returned]).drop(columns="day")
    inside = both["timestamp"] < START + pd.Timedelta(days=days)
    return both[inside].sort_values("timestamp").reset_index(drop=True)


@pytest.fixture(scope="session")
def make_shop() -> Callable[..., pd.DataFrame]:
    """`clean_shop`, for other seeds and sizes."""
    return clean_shop


@pytest.fixture(scope="session")
def shop() -> pd.DataFrame:
    """One clean shop; not to be written to."""
    return clean_shop()
