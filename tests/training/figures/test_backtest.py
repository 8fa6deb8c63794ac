"""Pictures of a backtest and of checks, of much and of next to nothing."""

import numpy as np

from training import figures


def test_backtest(check_picture):
    rng = np.random.default_rng(0)
    names = [f"candidate_{i}" for i in range(14)]
    panels = {
        "loss": {name: list(rng.uniform(0.5, 1.0, 5)) for name in names},
        "bias of value": {name: list(rng.normal(0.0, 0.2, 5)) for name in names},
        "Gini of value": {name: [] for name in names},
    }
    check_picture(figures.backtest, panels, winner="candidate_3")
    check_picture(figures.backtest, {"loss": {"one": [0.7]}})
    check_picture(figures.backtest, {})


def test_tracking_by_cutoff(check_picture):
    weeks = np.random.default_rng(5).poisson(30.0, 12).astype(float)
    by_cutoff = {f"2024-0{month}-01": (weeks, weeks + 1.0) for month in range(1, 6)}
    check_picture(figures.tracking_by_cutoff, by_cutoff)
    check_picture(figures.tracking_by_cutoff, {"2024-01-01": ([0.0], [0.0])})
    check_picture(figures.tracking_by_cutoff, {})


def test_coverage(check_picture):
    uniform = np.random.default_rng(5).random(300)
    check_picture(figures.coverage, {"purchases": uniform, "value": uniform**2})
    check_picture(figures.coverage, {})


def test_predictive_check_of_a_model_and_of_a_rule(check_picture):
    table = {"repeat_purchases": np.arange(8), "customers": np.arange(8)[::-1] * 10}
    for expected in (np.arange(8.0), np.full(8, np.nan)):
        check_picture(figures.predictive_check, {**table, "posterior": expected, "prior": expected})
