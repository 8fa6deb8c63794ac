"""A check that every figure has to pass."""

import matplotlib as mpl
import numpy as np
import pytest

from training import figures


@pytest.fixture
def check_picture():
    """Draws, and looks that there is something to see, of the one size, and no setting changed."""

    def check(draw, *args, **kwargs):
        before = dict(mpl.rcParams)
        image = figures.pixels(draw(*args, **kwargs))
        assert image.dtype == np.uint8
        assert image.shape == (720, 1080, 3)
        assert image.std() > 5, "the picture is blank"
        assert dict(mpl.rcParams) == before

    return check


@pytest.fixture
def forecast():
    """Outcomes and probabilities of 300 customers."""
    rng = np.random.default_rng(5)
    p = rng.beta(2, 2, 300)
    return (rng.random(300) < p).astype(float), p
