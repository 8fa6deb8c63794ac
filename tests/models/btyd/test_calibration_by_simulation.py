"""Simulation-based calibration: does the posterior mean what it says?

Parameters drawn from the prior, customers simulated with them, a posterior from the customers:
then the rank of the true parameter among the posterior draws is uniform, whatever the prior
(Talts, Betancourt, Simpson, Vehtari & Gelman 2018, "Validating Bayesian Inference Algorithms
with Simulation-Based Calibration"). An error in likelihood, prior or inference bends the ranks.
"""

from functools import partial

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chisquare

from models.btyd import (
    BetaGeoBetaBinomial,
    BetaGeoNBD,
    ModifiedBetaGeoCNBD,
    ModifiedBetaGeoNBD,
    ParetoNBD,
)
from models.spend import GammaGamma

CUSTOMERS, BINS = 100, 5
SD = 0.4  # of the logarithm of every parameter: a prior under which data sets are sane


def rows(x, recency, T):
    return pd.DataFrame({"frequency": x, "recency": recency, "T": T})


def beta_geo(rng, r, alpha, a, b, first_chance=0, k=1):
    """A purchase is every k-th event of a Poisson process, and may be the last."""
    T = rng.uniform(20.0, 60.0, CUSTOMERS)
    rate, p = rng.gamma(r, 1.0 / alpha, CUSTOMERS), rng.beta(a, b, CUSTOMERS)
    events = rng.poisson(rate * T)
    x = np.minimum(rng.geometric(np.maximum(p, 1e-12)) - first_chance, events // k)
    # The i-th smallest of N uniform times is a Beta(i, N - i + 1) share of T.
    share = rng.beta(np.maximum(k * x, 1), events - k * x + 1)
    return rows(x, np.where(x > 0, share * T, 0.0), T)


def pareto(rng, r, alpha, s, beta):
    T = rng.uniform(20.0, 60.0, CUSTOMERS)
    rate, mu = rng.gamma(r, 1.0 / alpha, CUSTOMERS), rng.gamma(s, 1.0 / beta, CUSTOMERS)
    seen = np.minimum(rng.exponential(1.0, CUSTOMERS) / np.maximum(mu, 1e-300), T)
    x = rng.poisson(rate * seen)
    return rows(x, np.where(x > 0, seen * rng.beta(np.maximum(x, 1), 1.0), 0.0), T)


def beta_geo_beta_binomial(rng, alpha, beta, gamma, delta, n=8):
    """Before each of n opportunities the customer may leave; whoever is there may buy."""
    p, theta = rng.beta(alpha, beta, CUSTOMERS), rng.beta(gamma, delta, CUSTOMERS)
    last = rng.geometric(np.maximum(theta, 1e-12)) - 1
    at = np.arange(1, n + 1)
    buys = (rng.random((CUSTOMERS, n)) < p[:, None]) & (at <= last[:, None])
    return rows(buys.sum(axis=1), (buys * at).max(axis=1).astype(float), float(n))


def gamma_gamma(rng, p, q, gamma):
    x = 1 + rng.poisson(2.0, CUSTOMERS)
    level = rng.gamma(q, 1.0 / gamma, CUSTOMERS)
    return pd.DataFrame({"frequency": x, "monetary_value": rng.gamma(p * x) / level / x})


BETA_GEO = {"r": 0.8, "alpha": 6.0, "a": 0.8, "b": 2.5}
CASES = {
    "bg_nbd": (BetaGeoNBD, beta_geo, BETA_GEO),
    "mbg_nbd": (ModifiedBetaGeoNBD, partial(beta_geo, first_chance=1), BETA_GEO),
    "mbg_cnbd_k": (
        partial(ModifiedBetaGeoCNBD, k=2),
        partial(beta_geo, first_chance=1, k=2),
        {**BETA_GEO, "alpha": 3.0},
    ),
    "pareto_nbd": (ParetoNBD, pareto, {"r": 0.8, "alpha": 6.0, "s": 0.8, "beta": 15.0}),
    "bg_bb": (
        BetaGeoBetaBinomial,
        beta_geo_beta_binomial,
        {"alpha": 1.2, "beta": 0.75, "gamma": 0.7, "delta": 2.8},
        25,
    ),
    "gamma_gamma": (GammaGamma, gamma_gamma, {"p": 4.0, "q": 2.5, "gamma": 15.0}),
}


def p_values(kind, simulate, medians, data_sets=40):
    """Of the uniformity of the ranks, by parameter."""
    rng = np.random.default_rng(2)
    priors = {name: (median, SD) for name, median in medians.items()}
    ranks = {name: np.zeros(BINS) for name in medians}
    for i in range(data_sets):
        truth = {name: m * np.exp(SD * rng.standard_normal()) for name, m in medians.items()}
        if kind is GammaGamma:
            truth["q"] += 1.0  # its prior is that of q - 1
        fitted = kind().fit(simulate(rng, **truth), seed=i, method="laplace", priors=priors)
        for name in medians:
            share = (fitted.posterior[name] < truth[name]).mean()
            ranks[name][min(int(share * BINS), BINS - 1)] += 1
    return {name: chisquare(count).pvalue for name, count in ranks.items()}


@pytest.mark.slow
@pytest.mark.parametrize("label", CASES)
def test_the_rank_of_the_truth_is_uniform(label):
    # At most four parameters a model: false alarms stay below one in a thousand.
    assert min(p_values(*CASES[label]).values()) > 0.00025


@pytest.mark.slow
def test_a_wrong_likelihood_is_found_out():
    # BG/NBD customers under the likelihood of MBG/NBD, which gives one chance more to leave.
    found = p_values(ModifiedBetaGeoNBD, beta_geo, BETA_GEO, data_sets=25)
    assert min(found.values()) < 1e-6
