"""Pictures of an evaluation, in one quiet style that stays readable in a small chart.

Each function returns a `matplotlib.figure.Figure` made through the object interface: no
window, no global state, nothing to close. Dark line or dot: what happened. Blue: what was
forecast. Grey: the reference.
"""

from training.figures.backtest import backtest, coverage, predictive_check, tracking_by_cutoff
from training.figures.churn import calibration, gain_and_lift, levels, scores
from training.figures.model import alive_matrix, posterior
from training.figures.profit import off_policy, policy_backtest, profit_curve, stress
from training.figures.style import pixels
from training.figures.value import deciles, frequency, tracking

__all__ = [
    "alive_matrix",
    "backtest",
    "calibration",
    "coverage",
    "deciles",
    "frequency",
    "gain_and_lift",
    "levels",
    "off_policy",
    "pixels",
    "policy_backtest",
    "posterior",
    "predictive_check",
    "profit_curve",
    "scores",
    "stress",
    "tracking",
    "tracking_by_cutoff",
]
