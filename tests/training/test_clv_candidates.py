"""What the candidates share, what sets them apart, and what they say of the same customers."""

import numpy as np
import pandas as pd
import pytest

from features.errors import InputError
from models.base import ModelError
from models.btyd import ModifiedBetaGeoNBD
from training.clv_candidates import (
    LEARNED,
    MODELS,
    RULES,
    candidates,
    fit_candidate,
    forecast,
    measure,
    predictive_sample,
)
from training.clv_fitting import ClvSettings, Fittings
from training.clv_holdout import holdout_window

SETTINGS = ClvSettings(horizon_days=60)


@pytest.fixture(scope="module")
def window(ledger):
    return holdout_window(ledger.first_day, ledger.last_day, SETTINGS.horizon_days)


@pytest.fixture(scope="module")
def fitting(ledger, window):
    return Fittings(ledger, SETTINGS, seed=1).at(window)


def test_shared_parts_are_fitted_once(fitting):
    first, second = (fit_candidate(n, fitting) for n in ("mbg_nbd", "mbg_nbd_repeat_spend"))
    assert first.purchases is second.purchases
    assert first.spend is fit_candidate("bg_nbd", fitting).spend
    assert "first_value" in first.input_columns
    assert "first_value" not in second.input_columns


def test_a_part_that_cannot_be_fitted_takes_only_its_candidates_with_it(
    ledger, window, monkeypatch
):
    def refuse(self, *args, **kwargs):
        raise ModelError("not today")

    monkeypatch.setattr(ModifiedBetaGeoNBD, "fit", refuse)
    fresh = Fittings(ledger, SETTINGS, seed=1).at(window)
    for name in ("mbg_nbd", "mbg_nbd_repeat_spend"):
        with pytest.raises(ModelError, match="not today"):
            fit_candidate(name, fresh)
    assert (forecast("bg_nbd", fresh).purchases > 0).all()


@pytest.mark.slow
@pytest.mark.parametrize("name", [*MODELS, "stack", *LEARNED, *RULES])
def test_all_say_something_of_the_same_customers(fitting, name):
    unknown = {"mbg_nbd_calendar", "mbg_nbd_covariates", "mbg_nbd_segments", "last_year"}
    if name in unknown:
        pytest.skip("this shop has neither the years nor the attributes for it")
    found = forecast(name, fitting)
    for values in (found.purchases, found.spend):
        pd.testing.assert_index_equal(values.index, fitting.history.rfm.index)
        assert (values >= 0).all()
        assert np.isfinite(values).all()
    said = measure(found, fitting)
    assert {"purchases/crps", "clv/crps", "clv/rmse", "clv/bias"} <= set(said.found)
    sizes = {group: size for group, (size, _) in said.groups.items()}
    assert sizes.pop("all") == sum(sizes.values()) == len(fitting.history.rfm)
    assert all("clv/crps" in values for _, values in said.groups.values())
    assert set(said.pit) == (set() if name in RULES else {"purchases", "value"})


def test_a_sample_has_the_means_of_its_forecast(fitting):
    found = forecast("mbg_nbd", fitting)
    rows = np.arange(len(fitting.history.rfm))
    counts, money = predictive_sample(found.model, fitting, rows)
    assert counts.mean() == pytest.approx(found.purchases.mean(), rel=0.05)
    assert money.mean() == pytest.approx(found.spend.mean(), rel=0.10)


def test_candidates_need_the_columns_they_read():
    plain = candidates(SETTINGS)
    assert "mbg_nbd_covariates" not in plain
    assert "mbg_nbd_segments" not in plain
    rich = ClvSettings(covariates={"rate": ["age"]}, segment="channel")
    assert {"mbg_nbd_covariates", "mbg_nbd_segments"} <= set(candidates(rich))
    assert rich.attributes == ("age", "channel")


def test_a_stack_by_itself_has_all_members(ledger, window):
    shop = Fittings(ledger, ClvSettings(horizon_days=60, candidates=("stack",)), seed=1)
    stack = fit_candidate("stack", shop.at(window, "map"))
    assert {"mbg_nbd", "bg_nbd", "pareto_nbd"} <= set(stack.members)


def test_some_candidates_can_be_asked_for_and_others_are_refused_by_name():
    some = ClvSettings(candidates=("bg_nbd", "mbg_nbd"))
    assert candidates(some) == ("mbg_nbd", "bg_nbd")
    with pytest.raises(InputError, match="pareto_ndb") as refused:
        candidates(ClvSettings(candidates=("pareto_ndb",)))
    assert "pareto_nbd" in str(refused.value)
