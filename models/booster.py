"""All that is asked of LightGBM: trees that are the same for the same rows, and their scores.

No class weights anywhere: they bend probabilities, and a rare outcome needs none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

import lightgbm
import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from .order import canonical_order

__all__ = [
    "TreeSettings",
    "booster_text",
    "contributions",
    "default_parameters",
    "grow",
    "raw_scores",
]

Floats = npt.NDArray[np.float64]
Matrix = npt.NDArray[np.floating[Any]]
"""Rows of features, shape (n, f), of float32 or float64."""

BIN_ROWS = 100_000
"""Rows that thresholds are chosen from; they are held in double precision for a moment."""

MANY_ROWS = 20_000
"""From here on speed counts: longer steps, fewer of them, and fewer thresholds."""

MAX_BIN = 63
"""Thresholds of a feature at most, of many rows: more cost time and gain nothing."""

MORE_ROUNDS = 4
"""Times the usual number of rounds that may be tried where later rows decide when to stop."""


def default_parameters(n_rows: int) -> dict[str, Any]:
    """Return the size of the model that suits a number of training rows.

    Chosen by out-of-time AUC and log loss over the monthly cutoffs of public ledgers and
    simulated shops with 1,200 to 200,000 rows, and by cross-validation on a table of contracts.
    Many very small trees won everywhere: the rows of a customer at neighbouring cutoffs are
    nearly copies, and each label window is one draw of the season. Fewer trees did better on
    fewer than some thousand rows; on many, longer steps and fewer of them are as good, and faster.
    Random thresholds helped on panels of some thousand customers and cost accuracy on much larger
    ones. Leaves grow slowly, also because the reasons cost time in proportion to more than their
    number.

    Args:
        n_rows: Rows of the training panel.

    Returns:
        `learning_rate`, `n_estimators`, `num_leaves`, `min_data_in_leaf` and `extra_trees`.
    """
    growth = max(n_rows / 10_000, 1.0)
    large = n_rows > MANY_ROWS
    return {
        "learning_rate": 0.05 if large else 0.03,
        "n_estimators": 270 if large else int(np.clip(450 * (n_rows / 4_000) ** 0.5, 100, 450)),
        "num_leaves": int(min(3 * growth**0.2, 12)),
        "min_data_in_leaf": int(np.clip(n_rows // 100, 10, 100)),
        "extra_trees": n_rows < 30_000,
    }


@dataclass(frozen=True)
class TreeSettings:
    """What can be set of the trees; None means by the number of rows (`default_parameters`).

    Args:
        n_estimators: Boosting rounds; the most that may be used where later rows decide when
            to stop (None: four times as many then).
        learning_rate: Shrinkage of each round.
        num_leaves: Leaves of a tree.
        min_data_in_leaf: Rows in a leaf.
        lambda_l2: L2 penalty on leaf values.
        feature_fraction: Share of features a tree may use.
        bagging_fraction: Share of rows a tree sees.
        extra_trees: Draw one random threshold a feature and split instead of searching the
            best.
        path_smooth: Draws the value of a leaf towards that of its parent, as if the parent
            weighed so many rows.
        cat_smooth: Draws the level of a category towards the average, as if by so many rows,
            when levels are sorted.
        early_stopping_rounds: Rounds without progress on later rows before stopping.
    """

    n_estimators: int | None = None
    learning_rate: float | None = None
    num_leaves: int | None = None
    min_data_in_leaf: int | None = None
    lambda_l2: float = 2.0
    feature_fraction: float = 0.5
    bagging_fraction: float = 0.7
    extra_trees: bool | None = None
    path_smooth: float = 0.0
    cat_smooth: float = 10.0
    early_stopping_rounds: int = 50

    def sized(self, n_rows: int, stopping: bool = False) -> Self:
        """Return the settings with a number in each place, for so many training rows."""
        sizes = default_parameters(n_rows)
        if stopping:
            sizes["n_estimators"] *= MORE_ROUNDS
        missing = {name: size for name, size in sizes.items() if getattr(self, name) is None}
        return replace(self, **missing)

    def to_dict(self) -> dict[str, Any]:
        """Return the settings, JSON-able."""
        return asdict(self)


def grow(
    X: Matrix,
    y: Floats,
    settings: TreeSettings,
    *,
    names: Sequence[str],
    columns: Sequence[int] | None = None,
    categories: Sequence[int] = (),
    signs: Mapping[int, int] | None = None,
    start: Floats | None = None,
    validation: tuple[Matrix, Floats] | None = None,
    validation_start: Floats | None = None,
    seed: int = 0,
    num_threads: int = 1,
) -> lightgbm.Booster:
    """Grow trees on the log loss.

    The matrix is read in blocks, in an order that depends on what is in the rows, and is never
    copied as a whole: beside it LightGBM holds a byte or two for each value. Neither the order
    of the rows nor the number of threads changes a byte of the result.

    Args:
        X: Features, NaN where missing, shape (n, f).
        y: 0 or 1, both present, shape (n,).
        settings: Of the trees.
        names: Of the f columns.
        columns: Positions that the trees may use; all when left out.
        categories: Positions of the columns that hold codes of categories.
        signs: Position -> sign of its effect.
        start: Log-odds to boost from, shape (n,). Without it, those of the average row.
        validation: Later rows of the same columns, and their outcomes: the trees stop where
            these gain no more. Without them the number of rounds is fixed.
        validation_start: Log-odds that the later rows are boosted from.
        seed: Seed.
        num_threads: Threads of training.

    Returns:
        Trees over `columns`, read back from their own text: the model in memory is the model on
        disk, bit for bit.
    """
    used = list(range(X.shape[1]) if columns is None else columns)
    settings = settings.sized(len(X), validation is not None)
    parameters = _parameters(settings, used, signs or {}, seed, num_threads)
    parameters["max_bin"] = MAX_BIN if len(X) > MANY_ROWS else 255
    data = _dataset(
        X,
        y,
        used,
        start,
        feature_name=_safe_names([names[i] for i in used]),
        categorical_feature=[used.index(i) for i in categories if i in used],
        params=dict(parameters),
    )
    held, callbacks = [], []
    if validation is not None:
        held = [
            _dataset(*validation, used, validation_start, reference=data, params=dict(parameters))
        ]
        callbacks = [lightgbm.early_stopping(settings.early_stopping_rounds, verbose=False)]
    with threadpool_limits(num_threads, user_api="openmp"):  # datasets heed no parameter of ours
        booster = lightgbm.train(
            parameters, data, settings.n_estimators, valid_sets=held, callbacks=callbacks
        )
    rounds = booster.best_iteration if validation is not None else None
    return lightgbm.Booster(model_str=booster_text(booster, rounds))


def booster_text(booster: lightgbm.Booster, rounds: int | None = None) -> str:
    """Return LightGBM's text of the first trees (all when `rounds` is left out).

    The number of threads, which changes nothing else in it, is written as 0.
    """
    text = booster.model_to_string(num_iteration=rounds or -1)
    return re.sub(r"^\[num_threads: \d+\]$", "[num_threads: 0]", text, flags=re.MULTILINE)


def raw_scores(booster: lightgbm.Booster, X: Matrix) -> Floats:
    """Return the log-odds of each row, shape (n,)."""
    if not len(X):
        return np.empty(0)
    return np.asarray(booster.predict(X, raw_score=True, num_threads=1), dtype=np.float64)


def contributions(booster: lightgbm.Booster, X: Matrix) -> Floats:
    """Split each raw score into one part a feature and last the base, shape (n, f + 1)."""
    if not len(X):
        return np.empty((0, X.shape[1] + 1))
    return np.asarray(booster.predict(X, pred_contrib=True, num_threads=1), dtype=np.float64)


class _Rows(lightgbm.Sequence):  # type: ignore[misc]
    """Some columns of a matrix, row by row in another order, without a copy of it."""

    batch_size = 16_384

    def __init__(self, X: Matrix, order: npt.NDArray[np.int64], columns: Sequence[int]) -> None:
        self.X, self.order = X, order
        whole = list(columns) == list(range(X.shape[1]))
        self.columns: Any = slice(None) if whole else np.asarray(columns)

    def __getitem__(self, index: Any) -> Matrix:
        rows = self.X[self.order[index]][..., self.columns]
        # LightGBM takes single rows, which it draws the bins from, as doubles only.
        return np.ascontiguousarray(rows, np.float64 if rows.ndim == 1 else rows.dtype)

    def __len__(self) -> int:
        return len(self.order)


def _dataset(
    X: Matrix, y: Floats, columns: Sequence[int], start: Floats | None, **options: Any
) -> lightgbm.Dataset:
    order = canonical_order(X, y)
    return lightgbm.Dataset(
        _Rows(X, order, columns),
        y[order],
        init_score=None if start is None else start[order],
        free_raw_data=True,
        **options,
    )


def _parameters(
    settings: TreeSettings,
    used: Sequence[int],
    signs: Mapping[int, int],
    seed: int,
    num_threads: int,
) -> dict[str, Any]:
    chosen = settings.to_dict()
    for name in ("n_estimators", "early_stopping_rounds"):
        del chosen[name]
    parameters = {
        "objective": "binary",
        "metric": "binary_logloss",
        **chosen,
        "bagging_freq": 1,
        "min_data_per_group": settings.min_data_in_leaf,
        "bin_construct_sample_cnt": BIN_ROWS,
        "feature_pre_filter": False,
        "seed": seed,
        "deterministic": True,
        "force_col_wise": True,  # the faster way with few bins
        "num_threads": num_threads,
        "verbosity": -1,
    }
    if any(constraints := [signs.get(i, 0) for i in used]):
        parameters["monotone_constraints"] = constraints
    return parameters


def _safe_names(names: Sequence[str]) -> list[str]:
    # LightGBM refuses JSON's special characters in names and its text format knows no spaces.
    plain = [re.sub(r"\W", "_", name, flags=re.ASCII) for name in names]
    if len(set(plain)) == len(plain):
        return plain
    return [f"{name}_{i}" for i, name in enumerate(plain)]
