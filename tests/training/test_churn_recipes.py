"""Which candidates there are."""

import pytest

from features.errors import InputError
from models.scorers import Recipe
from training.churn_recipes import CANDIDATES, QUICK, candidates, tuned

SHOP = ("days_since_last", "probability_no_purchase", "gap_mean")


def test_a_training_tries_all_and_a_quick_one_fewer():
    assert tuple(candidates("usual", (), SHOP)) == tuple(CANDIDATES)
    assert tuple(candidates("quick", (), SHOP)) == QUICK


def test_those_asked_for_come_in_the_order_of_simplicity():
    assert list(candidates("usual", ("lightgbm", "btyd"), SHOP)) == ["btyd", "lightgbm"]


@pytest.mark.parametrize("effort", ["quick", "usual"])
def test_without_purchases_there_is_no_purchase_model(effort):
    assert list(candidates(effort, (), ("fee",))) == ["logistic", "lightgbm"]


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(InputError, match="lightgbm_ofset") as error:
        candidates("usual", ("lightgbm_ofset",), SHOP)
    assert "lightgbm_offset" in error.value.hint


def test_what_cannot_be_fitted_is_said():
    with pytest.raises(InputError, match="btyd"):
        candidates("usual", ("btyd",), ("fee",))


def test_a_tuned_recipe_is_in_the_blend_too():
    better = Recipe("lightgbm", offset="probability_no_purchase", params={"num_leaves": 5})
    found = tuned(CANDIDATES, {"lightgbm_offset": better})
    assert found["lightgbm_offset"] == better
    assert better in found["blend"].members
    assert found["lightgbm"] == CANDIDATES["lightgbm"]
