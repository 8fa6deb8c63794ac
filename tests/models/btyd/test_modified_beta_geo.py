"""MBG/NBD against the published numbers."""

import numpy as np
import pandas as pd
import pytest

from models.btyd import ModifiedBetaGeoNBD

EXACT = ModifiedBetaGeoNBD.from_parameters(
    r=0.52484318, alpha=6.1830857, a=0.89135946, b=1.61400234
)


def rfm(*rows):
    return pd.DataFrame(rows, columns=["frequency", "recency", "T"], dtype=float)


@pytest.mark.data
def test_cdnow_maximum_likelihood_btydplus(cdnow):
    model = ModifiedBetaGeoNBD().fit(cdnow, method="map", priors="flat")
    assert model.parameters == pytest.approx(
        {"r": 0.52484318, "alpha": 6.1830857, "a": 0.89135946, "b": 1.61400234}, rel=3e-6
    )
    assert model.log_likelihood(cdnow) == pytest.approx(-9582.135716, abs=1e-6)


def test_log_likelihood_at_single_customers_pymc_marketing_tests():
    model = ModifiedBetaGeoNBD.from_parameters(a=0.8, b=2.5, r=0.25, alpha=4.0)
    assert model.log_likelihood(rfm((0, 0, 40))) == pytest.approx(-0.41792826, abs=1e-8)
    assert model.log_likelihood(rfm((200, 38, 40))) == pytest.approx(100.7869, abs=1e-4)


def test_new_customer_pymc_marketing_tests():
    model = ModifiedBetaGeoNBD.from_parameters(r=0.525, alpha=6.183, a=0.891, b=1.614)
    found = model.expected_purchases_new_customer([1.0, 3.0, 6.0])
    np.testing.assert_allclose(found, [0.053084795, 0.150863289, 0.281360224], rtol=1e-7)


def test_log_likelihood_of_a_whale_is_finite():
    assert np.isfinite(EXACT.log_likelihood(rfm((300, 5, 365), (10_000, 1000, 1044))))


def test_one_time_buyers_may_have_left_and_the_longer_ago_the_surer():
    alive = EXACT.probability_alive(rfm(*((0, 0, T) for T in (0, 10, 50, 200))))
    assert (np.diff(alive) < 0).all()
    # Right after the first purchase the chance of having left is a / (a + b).
    assert alive[0] == pytest.approx(1.61400234 / (0.89135946 + 1.61400234), rel=1e-9)


def test_a_new_customer_is_one_whose_first_purchase_was_just_now():
    assert EXACT.expected_purchases(rfm((0, 0, 0)), 39.0)[0] == pytest.approx(
        EXACT.expected_purchases_new_customer(39.0), rel=1e-9
    )
