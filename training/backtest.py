"""How every candidate would have done at earlier cutoffs: one long table.

The same code as in training, with quick fits: what a candidate is, is written once, in
`training.churn` and `training.clv_candidates`.
"""

import datetime as dt
from collections.abc import Mapping

import pandas as pd

from features.errors import NotEnoughDataError
from features.ledger import Ledger
from features.progress import task
from features.snapshot import build_snapshot
from features.window import CutoffSplit, ObservationWindow, monthly_cutoffs, split_cutoffs
from training import metrics
from training.churn import ChurnSettings, churn_panel, fit_candidates
from training.clv import ClvSettings
from training.clv_candidates import fit_models, forecasts
from training.clv_holdout import holdout_window

__all__ = ["COLUMNS", "backtest", "backtest_churn", "backtest_clv"]

COLUMNS = ("family", "cutoff", "horizon_days", "customers", "candidate", "metric", "value")

_MAX_CUTOFFS = 6
_CLV_STEP_DAYS = 28


def backtest(
    ledger: Ledger, churn: ChurnSettings, clv: ClvSettings, *, seed: int = 0
) -> pd.DataFrame:
    """Measure all candidates of both families at rolling cutoffs.

    Args:
        ledger: The trusted tables.
        churn: What churn means.
        clv: How future value is counted.
        seed: Seed of every fit.

    Returns:
        One row a measurement with `COLUMNS`; cutoffs ascend within a family.

    Raises:
        NotEnoughDataError: The history is too short for a single cutoff.
    """
    return pd.concat(
        [backtest_churn(ledger, churn, seed=seed), backtest_clv(ledger, clv, seed=seed)],
        ignore_index=True,
    )


def backtest_churn(ledger: Ledger, settings: ChurnSettings, *, seed: int = 0) -> pd.DataFrame:
    """Measure the churn candidates at the latest closed monthly cutoffs.

    At each, everything is fitted anew on what was closed by then, split as in training.
    """
    horizon, gap = settings.horizon_days, settings.gap_days
    cutoffs = monthly_cutoffs(ledger.first_day, ledger.last_day, horizon, gap)
    splits = [split_cutoffs(cutoffs, horizon, gap)]
    for drop in range(1, _MAX_CUTOFFS):
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


def backtest_clv(ledger: Ledger, settings: ClvSettings, *, seed: int = 0) -> pd.DataFrame:
    """Measure the CLV candidates at the training's cutoff and every four weeks before it.

    Models are fitted at the mode of their posterior, so measures of whole distributions are
    left out.
    """
    windows = []
    for step in range(_MAX_CUTOFFS):
        end = ledger.last_day + dt.timedelta(days=1 - step * _CLV_STEP_DAYS)
        try:
            windows.append(
                holdout_window(ledger.first_day, ledger.last_day, settings.horizon_days, end=end)
            )
        except NotEnoughDataError:
            if not windows:
                raise
            break
    rows: list[dict[str, object]] = []
    with task("Backtesting CLV", total=len(windows)) as progress:
        for window in reversed(windows):
            snapshot = build_snapshot(ledger, window)
            assert snapshot.labels is not None  # every holdout ends with the history or before
            rfm = snapshot.rfm
            fitted, _ = fit_models(rfm, seed=seed, method="map")
            for name, forecast in forecasts(fitted, rfm, window.horizon_days).items():
                labels = snapshot.labels
                measured = {
                    **metrics.purchase_metrics(labels["future_purchases"], forecast.purchases),
                    **metrics.clv_metrics(labels["future_spend"], forecast.spend),
                }
                rows += _rows("clv", window, len(rfm), name, measured)
            progress.advance()
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _all(split: CutoffSplit) -> set[dt.date]:
    return {*split.train, *split.calibration, split.test}


def _rows(
    family: str,
    window: ObservationWindow,
    customers: int,
    candidate: str,
    measured: Mapping[str, float],
) -> list[dict[str, object]]:
    about = (family, window.cutoff.isoformat(), window.horizon_days, customers, candidate)
    return [
        dict(zip(COLUMNS, (*about, metric, value), strict=True))
        for metric, value in measured.items()
    ]
