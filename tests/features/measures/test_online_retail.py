"""A year of a real shop: what the engine counts, against pandas on the same transactions."""

from pathlib import Path

import pandas as pd
import pytest

from features.ledger import Ledger
from features.measures import ask
from features.measures.portfolio import portfolio
from features.measures.purchasing import purchasing
from features.measures.retention import retention

pytestmark = pytest.mark.data


@pytest.fixture(scope="module")
def ledger(development_data: Path) -> Ledger:
    raw = pd.read_parquet(development_data / "online_retail_ii_2010.parquet")
    names = ["customer_id", "timestamp", "amount"]
    return Ledger.from_frames(raw[names].dropna(subset=["customer_id"]))


@pytest.fixture(scope="module")
def days(ledger: Ledger) -> pd.DataFrame:
    """Customer-days, netted."""
    table = ledger.transactions.select("customer_id", "timestamp", "amount").to_pyarrow()
    frame = table.to_pandas().astype({"amount": float})
    frame["day"] = frame["timestamp"].dt.normalize()
    net = frame.groupby(["customer_id", "day"], as_index=False)["amount"].sum()
    return net.assign(month=net["day"].dt.strftime("%Y-%m"), amount=net["amount"].round(4))


def test_the_books_of_a_real_shop(ledger: Ledger, days: pd.DataFrame) -> None:
    with ask(ledger) as asked:
        frames = [family(asked).frame for family in (purchasing, retention, portfolio)]
    found = pd.concat(frames).set_index(["measure", "period", "segment"])["value"]
    bought = days[days["amount"] > 0]
    first = bought.groupby("customer_id")["month"].min()
    months = sorted(bought["month"].unique())
    active = {month: set(own["customer_id"]) for month, own in bought.groupby("month")}
    for number, month in enumerate(months):
        revenue = days.loc[days["month"] == month, "amount"].sum()
        assert found["revenue", month, "all"] == pytest.approx(revenue)
        assert found["active_customers", month, "all"] == len(active[month])
        cohort = set(first.index[first == month])
        assert found["new_customers", month, "all"] == len(cohort)
        for age, later in enumerate(months[number + 1 :], 1):
            share = len(cohort & active[later]) / len(cohort)
            assert found["retention_rate", later, f"cohort={month}|age={age}"] == share
    counts = bought["customer_id"].value_counts()
    assert found["repeat_purchase_rate", "all", "all"] == (counts > 1).mean()
    spent = days[days["customer_id"].isin(counts.index)].groupby("customer_id")["amount"].sum()
    spent = spent.clip(lower=0).sort_values(ascending=False)
    top = spent.iloc[: -(-len(spent) // 10)].sum() / spent.sum()
    assert found["revenue_share_top10", "all", "all"] == pytest.approx(top)
