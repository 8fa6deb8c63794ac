import numpy as np
import pandas as pd
import pytest

from features.ledger import Ledger
from features.measures.campaigns import MEASURES
from features.measures.table import COLUMNS
from serving.campaigns import CampaignSettings, measure_campaigns


def shop(seed=0):
    """400 customers; a randomised campaign, one to everybody of a kind, one that never ends."""
    rng = np.random.default_rng(seed)
    ids = np.array([f"c{i:03d}" for i in range(400)])
    start = pd.Timestamp("2024-01-01")
    orders = [(who, start + pd.Timedelta(days=float(d)), 20.0) for who in ids
              for d in rng.uniform(0, 180, rng.poisson(4) + 1)]  # fmt: skip
    sent = pd.Timestamp("2024-04-01 06:00")
    contacts = []
    for who in ids[:300]:
        treated = rng.random() < 0.5
        arm = "treatment" if treated else "control"
        contacts.append((who, sent, "voucher-2024-04", arm, 1.0 * treated))
        if treated and rng.random() < 0.5:
            orders.append((who, sent + pd.Timedelta(days=5), 30.0))
    contacts += [(who, sent, "letter", None, 0.5) for who in ids[rng.random(400) < 0.4]]
    days = rng.uniform(0, 150, 100)
    contacts += [
        (who, start + pd.Timedelta(days=float(d)), "survey", None, 0.0)
        for who, d in zip(ids[:100], days, strict=True)
    ]
    contacts.append((ids[0], pd.Timestamp("2024-06-25"), "last", "treatment", 1.0))
    return Ledger.from_frames(
        pd.DataFrame(orders, columns=["customer_id", "timestamp", "amount"]),
        contacts=pd.DataFrame(
            contacts, columns=["customer_id", "timestamp", "campaign", "arm", "cost"]
        ),
    )


@pytest.fixture(scope="module")
def measured():
    settings = CampaignSettings(30, 60, {"voucher": 0.5})
    return measure_campaigns(shop(), settings)


def test_the_rows_are_those_of_the_contract(measured):
    frame = measured.found.frame
    assert tuple(frame.columns) == COLUMNS
    units = {row.name: row.unit for row in MEASURES}
    assert (frame["measure"].map(units) == frame["unit"]).all()
    assert not frame.duplicated(["measure", "segment"]).any()
    own = frame[frame["segment"] == "campaign=voucher-2024-04"]
    assert set(own["measure"]) == set(units)


def test_the_plain_rows_are_the_experiment(measured):
    frame = measured.found.frame.set_index(["measure", "segment"])
    row = frame.loc[("campaign_effect_purchase", "campaign=voucher-2024-04")]
    effect = measured.reports["voucher-2024-04"].effects["purchase"]
    assert row[["value", "low", "high", "n"]].tolist() == pytest.approx(
        [effect.value, effect.low, effect.high, effect.n]
    )
    assert effect.low > 0


def test_a_campaign_without_control_is_an_observational_estimate(measured):
    frame = measured.found.frame
    rows = frame[frame["segment"].str.startswith("campaign=letter")]
    assert len(rows)
    assert set(rows["segment"]) == {"campaign=letter|method=observational"}
    assert measured.reports["letter"].label == "observational estimate"


def test_what_cannot_be_measured_says_why(measured):
    notes = " ".join(measured.found.notes)
    assert "survey: it has no control arm, and its contacts reach" in notes
    assert measured.reports["survey"].label == "not measured"
    assert measured.reports["last"].label == "not measured"


def test_without_any_control_the_experiments_measures_are_missing_with_the_reason():
    rng = np.random.default_rng(0)
    ids = [f"c{i:03d}" for i in range(400)]
    days = pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.uniform(0, 180, 2000), "D")
    orders = pd.DataFrame(
        {"customer_id": ids * 5, "timestamp": days, "amount": rng.uniform(5, 50, 2000)}
    )
    contacts = pd.DataFrame(
        {"customer_id": ids[::2], "timestamp": "2024-04-01", "campaign": "letter"}
    )
    found = measure_campaigns(Ledger.from_frames(orders, contacts=contacts)).found
    (missing,) = found.missing
    assert {"campaign_roi", "campaign_profit", "campaign_balance_p"} <= set(missing.measures)
    assert missing.needs == "No campaign has a treatment and a control arm."
    assert not set(missing.measures) & set(found.frame["measure"])


def test_customers_in_both_arms_are_said():
    rng = np.random.default_rng(0)
    ids = [f"c{i:03d}" for i in range(200)]
    days = pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.uniform(0, 180, 1000), "D")
    orders = pd.DataFrame(
        {"customer_id": ids * 5, "timestamp": days, "amount": rng.uniform(5, 50, 1000)}
    )
    contacts = pd.DataFrame({"customer_id": ids, "timestamp": "2024-03-01", "campaign": "voucher"})
    arms = contacts.assign(arm=["treatment", "control"] * 100)
    both = contacts.head(40).assign(arm="control")
    some = measure_campaigns(Ledger.from_frames(orders, contacts=pd.concat([arms, both])))
    said = "voucher: {} customers have contacts in both arms and count in neither."
    assert some.found.notes[0] == said.format(20)
    every = pd.concat([contacts.assign(arm="treatment"), contacts.assign(arm="control")])
    none = measure_campaigns(Ledger.from_frames(orders, contacts=every))
    assert none.found.notes == (said.format(200), "voucher: nobody is left to measure it by.")


def test_the_planned_share_is_found_by_kind(measured):
    assert measured.reports["voucher-2024-04"].balance.planned_share == 0.5


def test_without_contacts_everything_is_missing():
    orders = pd.DataFrame({"customer_id": ["a"], "timestamp": ["2024-01-01"], "amount": [1.0]})
    found = measure_campaigns(Ledger.from_frames(orders)).found
    assert found.frame.empty
    assert found.missing[0].measures == tuple(row.name for row in MEASURES)
