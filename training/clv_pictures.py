"""What a run of a CLV candidate shows: figures, tables and the state of the sampler."""

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.snapshot import Snapshot
from features.window import ObservationWindow
from models.clv import CustomerLifetimeValue
from training import figures, metrics
from training.clv_candidates import Forecast
from training.clv_holdout import WeeklyPurchases
from training.run import Run

__all__ = ["log_diagnostics", "log_pictures"]


def log_diagnostics(run: Run, model: CustomerLifetimeValue | None) -> None:
    """Log the posterior and how the sampler fared; for the baseline, None, that there is none."""
    columns = ["model", "parameter", "mean", "sd", "q05", "median", "q95"]
    if model is None:
        run.table("posterior", pd.DataFrame(columns=columns))
        run.figure("posterior", figures.posterior({}))
        return
    run.table("posterior", model.posterior_summary())
    parts = model.diagnostics
    both = [parts["purchases"], parts["spend"]]
    found = {}
    for name, key, pick in (
        ("r_hat_max", "r_hat", max),
        ("ess_min", "ess", min),
        ("divergences", "divergences", sum),
        ("seconds", "seconds", sum),
    ):
        values = [part[key] for part in both if part.get(key) is not None]
        if values:
            found[f"sampler/{name}"] = float(pick(values))
    run.measure(found)
    if model.purchases is not None and model.spend is not None:
        draws = {**model.purchases.posterior, **model.spend.posterior}
        run.figure("posterior", figures.posterior(draws))


def log_pictures(
    run: Run,
    snapshot: Snapshot,
    forecast: Forecast,
    weekly: WeeklyPurchases,
    window: ObservationWindow,
) -> None:
    """Log value by decile, purchases by frequency and by week, and P(alive), with their tables.

    Args:
        run: The candidate's run.
        snapshot: The customers at the cutoff, with labels.
        forecast: What the candidate expects of them.
        weekly: What happened week by week.
        window: Calibration period and holdout.
    """
    labels, rfm = snapshot.labels, snapshot.rfm
    assert labels is not None
    spent = labels["future_spend"]
    run.figure(
        "deciles",
        figures.deciles(
            spent, forecast.spend, title="Value by decile", what="spend per customer in the holdout"
        ),
    )
    run.table("deciles", metrics.decile_table(spent, forecast.spend))
    run.figure(
        "frequency",
        figures.frequency(rfm["frequency"], labels["future_purchases"], forecast.purchases),
    )
    group = rfm["frequency"].clip(upper=7).rename("repeat_purchases")
    run.table(
        "frequency",
        pd.DataFrame({"actual": labels["future_purchases"], "expected": forecast.purchases})
        .groupby(group)
        .agg(customers=("actual", "size"), actual=("actual", "mean"), expected=("expected", "mean"))
        .reset_index(),
    )
    expected = expected_weekly(weekly, forecast, window)
    run.figure("tracking", figures.tracking(weekly.repeats, expected, weekly.cutoff_week))
    run.table(
        "tracking",
        {
            "week": np.arange(1, len(expected) + 1),
            "stage": np.where(
                np.arange(len(expected)) < weekly.cutoff_week, "calibration", "holdout"
            ),
            "actual": weekly.repeats,
            "expected": expected,
        },
    )
    days, frequencies, alive = _alive_grid(forecast.model, rfm, window)
    run.figure(
        "p_alive",
        figures.alive_matrix(
            alive,
            frequencies,
            days,
            subtitle=f"P(alive) of one who first bought {days[-1] / 7:.0f} weeks ago"
            if forecast.model is not None
            else "the past rate takes everybody to be alive",
        ),
    )


def expected_weekly(
    weekly: WeeklyPurchases, forecast: Forecast, window: ObservationWindow
) -> npt.NDArray[np.float64]:
    """Repeat purchases that a candidate expects in each week of all customers together."""
    if forecast.model is None or forecast.model.purchases is None:
        a_week = float(forecast.purchases.sum()) * 7.0 / window.horizon_days
        out = np.full(len(weekly.repeats), np.nan)
        out[weekly.cutoff_week :] = a_week
        return out
    ages = np.arange(1, len(weekly.births) + 1)
    grown = np.concatenate(
        [[0.0], forecast.model.purchases.expected_purchases_new_customer(ages / 7.0)]
    )
    # Customers of each day times what one of that age has bought, at the end of each week.
    total = np.array([weekly.births[:end] @ grown[end:0:-1] for end in weekly.ends])
    return np.diff(np.concatenate([[0.0], total]))


def _alive_grid(
    model: CustomerLifetimeValue | None, rfm: pd.DataFrame, window: ObservationWindow
) -> tuple[list[float], list[float], npt.NDArray[np.float64]]:
    """P(alive) over days since the last purchase (rows) and frequency (columns).

    All first bought when the calibration period began; one without a repeat purchase has been
    silent since the first, so there T is the silence itself.
    """
    most = int(np.clip(rfm["frequency"].quantile(0.98), 5, 20))
    length = (window.cutoff - window.start).days
    days = np.linspace(0, length, 41).round()
    frequency = np.arange(most + 1, dtype=np.float64)
    if model is None or model.purchases is None:
        return days.tolist(), frequency.tolist(), np.ones((days.size, frequency.size))
    d, x = (grid.ravel() for grid in np.meshgrid(days, frequency, indexing="ij"))
    once = x == 0
    recency = np.where(once, 0.0, (length - d) / 7.0)
    T = np.where(once, d, length) / 7.0
    # Several purchases need some days to happen in.
    asked = pd.DataFrame(
        {"frequency": x, "recency": np.where(once, 0.0, np.maximum(recency, 1 / 7)), "T": T}
    )
    alive = model.purchases.probability_alive(asked)
    return days.tolist(), frequency.tolist(), alive.reshape(days.size, frequency.size)
