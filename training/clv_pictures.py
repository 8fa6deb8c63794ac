"""What a run of a CLV candidate shows: figures, tables and the state of the sampler."""

import datetime as dt
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.window import ObservationWindow
from models.clv import CustomerLifetimeValue
from training import figures, metrics
from training.clv_backtest import weeks_ahead, with_purchases
from training.clv_candidates import Forecast, Measured
from training.clv_fitting import Fitting
from training.clv_holdout import WeeklyPurchases
from training.run import Run

__all__ = ["log_diagnostics", "log_pictures"]

_COLUMNS = ["model", "parameter", "mean", "sd", "q05", "median", "q95"]
_LEVELS = np.arange(0.05, 1.0, 0.05)


def log_diagnostics(run: Run, model: Any | None) -> None:
    """Log the posterior and how the sampler fared; for a rule, None, that there is none."""
    if model is None:
        run.table("posterior", pd.DataFrame(columns=_COLUMNS))
        run.figure("posterior", figures.posterior({}))
        return
    run.table("posterior", model.posterior_summary())
    parts = model.diagnostics
    both = [parts["purchases"], parts["spend"]]
    found = {}
    for name, key, pick in (
        ("r_hat_max", "r_hat", max),
        ("ess_min", "ess", min),
        ("k_hat_max", "k_hat", max),
        ("divergences", "divergences", sum),
        ("nodes", "nodes", max),
        ("grid_shift_sd_max", "grid_shift_sd", max),
        ("seconds", "seconds", sum),
    ):
        values = [part[key] for part in both if part.get(key) is not None]
        if values:
            found[f"sampler/{name}"] = float(pick(values))
    run.measure(found)
    inner = with_purchases(model)
    assert inner.purchases is not None
    assert inner.spend is not None
    draws = {**inner.purchases.posterior, **inner.spend.posterior}
    run.figure("posterior", figures.posterior(dict(list(draws.items())[:12])))


def log_pictures(
    run: Run,
    fitting: Fitting,
    forecast: Forecast,
    measured: Measured,
    weekly: WeeklyPurchases,
) -> None:
    """Log the pictures of a forecast, with their tables.

    Value by decile, purchases by frequency and by week, how well intervals hold, what the fitted
    model makes of the past, and P(alive).

    Args:
        run: The candidate's run.
        fitting: The customers at the cutoff, with what came.
        forecast: What the candidate expects of them.
        measured: How it did.
        weekly: What happened week by week.
    """
    labels, rfm, window = fitting.history.labels, fitting.history.rfm, fitting.history.window
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
    expected = expected_weekly(weekly, forecast, fitting)
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
    run.figure("coverage", figures.coverage(measured.pit))
    run.table("coverage", coverage_table(measured))
    model = None if forecast.model is None else with_purchases(forecast.model)
    # Candidates that share a purchase model share what shows it.
    of = None if model is None else id(model.purchases)
    check = fitting.once(("check", of), lambda: predictive_check(model, rfm, window.cutoff))
    counts = {str(k): v for k, v in check.items()}
    run.figure(
        "predictive_check",
        fitting.once(("check drawn", of), lambda: figures.predictive_check(counts)),
    )
    run.table("predictive_check", check)
    days, frequencies, alive = fitting.once(
        ("alive", of), lambda: _alive_grid(model, fitting.history.inputs, window)
    )
    subtitle = (
        f"P(alive) of one who first bought {days[-1] / 7:.0f} weeks ago"
        if model is not None
        else "a rule takes everybody to be alive"
    )
    run.figure(
        "p_alive",
        fitting.once(
            ("alive drawn", of),
            lambda: figures.alive_matrix(alive, frequencies, days, subtitle=subtitle),
        ),
    )
    run.table(
        "p_alive",
        pd.DataFrame(alive, columns=[f"repeat_{x:.0f}" for x in frequencies]).assign(
            days_since_last=days
        ),
    )


def coverage_table(measured: Measured) -> pd.DataFrame:
    """Nominal level and the share of customers inside, of purchases and of value."""
    found = {"level": _LEVELS.round(2)}
    for what, pit in measured.pit.items():
        found[what] = np.array([metrics.coverage(pit, level) for level in _LEVELS])
    return pd.DataFrame(found)


def predictive_check(
    model: CustomerLifetimeValue | None, rfm: pd.DataFrame, cutoff: dt.date
) -> pd.DataFrame:
    """Customers by repeat purchases so far: counted, and expected by posterior and prior.

    The check of the model against the very data it was fitted on (Gelman et al. 2013, "Bayesian
    Data Analysis", chapter 6): expected counts are sums over the customers of the probability
    that somebody who first bought when they did has made so many repeat purchases by now.

    Returns:
        repeat_purchases (the last one is "that many or more"), customers, posterior, prior; the
        last two are missing for a rule and for a model with covariates or segments.
    """
    most = 7
    counted = np.bincount(rfm["frequency"].clip(upper=most).astype(int), minlength=most + 1)
    out = pd.DataFrame({"repeat_purchases": np.arange(most + 1), "customers": counted})
    if model is not None and model.calendar is not None:
        rfm = model.calendar.operational(rfm, cutoff)
    purchases = None if model is None else model.purchases
    if purchases is not None and len(purchases.input_columns) > 3:
        purchases = None  # the customers differ in more than when they came
    for name, source in (
        ("posterior", purchases),
        ("prior", None if purchases is None else purchases.prior_model(rfm)),
    ):
        out[name] = np.nan
        if source is not None:
            T, weight = np.unique(rfm["T"], return_counts=True)
            chances = source.purchase_distribution_new_customer(T, most - 1)
            counts = weight @ chances
            out[name] = np.append(counts, len(rfm) - counts.sum())
    return out


def expected_weekly(
    weekly: WeeklyPurchases, forecast: Forecast, fitting: Fitting
) -> npt.NDArray[np.float64]:
    """Repeat purchases that a candidate expects in each week of all customers together.

    Before the cutoff what the purchase model expects of customers of that age, after it what it
    expects of these customers with their histories. A rule says nothing of the time before; nor
    do models in which customers differ by covariates or segment.
    """
    out = np.full(len(weekly.repeats), np.nan)
    before = weekly.cutoff_week
    if forecast.model is None:
        days = fitting.history.window.horizon_days
        ends = np.diff(np.concatenate([[0], weekly.ends]))[before:]
        out[before:] = float(forecast.purchases.sum()) * ends / days
        return out
    out[before:] = weeks_ahead(forecast, fitting)[1]
    model = with_purchases(forecast.model)
    assert model.purchases is not None
    if len(model.purchases.input_columns) > 3:
        return out
    start = fitting.history.window.start
    days_on = np.arange(len(weekly.births) + 1)
    clock = days_on / 7.0
    if model.calendar is not None:
        clock = np.array(
            [model.calendar.horizon(start, float(day)) if day else 0.0 for day in days_on]
        )
    age = np.linspace(0.0, clock[-1], len(clock))
    grown = model.purchases.expected_purchases_new_customer(age)
    born = np.flatnonzero(weekly.births)
    total = np.array(
        [
            weekly.births[born] @ np.interp((clock[end] - clock[born]).clip(0.0), age, grown)
            for end in weekly.ends[:before]
        ]
    )
    out[:before] = np.diff(total, prepend=0.0)
    return out


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
    for name in model.purchases.input_columns[3:]:  # a covariate or segment: the usual customer
        number = pd.api.types.is_numeric_dtype(rfm[name])
        asked[name] = rfm[name].median() if number else rfm[name].mode().iloc[0]
    alive = model.purchases.probability_alive(asked)
    return days.tolist(), frequency.tolist(), alive.reshape(days.size, frequency.size)
