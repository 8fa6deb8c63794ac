"""The stages of a churn training, on a panel without a ledger."""

from dataclasses import replace

from training.churn import tune_candidates
from training.churn_panel import ChurnSettings
from training.churn_recipes import CANDIDATES

TREES = {name: CANDIDATES[name] for name in ("btyd", "lightgbm", "lightgbm_offset")}


def test_only_trees_are_tuned_and_all_of_them(panel):
    settings = ChurnSettings(horizon_days=60, trials=2)
    until = list(panel.slices)[-1]
    found = tune_candidates(TREES, panel, until, settings, 0)
    assert set(found) == {"lightgbm", "lightgbm_offset"}
    assert all(len(each.trials) == 2 for each in found.values())
    assert found["lightgbm"].recipe.without == TREES["lightgbm"].without
    assert found["lightgbm_offset"].recipe.offset == TREES["lightgbm_offset"].offset


def test_a_quick_training_tunes_nothing(panel):
    settings = replace(ChurnSettings(horizon_days=60), effort="quick")
    assert tune_candidates(TREES, panel, list(panel.slices)[-1], settings, 0) == {}
