"""Pictures of purchases and money, of many customers and of next to none."""

import numpy as np

from training import figures


def test_deciles(check_picture, forecast):
    check_picture(figures.deciles, *forecast, percent=True)
    check_picture(figures.deciles, [0.0], [0.3])


def test_frequency(check_picture):
    rng = np.random.default_rng(5)
    bought = rng.poisson(2.0, 300).astype(float)
    check_picture(figures.frequency, bought, rng.poisson(bought), bought)
    check_picture(figures.frequency, [0.0], [1.0], [0.2])


def test_tracking_of_a_model_and_of_one_that_is_silent_before_the_cutoff(check_picture):
    weeks = np.random.default_rng(5).poisson(30.0, 40).astype(float)
    check_picture(figures.tracking, weeks, weeks + 1.0, 25)
    check_picture(figures.tracking, weeks, np.where(np.arange(40) < 25, np.nan, 30.0), 25)
    check_picture(figures.tracking, [0.0], [0.0], 1)
