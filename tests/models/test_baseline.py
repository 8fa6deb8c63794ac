"""The rules that a model has to beat."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from models.base import ModelError, Predictor
from models.baseline import DaysSinceLastRule, PastRateContinues, Zero


@pytest.fixture
def customers():
    rng = np.random.default_rng(1)
    days = rng.integers(1, 300, 800).astype(float)
    frame = pd.DataFrame({"days_since_last": days}, index=pd.Index(np.arange(800).astype(str)))
    churned = pd.Series((rng.random(800) < days / 350).astype(float), index=frame.index)
    return frame, churned


def test_rule_is_calibrated_and_never_falls(customers):
    frame, churned = customers
    rule = DaysSinceLastRule.fit(frame, churned)
    p = rule.predict(frame)
    assert p.mean() == pytest.approx(churned.mean(), abs=0.005)
    assert np.all(np.diff(p.to_numpy()[np.argsort(frame["days_since_last"])]) >= 0)
    assert p.between(0, 1, inclusive="neither").all()
    assert p.index.equals(frame.index)


def test_rule_ranks_exactly_as_days_since_last(customers):
    frame, churned = customers
    auc = roc_auc_score(churned, DaysSinceLastRule.fit(frame, churned).predict(frame))
    assert auc == pytest.approx(roc_auc_score(churned, frame["days_since_last"]), abs=1e-12)


def test_rule_survives_json(customers):
    frame, churned = customers
    rule = DaysSinceLastRule.fit(frame, churned)
    again = DaysSinceLastRule.from_dict(json.loads(json.dumps(rule.to_dict())))
    pd.testing.assert_series_equal(again.predict(frame), rule.predict(frame), check_exact=True)


@pytest.mark.parametrize(
    ("target", "expected"), [("purchases", [5.2, 0, 0]), ("spend", [52, 0, 0])]
)
def test_past_rate_continues(target, expected):
    rfm = pd.DataFrame(
        {"frequency": [10.0, 0, 0], "T": [100.0, 50, 0], "monetary_value": [10.0, 0, 0]}
    )
    assert PastRateContinues(364, target).predict(rfm).tolist() == pytest.approx(expected)


def test_zero():
    frame = pd.DataFrame(index=["a", "b"])
    assert Zero().predict(frame).tolist() == [0.0, 0.0]


def test_all_speak_the_same_protocol(customers):
    frame, churned = customers
    for rule in (
        DaysSinceLastRule.fit(frame, churned),
        PastRateContinues(90),
        Zero(),
    ):
        assert isinstance(rule, Predictor)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (pd.DataFrame({"other": [1.0]}), "'days_since_last' is missing"),
        (
            pd.DataFrame({"days_since_last": [np.nan]}, index=["x7"]),
            "no finite value for customer x7",
        ),
    ],
)
def test_missing_input_is_named(frame, message):
    with pytest.raises(ModelError, match=message):
        DaysSinceLastRule.fit(frame, pd.Series([1.0]))
