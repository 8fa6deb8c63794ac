"""Are as many customers back as there should be, while the horizon still runs?

The churn model says how many customers come back within its horizon, earlier horizons say when
those come back who do: with both, it can be told how many should be back by now. That is the first
sign of concept drift, weeks before a cohort closes.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.window import ObservationWindow
from models.estimated_performance import expected_returns
from serving.outcomes import timing_curve

if TYPE_CHECKING:
    from features.ledger import Ledger

__all__ = ["EARLY_COLUMNS", "Curves", "early_returns"]

EARLY_COLUMNS = (
    "list_id", "as_of", "model", "part", "day", "observed", "expected", "low", "high", "n",
    "windows", "curve",
)  # fmt: skip
"""Columns of early returns: one row a list and day of its horizon so far. Shares of all customers
who have come back by the end of that day: `observed`, `expected`, and the 95 % band `low` to
`high`; `curve`: of those who come back within the horizon, the share by that day, the mean of
`windows` earlier horizons."""

_CURVES = 6  # earlier horizons, a month apart, that tell when customers come back
_STEP = 30
_YEAR = 364  # days; the same day of the week a year ago
_LEAST_HISTORY = 90

Array = npt.NDArray[np.float64]


class Curves:
    """Timing curves of horizons that were over at a cutoff; each is read once.

    Args:
        ledger: The trusted tables.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._known: dict[ObservationWindow, Array | None] = {}

    def before(self, window: ObservationWindow) -> list[Array]:
        """The curves of the last months before a cutoff and of a year before it."""
        reach = window.gap_days + window.horizon_days
        back = [reach + _STEP * i for i in range(_CURVES)]
        if reach <= _YEAR and min(abs(_YEAR - each) for each in back) > _STEP // 2:
            back.append(_YEAR)
        found = []
        for days in back:
            cutoff = window.cutoff - dt.timedelta(days=days)
            if (cutoff - window.start).days < _LEAST_HISTORY:
                continue
            earlier = ObservationWindow(window.start, cutoff, window.gap_days, window.horizon_days)
            if earlier not in self._known:
                self._known[earlier] = timing_curve(self._ledger, earlier)
            if (curve := self._known[earlier]) is not None:
                found.append(curve)
        return found


def early_returns(
    ledger: Ledger,
    window: ObservationWindow,
    p: pd.Series[float],
    weight: pd.Series[float],
    returns: pd.Series[float],
    curves: Curves,
) -> pd.DataFrame:
    """Customers who came back so far, against those who should have.

    Args:
        ledger: The trusted tables.
        window: Has the label window, over or not.
        p: Churn probabilities, by customer_id.
        weight: How many customers each stands for (`serving.cohorts.split`), by customer_id; some
            may have none.
        returns: Of `serving.outcomes.first_returns`.
        curves: Of the same ledger.

    Returns:
        One row a day of the label window that the data holds, with the columns of `EARLY_COLUMNS`
        from `day` on; no rows before its first day is over, or where no earlier horizon tells when
        customers come back.
    """
    passed = (ledger.last_day + dt.timedelta(days=1) - window.label_start).days
    passed = min(passed, window.horizon_days)
    earlier = curves.before(window) if passed >= 1 else []
    if not earlier or not len(p):
        return pd.DataFrame(columns=list(EARLY_COLUMNS[4:]))
    at = returns.reindex(p.index) - window.gap_days
    here = (at < passed).to_numpy(bool)
    shares = np.stack(earlier)[:, :passed]
    # Customers who stand for others tell less than as many of their own (Kish's effective size).
    stands = weight.to_numpy(np.float64)
    mean, low, high = expected_returns(p, shares, effective=stands.sum() ** 2 / (stands**2).sum())
    counted = np.bincount(
        at.to_numpy(np.float64)[here].astype(np.int64), weights=stands[here], minlength=passed
    )
    return pd.DataFrame(
        {
            "day": np.arange(1, passed + 1),
            "observed": np.cumsum(counted) / stands.sum(),
            "expected": mean,
            "low": low,
            "high": high,
            "n": len(p),
            "windows": len(earlier),
            "curve": shares.mean(axis=0),
        }
    )
