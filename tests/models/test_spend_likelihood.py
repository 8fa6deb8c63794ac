"""Few nodes stand for many customers."""

import numpy as np
import pytest

from models.btyd.posterior import infer
from models.spend_likelihood import spend_nodes, spend_target


def test_nodes_on_a_grid_keep_the_likelihood():
    rng = np.random.default_rng(0)
    total, weights = np.exp(rng.normal(3.0, 1.5, 9000)), rng.uniform(0.5, 9.0, (2, 9000))
    at, node_weights = spend_nodes(total, weights)
    assert len(at) < 100
    for gamma in (0.5, 15.0, 400.0):
        exact = weights @ np.log(gamma + total)
        np.testing.assert_allclose(node_weights @ np.log(gamma + at), exact, rtol=1e-12)


def test_few_totals_are_kept_as_they_are():
    total, weights = np.array([3.0, 7.0]), np.array([[2.0, 5.0]])
    at, node_weights = spend_nodes(total, weights)
    assert (at.tolist(), node_weights.tolist()) == ([3.0, 7.0], [[2.0, 5.0]])


def test_what_the_nodes_move_is_computed_over_all_customers():
    rng = np.random.default_rng(2)
    x = rng.integers(1, 6, 4000).astype(float)
    target = spend_target(x, rng.gamma(3.0, 10.0, 4000), np.ones(4000), "weak")
    point = np.array([0.4, 0.9, 2.5])
    assert target.exact is not None
    value, gradient = target.exact(point)
    found = target.log_likelihood(point)
    assert found[0] == pytest.approx(value, rel=1e-10)
    np.testing.assert_allclose(found[1], gradient, rtol=1e-7)
    assert infer(target, 0, "map").diagnostics["grid_shift_sd"] < 1e-4


def test_a_prior_can_be_given_by_parameter():
    x, money = np.ones(4), np.array([1.0, 2.0, 3.0, 4.0])
    target = spend_target(x, money, x, {"q": (3.0, 0.2)})
    assert target.prior_mean[1] == pytest.approx(np.log(3.0))
    assert target.prior_sd.tolist() == [1.5, 0.2, 1.5]


def test_the_gradient_is_that_of_the_likelihood():
    rng = np.random.default_rng(1)
    x = rng.integers(1, 6, 50).astype(float)
    target = spend_target(x, rng.gamma(3.0, 10.0, 50), np.ones(50), "flat")
    point, step = np.array([0.4, 0.9, 2.5]), 1e-5
    _, gradient = target.log_likelihood(point)
    for i, direction in enumerate(np.eye(3)):
        ahead, back = (target.log_likelihood(point + s * step * direction)[0] for s in (1, -1))
        assert gradient[i] == pytest.approx((ahead - back) / (2 * step), rel=1e-5)
