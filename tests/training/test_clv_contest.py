"""How a CLV champion is measured when today's settings are not those it was made with."""

import numpy as np
import pandas as pd
import pytest

from features.ledger import Ledger
from models.base import ModelError
from training.clv_candidates import RULES, fit_candidate, forecast
from training.clv_contest import clv_contest
from training.clv_fitting import ClvSettings, Fittings
from training.clv_holdout import holdout_window
from training.dataset import holdout
from training.promote import Champion

NAME = "mbg_nbd_covariates"
THEN = ClvSettings(
    horizon_days=60,
    covariates={"rate": ["visits"]},
    priors={"gamma_gamma": {"p": (6.0, 0.5)}},
    candidates=(NAME,),
)
TODAY = ClvSettings(horizon_days=60, covariates={"rate": ["noise"]}, candidates=(NAME,))


@pytest.fixture(scope="module")
def shop(orders):
    """A shop of which one attribute says how much its customers buy, and another one nothing."""
    bought = orders.groupby("customer_id").size()
    rng = np.random.default_rng(0)
    people = pd.DataFrame(
        {
            "customer_id": bought.index,
            "visits": np.log(bought.to_numpy()),
            "noise": rng.normal(size=len(bought)),
        }
    )
    return Ledger.from_frames(orders, customers=people)


def fitted(shop, settings):
    window = holdout_window(shop.first_day, shop.last_day, settings.horizon_days)
    return Fittings(shop, settings, seed=1).at(window)


@pytest.fixture(scope="module")
def contest(shop):
    """A training under the settings of today."""
    fitting = fitted(shop, TODAY)
    forecasts = {name: forecast(name, fitting) for name in (NAME, RULES[0])}
    window = fitting.history.window
    test = holdout("clv_holdout", window, fitting.history.labels)
    return clv_contest(NAME, forecasts, fitting, TODAY, test)


def champion(recipe, name=NAME):
    return Champion(None, {"extra": {"candidate": name, "recipe": recipe}})


def test_a_recipe_comes_back_from_the_card():
    assert TODAY.with_recipe(THEN.recipe()).recipe() == THEN.recipe()


def test_the_same_recipe_is_not_fitted_again(contest):
    assert contest.again(champion(TODAY.recipe())).sample == contest.ours.sample


def test_a_recipe_is_fitted_with_its_own_settings_not_with_those_of_today(shop, contest):
    model = fit_candidate(NAME, fitted(shop, THEN))
    card = {"input_columns": list(model.input_columns)}
    as_it_is = contest.as_it_is(Champion(model, card))
    again = contest.again(champion(THEN.recipe()))
    assert again.sample == pytest.approx(as_it_is.sample)
    assert again.sample["clv/loss"] < contest.ours.sample["clv/loss"]
    assert again.minus(contest.ours, "clv/loss").high < 0


@pytest.mark.parametrize(
    ("recipe", "name", "words"),
    [
        (None, NAME, "does not say with which covariates"),
        ({"covariates": {}}, NAME, "does not say with which covariates"),
        (TODAY.recipe() | {"covariates": {"rate": ["gone"]}}, NAME, "no table has.*gone"),
        (TODAY.recipe() | {"priors": {"nbd": {}}}, NAME, "names a model 'nbd'"),
        (TODAY.recipe(), "crystal_ball", "crystal_ball is not known any more"),
    ],
)
def test_what_cannot_be_fitted_again_cannot_be_compared(contest, recipe, name, words):
    with pytest.raises(ModelError, match=f"(?i){words}"):
        contest.again(champion(recipe, name))
