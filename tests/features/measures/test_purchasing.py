"""A small shop by hand, and what holds for any shop."""

import datetime as dt
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest

from features.ledger import Ledger
from features.measures import Found, Question, ask, measure
from features.measures.lives import lives
from features.measures.purchasing import purchasing

CHURN_DAYS = 30

# A customer is lost after 30 full days of silence, on the morning of last + 31.
LEDGER = [
    ("a", "2024-01-01", 10), ("a", "2024-01-20", 20),  # lost on 20 February
    ("a", "2024-03-10", 30),
    ("b", "2024-01-10", 40),  # lost on 10 February
    ("b", "2024-02-15", 10),  # lost on 17 March
    ("b", "2024-03-20", -10),
    ("c", "2024-02-01", 5),  # lost on 3 March
    ("d", "2024-03-31", 7),
    ("e", "2024-01-15", 1), ("e", "2024-02-10", 1), ("e", "2024-03-05", 1),
]  # fmt: skip


def frame(rows: list[tuple[str, str, float]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["customer_id", "timestamp", "amount"])


@pytest.fixture(scope="module")
def asked() -> Iterator[Question]:
    with ask(Ledger.from_frames(frame(LEDGER)), churn_days=CHURN_DAYS) as question:
        yield question


@pytest.fixture(scope="module")
def by_hand(asked: Question) -> Found:
    return purchasing(asked)


def values(found: Found, measure_: str, segment: str = "all") -> dict[str, float]:
    table = found.frame
    table = table[(table["measure"] == measure_) & (table["segment"] == segment)]
    return dict(zip(table["period"], table["value"], strict=True))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("active_customers", [3, 3, 3, 5]),
        ("new_customers", [3, 1, 1, 5]),
        ("returning_customers", [0, 2, 2, None]),
        ("reactivated_customers", [0, 1, 1, 2]),
        ("purchases", [4, 3, 3, 10]),
        ("revenue", [71, 16, 28, 115]),
        ("repeat_purchase_rate", [1 / 3, 2 / 3, 2 / 3, 3 / 5]),
        ("purchase_frequency", [4 / 3, 1, 1, 2]),
        ("average_purchase_value", [71 / 4, 16 / 3, 28 / 3, 11.5]),
        ("churn_rate", [None, 2 / 3, 2 / 3, None]),
        ("reactivation_rate", [None, None, 1, None]),
    ],
)
def test_the_shop_by_hand(by_hand: Found, name: str, expected: list[float | None]) -> None:
    periods = ["2024-01", "2024-02", "2024-03", "all"]
    told = {p: v for p, v in zip(periods, expected, strict=True) if v is not None}
    assert values(by_hand, name) == pytest.approx(told)


def test_lives_of_the_shop_by_hand(asked: Question) -> None:
    found = lives(asked).order_by("customer_id", "number").to_pyarrow().to_pandas()
    assert found["customer_id"].tolist() == ["a", "a", "b", "b", "c", "d", "e"]
    lost = [None if pd.isna(day) else f"{day:%m-%d}" for day in found["lost_on"]]
    assert lost == ["02-20", None, "02-10", "03-17", "03-03", None, None]
    assert found["days"].tolist() == [50, 22, 31, 31, 31, 1, 77]


def test_a_silence_of_just_churn_days_is_none() -> None:
    for gap, number in ((CHURN_DAYS, 1), (CHURN_DAYS + 1, 2)):
        back = dt.date(2024, 1, 1) + dt.timedelta(days=gap)
        shop = Ledger.from_frames(frame([("a", "2024-01-01", 1), ("a", str(back), 1)]))
        with ask(shop, churn_days=CHURN_DAYS) as question:
            assert len(lives(question).to_pyarrow()) == number


def test_too_short_a_history_is_said() -> None:
    with ask(Ledger.from_frames(frame(LEDGER)), churn_days=90) as question:
        found = purchasing(question)
    (missing,) = found.missing
    assert missing.measures == ("churn_rate", "reactivation_rate")
    assert "91 days" in missing.needs
    assert not values(found, "churn_rate")


# What holds for any shop.

SEGMENTS = ("country", "cohort")


def shop(seed: int = 0, customers: int = 150) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(seed)
    n = 2000
    who = rng.integers(customers, size=n) ** 2 // customers
    day = np.datetime64("2023-01-01") + rng.integers(0, 517, size=n)
    amount = np.round(rng.lognormal(3, 1, n) * np.where(rng.random(n) < 0.05, -1, 1), 2)
    ids = np.char.add("c", who.astype(str))
    people = np.char.add("c", np.arange(customers).astype(str))
    country = np.array(["NL", "BE", None], dtype=object)[rng.integers(3, size=customers)]
    channel = np.array(["search", "friends"])[rng.integers(2, size=customers)]
    cost = np.round(rng.gamma(2.0, 5.0, customers), 2)
    return (
        pd.DataFrame({"customer_id": ids, "timestamp": day, "amount": amount}),
        pd.DataFrame({"customer_id": people, "country": country}),
        pd.DataFrame({"customer_id": people, "channel": channel, "cost": cost}),
    )


def measured(
    transactions: pd.DataFrame, customers: pd.DataFrame, acquisition: pd.DataFrame
) -> pd.DataFrame:
    ledger = Ledger.from_frames(transactions, customers=customers, acquisition=acquisition)
    return measure(ledger, segments=SEGMENTS).frame


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return measured(*shop())


def test_row_order_changes_nothing(table: pd.DataFrame) -> None:
    shuffled = [part.sample(frac=1, random_state=1) for part in shop()]
    pd.testing.assert_frame_equal(measured(*shuffled), table, check_exact=True)


def test_later_rows_change_no_earlier_period(table: pd.DataFrame) -> None:
    transactions, *others = shop()
    earlier = transactions[transactions["timestamp"] < "2024-02-01"]
    before = measured(earlier, *others)
    period = before[before["period"] <= "2024-01"]
    # Cohorts of later customers, whose first purchase was not yet made, have no row before.
    both = period.merge(table, on=["measure", "period", "segment"], suffixes=("", "_later"))
    assert len(both) == len(period) > 1000
    pd.testing.assert_series_equal(both["value"], both["value_later"], check_names=False)
    pd.testing.assert_series_equal(both["n"], both["n_later"], check_names=False)


@pytest.mark.parametrize(
    "name",
    ["active_customers", "new_customers", "purchases", "revenue", "reactivated_customers"],
)
@pytest.mark.parametrize("key", SEGMENTS)
def test_segments_add_up_to_all(table: pd.DataFrame, name: str, key: str) -> None:
    own = table[table["measure"] == name]
    everyone = own[own["segment"] == "all"].set_index("period")["value"]
    parts = own[own["segment"].str.match(rf"{key}=[^|]*$")].groupby("period")["value"].sum()
    pd.testing.assert_series_equal(parts[everyone.index], everyone, check_names=False)


def test_revenue_is_the_product_of_its_parts(table: pd.DataFrame) -> None:
    wide = table.pivot_table(index=["period", "segment"], columns="measure", values="value")
    wide = wide.dropna(subset=["purchase_frequency", "average_purchase_value"])
    product = wide[["active_customers", "purchase_frequency", "average_purchase_value"]].prod(
        axis=1
    )
    pd.testing.assert_series_equal(product, wide["revenue"], check_names=False)


def test_customers_who_leave_and_come_back_add_up() -> None:
    with ask(Ledger.from_frames(shop()[0]), churn_days=60) as question:
        found, flow = purchasing(question), lives(question).to_pyarrow().to_pandas()
    churn = found.frame[(found.frame["measure"] == "churn_rate")].set_index("period")
    begun, lost = pd.to_datetime(flow["begun"]), pd.to_datetime(flow["lost_on"])
    for period, row in churn[churn["segment"] == "all"].iterrows():
        start = pd.Timestamp(f"{period}-01")
        active = (begun < start) & ~(lost < start)
        within = active & (lost < start + pd.offsets.MonthBegin())
        assert row["n"] == active.sum()
        assert row["value"] == pytest.approx(within.sum() / active.sum())
