"""Inference: the posterior is found, and refused when it cannot be trusted."""

import numpy as np
import pandas as pd
import pytest

from models.base import ModelError
from models.btyd import BetaGeoNBD, ModifiedBetaGeoNBD
from models.btyd.posterior import Target, _pareto_smooth, infer

TRUTH = {"r": 0.8, "alpha": 8.0, "a": 0.7, "b": 2.5}


@pytest.fixture(scope="module")
def by_nuts(regulars):
    return ModifiedBetaGeoNBD().fit(regulars, seed=5, method="nuts")


def gaussian(mean, covariance):
    precision = np.linalg.inv(covariance)

    def log_likelihood(point):
        gap = point - mean
        return float(-0.5 * gap @ precision @ gap), -precision @ gap

    k = len(mean)
    return Target(
        names=tuple("uvw"[:k]),
        log_likelihood=log_likelihood,
        to_parameters=lambda p: p,
        prior_mean=np.zeros(k),
        prior_sd=np.full(k, np.inf),
        start=np.zeros(k),
        weight=100.0,
        nodes=1,
    )


@pytest.mark.parametrize("method", ["nuts", "laplace"])
def test_a_correlated_normal_posterior_is_recovered_and_repeated(method):
    mean, covariance = np.array([1.0, -2.0]), np.array([[1.0, 0.95], [0.95, 1.0]]) * 0.04
    found = infer(gaussian(mean, covariance), seed=1, method=method)
    draws = np.stack([found.draws["u"], found.draws["v"]])
    np.testing.assert_allclose(draws.mean(axis=1), mean, atol=0.04)
    np.testing.assert_allclose(np.cov(draws), covariance, atol=0.01)
    again = infer(gaussian(mean, covariance), seed=1, method=method)
    np.testing.assert_array_equal(again.draws["u"], draws[0])


def test_nuts_recovers_the_truth_with_clean_diagnostics(by_nuts):
    report = by_nuts.diagnostics
    assert report["inference"] == "nuts"
    assert report["r_hat"] <= 1.01
    assert report["ess"] >= 400
    assert report["divergences"] == 0
    for name, values in by_nuts.posterior.items():
        assert len(values) == 400
        low, high = np.quantile(values, [0.005, 0.995])
        assert low < TRUTH[name] < high


def test_laplace_agrees_with_nuts(by_nuts, regulars):
    laplace = ModifiedBetaGeoNBD().fit(regulars, seed=5, method="laplace")
    assert laplace.diagnostics["k_hat"] < 0.7
    for name, values in by_nuts.posterior.items():
        assert laplace.posterior[name].mean() == pytest.approx(
            values.mean(), abs=0.35 * values.std()
        )


def test_data_without_a_mode_are_refused_under_flat_priors():
    # Everybody is seen for the same time and buys to the end: dropout is not identified.
    frame = pd.DataFrame({"frequency": [3] * 20, "recency": [10.0] * 20, "T": [10.0] * 20})
    with pytest.raises(ModelError, match="do not determine") as caught:
        BetaGeoNBD().fit(frame, method="map", priors="flat")
    assert "weak" in caught.value.hint
    assert BetaGeoNBD().fit(frame, method="map").parameters["a"] > 0


def test_an_unreliable_normal_approximation_is_refused():
    def cauchy(point):
        value = -np.log1p(point @ point)
        return float(value), -2.0 * point / (1.0 + point @ point)

    target = gaussian(np.zeros(2), np.eye(2))
    heavy = Target(**{**target.__dict__, "log_likelihood": cauchy})
    with pytest.raises(ModelError, match="k-hat"):
        infer(heavy, seed=0, method="laplace")


def test_k_hat_tells_light_tails_from_heavy_ones():
    rng = np.random.default_rng(0)
    light = np.log(rng.pareto(10.0, 4000) + 1.0)
    heavy = np.log(rng.pareto(1.0, 4000) + 1.0)
    assert _pareto_smooth(light - light.max())[1] < 0.3
    assert _pareto_smooth(heavy - heavy.max())[1] > 0.7


@pytest.mark.data
@pytest.mark.slow
def test_cdnow_posterior_is_centred_on_the_published_estimate(cdnow):
    model = BetaGeoNBD().fit(cdnow, seed=1, method="nuts")
    published = {"r": 0.243, "alpha": 4.414, "a": 0.793, "b": 2.426}
    for name, values in model.posterior.items():
        assert values.mean() == pytest.approx(published[name], abs=0.6 * values.std())
