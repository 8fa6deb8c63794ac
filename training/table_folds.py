"""Forecasts of customers by models that have not seen them, where there is no time to split by.

The customers are dealt into five folds with the same share of churners. Each fold is forecast by
models fitted on the other four, and its level is set by a calibrator learned from the forecasts of
the other four. So every customer has one forecast, made by the whole recipe without them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from features.customer_table import CustomerTable
from features.progress import task
from models.calibration import choose_calibrator
from models.churn import LOW_RISK_AT_MOST, ChurnModel
from models.inputs import Inputs
from models.scorers import Recipe, fit_scorer
from models.tiers import Tiers
from models.venn_abers import VennAbers

__all__ = [
    "FOLDS",
    "OutOfFold",
    "fit_table_model",
    "forecast_out_of_fold",
    "stratified_folds",
]

FOLDS = 5

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class OutOfFold:
    """Forecasts of one candidate, none by a model that has seen the customer.

    Attributes:
        score: Log-odds before calibration, shape (n,).
        p: Churn probability, shape (n,).
    """

    score: Floats
    p: Floats


def stratified_folds(y: npt.ArrayLike, seed: int = 0) -> Ints:
    """Deal rows into `FOLDS` folds of nearly the same size and share of churners.

    Args:
        y: 1 churned, 0 stayed, in an order that does not depend on the source.
        seed: Of the shuffle.

    >>> stratified_folds([0] * 10 + [1] * 5).tolist().count(0)
    3
    """
    outcome = np.asarray(y)
    rng = np.random.default_rng(seed)
    order = np.concatenate([rng.permutation(np.flatnonzero(outcome == k)) for k in (0, 1)])
    folds = np.empty(len(outcome), dtype=np.int64)
    folds[order] = np.arange(len(outcome)) % FOLDS
    return folds


def forecast_out_of_fold(
    table: CustomerTable, recipes: Mapping[str, Recipe], *, seed: int, threads: int
) -> dict[str, OutOfFold]:
    """Forecast all customers by every candidate.

    Args:
        table: With a label, rows in an order that does not depend on the source.
        recipes: Candidate -> recipe.
        seed: Of the folds and the trees.
        threads: Of the trees; the result does not depend on it.
    """
    assert table.label is not None
    y = np.asarray(table.label, dtype=np.float64)
    folds = stratified_folds(y, seed)
    scores = {name: np.empty(len(y)) for name in recipes}
    with task("Fitting churn candidates, fold by fold", total=FOLDS) as progress:
        for k in range(FOLDS):
            out = folds == k
            inputs, _ = Inputs.choose(table.features[~out])
            X, held = inputs.matrix(table.features[~out]), inputs.matrix(table.features[out])
            for name, recipe in recipes.items():
                scorer = fit_scorer(recipe, inputs, X, y[~out], seed=seed, num_threads=threads)
                scores[name][out] = scorer.raw(held)
            progress.advance()
    customers = table.features.index.to_numpy()
    return {
        name: OutOfFold(score, _calibrated(score, y, customers, folds))
        for name, score in scores.items()
    }


def _calibrated(
    score: Floats, y: Floats, customers: npt.NDArray[np.object_], folds: Ints
) -> Floats:
    p = np.empty(len(y))
    for k in range(FOLDS):
        out = folds == k
        choice = choose_calibrator(score[~out], y[~out], customers[~out])
        p[out] = choice.calibrator(score[out])
    return p


def fit_table_model(
    table: CustomerTable,
    recipe: Recipe,
    forecast: OutOfFold,
    card: Mapping[str, Any],
    *,
    seed: int,
    threads: int,
) -> ChurnModel:
    """Fit a candidate on all customers; its level is learned from the forecasts out of fold.

    Args:
        table: With a label.
        recipe: What to fit.
        forecast: Its forecasts of the same customers.
        card: What else the card says.
        seed: Of the trees.
        threads: Of the trees; the result does not depend on it.

    Returns:
        The model. Its horizon and gap are 0: what the label looked at is the user's to know.
    """
    assert table.label is not None
    y = np.asarray(table.label, dtype=np.float64)
    inputs, dropped = Inputs.choose(table.features)
    X = inputs.matrix(table.features)
    scorer = fit_scorer(recipe, inputs, X, y, seed=seed, num_threads=threads)
    choice = choose_calibrator(forecast.score, y, table.features.index.to_numpy())
    return ChurnModel.assemble(
        inputs=inputs,
        scorer=scorer,
        calibrator=choice.calibrator,
        interval=VennAbers.fit(forecast.score, y),
        tiers=Tiers.learn(forecast.p, low_at_most=LOW_RISK_AT_MOST),
        horizon_days=0,
        gap_days=0,
        sample=X,
        card={
            "recipe": recipe.to_dict(),
            "dropped": {**table.dropped, **dropped},
            "training": {
                "rows": len(y),
                "customers": len(y),
                "churn_rate": float(y.sum() / len(y)),
                "rounds": scorer.rounds,
                "seed": seed,
            },
            "calibration": {
                "method": choice.calibrator.method,
                "source": f"{FOLDS} folds",
                "reason": choice.reason,
            },
            **card,
        },
    )
