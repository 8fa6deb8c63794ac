"""A champion of a table is measured out of fold, or as it is, if it reads the same columns."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from features.customer_table import customer_table
from models.decision import Offer
from models.scorers import Recipe
from training.dataset import Holdout
from training.promote import Champion
from training.table_contest import table_contest

LABEL = {"column": "left", "churned": "yes"}
RECIPES = {"logistic": Recipe("logistic")}


@pytest.fixture(scope="module")
def contest():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"fee": rng.gamma(4.0, 9.0, 200)})
    frame["customer_id"] = [f"c{i:03d}" for i in range(200)]
    frame["left"] = np.where(rng.random(200) < frame["fee"] / 90, "yes", "no")
    table = customer_table(frame, label="left").sorted()
    y = np.asarray(table.label, dtype=float)
    return table_contest(
        table,
        y,
        {"logistic": 0.2 + 0.6 * y},
        RECIPES,
        "logistic",
        LABEL,
        Holdout("churn_table", "a" * 32),
        value=200.0,
        offer=Offer(),
        replicates=50,
        seed=0,
        threads=1,
    )


def test_the_same_recipe_is_not_fitted_again(contest):
    theirs = contest.again(Champion(None, {"recipe": RECIPES["logistic"].to_dict()}))
    assert theirs.sample == contest.ours.sample


def test_another_recipe_is_fitted_on_the_same_folds(contest):
    trees = Recipe("lightgbm", params={"n_estimators": 5})
    theirs = contest.again(Champion(None, {"recipe": trees.to_dict()}))
    assert theirs.drawn == contest.ours.drawn
    assert theirs.sample["churn/brier"] > contest.ours.sample["churn/brier"]


def test_as_it_is_it_forecasts_the_table(contest):
    model = SimpleNamespace(
        predict=lambda frame, reasons: pd.DataFrame({"churn_probability": np.full(len(frame), 0.5)})
    )
    assert contest.as_it_is(Champion(model)).sample["churn/brier"] == pytest.approx(0.25)


def test_a_model_of_another_table_is_not_compared(contest):
    assert contest.objection(Champion(None, {"label": LABEL, "feature_names": ["fee"]})) == ""
    other = {"label": LABEL, "feature_names": ["fee", "tenure"]}
    assert "tenure" in contest.objection(Champion(None, other))
    other = {"label": {"column": "gone", "churned": "1"}, "feature_names": ["fee"]}
    assert "labels differ (left = yes against gone = 1)" in contest.objection(Champion(None, other))
