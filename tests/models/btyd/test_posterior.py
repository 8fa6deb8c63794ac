"""Inference: the posterior is found, and refused when it cannot be trusted."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from models.base import ModelError
from models.btyd import BetaGeoNBD, ModifiedBetaGeoNBD, sampler
from models.btyd.histories import compress, suspects
from models.btyd.laplace import pareto_smooth
from models.btyd.mode import find_mode
from models.btyd.posterior import infer
from models.btyd.rfm import check_histories
from models.btyd.target import PRIOR_SD, Target

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
    assert pareto_smooth(light - light.max())[1] < 0.3
    assert pareto_smooth(heavy - heavy.max())[1] > 0.7


@pytest.mark.data
@pytest.mark.slow
def test_cdnow_posterior_is_centred_on_the_published_estimate(cdnow):
    model = BetaGeoNBD().fit(cdnow, seed=1, method="nuts")
    published = {"r": 0.243, "alpha": 4.414, "a": 0.793, "b": 2.426}
    for name, values in model.posterior.items():
        assert values.mean() == pytest.approx(published[name], abs=0.6 * values.std())


def test_priors_are_given_by_parameter(regulars):
    model = ModifiedBetaGeoNBD().fit(regulars, method="map", priors={"r": (3.0, 0.01)})
    assert model.parameters["r"] == pytest.approx(3.0, rel=0.02)
    assert model.diagnostics["priors"]["r"] == [3.0, 0.01]
    assert model.diagnostics["priors"]["a"] == [1.0, PRIOR_SD]
    assert json.loads(json.dumps(model.diagnostics)) == model.diagnostics


@pytest.mark.parametrize(
    ("priors", "message"),
    [
        ("strong", "Unknown priors 'strong'"),
        ({"beta": (1.0, 1.0)}, "not a parameter"),
        ({"r": 1.0}, "prior of r is 1.0"),
        ({"r": (1.0, 0.0)}, "two positive numbers"),
        ({"r": ("a", 1.0)}, "two positive numbers"),
    ],
)
def test_a_prior_that_is_none_is_refused(priors, message, regulars):
    with pytest.raises(ModelError, match=message) as caught:
        BetaGeoNBD().fit(regulars, method="map", priors=priors)
    assert caught.value.hint


def test_a_flat_coordinate_may_stand_beside_others():
    target = gaussian(np.array([1.0, -2.0]), 0.04 * np.eye(2))
    target = replace(target, prior_sd=np.array([np.inf, 0.01]))
    draws = infer(target, seed=1, method="nuts").draws  # compares PyMC's density with the target's
    assert draws["u"].mean() == pytest.approx(1.0, abs=0.05)
    assert draws["v"].mean() == pytest.approx(0.0, abs=0.01)


def test_a_refusal_names_what_in_the_data_may_be_at_fault():
    few = pd.DataFrame({"frequency": [0] * 60 + [900], "recency": [0.0] * 60 + [50.0], "T": 52.0})
    found = suspects(compress(check_histories(few)))
    assert "Only 1 of 61 customers" in found
    assert "frequency=900, recency=50, T=52" in found
    short = pd.DataFrame({"frequency": [1.0] * 60, "recency": [7.0] * 60, "T": [8.0] * 60})
    assert "history is short: 8 weeks on average" in suspects(compress(check_histories(short)))


def test_a_sampler_that_does_not_converge_is_refused_after_three_tries(monkeypatch):
    tried = []

    def poor(target, mode, seed, tune, draws, accept, cores):
        tried.append(accept)
        rng = np.random.default_rng(seed)
        report = {"r_hat": 1.3, "ess": 12.0, "divergences": 4}
        return rng.standard_normal((50, len(mode.point))), report

    monkeypatch.setattr(sampler, "_sample", poor)
    target = replace(gaussian(np.zeros(2), np.eye(2)), suspects=lambda: "Few repeat buyers.")
    with pytest.raises(ModelError, match=r"r_hat 1\.300.*4 divergent.*Few repeat buyers") as caught:
        infer(target, seed=0, method="nuts")
    assert tried == [0.8, 0.95, 0.98]
    assert "longer history" in caught.value.hint


def test_the_mode_is_found_from_another_start_when_the_first_leads_nowhere():
    def log_likelihood(point):
        if np.abs(point).max() > 10.0:
            return float("nan"), np.full(2, np.nan)
        return -0.5 * float(point @ point), -point

    target = replace(gaussian(np.zeros(2), np.eye(2)), log_likelihood=log_likelihood)
    found = find_mode(replace(target, start=np.array([30.0, 30.0])))
    np.testing.assert_allclose(found.point, 0.0, atol=1e-6)
    nowhere = replace(target, log_likelihood=lambda p: (float("nan"), np.full(2, np.nan)))
    with pytest.raises(ModelError):
        find_mode(nowhere)


RNG = np.random.default_rng(0)
COUNTS, SEEN, SHARE = RNG.poisson(1.5, 300), RNG.uniform(20, 100, 300), RNG.uniform(0.1, 1, 300)
PLAIN = pd.DataFrame(
    {"frequency": COUNTS, "recency": np.where(COUNTS > 0, SEEN * SHARE, 0.0), "T": SEEN}
).astype(float)
HARD = {
    "one customer with ten thousand purchases": pd.concat(
        [PLAIN, pd.DataFrame({"frequency": [1e4], "recency": [1040.0], "T": [1043.0]})]
    ),
    "all alike": pd.DataFrame({"frequency": [3] * 50, "recency": [20.0] * 50, "T": [30.0] * 50}),
    "two customers": pd.DataFrame({"frequency": [0, 2], "recency": [0.0, 5.0], "T": [10.0, 10.0]}),
    "one repeat buyer": pd.DataFrame(
        {"frequency": [0] * 200 + [1], "recency": [0.0] * 200 + [3.0], "T": [30.0] * 201}
    ),
    "recency is T": PLAIN.assign(frequency=PLAIN["frequency"] + 1, recency=PLAIN["T"]),
    "T is tiny": PLAIN.assign(recency=PLAIN["recency"] * 1e-6, T=PLAIN["T"] * 1e-6),
    "weights are huge": PLAIN.assign(weight=1e6),
    "recency is 0": pd.DataFrame({"frequency": [1, 0] * 40, "recency": 0.0, "T": 10.0}),
}


@pytest.mark.parametrize("case", HARD)
@pytest.mark.parametrize("kind", [BetaGeoNBD, ModifiedBetaGeoNBD])
def test_hard_data_have_a_mode(case, kind):
    if case == "recency is 0":  # a purchase at once and none after: no rate explains it
        with pytest.raises(ModelError, match="do not determine") as caught:
            kind().fit(HARD[case], method="map")
        assert caught.value.hint
        return
    model = kind().fit(HARD[case], method="map")
    assert all(np.isfinite(value) and value > 0 for value in model.parameters.values())


@pytest.mark.slow
@pytest.mark.parametrize("case", ["all alike", "two customers", "recency is T", "T is tiny"])
def test_hard_data_are_sampled_cleanly(case):
    report = BetaGeoNBD().fit(HARD[case], seed=0).diagnostics
    assert report["r_hat"] <= 1.01
    assert report["ess"] >= 400
    assert report["divergences"] == 0


def test_the_unit_of_time_does_not_matter():
    weeks = BetaGeoNBD().fit(PLAIN, method="map").parameters
    tiny = BetaGeoNBD().fit(HARD["T is tiny"], method="map").parameters
    assert tiny.pop("alpha") == pytest.approx(1e-6 * weeks.pop("alpha"), rel=1e-4)
    assert tiny == pytest.approx(weeks, rel=1e-4)


@pytest.mark.parametrize("method", ["nuts", "laplace"])
def test_draws_do_not_depend_on_the_number_of_threads(monkeypatch, method):
    target = gaussian(np.array([0.3, 1.0]), np.array([[1.0, 0.3], [0.3, 0.5]]))
    found = []
    for threads in (1, 4):
        monkeypatch.setattr(Target, "threads", lambda *_, n=threads: n)
        found.append(infer(target, seed=3, method=method).draws["u"])
    np.testing.assert_array_equal(*found)
