"""The churn classifier: the manners of scikit-learn, and the same bytes for the same rows."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from sklearn.utils.estimator_checks import parametrize_with_checks

from models.base import ModelError
from models.classifier import ChurnClassifier, canonical_order


def panel(n, seed):
    """Simulated customers whose churn depends on lateness and frequency."""
    rng = np.random.default_rng(seed)
    X = pd.DataFrame({"gap_mean": rng.gamma(2, 20, n).round(1) + 1})
    X["days_since_last"] = rng.gamma(1.2, 40, n).round() + 1
    X["n_purchases_365"] = np.maximum(rng.poisson(365 / X["gap_mean"]), 1).astype(float)
    X.loc[rng.random(n) < 0.25, "gap_mean"] = np.nan
    X["own_column"] = rng.normal(size=n)
    z = 1 + 0.012 * X["days_since_last"] - 0.12 * X["n_purchases_365"]
    return X, pd.Series((rng.random(n) < expit(z)).astype(float))


@parametrize_with_checks([ChurnClassifier(n_estimators=20)])
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def test_classifier_predicts_labels_of_the_users_own():
    X, y = panel(600, 1)
    names = np.where(y == 1, "stays away", "comes back")
    classifier = ChurnClassifier(n_estimators=30).fit(X, names)
    assert classifier.classes_.tolist() == ["comes back", "stays away"]
    p = classifier.predict_proba(X)
    np.testing.assert_allclose(p.sum(axis=1), 1)
    np.testing.assert_allclose(expit(classifier.decision_function(X)), p[:, 1])
    assert set(classifier.predict(X)) == {"comes back", "stays away"}


def test_column_names_may_hold_any_character():
    X, y = panel(300, 1)
    X = X.rename(columns={"gap_mean": "gap [days], mean", "own_column": "eigene Spalte: ö"})
    assert ChurnClassifier(n_estimators=5).fit(X, y).predict_proba(X).shape == (300, 2)


def test_early_stopping_keeps_fewer_rounds():
    X, y = panel(800, 1)
    noise = pd.Series(np.random.default_rng(0).permutation(y), index=y.index)
    stopped = ChurnClassifier(n_estimators=300, early_stopping_rounds=10)
    stopped.fit(X, noise, validation=panel(800, 2))
    assert stopped.booster_.num_trees() < 100


def test_monotone_constraints_hold():
    X, y = panel(1000, 1)
    classifier = ChurnClassifier(monotone_constraints={"days_since_last": 1}).fit(X, 1 - y)
    row = pd.concat([X.iloc[[0]]] * 50, ignore_index=True)
    row["days_since_last"] = np.linspace(0, 400, 50)
    assert np.all(np.diff(classifier.decision_function(row)) >= 0)


def test_unknown_constraint_is_refused():
    X, y = panel(100, 1)
    with pytest.raises(ModelError, match="unknown feature 'recency_days'"):
        ChurnClassifier(monotone_constraints={"recency_days": 1}).fit(X, y)


@pytest.mark.parametrize("rows", [300, 6000])
def test_row_order_and_threads_change_no_byte(rows):
    X, y = panel(rows, 1)
    order = np.random.default_rng(5).permutation(rows)
    texts = {
        ChurnClassifier(n_estimators=30, num_threads=threads)
        .fit(X.iloc[rows_], y.iloc[rows_])
        .booster_.model_to_string()
        for threads in (1, 4)
        for rows_ in (np.arange(rows), order, order[::-1])
    }
    assert len(texts) == 1


def test_canonical_order_sees_through_zero_signs_and_kinds_of_nan():
    strange = np.uint64(0x7FF8000000000001).view(np.float64)
    X = np.array([[0.0, np.nan], [1.0, 2.0], [3.0, 4.0]])
    same = np.array([[-0.0, strange], [1.0, 2.0], [3.0, 4.0]])
    y = np.array([0.0, 1.0, 0.0])
    assert canonical_order(X, y).tolist() == canonical_order(same, y).tolist()
