"""From recorded lists to what a person is told: a sound model is left alone, a wrong one is not."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from features.ledger import Ledger
from serving.actions import PLAN_DTYPES
from serving.look_back import MonitorSettings, look_back
from serving.performance import early_findings, estimate_findings, performance_findings
from serving.recording import recording
from serving.score_ledger import ListFacts, parse_score_ledger
from serving.scorer import SCORED_DTYPES

FIRST, LAST = dt.date(2022, 1, 1), dt.date(2024, 3, 31)
N, STAYS = 1200, 0.6  # of whom this share comes back within 60 days
SETTINGS = MonitorSettings(replicates=60, cohorts=3)
CHAMPIONS = ("regulars-churn/1", "regulars-clv/1")


def shop(drop_from=None, drop=0.0, seed=0):
    """Customers who come back after an exponential time; from a day on a part of them does not."""
    rng = np.random.default_rng(seed)
    pace = -60.0 / np.log(1.0 - STAYS)
    days = (LAST - FIRST).days
    rows = []
    for i in range(N):
        gone = drop_from is not None and rng.random() < drop
        end = (drop_from - FIRST).days if gone else days
        at = rng.uniform(0.0, 20.0)
        while at < end:
            rows.append((f"c{i:05d}", at))
            at += rng.exponential(pace)
    frame = pd.DataFrame(rows, columns=["customer_id", "at"])
    time = pd.Timestamp(FIRST) + pd.to_timedelta((frame["at"] * 86400).round(), unit="s")
    frame = pd.DataFrame({"customer_id": frame["customer_id"], "timestamp": time, "amount": 10.0})
    last = pd.DataFrame(
        {"customer_id": ["last"], "timestamp": [pd.Timestamp(LAST)], "amount": [10.0]}
    )
    return Ledger.from_frames(pd.concat([frame, last]))


def record(place, as_of, shift=0.0, model="regulars-churn/1", whole=True, until=FIRST, n=N):
    """Record a list that says of everyone what is true, or something else."""
    rng = np.random.default_rng(1)
    scored = pd.DataFrame({"customer_id": [f"c{i:05d}" for i in range(n)]})
    p = np.clip(1.0 - STAYS + rng.normal(0.0, 1e-4, n) + shift, 0.0, 1.0)
    pace = -60.0 / np.log(1.0 - STAYS)
    values = {
        "status": "scored", "as_of": pd.Timestamp(as_of), "churn_probability": p,
        "expected_purchases": 90.0 / pace, "expected_spend": 900.0 / pace,
        "clv": 450.0 / pace, "clv_low": 0.0, "clv_high": 60.0,
    }  # fmt: skip
    scored = scored.assign(**values).reindex(columns=list(SCORED_DTYPES))
    plan = pd.DataFrame(index=scored.index, columns=list(PLAN_DTYPES))
    facts = ListFacts(
        as_of, model, "regulars-clv/1", whole,
        {
            "label": "purchases", "eligibility": "everyone", "gap_days": 0, "horizon_days": 60,
            "clv_horizon_days": 90.0, "annual_discount_rate": 0.0, "margin": 0.5,
            "churn_trained_until": until, "clv_trained_until": until, "test_auc": 0.52,
            "offers": "{}",
        },
    )  # fmt: skip
    with recording(place, facts) as keep:
        keep(scored.astype(dict(SCORED_DTYPES)), plan.astype(dict(PLAN_DTYPES)))


@pytest.fixture(scope="module")
def sound():
    return shop()


@pytest.fixture
def place(tmp_path):
    return parse_score_ledger("scores.duckdb", tmp_path)


def told(looked, champions=CHAMPIONS, settings=SETTINGS):
    found = []
    for each in (performance_findings, estimate_findings, early_findings):
        found += each(looked, settings, champions)
    return {(one.area, one.subject, one.measure): one for one in found}


def test_a_sound_model_is_left_alone(sound, place):
    for month in (11, 12):
        record(place, dt.date(2023, month, 1))
    record(place, dt.date(2024, 3, 1))
    looked = look_back(sound, place, SETTINGS)
    assert looked.lists["churn_state"].tolist() == ["closed", "closed", "open"]
    found = told(looked)
    assert {one.severity for one in found.values()} == {"fine"}
    gap = found["performance", "2023-12-01", "calibration_gap"]
    assert gap.low < 0.0 < gap.high
    assert gap.n == N
    assert "1,200 customers scored on 2023-12-01 by regulars-churn/1" in gap.words
    value = found["performance", "2023-12-01", "clv_bias"]
    assert value.low < 0.0 < value.high
    assert value.value == pytest.approx(0.0, abs=0.1)
    early = found["early", "2024-03-01", "early_returns"]
    assert early.low < early.value < early.high
    assert found["estimate", "2024-03-01", "estimated_churn_rate"].value == pytest.approx(0.4, 0.01)


def test_a_level_that_is_surely_wrong_needs_a_person_and_one_by_chance_does_not(sound, place):
    record(place, dt.date(2023, 11, 1), shift=0.2)
    record(place, dt.date(2023, 12, 1), shift=0.2)
    found = told(look_back(sound, place, SETTINGS))
    latest = found["performance", "2023-12-01", "calibration_gap"]
    assert latest.severity == "act"
    assert latest.low > latest.limit == 0.05
    assert "points too high" in latest.remedy
    assert found["performance", "2023-11-01", "calibration_gap"].severity == "fine"
    record(place, dt.date(2023, 12, 1), shift=0.035)
    near = told(look_back(sound, place, SETTINGS))["performance", "2023-12-01", "calibration_gap"]
    assert near.value > near.limit > near.low
    assert near.severity == "watch"


def test_a_model_that_was_replaced_asks_for_nothing(sound, place):
    record(place, dt.date(2023, 12, 1), shift=0.2)
    looked = look_back(sound, place, SETTINGS)
    assert {one.severity for one in told(looked, ("regulars-churn/2",)).values()} == {"fine"}
    assert "act" in {one.severity for one in told(looked, ()).values()}


def test_a_model_that_is_in_use_again_is_judged_by_its_own_latest_list(sound, place):
    record(place, dt.date(2023, 11, 1), shift=0.2)
    record(place, dt.date(2023, 12, 1), model="regulars-churn/2")
    champions = ("regulars-churn/1", "regulars-clv/1")
    found = told(look_back(sound, place, SETTINGS), champions)
    assert found["performance", "2023-11-01", "calibration_gap"].severity == "act"


def test_customers_who_leave_are_missed_before_the_horizon_is_over(place):
    ledger = shop(dt.date(2024, 3, 1), 0.5)
    record(place, dt.date(2024, 3, 1))
    found = told(look_back(ledger, place, SETTINGS))
    early = found["early", "2024-03-01", "early_returns"]
    assert early.severity == "act"
    assert early.value < early.limit < early.low
    assert "more customers leave" in early.remedy


def test_a_model_that_had_seen_the_time_is_not_judged(sound, place):
    record(place, dt.date(2023, 12, 1), shift=0.2, until=dt.date(2024, 1, 1))
    looked = look_back(sound, place, SETTINGS)
    assert looked.lists["churn_state"].tolist() == ["seen"]
    assert looked.cohorts.empty
    assert told(looked) == {}


def test_few_customers_say_nothing(sound, place):
    record(place, dt.date(2023, 12, 1), shift=0.3, n=120)
    found = told(look_back(sound, place, SETTINGS))
    assert "too few" in found["performance", "2023-12-01", "churn_rate"].words
    assert {one.severity for one in found.values()} == {"fine"}


def test_customers_who_are_gone_are_not_counted_as_left(sound, place):
    rows = sound.transactions.to_pyarrow().to_pandas()
    renamed = rows["customer_id"] < "c00300"
    rows.loc[renamed, "customer_id"] = "new-" + rows.loc[renamed, "customer_id"]
    record(place, dt.date(2023, 12, 1))
    found = told(look_back(Ledger.from_frames(rows), place, SETTINGS))
    gone = found["performance", "2023-12-01 all", "gone_share"]
    assert (gone.value, gone.severity) == (0.25, "watch")
    assert found["performance", "2023-12-01", "calibration_gap"].severity == "fine"


def test_of_a_month_the_last_list_is_looked_at_and_everyone_before_some(sound, place):
    record(place, dt.date(2023, 12, 1))
    record(place, dt.date(2023, 12, 8))
    record(place, dt.date(2023, 12, 20), whole=False, n=300)
    lists = look_back(sound, place, SETTINGS).lists
    assert lists["looked_at"].tolist() == [False, True, False]


def test_an_empty_ledger_says_nothing(sound, place):
    looked = look_back(sound, place, SETTINGS)
    assert told(looked) == {}
    assert [len(each) for each in (looked.lists, looked.cohorts, looked.early)] == [0, 0, 0]
