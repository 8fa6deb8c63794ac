"""The churn classifier: the manners of scikit-learn, and the same bytes for the same rows."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from models.base import ModelError
from models.classifier import ChurnClassifier


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


@parametrize_with_checks([ChurnClassifier()])
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


# -- Frames of pandas ------------------------------------------------------------------------


def contracts(n, seed):
    """Contracts with columns of every kind that tables have."""
    rng = np.random.default_rng(seed)
    X = pd.DataFrame({"months": rng.integers(1, 70, n)})
    X["plan"] = pd.Categorical(rng.choice(["monthly", "yearly"], n))
    X["payment"] = pd.Series(rng.choice(["card", "cheque", None], n), dtype="str")
    X["region"] = rng.choice(["north", "south", "rare"], n, p=[0.5, 0.499, 0.001]).astype(object)
    X["paperless"] = rng.random(n) < 0.5
    X["calls"] = pd.array(np.where(rng.random(n) < 0.2, None, rng.poisson(2, n)), dtype="Int64")
    z = 1.5 * (X["plan"] == "monthly") - X["months"] / 35 + (X["payment"] == "cheque")
    return X, np.where(rng.random(n) < expit(z), "leaves", "stays")


def test_frames_with_categories_flags_and_gaps():
    X, y = contracts(1500, 1)
    before = X.copy(deep=True)
    classifier = ChurnClassifier().fit(X, y)
    assert {place: set(levels) for place, levels in classifier.levels_.items()} == {
        1: {"monthly", "yearly"},
        2: {"card", "cheque"},
        3: {"north", "south"},
    }
    new, outcome = contracts(1500, 2)
    p = classifier.predict_proba(new)[:, list(classifier.classes_).index("leaves")]
    assert roc_auc_score(outcome == "leaves", p) > 0.72
    pd.testing.assert_frame_equal(X, before)


def test_levels_are_frozen_whatever_the_type_of_a_later_column():
    X, y = contracts(800, 1)
    classifier = ChurnClassifier(n_estimators=50).fit(X, y)
    some = X.head(40)
    expected = classifier.predict_proba(some)
    as_text = some.assign(plan=some["plan"].astype("str"))
    reordered = some.assign(plan=some["plan"].cat.reorder_categories(["yearly", "monthly"]))
    for same in (as_text, reordered, some.iloc[::-1].iloc[::-1]):
        np.testing.assert_array_equal(classifier.predict_proba(same), expected)
    unseen = some.assign(region="moon", plan=pd.Categorical(["weekly"] * 40))
    assert np.isfinite(classifier.predict_proba(unseen)).all()


def test_in_a_pipeline_under_cross_validation():
    X, y = contracts(900, 1)
    keep = ColumnTransformer([("keep", "passthrough", list(X.columns))]).set_output(
        transform="pandas"
    )
    chain = make_pipeline(keep, ChurnClassifier(n_estimators=100))
    scores = cross_val_score(chain, X, y, cv=3, scoring="roc_auc")
    assert scores.mean() > 0.7
    assert clone(chain).fit(X, y).predict(X).shape == (900,)


@pytest.mark.parametrize(("level", "rows"), [(-6.5, 4000), (4.5, 1000), (0.0, 60)])
def test_rare_common_and_few(level, rows):
    rng = np.random.default_rng(3)
    X = pd.DataFrame({"a": rng.normal(size=rows), "b": rng.choice(["x", "y"], rows)})
    y = rng.random(rows) < expit(1.5 * X["a"] + level)
    p = ChurnClassifier().fit(X, y).predict_proba(X)[:, 1]
    assert p.mean() == pytest.approx(y.mean(), abs=0.01)
    assert roc_auc_score(y, p) > 0.6
