"""Few nodes stand for many customers."""

import numpy as np
import pytest

from models.spend_likelihood import spend_nodes, spend_target


def test_nodes_on_a_grid_keep_the_likelihood():
    rng = np.random.default_rng(0)
    x = np.repeat([1.0, 2.0, 5.0], 3000)
    money = np.exp(rng.normal(3.0, 1.5, len(x)))
    node_x, node_money, weight = spend_nodes(x, money, np.ones(len(x)))
    assert len(node_x) < 200
    for gamma in (0.5, 15.0, 400.0):
        exact = np.log(gamma + x * money).sum()
        assert weight @ np.log(gamma + node_x * node_money) == pytest.approx(exact, rel=1e-9)


def test_the_gradient_is_that_of_the_likelihood():
    rng = np.random.default_rng(1)
    x = rng.integers(1, 6, 50).astype(float)
    target = spend_target(x, rng.gamma(3.0, 10.0, 50), np.ones(50), "flat")
    point, step = np.array([0.4, 0.9, 2.5]), 1e-5
    _, gradient = target.log_likelihood(point)
    for i, direction in enumerate(np.eye(3)):
        ahead, back = (target.log_likelihood(point + s * step * direction)[0] for s in (1, -1))
        assert gradient[i] == pytest.approx((ahead - back) / (2 * step), rel=1e-5)
