"""The purchase model as features of the churn model."""

import numpy as np
import pandas as pd
import pytest

from models.btyd.features import BTYD_FEATURES, VALUE_DAYS, btyd_features
from models.spend import GammaGamma


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


def test_value_of_a_customer_who_stays_counts_no_churn(regulars):
    features = btyd_features(regulars, 90)
    model = GammaGamma().fit(regulars, method="map")
    expected = model.expected_spend(regulars["frequency"], regulars["monetary_value"])
    np.testing.assert_allclose(features["aov_gg"], expected, rtol=1e-8)
    # Over the days that the value looks ahead, expected purchases are P(alive) x a living one's.
    year = btyd_features(regulars, VALUE_DAYS)
    np.testing.assert_allclose(
        year["value_if_alive"] * year["p_alive"],
        year["expected_purchases"] * year["aov_gg"],
        rtol=1e-7,
    )
    same = ["p_alive", "aov_gg", "value_if_alive"]
    pd.testing.assert_frame_equal(year[same], features[same])


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda rfm: rfm.drop(columns="monetary_value"), "no column monetary_value"),
        (lambda rfm: rfm.assign(monetary_value=rfm["monetary_value"].clip(7, 7)), "differ"),
        (
            lambda rfm: pd.concat([rfm[rfm["frequency"] == 0], rfm[rfm["frequency"] > 0].head(3)]),
            "only 3 customers bought twice",
        ),
    ],
)
def test_spend_that_cannot_be_learned_is_missing_with_its_reason(regulars, spoil, reason):
    features = btyd_features(spoil(regulars), 90)
    assert features[["aov_gg", "value_if_alive"]].isna().all(axis=None)
    assert reason in features.attrs["without"]["aov_gg"]
    assert (
        features[["p_alive", "probability_no_purchase", "expected_purchases"]]
        .notna()
        .all(axis=None)
    )


def test_the_last_bits_are_rounded_away(regulars):
    features = btyd_features(regulars.head(400), 90).to_numpy()
    for value in features[:50].ravel():
        assert float(f"{value:.8e}") == pytest.approx(value, rel=1e-15)
