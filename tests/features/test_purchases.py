import datetime as dt

import pandas as pd
import pytest

from features.errors import InputError, SchemaError
from features.ledger import Ledger
from features.purchases import purchases

CUTOFF = dt.date(2024, 3, 1)
Rows = list[tuple[str, float, str | None]]


def bought(rows: Rows, unit: str, cutoff: dt.date = CUTOFF) -> list[tuple[str, float]]:
    frame = pd.DataFrame(rows, columns=["timestamp", "amount", "order_id"])
    frame["timestamp"] = pd.to_datetime(frame["timestamp"], format="ISO8601")
    ledger = Ledger.from_frames(frame.assign(customer_id="a"))
    found = (
        purchases(ledger.transactions, cutoff, unit)
        .order_by("day", "value")
        .to_pyarrow()
        .to_pylist()
    )
    return [(f"{row['day']:%m-%d}", float(row["value"])) for row in found]


CASES: list[tuple[str, Rows, list[tuple[str, float]], list[tuple[str, float]]]] = [
    (
        "two orders of one day",
        [("2024-02-01", 5, "1"), ("2024-02-01", 7, "2")],
        [("02-01", 12)],
        [("02-01", 5), ("02-01", 7)],
    ),
    (
        "an order sent back later",
        [("2024-02-01", 5, "1"), ("2024-02-09", -5, "1")],
        [("02-01", 5)],
        [],
    ),
    (
        "an order sent back in part",
        [("2024-02-01", 5, "1"), ("2024-02-09", -2, "1")],
        [("02-01", 5)],
        [("02-01", 3)],
    ),
    (
        "a return that names no order, on a later day",
        [("2024-02-01", 5, "1"), ("2024-02-09", -5, None)],
        [("02-01", 5)],
        [("02-01", 5)],
    ),
    (
        "an order delivered over two days",
        [("2024-02-01", 5, "1"), ("2024-02-02", 6, "1")],
        [("02-01", 5), ("02-02", 6)],
        [("02-01", 11)],
    ),
    (
        "lines without an order are netted by day",
        [("2024-02-01", 5, None), ("2024-02-01", -1, None), ("2024-02-03", 6, None)],
        [("02-01", 4), ("02-03", 6)],
        [("02-01", 4), ("02-03", 6)],
    ),
    (
        "nothing is given away for free",
        [("2024-02-01", 0, "1"), ("2024-02-03", 6, "2"), ("2024-02-03", -6, "2")],
        [],
        [],
    ),
    (
        "the cutoff's midnight is the future",
        [("2024-02-29 23:59:59", 5, "1"), ("2024-03-01", 7, "2"), ("2024-03-01", -5, "1")],
        [("02-29", 5)],
        [("02-29", 5)],
    ),
]


@pytest.mark.parametrize(
    ("rows", "by_day", "by_order"), [c[1:] for c in CASES], ids=[c[0] for c in CASES]
)
def test_what_a_purchase_is(
    rows: Rows, by_day: list[tuple[str, float]], by_order: list[tuple[str, float]]
) -> None:
    assert bought(rows, "day") == by_day
    assert bought(rows, "order") == by_order


def test_money_is_added_exactly() -> None:
    rows: Rows = [("2024-02-01", 0.1, None)] * 3 + [("2024-02-01", -0.3, None)]
    assert bought(rows, "day") == []


def test_an_unknown_unit_is_refused() -> None:
    with pytest.raises(InputError, match="'day' or 'order', not 'week'"):
        bought([("2024-02-01", 5, "1")], "week")


def test_counting_orders_needs_order_ids() -> None:
    frame = pd.DataFrame(
        {"customer_id": ["a"], "timestamp": pd.to_datetime(["2024-01-01"]), "amount": [1.0]}
    )
    with pytest.raises(SchemaError, match="no order_id") as caught:
        purchases(Ledger.from_frames(frame).transactions, CUTOFF, "order")
    assert "order_id" in caught.value.hint
