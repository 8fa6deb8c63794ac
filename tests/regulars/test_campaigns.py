"""`regulars power` on a small shop, and what the configuration says of campaigns."""

import json

import numpy as np
import pandas as pd
import pytest

from features.errors import NotEnoughDataError
from regulars.campaigns import train_uplift_model
from regulars.cli import run
from regulars.config import load_config, parse_config
from regulars.jobs import open_configured_ledger
from regulars.settings import campaign_settings
from training.tracking import Tracking


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shop")
    rng = np.random.default_rng(0)
    start = pd.Timestamp("2024-01-01")
    rows = [
        (f"c{i}", start + pd.Timedelta(days=float(day)), 20.0)
        for i in range(300)
        for day in rng.uniform(0, 200, rng.poisson(3) + 1)
    ]
    frame = pd.DataFrame(rows, columns=["customer_id", "timestamp", "amount"])
    frame["timestamp"] = frame["timestamp"].dt.strftime("%Y-%m-%d %H:%M:%S")
    frame.to_csv(folder / "transactions.csv", index=False)
    (folder / "regulars.toml").write_text(
        f'[source]\nurl = "{folder}"\n[campaigns]\nwindow_days = 40\n'
        "[decision]\ncontact_cost = 0.5\noffer_cost = 5\nredemption = 0.5\n"
    )
    return folder


def test_power_from_the_shops_own_numbers(shop, capsys):
    assert run(["power", "-c", str(shop), "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["window_days"] == 40
    assert 0.2 < plan["base"] < 0.8
    assert plan["cost"] == pytest.approx(0.5 + 5 * 0.5 * plan["base"])
    assert plan["effect"] == pytest.approx(plan["cost"] / plan["value"])
    assert [row["treated_share"] for row in plan["plans"]] == [0.5, 0.8, 0.9]
    customers = [row["customers"] for row in plan["plans"]]
    assert customers == sorted(customers)


def test_power_for_an_effect_of_ones_own(shop, capsys):
    options = ["--effect", "0.02", "--base", "0.1", "--treated-share", "0.5"]
    assert run(["power", "-c", str(shop), *options]) == 0
    assert "7,670" in capsys.readouterr().out


def test_an_effect_beyond_all_shares_is_refused(shop, capsys):
    assert run(["power", "-c", str(shop), "--effect", "0.99", "--base", "0.5"]) == 2
    assert "cannot change" in capsys.readouterr().err


def test_what_costs_nothing_has_no_break_even(shop, capsys):
    assert run(["power", "-c", str(shop), "--cost", "0"]) == 2
    assert "--effect 0.02" in capsys.readouterr().err
    assert run(["power", "-c", str(shop), "--cost", "0", "--effect", "0.1", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert (plan["cost"], plan["effect"]) == (0, 0.1)
    assert all(row["customers_for_spend"] is None for row in plan["plans"])


def test_no_campaign_no_uplift(shop):
    config = load_config(shop)
    ledger = open_configured_ledger(config)
    tracking = Tracking("sqlite:///nowhere.db", "shop")  # not opened: nothing is there to log
    assert train_uplift_model(config, ledger, tracking, seed=0, asked=False) is None
    with pytest.raises(NotEnoughDataError, match="no table of contacts"):
        train_uplift_model(config, ledger, tracking, seed=0, asked=True)


def test_the_configuration_of_campaigns(tmp_path):
    text = "[campaigns]\nwindow_days = 14\ntreated_share = { voucher = 0.6 }\n[clv]\nmargin = 0.4\n"
    settings = campaign_settings(parse_config(text, tmp_path / "regulars.toml"))
    assert (settings.window_days, settings.horizon_days) == (14, 90)
    assert settings.treated_shares == {"voucher": 0.6}
    assert settings.worth.margin == 0.4
