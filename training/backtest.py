"""How every candidate of both families would have done at earlier cutoffs: one long table.

The same code as in training: what a candidate is, is written once, in `training.churn` and
`training.clv_candidates`.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from features.errors import NotEnoughDataError
from features.ledger import Ledger
from features.progress import task
from features.window import CutoffSplit, ObservationWindow, monthly_cutoffs, split_cutoffs
from training import metrics
from training.churn import ChurnSettings, churn_panel, fit_candidates
from training.clv_backtest import COLUMNS, ClvBacktest, backtest_clv
from training.clv_fitting import ClvSettings, Fittings
from training.clv_holdout import holdout_window, rolling_windows

__all__ = ["COLUMNS", "MAX_CUTOFFS", "Backtest", "backtest", "backtest_churn", "clv_windows"]

MAX_CUTOFFS = 6
"""Cutoffs looked at, at most."""


@dataclass(frozen=True)
class Backtest:
    """What came of a backtest.

    Attributes:
        table: One row a measurement, with `COLUMNS`; cutoffs ascend within a family.
        clv: The part of the CLV family.
    """

    table: pd.DataFrame
    clv: ClvBacktest


def backtest(ledger: Ledger, churn: ChurnSettings, clv: ClvSettings, *, seed: int = 0) -> Backtest:
    """Measure all candidates of both families at rolling cutoffs.

    Args:
        ledger: The trusted tables.
        churn: What churn means.
        clv: How future value is counted.
        seed: Seed of every fit.

    Raises:
        NotEnoughDataError: The history is too short for a single cutoff.
    """
    windows = clv_windows(ledger, clv.horizon_days)
    left = backtest_churn(ledger, churn, seed=seed)
    right = backtest_clv(Fittings(ledger, clv, seed=seed), windows, every=True)
    return Backtest(pd.concat([left, right.table], ignore_index=True), right)


def backtest_churn(ledger: Ledger, settings: ChurnSettings, *, seed: int = 0) -> pd.DataFrame:
    """Measure the churn candidates at the latest closed monthly cutoffs.

    At each, everything is fitted anew on what was closed by then, split as in training.
    """
    horizon, gap = settings.horizon_days, settings.gap_days
    cutoffs = monthly_cutoffs(ledger.first_day, ledger.last_day, horizon, gap)
    splits = [split_cutoffs(cutoffs, horizon, gap)]
    for drop in range(1, MAX_CUTOFFS):
        try:
            splits.append(split_cutoffs(cutoffs[:-drop], horizon, gap))
        except NotEnoughDataError:
            break  # the history carries no earlier test cutoff
    panel = churn_panel(ledger, settings, sorted(set().union(*map(_all, splits))))
    rows: list[dict[str, object]] = []
    with task("Backtesting churn", total=len(splits)) as progress:
        for split in reversed(splits):
            forecast, _ = fit_candidates(panel, split, settings, seed)
            churned = panel.churned(split.test)
            window = panel.snapshots[split.test].window
            for name, p in forecast.items():
                measured = metrics.churn_metrics(churned, p)
                rows += _rows("churn", window, len(churned), name, measured)
            progress.advance()
    return pd.DataFrame(rows, columns=list(COLUMNS))


def clv_windows(ledger: Ledger, horizon_days: int) -> tuple[ObservationWindow, ...]:
    """The windows of a CLV backtest: those of `rolling_windows` that end with the history.

    Raises:
        NotEnoughDataError: The history is too short for one.
    """
    holdout_window(ledger.first_day, ledger.last_day, horizon_days)  # says why there is none
    end = ledger.last_day + dt.timedelta(days=1)
    return rolling_windows(ledger.first_day, end, horizon_days, MAX_CUTOFFS)


def _all(split: CutoffSplit) -> set[dt.date]:
    return {*split.train, *split.calibration, split.test}


def _rows(
    family: str,
    window: ObservationWindow,
    customers: int,
    candidate: str,
    measured: Mapping[str, float],
) -> list[dict[str, object]]:
    history = (window.cutoff - window.start).days
    cutoff = window.cutoff.isoformat()
    about = (family, cutoff, history, window.horizon_days, "all", customers, candidate)
    return [
        dict(zip(COLUMNS, (*about, metric, value), strict=True))
        for metric, value in measured.items()
    ]
