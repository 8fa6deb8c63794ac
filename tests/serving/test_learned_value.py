"""A CLV model that learned from features is scored like any other."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.catalogue import CATALOGUE
from features.errors import InputError
from features.ledger import Ledger
from features.snapshot import build_snapshot
from features.window import ObservationWindow
from models import artifact
from models.clv import CustomerLifetimeValue
from models.ensemble import StackedLifetimeValue
from models.hybrid import LearnedLifetimeValue
from models.tiers import Tiers
from models.value import TwoPartBtydValue, base_expectation
from serving.registry import RegisteredModel, load
from serving.report import Material, render
from serving.scorer import score

LAST = dt.date(2024, 6, 30)
SETTINGS = {"horizon_days": 365.0, "annual_discount_rate": 0.1, "margin": 0.4}


@pytest.fixture(scope="module")
def learned(ledger: Ledger, clv_model: CustomerLifetimeValue) -> LearnedLifetimeValue:
    """Taught on two cutoffs, with the models of the test shop as a stack below it."""
    stack = StackedLifetimeValue({"one": clv_model})
    found = []
    for cutoff in (dt.date(2023, 10, 1), dt.date(2024, 1, 1)):
        window = ObservationWindow(ledger.first_day, cutoff, horizon_days=90)
        snapshot = build_snapshot(ledger, window)
        assert snapshot.labels is not None
        days = np.full(len(snapshot.rfm), cutoff.toordinal())
        expected = base_expectation(stack, snapshot.rfm, 90)
        found.append((snapshot.features, expected, snapshot.labels, days))
    X, base, labels = (pd.concat([part[i] for part in found]) for i in range(3))
    value = TwoPartBtydValue(CATALOGUE).fit(
        X,
        base,
        labels["future_purchases"],
        labels["future_spend"],
        90,
        groups=np.concatenate([part[3] for part in found]),
    )
    return LearnedLifetimeValue(stack, value)


@pytest.fixture(scope="module")
def registered_value(
    learned: LearnedLifetimeValue,
    registered: tuple[RegisteredModel, RegisteredModel],
    ledger: Ledger,
    tmp_path_factory: pytest.TempPathFactory,
    full_registry,  # type: ignore[no-untyped-def]
) -> RegisteredModel:
    """The learned model in the registry under a name of its own."""
    folder: Path = tmp_path_factory.mktemp("learned") / "model"
    artifact.save(learned, folder, extra={"value_tiers": Tiers(5.0, 50.0).to_dict(), **SETTINGS})
    inputs = frame(ledger)[list(learned.input_columns)].head(3)
    full_registry.add("learned-clv", folder, inputs, params={**SETTINGS, "interval": 0.9})
    return load("learned-clv", tracking_uri=full_registry.uri)


def frame(ledger: Ledger) -> pd.DataFrame:
    """RFM summary and features at the default cutoff."""
    window = ObservationWindow(ledger.first_day, LAST + dt.timedelta(days=1), horizon_days=90)
    snapshot = build_snapshot(ledger, window, labels=False)
    return pd.concat([snapshot.rfm, snapshot.features], axis=1)


def test_the_scored_list_holds_its_figures(
    ledger: Ledger,
    registered: tuple[RegisteredModel, RegisteredModel],
    registered_value: RegisteredModel,
    learned: LearnedLifetimeValue,
) -> None:
    table = score(ledger, None, registered[0], registered_value).set_index("customer_id")
    scored = table[table["status"] == "scored"]
    expected = learned.predict(frame(ledger), **SETTINGS).loc[scored.index]
    for name in ("expected_purchases", "expected_spend", "clv", "clv_low", "clv_high", "p_alive"):
        np.testing.assert_allclose(scored[name], expected[name], rtol=1e-9, err_msg=name)


def test_mlflow_takes_named_columns_and_parameters(
    ledger: Ledger, registered_value: RegisteredModel, learned: LearnedLifetimeValue
) -> None:
    some = frame(ledger).iloc[:6]
    found = registered_value.predict(some.iloc[:, ::-1], horizon_days=90.0, interval=0.5)
    expected = learned.predict(some, **{**SETTINGS, "horizon_days": 90.0}, interval=0.5)
    np.testing.assert_allclose(found["clv_high"], expected["clv_high"], rtol=1e-9)
    assert set(found["value_tier"]) <= {"low", "medium", "high"}


def test_it_is_no_churn_model(ledger: Ledger, registered_value: RegisteredModel) -> None:
    with pytest.raises(InputError, match="is a clv_learned model, not a churn model"):
        score(ledger, None, registered_value, replace(registered_value))


def test_the_report_takes_it(
    ledger: Ledger,
    registered: tuple[RegisteredModel, RegisteredModel],
    registered_value: RegisteredModel,
) -> None:
    churn = registered[0]
    scored = score(ledger, None, churn, registered_value)
    page = render(Material(scored, churn, registered_value, ledger.quality.to_dict()))
    assert registered_value.label in page
