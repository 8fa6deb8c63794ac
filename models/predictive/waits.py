"""The wait for the next purchase."""

from __future__ import annotations

import numpy as np

from ..btyd.formulas import FloatArray
from .question import Question

__all__ = ["log_times", "wait_quantiles"]

_WAIT_TIMES = 36  # times at which the wait for the next purchase is looked at
_HALVINGS = 22  # of the step between two of them: a millionth of it or less
_WAIT_MARGIN = 6.0  # how far below the usual gap they begin, on the scale of logarithms


def log_times(ask: Question, log_gap: float) -> FloatArray:
    """Times to look at for waits: from far below the usual gap to ten years."""
    top = np.log(ask.ten_years)
    return np.linspace(min(log_gap - _WAIT_MARGIN, top - _WAIT_MARGIN), top, _WAIT_TIMES)


def wait_quantiles(
    ask: Question, bought: FloatArray, alive: FloatArray, log_times: FloatArray
) -> FloatArray:
    """Quantiles of the wait for the next purchase, given alive, in weeks, (n, waits).

    log(-log S), with S the chance that the wait is longer, is nearly linear in the logarithm of
    time (exactly so for a constant rate), so six points round the quantile give the time to about
    1e-5. Missing beyond ten years.
    """
    n, half = len(bought), 3
    share = bought / np.maximum(alive, 1e-290)[:, None]
    with np.errstate(divide="ignore"):
        level = np.log(-np.log1p(-share.clip(1e-16, 1.0 - 1e-16)))
    out = np.full((n, len(ask.waits)), np.nan)
    for i, quantile in enumerate(ask.waits):
        goal = np.log(-np.log1p(-quantile))
        above = (level < goal).sum(axis=1)
        within = np.flatnonzero((above < len(log_times)) & (alive > 1e-290))
        first = np.clip(above[within] - half, 0, len(log_times) - 2 * half)
        window = first[:, None] + np.arange(2 * half)
        y = level[within[:, None], window]
        # The polynomial through them by its differences, solved by bisection within one step.
        differences = [y]
        for _ in range(2 * half - 1):
            differences.append(np.diff(differences[-1], axis=1))
        leading = [each[:, 0] for each in differences]
        left = np.clip(above[within] - first - 1, 0, 2 * half - 2).astype(float)
        right = left + 1.0
        beyond = above[within] == 0  # before all times, where the curve is a straight line
        left[beyond] = -60.0
        for _ in range(_HALVINGS):
            middle = 0.5 * (left + right)
            value, term = leading[0].copy(), np.ones(len(middle))
            for k, each in enumerate(leading[1:], 1):
                term = term * ((middle - (k - 1)) / k)
                value += np.where(beyond & (k > 1), 0.0, term * each)
            low = value < goal
            left, right = np.where(low, middle, left), np.where(low, right, middle)
        step = log_times[1] - log_times[0]
        out[within, i] = np.exp(log_times[first] + 0.5 * (left + right) * step)
    return out
