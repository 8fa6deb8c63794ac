"""The scored list: one row for every id asked for, in the order asked."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
import pytest

from features.catalogue import CATALOGUE
from features.errors import InputError
from features.ledger import Ledger
from features.progress import Task, reporting
from models.churn import ChurnModel
from models.clv import CustomerLifetimeValue
from models.decision import Offer, effect_value
from serving.batch import write_list
from serving.id_list import read_list
from serving.offers import Decision, PlannedOffer
from serving.registry import RegisteredModel
from serving.scorer import SCORED_DTYPES, default_cutoff, score, score_and_plan

Models = tuple[RegisteredModel, RegisteredModel]

COLUMNS = [
    "customer_id", "as_of", "status", "churn_probability", "churn_low", "churn_high", "risk_tier",
    "p_alive", "expected_purchases", "expected_spend", "clv", "clv_low", "clv_high", "value_tier",
    "next_purchase_date", "reason_1", "reason_2", "reason_3", "action", "expected_value",
    "churn_model", "clv_model",
]  # fmt: skip
PREDICTED = [name for name in COLUMNS if name not in
             ("customer_id", "as_of", "status", "churn_model", "clv_model")]  # fmt: skip


@pytest.fixture(scope="module")
def everyone(ledger: Ledger, registered: Models) -> pd.DataFrame:
    """The scored list of all customers at the default cutoff."""
    return score(ledger, None, *registered)


def test_columns_order_and_types_are_the_contract(everyone: pd.DataFrame) -> None:
    assert list(everyone.columns) == COLUMNS == list(SCORED_DTYPES)
    assert {name: str(dtype) for name, dtype in everyone.dtypes.items()} == dict(SCORED_DTYPES)
    assert isinstance(everyone.index, pd.RangeIndex)


def test_by_default_everyone_with_a_transaction_sorted_by_id(
    everyone: pd.DataFrame, ledger: Ledger
) -> None:
    bought = sorted(set(ledger.transactions.to_pyarrow()["customer_id"].to_pylist()))
    assert list(everyone["customer_id"]) == bought
    status = everyone.set_index("customer_id")["status"]
    assert status["only-returns"] == "no_history"
    assert (status.drop("only-returns") == "scored").all()


def test_the_default_cutoff_is_the_day_after_the_last(
    everyone: pd.DataFrame, ledger: Ledger
) -> None:
    assert default_cutoff(ledger) == dt.date(2024, 7, 1)
    assert (everyone["as_of"] == pd.Timestamp(2024, 7, 1)).all()


def test_the_numbers_are_those_of_the_models(
    everyone: pd.DataFrame,
    features: pd.DataFrame,
    rfm: pd.DataFrame,
    churn_model: ChurnModel,
    clv_model: CustomerLifetimeValue,
) -> None:
    scored = everyone[everyone["status"] == "scored"].set_index("customer_id")
    risk = churn_model.predict(features)
    for name in ("churn_probability", "churn_low", "churn_high"):
        np.testing.assert_array_equal(scored[name], risk[name])
    assert list(scored["risk_tier"]) == list(risk["risk_tier"])
    assert list(scored["reason_1"].fillna("")) == list(risk["reason_1"])
    value = clv_model.predict(rfm, horizon_days=365, annual_discount_rate=0.1, margin=0.4)
    for name in ("p_alive", "expected_purchases", "expected_spend", "clv", "clv_low", "clv_high"):
        np.testing.assert_array_equal(scored[name], value[name])
    tier = np.select([value["clv"] > 200, value["clv"] > 50], ["high", "medium"], "low")
    assert list(scored["value_tier"]) == list(tier)
    wait = scored["next_purchase_date"] - pd.Timestamp(2024, 7, 1)
    days = value["next_purchase_days"]
    assert list(wait.dt.days.dropna()) == list(np.floor(days.dropna()))


def test_every_id_comes_back_in_the_order_asked(
    ledger: Ledger,
    registered: Models,
    everyone: pd.DataFrame,
    clv_model: CustomerLifetimeValue,
) -> None:
    asked = ["10007", "nobody", "only-returns", "10003", "visitor", "=1+1", "late"]
    answer = score(ledger, None, *registered, ids=asked)
    assert list(answer["customer_id"]) == asked
    assert list(answer["status"]) == [
        "scored", "unknown_customer", "no_history", "scored", "no_history", "unknown_customer",
        "scored",
    ]  # fmt: skip
    unscored = answer[answer["status"] != "scored"].set_index("customer_id")
    of_new = ["expected_purchases", "expected_spend", "clv", "clv_low", "clv_high"]
    others = [name for name in PREDICTED if name not in of_new]
    assert unscored[others].isna().all(axis=None)
    assert unscored.loc[["nobody", "=1+1"], of_new].isna().all(axis=None)
    # What follows if they make their first purchase today.
    new = clv_model.predict_new_customers(pd.DataFrame(index=["visitor"]), margin=0.4)
    for name in ("visitor", "only-returns"):
        np.testing.assert_allclose(unscored.loc[name, of_new].astype(float), new.iloc[0][of_new])
    assert (answer["churn_model"] == "regulars-churn/1").all()
    assert (answer["clv_model"] == "regulars-clv/1").all()
    assert {name: str(dtype) for name, dtype in answer.dtypes.items()} == dict(SCORED_DTYPES)
    # What a customer gets does not depend on who else is in the list.
    known = answer[answer["status"] == "scored"].sort_values("customer_id", ignore_index=True)
    same = everyone[everyone["customer_id"].isin(known["customer_id"])].reset_index(drop=True)
    pd.testing.assert_frame_equal(known, same)


def test_a_first_purchase_at_or_after_the_cutoff_is_too_new(
    ledger: Ledger, registered: Models
) -> None:
    asked = ["late", "10000", "only-returns", "nobody"]
    on_the_day = score(ledger, dt.date(2024, 6, 20), *registered, ids=asked)
    assert list(on_the_day["status"]) == ["too_new", "scored", "no_history", "unknown_customer"]
    day_after = score(ledger, dt.date(2024, 6, 21), *registered, ids=asked)
    assert list(day_after["status"]) == ["scored", "scored", "no_history", "unknown_customer"]


def test_a_list_of_strangers_is_answered(ledger: Ledger, registered: Models) -> None:
    answer = score(ledger, None, *registered, ids=["x", "y"])
    assert list(answer["status"]) == ["unknown_customer"] * 2
    assert {name: str(dtype) for name, dtype in answer.dtypes.items()} == dict(SCORED_DTYPES)


def test_probabilities_and_ranges_make_sense(everyone: pd.DataFrame) -> None:
    scored = everyone[everyone["status"] == "scored"]
    assert scored["churn_probability"].between(0, 1).all()
    assert (scored["churn_low"] <= scored["churn_probability"]).all()
    assert (scored["churn_probability"] <= scored["churn_high"]).all()
    assert scored["p_alive"].between(0, 1).all()
    assert (scored["clv_low"] <= scored["clv_high"]).all()
    assert np.isfinite(scored[["clv", "expected_spend", "expected_purchases"]]).all(axis=None)
    assert set(scored["risk_tier"]) | set(scored["value_tier"]) <= {"low", "medium", "high"}
    assert not (scored[["reason_1", "reason_2", "reason_3"]] == "").any(axis=None)
    assert everyone[["action", "expected_value"]].isna().all(axis=None)  # nothing was decided


def test_a_decision_fills_action_and_expected_value(
    ledger: Ledger, registered: Models, everyone: pd.DataFrame, features: pd.DataFrame
) -> None:
    offer = PlannedOffer("gift", Offer(1.0, 5.0, 0.3))
    decision = Decision((offer,), control_share=0.25, margin=0.4)
    asked = [*everyone["customer_id"], "visitor", "nobody"]
    listed, plan = score_and_plan(ledger, None, *registered, ids=asked, decision=decision)
    assert {name: str(dtype) for name, dtype in listed.dtypes.items()} == dict(SCORED_DTYPES)
    others = [name for name in COLUMNS if name not in ("action", "expected_value")]
    pd.testing.assert_frame_equal(listed[others].iloc[:-2], everyone[others])
    for name in ("customer_id", "action", "expected_value"):
        assert listed[name].equals(plan[name])
    scored = listed["status"] == "scored"
    assert listed.loc[~scored, ["action", "expected_value"]].isna().all(axis=None)
    assert set(listed.loc[scored, "action"]) == {"gift", "control:gift", "none"}
    # The value is that of training: what a customer who stays brings, times the margin.
    worth = 0.4 * features["value_if_alive"].reindex(plan["customer_id"]).to_numpy()
    np.testing.assert_allclose(plan["value_if_kept"][scored], worth[scored])
    sent = (listed["action"] == "gift").to_numpy()
    # Nobody is saved who is no longer there.
    p = listed["churn_probability"]
    saved = 0.3 * np.fmin(p, listed["p_alive"])
    np.testing.assert_allclose(plan.loc[sent, "effect"], saved[sent])
    np.testing.assert_allclose(
        listed.loc[sent, "expected_value"],
        effect_value(plan.loc[sent, "effect"], p[sent], worth[sent], offer.offer),
    )
    assert (listed.loc[scored & ~sent, "expected_value"] == 0.0).all()


class Uplift:
    """An uplift model that has learned of one kind of campaign."""

    label = "regulars-uplift/1"
    card = MappingProxyType({"kind": "uplift"})

    def predict(self, frame: pd.DataFrame) -> pd.DataFrame:
        tau = np.where(frame["days_since_last"] < 60, 0.2, -0.1)
        return pd.DataFrame({"uplift_voucher": tau, "stay_voucher": 0.5}, index=frame.index)


def test_a_learned_effect_is_read_from_its_model(ledger: Ledger, registered: Models) -> None:
    offer = PlannedOffer("gift", Offer(1.0, 5.0), "uplift", "voucher")
    decision = Decision((offer,), control_share=0.0)
    models: Any = {"gift": Uplift()}
    listed, plan = score_and_plan(ledger, None, *registered, decision=decision, uplift=models)
    assert set(plan["effect"].dropna()) == {0.2, -0.1}
    assert (plan.loc[listed["action"] == "gift", "effect"] == 0.2).all()
    with pytest.raises(InputError, match="regulars train uplift"):
        score_and_plan(ledger, None, *registered, decision=decision)
    other = Decision((replace(offer, campaign="call"),))
    with pytest.raises(InputError, match="knows no campaign of the kind call") as caught:
        score_and_plan(ledger, None, *registered, decision=other, uplift=models)
    assert "voucher" in caught.value.hint


@pytest.mark.parametrize("name", ["list.parquet", "list.csv", "list.csv.gz"])
def test_the_list_survives_a_file_and_can_be_asked_for_again(
    everyone: pd.DataFrame, tmp_path: Path, name: str
) -> None:
    path = write_list(everyone, tmp_path / name)
    assert read_list(path) == list(everyone["customer_id"])
    if name == "list.parquet":
        pd.testing.assert_frame_equal(pd.read_parquet(path), everyone)


@pytest.mark.parametrize(
    ("cutoff", "message"),
    [
        (dt.date(2024, 7, 2), "2024-07-02 is after the end of the data"),
        (dt.date(2023, 1, 1), "Nothing is known at the cutoff 2023-01-01"),
        (dt.date(1999, 1, 1), "Nothing is known at the cutoff 1999-01-01"),
    ],
)
def test_a_cutoff_outside_the_data_is_refused(
    ledger: Ledger, registered: Models, cutoff: dt.date, message: str
) -> None:
    with pytest.raises(InputError, match=message) as caught:
        score(ledger, cutoff, *registered)
    assert "2024-07-01" in caught.value.hint


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([], "is empty"),
        (["a", ""], "empty id in row 2"),
        (["a", "b", "a"], "given more than once: a in rows 1, 3"),
    ],
)
def test_a_broken_list_is_refused(
    ledger: Ledger, registered: Models, ids: list[str], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        score(ledger, None, *registered, ids=ids)


def test_models_in_the_wrong_place_are_refused(ledger: Ledger, registered: Models) -> None:
    churn, clv = registered
    with pytest.raises(InputError, match="regulars-clv/1 is a clv model, not a churn model"):
        score(ledger, None, clv, churn)


def test_a_model_with_another_catalogue_is_refused_with_the_difference(
    ledger: Ledger, registered: Models
) -> None:
    churn, clv = registered
    names = [*churn.card["feature_names"], "moon_phase"]
    other = replace(churn, card={**churn.card, "catalogue_hash": "0", "feature_names": names})
    with pytest.raises(InputError, match=r"not in the catalogue: moon_phase\."):
        score(ledger, None, other, clv)
    other = replace(churn, card={**churn.card, "catalogue_hash": "0"})
    with pytest.raises(InputError, match="definition of at least one feature has changed"):
        score(ledger, None, other, clv)
    assert "moon_phase" not in {feature.name for feature in CATALOGUE}


def test_settings_missing_from_the_card_are_refused(ledger: Ledger, registered: Models) -> None:
    churn, clv = registered
    with pytest.raises(InputError, match="does not say its annual_discount_rate, margin"):
        score(ledger, None, churn, replace(clv, card={**clv.card, "extra": {"horizon_days": 9}}))


class Notes:
    """Keeps what is said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def advance(self, steps: int = 1) -> None:
        del steps

    @contextmanager
    def task(self, description: str, total: int | None) -> Iterator[Task]:
        del description, total
        yield self

    def note(self, message: str) -> None:
        self.said.append(message)


def test_a_cutoff_that_the_model_has_seen_past_is_noted(ledger: Ledger, registered: Models) -> None:
    notes = Notes()
    with reporting(notes):
        score(ledger, dt.date(2024, 2, 1), *registered)
    assert len(notes.said) == 1
    assert "regulars-churn/1 has learned from what happened up to 2024-02-29" in notes.said[0]
    notes = Notes()
    with reporting(notes):
        score(ledger, dt.date(2024, 3, 1), *registered)
    assert notes.said == []


def test_a_customer_changes_tier_because_of_itself(
    everyone: pd.DataFrame, ledger: Ledger, registered: Models, churn_model: ChurnModel
) -> None:
    rows = ledger.transactions.to_pyarrow().to_pandas()
    rows["amount"] = rows["amount"].astype(float)
    # As many customers again, who buy every other day and spend a fortune.
    days = pd.date_range(rows["timestamp"].max() - pd.Timedelta(days=58), periods=30, freq="2D")
    columns = ["customer_id", "timestamp", "amount"]
    crowd = pd.DataFrame(
        [(f"rich-{i:03d}", day, 5000.0) for i in range(300) for day in days], columns=columns
    )
    crowded = Ledger.from_frames(
        pd.concat([rows[columns], crowd]), events=ledger.tables["events"].to_pyarrow().to_pandas()
    )
    alone = everyone[everyone["status"] == "scored"].set_index("customer_id")
    among = score(crowded, None, *registered).set_index("customer_id").loc[alone.index]
    assert len(set(alone["value_tier"])) > 1
    pd.testing.assert_series_equal(among["value_tier"], alone["value_tier"])
    # Some features compare a customer with all others, so a probability may move; a cut may not.
    for scored in (alone, among):
        assert list(churn_model.tiers.assign(scored["churn_probability"])) == list(
            scored["risk_tier"]
        )
    assert (alone["risk_tier"] == among["risk_tier"]).mean() > 0.9
