"""A small shop, models fitted on it, and a registry that holds them."""

from __future__ import annotations

import datetime as dt
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import models
from features.catalogue import CATALOGUE, catalogue_hash
from features.ledger import Ledger
from features.snapshot import build_snapshot
from features.window import ObservationWindow
from models import artifact
from models.btyd import ModifiedBetaGeoNBD
from models.btyd.features import btyd_features
from models.churn import ChurnModel
from models.clv import CustomerLifetimeValue
from models.spend import GammaGamma
from models.tiers import Tiers
from serving.registry import RegisteredModel, load
from training.signature import signature
from training.tracking import Tracking

HORIZON = 90
CLV_SETTINGS = {"horizon_days": 365, "annual_discount_rate": 0.1, "margin": 0.4}
FIRST_DAY = dt.date(2023, 1, 1)
LAST_DAY = dt.date(2024, 6, 30)
PYFUNC = Path(__file__).parents[2] / "serving" / "pyfunc.py"


@pytest.fixture(scope="session")
def ledger() -> Ledger:
    """300 customers over 18 months, and one of each kind that cannot be scored."""
    rng = np.random.default_rng(20240630)
    rows: list[tuple[str, dt.datetime, float]] = []
    days = (LAST_DAY - FIRST_DAY).days
    for i in range(300):
        day = 0.0 if i == 0 else rng.uniform(0, days - 10)
        gone = day + rng.exponential(300)
        pace = rng.gamma(2.0, 15.0)
        while day < min(gone, days):
            at = dt.datetime.combine(FIRST_DAY, dt.time(12)) + dt.timedelta(days=int(day))
            rows.append((str(10_000 + i), at, round(float(rng.lognormal(3.5, 0.5)), 2)))
            day += rng.exponential(pace) + 1
    noon = dt.time(12)
    rows.append(("10000", dt.datetime.combine(LAST_DAY, noon), 20.0))
    rows.append(("only-returns", dt.datetime(2024, 2, 1, 12), -15.0))
    rows.append(("late", dt.datetime(2024, 6, 20, 12), 30.0))
    transactions = pd.DataFrame(rows, columns=["customer_id", "timestamp", "amount"])
    events = pd.DataFrame(
        {
            "customer_id": ["visitor", "10001"],
            "timestamp": pd.to_datetime(["2024-03-01", "2024-03-02"]),
            "event": ["view", "view"],
        }
    )
    return Ledger.from_frames(transactions, events=events)


def window(cutoff: dt.date) -> ObservationWindow:
    """The observation window of the test shop at a cutoff."""
    return ObservationWindow(FIRST_DAY, cutoff, horizon_days=HORIZON)


def panel(ledger: Ledger, cutoffs: list[dt.date]) -> tuple[pd.DataFrame, pd.Series[float]]:
    """Features and outcomes of several cutoffs, one below the other."""
    X, y = [], []
    for cutoff in cutoffs:
        snapshot = build_snapshot(ledger, window(cutoff))
        assert snapshot.labels is not None
        X.append(pd.concat([snapshot.features, btyd_features(snapshot.rfm, HORIZON)], axis=1))
        y.append(snapshot.labels["churned"])
    return pd.concat(X), pd.concat(y)


@pytest.fixture(scope="session")
def churn_model(ledger: Ledger) -> ChurnModel:
    """A small churn model of the test shop."""
    train = [dt.date(2023, 7, 1), dt.date(2023, 8, 1), dt.date(2023, 9, 1)]
    calibration = [dt.date(2023, 12, 1)]
    return ChurnModel.fit(
        *panel(ledger, train),
        *panel(ledger, calibration),
        horizon_days=HORIZON,
        catalogue=CATALOGUE,
        catalogue_hash=catalogue_hash(),
        train_cutoffs=train,
        calibration_cutoffs=calibration,
        seed=1,
    )


@pytest.fixture(scope="session")
def clv_model() -> CustomerLifetimeValue:
    """A customer-lifetime-value model with known parameters: nothing is sampled."""
    return CustomerLifetimeValue(
        ModifiedBetaGeoNBD.from_parameters(r=0.525, alpha=6.183, a=0.891, b=1.614),
        GammaGamma.from_parameters(p=6.25, q=3.74, gamma=15.44),
    )


@dataclass(frozen=True)
class Registry:
    """A registry of models in an SQLite file."""

    uri: str

    def add(
        self,
        name: str,
        folder: Path,
        example: pd.DataFrame,
        *,
        params: Mapping[str, float | str] | None = None,
        code: Path | None = None,
        alias: str | None = "champion",
        metrics: Mapping[str, float] | None = None,
    ) -> Any:
        """Log a saved model the way training does, register it and give it an alias."""
        import mlflow

        with Tracking(self.uri, "regulars").here():
            mlflow.set_experiment("regulars")
            with mlflow.start_run():
                mlflow.log_metrics(dict(metrics or {}))
                info = mlflow.pyfunc.log_model(
                    name=name,
                    python_model=str(PYFUNC),
                    artifacts={
                        "model": str(folder),
                        "code": str(code or Path(models.__file__).parent),
                    },
                    signature=signature(example, pd.DataFrame({"clv": [0.0]}), params),
                    input_example=(example, dict(params)) if params else example,
                    pip_requirements=["mlflow"],
                    registered_model_name=name,
                )
            if alias:
                mlflow.MlflowClient().set_registered_model_alias(
                    name, alias, str(info.registered_model_version)
                )
        return info

    def folder(self, name: str, alias: str = "champion") -> Path:
        """The folder that holds a registered model's files."""
        import mlflow

        client = mlflow.MlflowClient(self.uri, self.uri)
        version = client.get_model_version_by_alias(name, alias)
        return Path(client.get_model_version_download_uri(name, str(version.version)))


@pytest.fixture(scope="session")
def empty_registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    """An MLflow database without models, for tests that bring their own."""
    folder = tmp_path_factory.mktemp("mlflow")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)  # where MLflow puts artifacts by default
        registry = Registry(f"sqlite:///{folder / 'mlflow.db'}")
        import mlflow

        client = mlflow.MlflowClient(registry.uri, registry.uri)
        client.create_experiment("regulars", artifact_location=str(folder / "artifacts"))
    return registry


@pytest.fixture(scope="session")
def churn_folder(churn_model: ChurnModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The churn model as a folder."""
    return artifact.save(churn_model, tmp_path_factory.mktemp("churn") / "model")


@pytest.fixture(scope="session")
def clv_folder(clv_model: CustomerLifetimeValue, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The customer-lifetime-value model as a folder, with cut points of value tiers."""
    extra = {"value_tiers": Tiers(50.0, 200.0).to_dict(), **CLV_SETTINGS, "cutoff": "2024-07-01"}
    return artifact.save(clv_model, tmp_path_factory.mktemp("clv") / "model", extra=extra)


@pytest.fixture(scope="session")
def churn_registry(
    empty_registry: Registry, churn_folder: Path, churn_model: ChurnModel, features: pd.DataFrame
) -> Registry:
    """The registry with a champion for churn."""
    empty_registry.add(
        "regulars-churn",
        churn_folder,
        features[churn_model.feature_names].head(3),
        metrics={"churn/roc_auc": 0.75},
    )
    return empty_registry


@pytest.fixture
def intact(churn_registry: Registry) -> Iterator[Path]:
    """The files of the churn champion, to damage: they are put back afterwards."""
    folder = churn_registry.folder("regulars-churn")
    with tempfile.TemporaryDirectory() as spare:
        copy = Path(spare) / "copy"
        shutil.copytree(folder, copy)
        yield folder
        if folder.exists():
            shutil.rmtree(folder)
        shutil.copytree(copy, folder)


@pytest.fixture(scope="session")
def features(ledger: Ledger) -> pd.DataFrame:
    """What the churn model sees of the test shop at its latest cutoff."""
    snapshot = build_snapshot(ledger, window(dt.date(2024, 7, 1)), labels=False)
    extra = btyd_features(snapshot.rfm, HORIZON)
    return pd.concat([snapshot.features, extra], axis=1)


@pytest.fixture(scope="session")
def full_registry(churn_registry: Registry, clv_folder: Path, rfm: pd.DataFrame) -> Registry:
    """The registry with champions for churn and for customer lifetime value."""
    churn_registry.add(
        "regulars-clv",
        clv_folder,
        rfm[["frequency", "recency", "T", "monetary_value"]].head(3),
        params={**CLV_SETTINGS, "interval": 0.9, "cutoff": "2024-07-01", "quantiles": ""},
        metrics={"clv/bias": -0.05, "clv/spearman": 0.6},
    )
    return churn_registry


@pytest.fixture(scope="session")
def rfm(ledger: Ledger) -> pd.DataFrame:
    """The RFM summary of the test shop at its latest cutoff."""
    return build_snapshot(ledger, window(dt.date(2024, 7, 1)), labels=False).rfm


@pytest.fixture(scope="session")
def registered(full_registry: Registry) -> tuple[RegisteredModel, RegisteredModel]:
    """Both champions, loaded."""
    return (
        load("regulars-churn", tracking_uri=full_registry.uri),
        load("regulars-clv", tracking_uri=full_registry.uri),
    )
