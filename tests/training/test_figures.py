"""Every figure can be drawn, also of next to nothing, and leaves matplotlib as it was."""

import sys

import matplotlib as mpl
import numpy as np
import pytest

from training import figures


def _many():
    rng = np.random.default_rng(5)
    p = rng.beta(2, 2, 300)
    y = (rng.random(300) < p).astype(float)
    frequency = rng.poisson(2.0, 300).astype(float)
    weeks = rng.poisson(30.0, 40).astype(float)
    return {
        "calibration": figures.calibration(y, p),
        "gain_and_lift": figures.gain_and_lift(y, p),
        "deciles": figures.deciles(y, p, percent=True),
        "frequency": figures.frequency(frequency, rng.poisson(frequency), frequency),
        "tracking": figures.tracking(weeks, np.where(np.arange(40) < 25, np.nan, 30.0), 25),
        "alive_matrix": figures.alive_matrix(rng.random((4, 3)), [0, 1, 2], [0, 10, 20, 30]),
        "posterior": figures.posterior({name: rng.gamma(2, 1, 50) for name in "abcdefg"}),
        "scores": figures.scores(y, p),
    }


def _hardly_any():
    return {
        "calibration": figures.calibration([1.0], [0.3]),
        "gain_and_lift": figures.gain_and_lift([0.0, 0.0], [0.3, 0.4]),
        "deciles": figures.deciles([0.0], [0.3]),
        "frequency": figures.frequency([0.0], [1.0], [0.2]),
        "tracking": figures.tracking([0.0], [0.0], 1),
        "alive_matrix": figures.alive_matrix([[0.5]], [0], [0]),
        "posterior": figures.posterior({}),
        "scores": figures.scores([1.0], [0.3]),
    }


@pytest.mark.parametrize("draw", [_many, _hardly_any])
def test_every_figure_is_a_picture_of_one_size(draw):
    before = dict(mpl.rcParams)
    shapes = set()
    for name, figure in draw().items():
        image = figures.pixels(figure)
        assert image.dtype == np.uint8
        assert image.std() > 5, f"{name} is blank"
        shapes.add(image.shape)
    assert len(shapes) == 1
    assert dict(mpl.rcParams) == before
    assert "matplotlib.pyplot" not in sys.modules or not mpl.get_backend().startswith("Tk")


def test_same_input_same_pixels():
    first, second = (figures.pixels(_many()["calibration"]) for _ in range(2))
    assert (first == second).all()
