"""Active customers, stickiness, sessions and the funnel by hand, and against plain counting."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from features.ledger import Ledger
from features.measures import Found, ask
from features.measures.engagement import STEPS, engagement


def shop(events: pd.DataFrame | None, sold: list[tuple[str, str, float]] = ()) -> Ledger:  # type: ignore[assignment]
    every_day = pd.date_range("2024-01-01", "2024-03-31").strftime("%Y-%m-%d")
    rows = [("x", day, 5.0) for day in every_day] + list(sold)
    orders = pd.DataFrame(rows, columns=["customer_id", "timestamp", "amount"])
    return Ledger.from_frames(orders, **({} if events is None else {"events": events}))


def looked(rows: list[tuple[str, str, str]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["customer_id", "timestamp", "event"])


def measured(ledger: Ledger, **question: object) -> Found:
    with ask(ledger, **question) as asked:  # type: ignore[arg-type]
        return engagement(asked)


def value(found: Found, name: str, period: str, segment: str = "all") -> float:
    table = found.frame
    own = table[
        (table["measure"] == name) & (table["period"] == period) & (table["segment"] == segment)
    ]
    assert len(own) == 1, (name, period, segment)
    return float(own["value"].iloc[0])


def test_active_customers_by_hand() -> None:
    """One customer every day of January and February, one on 10 January and 4 February only."""
    daily = pd.date_range("2024-01-01", "2024-02-29").strftime("%Y-%m-%d")
    events = looked(
        [("a", f"{day} 10:00", "view") for day in daily]
        + [("b", "2024-01-10 09:00", "view"), ("b", "2024-02-04 09:00", "view")]
        + [("b", "2024-02-04 21:00", "view")]
    )
    found = measured(shop(events))
    assert value(found, "dau", "2024-01") == pytest.approx(1 + 1 / 31)
    # Whole windows of 7 days end with 7 January; those of b on 10 to 16 January.
    assert value(found, "wau", "2024-01") == pytest.approx((25 + 7) / 25)
    # Whole windows of 30 days end with 30 January; b is in both.
    assert value(found, "mau", "2024-01") == 2
    assert value(found, "stickiness_dau_mau", "2024-01") == pytest.approx(2 / 4)
    assert value(found, "stickiness_wau_mau", "2024-01") == pytest.approx(2 / 4)
    # February: 10 January counts up to 8 February, 4 February up to 4 March.
    assert value(found, "dau", "2024-02") == pytest.approx(30 / 29)
    assert value(found, "wau", "2024-02") == pytest.approx((29 + 7) / 29)
    assert value(found, "mau", "2024-02") == 2
    assert value(found, "stickiness_dau_mau", "2024-02") == pytest.approx(30 / 58)
    assert value(found, "stickiness_person", "2024-02") == pytest.approx((1 + 1 / 29) / 2)
    assert found.frame.query("measure == 'dau' and period == '2024-02'")["n"].item() == 2


def test_windows_against_plain_counting() -> None:
    rng = np.random.default_rng(5)
    days = pd.date_range("2024-01-01", "2024-03-31")
    rows = [("a", "2024-01-01"), ("a", "2024-03-31")]
    rows += [
        (f"c{rng.integers(12)}", str(days[rng.integers(len(days))].date())) for _ in range(150)
    ]
    events = looked([(who, f"{day} 12:00", "view") for who, day in rows])
    people = pd.DataFrame({"customer_id": ["a", *(f"c{i}" for i in range(12))]})
    people["country"] = ["NL", "FR"] * 6 + ["NL"]
    ledger = Ledger.from_frames(
        pd.DataFrame({"customer_id": "x", "timestamp": days, "amount": 1}),
        events=events,
        customers=people,
    )
    found = measured(ledger, segments=("country",))
    table = pd.DataFrame(rows, columns=["who", "day"]).merge(
        people, left_on="who", right_on="customer_id"
    )
    table["day"] = pd.to_datetime(table["day"])
    for segment, own in (
        ("all", table),
        *((f"country={c}", g) for c, g in table.groupby("country")),
    ):
        for name, length in (("wau", 7), ("mau", 30)):
            counts = [
                own[(own["day"] > day - pd.Timedelta(days=length)) & (own["day"] <= day)][
                    "who"
                ].nunique()
                for day in days
                if day.month == 2
            ]
            assert value(found, name, "2024-02", segment) == pytest.approx(np.mean(counts))


def test_sessions_by_hand() -> None:
    events = looked(
        [
            ("a", "2024-01-05 10:00", "view"),
            ("a", "2024-01-05 10:20", "view"),
            ("a", "2024-01-05 10:51", "view"),
            ("b", "2024-01-31 23:50", "view"),
            ("b", "2024-02-01 00:10", "view"),
            ("a", "2024-01-01 00:00", "ping"),
        ]
    )
    found = measured(shop(events))
    assert value(found, "sessions", "2024-01") == 4
    assert value(found, "sessions_per_user", "2024-01") == 2
    assert value(found, "session_minutes", "2024-01") == pytest.approx((20 + 0 + 20 + 0) / 4)


FUNNEL = [
    ("a", "2024-01-01 10:00", "View"),
    ("a", "2024-01-01 10:01", "add_to_cart"),
    ("a", "2024-01-01 10:02", "purchase"),
    ("b", "2024-01-02 10:00", "add to cart"),
    ("b", "2024-01-02 10:05", "view"),
    ("b", "2024-01-02 10:06", "purchase"),
    ("c", "2024-01-03 10:00", "view"),
    ("c", "2024-01-05 10:00", "view"),
    ("c", "2024-01-05 10:00", "addToCart"),
    ("c", "2024-01-09 10:00", "purchase"),
    ("d", "2024-01-04 10:00", "login"),
]


def test_funnel_counts_steps_in_their_order() -> None:
    found = measured(shop(looked(FUNNEL)))
    rates = [value(found, "funnel_rate", "2024-01", f"step={step}") for step in STEPS]
    # Six sessions; four with a view, two with a cart after it, one with a purchase after that.
    assert rates == [1, pytest.approx(4 / 6), pytest.approx(2 / 6), pytest.approx(1 / 6)]
    for period in ("2024-01", "all"):
        persons = [value(found, "funnel_person_rate", period, f"step={step}") for step in STEPS]
        # b's cart came before the view; c's purchase after the cart, days later.
        assert persons == [1, 0.75, 0.5, 0.5]
    order = found.frame.query("measure == 'funnel_rate' and period == 'all'")["segment"]
    assert order.tolist() == [f"step={step}" for step in STEPS]


def test_transactions_stand_for_purchases_where_events_have_none() -> None:
    events = looked([row for row in FUNNEL if row[2] != "purchase"])
    sold = [("a", "2024-01-01", 9.0), ("c", "2024-01-09", 9.0), ("b", "2024-01-02", 9.0)]
    found = measured(shop(events, sold))
    assert value(found, "funnel_rate", "2024-01", "step=purchase") == pytest.approx(1 / 5)
    assert value(found, "funnel_person_rate", "2024-01", "step=purchase") == 0.25


def test_steps_that_no_event_names_are_left_out_and_said() -> None:
    found = measured(shop(looked([("a", "2024-01-01 10:00", "ping")])))
    assert set(found.frame.query("measure == 'funnel_rate'")["segment"]) == {"step=visit"}
    assert "view or a cart" in found.notes[0]


def test_a_late_start_of_events_is_no_whole_period() -> None:
    found = measured(shop(looked([("a", "2024-02-10", "view"), ("a", "2024-03-31", "view")])))
    assert set(found.frame["period"]) == {"2024-03", "all"}
    # The first whole window of 30 days ends with 10 March; of 22 such windows two hold a visit.
    assert value(found, "mau", "2024-03") == pytest.approx(2 / 22)


def test_events_that_end_early_have_no_silent_tail() -> None:
    events = looked([("a", f"2024-01-{day:02d}", "view") for day in range(1, 21)])
    found = measured(shop(events))
    assert value(found, "dau", "all") == 1
    assert dt.date(2024, 3, 31) == shop(events).last_day


def test_without_events() -> None:
    found = measured(shop(None))
    assert found.frame.empty
    assert "dau" in found.missing[0].measures


def test_events_after_the_last_transaction_measure_nothing_and_are_said() -> None:
    found = measured(shop(looked([("a", "2024-05-01 10:00", "view")])))
    assert found.frame.empty
    assert "dau" in found.missing[0].measures
    assert "2024-05-01" in found.missing[0].needs


def test_any_cart_can_be_the_one_that_is_bought() -> None:
    rows = [
        ("2024-01-01 10:00", "view"),
        ("2024-01-01 10:01", "cart"),
        ("2024-01-20 10:00", "cart"),
    ]
    events = looked([("a", at, event) for at, event in rows])
    found = measured(shop(events, [("a", "2024-01-21", 9.0)]))
    for period in ("2024-01", "all"):
        assert value(found, "funnel_person_rate", period, "step=purchase") == 1
    # Of its two sessions the second has no view.
    assert value(found, "funnel_rate", "2024-01", "step=purchase") == 0
