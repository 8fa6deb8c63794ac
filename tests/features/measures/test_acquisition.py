"""CAC, LTV : CAC, payback and CLV by hand."""

import datetime as dt
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest

from features.ledger import Ledger
from features.measures import Found, Question, ask
from features.measures.acquisition import acquisition
from features.measures.lifetime_value import lifetime_value
from features.measures.predictive import predictive

START = dt.date(2024, 1, 1)


def day(number: int) -> str:
    return str(START + dt.timedelta(days=number))


def told(found: Found, name: str, period: str = "all") -> dict[str, float]:
    table = found.frame
    table = table[(table["measure"] == name) & (table["period"] == period)]
    return dict(zip(table["segment"], table["value"], strict=True))


@pytest.fixture(scope="module")
def asked() -> Iterator[Question]:
    """Ten customers of `slow` pay 10 at days 0, 35 and 65; ten of `never` once; one is free."""
    rows = [(f"s{i}", day(d), 10) for i in range(10) for d in (0, 35, 65)]
    rows += [(f"n{i}", day(31), 10) for i in range(10)]
    rows += [("free", day(2), 40), ("new", day(199), 3)]
    costs = [(f"s{i}", "slow", 25) for i in range(10)]
    costs += [(f"n{i}", "never", 11 + i % 2) for i in range(10)]
    costs += [("free", "gift", 0), ("new", "slow", None), ("nobody", "slow", 99)]
    ledger = Ledger.from_frames(
        pd.DataFrame(rows, columns=["customer_id", "timestamp", "amount"]),
        acquisition=pd.DataFrame(costs, columns=["customer_id", "channel", "cost"]),
    )
    with ask(ledger, churn_days=40, margin=0.5) as question:
        yield question


def test_cac_by_hand(asked: Question) -> None:
    found = acquisition(asked)
    assert told(found, "cac") == {
        "all": pytest.approx(365 / 21),
        "channel=slow": 25,
        "channel=never": 11.5,
        "channel=gift": 0,
        "cohort=2024-01": pytest.approx(250 / 11),
        "cohort=2024-02": 11.5,
    }
    january = told(found, "cac", "2024-01")
    assert january == {"all": pytest.approx(250 / 11), "channel=slow": 25, "channel=gift": 0}
    assert told(found, "acquisition_cost")["channel=slow"] == 250


def test_what_is_in_no_figure_is_said(asked: Question) -> None:
    notes = " ".join(acquisition(asked).notes)
    assert "1 person in the table acquisition never bought: their cost of 99.00" in notes
    assert "The acquisition cost of 1 customers is not known" in notes
    assert "channel=never (5.00 of 11.50 after" in notes


def test_payback_by_hand() -> None:
    rows = [(f"c{i}", day(d), 10) for i in range(10) for d in (0, 35, 65, 200)]
    costs = pd.DataFrame({"customer_id": [f"c{i}" for i in range(10)], "channel": "x", "cost": 25})
    ledger = Ledger.from_frames(
        pd.DataFrame(rows, columns=["customer_id", "timestamp", "amount"]), acquisition=costs
    )
    with ask(ledger) as question:
        found = acquisition(question)
    curve = told(found, "cumulative_margin")
    assert [curve[f"age={age}"] for age in range(1, 7)] == [10, 20, 30, 30, 30, 30]
    assert told(found, "payback_months") == {"all": 3, "channel=x": 3}


def test_margin_by_age_takes_everyone_who_was_observed_so_far() -> None:
    """Ten are watched for 3 months and pay 1 a month, ten for one month only and pay 3."""
    rows = [(f"old{i}", day(d), 1) for i in range(10) for d in (0, 31, 61)]
    rows += [(f"new{i}", day(60), 3) for i in range(10)] + [("old0", day(91), 0)]
    ledger = Ledger.from_frames(pd.DataFrame(rows, columns=["customer_id", "timestamp", "amount"]))
    with ask(ledger) as question:
        curve = told(acquisition(question), "cumulative_margin")
    assert curve == {"age=1": 2, "age=2": 3, "age=3": 4}


def test_clv_by_hand(asked: Question) -> None:
    found = lifetime_value(asked)
    # `slow` is silent from day 65 on and lost on day 106, `never` on day 72.
    assert told(found, "clv_historical")["channel=slow"] == pytest.approx(0.5 * 303 / 11)
    assert told(found, "clv_classic")["channel=slow"] == pytest.approx(0.5 * 303 / 10)
    assert told(found, "clv_classic")["channel=never"] == pytest.approx(0.5 * 100 / 10)


def scores(ids: list[str], clv: list[float], **others: object) -> pd.DataFrame:
    value = np.array(clv)
    return pd.DataFrame(
        {
            "customer_id": ids,
            "as_of": pd.Timestamp(START + dt.timedelta(days=200)),
            "status": "scored",
            "clv": value,
            "clv_low": 0.5 * value,
            "clv_high": 2 * value,
            "churn_probability": 0.25,
            "churn_low": 0.2,
            "churn_high": 0.3,
            "risk_tier": "high",
            **others,
        }
    )


def test_ltv_to_cac_by_hand(asked: Question) -> None:
    ids = [f"s{i}" for i in range(10)] + [f"n{i}" for i in range(10)] + ["free"]
    found = predictive(asked, scores(ids, [35.0] * 10 + [18.0] * 10 + [5.0]))
    ratio = told(found, "ltv_to_cac")
    assert ratio["channel=slow"] == pytest.approx((0.5 * 30 + 35) / 25)
    assert ratio["channel=never"] == pytest.approx((0.5 * 10 + 18) / 11.5)
    assert ratio["all"] == pytest.approx((500 + 230 + 25) / 365)
    assert ratio["cohort=2024-02"] == ratio["channel=never"]
    assert "channel=gift" not in ratio
    assert found.notes == ("No ltv_to_cac where winning customers cost nothing: channel=gift.",)
    assert told(found, "clv_predictive")["channel=slow"] == 35
    rows = found.frame[found.frame["measure"] != "revenue_at_risk"]
    inside = (rows["low"] <= rows["value"]) & (rows["value"] <= rows["high"])
    assert inside[rows["n"] > 1].all()


def test_intervals_hold_what_is_uncertain_of_each_customer(asked: Question) -> None:
    """Equal customers differ in nothing but their own predictive intervals."""
    ids = [f"s{i}" for i in range(10)]
    found = predictive(asked, scores(ids, [35.0] * 10)).frame
    row = found[(found["measure"] == "clv_predictive") & (found["segment"] == "all")].iloc[0]
    spread = 35 * 1.5 / (2 * 1.6448536) / np.sqrt(10)
    assert row["high"] - row["value"] == pytest.approx(2.262157 * spread, rel=1e-5)  # t, 9


def test_revenue_at_risk_by_hand(asked: Question) -> None:
    found = predictive(asked, scores(["s0", "free"], [1.0, 1.0]))
    (row,) = found.frame[
        (found.frame["measure"] == "revenue_at_risk") & (found.frame["segment"] == "risk_tier=high")
    ].to_dict("records")
    assert (row["value"], row["low"], row["high"]) == pytest.approx((17.5, 14, 21))


def test_without_costs_nothing_is_guessed() -> None:
    table = pd.DataFrame({"customer_id": ["a"], "timestamp": ["2024-01-01"], "amount": [3]})
    for others in (
        {},
        {"acquisition": pd.DataFrame({"customer_id": ["a"], "channel": ["x"]})},
        {"acquisition": pd.DataFrame({"customer_id": ["b"], "channel": ["x"], "cost": [3]})},
    ):
        with ask(Ledger.from_frames(table, **others)) as question:
            found = acquisition(question)
        (missing,) = found.missing
        assert "cac" in missing.measures
        assert not told(found, "cac")
