"""Cohorts, survival and lifetimes by hand."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from features.ledger import Ledger
from features.measures import ask
from features.measures.retention import MONTH, retention

LEDGER = [
    ("a", "2024-01-01"), ("a", "2024-01-20"), ("a", "2024-03-10"),
    ("b", "2024-01-10"), ("b", "2024-02-15"),
    ("c", "2024-02-01"),
    ("d", "2024-03-31"),
    ("e", "2024-01-15"), ("e", "2024-02-10"), ("e", "2024-03-05"),
]  # fmt: skip


def found(
    rows: list[tuple[str, str]], churn_days: int = 30, by: str = "month"
) -> dict[str, pd.DataFrame]:
    table = pd.DataFrame(rows, columns=["customer_id", "timestamp"]).assign(amount=1)
    with ask(Ledger.from_frames(table), by=by, churn_days=churn_days) as asked:
        frame = retention(asked).frame
    return {str(name): own.set_index("segment") for name, own in frame.groupby("measure")}


def test_the_triangle_by_hand() -> None:
    triangle = found(LEDGER)["retention_rate"]
    cells = triangle[triangle["period"] != "all"]
    told = dict(zip(cells.index, zip(cells["period"], cells["value"], strict=True), strict=True))
    assert told == {
        "cohort=2024-01|age=1": ("2024-02", pytest.approx(2 / 3)),  # b and e of a, b and e
        "cohort=2024-01|age=2": ("2024-03", pytest.approx(2 / 3)),  # a and e
        "cohort=2024-02|age=1": ("2024-03", 0.0),  # c
    }
    pooled = triangle[triangle["period"] == "all"]
    assert pooled["value"].to_dict() == {"age=1": 2 / 4, "age=2": pytest.approx(2 / 3)}
    assert pooled["n"].to_dict() == {"age=1": 4, "age=2": 3}


def test_lifetime_is_months_active_per_loss() -> None:
    (row,) = found(LEDGER)["customer_lifetime"].to_dict("records")
    days = 50 + 22 + 31 + 31 + 31 + 1 + 77  # the lives of a, a, b, b, c, d and e
    assert row["value"] == pytest.approx(days / 4 / MONTH)
    assert row["n"] == 4
    assert row["low"] < row["value"] < row["high"]


def test_survival_of_two_kinds_by_hand() -> None:
    """Ten who buy once are lost after 31 days, ten who keep coming never are."""
    start = dt.date(2022, 1, 1)
    rows = [(f"once{i}", str(start)) for i in range(10)]
    for i in range(10):
        rows += [(f"often{i}", str(start + dt.timedelta(days=20 * k))) for k in range(30)]
    tables = found(rows)
    curve = tables["survival_rate"]
    assert (curve.loc["age=1", ["value", "n"]] == [1.0, 20]).all()
    assert set(curve.loc["age=2":, "value"].round(12)) == {0.5}  # type: ignore[misc]
    assert curve.loc["age=2", "low"] == pytest.approx(0.2714, abs=1e-3)  # Greenwood, log-log
    assert curve.loc["age=2", "high"] == pytest.approx(0.6917, abs=1e-3)
    year = (31 + 365.25) / 2 / MONTH
    assert tables["mean_survival"]["value"].to_dict() == {"age=12": pytest.approx(year)}


def test_customers_without_an_end_are_censored_not_kept_for_ever() -> None:
    """A constant chance of leaving is found again, though half are still there at the end."""
    rng = np.random.default_rng(0)
    rows = []
    for who in range(400):
        first = int(rng.integers(700))
        life = first + rng.exponential(300)
        days = np.arange(first, min(life, 700), 10)
        rows += [(f"c{who}", str(dt.date(2022, 1, 1) + dt.timedelta(days=int(d)))) for d in days]
    curve = found(rows, churn_days=20)["survival_rate"]
    # Lost 21 days after the last purchase, which is on average 5 days before the end.
    for age in (6, 12):
        row = curve.loc[f"age={age}"]
        assert row["low"] < np.exp(-(age * MONTH - 21 + 5) / 300) < row["high"]
