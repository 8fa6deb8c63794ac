"""Contracts at a cutoff: what is known of them, who is at risk, and who leaves."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from features.contracts import FEATURES, RENEWAL_DAYS, contract_ends, contract_features
from features.errors import InputError, NotEnoughDataError
from features.ledger import Ledger
from features.subscriptions import subscription_snapshot
from features.window import ObservationWindow

CUTOFF = dt.date(2024, 7, 1)
START = dt.date(2023, 1, 1)
COLUMNS = ["customer_id", "started_at", "ended_at", "fee", "plan"]
SALES = pd.DataFrame(
    {
        "customer_id": ["a", "a", "nobody", "a"],
        "timestamp": ["2023-01-01", "2023-05-01", "2024-01-01", "2024-12-31"],
        "amount": [10.0, 20.0, 30.0, 5.0],
    }
)
CONTRACTS = [
    ("a", "2023-01-31", "2024-08-01", 10, "basic"),  # ends in the window
    ("b", "2023-01-01", "2023-03-01", 10, "basic"),
    ("b", "2023-03-20", None, 12, "plus"),  # renewed after 19 days: one subscription
    ("c", "2023-01-01", "2023-03-01", 0, "basic"),
    ("c", "2024-02-29", None, 12, "basic"),  # came back after a year: a lapse
    ("d", "2023-01-01", "2024-08-01", 10, "basic"),
    ("d", "2024-08-31", None, 12, "basic"),  # renewed on the 30th day
    ("e", "2023-01-01", "2024-06-01", 10, "basic"),  # had ended: not at risk
    ("f", "2023-01-01", "2024-07-20", 10, "basic"),
    ("f", "2024-08-01", "2024-09-01", 12, "basic"),  # renewed, and ended all the same
    ("g", "2024-07-01", None, 10, "basic"),  # starts at the cutoff: unknown
    ("h", "2023-01-01", "2024-09-28", 10, "basic"),  # last day of the window
    ("i", "2023-01-01", "2024-09-29", 10, "basic"),  # the day after it
    ("j", "2023-01-01", "2024-07-01", 10, "basic"),  # the day of the cutoff
    ("k", "2024-06-30", None, 10, None),
    ("k", "2023-06-30", None, 20, "plus"),  # two at once
    ("m", "2023-01-01", "2024-08-01", 10, "basic"),
    ("m", "2024-09-01", None, 12, "basic"),  # back on the 31st day: too late
]


def table(rows=CONTRACTS):
    return pd.DataFrame(rows, columns=COLUMNS)


def ledger(frame=None):
    return Ledger.from_frames(SALES, subscriptions=table() if frame is None else frame)


def window(gap=0, horizon=90, cutoff=CUTOFF):
    return ObservationWindow(START, cutoff, gap, horizon)


def features(frame=None):
    found = contract_features(ledger(frame).tables["subscriptions"], window())
    return found.to_pyarrow().to_pandas().set_index("customer_id").sort_index()


def leavers(gap=0, horizon=90):
    found = contract_ends(ledger().tables["subscriptions"], window(gap, horizon))
    return sorted(found.to_pyarrow().to_pandas()["customer_id"])


def test_who_is_at_risk():
    assert "".join(features().index) == "abcdfhijkm"


def test_features_of_hand_made_contracts():
    found = features()
    assert list(found.columns) == [row.name for row in FEATURES]
    a, b, c, k = (found.loc[name] for name in "abck")
    assert (a["contract_days"], a["subscriber_days"], a["n_contracts"]) == (517, 517, 1)
    assert (a["days_to_month_renewal"], a["days_to_year_renewal"]) == (30, 214)  # 31 July
    assert (b["contract_days"], b["subscribed_days"], b["n_lapses"]) == (469, 547, 0)
    assert (c["contract_days"], c["subscribed_days"], c["subscriber_days"]) == (123, 123, 547)
    assert (c["n_lapses"], c["n_contracts"]) == (1, 2)
    assert (b["contract_fee"], round(b["contract_fee_change"], 12)) == (12, 0.2)
    assert np.isnan(c["contract_fee_change"])  # the one before was free
    assert (b["contract_plan"], b["contract_plan_changed"]) == ("plus", 1)
    assert c["contract_plan_changed"] == 0
    assert (k["n_running_contracts"], k["contract_days"], k["contract_fee"]) == (2, 1, 10)
    assert pd.isna(k["contract_plan"])
    assert pd.isna(k["contract_plan_changed"])
    assert found.loc["j", "contract_days"] == 547  # its end, that very day, is not known


def test_features_stay_in_their_bounds():
    found = features()
    for row in FEATURES:
        if row.kind == "number":
            values = found[row.name].dropna()
            assert row.minimum is None or (values >= row.minimum).all(), row.name
            assert row.maximum is None or (values <= row.maximum).all(), row.name


def test_absent_columns_leave_features_out():
    bare = features(table()[["customer_id", "started_at"]])
    assert not [name for name in bare.columns if "fee" in name or "plan" in name]
    assert (bare["n_lapses"] == 0).all()


def test_who_leaves():
    assert leavers() == ["a", "f", "h", "j", "m"]
    assert leavers(horizon=91) == ["a", "f", "h", "i", "j", "m"]
    assert leavers(gap=1) == ["a", "f", "h", "i", "m"]  # j left before anybody could act
    assert leavers(gap=40, horizon=30) == ["f"]


def test_snapshot_joins_contracts_purchases_and_labels():
    found = subscription_snapshot(ledger(), window())
    assert found.features.index.equals(found.rfm.index)
    assert found.features.index.equals(found.labels.index)
    assert list(found.features.index) == sorted(found.features.index)
    assert found.labels.index[found.labels["churned"] == 1].tolist() == ["a", "f", "h", "j", "m"]
    assert found.labels.notna().all(axis=None)
    assert found.features.loc["a", "days_since_last"] == 427
    assert np.isnan(found.features.loc["b", "days_since_last"])
    assert found.rfm["frequency"].notna().sum() == 1
    assert {row.name for row in found.catalogue} >= set(found.features.columns)


def test_labels_wait_until_a_renewal_would_have_been_seen():
    sales = SALES.assign(timestamp=SALES["timestamp"].replace("2024-12-31", "2024-10-28"))
    open_books = Ledger.from_frames(sales, subscriptions=table())
    assert RENEWAL_DAYS == 30
    assert subscription_snapshot(open_books, window()).labels is not None
    assert subscription_snapshot(open_books, window(horizon=91)).labels is None


def test_nothing_after_the_cutoff_changes_a_feature():
    known = subscription_snapshot(ledger(), window(), labels=False).features
    rng = np.random.default_rng(4)
    for _ in range(3):
        frame = table()
        at = pd.to_datetime(frame["ended_at"])
        later = (at >= pd.Timestamp(CUTOFF)) | at.isna()
        days = pd.to_timedelta(rng.integers(0, 300, len(frame)), unit="D")
        moved = (pd.Timestamp(CUTOFF) + days).strftime("%Y-%m-%d").to_series(index=frame.index)
        frame["ended_at"] = frame["ended_at"].mask(later, moved.mask(rng.random(len(frame)) < 0.3))
        future = frame["started_at"] >= str(CUTOFF)
        ended = pd.to_datetime(frame["ended_at"]).fillna(pd.Timestamp("2100-01-01"))
        frame = frame[~future | (rng.random(len(frame)) < 0.5)]
        frame = frame[pd.to_datetime(frame["started_at"]) <= ended.loc[frame.index]]
        frame.loc[future, ["fee", "plan"]] = [999, "other"]
        new = pd.DataFrame([("a", "2024-07-15", None, 5, "x"), ("z", "2024-09-01", None, 1, "y")])
        frame = pd.concat([frame, new.set_axis(COLUMNS, axis=1)]).sample(frac=1, random_state=3)
        found = subscription_snapshot(ledger(frame), window(), labels=False).features
        pd.testing.assert_frame_equal(found, known)


def test_refusals():
    with pytest.raises(InputError, match="no table of subscriptions"):
        subscription_snapshot(Ledger.from_frames(SALES), window())
    with pytest.raises(InputError, match="do not say when they ended"):
        subscription_snapshot(ledger(table().drop(columns="ended_at")), window())
    late = table([("a", "2024-11-01", None, 1, "x")])
    with pytest.raises(NotEnoughDataError, match="No contract runs"):
        subscription_snapshot(ledger(late), window())
