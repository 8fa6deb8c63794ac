"""What holds for every purchase model."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.base import ModelError
from models.btyd import (
    PURCHASE_MODELS,
    BetaGeoNBD,
    ModifiedBetaGeoCNBD,
    ModifiedBetaGeoNBD,
)

MODELS = list(PURCHASE_MODELS.values())
CENTRE = {"r": 0.5, "alpha": 6.0, "a": 0.9, "b": 2.0, "s": 0.6, "beta": 12.0}


def settings_of(kind):
    """What a model has beside its parameters."""
    return {"k": 3} if kind is ModifiedBetaGeoCNBD else {}


def fake_posterior(kind, draws=100):
    """A posterior drawn round known parameters: predictions need no sampling."""
    rng = np.random.default_rng(3)
    return kind.from_draws(
        {k: CENTRE[k] * np.exp(0.1 * rng.standard_normal(draws)) for k in kind.names},
        {"inference": "nuts"},
        {**settings_of(kind)},
    )


def some_customers():
    return pd.DataFrame(
        {
            "frequency": [0, 0, 1, 3, 12, 40],
            "recency": [0.0, 0.0, 5.0, 30.0, 60.0, 80.5],
            "T": [0.0, 40.0, 40.0, 38.9, 61.0, 81.0],
            "log_gaps": [0.0, 0.0, 1.6, 5.5, 18.0, 25.0],
        },
        index=list("fedcba"),
    )


@pytest.mark.parametrize("kind", MODELS)
def test_the_purchase_distribution_agrees_with_everything_else(kind):
    model, customers = fake_posterior(kind), some_customers()
    pmf = model.purchase_distribution(customers, 26.0, 400)
    assert pmf.shape == (6, 401)
    np.testing.assert_allclose(pmf.sum(axis=1), 1.0, atol=1e-10)
    np.testing.assert_allclose(
        pmf @ np.arange(401), model.expected_purchases(customers, 26.0), rtol=1e-8
    )
    np.testing.assert_allclose(
        pmf[:, 0], model.probability_no_purchase(customers, 26.0), atol=1e-12
    )


@pytest.mark.parametrize("kind", MODELS)
def test_a_prediction_is_the_average_over_the_draws(kind):
    model, customers = fake_posterior(kind, draws=5), some_customers()
    draws = model.posterior
    one_by_one = [
        kind.from_parameters(
            **{k: v[i] for k, v in draws.items()}, **settings_of(kind)
        ).expected_purchases(customers, 13.0)
        for i in range(5)
    ]
    np.testing.assert_allclose(
        model.expected_purchases(customers, 13.0), np.mean(one_by_one, axis=0), rtol=1e-9
    )
    with_quantiles = model.expected_purchases(customers, 13.0, quantiles=(0.0, 1.0))
    assert with_quantiles.shape == (6, 3)
    np.testing.assert_allclose(with_quantiles[:, 1], np.min(one_by_one, axis=0), rtol=1e-9)
    np.testing.assert_allclose(with_quantiles[:, 2], np.max(one_by_one, axis=0), rtol=1e-9)


@pytest.mark.parametrize("kind", MODELS)
def test_residual_transactions_exceed_any_finite_discounted_sum_and_fall_with_the_rate(kind):
    model, customers = fake_posterior(kind), some_customers()
    slow = model.discounted_expected_residual_transactions(customers, 0.05)
    fast = model.discounted_expected_residual_transactions(customers, 0.50)
    one_year = model.expected_purchases(customers, 52.1786) / 1.5
    assert (slow > fast).all()
    assert (fast > one_year * 0.999).all()


@pytest.mark.parametrize("kind", MODELS)
def test_each_customer_may_have_their_own_horizon(kind):
    model, customers = fake_posterior(kind), some_customers()
    horizons = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    together = model.expected_purchases(customers, horizons)
    alone = [model.expected_purchases(customers.iloc[[i]], horizons[i])[0] for i in range(6)]
    np.testing.assert_allclose(together, alone, rtol=1e-12)


@pytest.mark.parametrize("kind", MODELS)
def test_the_gradient_is_the_slope_of_the_log_likelihood(kind):
    from models.btyd.histories import compress
    from models.btyd.rfm import check_histories

    target = kind(**settings_of(kind))._target(compress(check_histories(some_customers())), "weak")
    point = np.array([-0.3, 1.5, 0.2, 0.6])
    _, gradient = target.log_posterior(point)
    for i, step in enumerate(1e-6 * np.eye(4)):
        slope = (
            target.log_posterior(point + step)[0] - target.log_posterior(point - step)[0]
        ) / 2e-6
        assert gradient[i] == pytest.approx(slope, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("kind", MODELS)
def test_identical_customers_count_as_often_as_their_weight(kind):
    customers = some_customers()
    twice = pd.concat([customers, customers])
    weighted = customers.assign(weight=2.0)
    model = fake_posterior(kind)
    assert model.log_likelihood(weighted) == pytest.approx(model.log_likelihood(twice), rel=1e-12)
    one, other = (kind(**settings_of(kind)).fit(frame, method="map") for frame in (weighted, twice))
    assert one.parameters == pytest.approx(other.parameters, rel=1e-9)
    assert one.diagnostics["nodes"] == 6
    assert one.diagnostics["customers"] == 12.0


@settings(max_examples=60, deadline=None)
@given(
    x=st.integers(0, 10_000),
    T=st.floats(0.0, 1040.0),
    share=st.floats(0.0, 1.0),
    t=st.floats(0.0, 1040.0),
    leaving=st.floats(0.05, 20.0),
    staying=st.floats(0.1, 50.0),
    kind=st.sampled_from(MODELS),
)
def test_predictions_are_finite_and_possible_for_every_valid_history(
    x, T, share, t, leaving, staying, kind
):
    values = (0.3, 4.0, leaving, staying)
    model = kind.from_parameters(**dict(zip(kind.names, values, strict=True)), **settings_of(kind))
    customer = pd.DataFrame(
        {"frequency": [x], "recency": [min(T * share, T) if x else 0.0], "T": [T]}
    )
    expected = model.expected_purchases(customer, t)[0]
    silence = model.probability_no_purchase(customer, t)[0]
    assert 0.0 <= model.probability_alive(customer)[0] <= 1.0
    assert 0.0 <= silence <= 1.0
    assert np.isfinite(expected)
    # Whoever buys at all buys at least once.
    assert expected >= (1.0 - silence) * (1.0 - 1e-7) - 1e-12


def test_the_frame_is_left_alone_and_the_point_has_no_quantiles():
    customers = some_customers()
    before = customers.copy()
    model = ModifiedBetaGeoNBD().fit(customers, method="map")
    model.expected_purchases(customers, 10.0)
    pd.testing.assert_frame_equal(customers, before)
    assert model.diagnostics["inference"] == "map"
    with pytest.raises(ModelError, match="posterior draws"):
        model.probability_alive(customers, quantiles=(0.1,))


def test_posterior_hands_out_copies():
    model = fake_posterior(BetaGeoNBD)
    model.posterior["r"][:] = 0.0
    assert (model.posterior["r"] > 0.0).all()


def test_errors_say_what_to_do():
    with pytest.raises(ModelError, match="has the parameters r, alpha, a, b"):
        BetaGeoNBD.from_parameters(r=1.0)
    with pytest.raises(ModelError, match="not positive"):
        BetaGeoNBD.from_parameters(r=1.0, alpha=1.0, a=-1.0, b=1.0)
    with pytest.raises(ModelError, match="not fitted"):
        BetaGeoNBD().probability_alive(some_customers())
    with pytest.raises(ModelError, match="bought more than once"):
        BetaGeoNBD().fit(some_customers().iloc[:2])
    with pytest.raises(ModelError, match="nuts, laplace, map"):
        BetaGeoNBD().fit(some_customers(), method="advi")
    with pytest.raises(ModelError, match="Give weeks"):
        fake_posterior(BetaGeoNBD).expected_purchases(some_customers(), -1.0)


def test_predicting_loads_no_sampler():
    code = (
        "import sys, pandas as pd\n"
        "from models.btyd import ModifiedBetaGeoNBD\n"
        "import models.clv, models.spend, models.btyd.features\n"
        "m = ModifiedBetaGeoNBD.from_parameters(r=.5, alpha=6., a=.9, b=1.6)\n"
        "m.expected_purchases(pd.DataFrame({'frequency': [1], 'recency': [2.], 'T': [3.]}), 4.)\n"
        "bad = {'pymc', 'pytensor', 'nutpie', 'arviz', 'mlflow', 'numba', 'features'}\n"
        "assert not bad & set(sys.modules), bad & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("kind", MODELS)
def test_no_purchase_on_the_day_of_the_first_one_is_certain_and_no_more(kind):
    customer = pd.DataFrame({"frequency": [0.0], "recency": [0.0], "T": [0.0]})
    silence = fake_posterior(kind).probability_no_purchase(customer, 0.0, quantiles=(0.05, 0.95))
    assert (silence <= 1.0).all()
    np.testing.assert_allclose(silence, 1.0, atol=1e-12)


@pytest.mark.parametrize("kind", MODELS)
def test_a_prior_by_parameter_is_written_down_with_the_time_the_whole_fit_took(kind):
    report = kind().fit(some_customers(), method="map", priors={"r": (0.4, 0.2)}).diagnostics
    assert report["priors"]["r"] == [0.4, 0.2]
    assert report["priors"]["alpha"][1] == 1.5
    assert report["seconds"] > 0.0
