"""Pictures of a churn probability, of many customers and of next to none."""

import pytest

from training import figures


@pytest.mark.parametrize("draw", [figures.calibration, figures.gain_and_lift, figures.scores])
@pytest.mark.parametrize("few", [None, ([1.0], [0.3]), ([0.0, 0.0], [0.3, 0.4])])
def test_it_is_a_picture(check_picture, forecast, draw, few):
    check_picture(draw, *(few or forecast))


def test_same_input_same_pixels(forecast):
    first, second = (figures.pixels(figures.calibration(*forecast)) for _ in range(2))
    assert (first == second).all()
