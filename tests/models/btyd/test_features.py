"""The purchase model as features of the churn model."""

import pandas as pd
import pytest

from models.btyd.features import BTYD_FEATURES, btyd_features


def test_features_are_possible_repeatable_and_on_the_customers_index(regulars):
    features = btyd_features(regulars, 90)
    assert tuple(features.columns) == BTYD_FEATURES
    pd.testing.assert_index_equal(features.index, regulars.index)
    assert features["p_alive"].between(0, 1).all()
    assert features["probability_no_purchase"].between(0, 1).all()
    pd.testing.assert_frame_equal(features, btyd_features(regulars, 90))


def test_features_foretell_a_simulated_future(regulars):
    features = btyd_features(regulars, 364)
    silent = (regulars["future_purchases"] == 0).mean()
    assert features["probability_no_purchase"].mean() == pytest.approx(silent, abs=0.03)
    assert features["expected_purchases"].sum() == pytest.approx(
        regulars["future_purchases"].sum(), rel=0.1
    )
