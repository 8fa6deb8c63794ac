import datetime as dt

import numpy as np
import pandas as pd
import pytest

from features.enrolment import COVARIATES, enrolment_trials, enrolments, members_and_others
from features.errors import InputError, NotEnoughDataError
from features.ledger import Ledger

SALES = pd.DataFrame(
    [
        ("a", "2024-01-01 09:00", 10.0),
        ("a", "2024-01-11 09:00", 20.0),
        ("a", "2024-01-11 15:00", 10.0),
        ("a", "2024-04-20 09:00", 60.0),
        ("a", "2024-05-01 09:00", 8.0),
        ("b", "2024-01-11 10:00", 5.0),
        ("b", "2024-01-31 10:00", -5.0),
        ("b", "2024-06-30 10:00", 7.0),
        ("c", "2023-12-01 10:00", 3.0),
    ],
    columns=["customer_id", "timestamp", "amount"],
)
LOYALTY = pd.DataFrame(
    [
        ("a", "2024-01-10", 5, "letter"),
        ("a", "2024-04-20 09:00", 50, "Enrolment"),
        ("a", "2024-04-20 09:00", 60, "earn"),
        ("b", "2024-01-05", 1, "gift"),
        ("b", "2024-01-09", 1, None),
    ],
    columns=["customer_id", "timestamp", "points", "kind"],
)
WON = pd.DataFrame({"customer_id": ["a"], "channel": ["search"], "cost": [1.0]})


def shop(**tables) -> Ledger:
    return Ledger.from_frames(SALES, **{"loyalty": LOYALTY, "acquisition": WON, **tables})


def joined(loyalty) -> dict[str, dt.datetime]:
    found = enrolments(shop(loyalty=loyalty).tables["loyalty"]).to_pyarrow().to_pylist()
    return {row["customer_id"]: row["enrolled_at"] for row in found}


def test_one_joins_at_the_row_that_says_so_else_at_the_first():
    assert joined(LOYALTY) == {"a": dt.datetime(2024, 4, 20, 9), "b": dt.datetime(2024, 1, 5)}
    assert joined(LOYALTY.drop(columns="kind")) == {
        "a": dt.datetime(2024, 1, 10),
        "b": dt.datetime(2024, 1, 5),
    }


def test_trials_by_hand():
    trials = enrolment_trials(shop(), horizon_days=60)
    assert (trials.first_day, trials.last_day) == (dt.date(2024, 1, 5), dt.date(2024, 6, 30))
    assert (trials.members, trials.at_purchase, trials.share) == (2, 1, 1.0)
    assert trials.covariates == list(COVARIATES)
    frame = trials.frame
    day = pd.to_datetime(frame["day"], unit="D").dt.strftime("%m-%d")
    assert [*zip(frame["customer_id"], day, strict=True)] == [
        ("a", "01-11"),
        ("a", "04-20"),
        ("a", "05-01"),
        ("b", "01-11"),
        ("b", "06-30"),
    ]
    # b joined on a day without a purchase; the last 60 days are not over.
    assert frame["member"].tolist() == [False, False, True, True, True]
    assert frame["enrols"].tolist() == [False, True, False, False, False]
    assert frame["trial"].tolist() == [True, True, False, False, False]
    assert frame["purchases"].tolist() == [1] * 5
    assert frame["spend"].tolist() == [30, 60, 8, 5, 7]
    a = frame[frame["customer_id"] == "a"]
    np.testing.assert_allclose(np.exp(a["log_purchases"]), [2, 3, 4])
    np.testing.assert_allclose(np.exp(a["log_purchases_90"]), [2, 1, 2])
    np.testing.assert_allclose(np.exp(a["log_purchases_365"]), [2, 3, 4])
    np.testing.assert_allclose(np.expm1(a["log_tenure"]), [10, 110, 121])
    np.testing.assert_allclose(np.expm1(a["log_gap"]), [10, 100, 11])
    np.testing.assert_allclose(np.expm1(a["log_value"]), [30, 60, 8])
    np.testing.assert_allclose(np.expm1(a["log_mean_value"]), [20, 100 / 3, 27])
    assert a["month"].tolist() == ["2024-01", "2024-04", "2024-05"]
    assert a["channel"].tolist() == ["search"] * 3
    b = frame[frame["customer_id"] == "b"]
    assert np.isnan(b["log_gap"].iloc[0])
    assert b["channel"].isna().all()


def test_the_order_of_rows_is_nothing():
    one = enrolment_trials(shop(), horizon_days=60)
    turned = Ledger.from_frames(SALES[::-1], loyalty=LOYALTY[::-1], acquisition=WON)
    pd.testing.assert_frame_equal(one.frame, enrolment_trials(turned, horizon_days=60).frame)


def test_of_many_customers_some_are_drawn_whole():
    many = pd.concat([SALES.assign(customer_id=f"{i}" + SALES["customer_id"]) for i in range(40)])
    points = pd.concat(
        [LOYALTY.assign(customer_id=f"{i}" + LOYALTY["customer_id"]) for i in range(40)]
    )
    ledger = Ledger.from_frames(many, loyalty=points)
    whole = enrolment_trials(ledger, 60).frame
    trials = enrolment_trials(ledger, 60, most_customers=60)
    drawn = set(trials.frame["customer_id"])
    assert 0.3 < trials.share < 0.7
    kept = whole[whole["customer_id"].isin(drawn)].reset_index(drop=True)
    pd.testing.assert_frame_equal(trials.frame, kept)


def test_members_and_others_by_hand():
    # The last 60 days begin on 2 May: a and b had joined and bought before; c is no member.
    sums = members_and_others(shop(), 60)
    assert sums.loc[True].to_dict() == {
        "customers": 2,
        "purchases": 1,
        "purchases_squared": 1,
        "spend": 7,
        "spend_squared": 49,
    }
    assert sums.loc[False].to_list() == [1, 0, 0, 0, 0]
    # Who joins within the days is neither.
    assert members_and_others(shop(), 100).loc[True, "customers"] == 1


def test_what_is_missing_is_said():
    with pytest.raises(InputError, match="loyalty"):
        enrolment_trials(Ledger.from_frames(SALES))
    with pytest.raises(InputError, match="horizon"):
        enrolment_trials(shop(), 0)
    with pytest.raises(NotEnoughDataError, match="2024-01-05"):
        enrolment_trials(shop(), 365)


def test_the_last_days_are_as_many_as_they_are_called():
    days = ["2023-01-01", "2023-10-02", "2023-10-03", "2023-12-31"]  # 364, 90 and 89 days before
    sales = pd.DataFrame({"customer_id": "d", "timestamp": days, "amount": 1.0})
    later = pd.DataFrame({"customer_id": ["e"], "timestamp": ["2024-03-01"], "amount": [1.0]})
    ledger = Ledger.from_frames(
        pd.concat([sales, later]), loyalty=LOYALTY.assign(timestamp=days[0])
    )
    last = enrolment_trials(ledger, 30).frame.query("customer_id == 'd'").iloc[-1]
    assert np.exp(
        last[["log_purchases_90", "log_purchases_365"]].astype(float)
    ).round().tolist() == [2, 4]
