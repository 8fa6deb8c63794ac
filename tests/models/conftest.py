"""Histories from public data and from known processes."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest


@pytest.fixture(scope="session")
def cdnow() -> pd.DataFrame:
    """RFM summary of the CDNOW 1/10 sample at the end of its 39-week calibration period."""
    folder = os.environ.get("REGULARS_DATA")
    if not folder:
        pytest.skip("REGULARS_DATA is not set")
    rows = pd.read_parquet(Path(folder) / "cdnow_sample.parquet")
    rows["day"] = rows["date"].dt.normalize()
    rows = rows[rows["day"] < pd.Timestamp("1997-10-01")]
    days = rows.groupby(["customer_id", "day"], as_index=False)["amount"].sum()
    first = days.groupby("customer_id")["day"].min()
    last = days.groupby("customer_id")["day"].max()
    repeat = days[days["day"] > days["customer_id"].map(first)]
    # The published summary measures T to the last day of the period.
    end = pd.Timestamp("1997-09-30")
    return pd.DataFrame(
        {
            "frequency": days.groupby("customer_id").size() - 1,
            "recency": (last - first).dt.days / 7.0,
            "T": (end - first).dt.days / 7.0,
            "monetary_value": repeat.groupby("customer_id")["amount"]
            .mean()
            .reindex(first.index)
            .fillna(0.0),
        }
    )


@pytest.fixture(scope="session")
def cdnow_first(cdnow) -> pd.DataFrame:
    """The same with `first_value`."""
    rows = pd.read_parquet(Path(os.environ["REGULARS_DATA"]) / "cdnow_sample.parquet")
    rows = rows[rows["amount"] > 0].sort_values("date")
    first = rows.groupby("customer_id")["date"].transform("min")
    value = rows[rows["date"] == first].groupby("customer_id")["amount"].sum()
    return cdnow.assign(first_value=value).dropna()


def simulate(
    n: int, seed: int, *, r=0.8, alpha=8.0, a=0.7, b=2.5, first_chance=True, future_weeks=0.0
) -> pd.DataFrame:
    """Customers of a known BG/NBD or MBG/NBD process with Gamma-Gamma spend (6, 4, 15).

    Beside the summary: `future_purchases` and `future_spend` of the `future_weeks` after T.
    """
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(n):
        rate, p, T = rng.gamma(r, 1 / alpha), rng.beta(a, b), rng.uniform(5, 100)
        nu = rng.gamma(4.0, 1 / 15.0)
        now, past, future = 0.0, [], 0
        alive = not first_chance or rng.random() > p
        while alive:
            now += rng.exponential(1 / rate)
            if now > T + future_weeks:
                break
            if now <= T:
                past.append(now)
            else:
                future += 1
            alive = rng.random() > p
        spend = rng.gamma(6.0, 1 / nu, size=len(past)).mean() if past else 0.0
        later = rng.gamma(6.0 * future, 1 / nu) if future else 0.0
        rows.append((len(past), past[-1] if past else 0.0, T, spend, future, later))
    columns = ["frequency", "recency", "T", "monetary_value", "future_purchases", "future_spend"]
    return pd.DataFrame(rows, columns=columns, index=[f"c{i:05d}" for i in range(n)])


@pytest.fixture(scope="session")
def regulars() -> pd.DataFrame:
    """1,500 simulated MBG/NBD customers and what they did in the 52 weeks after."""
    return simulate(1500, seed=7, future_weeks=52.0)
