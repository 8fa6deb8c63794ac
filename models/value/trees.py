"""Trees behind the value models: how long to grow them, and the same rows, the same bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import lightgbm
import numpy as np
import numpy.typing as npt
import pandas as pd

from ..base import ModelError
from ..booster import booster_text, raw_scores
from ..conformal import chance
from ..order import canonical_order

__all__ = ["Held", "days_of", "grow", "held_back", "level_factor", "tweedie"]

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

LEVEL_SD = 0.2
"""How much, in logarithms, totals move between label windows: what level factors are drawn by."""

_HELD_SHARE = 0.25
_MIN_ROWS = 100
_PATIENCE = 30


@dataclass(frozen=True)
class Held:
    """Which examples stop the trees and set the level.

    Attributes:
        train: Examples to learn from meanwhile.
        held: Examples that are held back.
        later: Whether they are of a later time, and not only other customers.
    """

    train: Mask
    held: Mask
    later: bool


def days_of(groups: npt.ArrayLike | pd.Series[Any], count: int) -> npt.NDArray[np.int64]:
    """Cutoffs as whole days: dates, timestamps, their texts, or numbers of days.

    Raises:
        ModelError: As many as there are examples are needed.
    """
    values = np.asarray(groups)
    if values.shape != (count,):
        raise ModelError(f"expected one cutoff for each of {count} examples, got {values.shape}")
    if values.dtype.kind in "iuf":
        return values.astype(np.int64)
    try:
        return pd.to_datetime(values).to_numpy().astype("datetime64[D]").astype(np.int64)
    except (TypeError, ValueError) as error:
        raise ModelError(f"the cutoffs are neither dates nor days: {error}") from error


def held_back(days: npt.NDArray[np.int64], index: pd.Index[Any], horizon_days: float) -> Held:
    """Hold back the latest cutoff, and learn from those whose label windows are closed by then.

    Where there are none, a quarter of the customers, told by their ids, is held back at all
    cutoffs: the rows of a customer stay on one side.
    """
    last = days == days.max()
    before = days + horizon_days <= days.max()
    if before.sum() >= _MIN_ROWS and last.sum() >= _MIN_ROWS:
        return Held(before, last, later=True)
    some = chance(index, "held back") < _HELD_SHARE
    if not some.any() or some.all():
        raise ModelError(
            f"{len(days)} examples are too few to learn a value model from.",
            "Use more customers or more cutoffs.",
        )
    return Held(~some, some, later=False)


def level_factor(actual: Floats, predicted: Floats) -> float:
    """The factor that brings the total of the predictions to what came, as far as that is known.

    The logarithm of the ratio is normal about 0 with sd `LEVEL_SD` beforehand, and measured with
    the standard error of the total, sqrt(sum (y - p)^2) / sum p: one wholesale account that
    leaves does not move everybody.

    >>> y, p = np.ones(10_000), np.full(10_000, 0.8)
    >>> round(level_factor(y, p), 2)
    1.25
    """
    total, came = float(np.sort(predicted).sum()), float(np.sort(actual).sum())
    if total <= 0.0 or came <= 0.0:
        return 1.0
    error = float(np.sqrt(np.sort((actual - predicted) ** 2).sum())) / total
    shrunk = LEVEL_SD**2 / (LEVEL_SD**2 + error**2)
    return float(np.exp(shrunk * np.log(came / total)))


def grow(
    X: Floats,
    y: Floats,
    split: Held,
    *,
    objective: Mapping[str, Any],
    offset: Floats | None = None,
    seed: int,
    num_threads: int = 1,
    must_help: bool = False,
    score_at: Floats | None = None,
) -> tuple[lightgbm.Booster | None, Floats]:
    """Grow trees: as many as pay on the held-back examples, then anew on all.

    Args:
        X: Features, (n, f); missing allowed.
        y: Outcome, (n,); any scale that keeps it about 1 suits.
        split: Which examples are held back.
        objective: LightGBM's objective, with its parameters and metric.
        offset: Raw score to start from, (n,).
        seed: Seed of the trees.
        num_threads: Threads; the result does not depend on it.
        must_help: Keep no tree unless they lower the mean loss on the held-back examples by
            more than its standard error.
        score_at: Rows to score with the trees that have not seen the held-back examples; these
            themselves when left out.

    Returns:
        The trees (None: none is kept), and the raw score of `score_at`, or of the held-back
        examples in their order with their offset, by trees that have not seen them.
    """
    parameters = _parameters(int(split.train.sum()), objective, seed, num_threads)
    X_train, y_train, start = _take(X, y, offset, split.train)
    X_held, y_held, start_held = _take(X, y, offset, split.held)
    train = lightgbm.Dataset(
        X_train, y_train, init_score=start, params=dict(parameters), free_raw_data=True
    )
    held = lightgbm.Dataset(
        X_held, y_held, init_score=start_held, reference=train, params=dict(parameters)
    )
    first = lightgbm.train(
        parameters,
        train,
        400,
        valid_sets=[held],
        callbacks=[lightgbm.early_stopping(_PATIENCE, verbose=False)],
    )
    rounds = max(first.best_iteration, 1)
    shorter = lightgbm.Booster(model_str=booster_text(first, rounds))
    base = np.zeros(int(split.held.sum())) if offset is None else offset[split.held]
    unseen = X[split.held] if score_at is None else score_at
    out_of_sample = raw_scores(shorter, np.ascontiguousarray(unseen))
    if score_at is None:
        out_of_sample = base + out_of_sample
    if must_help:
        power = float(objective.get("tweedie_variance_power", 1.0))
        gain = _deviance(y[split.held], base, power) - _deviance(
            y[split.held], out_of_sample, power
        )
        gain = np.sort(gain)
        if gain.mean() <= gain.std() / np.sqrt(len(gain)):
            return None, base
    everybody = np.ones(len(y), dtype=bool)
    X_all, y_all, start_all = _take(X, y, offset, everybody)
    sizes = _parameters(len(y), objective, seed, num_threads)
    data = lightgbm.Dataset(X_all, y_all, init_score=start_all, params=dict(sizes))
    final = lightgbm.train(sizes, data, rounds)
    # From its own text: the model in memory is the model on disk, bit for bit.
    return lightgbm.Booster(model_str=booster_text(final)), out_of_sample


def _take(X: Floats, y: Floats, offset: Floats | None, rows: Mask) -> Any:
    """The rows in an order of their own, so that shuffling them changes nothing."""
    some, outcome = X[rows], y[rows]
    start = None if offset is None else offset[rows]
    keyed = some if start is None else np.column_stack([some, start])
    order = canonical_order(keyed, outcome)
    return (
        np.ascontiguousarray(some[order]),
        outcome[order],
        None if start is None else start[order],
    )


def _deviance(y: Floats, raw: Floats, power: float) -> Floats:
    """Loss of each row at mean exp(raw), up to a constant; see `log_linear`."""
    if power == 1.0:
        return np.asarray(np.exp(raw) - y * raw)
    return np.asarray(
        np.exp((2.0 - power) * raw) / (2.0 - power)
        - y * np.exp((1.0 - power) * raw) / (1.0 - power)
    )


def _parameters(
    n_rows: int, objective: Mapping[str, Any], seed: int, num_threads: int
) -> dict[str, Any]:
    return {
        **objective,
        "learning_rate": 0.05,
        "num_leaves": 4 if n_rows < 20_000 else 8,
        "min_data_in_leaf": int(np.clip(n_rows // 50, 10, 200)),
        "lambda_l2": 10.0,
        "feature_fraction": 0.5,
        "bagging_fraction": 0.7,
        "bagging_freq": 1,
        "seed": seed,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": num_threads,
        "verbosity": -1,
    }


def tweedie(power: float) -> dict[str, Any]:
    """LightGBM's loss with log link and variance proportional to mean^power."""
    if power == 1.0:
        return {"objective": "poisson", "metric": "poisson"}
    return {"objective": "tweedie", "tweedie_variance_power": power, "metric": "tweedie"}
