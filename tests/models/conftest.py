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


class Shop:
    """Customers with known purchase times: their features and outcomes at any cutoff.

    They buy ever more slowly until they leave, which no purchase model knows.
    """

    def __init__(self, customers: int, seed: int, weeks: float = 104.0) -> None:
        rng = np.random.default_rng(seed)
        self.times, self.values = [], []
        for _ in range(customers):
            rate, level = rng.gamma(0.8, 1 / 8.0), rng.gamma(4.0, 10.0)
            t, times = rng.uniform(0.0, weeks / 2), []
            while t < weeks:
                times.append(np.floor(7 * t) / 7)
                t += rng.exponential(1 / rate) + 1 / 7
                if rng.random() < 0.15:
                    break
                rate *= rng.lognormal(-0.1, 0.3)
            self.times.append(np.array(times))
            self.values.append(level * rng.lognormal(0.0, 0.4, len(times)))

    def at(self, cutoff: float, horizon: float) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
        """RFM summary, features and labels at a cutoff; all in weeks from the start."""
        rows, index = [], []
        for i, (times, values) in enumerate(zip(self.times, self.values, strict=True)):
            known = times < cutoff
            if not known.any():
                continue
            t, v = times[known], values[known]
            later = (times >= cutoff) & (times < cutoff + horizon)
            gaps = 7 * np.diff(t)
            since = 7 * (cutoff - t[-1])
            mean = max(gaps.mean(), 1.0) if len(gaps) else np.nan
            index.append(f"c{i:05d}")
            rows.append(
                {
                    "frequency": len(t) - 1.0,
                    "recency": t[-1] - t[0],
                    "T": cutoff - t[0],
                    "monetary_value": v[1:].mean() if len(gaps) else 0.0,
                    "first_value": v[0],
                    "n_purchases_all": float(len(t)),
                    "days_since_last": since,
                    "tenure_days": 7 * (cutoff - t[0]),
                    "gap_last": gaps[-1] if len(gaps) else np.nan,
                    "gap_mean": mean,
                    "overdue_ratio": since / mean,
                    "net_spend_90": v[t >= cutoff - 90 / 7].sum(),
                    "aov_365": v.mean(),
                    "future_purchases": float(later.sum()),
                    "future_spend": float(values[later].sum()),
                }
            )
        frame = pd.DataFrame(rows, index=pd.Index(index, name="customer_id"))
        return frame.iloc[:, :5], frame.iloc[:, 5:13], frame.iloc[:, 13:]


@pytest.fixture(scope="session")
def shop() -> Shop:
    """800 customers over two years."""
    return Shop(800, seed=3)
