"""Calibrators against independent fits."""

import json

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit

from models.base import ModelError
from models.calibration import Calibrator, choose_calibrator, customer_folds, level_shift


def simulated(n, seed, slope=1.0, shift=0.0, digits=6):
    rng = np.random.default_rng(seed)
    score = rng.normal(0, 1.5, n).round(digits)
    return score, (rng.random(n) < expit(slope * score + shift)).astype(float)


def smoothed(y):
    churners, stayers = y.sum(), (1 - y).sum()
    return np.where(y == 1, (churners + 1) / (churners + 2), 1 / (stayers + 2))


def cross_entropy(p, target):
    return -(target * np.log(p) + (1 - target) * np.log1p(-p)).sum()


def test_platt_equals_scikit_learns_fit():
    from sklearn.calibration import _sigmoid_calibration

    score, y = simulated(400, 1, 0.6, 0.4)
    a, b = _sigmoid_calibration(score, y)  # their sign: 1 / (1 + exp(a s + b))
    mine = Calibrator.fit("platt", score, y).parameters
    assert mine["a"] == pytest.approx(-a, abs=1e-4)
    assert mine["b"] == pytest.approx(-b, abs=1e-4)


def test_beta_equals_a_bounded_minimiser():
    score, y = simulated(500, 2, 1.7, -0.3)
    s = expit(score)

    def loss(theta):
        a, b, c = theta
        return cross_entropy(expit(a * np.log(s) - b * np.log(1 - s) + c), smoothed(y))

    best = minimize(loss, [1, 1, 0], bounds=[(0, None), (0, None), (None, None)], method="L-BFGS-B")
    mine = Calibrator.fit("beta", score, y).parameters
    assert loss([mine["a"], mine["b"], mine["c"]]) <= best.fun + 1e-6
    np.testing.assert_allclose([mine["a"], mine["b"], mine["c"]], best.x, atol=5e-3)


def test_beta_drops_a_term_that_would_break_the_order():
    # Churn rises and falls again: one coefficient of the free fit is negative.
    score = np.linspace(-4, 4, 400)
    y = (np.abs(score - 1) < 1.5).astype(float)
    mine = Calibrator.fit("beta", score, y)
    assert min(mine.parameters["a"], mine.parameters["b"]) == 0.0
    assert np.all(np.diff(mine(score)) >= 0)


def test_isotonic_known_answer():
    # Pooling adjacent violators by hand: 0, (1, 0) -> 1/2, 1; ends kept off 0 and 1 by 1/(n+2).
    fitted = Calibrator.fit("isotonic", [-1.0, 0.0, 1.0, 2.0], [0, 1, 0, 1])
    np.testing.assert_allclose(fitted([-5.0, -1.0, 0.0, 0.5, 1.0, 1.5, 2.0, 9.0]),
                               [1 / 6, 1 / 6, 0.5, 0.5, 0.5, 2 / 3, 5 / 6, 5 / 6])  # fmt: skip


@pytest.mark.parametrize("method", ["identity", "shift", "platt", "beta", "isotonic"])
def test_every_calibrator_keeps_order_and_survives_json(method):
    score, y = simulated(300, 3)
    fitted = Calibrator.fit(method, score, y)
    grid = np.linspace(-60, 60, 1001)
    p = fitted(grid)
    assert np.all(np.diff(p) >= 0)
    assert np.all((p >= 0) & (p <= 1))
    again = Calibrator.from_dict(json.loads(json.dumps(fitted.to_dict())))
    np.testing.assert_array_equal(again(grid), p)


@pytest.mark.parametrize("method", ["platt", "beta", "isotonic"])
def test_separable_outcomes_give_finite_probabilities(method):
    score = np.linspace(-3, 3, 60)
    p = Calibrator.fit(method, score, (score > 0).astype(float))(score)
    assert 0 < p[0] < 0.2 < 0.8 < p[-1] < 1


def test_a_score_that_ranks_backwards_keeps_only_the_level():
    score, y = simulated(400, 4, -1.0)
    p = Calibrator.fit("platt", score, y)(score)
    assert np.ptp(p) == 0
    assert p[0] == pytest.approx(y.mean(), abs=0.01)


@pytest.mark.parametrize(
    ("score", "y", "message"),
    [
        ([0.0, 1.0], [1, 1], "same outcome"),
        ([0.0, np.nan], [0, 1], "not a finite number"),
        ([0.0, 1.0], [0, 2], "0 .stayed. or 1"),
        ([0.0], [0, 1], "as many scores"),
        ([], [], "as many scores"),
    ],
)
def test_calibration_says_what_is_wrong(score, y, message):
    with pytest.raises(ModelError, match=message):
        Calibrator.fit("platt", score, y)


def test_choice_prefers_the_simple_one_when_it_is_as_good():
    score, y = simulated(3000, 5)
    assert choose_calibrator(score, y).calibrator.method == "identity"


def test_choice_mends_a_wrong_level_and_slope():
    score, y = simulated(3000, 6, 0.5, 1.0)
    choice = choose_calibrator(score, y)
    assert choice.calibrator.method == "platt"
    assert choice.calibrator.parameters["a"] == pytest.approx(0.5, abs=0.08)
    assert choice.log_loss["platt"] < choice.log_loss["identity"]


def test_choice_takes_isotonic_only_with_many_rows():
    rng = np.random.default_rng(7)
    score = rng.uniform(-4, 4, 6000)
    y = (rng.random(6000) < np.where(score < -2, 0.05, np.where(score < 2, 0.5, 0.55))).astype(
        float
    )
    assert choose_calibrator(score, y).calibrator.method == "isotonic"
    assert "isotonic" not in choose_calibrator(score[:900], y[:900]).log_loss


def test_choice_keeps_the_score_and_says_so_when_an_outcome_is_rare():
    score, _ = simulated(200, 8)
    choice = choose_calibrator(score, np.arange(200) < 3)
    assert choice.calibrator.method == "identity"
    assert "only 3 calibration customers" in choice.reason


def test_choice_does_not_depend_on_the_order_of_rows():
    score, y = simulated(2000, 9, 0.7)
    who = (np.arange(2000) // 2).astype(str)
    shuffled = np.random.default_rng(0).permutation(2000)
    one = choose_calibrator(score, y, who)
    two = choose_calibrator(score[shuffled], y[shuffled], who[shuffled])
    assert one == two


def test_all_rows_of_a_customer_fall_into_one_fold():
    who = np.array(["c", "a", "b", "a", "c", "d"])
    fold = customer_folds(who, 3)
    assert all(len(set(fold[who == name])) == 1 for name in who)


def test_shift_moves_the_mean_to_the_rate():
    score, y = simulated(5000, 20, 1.0, 0.7)
    fitted = Calibrator.fit("shift", score, y)
    assert fitted.parameters["b"] == pytest.approx(0.7, abs=0.1)
    assert fitted(score).mean() == pytest.approx(smoothed(y).mean(), abs=1e-9)


@pytest.mark.parametrize("outcome", [0, 1])
def test_shift_needs_only_one_outcome(outcome):
    # Laplace's rule: 18 of 18 is a rate of 19 / 20.
    p = Calibrator.fit("shift", np.zeros(18), np.full(18, outcome))([0.0])
    assert p[0] == pytest.approx(19 / 20 if outcome else 1 / 20)


def test_level_shift_with_scores_far_apart():
    shift = level_shift([-700.0, 700.0, 0.0, 0.0], 0.5)
    assert shift == pytest.approx(0.0, abs=1e-6)
    with pytest.raises(ModelError, match="between 0 and 1"):
        level_shift([0.0], 1.0)


PARTS = [
    Calibrator("identity", {}),
    Calibrator("shift", {"b": -0.4}),
    Calibrator("platt", {"a": 0.7, "b": 0.2}),
    Calibrator("beta", {"a": 1.3, "b": 0.6, "c": -0.1}),
    Calibrator("isotonic", {"score": [-2.0, 0.0, 1.0], "probability": [0.1, 0.3, 0.9]}),
]


@pytest.mark.parametrize("parts", [PARTS[:1], PARTS[:2], PARTS[1:3], PARTS, PARTS[3:4]])
def test_mean_is_taken_in_log_odds_and_keeps_order(parts):
    weights = np.arange(1.0, len(parts) + 1)
    mean = Calibrator.mean(parts, weights)
    grid = np.linspace(-40, 40, 2001)
    expected = sum(w * part.log_odds(grid) for w, part in zip(weights, parts, strict=True))
    np.testing.assert_allclose(mean.log_odds(grid), expected / weights.sum(), atol=1e-12)
    assert np.all(np.diff(mean(grid)) >= 0)
    again = Calibrator.from_dict(json.loads(json.dumps(mean.to_dict())))
    np.testing.assert_array_equal(again(grid), mean(grid))


@pytest.mark.parametrize("calibrator", [*PARTS, Calibrator.mean(PARTS, [1, 1, 1, 1, 1])])
def test_a_moved_calibrator_sees_moved_scores(calibrator):
    grid = np.linspace(-5, 5, 101)
    moved = calibrator.moved(0.3).moved(0.4)
    np.testing.assert_allclose(moved(grid), calibrator(grid + 0.7), atol=1e-12)
    again = Calibrator.from_dict(json.loads(json.dumps(moved.to_dict())))
    np.testing.assert_array_equal(again(grid), moved(grid))


@pytest.mark.parametrize("weights", [[], [1.0], [1.0, 0.0], [1.0, -1.0]])
def test_mean_refuses_weights_that_are_none(weights):
    with pytest.raises(ModelError, match="one positive weight"):
        Calibrator.mean(PARTS[:2], weights)
