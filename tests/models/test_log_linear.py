"""The smooth factor: none without a signal, the right one with, the same bits for any order."""

import json

import numpy as np
import pytest

from models.log_linear import LARGEST_FACTOR, LogLinear


def data(n, seed, slope=0.0, level=1.0):
    rng = np.random.default_rng(seed)
    terms = rng.normal(size=(n, 2))
    expectation = rng.gamma(1.0, 1.0, n) + 0.05
    mean = expectation * level * np.exp(slope * terms[:, 0])
    return terms, expectation, rng.poisson(mean).astype(float)


def test_a_lasting_signal_is_found():
    terms, expectation, y = data(30_000, 1, slope=0.4, level=1.3)
    fit = LogLinear.fit(terms, expectation, y, power=1.0, windows=50.0, cutoffs=50)
    np.testing.assert_allclose(fit.coefficients, [np.log(1.3), 0.4, 0.0], atol=0.03)
    assert (expectation * fit.factor(terms)).sum() == pytest.approx(y.sum(), rel=0.01)


def test_without_a_signal_the_factor_is_about_one():
    terms, expectation, y = data(500, 2)
    fit = LogLinear.fit(terms, expectation, y, power=1.0, windows=1.0, cutoffs=1)
    assert abs(np.log(fit.factor(terms))).mean() < 0.07


def test_one_window_is_believed_less_than_many():
    terms, expectation, y = data(30_000, 3, level=1.5)
    one = LogLinear.fit(terms, expectation, y, power=1.0, windows=1.0, cutoffs=1)
    many = LogLinear.fit(terms, expectation, y, power=1.0, windows=20.0, cutoffs=20)
    assert one.coefficients[0] == pytest.approx(many.coefficients[0] * (20.5 / 20) / 1.5, rel=1e-3)


def test_overlapping_windows_count_once():
    terms, expectation, y = data(400, 4, slope=0.5)
    three = [np.concatenate([part] * 3) for part in (terms, expectation, y)]
    once = LogLinear.fit(terms, expectation, y, power=1.0, windows=1.0, cutoffs=1)
    thrice = LogLinear.fit(*three, power=1.0, windows=1.0, cutoffs=3)
    np.testing.assert_allclose(once.coefficients, thrice.coefficients, atol=1e-4)


def test_a_whale_moves_nobody_else():
    rng = np.random.default_rng(5)
    terms, expectation, _ = data(1000, 5)
    y = expectation * rng.lognormal(-0.5, 1.0, 1000)
    y[0] = 300 * y.sum()
    fit = LogLinear.fit(terms, expectation, y, power=1.5, windows=1.0, cutoffs=1)
    assert fit.factor(terms).max() <= LARGEST_FACTOR
    assert np.median(fit.factor(terms)) < 1.5


def test_order_changes_nothing_and_it_is_saved_to_the_bit():
    terms, expectation, y = data(3000, 6, slope=0.3)
    order = np.random.default_rng(0).permutation(3000)
    fit = LogLinear.fit(terms, expectation, y, power=1.5, windows=2.0, cutoffs=3)
    again = LogLinear.fit(
        terms[order], expectation[order], y[order], power=1.5, windows=2.0, cutoffs=3
    )
    assert fit == again
    assert LogLinear.from_dict(json.loads(json.dumps(fit.to_dict()))) == fit
    np.testing.assert_array_equal(fit.factor(terms)[:7], fit.factor(terms[:7]))


def test_terms_beyond_the_training_range_are_read_at_its_end():
    terms, expectation, y = data(3000, 7, slope=0.3)
    fit = LogLinear.fit(terms, expectation, y, power=1.0, windows=2.0, cutoffs=2)
    edge = np.array([fit.high])
    np.testing.assert_array_equal(fit.factor(edge + 100.0), fit.factor(edge))
