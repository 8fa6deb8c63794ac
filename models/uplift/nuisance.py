"""What an observational effect is adjusted with: chances of treatment and expected outcomes.

Both are fitted on folds and predicted for the fold left out (cross-fitting: Chernozhukov et al.
2018, "Double/Debiased Machine Learning", Econometrics Journal 21:C1), so no row helps to
predict itself; the rows of one customer are in one fold.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pandas as pd
from threadpoolctl import threadpool_limits

from ..base import ModelError

__all__ = ["design", "expected_outcomes", "folds_of", "propensities"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

_RARE = 20
"""Levels of a text column with fewer rows are taken together."""


def design(covariates: pd.DataFrame) -> pd.DataFrame:
    """Covariates as numbers: what balance is measured on.

    Args:
        covariates: Numbers, booleans or text. A missing number becomes the median, with a
            column that says so; a missing text is a level of its own.

    Returns:
        float64 on the same index: numeric columns under their names, `name missing`, and for
        text one column a level, `name=level`; levels with fewer than 20 rows are together in
        `name=other`. Columns that are constant are left out.

    Raises:
        ModelError: A number is infinite, or nothing varies.
    """
    columns: dict[str, Floats] = {}
    for name in covariates.columns:
        column = covariates[name]
        if pd.api.types.is_numeric_dtype(column):
            values = column.to_numpy(dtype=np.float64, na_value=np.nan)
            if np.isinf(values).any():
                raise ModelError(f"The covariate {name} has infinite values.", "Replace them.")
            gone = np.isnan(values)
            if gone.all():
                continue
            columns[str(name)] = np.where(gone, np.median(values[~gone]), values)
            columns[f"{name} missing"] = gone.astype(np.float64)
        else:
            text = column.astype("str").where(column.notna(), "missing")
            counts = text.value_counts()
            text = text.where(text.map(counts) >= _RARE, "other")
            for level in sorted(text.unique()):
                columns[f"{name}={level}"] = (text == level).to_numpy(dtype=np.float64)
    found = {name: values for name, values in columns.items() if np.ptp(values) > 0}
    if not found:
        raise ModelError("No covariate varies.", "Pass what was known before the treatment.")
    return pd.DataFrame(found, index=covariates.index)


def folds_of(clusters: npt.ArrayLike, folds: int, seed: int) -> Ints:
    """The fold of each row: clusters in the order of their text, dealt out at random."""
    names, codes = np.unique(np.asarray(clusters).astype(str), return_inverse=True)
    if len(names) < folds:
        raise ModelError(f"{len(names)} customers make no {folds} folds.", "Use fewer folds.")
    dealt = np.random.default_rng(seed).permutation(len(names)) % folds
    return np.asarray(dealt[codes], dtype=np.int64)


def _basis(described: pd.DataFrame) -> Floats:
    """Standardised columns, and the squares of those with more than two values."""
    raw = described.to_numpy(dtype=np.float64)
    scale = raw.std(axis=0)  # 0 where only rows that were left out differed
    z = (raw - raw.mean(axis=0)) / np.where(scale > 0, scale, 1.0)
    many = [len(np.unique(column[:5000])) > 2 for column in raw.T]
    squares = z[:, many] ** 2
    spread = squares.std(axis=0)
    squares = (squares - squares.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    return np.hstack([z, squares])


def _parts(fold: Ints) -> Iterator[tuple[Bools, Bools]]:
    for number in range(fold.max() + 1):
        yield fold != number, fold == number


def propensities(treated: npt.ArrayLike, described: pd.DataFrame, fold: Ints) -> Floats:
    """The chance of treatment of each row, by logistic regression on the other folds.

    Args:
        treated: 0 or 1, shape (n,).
        described: As `design` gives them.
        fold: As `folds_of` gives them; both arms must be in the rest of every fold.

    Returns:
        Probabilities, shape (n,).

    Raises:
        ModelError: The rest of a fold has one arm only: too few customers in the other.
    """
    from sklearn.linear_model import LogisticRegression

    t, x = np.asarray(treated, dtype=bool), _basis(described)
    result = np.empty(len(t))
    for rest, part in _parts(fold):
        if t[rest].all() or not t[rest].any():
            raise ModelError(
                "Too few customers are in one of the arms to learn who is treated.",
                "Wait until there are more.",
            )
        with threadpool_limits(1, user_api="blas"):  # more only wait for each other
            fitted = LogisticRegression(C=1.0, solver="newton-cholesky").fit(x[rest], t[rest])
            result[part] = fitted.predict_proba(x[part])[:, 1]
    return result


def expected_outcomes(
    outcome: Floats, treated: Bools, weights: Floats, described: pd.DataFrame, fold: Ints
) -> Floats:
    """The outcome of each row had it not been treated, by regression on the untreated.

    A regression on the untreated rows of the other folds, weighted as they will be in the
    comparison, so that it fits best where the treated are: Poisson regression where no outcome
    is below 0 (counts, money, yes or no; only the mean has to be right), else linear.

    Returns:
        Expected outcomes, shape (n,).
    """
    from sklearn.linear_model import PoissonRegressor, Ridge

    x = _basis(described)
    counts = bool((outcome >= 0).all() and (outcome > 0).any())
    unit = float(outcome.mean()) if counts else 1.0
    result = np.empty(len(outcome))
    for rest, part in _parts(fold):
        rows = rest & ~treated
        if np.ptp(outcome[rows]) == 0:  # of nothing but zeros there is no logarithm
            result[part] = outcome[rows][0]
            continue
        model = (
            PoissonRegressor(alpha=1e-4, solver="newton-cholesky") if counts else Ridge(alpha=1.0)
        )
        with threadpool_limits(1, user_api="blas"):  # more only wait for each other
            fitted = model.fit(x[rows], outcome[rows] / unit, sample_weight=weights[rows])
            expected = fitted.predict(x[part]) * unit
        # Held to what was seen: far from the data the exponential knows no bounds.
        result[part] = np.clip(expected, outcome[rows].min(), outcome[rows].max())
    return result
