"""BG/BB against the published numbers, enumeration, and its own identities."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy.integrate import dblquad
from scipy.special import beta as beta_function

from models.base import ModelError
from models.btyd import PURCHASE_MODELS, BetaGeoBetaBinomial
from models.clv import CustomerLifetimeValue
from models.spend import GammaGamma

# Fader, Hardie & Shang (2010): 11,104 donors of a radio station acquired in 1995, who could give
# once a year from 1996 to 2001. Years given, the last of them, donors.
DONORS = [
    (6, 6, 1203), (5, 6, 728), (4, 6, 512), (3, 6, 357), (2, 6, 234), (1, 6, 129),
    (5, 5, 335), (4, 5, 284), (3, 5, 225), (2, 5, 173), (1, 5, 119),
    (4, 4, 240), (3, 4, 181), (2, 4, 155), (1, 4, 78),
    (3, 3, 322), (2, 3, 255), (1, 3, 129),
    (2, 2, 613), (1, 2, 277),
    (1, 1, 1091), (0, 0, 3464),
]  # fmt: skip

# The maximum of the likelihood, published as 1.204, 0.750, 0.657 and 2.783.
EXACT = BetaGeoBetaBinomial.from_parameters(
    alpha=1.203522494, beta=0.749716386, gamma=0.656718178, delta=2.783441668
)
PUBLISHED = BetaGeoBetaBinomial.from_parameters(alpha=1.20, beta=0.75, gamma=0.66, delta=2.78)


def donors():
    frame = pd.DataFrame(DONORS, columns=["frequency", "recency", "weight"]).astype(float)
    return frame.assign(T=6.0)


def after_six(*rows):
    return pd.DataFrame(rows, columns=["frequency", "recency"]).assign(T=6)


def test_donations_maximum_likelihood_fader_hardie_shang_2010():
    assert donors()["weight"].sum() == 11_104
    assert EXACT.log_likelihood(donors()) == pytest.approx(-33225.581274, abs=1e-6)
    model = BetaGeoBetaBinomial().fit(donors(), method="map", priors="flat")
    expected = {"alpha": 1.20352, "beta": 0.74972, "gamma": 0.65672, "delta": 2.78344}
    assert model.parameters == pytest.approx(expected, abs=6e-6)


def test_donations_conditional_expectation_fader_hardie_shang_2010():
    found = EXACT.expected_purchases(after_six((0, 0), (4, 5)), 10)
    np.testing.assert_allclose(found, [0.13022, 3.62797], atol=6e-6)
    assert PUBLISHED.expected_purchases(after_six((3, 4)), 10)[0] == pytest.approx(
        1.840813, abs=6e-7
    )


def test_donations_probability_alive_fader_hardie_shang_2010():
    found = EXACT.probability_alive(after_six((0, 0), (2, 4), (6, 6)))
    np.testing.assert_allclose(found, [0.10813, 0.58966, 0.93043], atol=6e-6)
    assert PUBLISHED.probability_alive(after_six((3, 4)))[0] == pytest.approx(0.438344, abs=6e-7)


def test_donations_new_customer_fader_hardie_shang_2010():
    found = EXACT.expected_purchases_new_customer(np.arange(1, 12))
    expected = [0.4985, 0.9233, 1.2969, 1.6323, 1.9381, 2.2202, 2.4826, 2.7285, 2.9603, 3.1798]
    np.testing.assert_allclose(found, [*expected, 3.3887], atol=6e-5)
    assert EXACT.expected_purchases_new_customer(10) == pytest.approx(3.17983, abs=2e-5)
    assert PUBLISHED.expected_purchases_new_customer(10) == pytest.approx(3.16499, abs=6e-6)


def test_donations_five_year_total_hardie_sheet():
    total = donors()["weight"] @ EXACT.expected_purchases(donors(), 5)
    assert total == pytest.approx(12_884.16, abs=0.05)


def test_donations_holdout_by_frequency_fader_hardie_shang_2010():
    frame = donors().assign(expected=EXACT.expected_purchases(donors(), 5))
    means = [np.average(g["expected"], weights=g["weight"]) for _, g in frame.groupby("frequency")]
    expected = [0.073, 0.325, 0.709, 1.334, 2.031, 2.784, 3.753]
    np.testing.assert_allclose(means, expected, atol=6e-4)


def test_donations_discounted_residual_transactions_fader_hardie_shang_2010():
    dert = EXACT.discounted_expected_residual_transactions
    found = dert(after_six((6, 6), (0, 0), (2, 4)), annual_discount_rate=0.1)
    np.testing.assert_allclose(found, [5.90989, 0.11475, 1.66562], atol=6e-6)
    dert = PUBLISHED.discounted_expected_residual_transactions
    assert dert(after_six((3, 4)), 0.1)[0] == pytest.approx(1.621379, abs=6e-7)
    found = dert(after_six(*((x, 6) for x in range(1, 7))), 0.1)
    expected = [1.80204, 2.62116, 3.44027, 4.25938, 5.07849, 5.8976]
    np.testing.assert_allclose(found, expected, atol=6e-6)


def test_more_opportunities_a_year_are_discounted_less():
    customer = after_six((3, 4))
    yearly = PUBLISHED.discounted_expected_residual_transactions(customer, 0.1)
    monthly = PUBLISHED.discounted_expected_residual_transactions(
        customer, 0.1, opportunities_a_year=12
    )
    by_month = PUBLISHED.discounted_expected_residual_transactions(customer, 1.1 ** (1 / 12) - 1)
    assert monthly[0] > yearly[0]
    np.testing.assert_allclose(monthly, by_month)


def test_probabilities_against_enumeration():
    """Every sequence of buying and leaving over the past and the future, summed by hand."""
    past, ahead = 3, 3
    alpha, beta, gamma, delta = 0.8, 1.3, 0.7, 2.1
    model = BetaGeoBetaBinomial.from_parameters(alpha=alpha, beta=beta, gamma=gamma, delta=delta)
    ways = []
    for there in range(past + ahead + 1):  # opportunities before leaving
        stays = there == past + ahead
        leaves = beta_function(gamma + (not stays), delta + there) / beta_function(gamma, delta)
        for bought in product((0, 1), repeat=there):
            x = sum(bought)
            chance = beta_function(alpha + x, beta + there - x) / beta_function(alpha, beta)
            row = np.array([*bought, *[0] * (past + ahead - there)])
            ways.append((row[:past], row[past:].sum(), there > past, leaves * chance))
    assert sum(way[3] for way in ways) == pytest.approx(1.0)
    for history in product((0, 1), repeat=past):
        mine = [way for way in ways if tuple(way[0]) == history]
        total = sum(way[3] for way in mine)
        recency = max((i + 1 for i in range(past) if history[i]), default=0)
        frame = pd.DataFrame({"frequency": [sum(history)], "recency": [recency], "T": [past]})
        assert model.log_likelihood(frame) == pytest.approx(np.log(total))
        alive = sum(way[3] for way in mine if way[2]) / total
        assert model.probability_alive(frame)[0] == pytest.approx(alive)
        pmf = [sum(way[3] for way in mine if way[1] == m) / total for m in range(ahead + 1)]
        np.testing.assert_allclose(model.purchase_distribution(frame, ahead, ahead)[0], pmf)
        assert model.probability_no_purchase(frame, ahead)[0] == pytest.approx(pmf[0])
        mean = np.arange(ahead + 1) @ pmf
        assert model.expected_purchases(frame, ahead)[0] == pytest.approx(mean, rel=1e-9)


def test_the_distribution_agrees_with_everything_else():
    rng = np.random.default_rng(2)
    draws = {k: v * np.exp(0.1 * rng.standard_normal(20)) for k, v in EXACT.parameters.items()}
    model = BetaGeoBetaBinomial.from_draws(draws, {"inference": "nuts"})
    frame = donors()
    for horizon in (1, 12):
        pmf = model.purchase_distribution(frame, horizon, horizon)
        np.testing.assert_allclose(pmf.sum(axis=1), 1.0, atol=1e-12)
        np.testing.assert_allclose(
            pmf @ np.arange(horizon + 1), model.expected_purchases(frame, horizon), rtol=1e-8
        )
        np.testing.assert_allclose(pmf[:, 0], model.probability_no_purchase(frame, horizon))
    own = np.arange(len(frame)) % 5
    together = model.probability_no_purchase(frame, own)
    alone = [model.probability_no_purchase(frame.iloc[[i]], own[i])[0] for i in range(len(frame))]
    np.testing.assert_allclose(together, alone, rtol=1e-12)
    assert model.expected_purchases(frame, 5, quantiles=(0.05, 0.95)).shape == (22, 3)


def test_long_histories_and_horizons_are_finite():
    frame = pd.DataFrame(
        {"frequency": [0, 1, 5000, 9999], "recency": [0, 1, 9000, 9999], "T": [10_000] * 4}
    )
    for horizon in (0, 1, 1040):
        expected = EXACT.expected_purchases(frame, horizon)
        silence = EXACT.probability_no_purchase(frame, horizon)
        assert np.isfinite(expected).all()
        assert ((silence >= 0.0) & (silence <= 1.0)).all()
        assert (expected <= horizon).all()
        assert (expected >= (1.0 - silence) * (1.0 - 1e-9) - 1e-12).all()
    assert np.isfinite(EXACT.log_likelihood(frame))


def test_the_expectation_is_that_of_a_geometric_series():
    alpha, beta, gamma, delta = 2.0, 1.5, 1.7, 2.2
    model = BetaGeoBetaBinomial.from_parameters(alpha=alpha, beta=beta, gamma=gamma, delta=delta)
    frame = pd.DataFrame({"frequency": [2], "recency": [3], "T": [3]})

    def given(theta, p):
        weight = p ** (alpha + 1) * (1 - p) ** beta * theta ** (gamma - 1)
        weight *= (1 - theta) ** (delta + 2)
        return weight, (1 - theta) * p * (1 - (1 - theta) ** 30) / theta

    total = dblquad(lambda u, p: given(u, p)[0], 0, 1, 0, 1)[0]
    mean = dblquad(lambda u, p: np.prod(given(u, p)), 0, 1, 0, 1)[0]
    assert model.expected_purchases(frame, 30)[0] == pytest.approx(mean / total, rel=1e-7)


def test_the_gradient_is_the_slope_of_the_log_likelihood():
    from models.btyd.histories import compress
    from models.btyd.rfm import check_histories

    target = BetaGeoBetaBinomial()._target(compress(check_histories(donors())), "weak")
    point = np.array([-0.3, 0.5, 0.2, 0.9])
    _, gradient = target.log_posterior(point)
    for i, step in enumerate(1e-5 * np.eye(4)):
        rise = target.log_posterior(point + step)[0] - target.log_posterior(point - step)[0]
        assert gradient[i] == pytest.approx(rise / 2e-5, rel=1e-5)


def test_fit_by_importance_sampling_and_round_trip():
    model = BetaGeoBetaBinomial().fit(donors(), method="laplace")
    for name, value in EXACT.parameters.items():
        low, high = np.quantile(model.posterior[name], [0.005, 0.995])
        assert low < value < high
    again = BetaGeoBetaBinomial.from_draws(model.posterior, model.diagnostics, model.describe())
    np.testing.assert_array_equal(
        again.expected_purchases(donors(), 5), model.expected_purchases(donors(), 5)
    )


def test_the_next_purchase_is_an_opportunity_or_never():
    future = EXACT._future(EXACT.posterior, 6.0, np.array([6.0]))
    assert future.next_purchase().tolist() == [[1.0]]
    rare = BetaGeoBetaBinomial.from_parameters(alpha=1.0, beta=30.0, gamma=3.0, delta=1.0)
    assert rare._future(rare.posterior, 0.0, np.array([3.0])).next_purchase().tolist() == [[np.inf]]
    slow = BetaGeoBetaBinomial.from_parameters(alpha=50.0, beta=450.0, gamma=1.0, delta=1e6)
    waits = slow._future(slow.posterior, 0.0, np.array([0.0]))
    assert waits.next_purchase()[0, 0] == 7.0  # 0.9^6 > 1/2 > 0.9^7
    assert waits.none(6.0)[0, 0] > 0.5 > waits.none(7.0)[0, 0]


def test_errors_say_what_to_do():
    with pytest.raises(ModelError, match="whole number of opportunities") as caught:
        EXACT.expected_purchases(after_six((3, 4)), 2.5)
    assert "model in weeks" in caught.value.hint
    weekly = pd.DataFrame({"frequency": [2], "recency": [30.43], "T": [38.86]})
    for call in (EXACT.log_likelihood, EXACT.probability_alive, BetaGeoBetaBinomial().fit):
        with pytest.raises(ModelError, match="not whole numbers"):
            call(weekly)
    with pytest.raises(ModelError, match="frequency is above recency"):
        EXACT.probability_alive(after_six((5, 4)))
    with pytest.raises(ModelError, match="positive discount rate"):
        EXACT.discounted_expected_residual_transactions(after_six((3, 4)), 0.0)
    with pytest.raises(ModelError, match="opportunities_a_year"):
        EXACT.discounted_expected_residual_transactions(
            after_six((3, 4)), 0.1, opportunities_a_year=0
        )


def test_it_is_no_candidate_among_models_in_weeks():
    assert BetaGeoBetaBinomial.label not in PURCHASE_MODELS
    assert all(model.time_unit == "weeks" for model in PURCHASE_MODELS.values())


def test_lifetime_value_in_days_refuses_opportunities():
    with pytest.raises(ModelError, match="counts time in opportunities") as caught:
        CustomerLifetimeValue(EXACT, GammaGamma.from_parameters(p=6.25, q=3.74, gamma=15.44))
    assert "mbg_nbd" in caught.value.hint
