"""How a champion is measured beside the challenger: as it is, or by its recipe fitted again."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from models.base import ModelError
from models.scorers import Recipe
from training.churn_contest import YARDSTICKS, churn_contest
from training.churn_pictures import judge as judge_candidate
from training.churn_recipes import CANDIDATES
from training.churn_rolling import Rolling
from training.dataset import Holdout
from training.gate import judge
from training.promote import Champion

RECIPES = {name: CANDIDATES[name] for name in ("days_since_last", "logistic")}


@pytest.fixture(scope="module")
def contest(panel):
    test = list(panel.slices)[-1]
    rolling = Rolling(panel, RECIPES, seed=3)
    judged = {
        name: judge_candidate(
            name,
            rolling.probability(name, test),
            panel.slices[test],
            {},
            panel.settings,
            pd.DataFrame(),
            3,
        )
        for name in RECIPES
    }
    return churn_contest(
        "logistic",
        judged,
        RECIPES,
        rolling,
        rolling,
        Holdout("churn_test", "a" * 32, {"cutoff": str(test)}),
        panel.slices[test],
        panel.settings,
        3,
    )


def card(recipe, name="logistic", horizon=60, **more):
    return {"candidate": name, "recipe": recipe.to_dict(), "horizon_days": horizon, **more}


def test_the_recipe_of_the_challenger_itself_makes_no_difference(contest):
    theirs = contest.again(Champion(None, card(RECIPES["logistic"])))
    verdict = judge(contest.ours, theirs, YARDSTICKS, newer=True)
    assert verdict.outcome == "promoted"
    assert (verdict.table[["difference", "low", "high"]] == 0.0).all(axis=None)


def test_another_recipe_is_fitted_again_as_of_the_test(contest):
    blend = Recipe("blend", members=(RECIPES["logistic"], Recipe("btyd")))
    theirs = contest.again(Champion(None, card(blend)))  # under the name of another candidate
    assert theirs.drawn == contest.ours.drawn
    assert theirs.sample["churn/brier"] != contest.ours.sample["churn/brier"]
    rule = contest.again(Champion(None, card(RECIPES["days_since_last"], "days_since_last")))
    assert rule.sample["churn/roc_auc"] < contest.ours.sample["churn/roc_auc"]


def test_a_champion_as_it_is_forecasts_the_same_customers(contest):
    asked = []

    def predict(customers, reasons):
        asked.append(len(customers))
        return pd.DataFrame({"churn_probability": np.full(len(customers), 0.99)})

    theirs = contest.as_it_is(Champion(SimpleNamespace(predict=predict)))
    assert asked == [theirs.drawn[0]] == [contest.ours.drawn[0]]
    verdict = judge(contest.ours, theirs, YARDSTICKS, newer=False)
    assert verdict.outcome == "promoted"
    assert verdict.table.set_index("measure").loc["churn/level", "verdict"] == "better"


def test_another_question_is_an_objection(contest):
    logistic = RECIPES["logistic"]
    assert contest.objection(Champion(None, card(logistic, gap_days=0))) == ""
    said = contest.objection(Champion(None, card(logistic, horizon=90, gap_days=0)))
    assert "a horizon of 60 days against a horizon of 90 days" in said
    contracts = card(logistic, gap_days=0, label={"of": "subscriptions"})
    said = contest.objection(Champion(None, contracts))
    assert "churn of purchases against churn of subscriptions" in said


@pytest.mark.parametrize("recipe", [None, {}, {"kind": "crystal_ball"}])
def test_a_recipe_that_cannot_be_read_is_said(contest, recipe):
    with pytest.raises(ModelError, match="recipe that can be read"):
        contest.again(Champion(None, {"candidate": "logistic", "recipe": recipe}))
