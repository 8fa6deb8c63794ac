"""Train on a plain table of customers with a given label: contracts, fees, use, and who left.

The story of a training, top to bottom:

1. The table is made sense of (`features.customer_table`): ids, label, numbers, categories, and
   columns that no model should be shown.
2. Candidates: the base rate, logistic regression, LightGBM, and the blend of the two. There is no
   time to split by, so each is measured on forecasts out of fold (`training.table_folds`).
3. The winner is the simplest candidate that is as good as the best (`training.metrics.choice`).
4. It is fitted again on all customers, registered under a name of its own, because it reads other
   columns than the model of a ledger, and promoted by the rule of `training.promote`.

A table is a snapshot that somebody else took. Whether its columns were known before its label came
about cannot be seen from it; out-of-fold measures are only as honest as that.
"""

import datetime as dt
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.customer_table import CustomerTable, customer_table
from features.errors import InputError, NotEnoughDataError
from features.progress import note, task
from models.churn import ChurnModel
from models.decision import Offer
from models.scorers import Recipe
from training import figures, metrics
from training.churn_pictures import intervals
from training.closing import close_training
from training.dataset import Holdout
from training.model_card import headline, model_card
from training.result import TrainingResult
from training.run import Run, escaped
from training.signature import signature, usual_rows
from training.table_contest import table_contest
from training.table_folds import (
    FOLDS,
    fit_table_model,
    forecast_out_of_fold,
)
from training.tracking import Tracking, markdown_table, new_training_id, regulars_version

Floats = npt.NDArray[np.float64]

__all__ = ["BASE_RATE", "CANDIDATES", "REGISTERED_NAME", "train_table"]

REGISTERED_NAME = "regulars-churn-table"
"""Registered model, unless the caller gives another name."""

BASE_RATE = "base_rate"
"""Candidate that knows nothing of a customer. It is measured, and never registered."""

_LOGISTIC, _TREES = Recipe("logistic"), Recipe("lightgbm")
CANDIDATES: Mapping[str, Recipe] = {
    "logistic": _LOGISTIC,
    "lightgbm": _TREES,
    "blend": Recipe("blend", members=(_LOGISTIC, _TREES)),
}
"""Candidate -> recipe, the simplest first."""

MIN_OUTCOME = 25
"""Customers of each outcome that are needed: five a fold."""
TOO_GOOD = 0.99
"""AUC above which a table is likely to tell the label."""
VALUE = 200.0
"""What a customer is worth who stays, where nobody says so: the value of the EMPC literature."""
REPLICATES = 300

SHOWN = ("churn/roc_auc", "churn/brier", "churn/log_loss", "churn/ece", "churn/lift_at_10")
THREADS = min(4, os.cpu_count() or 1)


def train_table(
    frame: pd.DataFrame,
    *,
    label: str,
    id: str | None = None,  # noqa: A002
    positive: str | None = None,
    decimal: Literal[".", ","] | None = None,
    as_of: dt.date | None = None,
    name: str = REGISTERED_NAME,
    value: float = VALUE,
    offer: Offer | None = None,
    seed: int = 0,
    tracking: Tracking,
) -> TrainingResult:
    """Compare candidates on a table with a given label, register the best, send it to the gate.

    Args:
        frame: One row a customer, such as `features.customer_table.read_customers` gives; numbers,
            text and categorical columns, missing values allowed. It is not written to.
        label: Column with the label: two values, one for customers who left.
        id: Column with the customer ids; None: found by its name.
        positive: The value of the label that means that the customer left; None: recognised
            (Yes/No, 1/0, Churned/Stayed and the like).
        decimal: Decimal mark of numbers that are written as text; None: what they prove.
        as_of: The day on which the columns were true. With it, a model trained before that day can
            be compared with the new one on this table; without it, only models that were trained
            on the same table can.
        name: Registered model.
        value: What a customer is worth who stays.
        offer: What keeping a customer costs; the usual one when left out.
        seed: Same table, seed and versions of the libraries: same model, to the byte, in whatever
            order the rows are.
        tracking: Where runs and models are kept.

    Returns:
        What came of it.

    Raises:
        InputError: The table cannot be used; see `features.customer_table.customer_table`.
        NotEnoughDataError: There are fewer than 25 customers of one outcome.
    """
    if not name.strip():
        raise InputError("The registered model has no name.", 'For instance "shop-churn".')
    table = customer_table(frame, label=label, id=id, positive=positive, decimal=decimal)
    for sentence in table.notes():
        note(sentence)
    table = table.sorted()
    y = _outcomes(table, label)
    offer = offer or Offer()
    forecasts = forecast_out_of_fold(table, CANDIDATES, seed=seed, threads=THREADS)
    known = {candidate: found.p for candidate, found in forecasts.items()}
    choice = metrics.simplest_not_worse(y, known, value, offer, seed=seed)
    every = {BASE_RATE: np.full(len(y), y.sum() / len(y)), **known}
    sure = {
        candidate: metrics.resample(
            y, p, value=value, offer=offer, replicates=REPLICATES, seed=seed
        )
        for candidate, p in every.items()
    }
    measures = {
        candidate: metrics.churn_metrics(y, p, value=value, offer=offer)
        for candidate, p in every.items()
    }
    _warn(measures, choice.winner)
    about = {"column": label, "churned": table.churned}
    with task("Fitting the churn models on all customers", total=len(CANDIDATES)) as progress:
        models = {}
        for candidate, recipe in CANDIDATES.items():
            card = {"candidate": candidate, "label": about}
            models[candidate] = fit_table_model(
                table, recipe, forecasts[candidate], card, seed=seed, threads=THREADS
            )
            progress.advance()
    return _log(
        _Training(table, y, every, measures, sure, choice, models, as_of, seed, value, offer),
        name,
        tracking,
    )


@dataclass(frozen=True)
class _Training:
    """All that is written down; mappings are by candidate.

    Attributes:
        table: The customers.
        y: 1 churned, 0 stayed.
        p: Churn probabilities out of fold.
        measures: Under the names every run uses.
        sure: The same measures on resampled customers.
        choice: Which candidate was taken.
        models: Fitted on all customers.
        as_of: The day on which the columns were true.
        seed: Of everything.
        value: What a customer is worth who stays.
        offer: What keeping a customer costs.
    """

    table: CustomerTable
    y: Floats
    p: Mapping[str, Floats]
    measures: Mapping[str, Mapping[str, float]]
    sure: Mapping[str, metrics.Resampled]
    choice: metrics.Simplest
    models: Mapping[str, ChurnModel]
    as_of: dt.date | None
    seed: int
    value: float
    offer: Offer

    @property
    def label(self) -> dict[str, str]:
        """The label's column and its value for those who left."""
        return dict(self.models[self.choice.winner].card["label"])


def _outcomes(table: CustomerTable, label: str) -> Floats:
    assert table.label is not None
    y = np.asarray(table.label, dtype=np.float64)
    rarer = int(min(y.sum(), len(y) - y.sum()))
    if rarer < MIN_OUTCOME:
        raise NotEnoughDataError(
            f"Only {rarer} of {len(y):,} customers have the rarer value of the label {label}.",
            f"At least {MIN_OUTCOME} of each are needed.",
        )
    return y


def _warn(measures: Mapping[str, Mapping[str, float]], winner: str) -> None:
    found = measures[winner]
    if found["churn/brier"] >= measures[BASE_RATE]["churn/brier"]:
        note("No candidate forecasts better than the base rate: this table does not tell who left.")
    if found["churn/roc_auc"] > TOO_GOOD:
        note(
            f"An AUC of {found['churn/roc_auc']:.4f} is too good to be true: look in the table of "
            "importance for a column that was written down after the customers had left."
        )


def _dataset(t: _Training) -> Holdout:
    """The customers and outcomes by digest; equal for the same ids and labels."""
    digest = hashlib.sha256(f"{t.label['column']} {t.as_of}".encode())
    for customer in t.table.features.index.astype(str):
        text = customer.encode()
        digest.update(len(text).to_bytes(4, "little") + text)
    digest.update(t.y.tobytes())
    facts: dict[str, Any] = {"customers": len(t.y), "churned": int(t.y.sum()), "folds": FOLDS}
    if t.as_of is not None:
        facts["cutoff"] = t.as_of.isoformat()
    return Holdout("churn_table", digest.hexdigest()[:32], facts)


def _log(t: _Training, name: str, tracking: Tracking) -> TrainingResult:
    training_id, winner, test = new_training_id(), t.choice.winner, _dataset(t)
    results = pd.DataFrame(t.measures).T
    results.index.name = "candidate"
    story = _story(t, results)
    as_of = None if t.as_of is None else t.as_of.isoformat()
    dates = {"evaluation": {"folds": FOLDS}, "final": {"as_of": as_of}}
    tags = {
        "test_digest": test.digest,
        "label": t.label,
        "as_of": as_of or "not stated",
        "seed": t.seed,
        "regulars_version": regulars_version(),
    }
    shown = {"label": t.label, "seed": t.seed, "folds": FOLDS, "customers": len(t.y)}
    run_ids: dict[str, str] = {}
    registered = None
    with task("Logging to MLflow", total=len(t.p)) as progress:
        for candidate in t.p:
            model = t.models.get(candidate)
            with tracking.run(
                candidate,
                family="churn",
                training_id=training_id,
                tags=tags,
                params=shown | (_described(model) if model else {}),
            ) as run:
                run_ids[candidate] = run.run_id
                if candidate == winner:
                    registered = _register(t, tracking, run, name, tags, training_id, story)
                run.uses(test, "test")
                run.measure(t.measures[candidate], test)
                run.table("choice", t.choice.table)
                run.table("intervals", intervals(t.sure[candidate]))
                if model is not None:
                    _log_pictures(run, t.y, t.p[candidate])
                    run.table("importance", model.importance())
                run.describe(story)
            progress.advance()
    assert registered is not None

    contest = table_contest(
        t.table, t.y, t.p, CANDIDATES, winner, t.label, test,
        value=t.value, offer=t.offer, replicates=REPLICATES, seed=t.seed, threads=THREADS,
    )  # fmt: skip
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
    )


def _register(
    t: _Training,
    tracking: Tracking,
    run: Run,
    name: str,
    tags: Mapping[str, Any],
    training_id: str,
    story: str,
) -> Any:
    model = t.models[t.choice.winner]
    example = usual_rows(t.table.features, model.feature_names)
    # What the model has seen was known today at the latest, so before tomorrow.
    until = (dt.datetime.now(dt.UTC).date() + dt.timedelta(days=1)).isoformat()
    measured = headline(t.measures[t.choice.winner], SHOWN)
    own = {"training_id": training_id, "trained_until": until}
    return tracking.register(
        run,
        name,
        model,
        signature=signature(example, model.predict(example), {"language": "en"}),
        input_example=example,
        card={**own, "label": t.label, "as_of": tags["as_of"]},
        tags={
            **tags,
            **measured,
            **own,
            "candidate": t.choice.winner,
            "evaluation": "measures are those of the same recipe out of fold; the version itself "
            "has seen all customers",
        },
        description=model_card(
            f"Churn of a table: {t.choice.winner}",
            {
                "Intended use": (
                    "Tells the probability that a customer of such a table leaves as the label "
                    f"says ({escaped(str(t.label['column']))}). What each column knew of the "
                    "outcome beforehand only its owner can tell."
                ),
                "Measured out of fold": story,
                "How to use it": "`regulars score --table FILE -o FILE`; docs/contractual.md.",
            },
        ),
    )


def _described(model: ChurnModel) -> dict[str, Any]:
    return {
        "features": len(model.model_features),
        "calibration": model.card["calibration"]["method"],
        "rounds": model.card["training"]["rounds"],
        "recipe": model.card["recipe"],
    }


def _log_pictures(run: Run, y: Floats, p: Floats) -> None:
    run.figure("calibration", figures.calibration(y, p))
    run.table("calibration", metrics.reliability_table(y, p))
    run.figure("gain_and_lift", figures.gain_and_lift(y, p))
    title = "Churn by decile of the score"
    run.figure("deciles", figures.deciles(y, p, title=title, what="churn rate", percent=True))
    run.table("deciles", metrics.decile_table(y, p))
    run.figure("scores", figures.scores(y, p))


def _story(t: _Training, results: pd.DataFrame) -> str:
    """What was done, in Markdown, for the page of a run or a version."""
    said = (
        f"**Churn of a table with a given label, out of fold.** {len(t.y):,} customers, "
        f"{int(t.y.sum()):,} of whom left ({t.label['column']} is {t.label['churned']}). Each was "
        f"forecast by models fitted and calibrated on the other {FOLDS - 1} of {FOLDS} folds.\n\n"
        f"{markdown_table(results, SHOWN)}\n\n"
        f"Chosen: {t.choice.reason}. The registered model is the same recipe fitted on all of them."
    )
    left = "".join(f"\n- {name}: {why}" for name, why in t.table.dropped.items())
    return said + (f"\n\nColumns left out:\n{left}" if left else "")
