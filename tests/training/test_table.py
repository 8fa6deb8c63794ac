"""Training on a table with a given label: honest forecasts, and the same whatever the order."""

import datetime as dt
import json

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from features.customer_table import customer_table
from features.errors import InputError, NotEnoughDataError
from models import artifact
from models.scorers import Recipe
from training.metrics import brier, ece, roc_auc
from training.signature import usual_rows
from training.table import CANDIDATES, train_table
from training.table_folds import (
    FOLDS,
    fit_table_model,
    forecast_out_of_fold,
    stratified_folds,
)
from training.tracking import Tracking


def contracts(n=600, seed=0):
    """Customers whose chance of leaving is known: it rises with the fee, and by plan."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "customerID": [f"SECRET-{i:05d}" for i in range(n)],
            "tenure": rng.integers(1, 72, n),
            "Monthly fee": rng.gamma(4.0, 10.0, n).round(2),
            "Plan": rng.choice(["month to month", "one year"], n),
            "noise": rng.normal(size=n),
        }
    )
    chance = expit(-3.0 + 0.05 * frame["Monthly fee"] + (frame["Plan"] == "month to month"))
    frame["Left?"] = np.where(rng.random(n) < chance, "Yes", "No")
    frame.loc[::40, "Monthly fee"] = np.nan
    return frame, chance.to_numpy()


def table(frame):
    return customer_table(frame, label="Left?").sorted()


def test_folds_have_the_same_size_and_share():
    y = (np.arange(203) % 7 == 0).astype(float)
    folds = stratified_folds(y, seed=3)
    sizes = [np.bincount(folds[y == outcome], minlength=FOLDS) for outcome in (0, 1)]
    assert all(np.ptp(size) <= 1 for size in sizes)
    assert np.ptp(np.bincount(folds)) <= 1
    assert not np.array_equal(folds, stratified_folds(y, seed=4))


def test_forecasts_out_of_fold_are_close_to_the_truth():
    frame, chance = contracts(2000)
    found = forecast_out_of_fold(table(frame), CANDIDATES, seed=0, threads=1)
    y = (frame["Left?"] == "Yes").to_numpy(float)
    for each in found.values():
        assert roc_auc(y, each.p) > roc_auc(y, chance) - 0.025
        assert brier(y, each.p) < brier(y, chance) + 0.006
        assert ece(y, each.p) < 0.045


def test_nothing_to_learn_gives_the_base_rate():
    frame, _ = contracts(1000)
    rng = np.random.default_rng(5)
    frame["Left?"] = rng.choice(["Yes", "No"], len(frame), p=[0.3, 0.7])
    found = forecast_out_of_fold(table(frame), {"trees": Recipe("lightgbm")}, seed=0, threads=1)
    assert abs(roc_auc((frame["Left?"] == "Yes").astype(float), found["trees"].p) - 0.5) < 0.06
    assert np.std(found["trees"].p) < 0.06


def test_same_bytes_whatever_the_order_of_rows_and_columns(tmp_path):
    frame, _ = contracts(400)
    mixed = frame.sample(frac=1, random_state=2)[frame.columns[::-1]]
    folders = []
    for name, given in (("a", frame), ("b", mixed)):
        found = table(given)
        forecast = forecast_out_of_fold(found, {"blend": CANDIDATES["blend"]}, seed=1, threads=1)
        model = fit_table_model(
            found, CANDIDATES["blend"], forecast["blend"], {}, seed=1, threads=2
        )
        folders.append(artifact.save(model, tmp_path / name))
    one, two = ({p.name: p.read_bytes() for p in folder.iterdir()} for folder in folders)
    assert one == two


def test_usual_rows_are_nobodys():
    frame, _ = contracts(200)
    found = usual_rows(table(frame).features, ["Plan", "tenure"])
    assert list(found.columns) == ["Plan", "tenure"]
    assert found["Plan"].isin(["month to month", "one year"]).all()
    assert found["tenure"].tolist() == [frame["tenure"].median(), frame["tenure"].quantile(0.25)]


def test_too_few_of_one_outcome(tmp_path):
    frame, _ = contracts(300)
    frame["Left?"] = ["Yes"] * 20 + ["No"] * 280
    store = Tracking(f"sqlite:///{tmp_path / 'mlflow.db'}", "x")
    with pytest.raises(NotEnoughDataError, match="Only 20 of 300"):
        train_table(frame, label="Left?", tracking=store)
    with pytest.raises(InputError, match="no name"):
        train_table(frame, label="Left?", name=" ", tracking=store)
    assert not (tmp_path / "mlflow.db").exists()


@pytest.mark.slow
def test_training_registers_and_compares_versions(tmp_path):
    store = Tracking(f"sqlite:///{tmp_path / 'mlflow.db'}", "x")
    frame, _ = contracts(400)

    def train(given, **options):
        return train_table(given, label="Left?", name="own", tracking=store, **options)

    first = train(frame)
    assert first.promoted
    later = train(contracts(400, seed=3)[0], as_of=dt.date(2200, 1, 1))
    assert "judged as it is" in later.reason  # the champion was trained before that day

    version = store.alias("own", "champion")
    assert str(version.version) == (later.version if later.promoted else first.version)
    mine = f"tags.training_id = '{first.training_id}'"
    runs = store.client.search_runs([store.experiment_id], mine)
    assert {run.data.tags["candidate"] for run in runs} == {"base_rate", *CANDIDATES}
    assert json.loads(version.tags["label"]) == {"column": "Left?", "churned": "Yes"}
    written = [p for p in tmp_path.rglob("*") if p.is_file()]
    assert written
    assert not [p for p in written if b"SECRET-" in p.read_bytes()]
