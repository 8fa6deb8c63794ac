"""A small made-up shop, and one training of each family that the tests look at together."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from features.catalogue import CATALOGUE
from features.ledger import Ledger
from features.window import ObservationWindow
from training.churn import train_churn
from training.churn_panel import ChurnSettings, Panel, Slice
from training.churn_recipes import QUICK
from training.clv import ClvSettings, train_clv
from training.tracking import Tracking

CHURN = ChurnSettings(horizon_days=30, trials=0, candidates=QUICK)
CLV = ClvSettings(
    horizon_days=90,
    annual_discount_rate=0.1,
    margin=0.4,
    candidates=("mbg_nbd", "bg_nbd", "mbg_nbd_calendar", "stack", "recalibrated"),
)


def make_orders(days=240, customers=600, seed=3):
    """Orders of customers who buy at their own rate until they leave."""
    rng = np.random.default_rng(seed)
    rate = rng.gamma(0.9, 1 / 9.0, customers) / 7.0
    born = rng.integers(0, days - 60, customers)
    alive = rng.geometric(np.clip(rng.beta(1.0, 4.0, customers), 0.02, 1.0))
    mean = rng.gamma(4.0, 12.0, customers)
    rows = []
    for i in range(customers):
        at, bought = float(born[i]), 0
        while at < days and bought < alive[i] + 1:
            rows.append((f"SECRET-{i:05d}", at, rng.gamma(6.0, mean[i] / 6.0) + 1.0))
            at += 1.0 + rng.exponential(1 / rate[i])
            bought += 1
    rows.append(("SECRET-00000", days - 0.5, 20.0))  # the history reaches its last day
    frame = pd.DataFrame(rows, columns=["customer_id", "day", "amount"])
    start = pd.Timestamp("2023-01-01")
    frame["timestamp"] = start + pd.to_timedelta(frame.pop("day"), unit="D").dt.floor("s")
    frame["amount"] = frame["amount"].round(2)
    return frame


@pytest.fixture(scope="session")
def orders():
    return make_orders()


@pytest.fixture(scope="session")
def ledger(orders):
    return Ledger.from_frames(orders)


@pytest.fixture(scope="session")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    return Tracking(f"sqlite:///{folder / 'mlflow.db'}", "shop"), folder


@pytest.fixture(scope="session")
def registry_store(tmp_path_factory):
    """A store for registered models without files."""
    folder = tmp_path_factory.mktemp("registry")
    tracking = Tracking(f"sqlite:///{folder / 'mlflow.db'}", "registry")
    tracking.check()
    return tracking


@pytest.fixture(scope="session")
def churn_result(ledger, store):
    return train_churn(ledger, CHURN, seed=1, tracking=store[0])


@pytest.fixture(scope="session")
def clv_result(ledger, store):
    return train_clv(ledger, CLV, seed=1, tracking=store[0], method="laplace")


def make_panel(months=9, customers=300, seed=0, settings=None):
    """A panel without a ledger: one feature that tells, one that does not, a purchase model."""
    settings = settings or ChurnSettings(horizon_days=60)
    rng = np.random.default_rng(seed)
    ids = np.array([f"c{i:04d}" for i in range(customers)], dtype=object)
    taste = rng.normal(size=customers)
    slices = {}
    for month in range(months):
        cutoff = (pd.Timestamp("2023-01-01") + pd.DateOffset(months=month)).date()
        score = taste + rng.normal(scale=0.5, size=customers)
        churned = (rng.random(customers) < expit(1.3 * score)).astype(float)
        features = pd.DataFrame(
            {
                "days_since_last": np.exp(3 + 0.5 * score + rng.normal(size=customers)),
                "taste": score,
                "noise": rng.normal(size=customers),
                "probability_no_purchase": expit(score + rng.normal(size=customers)),
            },
            index=pd.Index(ids, name="customer_id"),
        ).astype("float32")
        slices[cutoff] = Slice(
            ObservationWindow(dt.date(2022, 1, 1), cutoff, 0, settings.horizon_days),
            features,
            np.arange(customers) % 3 == 0,
            np.ones(customers, dtype=bool),
            np.full(customers, 200.0),
            pd.DataFrame({"churned": churned}, index=features.index),
        )
    return Panel(settings, CATALOGUE, slices)


@pytest.fixture(scope="session")
def panel():
    return make_panel()


@pytest.fixture(scope="session")
def build_panel():
    return make_panel


@pytest.fixture(scope="session")
def churn_settings():
    return CHURN
