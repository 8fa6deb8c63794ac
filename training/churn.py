"""Train the churn model: choose a candidate, judge it out of time, refit it on the newest labels.

The story of a training, top to bottom:

1. A slice of all customers at every monthly cutoff (`training.churn_panel`): what is known of them
   and, where the label window has closed, what came. The last closed cutoff is the test.
2. Candidates (`training.churn_recipes`), their trees tuned on cutoffs before the test
   (`training.churn_tuning`).
3. Each candidate at rolling cutoffs (`training.churn_rolling`): fitted on what had closed by then,
   calibrated by how its earlier forecasts turned out. No label window reaches a later stage.
4. The latest closed cutoffs before the test decide between them, by money and by Brier score
   (`training.churn_choice`).
5. The test cutoff judges them all. Nothing was fitted, tuned, calibrated or chosen on it.
6. The winner is fitted again in the same way as of the day after the data, registered, and
   promoted by the rule of `training.promote`.

So the measures of a version are those of its recipe at the test cutoff; the version itself has
seen newer data. Both sets of cutoffs are written on the run and on the version.
"""

import datetime as dt
import os
from collections.abc import Mapping, Sequence
from typing import Any

from features.gate import gate_problems
from features.ledger import Ledger
from features.progress import note, task
from features.window import monthly_cutoffs, split_cutoffs
from models.scorers import Recipe
from training.churn_choice import choose_candidate, validation_cutoffs
from training.churn_log import REGISTERED_NAME, log_training
from training.churn_model import assemble
from training.churn_panel import ChurnSettings, Panel, churn_panel
from training.churn_pictures import REFERENCES, Judged, judge, measures_by_cutoff
from training.churn_recipes import P_NONE, TUNED, candidates, tuned
from training.churn_rolling import Rolling
from training.churn_stages import Plan, Training
from training.churn_tuning import Budget, Tuned, tune
from training.result import TrainingResult
from training.tracking import Tracking

__all__ = [
    "CHOICE_ROWS",
    "REGISTERED_NAME",
    "THREADS",
    "Plan",
    "churn_plan",
    "fit_all",
    "train_churn",
    "tune_candidates",
]

TRIALS: Mapping[str, int] = {"quick": 0, "usual": 8, "thorough": 60}
"""Tuning trials a candidate, by the effort."""

CHOICE_ROWS = 400_000
"""Of larger panels, a sample of customers of this size is enough to choose and to calibrate; what
is judged and registered is fitted on all."""

THREADS = min(4, os.cpu_count() or 1)
"""Threads of the trees."""


def churn_plan(ledger: Ledger, settings: ChurnSettings) -> Plan:
    """Lay out the cutoffs.

    Raises:
        NotEnoughDataError: The history is too short to train, to calibrate and to test, one after
            the other.
    """
    horizon, gap = settings.reach.days - settings.gap_days, settings.gap_days
    cutoffs = monthly_cutoffs(ledger.first_day, ledger.last_day, horizon, gap)
    split = split_cutoffs(cutoffs, horizon, gap)
    return Plan(cutoffs, split.test, ledger.last_day + dt.timedelta(days=1))


def train_churn(
    ledger: Ledger, settings: ChurnSettings, *, seed: int = 0, tracking: Tracking
) -> TrainingResult:
    """Choose, judge, refit and register the churn model; the gate decides about its use.

    Args:
        ledger: The trusted tables.
        settings: What churn means, and how hard to try.
        seed: Same ledger, settings, seed and versions of the libraries: same model, to the byte.
        tracking: Where runs and models are kept.

    Returns:
        What came of it.

    Raises:
        NotEnoughDataError: The history is too short for training, calibration and test.
        ModelError: The outcomes at the cutoffs are all the same.
        InputError: A candidate that does not exist.
    """
    plan = churn_plan(ledger, settings)
    for problem in gate_problems(ledger, settings.spec):
        note(problem.words)
    panel = churn_panel(ledger, settings, [*plan.cutoffs, plan.now])
    known = set(map(str, panel.slices[plan.now].features.columns))
    if settings.label == "subscriptions":
        known -= {"days_since_last", P_NONE}  # rules about purchases do not foretell contracts
    names = candidates(settings.effort, settings.candidates, known)
    found = tune_candidates(names, panel, plan.test, settings, seed)
    recipes = tuned(names, {name: each.recipe for name, each in found.items()})

    some = Rolling(panel.sample(CHOICE_ROWS), recipes, seed=seed, threads=THREADS)
    judging = [*validation_cutoffs(some, plan.test), plan.test]
    fit_all(some, recipes, judging)
    choice = choose_candidate(some, list(recipes), plan.test, settings, seed)
    full = some if some.panel is panel else Rolling(panel, recipes, seed=seed, threads=THREADS)
    judged = _judge(some, full, recipes, judging, settings, seed)
    with task("Fitting the chosen churn model on the newest labels", total=1) as progress:
        model = assemble(choice.winner, some, full, plan.now, seed)
        progress.advance()
    return log_training(
        Training(panel, plan, some, full, recipes, found, choice, judged, model, seed),
        ledger,
        tracking,
    )


def tune_candidates(
    names: Mapping[str, Recipe], panel: Panel, until: dt.date, settings: ChurnSettings, seed: int
) -> dict[str, Tuned]:
    """Tune the trees of those candidates that have any, by the effort of the settings."""
    trials = TRIALS[settings.effort] if settings.trials is None else settings.trials
    if trials < 1:
        return {}
    budget = Budget(trials, settings.minutes)
    first = next((name for name in TUNED if name in names), None)
    if first is None:
        return {}
    found = {first: tune(first, names[first], panel, until, budget, seed=seed, threads=THREADS)}
    for name in TUNED:
        if name in names and name != first:
            found[name] = tune(
                name,
                names[name],
                panel,
                until,
                budget,
                like=found[first],
                seed=seed,
                threads=THREADS,
            )
    return found


def fit_all(
    rolling: Rolling, names: Sequence[str] | Mapping[str, Any], days: list[dt.date]
) -> None:
    """Fit everything in the order of time, because the matrix of a cutoff is made only once."""
    needed = sorted({*days, *(c for day in days for c in rolling.origins(day))})
    with task("Fitting churn candidates", total=len(needed)) as progress:
        for day in needed:
            rolling.score_all(names, day)
            progress.advance()


def _judge(
    some: Rolling,
    full: Rolling,
    recipes: Mapping[str, Recipe],
    judging: list[dt.date],
    settings: ChurnSettings,
    seed: int,
) -> dict[str, Judged]:
    test = judging[-1]
    p = {name: some.calibration(name, test).calibrator(full.scores(name, test)) for name in recipes}
    rules = {label: p[name] for name, label in REFERENCES.items() if name in p}
    with task("Measuring churn candidates", total=len(recipes)) as progress:
        judged = {}
        for name in recipes:
            table = measures_by_cutoff(some, name, judging, settings)
            judged[name] = judge(
                name, p[name], full.panel.slices[test], rules, settings, table, seed
            )
            progress.advance()
    return judged
