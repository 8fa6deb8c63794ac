"""The numerics against mpmath, SciPy and themselves."""

import mpmath
import numpy as np
import pytest
from scipy.stats import nbinom

from models.btyd.formulas import (
    beta_nodes,
    beta_rule,
    discounted_purchases,
    expected_purchases,
    no_purchase,
    purchase_tail,
    purchase_tails,
)

CASES = [
    # r, alpha, a, b, t
    (0.243, 4.414, 0.793, 2.426, 39.0),
    (0.243, 4.414, 1.0, 2.426, 39.0),
    (0.243, 4.414, 1.0 + 1e-9, 2.426, 39.0),
    (0.243, 4.414, 0.4, 0.6, 1040.0),
    (0.1, 4.41, 0.05, 0.3, 1040.0),
    (2.243, 43.274, 0.793, 4.426, 0.14),
    (5.1, 366.0, 12.0, 7.4, 39.0),
    (1000.243, 368.414, 0.793, 1002.426, 3650.0),
    (20.0, 1.0, 3.0, 0.3, 365.0),
    (3.0, 0.05, 0.3, 2.4, 40.0),
]


def exact_expectation(r, alpha, a, b, t):
    """FHL eq. 9 after Pfaff's transformation, with enough digits to survive its cancellation."""
    with mpmath.workdps(60):
        r, alpha, a, b, t = (mpmath.mpf(v) for v in (r, alpha, a, b, t))
        a += mpmath.mpf("1e-25")  # a = 1 and a + b = 1 are limits
        series = mpmath.hyp2f1(r, a - 1, a + b - 1, -t / alpha)
        return float((a + b - 1) / (a - 1) * (1 - series))


def expectation(r, alpha, a, b, t):
    rule = beta_rule(np.array(a), np.array(b))
    return float(expected_purchases(np.array(r), np.array(alpha), rule, t))


@pytest.mark.parametrize("case", CASES)
def test_the_expectation_equals_the_published_formula_in_mpmath(case):
    assert expectation(*case) == pytest.approx(exact_expectation(*case), rel=1e-8)


def average_over_dropout(r, alpha, a, b, t):
    """The same by numerical integration over log p, which no cancellation hurts."""
    with mpmath.workdps(30):
        z = mpmath.mpf(t) / alpha

        def term(u):
            return (
                mpmath.exp(u * (a - 1))
                * (1 - mpmath.exp(u)) ** (b - 1)
                * -mpmath.expm1(-r * mpmath.log1p(mpmath.exp(u) * z))
            )

        # In units of where the density of p and the chance of a purchase turn.
        turns = sorted({-float(mpmath.log(r * z + 1)), -float(mpmath.log(b / a + 1))})
        inner = sorted({turn + step for turn in turns for step in (-12, -6, -2, 0, 2)})
        edges = [-80 / min(a, 1.0) - 20, *(edge for edge in inner if edge < -0.5), -0.3, -0.02, 0]
        return float(mpmath.quad(term, edges) / mpmath.beta(a, b))


@pytest.mark.parametrize(
    "case",
    [
        # Many purchases in a short time, a long horizon, and a next to 1: the hardest.
        (20.856, 0.02155, 0.9999999, 1.3, 1044.0),
        (12.812, 0.36274, 1.0 + 1e-9, 0.5, 1044.0),
        (10010.066, 0.047018, 1.0 + 1e-9, 10001.32, 1044.0),
        (10000.5, 1044.0, 0.05, 10000.2, 1044.0),
        (0.001, 0.01, 0.3, 0.7, 1044.0),
        (0.5, 300.0, 9.0, 8.0, 0.14),
        (3000.3, 1000.0, 1.0, 3000.4, 0.01),
    ],
)
def test_the_expectation_of_hard_customers_by_numerical_integration(case):
    assert expectation(*case) == pytest.approx(average_over_dropout(*case), rel=1e-8)


@pytest.mark.parametrize("t", [0.14, 52.0, 1044.0])
@pytest.mark.parametrize("x", [0.0, 3.0, 10_000.0])
def test_many_customers_by_a_series_and_one_by_one_are_the_same(x, t):
    draws = {"r": [0.243, 0.05, 5.0], "a": [0.793, 1.0, 12.0], "b": [2.426, 0.2, 0.5]}
    r, a, b = (np.array(values) for values in draws.values())
    alpha = np.array([4.414, 0.02, 90.0]) + np.linspace(0.0, 1044.0, 200)[:, None]
    rule = beta_rule(a, b + x)
    together = expected_purchases(r + x, alpha, rule, t)
    worth = discounted_purchases(r + x, alpha, rule, t, 0.0018)
    for i in (0, 1, 77, 199):
        alone = expected_purchases(r + x, alpha[i : i + 1], rule, t)
        np.testing.assert_allclose(together[i], alone[0], rtol=1e-10)
        alone = discounted_purchases(r + x, alpha[i : i + 1], rule, t, 0.0018)
        np.testing.assert_allclose(worth[i], alone[0], rtol=1e-9)


@pytest.mark.parametrize(
    ("case", "value"),
    [
        ((10000.243, 1044.0, 0.793, 10002.4, 1040.0), 7431.779039418553),
        ((0.5, 6.0, 400.0, 900.0, 52.0), 1.553779701863776),
    ],
)
def test_the_expectation_of_extreme_customers_in_600_digits(case, value):
    assert expectation(*case) == pytest.approx(value, rel=1e-9)


def test_the_expectation_is_zero_at_once_and_grows_with_time():
    t = np.concatenate([[0.0], np.geomspace(1e-6, 1e4, 50)])
    rule = beta_rule(np.array([0.793]), np.array([2.426]))
    values = expected_purchases(np.array([0.243]), np.array([4.414]), rule, t)
    assert values[0] == 0.0
    assert (np.diff(values) > 0).all()


def test_the_rule_averages_powers_of_a_beta_variable():
    a, b = np.array([0.3, 0.8, 5.0, 300.0]), np.array([2.0, 0.4, 70.0, 1000.0])
    rule = beta_rule(a, b)
    assert len(rule.p) == beta_nodes(a, b)
    np.testing.assert_allclose((rule.weight * rule.p).sum(axis=0), a / (a + b), rtol=1e-9)
    second = a * (a + 1) / ((a + b) * (a + b + 1))
    np.testing.assert_allclose((rule.weight * rule.p**2).sum(axis=0), second, rtol=1e-9)


@pytest.mark.parametrize("case", [CASES[0], CASES[1], CASES[5], CASES[6]])
def test_the_expectation_is_the_sum_of_the_tails(case):
    r, alpha, a, b, t = (np.array(v) for v in case)
    total = 0.0
    for tail in purchase_tails(r, alpha, a, b, t):
        total += float(tail)
        if tail < 1e-15:
            break
    assert total == pytest.approx(expectation(*case), rel=1e-9)


def test_tails_by_recursion_and_by_the_incomplete_beta_function_agree():
    r, alpha, a, b, t = (np.array(v) for v in CASES[0])
    steps = purchase_tails(r, alpha, a, b, t)
    for k in range(1, 60):
        direct = purchase_tail(np.array(float(k)), r, alpha, a, b, t)
        assert float(next(steps)) == pytest.approx(float(direct), abs=1e-14)


def test_nobody_leaves_when_dropout_is_negligible():
    r, alpha, t = 2.0, 10.0, 30.0
    steps = purchase_tails(*(np.array(v) for v in (r, alpha, 1e-9, 1.0, t)))
    negative_binomial = nbinom(r, alpha / (alpha + t))
    for k in range(1, 20):
        assert float(next(steps)) == pytest.approx(negative_binomial.sf(k - 1), abs=1e-7)
    none = float(no_purchase(np.array(r), np.array(alpha), t))
    assert none == pytest.approx(negative_binomial.pmf(0), rel=1e-12)


@pytest.mark.parametrize(("t", "rate"), [(52.0, 0.0018), (1040.0, 0.0018), (np.inf, 0.0027)])
@pytest.mark.parametrize("case", [CASES[0], CASES[5], CASES[7]])
def test_discounting_equals_numerical_integration_in_30_digits(case, t, rate):
    r, alpha, a, b, _ = case
    with mpmath.workdps(30):
        # d E[X(s)] / ds = r/alpha * E_p[(1 + p s/alpha)^-(r+1)]
        def intensity(s):
            return (
                mpmath.mpf(r)
                / alpha
                * mpmath.hyp2f1(r + 1, a, a + b, -mpmath.mpf(s) / alpha)
                * mpmath.exp(-rate * s)
            )

        ends = [0, 10, 100, 1000] if t > 1000 else [0, 10]
        ends += [4000, 20000] if np.isinf(t) else [t]
        expected = float(mpmath.quad(intensity, ends))
    rule = beta_rule(np.array([a]), np.array([b]))
    value = discounted_purchases(np.array([r]), np.array([alpha]), rule, t, rate)
    assert float(value[0]) == pytest.approx(expected, rel=1e-8)
