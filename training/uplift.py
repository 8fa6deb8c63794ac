"""Train the uplift model: what a treatment changes for each customer, from past campaigns.

The story of a training, top to bottom:

1. Every randomised campaign whose horizon is over is an example: a snapshot at its first day, the
   arm, and who bought within the horizon (`training.uplift_examples`).
2. For each kind of treatment, learners are fitted on the campaigns that had closed before the
   kind's last one, and judged on that one by the Qini curve. With a single campaign each customer
   is judged by models fitted on the others (cross-fitting).
3. The learner is chosen on the earlier campaigns alone: `odds`, unless another one has a loss that
   is lower by more than two standard errors.
4. A kind earns its place where the bootstrap interval of its Qini area lies above 0, a random
   order. The kinds that do are fitted on all campaigns and registered together; where none does,
   nothing is registered, and the reason is said.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.catalogue import catalogue_hash
from features.compatibility import feature_facts
from features.extra import extra_source
from features.ledger import Ledger
from features.progress import note, task
from features.settings import FeatureSettings
from models.uplift.examples import fit_base
from models.uplift.learners import LEARNERS, fit_effects
from models.uplift.model import UpliftModel
from models.uplift.qini import qini_band, uplift_at
from training.closing import close_training
from training.dataset import Holdout
from training.figures.uplift import qini as qini_figure
from training.model_card import headline, model_card
from training.result import TrainingResult
from training.run import Run, escaped
from training.signature import signature, usual_rows
from training.tracking import Tracking, markdown_table, new_training_id, regulars_version
from training.uplift_contest import METRIC, uplift_contest
from training.uplift_examples import Pool, Trials, trials
from training.uplift_judging import Judged, judge, threads_for

__all__ = ["REGISTERED_NAME", "UpliftSettings", "train_uplift"]

Floats = npt.NDArray[np.float64]

REGISTERED_NAME = "regulars-uplift"
"""Name of the registered uplift model."""

CHOSEN = "chosen"
"""Candidate that takes for each kind the learner chosen for it; it alone is registered."""

SHARE = 0.3
"""Share of customers of uplift@k."""


@dataclass(frozen=True)
class UpliftSettings:
    """What the uplift model is asked for.

    Attributes:
        horizon_days: Days after the contact within which a purchase means that a customer stayed.
        features: Features beside the catalogue.
    """

    horizon_days: int = 90
    features: FeatureSettings | None = None


def train_uplift(
    ledger: Ledger, settings: UpliftSettings, *, seed: int, tracking: Tracking
) -> TrainingResult:
    """Learn effects from past campaigns; register the kinds of treatment that can be foretold.

    Args:
        ledger: The trusted tables, with contacts that name campaign and arm.
        settings: What is asked for.
        seed: Same data and seed: same model.
        tracking: Where runs and models are kept.

    Returns:
        What came of it; with an empty version where nothing was registered.

    Raises:
        NotEnoughDataError: There is no campaign to learn from.
    """
    found = trials(ledger, settings.horizon_days, settings.features)
    judged = []
    with task("Judging uplift learners", total=len(found.kinds)) as progress:
        for kind in found.kinds:
            judged.append(judge(found, kind, seed))
            progress.advance()
    return _log(found, judged, settings, seed, tracking)


def _model(found: Trials, judged: list[Judged], settings: UpliftSettings, seed: int) -> UpliftModel:
    """The chosen learners, fitted on all campaigns."""
    threads = threads_for(found)
    pool = Pool.of(found, seed, threads)
    base = fit_base(pool.inputs, pool.X, pool.y, seed=seed, num_threads=threads)
    effects = {
        each.kind: fit_effects(
            each.learner, pool.examples[each.kind], seed=seed, num_threads=threads
        )
        for each in judged
    }
    until = max(trial.closed(found.horizon_days) for trial in found.each)
    card = {
        "campaigns": [trial.campaign.name for trial in found.each],
        "catalogue_hash": catalogue_hash(
            extra_source=extra_source(settings.features or FeatureSettings())
        ),
        **feature_facts(settings.features or FeatureSettings()),
        "customers": int(sum(len(trial.stayed) for trial in found.each)),
        "trained_until": until.isoformat(),
        "seed": seed,
    }
    return UpliftModel(found.horizon_days, pool.inputs, base, effects, card)


def _log(
    found: Trials,
    judged: list[Judged],
    settings: UpliftSettings,
    seed: int,
    tracking: Tracking,
) -> TrainingResult:
    training_id, test = new_training_id(), _holdout(judged, found.horizon_days)
    results = _results(judged)
    earned = [each for each in judged if each.earned]
    story = _story(judged, results)
    tags = {
        "test_digest": test.digest,
        "seed": seed,
        "horizon_days": found.horizon_days,
        "regulars_version": regulars_version(),
    }
    params = {
        "horizon_days": found.horizon_days,
        "campaigns": len(found.each),
        "treatments": ", ".join(found.kinds),
        "seed": seed,
    }
    run_ids: dict[str, str] = {}
    registered = None
    with task("Logging to MLflow", total=len(results)) as progress:
        for candidate in results.index:
            with tracking.run(
                candidate, family="uplift", training_id=training_id, tags=tags, params=params
            ) as run:
                run_ids[candidate] = run.run_id
                if candidate == CHOSEN and earned:
                    registered = _register(
                        _model(found, earned, settings, seed), found, results, run, tags, tracking,
                        training_id, story,
                    )  # fmt: skip
                run.uses(test, "test")
                run.measure(results.loc[candidate].to_dict(), test)
                if candidate == CHOSEN:
                    _log_curves(run, judged, seed)
                run.describe(story)
            progress.advance()
    dates = {"evaluation": {each.kind: each.test.campaign.name for each in judged}}
    if registered is None:
        reason = (
            "no kind of campaign could be foretold better than at random, with its interval; "
            "what a treatment does on average stands in `regulars measures`"
        )
        note(f"No uplift model is registered: {reason}.")
        return TrainingResult(
            REGISTERED_NAME, "", training_id, run_ids, results, CHOSEN, False, reason, dates
        )

    contest = uplift_contest(judged, test, found.horizon_days, settings.features, seed)
    return close_training(
        tracking,
        registered,
        contest=contest,
        training_id=training_id,
        run_ids=run_ids,
        results=results,
        winner=CHOSEN,
        story=story,
        dates=dates,
    )


def _results(judged: list[Judged]) -> pd.DataFrame:
    """Candidates as rows, measures as columns: by kind, and their means."""
    rows: dict[str, dict[str, float]] = {}
    for candidate in (*LEARNERS, CHOSEN):
        row: dict[str, float] = {}
        for each in judged:
            name = each.learner if candidate == CHOSEN else candidate
            found, test = each.found[name], each.test
            row |= {
                f"uplift/{each.kind}/qini_area": found.area.value,
                f"uplift/{each.kind}/qini_area_low": found.area.low,
                f"uplift/{each.kind}/qini_area_high": found.area.high,
                f"uplift/{each.kind}/qini_sklift": found.sklift.value,
                f"uplift/{each.kind}/autoc": found.autoc.value,
                f"uplift/{each.kind}/uplift_at_30": uplift_at(
                    test.stayed, test.treated, each.effects[name], SHARE
                ),
                f"uplift/{each.kind}/average_effect": float(
                    test.stayed[test.treated == 1].mean() - test.stayed[test.treated == 0].mean()
                ),
            }
        kept = [
            row[f"uplift/{each.kind}/qini_area"] if candidate != CHOSEN or each.earned else 0.0
            for each in judged
        ]
        row[METRIC] = -float(np.mean(kept))
        rows[candidate] = row
    results = pd.DataFrame(rows).T
    results.index.name = "candidate"
    return results


def _holdout(judged: list[Judged], horizon_days: int) -> Holdout:
    """The campaigns judged on, by digest of customers, arms and outcomes."""
    digest = hashlib.sha256(str(horizon_days).encode())
    for each in judged:
        digest.update(each.test.campaign.name.encode())
        order = np.argsort(each.test.features.index.astype(str), kind="stable")
        for customer in each.test.features.index.astype(str)[order]:
            digest.update(customer.encode() + b"\0")
        digest.update(each.test.treated[order].tobytes() + each.test.stayed[order].tobytes())
    first = min(each.test.campaign.first_day for each in judged)
    facts = {
        "cutoff": first.isoformat(),
        "horizon_days": horizon_days,
        "campaigns": [each.test.campaign.name for each in judged],
        "customers": int(sum(len(each.test.stayed) for each in judged)),
    }
    return Holdout("uplift_test", digest.hexdigest()[:32], facts)


def _register(
    model: UpliftModel,
    found: Trials,
    results: pd.DataFrame,
    run: Run,
    tags: Mapping[str, Any],
    tracking: Tracking,
    training_id: str,
    story: str,
) -> Any:
    example = usual_rows(pd.concat([trial.features for trial in found.each]), model.feature_names)
    own = {"training_id": training_id, "trained_until": model.card["trained_until"]}
    chosen: Mapping[str, float] = results.to_dict("index")[CHOSEN]  # type: ignore[assignment]
    areas = [str(name) for name in chosen if str(name).endswith("/qini_area")]
    measured = headline(chosen, areas)
    return tracking.register(
        run,
        REGISTERED_NAME,
        model,
        signature=signature(example, model.predict(example)),
        input_example=example,
        card=own,
        tags={**tags, **measured, **own, "treatments": ", ".join(model.treatments)},
        description=model_card(
            "Uplift",
            {
                "Intended use": (
                    "Tells by how much a contact of each kind changes the chance of a purchase, so "
                    "that those are contacted who buy because of it. Only for kinds of campaign "
                    "that were randomised, and customers like those who took part."
                ),
                "Measured": story,
                "How to use it": (
                    'Offers with `effect = "uplift"` under `[decision]` use it in '
                    "`regulars actions`; docs/campaigns.md."
                ),
            },
        ),
    )


def _log_curves(run: Run, judged: list[Judged], seed: int) -> None:
    curves = []
    for each in judged:
        test = each.test
        curve = qini_band(test.stayed, test.treated, each.effects[each.learner], seed=seed)
        shown = each.kind.replace("$", r"\$")  # a pair of them would be a formula
        run.figure(f"qini_{each.kind}", qini_figure(curve, title=f"Ranking by effect: {shown}"))
        of = curve.assign(treatment=each.kind, campaign=test.campaign.name, earned=each.earned)
        curves.append(of)
    run.table("qini", pd.concat(curves, ignore_index=True))


def _story(judged: list[Judged], results: pd.DataFrame) -> str:
    """What was done, in Markdown."""
    lines = []
    for each in judged:
        area = each.found[each.learner].area
        how = "out of fold" if each.cross_fitted else "out of time"
        verdict = "better than a random order" if each.earned else "not surely better than random"
        lines.append(
            f"- **{escaped(each.kind)}**, judged {how} on {escaped(each.test.campaign.name)} "
            f"({len(each.test.stayed):,} customers) with the learner {each.learner}: Qini area "
            f"{area.value:.4g} purchases a customer [{area.low:.4g}, {area.high:.4g}], {verdict}."
        )
    shown = [name for name in results.columns if name.endswith("/qini_area")]
    return (
        "**Uplift of past campaigns.** Effects are changes of the chance of a purchase within the "
        "horizon; the Qini area is that between the curve (gain a treated customer, by share of "
        "customers contacted) and the line of a random choice.\n\n"
        + "\n".join(lines)
        + f"\n\n{markdown_table(results, shown)}"
    )
