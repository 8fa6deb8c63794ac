"""Segments end to end: learned, registered, loaded, and put on a scored list."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from features.errors import InputError
from features.ledger import Ledger
from models.segments import SEGMENTS
from serving.registry import load
from serving.segments import (
    NEXT,
    SEGMENT_DTYPES,
    SEGMENTS_MODEL,
    segment_customers,
    summarise_segments,
)
from training.champions import reigns
from training.next_purchase import NextSettings, train_next
from training.segments import learned_already, train_segments
from training.tracking import Tracking

CUTOFF = dt.date(2024, 9, 30)
GIVEN = {"recency_days": (20.0, 40.0, 80.0, 160.0)}


def orders(customers=240, extra=0, seed=0):
    """Customers of two kinds: often and little, or rarely and much; each with a favourite."""
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(customers + extra):
        often = i % 2 == 0
        pace, spend, items = (9, 15.0, 1) if often else (60, 200.0, 14)
        day = rng.uniform(0, 60) if i < customers else 200.0
        while day < 272:
            kind = f"Kind {i % 5}" if rng.random() < 0.75 else f"Kind {rng.integers(5)}"
            at = pd.Timestamp("2024-01-01") + pd.Timedelta(days=int(day))
            amount = round(float(spend * rng.lognormal(0, 0.2)), 2)
            rows.append((f"c{i:03d}", at, amount, kind, items + int(rng.integers(2))))
            day += 1 + pace * rng.gamma(6.0, 1 / 6.0)
    rows.append(("returns only", pd.Timestamp("2024-09-29"), -5.0, "Kind 1", 1))
    columns = ["customer_id", "timestamp", "amount", "category", "quantity"]
    return Ledger.from_frames(pd.DataFrame(rows, columns=columns))


def scored_list(ids):
    """As much of a scored list as segments read; two customers are not scored."""
    n = len(ids)
    rng = np.random.default_rng(1)
    return pd.DataFrame(
        {
            "customer_id": pd.Series([*ids, "returns only", "nobody"], dtype="str"),
            "as_of": pd.Timestamp(CUTOFF),
            "value_tier": [*rng.choice(["low", "medium", "high"], n), None, None],
            "risk_tier": [*rng.choice(["low", "medium", "high"], n), None, None],
            "clv": [*rng.gamma(2.0, 50.0, n), np.nan, np.nan],
            "churn_probability": [*rng.random(n), np.nan, np.nan],
        }
    )


@pytest.fixture(scope="module")
def ledger():
    return orders()


@pytest.fixture(scope="module")
def trained(ledger, tmp_path_factory):
    uri = f"sqlite:///{tmp_path_factory.mktemp('segments') / 'mlflow.db'}"
    tracking = Tracking(uri, "shop")
    assert learned_already(tracking, GIVEN) == ""
    train_segments(ledger, given=GIVEN, tracking=tracking)
    result = train_next(ledger, NextSettings(horizon_days=60), tracking=tracking)
    return tracking, result, load(SEGMENTS_MODEL, tracking_uri=uri), load(NEXT, tracking_uri=uri)


def test_training_again_is_judged_at_the_gate(ledger, trained):
    tracking, first = trained[:2]
    again = train_next(ledger, NextSettings(horizon_days=60), tracking=tracking)
    assert (first.outcome, again.outcome) == ("promoted", "kept")
    assert "neither newer nor surely better: 1 - NDCG" in again.reason
    segments = train_segments(ledger, given=GIVEN, tracking=tracking)
    assert segments.outcome == "promoted"
    known = [r.version for r in reigns(tracking.client, SEGMENTS_MODEL)]
    assert known[-1] == segments.version


@pytest.fixture(scope="module")
def found(ledger, trained):
    ids = [f"c{i:03d}" for i in range(240)][::-1]
    scored = scored_list(ids)
    return scored, segment_customers(ledger, scored, trained[2], trained[3])


def test_one_row_for_every_row_of_the_list_in_its_order(found):
    scored, table = found
    assert list(table.columns) == list(SEGMENT_DTYPES)
    assert table["customer_id"].tolist() == scored["customer_id"].tolist()
    known, unknown = table.iloc[:-2], table.iloc[-2:]
    assert set(known["rfm_segment"]) <= set(SEGMENTS)
    assert known.notna().all().drop("new_category").all()
    assert unknown.drop(columns=["customer_id", "as_of"]).isna().all().all()
    assert all(str(table[name].dtype) == dtype for name, dtype in SEGMENT_DTYPES.items())


def test_given_cut_points_are_stored_and_used(trained, found):
    tracking, _, segments, _ = trained
    assert segments.card["cuts"]["recency_days"] == list(GIVEN["recency_days"])
    # Another test may have learned the same once more.
    assert learned_already(tracking, GIVEN) == reigns(tracking.client, SEGMENTS_MODEL)[-1].version
    assert learned_already(tracking, {}) == ""


def test_kinds_of_customers_are_found_as_clusters(found):
    table = found[1].iloc[:-2]
    often = table["customer_id"].str[1:].astype(int) % 2 == 0
    assert table.loc[often, "cluster"].str.contains("buys often").mean() > 0.95
    assert table.loc[~often, "cluster"].str.contains("large baskets").mean() > 0.95


def test_what_they_buy_next_is_their_favourite_and_new_is_new(trained, found):
    _, result, _, following = trained
    assert result.promoted
    assert following.card["methods"]["next"] == "repeat"
    table = found[1].iloc[:-2]
    favourite = "Kind " + (table["customer_id"].str[1:].astype(int) % 5).astype(str)
    assert (table["next_category"] == favourite).mean() > 0.7
    assert not (table["next_category"] == table["new_category"]).any()


def test_nobody_changes_segment_because_others_came(ledger, trained, found):
    scored, table = found
    crowd = orders(extra=150)
    again = segment_customers(crowd, scored.iloc[:50], trained[2])
    same = ["recency_score", "frequency_score", "monetary_score", "rfm_segment", "playbook"]
    pd.testing.assert_frame_equal(again[same], table.iloc[:50][same])
    assert again["next_category"].isna().all()


def test_clusters_have_names_in_both_languages(ledger, trained, found):
    chinese = segment_customers(ledger, found[0], trained[2], language="zh")
    assert chinese["cluster"].dropna().str.contains("购买频繁|客单价高").any()


def test_sizes_and_money_add_up(found):
    scored, table = found
    summary = summarise_segments(table, scored)
    assert summary["customers"].sum() == 240
    assert summary["clv"].sum() == pytest.approx(scored["clv"].sum())
    assert summary["share"].sum() == pytest.approx(1.0)
    assert summary["clv_share"].sum() == pytest.approx(1.0)
    order = [SEGMENTS.index(name) for name in summary["rfm_segment"]]
    assert order == sorted(order)
    assert summarise_segments(table, scored, "playbook")["customers"].sum() == 240


def test_models_of_another_kind_and_lists_of_several_days_are_refused(ledger, trained, found):
    _, _, segments, following = trained
    with pytest.raises(InputError, match="not a segments model"):
        segment_customers(ledger, found[0], following)
    with pytest.raises(InputError, match="not a next_purchase model"):
        segment_customers(ledger, found[0], segments, segments)
    with pytest.raises(InputError, match="one cutoff"):
        segment_customers(ledger, found[0].iloc[:0], segments)
    plain = Ledger.from_frames(
        pd.DataFrame({"customer_id": ["a"], "timestamp": ["2024-01-01"], "amount": [1.0]})
    )
    with pytest.raises(InputError, match="needs the column category"):
        segment_customers(plain, found[0].assign(as_of=pd.Timestamp("2024-01-02")), segments,
                          following)  # fmt: skip
