"""What the candidates share, what sets them apart, and which one wins."""

import numpy as np
import pandas as pd
import pytest

from features.snapshot import build_snapshot
from models.base import ModelError
from models.btyd import ModifiedBetaGeoNBD
from models.clv import CustomerLifetimeValue
from models.spend import GammaGamma
from training.clv_candidates import (
    RECIPES,
    choose_winner,
    fit_models,
    fit_recipe,
    forecasts,
    predictive_draws,
)
from training.clv_holdout import holdout_window


@pytest.fixture(scope="module")
def rfm(ledger):
    window = holdout_window(ledger.first_day, ledger.last_day, 90)
    return build_snapshot(ledger, window).rfm


@pytest.mark.parametrize(
    ("rmse", "winner"),
    [
        ((100.0, 100.0, 100.0), "mbg_nbd"),
        ((100.0, 99.5, 99.1), "mbg_nbd"),  # not clearly better
        ((100.0, 99.5, 98.9), "bg_nbd"),
        ((100.0, 97.0, 98.0), "mbg_nbd_repeat_spend"),
        ((100.0, 98.0, 98.0), "mbg_nbd_repeat_spend"),  # a draw goes to the first
        ((100.0, None, 99.5), "mbg_nbd"),
        ((None, 100.0, 99.5), "mbg_nbd_repeat_spend"),  # mbg_nbd could not be fitted
    ],
)
def test_the_first_wins_unless_another_is_clearly_better(rmse, winner):
    known = {name: value for name, value in zip(RECIPES, rmse, strict=True) if value is not None}
    assert choose_winner(known) == winner
    assert choose_winner(dict(reversed(known.items()))) == winner


def test_shared_parts_are_fitted_once(rfm):
    fitted, failed = fit_models(rfm, seed=1, method="map")
    assert not failed
    assert fitted["mbg_nbd"].purchases is fitted["mbg_nbd_repeat_spend"].purchases
    assert fitted["mbg_nbd"].spend is fitted["bg_nbd"].spend
    for name, model in fitted.items():
        assert list(model.input_columns) == RECIPES[name].columns
        alone = fit_recipe(name, rfm, seed=1, method="map").predict(rfm.iloc[:20])
        pd.testing.assert_frame_equal(model.predict(rfm.iloc[:20]), alone)


def test_a_part_that_cannot_be_fitted_takes_only_its_candidates_with_it(rfm, monkeypatch):
    def refuse(self, *args, **kwargs):
        raise ModelError("not today")

    monkeypatch.setattr(ModifiedBetaGeoNBD, "fit", refuse)
    fitted, failed = fit_models(rfm, seed=1, method="map")
    assert (set(fitted), set(failed)) == ({"bg_nbd"}, {"mbg_nbd", "mbg_nbd_repeat_spend"})
    monkeypatch.setattr(GammaGamma, "fit", refuse)
    with pytest.raises(ModelError, match="not today"):
        fit_models(rfm, seed=1, method="map")


def test_all_expect_something_of_the_same_customers(rfm):
    fitted, _ = fit_models(rfm, seed=1, method="map")
    for forecast in forecasts(fitted, rfm, 90).values():
        pd.testing.assert_index_equal(forecast.spend.index, rfm.index)
        assert (forecast.spend >= 0).all()


@pytest.mark.parametrize("spend_of", ["all_purchases", "repeat_purchases"])
def test_predictive_draws_have_the_model_s_means(spend_of):
    model = CustomerLifetimeValue(
        ModifiedBetaGeoNBD.from_parameters(r=0.525, alpha=6.183, a=0.891, b=1.614),
        GammaGamma.from_parameters(p=6.25, q=3.74, gamma=15.44, spend_of=spend_of),
    )
    rfm = pd.DataFrame(
        {
            "frequency": [0.0, 2.0, 25.0],
            "recency": [0.0, 30.43, 38.0],
            "T": [30.0, 38.86, 39.0],
            "monetary_value": [0.0, 22.35, 60.0],
            "first_value": [70.0, 20.0, 10.0],
        }
    )
    counts, money = predictive_draws(model, rfm, 273, seed=0, draws=20_000)
    expected = model.predict(rfm, horizon_days=273, annual_discount_rate=0.0)
    np.testing.assert_allclose(counts.mean(axis=1), expected["expected_purchases"], rtol=0.05)
    np.testing.assert_allclose(money.mean(axis=1), expected["expected_spend"], rtol=0.08)
    np.testing.assert_allclose(
        (counts == 0).mean(axis=1), expected["probability_no_purchase"], atol=0.012
    )
