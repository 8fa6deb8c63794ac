"""Learn the calendar factor from the days of repeat purchases.

On operational time (`calendar`) the joint log-likelihood of the histories and of the days of the
purchases is that of the purchase model plus the sum of ln c(day) over the repeat purchases. For
MBG/NBD it is maximised by EM over what is not seen, each customer's rate and the time of leaving:

- given the factor, fit MBG/NBD on the operational summary and work out the *exposure* of each day,
  H(d) = sum over customers of E[rate x still a customer on day d | the whole history]. With
  x repeat purchases, the last at t_x, the rate of one who is alive is Gamma(r + x, alpha + T), of
  one who has left Gamma(r + x, alpha + t_x), and until t_x everybody was a customer. So growth
  and decay of the customer base, and better or worse cohorts, are in H;
- given H, the repeat purchases of day d are Poisson with mean H(d) c(d): a regression of the
  counts with offset ln H(d).

That regression has terms for the season (hat functions of `Calendar.season`, differences between
neighbours shrunk to 0), the day of the week, special days, and, only so that the season need not
explain them, a slowly changing trend and a shock for every single week. Only what comes again
every year is kept. How far season, weekdays, special days and shocks are shrunk towards nothing is
decided by the data: their variances maximise the evidence (MacKay 1992, "Bayesian
Interpolation", Neural Computation 4(3), sec. 4; in a Poisson regression by the Laplace
approximation). Counts of a day that vary more than Poisson counts weigh less (quasi-likelihood).

A season needs the same weeks of the year twice, or it is one with the trend: `MIN_HISTORY_DAYS`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from threadpoolctl import threadpool_limits

from .base import ModelError
from .btyd import ModifiedBetaGeoNBD
from .btyd.formulas import FloatArray
from .calendar import SEASON_POINTS, Calendar, SpecialDay, weekday, year_position

__all__ = ["MIN_HISTORY_DAYS", "MIN_PURCHASES", "learn"]

MIN_HISTORY_DAYS = 548
"""A year and a half: half of the weeks of the year have been seen twice."""

MIN_PURCHASES = 500
"""Repeat purchases; about ten for each week of the year."""

_ROUNDS = 30
_CLOSE = 1e-3  # largest change of the logarithm of the factor in the last round
_TREND_SD = 0.2  # standard deviation of the trend's slope a year, and of its change each year
_LOOSE = 1e-8  # precision that only keeps a matrix invertible
_NONE = 1e-4  # a standard deviation of this is none at all
_STEPS = 200
_SHOCK = "shock"


@dataclass(frozen=True)
class _Term:
    """One term of the regression.

    Attributes:
        design: (days, coefficients).
        penalty: Prior precision up to its scale, (coefficients, coefficients).
        rank: Its rank.
        sd: Prior standard deviation; None where the data decide.
    """

    design: FloatArray
    penalty: FloatArray
    rank: int
    sd: float | None = None


@dataclass(frozen=True)
class _Fit:
    """The regression as it came out.

    Attributes:
        beta: Coefficients of the terms.
        shock: Of the weeks.
        sds: Prior standard deviation of each term and of the shocks.
        dispersion: Variance of a day's count over its mean.
        place: Term -> its coefficients.
        covariance: Posterior covariance of beta.
    """

    beta: FloatArray
    shock: FloatArray
    sds: dict[str, float]
    dispersion: float
    place: dict[str, slice]
    covariance: FloatArray


def learn(
    rfm: pd.DataFrame,
    repeats: npt.ArrayLike,
    cutoff: dt.date,
    special_days: Mapping[str, Sequence[dt.date]] | None = None,
) -> Calendar:
    """Learn how the purchase rate depends on the calendar.

    Args:
        rfm: All customers known at the cutoff: frequency, recency, T (weeks) and optionally
            weight. Not changed.
        repeats: Their repeat purchases on each day, (days,), the last of them the day before
            the cutoff, the first no later than the first purchase.
        cutoff: Nothing from this day on was used for either.
        special_days: Name -> dates, past and coming. Names without a date in the history are
            left out, as nothing is known of them.

    Returns:
        The calendar. Its `notes` say what it was learned from and how sure it is: the standard
        deviations that the data chose for the logarithms (`season_sd` between neighbouring points,
        `weekday_sd`, `special_sd`, and `shock_sd` of the weeks), the `dispersion` of the days, and
        `season_error`, the posterior standard deviation of the logarithm of each of the factors of
        the season, given the exposures.

    Raises:
        ModelError: The history is too short or holds too little, `repeats` are not those of the
            customers, or the rounds do not settle.
    """
    counts = np.asarray(repeats, dtype=float)
    weight = np.asarray(rfm["weight"] if "weight" in rfm.columns else np.ones(len(rfm)), float)
    frequency = np.asarray(rfm["frequency"], dtype=float)
    purchases = float(weight @ frequency)
    reach = round(7.0 * float(rfm["T"].max())) if len(rfm) else 0
    if reach < MIN_HISTORY_DAYS:
        raise ModelError(
            f"The history is too short for a calendar factor: {reach} days from the first purchase "
            f"to {cutoff}.",
            f"It takes {MIN_HISTORY_DAYS} days. Before that season and trend look the same.",
        )
    if purchases < MIN_PURCHASES:
        raise ModelError(
            f"Too few repeat purchases for a calendar factor: {purchases:.0f}.",
            f"It takes {MIN_PURCHASES}.",
        )
    days, total = len(counts), counts.sum()
    counts = counts[max(0, days - reach) :]
    if days < reach or abs(counts.sum() - purchases) > 0.5 or (counts < 0).any():
        raise ModelError(
            f"The {total:.0f} repeat purchases on {days} days are not those of the summary "
            f"({purchases:.0f} on {reach} days).",
            "Count both from the same purchases before the same cutoff.",
        )
    days = reach
    dates = np.datetime64(cutoff, "D") - np.arange(days, 0, -1)
    special = {
        name: tuple(sorted(when))
        for name, when in (special_days or {}).items()
        if np.isin(np.array(list(when), dtype="datetime64[D]"), dates).any()
    }
    # Small matrices many times over: threads cost more than they save.
    with threadpool_limits(1, user_api="blas"):
        return _iterate(rfm, weight, counts, dates, cutoff, special)


def _iterate(
    rfm: pd.DataFrame,
    weight: FloatArray,
    counts: FloatArray,
    dates: npt.NDArray[np.datetime64],
    cutoff: dt.date,
    special: Mapping[str, tuple[dt.date, ...]],
) -> Calendar:
    """Exposure and regression in turns, until the factor stands still."""
    terms, days = _terms(dates, special), len(dates)
    calendar, fit = Calendar.of(np.ones(SEASON_POINTS)), None
    last = np.zeros(days)
    for done in range(1, _ROUNDS + 1):
        exposure = _exposure(rfm, weight, calendar, cutoff, days)
        fit = _regress(counts, exposure, terms, fit)
        found = {name: np.exp(fit.beta[at]) for name, at in fit.place.items()}
        calendar = Calendar.of(
            found["season"],
            found["weekday"],
            {
                name: SpecialDay(float(value), when)
                for (name, when), value in zip(special.items(), found["special"], strict=True)
            },
            year=dates[0].astype(object).year,
            notes={
                "learned_from": str(dates[0]),
                "learned_until": str(cutoff),
                "repeat_purchases": float(counts.sum()),
                "rounds": done,
                "dispersion": fit.dispersion,
                **{f"{name}_sd": sd for name, sd in fit.sds.items() if name != "trend"},
                "season_error": _season_error(fit),
            },
        )
        now = np.log(calendar.factor(dates))
        if np.abs(now - last).max() < _CLOSE:
            return calendar
        last = now
    raise ModelError(
        f"The calendar factor did not settle in {_ROUNDS} rounds.",
        "The purchases may be too few or too irregular; leave the calendar out.",
    )


def _exposure(
    rfm: pd.DataFrame, weight: FloatArray, calendar: Calendar, cutoff: dt.date, days: int
) -> FloatArray:
    """Expected purchase rate of all customers together on each day, if c were 1, a day; (days,).

    A purchase is made at noon, so the day of the first and of the last one count in halves.
    """
    clocked = calendar.operational(rfm, cutoff)
    model = ModifiedBetaGeoNBD().fit(clocked, method="map")
    alive = model.probability_alive(clocked)
    x, recency, T = (np.asarray(clocked[c], dtype=float) for c in ("frequency", "recency", "T"))
    r, alpha = model.parameters["r"], model.parameters["alpha"]
    there = weight * alive * (r + x) / (alpha + T)
    before = there + weight * (1.0 - alive) * (r + x) / (alpha + recency)
    first = days - np.round(7.0 * rfm["T"].to_numpy(dtype=float)).astype(np.intp)
    last = first + np.round(7.0 * rfm["recency"].to_numpy(dtype=float)).astype(np.intp)
    steps = np.bincount(first, before, days) - np.bincount(last, before - there, days)
    full = np.cumsum(steps)
    return np.asarray((full - steps / 2.0) / 7.0)


def _terms(
    dates: npt.NDArray[np.datetime64], special: Mapping[str, Sequence[dt.date]]
) -> dict[str, _Term]:
    """The terms of the regression on each day, but for the shocks of the weeks."""
    days = len(dates)
    years = np.arange(days) / 365.25
    kinks = [np.maximum(years - year, 0.0) for year in range(1, int(years[-1]) + 1)]
    trend = np.column_stack([years - years.mean(), *kinks])

    at = year_position(dates) * SEASON_POINTS - 0.5
    left = np.floor(at).astype(np.intp)
    season = np.zeros((days, SEASON_POINTS))
    rows = np.arange(days)
    season[rows, left % SEASON_POINTS] = 1.0 - (at - left)
    season[rows, (left + 1) % SEASON_POINTS] += at - left
    step = np.roll(np.eye(SEASON_POINTS), 1, axis=1) - np.eye(SEASON_POINTS)

    holidays = np.zeros((days, len(special)))
    for column, when in enumerate(special.values()):
        holidays[:, column] = np.isin(dates, np.array(when, dtype="datetime64[D]"))
    return {
        "level": _Term(np.ones((days, 1)), np.zeros((1, 1)), 0, np.inf),
        "trend": _Term(trend, np.eye(trend.shape[1]), trend.shape[1], _TREND_SD),
        "season": _Term(season, step.T @ step, SEASON_POINTS - 1),
        "weekday": _Term(np.eye(7)[weekday(dates)], np.eye(7), 7),
        "special": _Term(holidays, np.eye(len(special)), len(special)),
    }


def _regress(
    counts: FloatArray, exposure: FloatArray, terms: Mapping[str, _Term], start: _Fit | None
) -> _Fit:
    """Penalised Poisson regression of the counts; variances by evidence.

    The shocks are one coefficient a week and meet nothing but their own week, so they are
    eliminated from the equations before these are solved.
    """
    X = np.hstack([term.design for term in terms.values()])
    edges = np.cumsum([0, *(term.design.shape[1] for term in terms.values())])
    place = {name: slice(*edges[i : i + 2]) for i, name in enumerate(terms)}
    week = _weeks(len(counts))
    begin = np.flatnonzero(np.diff(week, prepend=-1))
    if start is None:
        beta, shock = np.zeros(X.shape[1]), np.zeros(len(begin))
        beta[place["level"]] = np.log(counts.sum() / exposure.sum())
        sds = {name: term.sd or 0.1 for name, term in terms.items() if term.rank}
        sds[_SHOCK], dispersion = 0.1, 1.0
    else:
        beta, shock = start.beta.copy(), start.shock.copy()
        sds, dispersion = dict(start.sds), start.dispersion

    def expected() -> FloatArray:
        eta = X @ beta + shock[week] + np.log(exposure)
        return np.asarray(np.exp(np.clip(eta, -50.0, 50.0)))

    mean = expected()
    for _ in range(_STEPS):
        penalty = _LOOSE * np.eye(X.shape[1])
        for name, sd in sds.items():
            if name != _SHOCK:
                penalty[place[name], place[name]] += terms[name].penalty / sd**2
        # One step of Newton's method.
        shock_penalty = 1.0 / sds[_SHOCK] ** 2
        weighted = X * (mean / dispersion)[:, None]
        cross = np.add.reduceat(weighted, begin)
        own = np.add.reduceat(mean, begin) / dispersion + shock_penalty
        covariance = np.linalg.inv(weighted.T @ X + penalty - cross.T @ (cross / own[:, None]))
        miss = (counts - mean) / dispersion
        pull = np.add.reduceat(miss, begin) - shock_penalty * shock
        step = covariance @ (X.T @ miss - penalty @ beta - cross.T @ (pull / own))
        shock_step = (pull - cross @ step) / own
        size = np.abs(X @ step + shock_step[week]).max()
        damp = min(1.0, 1.0 / max(size, 1e-12))
        beta, shock = beta + damp * step, shock + damp * shock_step
        mean = expected()
        # And one of the variances: squares over the effective number of coefficients.
        spread = 1.0 / own + np.einsum("ij,jk,ik->i", cross, covariance, cross) / own**2
        kept = {_SHOCK: len(shock) - shock_penalty * float(spread.sum())}
        squares = {_SHOCK: float(shock @ shock)}
        for name in sds.keys() - {_SHOCK}:
            matrix, at = terms[name].penalty, place[name]
            held = float(np.einsum("ij,ij->", matrix, covariance[at, at])) / sds[name] ** 2
            kept[name] = terms[name].rank - held
            squares[name] = float(beta[at] @ matrix @ beta[at])
        left = len(counts) - 1.0 - sum(kept.values())
        pearson = float(((counts - mean) ** 2 / np.maximum(mean, 1e-9)).sum())
        found = max(1.0, pearson / max(left, 1.0))
        moved = size + abs(np.log(found / dispersion))
        dispersion = found
        for name in squares:
            if name != _SHOCK and terms[name].sd is not None:
                continue
            new = float(np.sqrt(squares[name] / max(kept[name], 1e-6)))
            new = float(np.clip(new, _NONE, 5.0))
            moved += abs(np.log(new / sds[name])) if max(new, sds[name]) > 20 * _NONE else 0.0
            sds[name] = new
        if moved < 1e-3:
            break
    return _Fit(beta, shock, sds, dispersion, place, np.asarray(covariance, dtype=float))


def _season_error(fit: _Fit) -> list[float]:
    """Posterior standard deviations of the season's logarithms about their mean."""
    at = fit.place["season"]
    centre = np.eye(SEASON_POINTS) - 1.0 / SEASON_POINTS
    variance = np.einsum("ij,jk,ik->i", centre, fit.covariance[at, at], centre)
    out: list[float] = np.sqrt(variance).tolist()
    return out


def _weeks(days: int) -> npt.NDArray[np.intp]:
    """Number of the week of each day; weeks end with the last day."""
    back = (days - 1 - np.arange(days)) // 7
    return np.asarray(back[0] - back, dtype=np.intp)
