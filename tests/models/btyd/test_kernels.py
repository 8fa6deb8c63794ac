"""Compiled code says what SciPy says, with and without a place to keep it."""

import os
import subprocess
import sys

import numpy as np
import pytest
from scipy.special import betaln, gammaln
from scipy.special import digamma as reference

from models.btyd.beta_geo import BetaGeoNBD
from models.btyd.histories import Histories
from models.btyd.kernels import digamma, dropout_sums
from models.btyd.modified_beta_geo import ModifiedBetaGeoNBD


def some_histories(cells=3, n=400, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.choice([0.0, 1.0, 2.0, 7.0, 60.0, 10_000.0], n)
    T = rng.uniform(0.0, 1040.0, n)
    recency = np.where(x > 0, T * rng.choice([0.0, 0.3, 0.999, 1.0], n), 0.0)
    weight = rng.normal(2.0, 3.0, n)  # a grid has weights below 0
    return Histories(x, recency, T, weight, rng.integers(0, cells, n))


@pytest.mark.parametrize("kind", [BetaGeoNBD, ModifiedBetaGeoNBD])
def test_the_likelihood_is_that_of_the_paper_written_with_scipy(kind):
    nodes = some_histories()
    parameters = np.exp(np.random.default_rng(1).normal(0.0, 1.5, (4, 3)))
    r, alpha, a, b = parameters[:, nodes.cell]
    x, n = nodes.frequency, nodes.frequency + kind.first_chance
    with np.errstate(divide="ignore", invalid="ignore"):
        left = np.where(
            n > 0, np.log(a) - np.log(b + n - 1) - (r + x) * np.log(alpha + nodes.recency), -np.inf
        )
    both = np.logaddexp(-(r + x) * np.log(alpha + nodes.T), left)
    expected = gammaln(r + x) - gammaln(r) + r * np.log(alpha) + betaln(a, b + n) - betaln(a, b)
    value, gradient = kind()._log_likelihood(parameters, nodes)
    assert value == pytest.approx(float(nodes.weight @ (expected + both)), rel=1e-12)
    for i, j in np.ndindex(4, 3):
        step = np.zeros((4, 3))
        step[i, j] = 1e-5 * parameters[i, j]
        up, down = (kind()._log_likelihood(parameters + s * step, nodes)[0] for s in (1, -1))
        slope = (up - down) / (2.0 * step[i, j])
        assert gradient[i, j] == pytest.approx(slope, rel=1e-5, abs=1e-5 * abs(value))


def test_digamma_is_that_of_scipy():
    at = np.exp(np.random.default_rng(0).uniform(-12.0, 12.0, 500))
    found = np.array([digamma(x) for x in at])
    np.testing.assert_allclose(found, reference(at), rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("odds", [-800.0, -30.0, -1e-9, 0.0, 1e-9, 3.0, 800.0])
def test_exp_and_log_are_as_good_as_the_library(odds):
    out = dropout_sums(
        np.array([odds]), np.ones(1), np.array([0, 1]), np.zeros(1, np.int32),
        np.zeros(1, np.int32), np.zeros(1), np.zeros(1), np.ones(1),
    )  # fmt: skip
    assert out[0, 0] == pytest.approx(np.logaddexp(0.0, odds), rel=4e-16, abs=1e-300)
    assert out[3, 0] == pytest.approx(np.exp(-np.logaddexp(0.0, -odds)), rel=1e-14, abs=1e-300)


@pytest.mark.slow
def test_without_a_folder_for_compiled_code_the_result_is_the_same(tmp_path):
    code = (
        "import numba.core.caching as caching\n"
        "def nowhere(*_): raise RuntimeError('no locator available')\n"
        "caching.CacheImpl.__init__ = nowhere\n"
        "from models.btyd.kernels import digamma\n"
        "assert digamma.stats.cache_path is None\n"
        "print(repr(digamma(0.25)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)},
    )
    assert float(done.stdout) == digamma(0.25)
