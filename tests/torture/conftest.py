"""A small shop with models, made once for all torture tests."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from features.locking import hold
from features.simulate import simulate
from models.btyd import ModifiedBetaGeoNBD
from models.clv import CustomerLifetimeValue
from models.spend import GammaGamma
from models.tiers import Tiers

CONFIG = """
[source]
url = "data"

[tables.transactions]
from = "orders.csv"

[churn]
horizon_days = 30
candidates = ["days_since_last"]

[clv]
horizon_days = 90
candidates = ["mbg_nbd"]
"""


def _make(folder: Path) -> None:
    """A shop of 150 customers: a churn model is trained, that of CLV has known parameters."""
    from regulars.cli import run
    from regulars.config import load_config
    from regulars.jobs import open_configured_ledger, train_models

    simulate(folder / "simulated", customers=150, days=400, seed=4)
    (folder / "data").mkdir()
    (folder / "simulated" / "orders.csv").rename(folder / "data" / "orders.csv")
    shutil.rmtree(folder / "simulated")
    (folder / "regulars.toml").write_text(CONFIG)
    config = load_config(folder / "regulars.toml")
    train_models(config, open_configured_ledger(config), "churn", seed=0, effort="quick")
    _register_clv(folder)
    arguments = ["score", "-c", str(folder), "-o", str(folder / "scores.csv")]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert run([*arguments, "--cutoff", "2023-07-01"]) == 0


def _register_clv(folder: Path) -> None:
    import pandas as pd

    from regulars.config import load_config
    from regulars.jobs import open_tracking
    from training.signature import signature
    from training.tracking import CHAMPION

    model = CustomerLifetimeValue(
        ModifiedBetaGeoNBD.from_parameters(r=0.525, alpha=6.183, a=0.891, b=1.614),
        GammaGamma.from_parameters(p=6.25, q=3.74, gamma=15.44),
    )
    tracking = open_tracking(load_config(folder / "regulars.toml"))
    settings = {"horizon_days": 90.0, "annual_discount_rate": 0.1, "margin": 1.0}
    example = pd.DataFrame(
        {"frequency": [1.0], "recency": [2.0], "T": [4.0], "monetary_value": [20.0]}
    )[list(model.input_columns)]
    defaults = {**settings, "interval": 0.90, "cutoff": "2023-07-01", "quantiles": ""}
    with tracking.run("known", family="clv", training_id="known", tags={}, params={}) as run:
        version = tracking.register(
            run,
            "regulars-clv",
            model,
            signature=signature(example, model.predict(example, 90, 0.1, 1.0), defaults),
            input_example=example,
            card={**settings, "cutoff": "2023-07-01", "value_tiers": Tiers(50.0, 200.0).to_dict()},
            tags={},
            description="",
        )
    tracking.client.set_registered_model_alias("regulars-clv", CHAMPION, version.version)


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shop that tests copy; one for all workers."""
    base = tmp_path_factory.getbasetemp()
    if os.environ.get("PYTEST_XDIST_WORKER"):
        base = base.parent
    folder = base / "torture-shop"
    with hold(base / "torture-shop.lock", "the shop of the torture tests"):
        if not (folder / "made").exists():
            folder.mkdir()
            _make(folder)
            (folder / "made").touch()
    return folder


@pytest.fixture
def shop(made: Path, tmp_path: Path) -> Path:
    """A copy of the shop for a test to do its worst to."""
    return copied(made, tmp_path / "shop")


def copied(made: Path, folder: Path) -> Path:
    """Copy a shop; the store's paths, which are absolute, move along."""
    shutil.copytree(made, folder, ignore=shutil.ignore_patterns("made", ".*.lock"))
    with closing(sqlite3.connect(folder / "mlflow.db")) as con:
        tables = con.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        for (table,) in tables:
            for _, column, kind, *_ in con.execute(f"PRAGMA table_info('{table}')").fetchall():
                if "CHAR" in kind or "TEXT" in kind:
                    con.execute(
                        f'UPDATE "{table}" SET "{column}" = replace("{column}", ?, ?) '
                        f'WHERE "{column}" LIKE ?',
                        [str(made), str(folder), f"%{made}%"],
                    )
        con.commit()
    return folder
