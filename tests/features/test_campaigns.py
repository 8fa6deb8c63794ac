import datetime as dt

import numpy as np
import pandas as pd
import pytest

from features.campaign_base import campaign_base
from features.campaigns import campaign_kind, campaign_outcomes, campaigns
from features.errors import InputError
from features.ledger import Ledger
from features.rfm import rfm_summary

ORDERS = [
    ("a", "2024-01-01 10:00", 10.0),
    ("a", "2024-02-25 10:00", 20.0),
    ("a", "2024-03-01 09:00", 5.0),  # the day of the contact counts as after it
    ("a", "2024-03-10 10:00", 7.0),
    ("a", "2024-03-11 10:00", -2.0),  # a return
    ("a", "2024-03-31 10:00", 100.0),  # the 31st day
    ("b", "2024-02-01 10:00", 30.0),
    ("b", "2024-04-15 10:00", 8.0),  # within the horizon, after the window
    ("c", "2024-03-15 10:00", 9.0),  # bought for the first time after the contact
    ("d", "2024-01-10 10:00", 40.0),
    ("e", "2024-02-20 10:00", 50.0),
    ("f", "2024-06-30 10:00", 1.0),
]
CONTACTS = [
    ("a", "2024-03-01 05:00", "voucher-2024-03", "treatment", 2.5),
    ("a", "2024-03-05 05:00", "voucher-2024-03", "treatment", 0.5),
    ("b", "2024-03-01 05:00", "voucher-2024-03", "control", 0.0),
    ("c", "2024-03-01 05:00", "voucher-2024-03", "control", 0.0),
    ("d", "2024-03-01 05:00", "voucher-2024-03", "treatment", 0.5),
    ("d", "2024-03-02 05:00", "voucher-2024-03", "control", 0.0),
    ("e", "2024-06-20 05:00", "voucher-2024-06", "treatment", 0.5),
    ("a", "2024-03-01 05:00", "news", None, 0.1),
]


@pytest.fixture(scope="module")
def ledger():
    orders = pd.DataFrame(ORDERS, columns=["customer_id", "timestamp", "amount"])
    contacts = pd.DataFrame(
        CONTACTS, columns=["customer_id", "timestamp", "campaign", "arm", "cost"]
    )
    for frame in (orders, contacts):
        frame["timestamp"] = pd.to_datetime(frame["timestamp"])
    return Ledger.from_frames(orders, contacts=contacts)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("voucher-2024-05", "voucher"),
        ("Email 2024 Q3", "Email"),
        ("call_20240501", "call"),
        ("mailing 12", "mailing"),
        ("20off", "20off"),
        ("2024-05", "2024-05"),
    ],
)
def test_repetitions_share_a_kind(name, kind):
    assert campaign_kind(name) == kind


def test_campaigns_in_order_with_their_arms(ledger):
    found = {campaign.name: campaign for campaign in campaigns(ledger)}
    voucher = found["voucher-2024-03"]
    assert list(found) == ["news", "voucher-2024-03", "voucher-2024-06"]
    assert (voucher.treated, voucher.control, voucher.crossed) == (1, 2, 1)
    assert (voucher.first_day, voucher.last_day) == (dt.date(2024, 3, 1), dt.date(2024, 3, 5))
    assert voucher.cost == pytest.approx(3.5)
    assert voucher.randomised
    assert found["news"].unassigned == 1
    assert not found["news"].randomised


def test_outcomes_by_hand(ledger):
    found = campaign_outcomes(ledger, "voucher-2024-03", window_days=30, horizon_days=60)
    assert found.index.tolist() == ["a", "b", "c"]  # d was in both arms
    assert found["treated"].tolist() == [1, 0, 0]
    assert found["cost"].tolist() == [3, 0, 0]
    assert found["purchased"].tolist() == [1, 0, 1]
    assert found["purchases"].tolist() == [2, 0, 1]
    assert found["spend"].tolist() == [10, 0, 9]
    assert found["retained"].tolist() == [1, 1, 1]
    assert found["purchases_before"].tolist() == [1, 1, 0]
    assert found["spend_before"].tolist() == [20, 30, 0]
    assert found["spend_so_far"].tolist() == [110, 8, 9]
    assert found["days_so_far"].tolist() == [122, 122, 122]  # up to 30 June
    assert found["frequency"].iloc[:2].tolist() == [1, 0]
    assert np.isnan(found["frequency"].iloc[2])
    assert found["contacted_on"].dt.date.tolist() == [dt.date(2024, 3, 1)] * 3


def test_the_summary_is_that_of_the_purchase_models(ledger):
    found = campaign_outcomes(ledger, "voucher-2024-03", window_days=30, value_days=20)
    names = ["frequency", "recency", "T", "monetary_value"]
    for prefix, day in (("", dt.date(2024, 3, 1)), ("after_", dt.date(2024, 3, 21))):
        summary = (
            rfm_summary(ledger.purchases(day), day)
            .to_pyarrow()
            .to_pandas()
            .set_index("customer_id")
        )
        for who in ("a", "b"):
            assert found.loc[who, [prefix + n for n in names]].tolist() == pytest.approx(
                summary.loc[who, names].tolist()
            )


def test_a_window_that_is_not_over_is_left_out(ledger):
    assert campaign_outcomes(ledger, "voucher-2024-06", window_days=30).empty
    found = campaign_outcomes(ledger, "voucher-2024-03", window_days=30, horizon_days=200)
    assert found["retained"].isna().all()
    assert found["purchased"].notna().all()


def test_others_stand_in_for_a_control_arm(ledger):
    found = campaign_outcomes(ledger, "news", window_days=30, others=True)
    assert found["treated"].to_dict() == {"a": 1, "b": 0, "d": 0, "e": 0}
    assert found.loc["b", "spend_before"] == 30


def test_an_unknown_campaign_is_named(ledger):
    with pytest.raises(InputError, match="no campaign voucher-2024-04"):
        campaign_outcomes(ledger, "voucher-2024-04", window_days=30)


def test_no_contacts_no_campaigns():
    orders = pd.DataFrame({"customer_id": ["a"], "timestamp": ["2024-01-01"], "amount": [1.0]})
    assert campaigns(Ledger.from_frames(orders)) == []


def test_the_base_by_hand(ledger):
    found = campaign_base(ledger, 90)  # from 2 April on
    assert found.cutoff == dt.date(2024, 4, 2)
    assert (found.customers, found.buyers) == (5, 1)
    assert found.spend == pytest.approx(8 / 5)
    assert found.deviation == pytest.approx(np.std([8, 0, 0, 0, 0], ddof=1))
    assert found.yearly_spend == 38
    assert found.new_a_day == pytest.approx(1 / 90)
