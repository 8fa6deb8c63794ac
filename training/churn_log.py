"""What a churn training writes to MLflow: a run a candidate, a registered version, and why."""

import datetime as dt
from collections.abc import Mapping
from typing import Any

import pandas as pd

from features.compatibility import feature_facts
from features.ledger import Ledger
from features.progress import task
from models.scorers import Recipe
from training.churn_card import churn_card, level_words
from training.churn_choice import validation_cutoffs
from training.churn_contest import churn_contest
from training.churn_model import assemble, features_hash
from training.churn_pictures import log_importance, log_judged
from training.churn_policies import log_policies
from training.churn_rolling import Rolling
from training.churn_stages import Training
from training.closing import close_training
from training.dataset import Holdout, holdout
from training.metrics.choice import RULE as CHOICE_RULE
from training.model_card import headline
from training.reference import churn_reference
from training.result import TrainingResult
from training.signature import signature, usual_rows
from training.tracking import Tracking, markdown_table, new_training_id, regulars_version

__all__ = ["REGISTERED_NAME", "log_training"]

REGISTERED_NAME = "regulars-churn"
SHOWN = (
    "churn/roc_auc",
    "churn/brier",
    "churn/ece",
    "churn/mean_p_minus_rate",
    "churn/lift_at_10",
    "churn/realised_profit",
)


def log_training(t: Training, ledger: Ledger, tracking: Tracking) -> TrainingResult:
    """Log one run a candidate, register the chosen model, and decide about the champion."""
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
    tags = {
        "test_cutoff": str(t.plan.test),
        "test_digest": test.digest,
        "cutoffs": dates,
        "catalogue_hash": features_hash(settings),
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
                    card = churn_card(t, ledger, dates)
                    registered = _register(t, tracking, run, tags, dates, training_id, card)
                run.uses(test, "test")
                log_judged(run, t.judged[name], test, settings, t.seed)
                log_importance(run, assemble(name, t.some, t.full, t.plan.test, t.seed))
                run.table("calibration_choice", t.some.calibration(name, t.plan.test).evidence)
                run.table("choice", t.choice.table)
                if name in t.tuning:
                    run.table("tuning", t.tuning[name].trials)
                if name == winner:
                    judging = [*validation_cutoffs(t.some, t.plan.test), t.plan.test]
                    log_policies(run, ledger, t.some, name, judging, settings, t.seed)
                run.describe(story)
            progress.advance()
    assert registered is not None

    contest = churn_contest(
        winner, t.judged, t.recipes, t.some, t.full, test, test_slice, settings, t.seed
    )
    off = level_words(t.judged[winner])
    return close_training(
        tracking,
        registered,
        contest=contest,
        training_id=training_id,
        run_ids=run_ids,
        results=results,
        winner=winner,
        story=story,
        dates=dates,
        remark=f"; mind that {off}" if off else "",
    )


def _register(
    t: Training,
    tracking: Tracking,
    run: Any,
    tags: Mapping[str, Any],
    dates: Mapping[str, Any],
    training_id: str,
    model_card: str,
) -> Any:
    until = str(t.model.card["trained_until"])
    example = usual_rows(t.panel.slices[t.plan.test].features, t.model.feature_names)
    return tracking.register(
        run,
        REGISTERED_NAME,
        t.model,
        signature=signature(example, t.model.predict(example), {"language": "en"}),
        input_example=example,
        card={
            "training_id": training_id,
            "trained_until": until,
            "cutoffs": dates,
            **feature_facts(t.panel.settings.features),
        },
        tags={
            **tags,
            **headline(t.judged[t.choice.winner].measures, SHOWN),
            "training_id": training_id,
            "candidate": t.choice.winner,
            "trained_until": until,
            "evaluation": "measures are those of the same recipe at the test cutoff, before the "
            "final fit moved forward",
        },
        description=model_card,
        files=churn_reference(t.model, t.some.panel, t.panel.training_for(t.plan.now), t.plan.now),
    )


def _dates(full: Rolling, some: Rolling, name: str, day: dt.date) -> dict[str, Any]:
    return {
        "train": [str(c) for c in full.fit(name, day).cutoffs],
        "calibration": [str(c) for c in some.origins(day)],
    }


def _params(t: Training, name: str, recipe: Recipe) -> dict[str, Any]:
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


def _story(t: Training, test: Holdout, results: pd.DataFrame, dates: Mapping[str, Any]) -> str:
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
