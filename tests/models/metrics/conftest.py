"""One churn forecast and one value forecast for all measures."""

import numpy as np
import pytest


@pytest.fixture(scope="session")
def churn():
    rng = np.random.default_rng(7)
    p = np.round(rng.beta(3, 2, 400), 2)  # rounded: many ties
    return (rng.random(400) < p).astype(float), p


@pytest.fixture(scope="session")
def value():
    rng = np.random.default_rng(11)
    mean = rng.gamma(1.0, 50.0, 300)
    y = np.where(rng.random(300) < 0.5, 0.0, rng.gamma(2.0, mean))
    return y, mean
