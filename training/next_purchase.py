"""Train what a customer is likely to buy next: choose by a later period, and name the baseline.

The story of a training, top to bottom:

1. Two periods, one label window apart: what customers had bought before a cutoff, and what they
   bought on their first day with a purchase after it.
2. On the earlier one a model and a baseline are chosen for each of two questions: the next item,
   and the next item that the customer never bought before (`models.next_purchase`).
3. On the later one the model has to beat every baseline, popularity and "what they buy anyway", by
   the whole interval of the difference, customers drawn again. If it does not, the baseline is
   used, and said.
4. The same is fitted on all that is known, registered, and promoted by `training.promote`.
"""

import datetime as dt
import hashlib
from dataclasses import dataclass

import numpy as np
import pandas as pd

from features.baskets import Item, item_column
from features.errors import NotEnoughDataError
from features.ledger import Ledger
from features.progress import note, task
from features.window import ObservationWindow, last_closed_cutoff
from models.next_purchase import QUESTIONS, NextPurchase
from training.closing import close_training
from training.dataset import Holdout
from training.model_card import data_section, headline, model_card
from training.next_choice import Comparison, Period, compare, read_period
from training.next_contest import DECIDES, next_contest
from training.result import TrainingResult
from training.signature import signature
from training.tracking import Tracking, new_training_id, regulars_version

__all__ = ["REGISTERED_NAME", "NextSettings", "train_next"]

REGISTERED_NAME = "regulars-next"
"""Registered model."""


@dataclass(frozen=True)
class NextSettings:
    """What is asked.

    Attributes:
        horizon_days: Length of the label window: the next purchase counts if it falls into it.
        gap_days: Days between the cutoff and the label window.
        item: The column of the item; None: the category, else the product.
    """

    horizon_days: int = 90
    gap_days: int = 0
    item: Item | None = None


def train_next(
    ledger: Ledger, settings: NextSettings | None = None, *, seed: int = 0, tracking: Tracking
) -> TrainingResult:
    """Compare, fit on all that is known, register; the gate decides about its use.

    Args:
        ledger: The trusted tables.
        settings: What is asked.
        seed: Of the intervals; the model itself draws nothing.
        tracking: Where runs and models are kept.

    Raises:
        InputError: The transactions do not say what was bought.
        NotEnoughDataError: The history does not hold two label windows, or too few bought again.
    """
    settings = settings or NextSettings()
    item = item_column(ledger, settings.item)
    reach = dt.timedelta(days=settings.horizon_days + settings.gap_days)
    test = last_closed_cutoff(ledger.last_day, settings.horizon_days, settings.gap_days)
    if test - reach <= ledger.first_day:
        raise NotEnoughDataError(
            "The history is too short to compare forecasts of the next purchase: it takes two "
            f"label windows of {reach.days} days, and purchases before them.",
            "Use a longer history, or a shorter horizon_days under [churn].",
        )
    with task("Comparing forecasts of the next purchase", total=3) as progress:
        periods = []
        for cutoff in (test - reach, test):
            window = ObservationWindow(
                ledger.first_day, cutoff, settings.gap_days, settings.horizon_days
            )
            periods.append(read_period(ledger, window, item))
            progress.advance()
        found = compare(periods[0], periods[1], item, seed)
        progress.advance()
    for reason in found.reasons:
        note(f"{reason[0].upper()}{reason[1:]}.")
    until = ledger.last_day + dt.timedelta(days=1)
    now = ObservationWindow(ledger.first_day, until, settings.gap_days, settings.horizon_days)
    model = read_period(ledger, now, item).fit(item, found.methods, found.l2)
    judged = periods[1].fit(item, found.methods, found.l2)
    return _log(ledger, settings, periods[1], found, model, judged, seed, tracking)


def _log(
    ledger: Ledger,
    settings: NextSettings,
    test: Period,
    found: Comparison,
    model: NextPurchase,
    judged: NextPurchase,
    seed: int,
    tracking: Tracking,
) -> TrainingResult:
    training_id, holdout = new_training_id(), _holdout(test)
    measures = _measures(test, judged, found.k)
    story = (
        f"**What is bought next** ({model.item}, {len(model.items):,} items). Judged on "
        f"{len(test.judged):,} customers who bought before and after {test.window.cutoff}, by "
        f"lists of {found.k}.\n\n" + "".join(f"- {reason}\n" for reason in found.reasons)
    )
    until = (ledger.last_day + dt.timedelta(days=1)).isoformat()
    own = {"training_id": training_id, "trained_until": until, "item": model.item}
    tags = {
        "test_digest": holdout.digest,
        "methods": dict(found.methods),
        "seed": seed,
        "regulars_version": regulars_version(),
    }
    params = {
        "item": model.item,
        "items": len(model.items),
        "l2": found.l2,
        "k": found.k,
        "horizon_days": settings.horizon_days,
        "gap_days": settings.gap_days,
        **{f"method_{question}": method for question, method in found.methods.items()},
    }
    example = pd.DataFrame({"bought": [f'{{"{model.items[0]}": 2}}', "{}"]})
    with (
        task("Logging to MLflow", total=1),
        tracking.run(
            "next_purchase", family="next", training_id=training_id, tags=tags, params=params
        ) as run,
    ):
        version = tracking.register(
            run,
            REGISTERED_NAME,
            model,
            signature=signature(example, model.predict(example)),
            input_example=example,
            card=own,
            tags={**tags, **own, **headline(measures, tuple(measures))},
            description=model_card(
                "Next purchase",
                {
                    "Intended use": (
                        "Suggests what a customer may buy next, for those who stay. It ranks what "
                        "goes together; it does not tell what an offer would change."
                    ),
                    "Measured out of time": story,
                    "Data": data_section(ledger),
                    "How to use it": (
                        "`regulars segments -o segments.csv` has the next category; a plan "
                        "suggests it in `action`."
                    ),
                },
            ),
        )
        run.uses(holdout, "test")
        run.measure(measures, holdout)
        run.table("next_purchase", found.table)
        run.describe(story)
    results = pd.DataFrame({"next_purchase": measures}).T
    results.index.name = "candidate"

    contest = next_contest(test, judged, model.item, found.k, holdout, seed)
    return close_training(
        tracking,
        version,
        contest=contest,
        training_id=training_id,
        run_ids={"next_purchase": run.run_id},
        results=results,
        winner="next_purchase",
        story=story,
        dates={"evaluation": {"cutoff": test.window.cutoff.isoformat()}, "final": until},
    )


def _measures(period: Period, model: NextPurchase, k: int) -> dict[str, float]:
    """Means under the names of a run; the new items count where anybody bought one."""
    found, ndcg = {}, []
    for question in QUESTIONS:
        for name, values in period.measure(model, question, k).items():
            if np.isfinite(values).any():
                found[f"{question}/{name}"] = float(np.nanmean(values))
        if f"{question}/ndcg" in found:
            ndcg.append(found[f"{question}/ndcg"])
    return {**found, DECIDES: float(1.0 - np.mean(ndcg))}


def _holdout(period: Period) -> Holdout:
    digest = hashlib.sha256(f"{period.window}".encode())
    for row, items in zip(period.judged, period.following, strict=True):
        said = "\0".join([str(period.baskets.customers[row]), *sorted(items)]).encode()
        digest.update(len(said).to_bytes(4, "little") + said)
    facts = {"cutoff": period.window.cutoff.isoformat(), "customers": len(period.judged)}
    return Holdout("next_test", digest.hexdigest()[:32], facts)
