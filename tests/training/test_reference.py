"""A training keeps what its customers were like, with the model and nowhere else."""

import numpy as np
import pandas as pd

from models.reference import MAX_CUTOFFS, REFERENCE, Reference
from training.reference import churn_reference, clv_reference


class Rule:
    feature_names = ("days_since_last", "taste")
    text_columns = ()

    def predict(self, frame, reasons):
        assert not reasons
        odds = frame["days_since_last"] / (1 + frame["days_since_last"])
        return pd.DataFrame({"churn_probability": odds, "risk_tier": "low"}, index=frame.index)


def test_churn_keeps_the_latest_cutoffs_and_the_day_of_the_training(build_panel):
    panel = build_panel(months=15)
    *trained, now = panel.slices
    found = Reference.from_json(churn_reference(Rule(), panel, trained, now)[REFERENCE])
    assert found.as_of == now
    assert found.training == tuple(trained[-MAX_CUTOFFS:])
    assert set(found.columns) == {"days_since_last", "taste"}
    assert set(found.scores) == {"churn_probability"}
    assert found.scores["churn_probability"].pooled(found.training)[1] == 300


def test_clv_keeps_the_day_it_was_fitted_to(panel):
    now = max(panel.slices)
    rng = np.random.default_rng(1)
    inputs = pd.DataFrame({"frequency": rng.poisson(2.0, 200), "group": ["a", "b"] * 100})
    predicted = pd.DataFrame(
        {"clv": rng.lognormal(3, 1, 200), "expected_purchases": rng.random(200), "p_alive": 0.5}
    )
    found = Reference.from_json(clv_reference(inputs, predicted, now)[REFERENCE])
    assert found.learned_from == (now,)
    assert found.columns["group"].bins.levels == ("a", "b")
    assert set(found.scores) == {"clv", "expected_purchases"}
