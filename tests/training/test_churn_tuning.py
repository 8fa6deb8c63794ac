"""Tuning looks at closed cutoffs only, and takes no luck for a gain."""

import numpy as np
import pytest

from models.scorers import Recipe
from training.churn_tuning import Budget, level_free_log_loss, tune

PLAIN = Recipe("lightgbm")


def test_the_loss_is_free_of_the_level():
    rng = np.random.default_rng(0)
    score = rng.normal(size=400)
    y = (rng.random(400) < 0.3).astype(float)
    assert level_free_log_loss(y, score) == pytest.approx(level_free_log_loss(y, score + 7.0))


def test_a_score_without_order_has_the_entropy_of_the_rate():
    y = np.array([1.0, 0.0, 0.0, 0.0])
    entropy = -(0.25 * np.log(0.25) + 0.75 * np.log(0.75))
    assert level_free_log_loss(y, np.zeros(4)) == pytest.approx(entropy)


def test_the_same_seed_finds_the_same(panel):
    until = list(panel.slices)[-1]
    first, second = (
        tune("lightgbm", PLAIN, panel, until, Budget(4), seed=5, threads=k) for k in (1, 2)
    )
    assert first.recipe == second.recipe
    assert first.trials.equals(second.trials)
    assert len(first.trials) == 4
    assert first.recipe.params["n_estimators"] >= 25
    assert {"monotone", "rounds", "log_loss", "state"} <= set(first.trials.columns)


def test_labels_that_close_later_are_not_looked_at(panel, build_panel):
    days = list(panel.slices)
    until = days[6]
    longer = build_panel(months=12)
    assert set(panel.slices) < set(longer.slices)
    first, second = (
        tune("lightgbm", PLAIN, each, until, Budget(2), seed=5, threads=1)
        for each in (panel, longer)
    )
    assert first.trials.equals(second.trials)


def test_too_short_a_history_is_left_alone(panel):
    found = tune("lightgbm", PLAIN, panel, list(panel.slices)[3], Budget(2), seed=0, threads=1)
    assert found.recipe == PLAIN
    assert found.trials.empty
