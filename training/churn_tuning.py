"""Tune the trees of a churn candidate: rolling origin inside the cutoffs before the test.

A setting is judged on later cutoffs (at most `FOLDS`), each foretold from what had closed by then.
The measure is the log loss after the level has been put right, because the level is what
calibration is for: judged by the plain log loss, trees would stop early in a year whose seasons
differ, to stay near the mean. The number of rounds costs no trials: every fit is judged at many
numbers of rounds at once.
"""

import datetime as dt
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import optuna
import pandas as pd
from scipy.optimize import brentq
from scipy.special import expit, log_expit

from features.progress import note, task
from models.booster import TreeSettings
from models.inputs import Inputs
from models.scorers import Recipe, TreeScorer, fit_scorer
from training.churn_panel import Panel

__all__ = ["FOLDS", "STAGES", "Budget", "Tuned", "level_free_log_loss", "tune"]

FOLDS = 3
"""Later cutoffs that judge a setting."""

MAX_ROWS = 60_000
"""Rows of the whole panel while tuning; of larger ones a sample of the customers is taken."""

STAGES = (25, 50, 75, 100, 150, 200, 250, 300, 400)
"""Numbers of rounds that are judged."""

SEARCHED = (
    "num_leaves",
    "min_data_in_leaf",
    "learning_rate",
    "lambda_l2",
    "feature_fraction",
    "bagging_fraction",
    "extra_trees",
)
"""Settings that are searched, beside the number of rounds and the signs of the catalogue."""

LEAST_GAIN = 0.001
"""A smaller gain of log loss over the default settings is taken as chance."""


@dataclass(frozen=True)
class Budget:
    """How long to try.

    Attributes:
        trials: Settings to try at most, the default ones among them.
        minutes: Minutes at most; None: no limit.
    """

    trials: int = 12
    minutes: float | None = None


@dataclass(frozen=True)
class Tuned:
    """What came of tuning.

    Attributes:
        recipe: With the best settings found.
        trials: One row a trial: settings, rounds, log_loss (level-free, mean of the folds),
            state; empty where nothing was tried.
    """

    recipe: Recipe
    trials: pd.DataFrame


@dataclass(frozen=True)
class _Fold:
    inputs: Inputs
    X: npt.NDArray[np.float32]
    y: npt.NDArray[np.float64]
    later: npt.NDArray[np.float32]
    came: npt.NDArray[np.float64]


def tune(
    name: str,
    recipe: Recipe,
    panel: Panel,
    until: dt.date,
    budget: Budget,
    *,
    like: Tuned | None = None,
    seed: int,
    threads: int,
) -> Tuned:
    """Look for better settings of a candidate's trees.

    Args:
        name: What to call it.
        recipe: Of kind "lightgbm".
        panel: The slices.
        until: Only cutoffs whose labels have closed by this day are looked at.
        budget: How long to try. With a limit in trials only, the outcome is the same on every
            machine.
        like: What was found for another candidate of the same kind: then only its settings are
            tried beside the defaults.
        seed: Seed of the search and of the trees.
        threads: Threads of the trees.

    Returns:
        The recipe with its best settings; the recipe as it is where fewer than two cutoffs can
        judge it.
    """
    small = panel.sample(MAX_ROWS)
    folds = _folds(small, until)
    if len(folds) < 2:
        note(f"{name} is not tuned: the history has too few closed cutoffs for it.")
        return Tuned(recipe, pd.DataFrame())
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        direction="minimize",
        sampler=optuna.samplers.TPESampler(seed=seed, n_startup_trials=8),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=4),
    )
    # The defaults first, with and without the signs of the catalogue.
    usual = TreeSettings().sized(len(folds[0].X), False)
    first = {"monotone": recipe.monotone, **{name: getattr(usual, name) for name in SEARCHED}}
    study.enqueue_trial(first)
    study.enqueue_trial({**first, "monotone": not recipe.monotone})
    trials = budget.trials
    if like is not None:
        trials = min(trials, 3)
        if "num_leaves" in like.recipe.params:
            study.enqueue_trial(_as_trial(like.recipe))
    with task(f"Tuning {name}", total=trials) as progress:

        def objective(trial: optuna.Trial) -> float:
            attempt = _suggested(trial, recipe)
            # The newest fold first; only what is worth it sees the others, side by side.
            losses = [_losses(attempt, folds[0], seed, threads)]
            trial.report(float(losses[0].min()), 0)
            if trial.should_prune():
                raise optuna.TrialPruned
            with ThreadPoolExecutor(threads) as pool:
                losses += pool.map(lambda fold: _losses(attempt, fold, seed, 1), folds[1:])
            mean = np.mean(losses, axis=0)
            best = int(np.argmin(mean))
            trial.set_user_attr("rounds", STAGES[best])
            return float(mean[best])

        study.optimize(
            objective,
            n_trials=trials,
            timeout=None if budget.minutes is None else 60.0 * budget.minutes,
            callbacks=[lambda _study, _trial: progress.advance()],
        )
    done = [t for t in study.trials if t.value is not None and "rounds" in t.user_attrs]
    if not done:
        return Tuned(recipe, _table(study))
    default = next((t for t in done if t.params == first), done[0])
    best = min(done, key=lambda t: (t.value, t.number))
    assert best.value is not None
    assert default.value is not None
    rounds = {"n_estimators": default.user_attrs["rounds"]}
    if default.value - best.value <= LEAST_GAIN:
        return Tuned(replace(recipe, params=rounds), _table(study))  # sized by the final rows
    found = _suggested(optuna.trial.FixedTrial(dict(best.params)), recipe)
    rounds = {"n_estimators": best.user_attrs["rounds"]}
    return Tuned(replace(found, params={**found.params, **rounds}), _table(study))


def level_free_log_loss(y: npt.NDArray[np.float64], score: npt.NDArray[np.float64]) -> float:
    """Mean log loss of log-odds after the constant that fits best is added to them.

    With one kind of outcome only, every level is beaten by a higher one, and the loss is 0.

    >>> round(level_free_log_loss(np.array([0.0, 1.0]), np.array([5.0, 5.0])), 6)
    0.693147
    """
    rate = float(y.mean())
    if rate in (0.0, 1.0):
        return 0.0
    middle = float(np.median(score))
    shift = brentq(lambda c: float(expit(score + c).mean()) - rate, -middle - 60.0, -middle + 60.0)
    moved = score + shift
    return float(-(y * log_expit(moved) + (1.0 - y) * log_expit(-moved)).mean())


def _folds(panel: Panel, until: dt.date) -> list[_Fold]:
    folds: list[_Fold] = []
    for cutoff in reversed(panel.closed_by(until)):
        past = panel.training_for(cutoff)
        if not past or len(folds) == FOLDS:
            break
        y, came = panel.training_outcomes(past), panel.training_outcomes([cutoff])
        if not (_both(y) and _both(came)):
            continue
        frames = panel.training_frames(past)
        inputs, _ = Inputs.choose(frames, panel.catalogue, past)
        later = inputs.matrix(panel.training_frames([cutoff]))
        folds.append(_Fold(inputs, inputs.matrix(frames), y, later, came))
    return folds


def _both(y: npt.NDArray[np.float64]) -> bool:
    return bool(len(y)) and 0.0 < float(y.mean()) < 1.0


def _suggested(trial: optuna.trial.BaseTrial, recipe: Recipe) -> Recipe:
    """The recipe with the settings of a trial."""
    monotone = trial.suggest_categorical("monotone", [True, False])
    settings = {
        "num_leaves": trial.suggest_int("num_leaves", 3, 24, log=True),
        "min_data_in_leaf": trial.suggest_int("min_data_in_leaf", 10, 300, log=True),
        "learning_rate": trial.suggest_float("learning_rate", 0.01, 0.08, log=True),
        "lambda_l2": trial.suggest_float("lambda_l2", 0.5, 100.0, log=True),
        "feature_fraction": trial.suggest_float("feature_fraction", 0.2, 1.0),
        "bagging_fraction": trial.suggest_float("bagging_fraction", 0.4, 1.0),
        "extra_trees": trial.suggest_categorical("extra_trees", [True, False]),
    }
    return replace(recipe, monotone=monotone, params=settings)


def _as_trial(recipe: Recipe) -> dict[str, Any]:
    """The settings of a recipe as the parameters of a trial."""
    settings = {k: v for k, v in recipe.params.items() if k != "n_estimators"}
    return {"monotone": recipe.monotone, **settings}


def _losses(recipe: Recipe, fold: _Fold, seed: int, threads: int) -> npt.NDArray[np.float64]:
    """Level-free log loss on the later cutoff after each number of rounds in `STAGES`."""
    grown = replace(recipe, params={**recipe.params, "n_estimators": STAGES[-1]})
    scorer = fit_scorer(grown, fold.inputs, fold.X, fold.y, seed=seed, num_threads=threads)
    assert isinstance(scorer, TreeScorer)
    return np.array([level_free_log_loss(fold.came, z) for z in scorer.staged(fold.later, STAGES)])


def _table(study: optuna.Study) -> pd.DataFrame:
    rows = [
        {
            **trial.params,
            "rounds": trial.user_attrs.get("rounds"),
            "log_loss": trial.value,
            "state": trial.state.name.lower(),
        }
        for trial in study.trials
    ]
    return pd.DataFrame(rows)
