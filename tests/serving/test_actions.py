"""The plan: who gets which offer, who is held back and why nothing is sent to the others."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from features.campaigns import campaign_kind, campaign_outcomes, campaigns
from features.errors import InputError
from features.ledger import Ledger, open_ledger
from features.settings import PolicySettings, PurchaseSettings, SourceSettings
from models.decision import Offer, effect_value, expected_cost, expected_value
from serving.actions import PLAN_DTYPES, WHY, plan
from serving.batch import write_list
from serving.campaign_list import CAMPAIGN_COLUMNS, campaign_list, summarise
from serving.offers import Decision, PlannedOffer

CUTOFF = dt.date(2024, 7, 1)
MAIL = PlannedOffer("mail", Offer(0.5, 5.0, 0.2))
CALL = PlannedOffer("call", Offer(4.0, 0.0, 0.25))


@pytest.fixture(scope="module")
def shop() -> Ledger:
    """Four customers, two of whom were written to lately, and where they live."""
    names = ["a", "b", "c", "d"]
    return Ledger.from_frames(
        pd.DataFrame({"customer_id": names, "timestamp": "2024-05-01", "amount": 10.0}),
        contacts=pd.DataFrame(
            {
                "customer_id": ["a", "a", "b", "b", "c", "d"],
                "timestamp": pd.to_datetime(
                    ["2024-06-25", "2024-06-30", "2024-06-28", "2024-06-29", "2024-05-01",
                     "2024-07-01"]
                ),
                "campaign": "news",
                "arm": [None, "treatment", "control", None, "treatment", "treatment"],
            }
        ),
        customers=pd.DataFrame({"customer_id": names, "country": ["GB", "GB", "NL", None]}),
    )  # fmt: skip


def scored(p, **columns):
    """A scored list of customers a, b, c, ... with these churn probabilities."""
    n = len(p)
    risk = np.select([np.array(p) > 0.6, np.array(p) > 0.3], ["high", "medium"], "low")
    frame = {
        "customer_id": list("abcdefghij"[:n]),
        "as_of": pd.Timestamp(CUTOFF),
        "status": ["unknown_customer" if np.isnan(each) else "scored" for each in p],
        "churn_probability": p,
        "p_alive": 1.0,
        "risk_tier": risk,
        "value_tier": "high",
        "reason_1": None,
        "reason_2": None,
        "reason_3": None,
    }
    return pd.DataFrame(frame | columns)


def planned(ledger, p, value, offers=(MAIL, CALL), effects=None, suggestions=None, **limits):
    listed = scored(p)
    worth = pd.Series(value, index=listed["customer_id"])
    limits = {"control_share": 0.0} | limits
    found = plan(
        listed,
        ledger,
        Decision(offers, **limits),
        worth,
        effects=effects,
        suggestions=suggestions,
    )
    return found.set_index("customer_id")


def test_everybody_gets_the_offer_that_earns_most_or_none(shop: Ledger) -> None:
    p, value = np.array([0.9, 0.9, 0.05, np.nan]), np.array([300.0, 12.0, 300.0, 300.0])
    found = planned(shop, p, value)
    assert found["action"].fillna("-").tolist() == ["call", "mail", "none", "-"]
    assert found["why"].tolist() == ["", "", "not worth it", "not scored"]
    found = planned(shop, p, value, offers=(MAIL,))
    assert found["action"].fillna("-").tolist() == ["mail", "mail", "none", "-"]
    assert found["why"].tolist() == ["", "", "not worth it", "not scored"]
    earns = expected_value(p, value, MAIL.offer)
    np.testing.assert_allclose(found["expected_value"][:3], [earns[0], earns[1], 0.0], rtol=1e-12)
    np.testing.assert_allclose(found["offer_value"][:3], earns[:3], rtol=1e-12)
    assert found.loc["a", "expected_cost"] == pytest.approx(expected_cost(0.18, 0.9, MAIL.offer))
    assert found["rank"].tolist()[:2] == [1, 2]
    assert found.loc["d", ["expected_value", "expected_cost", "offer_value"]].isna().all()


def test_nobody_is_saved_who_is_no_longer_there(shop: Ledger) -> None:
    listed = scored([0.9, 0.9, 0.9, 0.2], p_alive=[1.0, 0.3, 0.0, 0.8])
    value = pd.Series(300.0, index=listed["customer_id"])
    found = plan(listed, shop, Decision((MAIL,), control_share=0.0), value)
    rate = MAIL.offer.save_rate
    np.testing.assert_allclose(found["effect"], np.array([0.9, 0.3, 0.0, 0.2]) * rate)
    assert found["why"].tolist() == ["", "", "not worth it", ""]
    assert found["offer_value"].iloc[0] > found["offer_value"].iloc[1] > 0.0
    # Where P(alive) is not known, as of contracts, the save rate is of all who would leave.
    unknown = plan(listed.assign(p_alive=np.nan), shop, Decision((MAIL,)), value)
    np.testing.assert_allclose(unknown["effect"], listed["churn_probability"] * rate)


def test_a_plan_keeps_its_contract_and_the_frames_handed_in(shop: Ledger) -> None:
    listed = scored([0.9, 0.1])
    before = listed.copy(deep=True)
    found = plan(listed, shop, Decision(), pd.Series([100.0, 1.0], index=["a", "b"]))
    assert {name: str(kind) for name, kind in found.dtypes.items()} == dict(PLAN_DTYPES)
    assert set(found["why"]) <= set(WHY)
    pd.testing.assert_frame_equal(listed, before)


def test_a_budget_is_kept_and_said(shop: Ledger) -> None:
    found = planned(shop, [0.9, 0.8, 0.7], [300.0] * 3, offers=(MAIL,), budget=4.5)
    assert found["action"].tolist() == ["mail", "mail", "none"]
    assert found["why"].tolist() == ["", "", "over budget"]
    assert found["expected_cost"].sum() <= 4.5
    assert found.attrs["price"] > 0.0
    short = planned(shop, [0.9, 0.8], [300.0] * 2, list_size=1)
    assert short["rank"].notna().sum() == 1
    assert short["why"].tolist() == ["", "list is full"]


def test_who_was_written_to_lately_is_left_alone(shop: Ledger) -> None:
    p, value = [0.9] * 4, [300.0] * 4
    # b's control contact was none; c's is long ago; d's comes only on the day itself.
    found = planned(shop, p, value, max_contacts=1, contact_days=14)
    assert found["why"].tolist() == ["contacted lately", "contacted lately", "", ""]
    found = planned(shop, p, value, max_contacts=2, contact_days=14)
    assert found["why"].tolist() == ["contacted lately", "", "", ""]


def test_an_offer_may_be_for_some_only(shop: Ledger) -> None:
    p, value = [0.9, 0.5, 0.9, 0.9], [300.0] * 4
    local = PlannedOffer("local", Offer(), only={"country": ("GB",), "risk_tier": ("high",)})
    found = planned(shop, p, value, offers=(local,))
    assert found["action"].tolist() == ["local", "none", "none", "none"]
    assert found["why"].tolist() == ["", *["not eligible"] * 3]
    sure = PlannedOffer("sure", Offer(), min_p_alive=0.6)
    listed = scored(p, p_alive=0.5)
    worth = pd.Series(value, index=listed["customer_id"])
    assert (plan(listed, shop, Decision((sure,)), worth)["why"] == "not eligible").all()
    with pytest.raises(InputError, match="county"):
        planned(shop, p, value, offers=(PlannedOffer("x", only={"county": ("GB",)}),))
    with pytest.raises(InputError, match="risk_tier 'hgih', which there is not"):
        planned(shop, p, value, offers=(PlannedOffer("x", only={"risk_tier": ("hgih",)}),))


def test_an_offer_for_nobody_says_so(shop: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[str] = []
    monkeypatch.setattr("serving.weighing.note", heard.append)
    offers = (PlannedOffer("x", Offer(), only={"country": ("gb",)}),)
    found = planned(shop, [0.9] * 4, [300.0] * 4, offers=offers)
    assert (found["why"] == "not eligible").all()
    assert heard == ["The offer x is for nobody: no customer has such a country."]


def test_a_learned_effect_takes_the_place_of_the_save_rate(shop: Ledger) -> None:
    tau = pd.DataFrame({"kept": [0.1, -0.05], "p": [0.4, 0.4]}, index=["a", "b"])
    learned = PlannedOffer("mail", Offer(0.5, 5.0), "uplift", "mail", keeps_days=73)
    found = planned(shop, [0.9, 0.9], [300.0] * 2, offers=(learned,), effects={"mail": tau})
    expected = effect_value(tau["kept"], tau["p"], 60.0, learned.offer)
    assert found["offer_value"].tolist() == pytest.approx(expected.tolist())
    assert found["action"].tolist() == ["mail", "none"]
    assert found["effect"].tolist() == [0.1, -0.05]


def test_an_offer_may_earn_what_customers_spend_more(shop: Ledger) -> None:
    tau = pd.DataFrame({"kept": [0.1, 0.1], "p": [0.4, 0.4], "spend": [30.0, 2.0]}, ["a", "b"])
    more = PlannedOffer("mail", Offer(0.5, 5.0), "uplift", "mail", earns="spend")
    found = planned(
        shop, [0.9, 0.9], [300.0] * 2, offers=(more,), effects={"mail": tau}, margin=0.5
    )
    cost = 0.5 + 5.0 * (0.1 + 0.6)
    assert found["offer_value"].tolist() == pytest.approx([15.0 - cost, 1.0 - cost])
    assert found["action"].tolist() == ["mail", "none"]


def test_those_who_stay_are_told_what_is_next(shop: Ledger) -> None:
    following = pd.Series(["Toys", "Toys", "Garden"], index=["a", "b", "c"])
    found = planned(
        shop, [0.9, 0.1, 0.9, 0.1], [300.0, 10.0, 0.0, 10.0], offers=(MAIL,), suggestions=following
    )
    # c is at high risk and not worth it; of d nothing is known.
    assert found["action"].tolist() == ["mail", "suggest:Toys", "none", "none"]
    assert found["expected_value"].tolist()[1:] == [0.0] * 3


def many(n=2000):
    rng = np.random.default_rng(0)
    listed = scored([0.5] * 5)
    listed = pd.concat([listed] * (n // 5), ignore_index=True)
    listed["customer_id"] = [f"C{i:05}" for i in range(n)]
    listed["churn_probability"] = rng.beta(2.0, 3.0, n)
    return listed, pd.Series(rng.gamma(2.0, 90.0, n), index=listed["customer_id"])


def test_a_control_is_held_back_by_lot_and_the_same_in_every_run(shop: Ledger) -> None:
    listed, value = many()
    decision = Decision((MAIL,), control_share=0.2)
    found = plan(listed, shop, decision, value)
    control = found["arm"] == "control"
    assert control.sum() / found["arm"].notna().sum() == pytest.approx(0.2, abs=0.03)
    assert (found.loc[control, "action"] == "control:mail").all()
    assert (found.loc[control, ["expected_value", "expected_cost"]] == 0.0).all(axis=None)
    assert (found.loc[control, "offer_value"] > 0.0).all()
    pd.testing.assert_frame_equal(plan(listed, shop, decision, value), found)
    shuffled = listed.sample(frac=1.0, random_state=1)
    again = plan(shuffled, shop, Decision((MAIL,), control_share=0.2, budget=500.0), value)
    usual = plan(listed, shop, Decision((MAIL,), control_share=0.2, budget=500.0), value)
    again = again.sort_values("customer_id", ignore_index=True)
    pd.testing.assert_frame_equal(again, usual, check_exact=True)
    # Without limits nobody's action depends on who else is in the list.
    some = plan(listed.head(100), shop, decision, value)
    same = [name for name in PLAN_DTYPES if name != "rank"]
    pd.testing.assert_frame_equal(some[same], found.head(100)[same])


def test_the_summary_adds_up_and_breaks_even(shop: Ledger) -> None:
    listed, value = many()
    found = plan(listed, shop, Decision((MAIL, CALL)), value)
    said = summarise(found, Decision((MAIL, CALL)))
    assert said["customers"] == 2000
    assert sum(said["actions"].values()) == 2000
    assert said["contacted"] == sum(each["contacted"] for each in said["offers"])
    assert said["contacted"] + sum(said["why"].values()) == 2000
    for each, offer in zip(said["offers"], (MAIL, CALL), strict=True):
        sent = found[(found["arm"] == "treatment") & (found["offer"] == each["offer"])]
        p, worth = sent["churn_probability"], sent["value_if_kept"]
        assert each["expected_value"] == pytest.approx(expected_value(p, worth, offer.offer).sum())
        rate = each["break_even_save_rate"]
        even = Offer(offer.offer.contact_cost, offer.offer.offer_cost, rate)
        assert expected_value(p, worth, even).sum() == pytest.approx(0.0, abs=1e-6)
    nobody = summarise(plan(listed, shop, Decision((MAIL,), budget=0.0), value), Decision((MAIL,)))
    assert nobody["offers"][0]["break_even_effect"] is None


def test_a_campaign_list_is_the_contacts_of_the_next_period(shop: Ledger, tmp_path) -> None:
    listed, value = many()
    listed.loc[0, "customer_id"] = "=1+1"
    value = value.rename({"C00000": "=1+1"})
    listed.loc[0, "churn_probability"] = 0.99
    found = plan(listed, shop, Decision((MAIL,), control_share=0.3), value)
    table = campaign_list(found, listed)
    assert list(table.columns) == list(CAMPAIGN_COLUMNS)
    assert table["rank"].tolist() == list(range(1, len(table) + 1))
    write_list(table, tmp_path / "contacts.csv")
    later = pd.DataFrame(
        {"customer_id": listed["customer_id"], "timestamp": "2024-05-01", "amount": 10.0}
    )
    after = later.head(800).assign(timestamp="2024-07-20")
    pd.concat([later, after]).to_csv(tmp_path / "transactions.csv", index=False)
    ledger = open_ledger(
        SourceSettings(url="."), {}, PolicySettings(), PurchaseSettings(), base=tmp_path,
        quarantine=tmp_path / "quarantine",
    )  # fmt: skip
    (campaign,) = campaigns(ledger)
    assert campaign.name == "mail-2024-07-01"
    assert campaign_kind(campaign.name) == "mail"
    assert campaign.treated == (table["arm"] == "treatment").sum()
    assert campaign.control == (table["arm"] == "control").sum()
    assert campaign.cost == pytest.approx(table["cost"].sum())
    outcomes = campaign_outcomes(ledger, campaign.name, window_days=19, horizon_days=19)
    assert len(outcomes) == len(table)
    by_id = table.set_index("customer_id")["arm"].rename({"=1+1": "'=1+1"})
    assert ((outcomes["treated"] == 1) == (by_id.reindex(outcomes.index) == "treatment")).all()
