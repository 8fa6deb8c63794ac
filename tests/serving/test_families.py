"""Every family of CLV model as it is registered: small, without customers, scored anywhere."""

from __future__ import annotations

import datetime as dt
import gzip
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import models
from features.attributes import attributes
from features.catalogue import CATALOGUE
from features.ledger import Ledger
from features.snapshot import build_snapshot
from features.window import ObservationWindow
from models import artifact
from models.btyd import PURCHASE_MODELS, ModifiedBetaGeoNBD
from models.calendar import Calendar
from models.clv import CustomerLifetimeValue
from models.ensemble import StackedLifetimeValue
from models.hybrid import CalibrationExample, LearnedLifetimeValue, calibrate
from models.spend import GammaGamma
from models.tiers import Tiers
from models.value import VALUE_MODELS, base_expectation
from serving.registry import RegisteredModel, load
from serving.scorer import score

KEPT_DRAWS = 400  # as many as a fit keeps
DAYS = 90
CUTOFF = dt.date(2024, 7, 1)
SETTINGS = {"horizon_days": 90.0, "annual_discount_rate": 0.1, "margin": 0.4}
EXTRA = {**SETTINGS, "value_tiers": Tiers(5.0, 50.0).to_dict(), "cutoff": "2024-07-01"}
LAW = {"r": 0.6, "alpha": 6.0, "a": 0.8, "b": 2.0, "s": 0.6, "beta": 11.0}


def posterior(names: tuple[str, ...], law: Mapping[str, float], seed: int) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {n: law[n] * np.exp(0.05 * rng.standard_normal(KEPT_DRAWS)) for n in names}


def made_of(label: str, calendar: Calendar | None = None) -> CustomerLifetimeValue:
    kind, spend = PURCHASE_MODELS[label], {"p": 6.25, "q": 3.74, "gamma": 15.44}
    facts = {"inference": "nuts", "k": 2}
    return CustomerLifetimeValue(
        kind.from_draws(posterior(kind.names, LAW, 1), facts),
        GammaGamma.from_draws(
            posterior(GammaGamma.names, spend, 2),
            {"inference": "nuts", "spend_of": "all_purchases"},
        ),
        calendar,
    )


def snapshot(ledger: Ledger, cutoff: dt.date, labels: bool = True) -> Any:
    window = ObservationWindow(ledger.first_day, cutoff, horizon_days=DAYS)
    return build_snapshot(ledger, window, labels=labels)


@pytest.fixture(scope="module")
def shop(ledger: Ledger) -> Ledger:
    """The test shop, its customers under names that no number can be taken for."""
    transactions = ledger.transactions.to_pyarrow().to_pandas()
    return Ledger.from_frames(
        transactions.assign(customer_id="SECRET-" + transactions["customer_id"])
    )


@pytest.fixture(scope="module")
def families(shop: Ledger) -> dict[str, Any]:
    """One model of each."""
    base = made_of("mbg_nbd")
    calendar = Calendar.of(1.0 + 0.5 * np.sin(np.arange(52) / 52 * 2 * np.pi))
    found: dict[str, Any] = {label: made_of(label) for label in PURCHASE_MODELS}
    found["stack"] = StackedLifetimeValue(dict(found))
    found["calendar"] = made_of("mbg_nbd", calendar)
    taken = [snapshot(shop, day) for day in (dt.date(2023, 10, 1), dt.date(2024, 1, 1))]
    expected = pd.concat([base_expectation(base, each.rfm, DAYS) for each in taken])
    X = pd.concat([each.features for each in taken])
    labels = pd.concat([each.labels for each in taken])
    came = (labels["future_purchases"], labels["future_spend"])
    groups = np.repeat([0, 92], [len(each.rfm) for each in taken])
    later = snapshot(shop, dt.date(2024, 4, 1))
    for label, kind in VALUE_MODELS.items():
        value = kind(CATALOGUE).fit(X, expected, *came, DAYS, groups=groups)
        plain = LearnedLifetimeValue(base, value)
        example = CalibrationExample(
            plain,
            later.rfm.join(later.features),
            later.labels["future_purchases"],
            later.labels["future_spend"],
        )
        found[label] = LearnedLifetimeValue(base, value, calibrate([example]))
    return found


@pytest.fixture(scope="module")
def inputs(shop: Ledger) -> pd.DataFrame:
    """RFM summary and features at the default cutoff."""
    now = snapshot(shop, CUTOFF, labels=False)
    return now.rfm.join(now.features)


def test_all_are_small_and_hold_no_customer(families: dict[str, Any], tmp_path: Path) -> None:
    for name, model in families.items():
        folder = artifact.save(model, tmp_path / name, extra=EXTRA)
        files = list(folder.iterdir())
        assert sum(path.stat().st_size for path in files) < 300_000, name
        for path in files:
            written = path.read_bytes()
            plain = gzip.decompress(written) if path.suffix == ".gz" else written
            assert b"SECRET" not in plain, path


SCRIPT = """
import importlib.abc, sys
from pathlib import Path
from types import SimpleNamespace

FORBIDDEN = {"pymc", "pytensor", "nutpie", "arviz", "numba", "llvmlite"}

class Refuse(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in FORBIDDEN:
            raise ImportError(f"{name} is forbidden here")

sys.meta_path.insert(0, Refuse())
import pandas as pd
from serving.pyfunc import RegularsModel

folder, code = Path(sys.argv[1]), sys.argv[2]
frame = pd.read_parquet(folder / "inputs.parquet")
for name in sys.argv[3:]:
    model = RegularsModel()
    model.load_context(SimpleNamespace(artifacts={"model": str(folder / name), "code": code}))
    found = model.predict(None, frame, {"quantiles": "0.1,0.9"})
    found.to_parquet(folder / f"{name}.parquet")
assert not FORBIDDEN & set(sys.modules), FORBIDDEN & set(sys.modules)
"""


@pytest.mark.slow
def test_all_score_in_a_fresh_process_without_sampler_or_compiler(
    families: dict[str, Any], inputs: pd.DataFrame, tmp_path: Path
) -> None:
    some = inputs.iloc[::15]
    some.to_parquet(tmp_path / "inputs.parquet")
    for name, model in families.items():
        artifact.save(model, tmp_path / name, extra=EXTRA)
    (tmp_path / "script.py").write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SCRIPT, str(tmp_path),
         str(Path(models.__file__).parent), *families],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for name, model in families.items():
        found = pd.read_parquet(tmp_path / f"{name}.parquet")
        expected = model.predict(some, **SETTINGS, cutoff=CUTOFF, quantiles=(0.1, 0.9))
        pd.testing.assert_frame_equal(found.drop(columns="value_tier"), expected, obj=name)
        light = model.predict(some, **SETTINGS, cutoff=CUTOFF, intervals=False)
        np.testing.assert_allclose(light["clv"], expected["clv"], rtol=1e-3, err_msg=name)


@pytest.fixture(scope="module")
def seasonal(
    ledger: Ledger, full_registry: Any, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Ledger, CustomerLifetimeValue, RegisteredModel]:
    """A shop with countries, and a model of them with a calendar, registered."""
    transactions = ledger.transactions.to_pyarrow().to_pandas()
    ids = sorted(set(transactions["customer_id"]))
    country = np.resize(["NL", "BE", "01"], len(ids))
    countries = pd.DataFrame({"customer_id": ids, "country": country})
    shop = Ledger.from_frames(transactions, customers=countries.iloc[:-1])
    now = snapshot(shop, CUTOFF, labels=False)
    calendar = Calendar.of(1.0 + 0.5 * np.sin(np.arange(52) / 52 * 2 * np.pi))
    window = ObservationWindow(shop.first_day, CUTOFF, horizon_days=DAYS)
    rfm = now.rfm.join(attributes(shop, window, ["country"]))
    purchases = ModifiedBetaGeoNBD(segment="country").fit(
        calendar.operational(rfm, CUTOFF), method="laplace"
    )
    model = CustomerLifetimeValue(purchases, made_of("mbg_nbd").spend, calendar)
    assert model.text_columns == ("country",)
    folder = artifact.save(model, tmp_path_factory.mktemp("seasonal") / "model", extra=EXTRA)
    example = rfm[list(model.input_columns)].head(3)
    params = {**SETTINGS, "interval": 0.9, "cutoff": "2024-07-01", "quantiles": ""}
    full_registry.add("seasonal-clv", folder, example, params=params)
    return shop, model, load("seasonal-clv", tracking_uri=full_registry.uri)


def test_scoring_gives_a_model_its_attributes_and_the_cutoff(
    seasonal: tuple[Ledger, CustomerLifetimeValue, RegisteredModel],
    registered: tuple[RegisteredModel, RegisteredModel],
) -> None:
    shop, model, champion = seasonal
    for cutoff in (CUTOFF, dt.date(2024, 5, 3)):
        ids = ["10001", "only-returns", "10007"]
        table = score(shop, cutoff, registered[0], champion, ids=ids).set_index("customer_id")
        window = ObservationWindow(shop.first_day, cutoff, horizon_days=DAYS)
        frame = snapshot(shop, cutoff, labels=False).rfm.join(attributes(shop, window, ["country"]))
        expected = model.predict(frame, **SETTINGS, cutoff=cutoff).loc[["10001", "10007"]]
        np.testing.assert_allclose(table.loc[expected.index, "clv"], expected["clv"])
        nobody = pd.DataFrame({"country": [None]}, index=["only-returns"])
        new = model.predict_new_customers(nobody, **SETTINGS, cutoff=cutoff)
        assert table.loc["only-returns", "clv"] == pytest.approx(new["clv"].item())
        assert np.isnan(table.loc["only-returns", "p_alive"])
    # Text that looks like a number stays text.
    some = frame.head(6)
    found = champion.predict(some, **SETTINGS, cutoff="2024-05-03", quantiles="0.5")
    expected = model.predict(some, **SETTINGS, cutoff=cutoff, quantiles=(0.5,))
    np.testing.assert_allclose(found["clv_q0.5"], expected["clv_q0.5"])
    np.testing.assert_allclose(found["clv"], expected["clv"])
    assert replace(champion).params == (*SETTINGS, "interval", "cutoff", "quantiles")
