import numpy as np
import pytest

from models.uplift.sensitivity import e_value, e_value_limit, ratio_of_difference


def test_e_values_of_the_paper():
    # VanderWeele & Ding 2017: RR 3.9 (1.8 to 8.7) gives 7.26 and 3.0.
    assert e_value(3.9) == pytest.approx(7.26, abs=0.005)
    assert e_value(1.8) == pytest.approx(3.0)
    assert e_value(1 / 1.8) == pytest.approx(3.0)
    assert np.isnan(e_value(0))
    assert e_value_limit(1.8, 8.7) == pytest.approx(3.0)
    assert e_value_limit(1 / 8.7, 1 / 1.8) == pytest.approx(3.0)
    assert e_value_limit(0.5, 1.2) == 1


def test_no_difference_is_a_ratio_of_one():
    assert ratio_of_difference(0) == 1
    assert ratio_of_difference(-0.5) == pytest.approx(1 / ratio_of_difference(0.5))
