"""Amounts: hand-made values."""

import pytest

from training import metrics


def test_errors_by_hand():
    y, f = [0.0, 10.0, 30.0], [2.0, 8.0, 20.0]
    assert metrics.mae(y, f) == pytest.approx(14 / 3)
    assert metrics.nmae(y, f) == pytest.approx(0.35)
    assert metrics.rmse(y, f) == pytest.approx(6.0)
    assert metrics.bias(y, f) == pytest.approx(-0.25)
