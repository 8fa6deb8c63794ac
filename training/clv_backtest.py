"""Every CLV candidate at rolling cutoffs: one long table, and what it looked like week by week."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.figure import Figure

from features.progress import note, task
from features.window import ObservationWindow
from models.base import ModelError
from models.clv import CustomerLifetimeValue
from models.ensemble import StackedLifetimeValue
from models.hybrid import LearnedLifetimeValue
from training import figures
from training.clv_candidates import (
    LEARNED,
    MODELS,
    RULES,
    STACK,
    Forecast,
    candidates,
    forecast,
    measure,
)
from training.clv_choice import Choice, choose
from training.clv_fitting import Fitting, Fittings
from training.clv_holdout import weekly_purchases

__all__ = [
    "COLUMNS",
    "ClvBacktest",
    "backtest_clv",
    "backtest_figures",
    "weeks_ahead",
    "with_purchases",
]

COLUMNS = (
    *("family", "cutoff", "history_days", "horizon_days"),
    *("group", "customers", "candidate", "metric", "value"),
)

_FOLLOWED = 250  # customers whose expectation is followed week by week

Weeks = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]


@dataclass(frozen=True)
class ClvBacktest:
    """What came of a backtest.

    Attributes:
        table: One row a measurement, with `COLUMNS`; cutoffs ascend.
        choice: The candidate that the rule of `clv_choice` takes.
        weekly: Cutoff -> repeat purchases a week after it, real and expected by that candidate.
        failed: Candidate -> why it could not be fitted, at the last cutoff where it could not.
    """

    table: pd.DataFrame
    choice: Choice
    weekly: Mapping[str, Weeks] = field(default_factory=dict)
    failed: Mapping[str, str] = field(default_factory=dict)


def backtest_clv(
    shop: Fittings, windows: Sequence[ObservationWindow], *, every: bool = False
) -> ClvBacktest:
    """Measure the candidates and all rules at the cutoffs of some windows.

    At each cutoff everything is fitted anew on what was known by then, by the quick method.

    Args:
        shop: Where fittings come from.
        windows: Closed windows, ascending; may be none.
        every: With the candidates that a training leaves out.
    """
    order = candidates(shop.settings, every=every)
    names = (*order, *RULES)
    rows: list[tuple[object, ...]] = []
    failed: dict[str, str] = {}
    with task("Backtesting CLV", total=len(windows) * len(names)) as progress:
        for window in windows:
            fitting, cutoff = shop.at(window), str(window.cutoff)
            history = (window.cutoff - window.start).days
            about = ("clv", cutoff, history, window.horizon_days)
            for name in names:
                try:
                    found = forecast(name, fitting)
                except ModelError as error:
                    failed[name] = error.message
                    progress.advance()
                    continue
                for group, (size, values) in measure(found, fitting).groups.items():
                    rows += [(*about, group, size, name, m, v) for m, v in values.items()]
                progress.advance()
    for name in (name for name in order if name in failed):
        note(f"{name} was left out of the backtest: {failed[name]}")
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    choice = choose(table, order)
    weekly = {}
    for window in windows:
        fitting = shop.at(window)
        with contextlib.suppress(ModelError):  # what failed has been noted
            weekly[str(window.cutoff)] = weeks_ahead(forecast(choice.winner, fitting), fitting)
    return ClvBacktest(table, choice, weekly, failed)


def backtest_figures(backtest: ClvBacktest) -> dict[str, Figure]:
    """Pictures of a backtest: all candidates, and week by week for the one that was taken.

    Returns:
        Name -> figure: `backtest` and `backtest_tracking`.
    """
    table, winner = backtest.table, backtest.choice.winner
    found = backtest.choice.losses
    in_order = [name for name in (*MODELS, STACK, *LEARNED, *RULES) if name in found.index]
    found = found.loc[in_order]
    panels: dict[str, dict[str, list[float]]] = {}
    if len(found):
        panels["loss (0 is perfect)"] = {str(n): list(row) for n, row in found.iterrows()}
        everybody = table[table["group"] == "all"]
        for what, metric in (("bias of value", "clv/bias"), ("Gini of value", "clv/gini")):
            wide = everybody[everybody["metric"] == metric].pivot_table(
                index="candidate", columns="cutoff", values="value"
            )
            panels[what] = {
                str(n): list(wide.loc[n]) if n in wide.index else [] for n in found.index
            }
    title = f"{winner}: repeat purchases after each cutoff"
    return {
        "backtest": figures.backtest(panels, winner=winner),
        "backtest_tracking": figures.tracking_by_cutoff(backtest.weekly, title=title),
    }


def weeks_ahead(found: Forecast, fitting: Fitting) -> Weeks:
    """Repeat purchases in each week of the horizon, of all customers together.

    Returns:
        What came, and what the model expected: the total of its forecast, spread over the weeks
        as its purchase model expects of every k-th customer.
    """
    weekly = weekly_purchases(fitting.shop.snapshots.ledger, fitting.history.window)
    came = weekly.repeats[weekly.cutoff_week :]
    model = with_purchases(found.model)
    assert model.purchases is not None
    days, cutoff = fitting.history.window.horizon_days, fitting.history.window.cutoff
    rfm = fitting.history.inputs
    rfm = rfm.iloc[:: -(-len(rfm) // _FOLLOWED)]
    ends = np.array([*range(7, days, 7), days], dtype=float)
    weeks = ends / 7.0
    if model.calendar is not None:
        rfm = model.calendar.operational(rfm, cutoff)
        weeks = np.array([model.calendar.horizon(cutoff, end) for end in ends])
    repeated = rfm.loc[rfm.index.repeat(len(ends))]
    expected = model.purchases.expected_purchases(repeated, np.tile(weeks, len(rfm)))
    grown = expected.reshape(len(rfm), len(ends)).sum(axis=0)
    steps = np.diff(grown, prepend=0.0)
    total = float(found.purchases.sum())
    return came, steps * (total / grown[-1] if grown[-1] > 0 else 0.0)


def with_purchases(model: Any) -> CustomerLifetimeValue:
    """The purchase model inside a model: of its base, or of its heaviest member."""
    if isinstance(model, LearnedLifetimeValue):
        return with_purchases(model.base)
    if isinstance(model, StackedLifetimeValue):
        return with_purchases(list(model.members.values())[int(np.argmax(model.weights))])
    assert isinstance(model, CustomerLifetimeValue)
    return model
