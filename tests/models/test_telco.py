"""The classifier's defaults on a public table: the numbers that tuned LightGBM reaches there.

A probability that is right has an expected calibration error of 0.014 on half of this table, by
chance alone; on all of it 0.010. So the error of the out-of-fold probabilities of a repetition is
what tells.
"""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import brier_score_loss, roc_auc_score
from sklearn.model_selection import RepeatedStratifiedKFold

from models.classifier import ChurnClassifier

REPEATS = 5


@pytest.fixture(scope="module")
def telco():
    folder = os.environ.get("REGULARS_DATA")
    path = Path(folder or "", "telco.parquet")
    if not folder or not path.is_file():
        pytest.skip("REGULARS_DATA names no folder with telco.parquet")
    table = pd.read_parquet(path).drop(columns="customer_id")
    churned = (table.pop("Churn") == "Yes").to_numpy(np.float64)
    table["TotalCharges"] = pd.to_numeric(table["TotalCharges"], errors="coerce")
    return table, churned


def calibration_error(y, p, bins=10):
    """Expected calibration error over bins of equal width, written down once more."""
    place = np.minimum((p * bins).astype(int), bins - 1)
    gaps = [abs((p - y)[place == k].sum()) for k in range(bins)]
    return sum(gaps) / len(y)


@pytest.mark.data
@pytest.mark.slow
def test_defaults_reach_what_tuned_trees_reach(telco):
    X, y = telco
    folds = RepeatedStratifiedKFold(n_splits=2, n_repeats=REPEATS, random_state=0)
    p = np.full((REPEATS, len(y)), np.nan)
    auc, brier = [], []
    for i, (train, test) in enumerate(folds.split(X, y)):
        classifier = ChurnClassifier().fit(X.iloc[train], y[train])
        mine = classifier.predict_proba(X.iloc[test])[:, 1]
        p[i // 2, test] = mine
        auc.append(roc_auc_score(y[test], mine))
        brier.append(brier_score_loss(y[test], mine))
    assert np.mean(auc) >= 0.848
    assert np.mean(brier) <= 0.135
    assert np.mean([calibration_error(y, each) for each in p]) <= 0.015
