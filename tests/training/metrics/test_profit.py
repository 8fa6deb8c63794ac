"""Maximum profit: a published vector, and one measure as the integral of the other."""

import numpy as np
import pytest
from scipy import stats

from training import metrics


def test_maximum_profit_vectors():
    # The vector of the EMP and empulse packages.
    y = [0, 1, 0, 1, 0, 1, 0, 1]
    p = [0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 0.8, 0.9]
    assert metrics.mpc(y, p) == pytest.approx((23.875, 0.875))
    assert metrics.empc(y, p) == pytest.approx((23.8755934183, 0.8743701), abs=1e-7)


def test_empc_is_the_integral_of_mpc(churn):
    y, p = churn
    grid = (np.arange(2000) + 0.5) / 2000
    density = stats.beta(6, 14).pdf(grid)
    by_sum = np.mean([metrics.mpc(y, p, save_rate=g).profit for g in grid] * density)
    assert metrics.empc(y, p).profit == pytest.approx(by_sum, rel=1e-4)
