"""Every candidate and rule at rolling cutoffs."""

import datetime as dt

import numpy as np
import pytest

from models.base import ModelError
from training.clv_backtest import COLUMNS, backtest_clv, backtest_figures, weeks_ahead
from training.clv_candidates import GROUPS, RULES, forecast
from training.clv_choice import losses
from training.clv_fitting import ClvSettings, Fittings
from training.clv_holdout import rolling_windows

NAMES = ("mbg_nbd", "mbg_nbd_repeat_spend", "bg_nbd")
HERE = tuple(name for name in RULES if name != "last_year")  # the shop is not a year old


@pytest.fixture(scope="module")
def shop(ledger):
    return Fittings(ledger, ClvSettings(horizon_days=60, candidates=NAMES), seed=1)


@pytest.fixture(scope="module")
def windows(ledger):
    end = ledger.last_day + dt.timedelta(days=1)
    return rolling_windows(ledger.first_day, end, 60, 2)


@pytest.fixture(scope="module")
def found(shop, windows):
    return backtest_clv(shop, windows)


def test_every_candidate_and_rule_is_measured_at_every_cutoff(found, windows):
    table = found.table
    assert tuple(table.columns) == COLUMNS
    assert set(table["candidate"]) == {*NAMES, *HERE}
    measured = table[(table["metric"] == "clv/rmse") & (table["group"] == "all")]
    assert measured.groupby("cutoff").size().to_dict() == {
        str(window.cutoff): len(NAMES) + len(HERE) for window in windows
    }
    assert set(found.failed) == {"last_year"}
    assert found.choice.winner in NAMES


def test_groups_by_frequency_add_up_to_everybody(found):
    sizes = found.table.drop_duplicates(["cutoff", "group"]).pivot(
        index="cutoff", columns="group", values="customers"
    )
    assert set(sizes.columns) <= set(GROUPS)
    parts = sizes.drop(columns="all").sum(axis=1)
    assert (parts == sizes["all"]).all()


def test_models_lose_less_than_rules(found):
    by_cutoff = losses(found.table)
    assert (by_cutoff.loc["mbg_nbd"] < by_cutoff.loc["past_rate"]).all()
    assert (by_cutoff.loc["past_rate"] < by_cutoff.loc["zero"]).all()


def test_weeks_add_up_to_the_forecast_and_to_what_came(shop, windows):
    fitting = shop.at(windows[-1])
    one = forecast("mbg_nbd", fitting)
    came, expected = weeks_ahead(one, fitting)
    assert came.sum() == fitting.history.labels["future_purchases"].sum()
    np.testing.assert_allclose(expected.sum(), one.purchases.sum())
    assert (np.diff(expected[:-1]) < 0).all()  # customers leave, nobody joins


def test_a_candidate_that_fails_is_named_and_the_others_go_on(shop, windows, monkeypatch):
    def refuse(name, fitting):
        if name == "bg_nbd":
            raise ModelError("not today")
        return forecast(name, fitting)

    monkeypatch.setattr("training.clv_backtest.forecast", refuse)
    found = backtest_clv(shop, windows[-1:])
    assert found.failed["bg_nbd"] == "not today"
    assert "bg_nbd" not in set(found.table["candidate"])
    assert set(backtest_figures(found)) == {"backtest", "backtest_tracking"}


def test_without_windows_there_is_a_choice_and_an_empty_table(shop):
    found = backtest_clv(shop, ())
    assert found.choice.winner == "mbg_nbd"
    assert found.table.empty
    assert set(backtest_figures(found)) == {"backtest", "backtest_tracking"}
