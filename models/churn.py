"""Churn: the probability that a customer makes no purchase in the horizon.

`ChurnClassifier` is gradient boosting with the manners of scikit-learn: same rows, same bytes,
whatever their order and the number of threads. `ChurnModel` is what gets registered: the
classifier's trees, a calibrator and an interval learned on later cutoffs, frozen percentiles,
tier cut points and what is needed to say the reasons.

No class weights anywhere: they bend probabilities, and a rare outcome needs none.
"""

from __future__ import annotations

import inspect
import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any, ClassVar, Self

import lightgbm
import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

from .artifact import dump_json
from .base import (
    CHURN_COLUMNS,
    CHURN_HIGH,
    CHURN_LOW,
    CHURN_PROBABILITY,
    REASON_COLUMNS,
    RISK_TIER,
    TIERS,
    ModelError,
)
from .calibration import Calibrator, VennAbers, choose_calibrator
from .reasons import Reasons, explain
from .tiers import Tiers

__all__ = [
    "BASE",
    "SPEND_PERCENTILE",
    "ChurnClassifier",
    "ChurnModel",
    "Percentiles",
    "canonical_order",
    "default_parameters",
]

Floats = npt.NDArray[np.float64]

BASE = "base"
"""Column of `ChurnModel.contributions` that holds the score of the average training row."""

SPEND_PERCENTILE = "spend_percentile"
SPEND_WINDOWS = ("net_spend_365", "net_spend_180", "net_spend_90", "net_spend_30")

BLOCK = 16_384
"""Customers that are scored at a time."""

IMPORTANCE_ROWS = 5_000


def default_parameters(n_rows: int) -> dict[str, Any]:
    """Return the size of the model that suits a number of training rows.

    Chosen by out-of-time AUC and log loss over the monthly cutoffs of several public ledgers
    and simulated shops with 600 to 300,000 rows. Small trees won everywhere: the rows of a
    customer at neighbouring cutoffs are nearly copies, and each label window is one draw of the
    season. Random thresholds helped on panels of some thousand customers and cost accuracy on
    much larger ones. Size grows slowly, also because the reasons cost time in proportion to it.

    Args:
        n_rows: Rows of the training panel.

    Returns:
        `n_estimators`, `num_leaves`, `min_data_in_leaf` and `extra_trees`.
    """
    growth = max(n_rows / 10_000, 1.0)
    return {
        "n_estimators": int(min(200 * growth**0.1, 400)),
        "num_leaves": int(min(8 * growth**0.12, 16)),
        "min_data_in_leaf": int(np.clip(n_rows // 100, 10, 100)),
        "extra_trees": n_rows < 30_000,
    }


class ChurnClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Binary classifier on LightGBM trees, reproducible to the byte.

    Missing values are handled by the trees. Rows are put into an order of their own before
    training, so shuffling them changes nothing; LightGBM's deterministic mode makes the number
    of threads irrelevant.

    Args:
        n_estimators: Boosting rounds; the most that may be used when `fit` gets a validation
            frame. None: by the number of rows (`default_parameters`), four times as many with
            validation.
        learning_rate: Shrinkage of each round.
        num_leaves: Leaves of a tree. None: by the number of rows.
        min_data_in_leaf: Rows in a leaf. None: by the number of rows.
        lambda_l2: L2 penalty on leaf values.
        feature_fraction: Share of features a tree may use.
        bagging_fraction: Share of rows a tree sees.
        extra_trees: Draw one random threshold a feature and split instead of searching the
            best. None: by the number of rows.
        early_stopping_rounds: Rounds without progress on the validation frame before stopping.
        monotone_constraints: Feature name (or position) -> sign of its effect on the
            probability of the second class: -1, 0 or +1. Absent features are free.
        random_state: Seed.
        num_threads: Threads of training.

    Attributes:
        classes_: The two labels, ascending; probabilities are those of the second.
        booster_: The trees, a `lightgbm.Booster`.
        n_features_in_: Number of features.
        feature_names_in_: Their names, when `X` was a frame with text column names.
    """

    def __init__(
        self,
        n_estimators: int | None = None,
        learning_rate: float = 0.03,
        num_leaves: int | None = None,
        min_data_in_leaf: int | None = None,
        lambda_l2: float = 5.0,
        feature_fraction: float = 0.5,
        bagging_fraction: float = 0.7,
        extra_trees: bool | None = None,
        early_stopping_rounds: int = 50,
        monotone_constraints: Mapping[str | int, int] | None = None,
        random_state: int = 0,
        num_threads: int = 1,
    ) -> None:
        self.n_estimators = n_estimators
        self.learning_rate = learning_rate
        self.num_leaves = num_leaves
        self.min_data_in_leaf = min_data_in_leaf
        self.lambda_l2 = lambda_l2
        self.feature_fraction = feature_fraction
        self.bagging_fraction = bagging_fraction
        self.extra_trees = extra_trees
        self.early_stopping_rounds = early_stopping_rounds
        self.monotone_constraints = monotone_constraints
        self.random_state = random_state
        self.num_threads = num_threads

    def fit(self, X: Any, y: Any, validation: tuple[Any, Any] | None = None) -> Self:
        """Train.

        Args:
            X: Numbers, missing values allowed, shape (n, f).
            y: Two different labels, shape (n,).
            validation: Rows of a later cutoff, whose label windows begin after those of `X`
                end, to decide when to stop. Without them the number of rounds is fixed.

        Raises:
            ModelError: The labels are all the same.
            ValueError: Not a binary target, or not numbers.
        """
        X, y = validate_data(self, X, y, dtype=np.float64, ensure_all_finite="allow-nan")
        check_classification_targets(y)
        if (kind := type_of_target(y, input_name="y")) not in ("binary", "multiclass"):
            raise ValueError(f"Unknown label type: {kind}")
        self.classes_ = np.unique(y)
        if len(self.classes_) > 2:
            raise ValueError(
                "Only binary classification is supported. The type of the target "
                f"is {type_of_target(y)}."
            )
        if len(self.classes_) < 2:
            raise ModelError(
                f"all {len(y)} training rows are of one class ({self.classes_[0]}), so there is "
                "nothing to tell apart",
                "Use a horizon at which some customers churn and some stay, or more history.",
            )
        target = (y == self.classes_[1]).astype(np.float64)
        order = canonical_order(X, target)
        sizes = default_parameters(len(X))
        rounds = self.n_estimators
        if rounds is None:
            rounds = sizes["n_estimators"] * (4 if validation is not None else 1)
        parameters = self._lightgbm_parameters(sizes)
        data = lightgbm.Dataset(
            np.ascontiguousarray(X[order]),
            target[order],
            feature_name=_safe_names(self._names()),
            params=dict(parameters),
            free_raw_data=True,
        )
        held, callbacks = [], []
        if validation is not None:
            held_X, held_y = self._validation(validation)
            held = [lightgbm.Dataset(held_X, held_y, reference=data, params=dict(parameters))]
            callbacks = [lightgbm.early_stopping(self.early_stopping_rounds, verbose=False)]
        booster = lightgbm.train(parameters, data, rounds, valid_sets=held, callbacks=callbacks)
        used = booster.best_iteration if validation is not None else None
        # From its own text: the model in memory is the model on disk, bit for bit.
        self.booster_ = lightgbm.Booster(model_str=_canonical_text(booster, used))
        return self

    def decision_function(self, X: Any) -> Floats:
        """Return the raw score, the log-odds of the second class, shape (n,)."""
        return self._predict(X, raw_score=True)

    def predict_proba(self, X: Any) -> Floats:
        """Return the probability of each class, shape (n, 2)."""
        p = self._predict(X)
        return np.column_stack([1.0 - p, p])

    def predict(self, X: Any) -> npt.NDArray[Any]:
        """Return the likelier class, shape (n,)."""
        p = self._predict(X)
        return np.asarray(self.classes_[(p > 0.5).astype(int)])

    def __sklearn_tags__(self) -> Any:
        """Tell scikit-learn what this estimator can take."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.classifier_tags.multi_class = False
        return tags

    def _predict(self, X: Any, **options: Any) -> Floats:
        check_is_fitted(self)
        X = validate_data(
            self, X, dtype=np.float64, ensure_all_finite="allow-nan", reset=False, order="C"
        )
        return np.asarray(self.booster_.predict(X, num_threads=1, **options))

    def _names(self) -> list[str]:
        names = getattr(self, "feature_names_in_", range(self.n_features_in_))
        return [str(name) for name in names]

    def _validation(self, validation: tuple[Any, Any]) -> tuple[Floats, Floats]:
        X = validate_data(
            self, validation[0], dtype=np.float64, ensure_all_finite="allow-nan", reset=False
        )
        y = check_array(validation[1], ensure_2d=False, dtype=None)
        if len(X) != len(y) or not np.isin(y, self.classes_).all():
            raise ModelError("the validation labels do not match the validation rows or classes")
        target = (y == self.classes_[1]).astype(np.float64)
        order = canonical_order(X, target)
        return np.ascontiguousarray(X[order]), target[order]

    def _lightgbm_parameters(self, sizes: Mapping[str, Any]) -> dict[str, Any]:
        signs = dict(self.monotone_constraints or {})
        names = self._names()
        unknown = [n for n in signs if n not in names and n not in range(len(names))]
        if unknown:
            raise ModelError(f"monotone constraint on unknown feature {unknown[0]!r}")
        constraints = [signs.get(name, signs.get(i, 0)) for i, name in enumerate(names)]
        parameters: dict[str, Any] = {
            "objective": "binary",
            "metric": "binary_logloss",
            "learning_rate": self.learning_rate,
            "num_leaves": self.num_leaves or sizes["num_leaves"],
            "min_data_in_leaf": self.min_data_in_leaf or sizes["min_data_in_leaf"],
            "lambda_l2": self.lambda_l2,
            "feature_fraction": self.feature_fraction,
            "bagging_fraction": self.bagging_fraction,
            "bagging_freq": 1,
            "extra_trees": (sizes["extra_trees"] if self.extra_trees is None else self.extra_trees),
            "seed": self.random_state,
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": self.num_threads,
            "verbosity": -1,
        }
        if any(constraints):
            parameters["monotone_constraints"] = constraints
        return parameters


@dataclass(frozen=True)
class Percentiles:
    """Where a value stands within the training customers, frozen.

    Args:
        source: Column that is ranked.
        value: Distinct quantiles of the training values, ascending.
        rank: Share of training customers below, counting half of the ties, at each.
    """

    source: str
    value: tuple[float, ...]
    rank: tuple[float, ...]

    @classmethod
    def learn(cls, source: str, values: npt.ArrayLike, knots: int = 201) -> Self:
        """Keep `knots` quantiles of the values; missing ones are left out."""
        x = np.asarray(values, dtype=np.float64)
        levels = np.linspace(0.0, 1.0, knots)
        quantiles = np.quantile(x[~np.isnan(x)], levels)
        distinct, code = np.unique(quantiles, return_inverse=True)
        middle = np.bincount(code, weights=levels) / np.bincount(code)
        return cls(source, tuple(distinct.tolist()), tuple(middle.tolist()))

    def __call__(self, values: npt.ArrayLike) -> Floats:
        """Return the rank in [0, 1] of each value; missing stays missing."""
        return np.asarray(np.interp(np.asarray(values, np.float64), self.value, self.rank))

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able description; `from_dict` reads it back to the same bits."""
        return {"source": self.source, "value": list(self.value), "rank": list(self.rank)}

    @classmethod
    def from_dict(cls, description: Mapping[str, Any]) -> Self:
        """Read back what `to_dict` returned."""
        return cls(description["source"], tuple(description["value"]), tuple(description["rank"]))


@dataclass(frozen=True)
class _Feature:
    """What the model keeps of a catalogue row."""

    name: str
    reason_group: str
    monotone: int = 0
    seasonal: bool = False


@dataclass(frozen=True, eq=False)
class ChurnModel:
    """A fitted churn model: what is registered, saved, loaded and scored with.

    Build it with `fit` or `artifact.load`.

    Attributes:
        horizon_days: Length of the label window.
        gap_days: Days between the cutoff and the label window.
        card: What the model says of itself; JSON-able.
    """

    kind: ClassVar[str] = "churn"

    horizon_days: int
    gap_days: int
    card: Mapping[str, Any]
    _booster: lightgbm.Booster = field(repr=False)
    _features: tuple[_Feature, ...] = field(repr=False)
    _percentiles: Percentiles | None = field(repr=False)
    _calibrator: Calibrator = field(repr=False)
    _interval: VennAbers = field(repr=False)
    _tiers: Tiers = field(repr=False)

    @classmethod
    def fit(
        cls,
        train_X: pd.DataFrame,
        train_y: pd.Series[float],
        calibration_X: pd.DataFrame,
        calibration_y: pd.Series[float],
        *,
        horizon_days: int,
        gap_days: int = 0,
        catalogue: pd.DataFrame | Sequence[Any] = (),
        catalogue_hash: str = "",
        train_cutoffs: Sequence[date] = (),
        calibration_cutoffs: Sequence[date] = (),
        validation: tuple[pd.DataFrame, pd.Series[float]] | None = None,
        monotone: bool = True,
        params: Mapping[str, Any] | None = None,
        seed: int = 0,
        num_threads: int = 1,
    ) -> Self:
        """Train, then calibrate on later cutoffs.

        Args:
            train_X: Features of all training cutoffs, one below the other; index customer_id,
                so a customer appears once a cutoff. All columns are used, except those that are
                constant or empty and, as long as the cutoffs span less than a year, those that
                only tell the time of the year: the model could do no more than learn the few
                cutoffs by heart. `card["dropped"]` lists them.
            train_y: 1 churned, 0 stayed; same index.
            calibration_X: The same of later cutoffs, in any column order.
            calibration_y: Their outcomes.
            horizon_days: Length of the label window.
            gap_days: Days between the cutoff and the label window.
            catalogue: Rows with name, reason_group, monotone, seasonal: a frame, mappings or
                objects with these attributes. Features that it does not know are unconstrained
                and are a reason group of their own. If it lists `spend_percentile`, this is
                computed from the widest `net_spend_` window and frozen.
            catalogue_hash: Kept on the card.
            train_cutoffs: Cutoffs of the training panel.
            calibration_cutoffs: Cutoffs of the calibration panel.
            validation: Features and outcomes to stop the training by, of cutoffs between the
                two panels.
            monotone: Hold the trees to the signs of the catalogue.
            params: Arguments of `ChurnClassifier` that differ from its defaults.
            seed: Seed of the trees.
            num_threads: Threads of training; the result does not depend on it.

        Raises:
            ModelError: The panels do not fit together, a label window of training reaches
                past the first calibration cutoff, or the outcomes are all the same.
        """
        _check_purged(train_cutoffs, calibration_cutoffs, gap_days + horizon_days)
        panels = {"training": (train_X, train_y), "calibration": (calibration_X, calibration_y)}
        if validation is not None:
            panels["validation"] = validation
        outcome = {name: _outcomes(*panel, name) for name, panel in panels.items()}
        known = _read_catalogue(catalogue)
        percentiles = None
        if SPEND_PERCENTILE in known and SPEND_PERCENTILE not in train_X.columns:
            source = next((w for w in SPEND_WINDOWS if _has_values(train_X, w)), None)
            if source is not None:
                percentiles = Percentiles.learn(source, _matrix(train_X, [source])[:, 0])
        features, dropped = _select(train_X, known, train_cutoffs, percentiles)
        names = [f.name for f in features]
        matrix = {
            name: _with_percentile(frame, names, percentiles, f"the {name} panel")
            for name, (frame, _) in panels.items()
        }
        signs = {f.name: f.monotone for f in features if f.monotone} if monotone else None
        settings = {
            "monotone_constraints": signs,
            "random_state": seed,
            "num_threads": num_threads,
            **(params or {}),
        }
        if unknown := sorted(set(settings) - set(inspect.signature(ChurnClassifier).parameters)):
            raise ModelError(f"ChurnClassifier has no parameter {', '.join(unknown)}")
        classifier = ChurnClassifier(**settings)
        classifier.fit(
            pd.DataFrame(matrix["training"], columns=names),
            outcome["training"],
            validation=(
                (pd.DataFrame(matrix["validation"], columns=names), outcome["validation"])
                if validation is not None
                else None
            ),
        )
        booster = classifier.booster_
        calibration = matrix["calibration"]
        score = _raw_scores(booster, calibration)
        choice = choose_calibrator(score, outcome["calibration"], _customers(calibration_X))
        probability = choice.calibrator(score)
        sizes = default_parameters(len(train_X))
        card = {
            "horizon_days": int(horizon_days),
            "gap_days": int(gap_days),
            "features": [
                {"name": f.name, "reason_group": f.reason_group, "monotone": f.monotone}
                for f in features
            ],
            "feature_names": _inputs(names, percentiles),
            "dropped": dropped,
            "catalogue_hash": catalogue_hash,
            "train_cutoffs": [d.isoformat() for d in sorted(train_cutoffs)],
            "calibration_cutoffs": [d.isoformat() for d in sorted(calibration_cutoffs)],
            "trained_until": (
                (max(calibration_cutoffs) + timedelta(days=gap_days + horizon_days)).isoformat()
                if calibration_cutoffs
                else None
            ),
            "training": {
                **_panel_facts(train_X, outcome["training"]),
                "rounds": booster.num_trees(),
                "early_stopping": validation is not None,
                "monotone": monotone,
                "parameters": {
                    name: sizes.get(name) if value is None else value
                    for name, value in classifier.get_params().items()
                    if name not in ("monotone_constraints", "num_threads", "n_estimators")
                },
            },
            "calibration": {
                **_panel_facts(calibration_X, outcome["calibration"]),
                "method": choice.calibrator.method,
                "reason": choice.reason,
                "log_loss": dict(choice.log_loss),
            },
            "importance": _importance(booster, calibration, names),
            "lightgbm_version": lightgbm.__version__,
        }
        return cls(
            horizon_days=int(horizon_days),
            gap_days=int(gap_days),
            card=card,
            _booster=booster,
            _features=features,
            _percentiles=percentiles,
            _calibrator=choice.calibrator,
            _interval=VennAbers.fit(score, outcome["calibration"]),
            _tiers=Tiers.learn(probability),
        )

    @property
    def feature_names(self) -> list[str]:
        """Columns that `predict` needs, in the model's order."""
        return _inputs(self.model_features, self._percentiles)

    @property
    def model_features(self) -> list[str]:
        """Columns of `contributions`: the inputs and what is computed from them."""
        return [f.name for f in self._features]

    @property
    def tiers(self) -> Tiers:
        """Cut points of the risk tiers."""
        return self._tiers

    @property
    def calibrator(self) -> Calibrator:
        """The map from raw score to probability."""
        return self._calibrator

    def predict(
        self, features: pd.DataFrame, *, reasons: bool = True, num_threads: int | None = None
    ) -> pd.DataFrame:
        """Score customers.

        Args:
            features: A frame with at least `feature_names`, in any order, numeric, missing
                values allowed. It is not written to.
            reasons: Whether to compute the reasons, which is most of the work. The columns
                are there, and empty, without them.
            num_threads: Threads; up to 4 when left out. The result does not depend on it.

        Returns:
            A frame on the index of `features` with the columns `CHURN_COLUMNS`:

            * churn_probability: calibrated probability of no purchase in the horizon.
            * churn_low, churn_high: what calibration would say if this customer were added to
              it as one who stayed, and as one who churned (`calibration.VennAbers`), and
              always around the probability. Wide means that few calibration customers had
              such a score. It is not a range for what this one customer will do.
            * risk_tier: low, medium or high, by cut points frozen at training.
            * reason_1, reason_2, reason_3: the strongest reasons for more risk or, when the
              tier is low, for less; empty where fewer push that way.

        Raises:
            ModelError: A column is missing, not numeric, or infinite somewhere.
        """
        n = len(features)
        self._check(features)
        numbers = np.empty((n, 3))
        words = np.full((n, 1 + len(REASON_COLUMNS)), "", dtype=object)

        def score(start: int) -> None:
            rows = slice(start, start + BLOCK)
            X = self._inputs_of(features.iloc[rows])
            probability, low, high = self._probabilities(_raw_scores(self._booster, X))
            numbers[rows] = np.column_stack([probability, low, high])
            tier = self._tiers.assign(probability)
            words[rows, 0] = tier
            if reasons:
                words[rows, 1:] = self._reasons(X, tier).text

        _in_blocks(score, n, num_threads)
        columns: dict[str, Any] = dict(
            zip((CHURN_PROBABILITY, CHURN_LOW, CHURN_HIGH), numbers.T, strict=True)
        )
        for name, text in zip((RISK_TIER, *REASON_COLUMNS), words.T, strict=True):
            columns[name] = pd.array(text, dtype="str")
        return pd.DataFrame(columns, index=features.index)[list(CHURN_COLUMNS)]

    def explain(self, features: pd.DataFrame) -> pd.DataFrame:
        """Return the reasons of each customer as codes with their weights.

        Returns:
            One row a customer: code_1..3, the reason groups of `predict`'s sentences ("" where
            there is none), and contribution_1..3, their log-odds (NaN where there is none).
        """
        self._check(features)
        X = self._inputs_of(features)
        probability, _, _ = self._probabilities(_raw_scores(self._booster, X))
        found = self._reasons(X, self._tiers.assign(probability))
        columns: dict[str, Any] = {}
        for k, code in enumerate(found.code.T, start=1):
            columns[f"code_{k}"] = pd.array(code, dtype="str")
        for k, contribution in enumerate(found.contribution.T, start=1):
            columns[f"contribution_{k}"] = contribution
        return pd.DataFrame(columns, index=features.index)

    def contributions(self, features: pd.DataFrame) -> pd.DataFrame:
        """Split each raw score into one part a feature.

        Returns:
            Log-odds on the index of `features`: one column each of `model_features`, and last
            `base`. A row's sum is its raw score (`raw_scores`), before calibration.
        """
        self._check(features)
        parts = _contributions(self._booster, self._inputs_of(features))
        return pd.DataFrame(parts, index=features.index, columns=[*self.model_features, BASE])

    def raw_scores(self, features: pd.DataFrame) -> pd.Series[float]:
        """Return the log-odds of churn before calibration."""
        self._check(features)
        score = _raw_scores(self._booster, self._inputs_of(features))
        return pd.Series(score, index=features.index, name="raw_score")

    def importance(self) -> pd.DataFrame:
        """Return what the model looks at: mean absolute contribution on calibration customers.

        Returns:
            Columns feature, reason_group, importance (log-odds), greatest first.
        """
        group = {f.name: f.reason_group for f in self._features}
        rows = [
            {"feature": name, "reason_group": group[name], "importance": value}
            for name, value in self.card["importance"].items()
        ]
        frame = pd.DataFrame(rows, columns=["feature", "reason_group", "importance"])
        return frame.sort_values(
            ["importance", "feature"], ascending=[False, True], ignore_index=True
        )

    def group_importance(self) -> pd.Series[float]:
        """Return the importance of each reason group, the sum over its features."""
        total = self.importance().groupby("reason_group")["importance"].sum()
        return total.sort_values(ascending=False, kind="stable")

    def to_folder(self, folder: Path) -> dict[str, Any]:
        """Write the parts of the model; return the card. See `artifact.save`."""
        parts = {
            "calibrator.json": {
                "point": self._calibrator.to_dict(),
                "interval": self._interval.to_dict(),
            },
            "percentiles.json": {
                SPEND_PERCENTILE: self._percentiles.to_dict() if self._percentiles else None
            },
            "tiers.json": {RISK_TIER: self._tiers.to_dict()},
        }
        for name, part in parts.items():
            (folder / name).write_text(dump_json(part), encoding="utf-8", newline="\n")
        text = self._booster.model_to_string(num_iteration=-1)
        (folder / "booster.txt").write_text(_without_threads(text), encoding="utf-8", newline="\n")
        return dict(self.card)

    @classmethod
    def from_folder(cls, folder: Path, description: Mapping[str, Any]) -> Self:
        """Read back what `to_folder` wrote. Use `artifact.load`, which checks the files first."""

        def part(name: str) -> Any:
            return json.loads((folder / name).read_text(encoding="utf-8"))

        try:
            text = (folder / "booster.txt").read_text(encoding="utf-8")
            booster = lightgbm.Booster(model_str=text)
        except (lightgbm.basic.LightGBMError, OSError, UnicodeError) as error:
            raise ModelError(f"{folder / 'booster.txt'}: not a LightGBM model ({error})") from error
        features = tuple(
            _Feature(row["name"], row["reason_group"], row["monotone"])
            for row in description["features"]
        )
        if booster.num_feature() != len(features):
            raise ModelError(
                f"{folder / 'booster.txt'}: has {booster.num_feature()} features, "
                f"the card lists {len(features)}"
            )
        ranked = part("percentiles.json")[SPEND_PERCENTILE]
        calibrator = part("calibrator.json")
        return cls(
            horizon_days=description["horizon_days"],
            gap_days=description["gap_days"],
            card=description,
            _booster=booster,
            _features=features,
            _percentiles=Percentiles.from_dict(ranked) if ranked else None,
            _calibrator=Calibrator.from_dict(calibrator["point"]),
            _interval=VennAbers.from_dict(calibrator["interval"]),
            _tiers=Tiers.from_dict(part("tiers.json")[RISK_TIER]),
        )

    def _check(self, features: pd.DataFrame) -> None:
        _check_columns(features, self.feature_names, "the frame to score")

    def _inputs_of(self, features: pd.DataFrame) -> Floats:
        return _with_percentile(
            features, self.model_features, self._percentiles, "the frame to score"
        )

    def _probabilities(self, score: Floats) -> tuple[Floats, Floats, Floats]:
        probability = self._calibrator(score)
        low, high = self._interval(score)
        return probability, np.minimum(low, probability), np.maximum(high, probability)

    def _reasons(self, X: Floats, tier: npt.NDArray[np.object_]) -> Reasons:
        parts = _contributions(self._booster, X)[:, :-1]
        groups = {f.name: f.reason_group for f in self._features}
        columns = dict(zip(groups, X.T, strict=True))
        return explain(parts, columns, groups, np.asarray(tier == TIERS[0], dtype=bool))


def canonical_order(X: Floats, y: Floats) -> npt.NDArray[np.int64]:
    """Return the positions that put rows into an order that depends on their content only.

    Rows are sorted by a 64-bit hash of their values (multiply and xor-shift, the constants of
    MurmurHash3's finaliser), which also shuffles them for bagging. Rows with equal hashes are
    taken as equal.

    Args:
        X: Features, shape (n, f).
        y: Outcomes, shape (n,).
    """
    state = np.full(len(y), 0x9E3779B97F4A7C15, dtype=np.uint64)
    for column in (y, *X.T):
        # One bit pattern for each number: no negative zero, one kind of NaN.
        clean = np.where(np.isnan(column), np.nan, column + 0.0)
        state ^= clean.view(np.uint64)
        state *= np.uint64(0xFF51AFD7ED558CCD)
        state ^= state >> np.uint64(33)
        state *= np.uint64(0xC4CEB9FE1A85EC53)
        state ^= state >> np.uint64(33)
    return np.argsort(state, kind="stable")


def _check_purged(train: Sequence[date], calibration: Sequence[date], reach_days: int) -> None:
    if not train or not calibration:
        return
    label_end = max(train) + timedelta(days=reach_days)
    if label_end > min(calibration):
        raise ModelError(
            f"the label window of training cutoff {max(train)} ends on {label_end}, after the "
            f"first calibration cutoff {min(calibration)}",
            "Leave out the training cutoffs whose label windows reach into the calibration.",
        )


def _outcomes(X: pd.DataFrame, y: pd.Series[float], panel: str) -> Floats:
    out = np.asarray(y, dtype=np.float64)
    if len(X) != len(out) or not len(out):
        raise ModelError(f"the {panel} panel has {len(X)} rows and {len(out)} outcomes")
    if isinstance(y, pd.Series) and not y.index.equals(X.index):
        raise ModelError(f"rows and outcomes of the {panel} panel are not of the same customers")
    if not np.isin(out, (0.0, 1.0)).all():
        raise ModelError(f"outcomes of the {panel} panel must be 0 (stayed) or 1 (churned)")
    return out


def _customers(X: pd.DataFrame) -> npt.NDArray[Any]:
    index = X.index
    if isinstance(index, pd.MultiIndex):
        level = "customer_id" if "customer_id" in index.names else 0
        index = index.get_level_values(level)
    return np.asarray(index.astype(str))


def _panel_facts(X: pd.DataFrame, y: Floats) -> dict[str, Any]:
    return {
        "rows": len(X),
        "customers": len(np.unique(_customers(X))),
        "churn_rate": float(y.sum() / len(y)),
    }


def _read_catalogue(catalogue: pd.DataFrame | Sequence[Any]) -> dict[str, _Feature]:
    rows = catalogue.to_dict("records") if isinstance(catalogue, pd.DataFrame) else catalogue
    out = {}
    for row in rows:
        facts: Any = row if isinstance(row, Mapping) else vars(row)
        name = str(facts["name"])
        out[name] = _Feature(
            name,
            str(facts.get("reason_group") or name),
            int(facts.get("monotone", 0)),
            bool(facts.get("seasonal", False)),
        )
    return out


def _has_values(X: pd.DataFrame, name: str) -> bool:
    return name in X.columns and bool(X[name].notna().any())


def _select(
    X: pd.DataFrame,
    known: Mapping[str, _Feature],
    cutoffs: Sequence[date],
    percentiles: Percentiles | None,
) -> tuple[tuple[_Feature, ...], dict[str, str]]:
    """Choose the features; say why the others are left out."""
    whole_year = bool(cutoffs) and (max(cutoffs) - min(cutoffs)).days >= 365
    # What only tells the time has at most one value a cutoff, and at most one a month.
    times = len(cutoffs) or 12
    kept: list[_Feature] = []
    dropped: dict[str, str] = {}
    _check_columns(X, [], "the training panel")
    for name in map(str, X.columns):
        feature = known.get(name, _Feature(name, name))
        distinct = X[name].nunique(dropna=False)
        if not X[name].notna().any():
            dropped[name] = "no value in training"
        elif distinct == 1:
            dropped[name] = "the same value in all training rows"
        elif feature.seasonal and not whole_year and distinct <= times:
            dropped[name] = "tells the season, and the training cutoffs span less than a year"
        else:
            kept.append(feature)
    if percentiles is not None and len(percentiles.value) > 1:
        kept.append(known[SPEND_PERCENTILE])
    if not kept:
        raise ModelError(
            "no feature differs between the training customers",
            "Check the training panel: all columns are empty or constant.",
        )
    # In the catalogue's order, then as they came: the order of the columns changes nothing.
    place = {name: i for i, name in enumerate(known)}
    kept.sort(key=lambda f: (place.get(f.name, len(place)), f.name))
    return tuple(kept), dropped


def _inputs(names: Sequence[str], percentiles: Percentiles | None) -> list[str]:
    if percentiles is None or SPEND_PERCENTILE not in names:
        return list(names)
    plain = [name for name in names if name != SPEND_PERCENTILE]
    return plain if percentiles.source in plain else [*plain, percentiles.source]


def _check_columns(frame: pd.DataFrame, expected: Sequence[str], what: str) -> None:
    have = [str(name) for name in frame.columns]
    if missing := [name for name in expected if name not in have]:
        extra = [name for name in have if name not in expected]
        raise ModelError(
            f"{what} lacks {len(missing)} of {len(expected)} columns: {', '.join(missing)}"
            + (f"; it has these besides: {', '.join(extra[:20])}" if extra else ""),
            "Build the features with the version of regulars that trained the model.",
        )
    if len(set(have)) < len(have):
        twice = next(name for name in have if have.count(name) > 1)
        raise ModelError(f"{what} has two columns called {twice!r}")


def _matrix(frame: pd.DataFrame, names: Sequence[str]) -> Floats:
    """Return columns as doubles, C-contiguous, shape (n, len(names))."""
    out = np.empty((len(frame), len(names)))
    for i, name in enumerate(names):
        column = frame[name]
        numeric = pd.api.types.is_numeric_dtype(column.dtype) or pd.api.types.infer_dtype(
            column, skipna=True
        ) in ("decimal", "integer", "floating", "mixed-integer-float", "boolean", "empty")
        if not numeric or pd.api.types.is_complex_dtype(column.dtype):
            raise ModelError(f"column {name!r} must be numeric, found {column.dtype}")
        out[:, i] = column.to_numpy(dtype=np.float64, na_value=np.nan)
    if np.isinf(out).any():
        row, i = np.argwhere(np.isinf(out))[0]
        raise ModelError(f"column {names[i]!r} is infinite for customer {frame.index[row]}")
    return out


def _with_percentile(
    frame: pd.DataFrame, names: Sequence[str], percentiles: Percentiles | None, what: str
) -> Floats:
    inputs = _inputs(names, percentiles)
    _check_columns(frame, inputs, what)
    if percentiles is None or SPEND_PERCENTILE not in names:
        return _matrix(frame, names)
    out = np.empty((len(frame), len(names)))
    ranked = list(names).index(SPEND_PERCENTILE)
    others = [i for i in range(len(names)) if i != ranked]
    out[:, others] = _matrix(frame, [names[i] for i in others])
    out[:, ranked] = percentiles(_matrix(frame, [percentiles.source])[:, 0])
    return out


def _raw_scores(booster: lightgbm.Booster, X: Floats) -> Floats:
    if not len(X):
        return np.empty(0)
    return np.asarray(booster.predict(X, raw_score=True, num_threads=1), dtype=np.float64)


def _contributions(booster: lightgbm.Booster, X: Floats) -> Floats:
    if not len(X):
        return np.empty((0, X.shape[1] + 1))
    return np.asarray(booster.predict(X, pred_contrib=True, num_threads=1), dtype=np.float64)


def _importance(booster: lightgbm.Booster, X: Floats, names: Sequence[str]) -> dict[str, float]:
    some = X[canonical_order(X, np.zeros(len(X)))[:IMPORTANCE_ROWS]]
    parts = np.abs(_contributions(booster, some)[:, :-1])
    return dict(zip(names, parts.mean(axis=0).tolist(), strict=True))


def _in_blocks(work: Callable[[int], None], n: int, num_threads: int | None) -> None:
    # Threads of ours around single-threaded calls: OpenMP's own threads spin while they wait,
    # which costs a factor of a hundred on a busy machine.
    starts = range(0, n, BLOCK)
    threads = min(num_threads or min(4, os.cpu_count() or 1), len(starts))
    if threads <= 1:
        for start in starts:
            work(start)
        return
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, starts))


def _safe_names(names: Sequence[str]) -> list[str]:
    # LightGBM refuses JSON's special characters in names and its text format knows no spaces.
    plain = [re.sub(r"\W", "_", name, flags=re.ASCII) for name in names]
    if len(set(plain)) == len(plain):
        return plain
    return [f"{name}_{i}" for i, name in enumerate(plain)]


def _canonical_text(booster: lightgbm.Booster, iterations: int | None) -> str:
    return _without_threads(booster.model_to_string(num_iteration=iterations or -1))


def _without_threads(text: str) -> str:
    return re.sub(r"^\[num_threads: \d+\]$", "[num_threads: 0]", text, flags=re.MULTILINE)
