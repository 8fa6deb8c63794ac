"""Pictures of a purchase model, and of a candidate that has none."""

import numpy as np

from training import figures


def test_alive_matrix(check_picture):
    grid = np.random.default_rng(5).random((4, 3))
    check_picture(figures.alive_matrix, grid, [0, 1, 2], [0, 10, 20, 30])
    check_picture(figures.alive_matrix, [[0.5]], [0], [0])


def test_posterior(check_picture):
    rng = np.random.default_rng(5)
    check_picture(figures.posterior, {name: rng.gamma(2, 1, 50) for name in "abcdefg"})
    check_picture(figures.posterior, {})
