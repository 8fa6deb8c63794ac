"""A small ledger reckoned by hand: every feature of every customer, written out."""

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd
import pytest

from features.catalogue import CATALOGUE, feature
from features.ledger import Ledger
from features.snapshot import Snapshot, build_snapshot
from features.window import ObservationWindow

CUTOFF = dt.date(2024, 7, 1)
WINDOW = ObservationWindow(dt.date(2023, 1, 1), CUTOFF, gap_days=0, horizon_days=90)
NAN = float("nan")

# customer, time, amount, product, category, quantity, discount, cost, channel, known at
ROWS = [
    ("anna", "2023-02-01 10:00", 100, "p9", "books", 1, 0, 1, "web", None),  # 516 days before
    # 335 days before, two lines of one purchase
    ("anna", "2023-08-01 09:00", 30, "p1", "tea", 1, 0, 10, "web", None),
    ("anna", "2023-08-01 18:00", 20, "p2", "cups", 2, 0, 5, "web", None),
    # 90 days before, a part returned the same day
    ("anna", "2024-04-02 00:00", 80, "p1", "tea", 3, 0, 30, "shop", None),
    ("anna", "2024-04-02 12:00", -30, "p1", "tea", -1, 0, 10, "shop", None),
    ("anna", "2024-06-01 12:00", 40, "p3", "tea", 1, 10, None, "web", None),  # 30
    ("anna", "2024-06-20 12:00", -10, "p3", "tea", -1, 0, -4, "web", None),  # 11, a return
    # 1 day before, known just in time
    ("bert", "2024-06-30 23:59", 20, None, None, None, None, None, None, "2024-07-01 00:00"),
    ("cleo", "2023-01-01 00:00", 10, "p1", "tea", 1, 0, 1, "web", None),  # 547
    ("cleo", "2023-01-31 08:00", 30, "p2", "cups", 3, 0, 1, "web", None),  # 517
    # Nobody's customers yet: only a return, known too late, and the cutoff's own midnight.
    ("dora", "2024-01-01 12:00", -5, "p1", "tea", 1, 0, 1, "web", None),
    ("emil", "2024-05-01 12:00", 70, "p1", "tea", 1, 0, 1, "web", "2024-07-01 00:01"),
    ("fred", "2024-07-01 00:00", 70, "p1", "tea", 1, 0, 1, "web", None),
    # The label window is 1 July to 28 September.
    ("anna", "2024-07-01 00:00", 60, "p1", "tea", 1, 0, 1, "shop", None),
    ("anna", "2024-08-01 12:00", -5, "p1", "tea", 1, 0, 1, "shop", None),
    ("anna", "2024-09-28 23:59", 15, "p1", "tea", 1, 0, 1, "shop", "2024-12-01 00:00"),
    ("bert", "2024-07-05 12:00", -20, None, None, None, 0, None, "web", None),
    ("cleo", "2024-09-29 00:00", 99, "p1", "tea", 1, 0, 1, "web", None),
]
COLUMNS = [
    *("customer_id", "timestamp", "amount", "product_id", "category", "quantity", "discount"),
    *("cost", "channel", "known_at"),
]
OPTIONAL = ("product_id", "category", "quantity", "discount", "cost", "channel", "known_at")
LOGS = np.log([181, 245, 60])
# Anna alone has enough gaps, so what is common is hers: one and a half times, by its freedom.
UNEVEN = 1.5 * (np.log(162) - LOGS.mean())
PARTS = np.array([31, 245, 60, 30]) / 366
SHARES = np.array([150, 20]) / 170
SPREAD = np.std([181, 245, 60]) / 162

# The gaps are 181, 245 and 60 days (anna) and 30 days (cleo).
EXPECTED: dict[str, tuple[Any, Any, Any]] = {
    # name: (anna, bert, cleo)
    "days_since_last": (30, 1, 517),
    "tenure_days": (516, 1, 547),
    "first_to_last_days": (486, 0, 30),
    "recency_ratio": (30 / 517, 1 / 2, 517 / 548),
    "days_since_last_return": (11, NAN, NAN),
    "n_purchases_30": (1, 1, 0),
    "n_purchases_90": (2, 1, 0),
    "n_purchases_180": (2, 1, 0),
    "n_purchases_365": (3, 1, 0),
    "n_purchases_all": (4, 1, 2),
    "purchase_rate_12m": (3, NAN, 0),
    "active_months_12": (3, 1, 0),
    "is_one_time": (0, 1, 0),
    "net_spend_30": (40 - 10, 20, 0),
    "net_spend_90": (50 + 40 - 10, 20, 0),
    "net_spend_180": (50 + 40 - 10, 20, 0),
    "net_spend_365": (50 + 50 + 40 - 10, 20, 0),
    "margin_365": (20 + 15 + 50 - 20 - 6, 0, 0),
    "aov_365": (130 / 3, 20, NAN),
    "max_order_365": (50, 20, NAN),
    "cv_order_value": (np.std([50, 50, 40], ddof=1) / (140 / 3), NAN, NAN),
    "last_order_ratio": (40 / (200 / 3), NAN, 30 / 10),
    "first_order_value": (100, 20, 10),
    "gap_mean": (162, NAN, 30),
    "gap_median": (181, NAN, 30),
    "gap_cv": (np.sqrt((19**2 + 83**2 + 102**2) / 2) / 162, NAN, NAN),
    "gap_last": (60, NAN, 30),
    "gap_last_ratio": (60 / ((181 + 245) / 2), NAN, NAN),
    "gap_max": (245, NAN, 30),
    "overdue_ratio": (30 / 162, NAN, 517 / 30),
    "overdue_percentile": ((3 * 1 / 4 + 0) / (3 + 3), 0, (3 * 1 + 1) / (3 + 1)),
    "expected_purchases_naive": (90 / 162, NAN, 90 / 30),
    "n_prior_lapses": (2, 0, 0),
    "last_lapse_days_ago": (90, NAN, NAN),
    "overdue_z": ((np.log(30) - LOGS.mean()) / LOGS.std(ddof=1), NAN, NAN),
    "gap_trend": (NAN, NAN, NAN),
    "regularity_k": ((1 + np.sqrt(1 + 4 * UNEVEN / 3)) / (4 * UNEVEN), NAN, NAN),
    "burstiness": ((2 * SPREAD - np.sqrt(2)) / np.sqrt(2), NAN, NAN),
    "clumpiness": (1 + (PARTS * np.log(PARTS)).sum() / np.log(4), NAN, NAN),
    "purchase_change_90": (np.log(3 / 1), np.log(2 / 1), 0),
    "spend_change_90": (np.log(81 / 1), np.log(21 / 1), 0),
    "share_recent": (2 / 3, 1, NAN),
    "spend_slope_6m": ((50 * 0.5 + 40 * 2.5) / 17.5 / 15, 6 / 7, NAN),
    "peak_drop": (0, 0, NAN),
    "yoy_same_window": (1, 0, 0),  # 2 July to 29 September 2023
    "return_rate_365": (40 / 170, 0, NAN),
    "discount_share_365": (10 / 180, 0, NAN),
    "promo_order_share_365": (1 / 3, 0, NAN),
    "items_per_order_365": ((1 + 2 + 3 + 1) / 3, NAN, NAN),
    "n_products_365": (3, 0, 0),
    "new_product_share_90": (1 / 2, NAN, NAN),
    "replenishment_due_ratio": (90 / 245, NAN, NAN),
    "n_categories_365": (2, 0, 0),
    "category_entropy_365": (-(SHARES * np.log(SHARES)).sum(), NAN, NAN),
    "top_category_share_365": (150 / 170, NAN, NAN),
    "channel_main": ("web", None, None),
    "channel_switch": (0, NAN, NAN),
    "weekend_share_365": (1 / 3, 1, NAN),
    "hour_entropy_365": (np.log(2), 0, NAN),  # a purchase at midnight has no time
    "month_sin": (0, 0, 0),
    "month_cos": (-1, -1, -1),
}
ROUNDED = {
    *("overdue_z", "regularity_k", "clumpiness", "cv_order_value", "hour_entropy_365"),
    "category_entropy_365",
}
RFM: dict[str, tuple[float, float, float]] = {
    "frequency": (3, 0, 1),
    "recency": (486 / 7, 0, 30 / 7),
    "T": (516 / 7, 1 / 7, 547 / 7),
    "monetary_value": ((50 + 50 + 40) / 3, 0, 30),
    "first_value": (100, 20, 10),
}
OF_TRANSACTIONS = [
    row.name
    for row in CATALOGUE
    if row.origin == "engine" and all(s.startswith("transactions.") for s in row.sources)
]
LABELS: dict[str, tuple[float, float, float]] = {
    "churned": (0, 1, 1),
    "future_purchases": (2, 0, 0),
    "future_spend": (60 - 5 + 15, 0, 0),
}


def ledger(*, without: tuple[str, ...] = ()) -> Ledger:
    frame = pd.DataFrame(ROWS, columns=COLUMNS)
    frame["timestamp"] = pd.to_datetime(frame["timestamp"])
    frame["known_at"] = pd.to_datetime(frame["known_at"])
    return Ledger.from_frames(frame.drop(columns=list(without)))


@pytest.fixture(scope="module")
def snapshot() -> Snapshot:
    return build_snapshot(ledger(), WINDOW)


@pytest.mark.parametrize("name", EXPECTED)
def test_a_feature_is_what_the_hand_says(snapshot: Snapshot, name: str) -> None:
    if feature(name).kind == "category":
        assert [*snapshot.features[name].astype(object).replace(NAN, None)] == [*EXPECTED[name]]
        return
    # Logarithms of gaps and shares are taken in whole units.
    rtol = 1e-7 if name in ROUNDED else 1e-14
    np.testing.assert_allclose(snapshot.features[name], EXPECTED[name], rtol=rtol, atol=1e-15)


def test_the_hand_leaves_no_feature_out(snapshot: Snapshot) -> None:
    assert list(snapshot.features.columns) == list(EXPECTED)
    assert list(EXPECTED) == OF_TRANSACTIONS


@pytest.mark.parametrize("name", RFM)
def test_the_rfm_summary_is_what_the_hand_says(snapshot: Snapshot, name: str) -> None:
    np.testing.assert_allclose(snapshot.rfm[name], RFM[name], rtol=1e-15)


@pytest.mark.parametrize("name", LABELS)
def test_a_label_is_what_the_hand_says(snapshot: Snapshot, name: str) -> None:
    assert snapshot.labels is not None
    np.testing.assert_array_equal(snapshot.labels[name], LABELS[name])


def test_windows_longer_than_the_history_are_missing() -> None:
    # The source begins 179 days before the cutoff: 90 days are observed, 180 are not.
    window = ObservationWindow(CUTOFF - dt.timedelta(days=179), CUTOFF)
    features = build_snapshot(ledger(), window).features
    censored = [name for name in OF_TRANSACTIONS if "C" in feature(name).null_class]
    missing = [name for name in censored if features[name].isna().all()]
    assert missing == [
        "n_purchases_180",
        "n_purchases_365",
        "active_months_12",
        "net_spend_180",
        "net_spend_365",
        "margin_365",
        "purchase_change_90",
        "spend_change_90",
        "spend_slope_6m",
        "yoy_same_window",
        "n_products_365",
        "n_categories_365",
    ]
    assert features["n_purchases_90"].tolist() == [2, 1]


def test_last_year_is_missing_while_its_window_is_not_over() -> None:
    window = ObservationWindow(dt.date(2022, 1, 1), CUTOFF, gap_days=30, horizon_days=336)
    assert build_snapshot(ledger(), window).features["yoy_same_window"].isna().all()


def test_features_without_their_column_are_left_out() -> None:
    thin = build_snapshot(ledger(without=OPTIONAL), WINDOW)
    left_out = set(EXPECTED) - set(thin.features.columns)
    assert left_out == {name for name in OF_TRANSACTIONS if "S" in feature(name).null_class}
    # Without known_at every row counts from the moment it happened.
    assert list(thin.features.index) == ["anna", "bert", "cleo", "emil"]
