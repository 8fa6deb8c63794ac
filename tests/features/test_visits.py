import datetime as dt

import ibis
import numpy as np
import pandas as pd
import pytest

from features.ledger import Ledger
from features.visits import CARTS, PURCHASES, VIEWS, visits


def seen(events: list[tuple], sales: list[tuple] = ()) -> pd.DataFrame:
    """Visits of events (customer, time, event, session) and sales (customer, time, amount)."""
    bought = [("nobody", "2020-01-01", 1.0), *sales]
    columns = ["customer_id", "timestamp", "event", "session_id"]
    frame = pd.DataFrame(events, columns=columns)
    if frame["session_id"].isna().all():
        frame = frame.drop(columns="session_id")
    shop = Ledger.from_frames(
        pd.DataFrame(bought, columns=["customer_id", "timestamp", "amount"]), events=frame
    )
    found = visits(shop.tables["events"], shop.transactions).to_pyarrow().to_pandas()
    # The first of a session says how long ago the one before began.
    return found.sort_values(["customer_id", "day", "gap"], na_position="first").reset_index(
        drop=True
    )


def test_half_an_hour_without_an_event_ends_a_session() -> None:
    found = seen(
        [
            ("a", "2024-05-01 10:00", "view", None),
            ("a", "2024-05-01 10:30", "view", None),
            ("a", "2024-05-01 11:01", "view", None),
            ("b", "2024-05-01 11:02", "view", None),
        ]
    )
    assert found[["customer_id", "views", "opens"]].to_numpy().tolist() == [
        ["a", 2, True],
        ["a", 1, True],
        ["b", 1, True],
    ]
    assert found["gap"].tolist()[1] == 61
    assert found["gap"].isna().tolist() == [True, False, True]
    assert found["first_of_day"].tolist() == [True, False, True]


def test_a_session_is_cut_at_midnight_and_opens_once() -> None:
    found = seen(
        [
            ("a", "2024-05-01 23:50", "view", None),
            ("a", "2024-05-02 00:10", "view", None),
            ("a", "2024-05-02 00:20", "view", None),
            ("a", "2024-05-03 00:10", "view", None),
        ]
    )
    assert found["opens"].tolist() == [True, False, True]
    assert found["views"].tolist() == [1, 2, 1]
    assert found["gap"].isna().tolist() == [True, True, False]
    assert found["gap"].tolist()[2] == 24 * 60 + 20


def test_a_session_id_holds_a_session_together() -> None:
    found = seen(
        [
            ("a", "2024-05-01 10:00", "view", "s"),
            ("a", "2024-05-01 12:00", "view", "s"),
            ("a", "2024-05-01 11:00", "view", "t"),
            ("a", "2024-05-01 11:20", "view", None),
            ("a", "2024-05-01 11:55", "view", None),
            ("b", "2024-05-01 10:00", "view", "s"),
        ]
    )
    assert found.loc[found.customer_id == "a", "views"].tolist() == [2, 1, 1, 1]
    assert found.loc[found.customer_id == "b", "views"].tolist() == [1]


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("view", "views"),
        ("Product Viewed", "views"),
        ("page_view", "views"),
        ("VIEW_ITEM", "views"),
        ("addtocart", "carts"),
        ("Add to Cart", "carts"),
        ("cart", "carts"),
        ("transaction", "purchases"),
        ("Order Completed", "purchases"),
        ("checkout", "purchases"),
    ],
)
def test_the_usual_names_of_events_are_known(name: str, column: str) -> None:
    found = seen([("a", "2024-05-01", name, None)]).iloc[0]
    assert {c: found[c] for c in ("views", "carts", "purchases")} == {
        c: int(c == column) for c in ("views", "carts", "purchases")
    }


@pytest.mark.parametrize("name", ["remove_from_cart", "begin_checkout", "login", "登录", "-"])
def test_other_events_are_activity_and_nothing_else(name: str) -> None:
    found = seen([("a", "2024-05-01", name, None)]).iloc[0]
    assert (found["views"], found["carts"], found["purchases"]) == (0, 0, 0)


def test_no_name_has_two_meanings() -> None:
    names = [*VIEWS, *CARTS, *PURCHASES]
    assert len(set(names)) == len(names)
    assert all(name.isascii() and name.isalpha() and name.islower() for name in names)


@pytest.mark.parametrize(
    ("bought_at", "expected"),
    [
        ("2024-05-01 00:00", True),  # the shop may date transactions by the day
        ("2024-05-03 12:00", True),
        ("2024-05-03 12:01", False),
        ("2024-04-30 23:59", False),
    ],
)
@pytest.mark.parametrize("where", ["events", "transactions"])
def test_a_cart_is_followed_by_a_purchase_within_48_hours(
    where: str, bought_at: str, expected: bool
) -> None:
    events = [("a", "2024-05-01 11:40", "cart", None), ("a", "2024-05-01 12:00", "cart", None)]
    sales = [("a", bought_at, 5.0)] if where == "transactions" else []
    if where == "events":
        events.append(("a", bought_at, "purchase", None))
    found = seen(events, [*sales, ("b", "2024-05-01 13:00", 5.0), ("a", "2024-05-01 14:00", -5.0)])
    cart = found[found["carts"] > 0].iloc[0]
    assert cart["settled_at"] == pd.Timestamp("2024-05-03 12:00")
    assert cart["bought"] == expected


def test_the_order_of_the_rows_changes_nothing() -> None:
    rng = np.random.default_rng(3)
    size = 400
    frame = pd.DataFrame(
        {
            "customer_id": rng.choice(["a", "b"], size),
            # Many events of one moment.
            "timestamp": pd.Timestamp("2024-05-01")
            + pd.to_timedelta(rng.integers(0, 900, size), "m"),
            "event": rng.choice(["view", "cart", "purchase"], size),
            "session_id": rng.choice(["s", "t", None], size),
        }
    )
    sales = pd.DataFrame({"customer_id": ["a"], "timestamp": ["2024-05-01"], "amount": [1.0]})
    found = []
    for rows in (frame, frame.sample(frac=1, random_state=1), frame.iloc[::-1]):
        shop = Ledger.from_frames(sales, events=rows)
        table = visits(shop.tables["events"], shop.transactions)
        found.append(table.order_by(table.columns).to_pyarrow())
    assert found[0].equals(found[1])
    assert found[0].equals(found[2])


def test_a_ledger_holds_its_visits_unless_rows_come_in_late() -> None:
    sales = pd.DataFrame({"customer_id": ["a"], "timestamp": ["2024-05-01"], "amount": [1.0]})
    events = pd.DataFrame({"customer_id": ["a"], "timestamp": ["2024-05-01"], "event": ["view"]})
    held = Ledger.from_frames(sales, events=events).visits
    assert isinstance(held, ibis.Table)
    assert held.count().to_pyarrow().as_py() == 1
    assert Ledger.from_frames(sales).visits is None
    late = dt.datetime(2024, 6, 1)
    assert Ledger.from_frames(sales, events=events.assign(known_at=late)).visits is None
    assert Ledger.from_frames(sales.assign(known_at=late), events=events).visits is None
