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
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from features.catalogue import catalogue_hash
from features.extra import extra_source
from features.gate import gate_problems
from features.ledger import Ledger
from features.progress import note, task
from features.window import CutoffSplit, monthly_cutoffs, split_cutoffs
from models.churn import LOW_RISK_AT_MOST, ChurnModel
from models.scorers import Recipe
from models.tiers import Tiers
from training import metrics
from training.churn_choice import choose_candidate, validation_cutoffs
from training.churn_panel import ChurnSettings, Panel, churn_panel
from training.churn_pictures import (
    REFERENCES,
    Judged,
    judge,
    log_importance,
    log_judged,
    measures_by_cutoff,
)
from training.churn_recipes import P_NONE, TUNED, candidates, tuned
from training.churn_rolling import Rolling
from training.churn_tuning import Budget, Tuned, tune
from training.dataset import Holdout, holdout
from training.metrics.choice import RULE as CHOICE_RULE
from training.metrics.choice import Simplest
from training.promote import RULE, promote
from training.result import TrainingResult
from training.signature import signature
from training.tracking import (
    Tracking,
    markdown_table,
    new_training_id,
    regulars_version,
)

__all__ = [
    "CHOICE_ROWS",
    "REGISTERED_NAME",
    "THREADS",
    "Plan",
    "assemble",
    "churn_plan",
    "fit_all",
    "train_churn",
    "tune_candidates",
]

REGISTERED_NAME = "regulars-churn"
SHOWN = (
    "churn/roc_auc",
    "churn/brier",
    "churn/ece",
    "churn/mean_p_minus_rate",
    "churn/lift_at_10",
    "churn/realised_profit",
)

TRIALS: Mapping[str, int] = {"quick": 0, "usual": 8, "thorough": 60}
"""Tuning trials a candidate, by the effort."""

CHOICE_ROWS = 400_000
"""Of larger panels, a sample of customers of this size is enough to choose and to calibrate; what
is judged and registered is fitted on all."""

THREADS = min(4, os.cpu_count() or 1)
"""Threads of the trees."""


@dataclass(frozen=True)
class Plan:
    """The cutoffs of a training.

    Attributes:
        cutoffs: All closed monthly cutoffs.
        test: The last of them.
        now: The day after the data.
    """

    cutoffs: list[dt.date]
    test: dt.date
    now: dt.date


def churn_plan(ledger: Ledger, settings: ChurnSettings) -> Plan:
    """Lay out the cutoffs.

    Raises:
        NotEnoughDataError: The history is too short to train, to calibrate and to test, one after
            the other.
    """
    horizon, gap = settings.reach.days - settings.gap_days, settings.gap_days
    cutoffs = monthly_cutoffs(ledger.first_day, ledger.last_day, horizon, gap)
    split: CutoffSplit = split_cutoffs(cutoffs, horizon, gap)
    return Plan(cutoffs, split.test, ledger.last_day + dt.timedelta(days=1))


def train_churn(
    ledger: Ledger, settings: ChurnSettings, *, seed: int = 0, tracking: Tracking
) -> TrainingResult:
    """Choose, judge, refit and register the churn model; promote it if it is better.

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
        model = assemble(choice.winner, some, full, plan.now, _hash(settings), seed)
        progress.advance()
    return _log(
        _Training(panel, plan, some, full, recipes, found, choice, judged, model, seed),
        ledger,
        tracking,
    )


def assemble(
    name: str, some: Rolling, full: Rolling, day: dt.date, catalogue: str, seed: int
) -> ChurnModel:
    """The model of a candidate as of a day, ready to be registered.

    Args:
        name: Of the candidate.
        some: Where its calibration is learned.
        full: Where it is fitted.
        day: A cutoff of the panel.
        catalogue: Hash of what the features mean.
        seed: Written on the card.
    """
    settings = full.panel.settings
    fitted, calibration = full.fit(name, day), some.calibration(name, day)
    origins = some.origins(day)
    matrix = fitted.inputs.matrix(full.panel.slices[day].features)
    probability = calibration.calibrator(fitted.scorer.raw(matrix))
    return ChurnModel.assemble(
        inputs=fitted.inputs,
        scorer=fitted.scorer,
        calibrator=calibration.calibrator,
        interval=calibration.interval,
        tiers=Tiers.learn(probability, low_at_most=LOW_RISK_AT_MOST),
        horizon_days=settings.horizon_days,
        gap_days=settings.gap_days,
        sample=matrix,
        card={
            "candidate": name,
            "recipe": full.recipes[name].to_dict(),
            "label": settings.spec.to_dict() | {"of": settings.label},
            "dropped": dict(fitted.dropped),
            "catalogue_hash": catalogue,
            "train_cutoffs": [str(c) for c in fitted.cutoffs],
            "calibration_cutoffs": [str(c) for c in origins],
            "trained_until": str(max(fitted.cutoffs) + settings.reach),
            "training": {
                "rows": fitted.rows,
                "customers": fitted.customers,
                "churn_rate": fitted.churn_rate,
                "rounds": fitted.scorer.rounds,
                "seed": seed,
            },
            "calibration": {
                "method": calibration.method,
                "source": calibration.source,
                "reason": calibration.reason,
            },
        },
    )


@dataclass(frozen=True)
class _Training:
    """All that is written down."""

    panel: Panel
    plan: Plan
    some: Rolling
    full: Rolling
    recipes: Mapping[str, Recipe]
    tuning: Mapping[str, Tuned]
    choice: Simplest
    judged: Mapping[str, Judged]
    model: ChurnModel
    seed: int


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


def _log(t: _Training, ledger: Ledger, tracking: Tracking) -> TrainingResult:
    settings, test_slice = t.panel.settings, t.panel.slices[t.plan.test]
    training_id, winner = new_training_id(), t.choice.winner
    keep = test_slice.eligible
    assert test_slice.labels is not None
    test = holdout("churn_test", test_slice.window, test_slice.labels[keep])
    dates = {
        "evaluation": _dates(t.full, t.some, winner, t.plan.test) | {"test": str(t.plan.test)},
        "final": _dates(t.full, t.some, winner, t.plan.now) | {"test": None},
    }
    results = pd.DataFrame({name: each.measures for name, each in t.judged.items()}).T
    results.index.name = "candidate"
    story = _story(t, test, results, dates)
    hashed = _hash(settings)
    tags = {
        "test_cutoff": str(t.plan.test),
        "test_digest": test.digest,
        "cutoffs": dates,
        "catalogue_hash": hashed,
        "data_fingerprint": ledger.fingerprint,
        "label": settings.spec.to_dict() | {"of": settings.label},
        "seed": t.seed,
        "regulars_version": regulars_version(),
    }
    run_ids: dict[str, str] = {}
    registered = None
    with task("Logging to MLflow", total=len(t.recipes)) as progress:
        for name, recipe in t.recipes.items():
            params = _params(t, name, recipe)
            with tracking.run(
                name, family="churn", training_id=training_id, tags=tags, params=params
            ) as run:
                run_ids[name] = run.run_id
                if name == winner:
                    registered = _register(t, tracking, run, tags, dates, training_id, story)
                run.uses(test, "test")
                log_judged(run, t.judged[name], test, settings, t.seed)
                log_importance(run, assemble(name, t.some, t.full, t.plan.test, hashed, t.seed))
                run.table("calibration_choice", t.some.calibration(name, t.plan.test).evidence)
                run.table("choice", t.choice.table)
                if name in t.tuning:
                    run.table("tuning", t.tuning[name].trials)
                run.describe(story)
            progress.advance()
    assert registered is not None

    def score(champion: Any) -> float:
        predicted = champion.predict(test_slice.features[keep], reasons=False)
        return metrics.brier(test_slice.churned[keep], predicted["churn_probability"])

    decision = promote(
        tracking,
        registered,
        metric="churn/brier",
        measured=t.judged[winner].measures["churn/brier"],
        test=test,
        score=score,
    )
    rule = RULE.format(metric="churn/brier")
    tracking.explain(run_ids[winner], decision.promoted, decision.reason, rule)
    for run_id in run_ids.values():
        tracking.client.set_tag(run_id, "winner", winner)
    tracking.summarise(
        {"training_id": training_id},
        dict(t.judged[winner].measures),
        f"{story}\n\n**{REGISTERED_NAME} version {registered.version}**: {decision.reason}.",
    )
    return TrainingResult(
        REGISTERED_NAME,
        str(registered.version),
        training_id,
        run_ids,
        results,
        winner,
        decision.promoted,
        decision.reason,
        dates,
    )


def _register(
    t: _Training,
    tracking: Tracking,
    run: Any,
    tags: Mapping[str, Any],
    dates: Mapping[str, Any],
    training_id: str,
    story: str,
) -> Any:
    until = str(t.model.card["trained_until"])
    example = _example(t.model, t.panel.slices[t.plan.test].features)
    return tracking.register(
        run,
        REGISTERED_NAME,
        t.model,
        signature=signature(example, t.model.predict(example), {"language": "en"}),
        input_example=example,
        card={"training_id": training_id, "trained_until": until, "cutoffs": dates},
        tags={
            **tags,
            **{key: repr(value) for key, value in t.judged[t.choice.winner].measures.items()},
            "training_id": training_id,
            "candidate": t.choice.winner,
            "trained_until": until,
            "evaluation": "measures are those of the same recipe at the test cutoff, before the "
            "final fit moved forward",
        },
        description=story,
    )


def _hash(settings: ChurnSettings) -> str:
    return catalogue_hash(extra_source=extra_source(settings.features))


def _dates(full: Rolling, some: Rolling, name: str, day: dt.date) -> dict[str, Any]:
    return {
        "train": [str(c) for c in full.fit(name, day).cutoffs],
        "calibration": [str(c) for c in some.origins(day)],
    }


def _params(t: _Training, name: str, recipe: Recipe) -> dict[str, Any]:
    settings = t.panel.settings
    fitted = t.full.fit(name, t.plan.test)
    calibration = t.some.calibration(name, t.plan.test)
    described = fitted.scorer.description
    return {
        "horizon_days": settings.horizon_days,
        "gap_days": settings.gap_days,
        "eligibility": settings.eligibility,
        "label": settings.label,
        "effort": settings.effort,
        "seed": t.seed,
        "train_cutoffs": len(fitted.cutoffs),
        "train_rows": fitted.rows,
        "test_cutoff": str(t.plan.test),
        "features": len(fitted.inputs.names),
        "kind": recipe.kind,
        "calibration": calibration.method,
        "calibration_source": calibration.source,
        **{f"offer_{k.removeprefix('offer_')}": v for k, v in vars(settings.offer).items()},
        **({} if fitted.scorer.rounds is None else {"rounds": fitted.scorer.rounds}),
        **({"monotone": described["monotone"]} if "monotone" in described else {}),
        **described.get("settings", {}),
    }


def _example(model: ChurnModel, features: pd.DataFrame) -> pd.DataFrame:
    """Medians and lower quartiles of all customers, and the commonest category: nobody's row."""
    columns = {}
    for name in model.feature_names:
        column = features[name]
        if name in model.text_columns:
            columns[name] = [_commonest(column)] * 2
        else:
            columns[name] = np.nan_to_num(
                column.astype("float64").quantile([0.5, 0.25]).to_numpy(), nan=0.0
            ).tolist()
    return pd.DataFrame(columns)


def _commonest(column: "pd.Series[Any]") -> str:
    counts = column.value_counts()
    return str(counts.index[0]) if len(counts) else ""


def _story(t: _Training, test: Holdout, results: pd.DataFrame, dates: Mapping[str, Any]) -> str:
    """What was done, in Markdown, for the page of a run or a version."""
    facts, winner = test.facts, t.choice.winner
    before, after = dates["evaluation"], dates["final"]
    calibration = t.some.calibration(winner, t.plan.now)
    interval = t.judged[winner].resampled.interval("churn/roc_auc")
    return (
        f"**Churn, out of time.** {facts['customers']:,} customers at the test cutoff "
        f"{facts['cutoff']}; {facts['churned']:,} of them bought nothing from "
        f"{facts['label_start']} until {facts['label_end']}.\n\n"
        f"{markdown_table(results, [name for name in SHOWN if name in results])}\n\n"
        f"Chosen: **{winner}** ({t.choice.reason}), before the test, by this rule: {CHOICE_RULE}. "
        f"Its ROC-AUC lies between {interval.low:.3f} and {interval.high:.3f} (95 %, customers "
        f"resampled). Trained on {len(before['train'])} monthly cutoffs "
        f"({before['train'][0]} to {before['train'][-1]}). The registered model is the same recipe "
        f"moved forward: trained on {after['train'][0]} to {after['train'][-1]}; calibration: "
        f"{calibration.reason}."
    )
