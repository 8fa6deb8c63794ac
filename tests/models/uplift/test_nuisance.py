import numpy as np
import pandas as pd
import pytest

from models.base import ModelError
from models.uplift.nuisance import design, expected_outcomes, folds_of, propensities


def test_customers_are_dealt_out_whole_and_evenly():
    who = np.repeat(np.arange(50), 3)
    fold = folds_of(who, 5, seed=0)
    assert (fold.reshape(50, 3) == fold[::3, None]).all()
    assert np.bincount(fold[::3]).tolist() == [10] * 5
    turned = np.random.default_rng(0).permutation(150)
    assert (folds_of(who[turned], 5, seed=0) == fold[turned]).all()
    with pytest.raises(ModelError, match="folds"):
        folds_of(["a", "b"], 5, seed=0)


def test_chances_are_found():
    rng = np.random.default_rng(0)
    x = rng.normal(size=20_000)
    truth = 1 / (1 + np.exp(-(-2 + x)))
    found = propensities(
        rng.random(20_000) < truth,
        design(pd.DataFrame({"x": x, "noise": rng.normal(size=20_000)})),
        folds_of(np.arange(20_000), 5, 0),
    )
    assert np.abs(found - truth).mean() < 0.01


@pytest.mark.parametrize("kind", ["counts", "money below zero"])
def test_expected_outcomes_are_those_without_treatment(kind):
    rng = np.random.default_rng(0)
    n = 20_000
    x = rng.normal(size=n)
    treated = rng.random(n) < 0.3
    if kind == "counts":
        truth = np.exp(0.5 + 0.4 * x)
        outcome = rng.poisson(truth * np.where(treated, 3, 1)).astype(float)
    else:
        truth = 2 + 3 * x
        outcome = truth + 5 * treated + rng.normal(size=n)
    found = expected_outcomes(
        outcome,
        treated,
        np.ones(n),
        design(pd.DataFrame({"x": x})),
        folds_of(np.arange(n), 5, 0),
    )
    assert np.abs(found - truth).mean() < 0.05


def test_no_row_helps_to_predict_itself():
    rng = np.random.default_rng(0)
    x = design(pd.DataFrame({"x": rng.normal(size=400)}))
    treated = rng.random(400) < 0.5
    fold = folds_of(np.arange(400), 5, 0)
    one = propensities(treated, x, fold)
    other = treated.copy()
    other[fold == 0] = ~other[fold == 0]
    changed = propensities(other, x, fold)
    assert (one[fold == 0] == changed[fold == 0]).all()
    assert (one[fold != 0] != changed[fold != 0]).all()


def test_an_arm_that_a_fold_could_lack_is_refused():
    x = pd.DataFrame({"x": np.arange(20.0)})
    with pytest.raises(ModelError, match="Too few"):
        propensities(np.arange(20) == 3, design(x), np.arange(20) % 5)


def test_of_those_who_did_nothing_nothing_is_expected():
    treated = np.arange(40) % 2 == 0
    described = design(pd.DataFrame({"x": np.arange(40.0)}))
    found = expected_outcomes(treated * 1.0, treated, np.ones(40), described, np.arange(40) % 5)
    assert (found == 0).all()
