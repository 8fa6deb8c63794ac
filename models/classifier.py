"""Gradient boosting with the manners of scikit-learn: same rows, same bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

from .base import ModelError
from .booster import Floats, Matrix, TreeSettings, grow, raw_scores
from .categories import category_codes, is_category, learn_levels

__all__ = ["ChurnClassifier"]


class ChurnClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Binary classifier on LightGBM trees, reproducible to the byte.

    Missing values are handled by the trees. In a pandas frame, columns of text or of a
    categorical type are categories, whose levels are learned by `fit` as for a churn model
    (`inputs.learn_levels`). Rows are put into an order of their own before training, so
    shuffling them changes nothing; LightGBM's deterministic mode makes the number of threads
    irrelevant.

    Args:
        n_estimators: Boosting rounds; the most that may be used when `fit` gets a validation
            frame. None: by the number of rows (`booster.default_parameters`), four times as
            many with validation.
        learning_rate: Shrinkage of each round. None: by the number of rows.
        num_leaves: Leaves of a tree. None: by the number of rows.
        min_data_in_leaf: Rows in a leaf. None: by the number of rows.
        lambda_l2: L2 penalty on leaf values.
        feature_fraction: Share of features a tree may use.
        bagging_fraction: Share of rows a tree sees.
        extra_trees: Draw one random threshold a feature and split instead of searching the
            best. None: by the number of rows.
        path_smooth: Draws leaves towards their parents, as if these weighed so many rows.
        cat_smooth: Draws levels of categories towards the average when they are sorted.
        early_stopping_rounds: Rounds without progress on the validation frame before stopping.
        monotone_constraints: Feature name (or position) -> sign of its effect on the
            probability of the second class: -1, 0 or +1. Absent features are free.
        random_state: Seed.
        num_threads: Threads of training.

    Attributes:
        classes_: The two labels, ascending; probabilities are those of the second.
        booster_: The trees, a `lightgbm.Booster`.
        levels_: Position of each category -> its levels.
        n_features_in_: Number of features.
        feature_names_in_: Their names, when `X` was a frame with text column names.

    Examples:
        >>> plan = ["monthly", "yearly"] * 50
        >>> X = pd.DataFrame({"plan": plan, "months": range(100)})
        >>> y = ["leaves" if p == "monthly" else "stays" for p in plan]
        >>> ChurnClassifier().fit(X, y).predict(X.head(2)).tolist()
        ['leaves', 'stays']
    """

    def __init__(
        self,
        n_estimators: int | None = None,
        learning_rate: float | None = None,
        num_leaves: int | None = None,
        min_data_in_leaf: int | None = None,
        lambda_l2: float = 2.0,
        feature_fraction: float = 0.5,
        bagging_fraction: float = 0.7,
        extra_trees: bool | None = None,
        path_smooth: float = 0.0,
        cat_smooth: float = 10.0,
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
        self.path_smooth = path_smooth
        self.cat_smooth = cat_smooth
        self.early_stopping_rounds = early_stopping_rounds
        self.monotone_constraints = monotone_constraints
        self.random_state = random_state
        self.num_threads = num_threads

    def fit(self, X: Any, y: Any, validation: tuple[Any, Any] | None = None) -> Self:
        """Train.

        Args:
            X: Numbers and, in a frame, categories; missing values allowed, shape (n, f).
            y: Two different labels, shape (n,).
            validation: Rows of a later cutoff, whose label windows begin after those of `X`
                end, to decide when to stop. Without them the number of rounds is fixed.

        Raises:
            ModelError: The labels are all the same.
            ValueError: Not a binary target, or not numbers.
        """
        self.levels_ = {}
        if isinstance(X, pd.DataFrame):
            texts = [i for i, column in enumerate(_columns(X)) if is_category(column)]
            self.levels_ = {i: learn_levels([X.iloc[:, i]]) for i in texts}
        X, y = self._validated(X, y)
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
        names = [str(n) for n in getattr(self, "feature_names_in_", range(self.n_features_in_))]
        self.booster_ = grow(
            X,
            (y == self.classes_[1]).astype(np.float64),
            TreeSettings(**{f.name: getattr(self, f.name) for f in fields(TreeSettings)}),
            names=names,
            categories=list(self.levels_),
            signs=self._signs(names),
            validation=None if validation is None else self._later(*validation),
            seed=self.random_state,
            num_threads=self.num_threads,
        )
        return self

    def decision_function(self, X: Any) -> Floats:
        """Return the raw score, the log-odds of the second class, shape (n,)."""
        check_is_fitted(self)
        return raw_scores(self.booster_, self._validated(X))

    def predict_proba(self, X: Any) -> Floats:
        """Return the probability of each class, shape (n, 2)."""
        check_is_fitted(self)
        p = np.asarray(self.booster_.predict(self._validated(X), num_threads=1))
        return np.column_stack([1.0 - p, p])

    def predict(self, X: Any) -> npt.NDArray[Any]:
        """Return the likelier class, shape (n,)."""
        p = self.predict_proba(X)[:, 1]
        return np.asarray(self.classes_[(p > 0.5).astype(int)])

    def __sklearn_tags__(self) -> Any:
        """Tell scikit-learn what this estimator can take."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.classifier_tags.multi_class = False
        return tags

    def _validated(self, X: Any, y: Any = "no_validation") -> Any:
        """Return X, and y if given, as scikit-learn wants them checked; categories as codes."""
        if isinstance(X, pd.DataFrame) and self.levels_:
            coded = {
                place: category_codes(column, self.levels_[place])
                if place in self.levels_
                else column
                for place, column in enumerate(_columns(X))
            }
            X = pd.DataFrame(coded, index=X.index).set_axis(X.columns, axis=1)
        return validate_data(
            self,
            X,
            y,
            dtype=[np.float64, np.float32],
            order="C",
            ensure_all_finite="allow-nan",
            reset=not isinstance(y, str),
        )

    def _later(self, X: Any, y: Any) -> tuple[Matrix, Floats]:
        X = self._validated(X)
        y = check_array(y, ensure_2d=False, dtype=None)
        if len(X) != len(y) or not np.isin(y, self.classes_).all():
            raise ModelError("the validation labels do not match the validation rows or classes")
        return X, (y == self.classes_[1]).astype(np.float64)

    def _signs(self, names: list[str]) -> dict[int, int]:
        signs = {}
        for name, sign in (self.monotone_constraints or {}).items():
            if name in names:
                signs[names.index(str(name))] = sign
            elif isinstance(name, int) and name in range(len(names)):
                signs[name] = sign
            else:
                raise ModelError(f"monotone constraint on unknown feature {name!r}")
        return signs


def _columns(X: pd.DataFrame) -> list[pd.Series[Any]]:
    return [X.iloc[:, place] for place in range(X.shape[1])]
