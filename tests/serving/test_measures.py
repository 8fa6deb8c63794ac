"""Every measure of a simulated shop, and whether those of value hold the truth."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest

from features.measures import MEASURES, find
from serving.measures import business_measures


@pytest.fixture(scope="module")
def recovery() -> ModuleType:
    script = Path(__file__).parents[2] / "benchmarks" / "recovery_value.py"
    spec = importlib.util.spec_from_file_location("recovery_value", script)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_value_of_a_simulated_shop_holds_the_truth(recovery: ModuleType, tmp_path: Path) -> None:
    table = recovery.recover(3, 900, tmp_path / "shop")
    assert set(table["measure"]) == {"clv_predictive", "ltv_to_cac"}
    assert len(table) == 6 + 5  # nobody pays for organic customers
    assert table["inside"].all()
    everyone = table[table["segment"] == "all"].set_index("measure")["off"]
    assert everyone.abs().max() < 0.15


def test_all_that_the_tables_allow_in_one_table() -> None:
    """Who has only transactions gets a table all the same, and is told what is missing."""
    from features.ledger import Ledger

    days = pd.date_range("2023-01-01", "2023-12-31", freq="5D")
    transactions = pd.DataFrame(
        {
            "customer_id": [f"c{i % 12}" for i in range(len(days))],
            "timestamp": days,
            "amount": 7.0,
        }
    )
    found = business_measures(Ledger.from_frames(transactions), without_scores="No models yet.")
    for name in found.frame["measure"].unique():
        assert find(name).name == name
    missing = {name: each.needs for each in found.missing for name in each.measures}
    assert missing["ltv_to_cac"] == "No models yet."
    assert {"cac", "nps", "loyalty_effect_adjusted", "campaign_roi"} <= set(missing)
    told = set(found.frame["measure"]) | set(missing)
    assert {row.name for row in MEASURES} - told == set()
