import datetime as dt
import math
import statistics
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from features.engagement import FEATURES
from features.ledger import Ledger
from features.snapshot import build_snapshot
from features.window import ObservationWindow

FIRST = dt.date(2023, 6, 1)
CUTOFF = dt.date(2024, 7, 1)

SALES = pd.DataFrame(
    [
        ("other", "2023-06-01", 1.0),
        ("a", "2024-06-10 09:30", 20.0),
        ("quiet", "2024-01-20", 20.0),
        ("early", "2023-07-01", 20.0),
        ("a", "2024-09-30", 20.0),
    ],
    columns=["customer_id", "timestamp", "amount"],
)

EVENTS = [
    ("other", "2024-01-01 12:00", "view"),
    ("other", "2024-01-01 12:00", "cart"),
    # A cart that nothing came of, more than 30 days ago.
    ("a", "2024-05-20 10:00", "view"),
    ("a", "2024-05-20 10:20", "view"),
    ("a", "2024-05-20 10:45", "add_to_cart"),
    # One that was bought.
    ("a", "2024-06-10 09:00", "view"),
    ("a", "2024-06-10 09:10", "cart"),
    # A session over midnight, with a cart that nothing came of.
    ("a", "2024-06-20 23:50", "Product Viewed"),
    ("a", "2024-06-21 00:05", "Add to Cart"),
    # Two sessions, and a cart whose 48 hours are not over.
    ("a", "2024-06-29 12:00", "view"),
    ("a", "2024-06-29 12:31", "view"),
    ("a", "2024-06-29 12:32", "cart"),
    # The future.
    ("a", "2024-07-01 00:00", "view"),
    ("a", "2024-07-01 10:00", "purchase"),
]
BEGINNINGS = ["2024-05-20 10:00", "2024-06-10 09:00", "2024-06-20 23:50"]
BEGINNINGS += ["2024-06-29 12:00", "2024-06-29 12:31"]


def shop(events: list[tuple]) -> Ledger:
    frame = pd.DataFrame(events, columns=["customer_id", "timestamp", "event"])
    return Ledger.from_frames(SALES, events=frame)


@pytest.fixture(scope="module")
def found() -> pd.DataFrame:
    return build_snapshot(shop(EVENTS), ObservationWindow(FIRST, CUTOFF)).features


def gap_cv() -> float:
    moments = [dt.datetime.fromisoformat(moment) for moment in BEGINNINGS]
    gaps = [(b - a).total_seconds() for a, b in pairwise(moments)]
    return statistics.stdev(gaps) / statistics.mean(gaps)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("sessions_7", 2),
        ("sessions_30", 4),
        ("sessions_90", 5),
        ("days_since_session", 2),
        ("active_days_30", 4),
        ("stickiness_7_30", (1 / 7) / (4 / 30)),
        ("engage_change_30", math.log(5 / 2)),
        ("engage_ewma", sum(math.exp(-age / 20) for age in (42, 21, 11, 2, 2))),
        ("views_per_session_90", 6 / 5),
        ("view_to_cart_90", (3 + 1) / (5 + 2)),
        ("cart_to_buy_90", (1 + 1) / (3 + 2)),
        ("abandoned_carts_30", 1),
        ("browse_no_buy_sessions", 3),
        ("session_gap_cv", gap_cv()),
        ("has_events", 1),
    ],
)
def test_a_customer_who_browses(found: pd.DataFrame, name: str, expected: float) -> None:
    assert found.loc["a", name] == pytest.approx(expected, rel=1e-8)


def test_every_feature_of_events_is_there(found: pd.DataFrame) -> None:
    assert {row.name for row in FEATURES} <= set(found.columns)
    assert (found[[row.name for row in FEATURES]].dtypes == np.float64).all()


def test_who_never_browses_has_counts_of_zero_and_no_rates(found: pd.DataFrame) -> None:
    row = found.loc["quiet"]
    zeros = ["sessions_7", "sessions_30", "sessions_90", "active_days_30", "engage_ewma"]
    zeros += ["engage_change_30", "abandoned_carts_30", "browse_no_buy_sessions"]
    assert (row[zeros] == 0).all()
    missing = ["days_since_session", "stickiness_7_30", "views_per_session_90"]
    missing += ["view_to_cart_90", "cart_to_buy_90", "session_gap_cv"]
    assert row[missing].isna().all()


def test_sessions_since_a_purchase_before_the_source_are_not_known(found: pd.DataFrame) -> None:
    assert math.isnan(found.loc["early", "browse_no_buy_sessions"])


def test_windows_that_begin_before_the_source_are_missing() -> None:
    late = [event for event in EVENTS if event[1] >= "2024-06-10"]
    features = build_snapshot(shop(late), ObservationWindow(FIRST, CUTOFF)).features
    assert features.loc["a", "sessions_7"] == 2
    censored = ["sessions_30", "sessions_90", "active_days_30", "stickiness_7_30"]
    censored += ["engage_change_30", "engage_ewma", "abandoned_carts_30"]
    assert features[censored].isna().all().all()
    assert features["has_events"].eq(1).all()
    assert features.loc["a", "browse_no_buy_sessions"] == 3
    assert math.isnan(features.loc["quiet", "browse_no_buy_sessions"])


def test_a_source_that_has_not_begun_says_so() -> None:
    future = [event for event in EVENTS if event[1] >= "2024-07-01"]
    features = build_snapshot(shop(future), ObservationWindow(FIRST, CUTOFF)).features
    names = [row.name for row in FEATURES if row.name != "has_events"]
    assert features["has_events"].eq(0).all()
    assert features[names].isna().all().all()


def test_a_shop_without_events_has_no_columns_of_them() -> None:
    features = build_snapshot(Ledger.from_frames(SALES), ObservationWindow(FIRST, CUTOFF)).features
    assert not {row.name for row in FEATURES} & set(features.columns)


def test_a_shop_whose_events_have_no_carts_knows_nothing_of_carts() -> None:
    views = [(*event[:2], "view") for event in EVENTS]
    features = build_snapshot(shop(views), ObservationWindow(FIRST, CUTOFF)).features
    names = ["view_to_cart_90", "cart_to_buy_90", "abandoned_carts_30"]
    assert features[names].isna().all().all()
    assert features.loc["a", "sessions_30"] == 4


def test_late_rows_are_sessionised_at_each_cutoff() -> None:
    rows = [
        ("other", "2024-01-01", "view", None),
        ("a", "2024-06-20 10:00", "view", None),
        ("a", "2024-06-20 10:25", "view", "2024-08-01"),
        ("a", "2024-06-20 10:50", "view", None),
    ]
    frame = pd.DataFrame(rows, columns=["customer_id", "timestamp", "event", "known_at"])
    ledger = Ledger.from_frames(SALES, events=frame)
    for cutoff, sessions in ((dt.date(2024, 7, 1), 2), (dt.date(2024, 8, 1), 1)):
        features = build_snapshot(ledger, ObservationWindow(FIRST, cutoff)).features
        assert features.loc["a", "sessions_90"] == sessions
