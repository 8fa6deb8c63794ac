"""How every candidate of both families would have done at earlier cutoffs: one long table.

The same code as in training: what a candidate is, is written once, in `training.churn` and
`training.clv_candidates`.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from features.ledger import Ledger
from features.progress import task
from features.window import ObservationWindow
from training.churn import CHOICE_ROWS, THREADS, churn_plan, fit_all
from training.churn_panel import ChurnSettings, churn_panel
from training.churn_pictures import measures_by_cutoff
from training.churn_recipes import candidates
from training.churn_rolling import Rolling
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

    At each, everything is fitted and calibrated anew on what was closed by then, as in training
    but for the tuning of trees; one-time and repeat buyers are measured apart, too.

    Raises:
        NotEnoughDataError: The history is too short to train, to calibrate and to test.
    """
    plan = churn_plan(ledger, settings)
    panel = churn_panel(ledger, settings, plan.cutoffs)
    recipes = candidates(
        settings.effort, settings.candidates, panel.slices[plan.test].features.columns
    )
    rolling = Rolling(panel.sample(CHOICE_ROWS), recipes, seed=seed, threads=THREADS)
    tests = [c for c in plan.cutoffs if rolling.can_score(c)][-MAX_CUTOFFS:]
    fit_all(rolling, recipes, tests)
    rows: list[dict[str, object]] = []
    with task("Backtesting churn", total=len(recipes)) as progress:
        for name in recipes:
            for measured in measures_by_cutoff(rolling, name, tests, settings).to_dict("records"):
                rows += _rows(settings, name, measured, ledger.first_day)
            progress.advance()
    found = pd.DataFrame(rows, columns=list(COLUMNS))
    return found.sort_values("cutoff", kind="stable", ignore_index=True)


def clv_windows(ledger: Ledger, horizon_days: int) -> tuple[ObservationWindow, ...]:
    """The windows of a CLV backtest: those of `rolling_windows` that end with the history.

    Raises:
        NotEnoughDataError: The history is too short for one.
    """
    holdout_window(ledger.first_day, ledger.last_day, horizon_days)  # says why there is none
    end = ledger.last_day + dt.timedelta(days=1)
    return rolling_windows(ledger.first_day, end, horizon_days, MAX_CUTOFFS)


def _rows(
    settings: ChurnSettings, name: str, measured: Mapping[Any, Any], first_day: dt.date
) -> list[dict[str, object]]:
    """One row a measurement of a candidate at a cutoff, in a group."""
    history = (dt.date.fromisoformat(measured["cutoff"]) - first_day).days
    about = (
        "churn",
        measured["cutoff"],
        history,
        settings.horizon_days,
        measured["group"],
        measured["customers"],
        name,
    )
    return [
        dict(zip(COLUMNS, (*about, f"churn/{key}", value), strict=True))
        for key, value in measured.items()
        if key not in ("cutoff", "group", "customers") and pd.notna(value)
    ]
