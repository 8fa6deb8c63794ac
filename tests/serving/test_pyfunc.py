"""A logged model brings its own code along and runs that, whatever else is installed."""

from __future__ import annotations

import datetime as dt
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.exceptions import MlflowException
from mlflow.pyfunc import scoring_server

import models
import serving.pyfunc
from models import artifact
from models.calendar import Calendar
from models.churn import ChurnModel
from models.clv import CustomerLifetimeValue
from models.inputs import Feature
from models.spend import GammaGamma
from models.tiers import Tiers
from serving.pyfunc import CLV_PARAMS, RegularsModel, import_source, source_digest
from training.signature import signature

ARTIFACT = '''
"""Reads any folder; knows which version it is."""
import json
import pandas as pd
from .base import VERSION, ModelError

CARD = "card.json"

class Model:
    kind = "churn"
    text_columns = ()

    def predict(self, frame):
        if (frame["x"] < 0).any():
            raise ModelError("x must not be negative")
        return pd.DataFrame({"y": frame["x"] + VERSION}, index=frame.index)

def load(folder):
    from . import late
    json.loads((folder / CARD).read_text())
    return Model()
'''


@pytest.fixture(autouse=True)
def _no_sources_left() -> Iterator[None]:
    yield
    for name in [name for name in sys.modules if name.startswith("_regulars_")]:
        del sys.modules[name]


def source(folder: Path, version: int) -> Path:
    """Write a source tree like that of `models`, whose answer is its version."""
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text('"""The models."""\n')
    (folder / "base.py").write_text(
        f"VERSION = {version}\n\nclass ModelError(ValueError):\n    pass\n"
    )
    (folder / "artifact.py").write_text(ARTIFACT)
    (folder / "late.py").write_text("from .base import VERSION\n")
    return folder


def saved(folder: Path) -> Path:
    folder.mkdir()
    (folder / "card.json").write_text("{}")
    return folder


def logged(tmp_path: Path, version: int) -> str:
    """Save a models-from-code model and return its folder."""
    path = tmp_path / f"logged-{version}"
    mlflow.pyfunc.save_model(
        str(path),
        python_model=str(Path(__file__).parents[2] / "serving" / "pyfunc.py"),
        artifacts={
            "model": str(saved(tmp_path / f"model-{version}")),
            "code": str(source(tmp_path / f"source-{version}" / "models", version)),
        },
        pip_requirements=["mlflow"],
    )
    return str(path)


def test_two_versions_in_one_process_each_run_their_own_code(tmp_path: Path) -> None:
    one, two = (mlflow.pyfunc.load_model(logged(tmp_path, version)) for version in (1, 2))
    frame = pd.DataFrame({"x": [10.0]})
    assert one.predict(frame)["y"].item() == 11
    assert two.predict(frame)["y"].item() == 12
    assert one.predict(frame)["y"].item() == 11


def test_loading_leaves_the_package_models_of_the_application_alone(tmp_path: Path) -> None:
    import models

    before = {name: module for name, module in sys.modules.items() if name.startswith("models")}
    path = list(sys.path)
    mlflow.pyfunc.load_model(logged(tmp_path, 3))
    after = {name: module for name, module in sys.modules.items() if name.startswith("models")}
    assert after == before
    assert sys.modules["models"] is models
    assert sys.path == path


def test_index_order_and_whole_numbers_are_kept(tmp_path: Path) -> None:
    model = mlflow.pyfunc.load_model(logged(tmp_path, 1))
    frame = pd.DataFrame({"x": np.array([5, 3], dtype="int32")}, index=["b", "a"])
    answer = model.predict(frame)
    assert list(answer.index) == ["b", "a"]
    assert list(answer["y"]) == [6.0, 4.0]
    assert frame["x"].dtype == "int32"


def test_a_refused_value_is_an_error_that_a_server_answers_with_400(tmp_path: Path) -> None:
    model = mlflow.pyfunc.load_model(logged(tmp_path, 1))
    with pytest.raises(MlflowException, match="x must not be negative") as caught:
        model.predict(pd.DataFrame({"x": [-1.0]}))
    assert caught.value.get_http_status_code() == 400
    with pytest.raises(MlflowException, match="Column x must hold numbers"):
        model.predict(pd.DataFrame({"x": ["high"]}))


def test_the_name_follows_the_content_not_the_place_or_the_caches(tmp_path: Path) -> None:
    one = source(tmp_path / "here", 1)
    same = source(tmp_path / "there", 1)
    (same / "__pycache__").mkdir()
    (same / "__pycache__" / "base.cpython-311.pyc").write_bytes(b"old")
    other = source(tmp_path / "other", 2)
    assert source_digest(one) == source_digest(same) != source_digest(other)
    assert import_source(one) is import_source(same)
    assert import_source(one).__name__ == f"_regulars_{source_digest(one)[:16]}"


def test_a_source_that_moved_still_imports_what_it_has_not_yet(tmp_path: Path) -> None:
    first = source(tmp_path / "download", 1)
    package = import_source(first)
    for file in first.iterdir():
        file.unlink()
    again = import_source(source(tmp_path / "second", 1))
    assert again is package
    late = __import__(f"{package.__name__}.late", fromlist=["VERSION"])
    assert late.VERSION == 1


def test_a_missing_source_is_named(tmp_path: Path) -> None:
    with pytest.raises(MlflowException, match=r"source code is missing: .*__init__\.py"):
        import_source(tmp_path)


def test_a_broken_source_leaves_nothing_behind(tmp_path: Path) -> None:
    code = source(tmp_path / "code", 1)
    (code / "__init__.py").write_text("raise RuntimeError('broken')")
    before = set(sys.modules)  # other tests of this process may have loaded models
    with pytest.raises(RuntimeError, match="broken"):
        import_source(code)
    assert not [name for name in set(sys.modules) - before if name.startswith("_regulars_")]


def test_importing_the_module_sets_no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mlflow.models.model, "__mlflow_model__", None)
    importlib.reload(serving.pyfunc)
    assert mlflow.models.model.__mlflow_model__ is None


SCRIPT = """
import importlib.abc, sys

FORBIDDEN = {"pymc", "pytensor", "nutpie", "arviz"}

class Refuse(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in FORBIDDEN:
            raise ImportError(f"{name} is forbidden here")

sys.meta_path.insert(0, Refuse())
import models
assert models.OWNER == "the application"
import mlflow, pandas as pd
mlflow.set_tracking_uri(sys.argv[1])
for name in ("regulars-churn", "regulars-clv"):
    model = mlflow.pyfunc.load_model(f"models:/{name}@champion")
    frame = pd.read_parquet(f"{name}.parquet")
    model.predict(frame).to_parquet(f"{name}-answer.parquet")
import models.artifact
assert models.artifact.OWNER == "the application"
assert not FORBIDDEN & set(sys.modules), FORBIDDEN & set(sys.modules)
"""


def test_both_models_load_in_a_fresh_process_without_pymc_beside_another_package_models(
    full_registry: Any,
    features: pd.DataFrame,
    rfm: pd.DataFrame,
    churn_model: Any,
    clv_model: Any,
    tmp_path: Path,
) -> None:
    for name in ("__init__", "artifact", "churn", "clv", "base"):
        path = tmp_path / "models" / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text("OWNER = 'the application'\n")
    (tmp_path / "score.py").write_text(SCRIPT)
    features.to_parquet(tmp_path / "regulars-churn.parquet")
    rfm.to_parquet(tmp_path / "regulars-clv.parquet")
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "score.py", full_registry.uri],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    churn = pd.read_parquet(tmp_path / "regulars-churn-answer.parquet")
    pd.testing.assert_frame_equal(churn, churn_model.predict(features))
    clv = pd.read_parquet(tmp_path / "regulars-clv-answer.parquet")
    expected = clv_model.predict(rfm, margin=0.4)
    pd.testing.assert_frame_equal(clv.drop(columns="value_tier"), expected)
    assert set(clv["value_tier"]) <= {"low", "medium", "high"}


def test_the_settings_of_a_clv_prediction_can_be_changed(
    full_registry: Any, rfm: pd.DataFrame, clv_model: Any
) -> None:
    folder = full_registry.folder("regulars-clv")
    model = mlflow.pyfunc.load_model(str(folder))
    params = {"horizon_days": 90.0, "annual_discount_rate": 0.0, "margin": 1.0, "interval": 0.5}
    answer = model.predict(rfm, params=params)
    pd.testing.assert_frame_equal(
        answer.drop(columns="value_tier"), clv_model.predict(rfm, **params)
    )
    with pytest.raises(MlflowException, match="horizon_days is -1"):
        model.predict(rfm, params={"horizon_days": -1.0})
    with pytest.raises(MlflowException, match="lost"):
        model.unwrap_python_model().predict(None, rfm, {"lost": 1.0})
    assert {*params, "cutoff", "quantiles"} == set(CLV_PARAMS)


def test_churn_reads_categories_as_text_and_speaks_other_languages(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    days = rng.gamma(2.0, 40.0, 400).round() + 1
    X = pd.DataFrame(
        {"days_since_last": days, "channel": rng.choice(["shop", "web", None], 400)},
        index=pd.Index(np.arange(400).astype(str), name="customer_id"),
    )
    y = pd.Series((rng.random(400) < 1 / (1 + np.exp(3 - days / 40))).astype(float), X.index)
    model = ChurnModel.fit(
        X, y, X, y, horizon_days=30, catalogue=[Feature("days_since_last", "lateness", 1)]
    )
    folder = tmp_path / "logged"
    mlflow.pyfunc.save_model(
        str(folder),
        python_model=str(Path(serving.pyfunc.__file__)),
        artifacts={
            "model": str(artifact.save(model, tmp_path / "model")),
            "code": str(Path(models.__file__).parent),
        },
        signature=signature(X[model.feature_names], model.predict(X), {"language": "en"}),
        input_example=(X[model.feature_names].head(2), {"language": "en"}),
        pip_requirements=["mlflow"],
    )
    loaded = mlflow.pyfunc.load_model(str(folder))
    some = X.assign(channel=X["channel"].replace("shop", "never seen"))
    pd.testing.assert_frame_equal(loaded.predict(X), model.predict(X))
    pd.testing.assert_frame_equal(loaded.predict(some), model.predict(some))
    chinese = loaded.predict(X, params={"language": "zh"})
    pd.testing.assert_frame_equal(chinese, model.predict(X, language="zh"))
    assert not chinese["reason_1"].equals(model.predict(X)["reason_1"])
    with pytest.raises(MlflowException, match="no texts in the language 'tlh'"):
        loaded.predict(X, params={"language": "tlh"})


def test_quantiles_are_asked_for_by_text(full_registry: Any, rfm: pd.DataFrame) -> None:
    model = mlflow.pyfunc.load_model(str(full_registry.folder("regulars-clv")))
    plain = model.predict(rfm)
    answer = model.predict(rfm, params={"quantiles": "0.1, 0.9", "interval": 0.8})
    more = ["purchases_q0.1", "purchases_q0.9", "clv_q0.1", "clv_q0.9"]
    assert set(answer.columns) == {*plain.columns, *more}
    np.testing.assert_allclose(answer["clv_q0.9"], answer["clv_high"], rtol=1e-9)
    np.testing.assert_allclose(answer["purchases_q0.1"], answer["purchases_low"], rtol=1e-9)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"quantiles": "0.1;0.9"}, "quantiles is '0.1;0.9': it must be text such as"),
        ({"quantiles": "1.5"}, r"the level 1\.5"),
        ({"cutoff": "next week"}, "cutoff is 'next week': it must be a date"),
        ({"cutoff": ""}, "cutoff is '': it must be a date"),
        ({"interval": 2.0}, "interval is 2"),
    ],
)
def test_parameters_that_mean_nothing_are_refused_with_the_reason(
    full_registry: Any, rfm: pd.DataFrame, params: dict[str, Any], message: str
) -> None:
    model = mlflow.pyfunc.load_model(str(full_registry.folder("regulars-clv")))
    with pytest.raises(MlflowException, match=message) as caught:
        model.predict(rfm, params=params)
    assert caught.value.get_http_status_code() == 400
    with pytest.raises(MlflowException, match="margin is 'much': it must be a number"):
        model.unwrap_python_model().predict(None, rfm, {"margin": "much"})


def test_a_model_server_answers_json_with_parameters(full_registry: Any, rfm: pd.DataFrame) -> None:
    model = mlflow.pyfunc.load_model(str(full_registry.folder("regulars-clv")))
    some = rfm[["frequency", "recency", "T", "monetary_value"]].head(2).astype(object)
    some.loc["nobody"] = [0.0, 0.0, 0.0, None]
    asked = {
        "dataframe_split": some.to_dict(orient="split"),
        "params": {"quantiles": "0.5", "cutoff": "2024-07-01"},
    }
    answer = scoring_server.invocations(
        json.dumps(asked), "application/json", model, model.metadata.get_input_schema()
    )
    assert answer.status == 200
    rows = json.loads(answer.response)["predictions"]
    expected = model.predict(rfm.head(2), params={"quantiles": "0.5"})
    assert [row["clv"] for row in rows[:2]] == pytest.approx(list(expected["clv"]))
    assert rows[0]["clv_q0.5"] == pytest.approx(expected["clv_q0.5"].iloc[0])
    assert np.isnan(rows[2]["p_alive"])
    assert rows[2]["clv"] > 0.0


def test_a_row_without_a_purchase_is_a_new_customer(
    clv_folder: Path, rfm: pd.DataFrame, clv_model: Any
) -> None:
    model = RegularsModel()
    model.load_context(context(clv_folder))
    some = rfm.head(4).copy()
    own = ["frequency", "recency", "T"]
    some.loc[some.index[[0, 2]], own] = 0.0
    some.loc[some.index[[0, 2]], ["monetary_value", "first_value"]] = np.nan
    answer = model.predict(None, some, {"quantiles": "0.9"})
    pd.testing.assert_index_equal(answer.index, some.index)
    new = clv_model.predict_new_customers(some.iloc[[0, 2]], margin=0.4, quantiles=(0.9,))
    assert answer["p_alive"].isna().tolist() == [True, False, True, False]
    pd.testing.assert_frame_equal(
        answer.iloc[[0, 2]].drop(columns=["p_alive", "value_tier"]), new.drop(columns="p_alive")
    )
    others = clv_model.predict(some.iloc[[1, 3]], margin=0.4, quantiles=(0.9,))
    pd.testing.assert_frame_equal(answer.iloc[[1, 3]].drop(columns="value_tier"), others)
    nobody = model.predict(None, some.iloc[[0, 2]])
    pd.testing.assert_series_equal(nobody["clv"], new["clv"])


def test_a_calendar_goes_by_the_cutoff(clv_model: Any, rfm: pd.DataFrame, tmp_path: Path) -> None:
    seasons = Calendar.of(1.0 + 0.5 * np.sin(np.arange(52) / 52 * 2 * np.pi))
    seasonal = CustomerLifetimeValue(clv_model.purchases, clv_model.spend, seasons)
    extra = {"value_tiers": Tiers(50.0, 200.0).to_dict(), "cutoff": "2024-07-01"}
    model = RegularsModel()
    model.load_context(context(artifact.save(seasonal, tmp_path / "model", extra=extra)))
    for params, day in (
        ({}, dt.date(2024, 7, 1)),
        ({"cutoff": "2025-01-31"}, dt.date(2025, 1, 31)),
    ):
        answer = model.predict(None, rfm, {"horizon_days": 60.0, **params})
        expected = seasonal.predict(rfm, 60.0, cutoff=day)
        pd.testing.assert_series_equal(answer["clv"], expected["clv"])
    unaware = RegularsModel()
    del extra["cutoff"]
    unaware.load_context(context(artifact.save(seasonal, tmp_path / "unaware", extra=extra)))
    with pytest.raises(MlflowException, match="has a calendar, and no cutoff is given"):
        unaware.predict(None, rfm)


def context(folder: Path) -> SimpleNamespace:
    """What MLflow hands to a model that it loads."""
    code = Path(artifact.__file__).parent
    return SimpleNamespace(artifacts={"model": str(folder), "code": str(code)})


def test_without_parameters_the_settings_of_the_card_hold(
    clv_folder: Path, rfm: pd.DataFrame, clv_model: Any
) -> None:
    model = RegularsModel()
    model.load_context(context(clv_folder))
    answer = model.predict(None, rfm)
    pd.testing.assert_series_equal(answer["clv"], clv_model.predict(rfm, margin=0.4)["clv"])


def test_a_clv_model_without_cut_points_of_its_tiers_is_refused(
    clv_model: Any, tmp_path: Path
) -> None:
    folder = artifact.save(clv_model, tmp_path / "model")
    with pytest.raises(MlflowException, match=r"card\.json: extra\.value_tiers is missing"):
        RegularsModel().load_context(context(folder))


def test_a_clv_model_of_all_purchases_asks_for_the_first_one(
    clv_model: Any, rfm: pd.DataFrame, tmp_path: Path
) -> None:
    spend = GammaGamma.from_parameters(p=6.25, q=3.74, gamma=15.44, spend_of="all_purchases")
    of_all = CustomerLifetimeValue(clv_model.purchases, spend)
    extra = {"value_tiers": Tiers(50.0, 200.0).to_dict()}
    folder = artifact.save(of_all, tmp_path / "model", extra=extra)
    assert artifact.read_card(folder)["input_columns"][-1] == "first_value"
    model = RegularsModel()
    model.load_context(context(folder))
    answer = model.predict(None, rfm)
    pd.testing.assert_series_equal(answer["clv"], of_all.predict(rfm)["clv"])
    with pytest.raises(MlflowException, match="no column 'first_value'"):
        model.predict(None, rfm.drop(columns="first_value"))
