"""The scored list: one row for every id asked for, in the order asked."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.catalogue import CATALOGUE
from features.errors import InputError
from features.ledger import Ledger
from features.progress import Task, reporting
from models.churn import ChurnModel
from models.clv import CustomerLifetimeValue
from serving.batch import read_list, write_list
from serving.registry import RegisteredModel
from serving.scorer import SCORED_DTYPES, default_cutoff, score

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
    assert everyone[["action", "expected_value"]].isna().all(axis=None)


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
