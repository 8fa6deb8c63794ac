"""BG/NBD against the published numbers and the defects of its peers."""

import numpy as np
import pandas as pd
import pytest

from models.btyd import BetaGeoNBD

PUBLISHED = BetaGeoNBD.from_parameters(r=0.243, alpha=4.414, a=0.793, b=2.426)
EXACT = BetaGeoNBD.from_parameters(r=0.24259451, alpha=4.41360171, a=0.79292207, b=2.42590693)


def rfm(*rows):
    return pd.DataFrame(rows, columns=["frequency", "recency", "T"], dtype=float)


@pytest.mark.data
def test_cdnow_maximum_likelihood_fader_hardie_lee_2005(cdnow):
    model = BetaGeoNBD().fit(cdnow, method="map", priors="flat")
    assert model.parameters == pytest.approx(
        {"r": 0.24259451, "alpha": 4.41360171, "a": 0.79292207, "b": 2.42590693}, rel=3e-6
    )
    assert model.log_likelihood(cdnow) == pytest.approx(-9582.429207, abs=1e-6)


@pytest.mark.data
def test_cdnow_probability_of_silence_tracks_the_share_of_silent_customers(cdnow):
    silence = EXACT.probability_no_purchase(cdnow, 39.0)
    assert silence.mean() == pytest.approx(0.7098, abs=0.03)


def test_log_likelihood_at_single_customers_pymc_marketing_tests():
    model = BetaGeoNBD.from_parameters(a=0.8, b=2.5, r=0.25, alpha=4.0)
    assert model.log_likelihood(rfm((0, 0, 40))) == pytest.approx(-0.59947382, abs=1e-8)
    assert model.log_likelihood(rfm((200, 38, 40))) == pytest.approx(100.7957, abs=1e-4)


def test_conditional_expectation_and_p_alive_of_the_paper():
    customer = rfm((2, 30.43, 38.86))
    assert PUBLISHED.expected_purchases(customer, 39.0)[0] == pytest.approx(1.2260, abs=5e-4)
    assert PUBLISHED.probability_alive(customer)[0] == pytest.approx(0.7266, abs=5e-5)


def test_new_customer_hardie_sheet():
    weeks = np.array([1 / 7, 1.0, 3.0, 31.8571, 32.0, 78.0])
    expected = [0.0078, 0.0532, 0.1506, 1.0405, 1.0437, 1.8576]
    found = EXACT.expected_purchases_new_customer(weeks)
    np.testing.assert_allclose(found, expected, atol=5.1e-5, rtol=2e-4)
    assert EXACT.expected_purchases_new_customer(52.0) == pytest.approx(1.444, abs=5e-4)


def test_new_customer_pymc_marketing_tests():
    found = PUBLISHED.expected_purchases_new_customer([1.0, 3.0, 6.0])
    np.testing.assert_allclose(found, [0.053267891, 0.150865231, 0.280755894], rtol=1e-7)


def test_customer_1516_of_the_btyd_vignette():
    customer = rfm((26, 30.857142857, 31))
    assert EXACT.expected_purchases(customer, 52.0)[0] == pytest.approx(25.757, abs=2e-3)
    assert EXACT.probability_alive(customer)[0] == pytest.approx(0.96885, abs=1e-5)


def test_p_alive_table():
    found = EXACT.probability_alive(
        rfm((23, 39, 39), (5, 30, 39), (10, 30, 39), (15, 30, 39), (20, 30, 39))
    )
    expected = [0.96856, 0.705627, 0.571552, 0.375092, 0.19682]
    np.testing.assert_allclose(found, expected, rtol=5e-4)


def test_increasing_frequency_paradox():
    customers = rfm(*((x, 20, 39) for x in (10, 15, 20, 25)))
    found = EXACT.expected_purchases(customers, 52.0)
    np.testing.assert_allclose(found, [0.3475, 0.0428, 0.00416, 0.000358], rtol=2e-3)


def test_pmf_of_new_customers():
    newcomer = rfm((0, 0, 0))
    at_39 = PUBLISHED.purchase_distribution(newcomer, 39.0, 5)[0]
    assert at_39[0] == pytest.approx(0.5737863521, rel=1e-9)
    at_2 = PUBLISHED.purchase_distribution(newcomer, 2.0, 10)[0]
    assert at_2[10] == pytest.approx(1.07869e-07, rel=5e-6)
    expected = [
        0.0019995214, 0.0015170236, 0.0011633150, 0.0009003148, 0.0007023638,
        0.0005517902, 0.0004361913, 0.0003467171, 0.0002769613, 0.0002222260,
    ]  # fmt: skip
    at_30 = PUBLISHED.purchase_distribution(newcomer, 30.0, 20)[0, 11:]
    np.testing.assert_allclose(at_30, expected, rtol=0, atol=5.1e-11)
    conditional = PUBLISHED.expected_purchases(rfm((10, 35, 39)), 2.0)
    assert conditional[0] == pytest.approx(0.39156921, abs=5e-9)


def test_probability_of_no_purchase_is_right_at_frequency_zero():
    customers = rfm((2, 30.43, 38.86), (0, 0, 38.86), (0, 0, 39), (26, 30.857142857, 31))
    found = PUBLISHED.probability_no_purchase(customers, 39.0)
    expected = [0.44537286, 0.85544946, 0.85576752, 0.03114844]
    np.testing.assert_allclose(found, expected, rtol=1e-7)
    young = PUBLISHED.probability_no_purchase(rfm((0, 0, 1)), 39.0)
    assert young[0] == pytest.approx(0.5996, abs=5e-5)


# Conditional expectation in 60 digits at the published parameters: x, recency, T, t, value.
HARD = [
    (50, 300, 365, 365, 0.144681397),
    (50, 300, 365, 3650, 0.611756996),
    (200, 350, 365, 365, 8.79459306),
    (200, 350, 365, 3650, 36.8731799),
    (500, 100, 365, 365, 7.21355911e-270),
    (500, 100, 365, 3650, 3.019e-269),
    (1000, 364, 365, 365, 730.231309),
    (1000, 364, 365, 3650, 3054.59727),
    (2000, 365, 365, 365, 1476.77636),
    (2000, 365, 365, 3650, 6175.64616),
    (5000, 720, 730, 365, 2.24331191e-23),
    (5000, 720, 730, 3650, 1.15272571e-22),
    (500, 360, 365, 365, 151.258505),
    (500, 360, 365, 3650, 633.088665),
]


@pytest.mark.parametrize(("x", "recency", "T", "t", "value"), HARD)
def test_hard_conditional_expectations(x, recency, T, t, value):
    digits = 1e-3 if value < 1e-200 and t == 3650 else 5e-9
    found = PUBLISHED.expected_purchases(rfm((x, recency, T)), float(t))[0]
    assert found == pytest.approx(value, rel=digits, abs=0.0)


def test_what_underflows_is_zero_and_not_nan():
    # 1.46187967e-854 and 4.404e-854 in 60 digits.
    assert PUBLISHED.expected_purchases(rfm((1000, 10, 100)), 365.0)[0] == 0.0
    assert PUBLISHED.expected_purchases(rfm((1000, 10, 100)), 3650.0)[0] == 0.0


def test_the_limit_a_equals_one():
    model = BetaGeoNBD.from_parameters(r=0.243, alpha=4.414, a=1.0, b=2.426)
    found = model.expected_purchases(rfm((2, 30.43, 38.86), (26, 30.857, 31)), 39.0)
    np.testing.assert_allclose(found, [1.102136786, 19.15258814], rtol=1e-9)


def test_the_limit_a_plus_b_equals_one_at_frequency_zero():
    model = BetaGeoNBD.from_parameters(r=0.243, alpha=4.414, a=0.4, b=0.6)
    assert np.isfinite(model.expected_purchases(rfm((0, 0, 39)), 39.0)).all()


def test_everybody_is_alive_at_frequency_zero_by_definition():
    assert PUBLISHED.probability_alive(rfm((0, 0, 39), (0, 0, 0))).tolist() == [1.0, 1.0]
