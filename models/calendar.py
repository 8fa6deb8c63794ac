"""The calendar factor: how much more is bought on some days of the year than on others.

If everybody's purchase rate is multiplied by a known factor c(day), a purchase model that was
made for constant rates holds unchanged in *operational* time

    C(day) = sum of c over the days before it, in weeks,

which runs fast when much is bought and slowly when little is: a Poisson process with rate
lambda * c(t) is a Poisson process with rate lambda in C(t) (Cinlar 1975, "Introduction to
Stochastic Processes", ch. 4.7), and gaps that are Erlang are so in C(t). In BG/NBD, MBG/NBD and
MBG/CNBD-k a customer can leave at purchases only, so nothing else has to change. In Pareto/NBD
leaving has a clock of its own, and on operational time it runs by the calendar, too: over whole
years the two agree, within one they do not. BG/BB has no clock, and so no calendar.

A summary of frequency, recency and T and the cutoff are all it takes: the first purchase was on
day `cutoff - T`, the last one `recency` later.

How a model of customers uses it:

    rfm_c = calendar.operational(rfm, cutoff)           # fit and predict with this summary
    weeks = calendar.horizon(cutoff, horizon_days)      # and ask for this horizon
    model.expected_purchases(rfm_c, weeks)              # likewise P(no purchase), quantiles, pmf

    parts = calendar.segments(cutoff, horizon_days)     # discounting goes by real time
    expected = [model.expected_purchases(rfm_c, edge) for edge in parts.edges]  # 0 for edge 0
    worth = sum(diff(expected)[k] * exp(-weekly_rate * parts.middles[k]))

    days = calendar.days(cutoff, weeks_to_next_purchase)  # a wait back to real days

So the cutoff must be known at prediction. P(alive) needs no more than `rfm_c`. A customer without
a summary is a newcomer whose first purchase is on the day of the cutoff. Beyond the dates of its
special days (about twenty years) and for an endless horizon a year is as good as a year: the
clock runs at 1 on average.

The log-likelihood of a model on operational time is a density by operational time. To compare it
with one by real time, add the sum of ln c(day) over the repeat purchases.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from .base import ModelError
from .btyd.formulas import FloatArray
from .btyd.modified_beta_geo_cnbd import LOG_GAPS
from .btyd.rfm import check_histories

__all__ = ["SEASON_POINTS", "Calendar", "Segments", "SpecialDay", "weekday", "year_position"]

DayArray = npt.NDArray[np.datetime64]

SEASON_POINTS = 52
"""Points of the year at which the season is given."""

_MEAN_DAYS = 1461  # four years, one of them a leap year
_LEAST_GAP = 0.5 / 7.0  # orders of one day are half a day apart in log_gaps, 0 in recency
_SEGMENT_DAYS = 30.4375
_MAX_SEGMENTS = 48
_MAX_DAYS = 400 * 366  # the end of all horizons


@dataclass(frozen=True)
class SpecialDay:
    """A holiday or another day that is not like its season.

    Attributes:
        factor: On the purchase rate, beside season and weekday.
        dates: When it was and will be, ascending.
    """

    factor: float
    dates: tuple[dt.date, ...]


@dataclass(frozen=True)
class Segments:
    """A horizon in pieces, to discount purchases by real time.

    Attributes:
        edges: Operational weeks from the cutoff to the ends of the pieces, ascending from 0 to
            the whole horizon, shape (pieces + 1,).
        middles: Real weeks from the cutoff to the mean time of a purchase in each piece, if the
            rate of the customers does not change within it, shape (pieces,).
    """

    edges: FloatArray
    middles: FloatArray


@dataclass(frozen=True)
class Calendar:
    """Factors on the purchase rate by season, day of the week and special day.

    The factor of a day is season x weekday x special days; make one with `of`, which sees to it
    that it is 1 on average, or learn it (`calendar_learning.learn`).

    >>> flat = Calendar.of(np.ones(52))
    >>> rfm = pd.DataFrame({"frequency": [2.0], "recency": [30.0], "T": [39.0]})
    >>> flat.operational(rfm, dt.date(2024, 3, 1)).equals(rfm)
    True
    >>> busy = Calendar.of(np.where(np.arange(52) >= 47, 3.0, 1.0))
    >>> [round(busy.horizon(dt.date(2024, month, 1), 28), 1) for month in (5, 12)]
    [3.4, 10.1]

    Attributes:
        season: Factors in the middle of each of the `SEASON_POINTS` equal parts of the year, the
            first at the start of January; between them the logarithm is linear, and December
            leads into January. A day stands at (day of year - 1/2) / days of the year, so leap
            years and the 53rd week need no rule of their own.
        weekday: Seven factors, Monday first.
        special: Name -> special day.
        notes: What it was learned from and how sure it is; JSON-able.
    """

    season: tuple[float, ...]
    weekday: tuple[float, ...] = (1.0,) * 7
    special: Mapping[str, SpecialDay] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse factors that no clock can run by."""
        if len(self.season) != SEASON_POINTS or len(self.weekday) != 7:
            raise ModelError(
                f"A calendar has {SEASON_POINTS} factors of season and 7 of weekdays, not "
                f"{len(self.season)} and {len(self.weekday)}."
            )
        factors = [*self.season, *self.weekday, *(day.factor for day in self.special.values())]
        if not all(np.isfinite(value) and value > 0.0 for value in factors):
            raise ModelError("A factor of the calendar is not positive and finite.")

    @classmethod
    def of(
        cls,
        season: npt.ArrayLike,
        weekday: npt.ArrayLike = (1.0,) * 7,
        special: Mapping[str, SpecialDay] | None = None,
        *,
        year: int = 2000,
        notes: Mapping[str, Any] | None = None,
    ) -> Self:
        """A calendar whose mean factor over the four years from the start of `year` is 1.

        Four years hold every weekday and a leap day; any single year is within a percent of it.
        """
        week = np.asarray(weekday, dtype=float)
        level = np.asarray(season, dtype=float)
        raw = cls(tuple(level.tolist()), tuple((week / week.mean()).tolist()), special or {})
        days = np.datetime64(f"{year:04d}-01-01", "D") + np.arange(_MEAN_DAYS)
        mean = float(raw.factor(days).mean())
        return cls(tuple((level / mean).tolist()), raw.weekday, raw.special, notes or {})

    # the clock

    def factor(self, days: npt.ArrayLike) -> FloatArray:
        """Factor on every purchase rate on each day; `days` of any shape, as datetime64."""
        day = np.asarray(days).astype("datetime64[D]")
        points = (np.arange(SEASON_POINTS) + 0.5) / SEASON_POINTS
        log = np.interp(year_position(day), points, np.log(self.season), period=1.0)
        log = log + np.log(self.weekday)[weekday(day)]
        for dates, value in self._special:
            log = log + value * np.isin(day, dates)
        return np.asarray(np.exp(log))

    @cached_property
    def _special(self) -> list[tuple[DayArray, float]]:
        return [
            (np.array(day.dates, dtype="datetime64[D]"), float(np.log(day.factor)))
            for day in self.special.values()
        ]

    def cumulative(self, cutoff: dt.date, days: npt.ArrayLike) -> FloatArray:
        """Operational weeks from the cutoff to `days` real days after it (negative: before).

        The clock runs evenly within a day. It is exact at 0 and strictly increasing.
        """
        offset = np.asarray(days, dtype=float)
        if not np.isfinite(offset).all() or (np.abs(offset) > _MAX_DAYS).any():
            raise ModelError(
                "A time is not finite or more than 400 years away.", "Give days and weeks."
            )
        low = min(0, int(np.floor(offset.min(initial=0.0))))
        high = max(0, int(np.ceil(offset.max(initial=0.0))))
        grid, clock = self._clock(cutoff, low, high)
        return np.asarray(np.interp(offset, grid, clock))

    def _clock(self, cutoff: dt.date, low: int, high: int) -> tuple[FloatArray, FloatArray]:
        """Midnights from day `low` to day `high` after the cutoff, and C there; 0 at the cutoff.

        Added up away from the cutoff on both sides, so a value depends on no bound.
        """
        before, after = np.arange(-1, low - 1, -1), np.arange(high)
        start = np.datetime64(cutoff, "D")
        back = np.cumsum(self.factor(start + before))[::-1] / 7.0
        forth = np.cumsum(self.factor(start + after)) / 7.0
        return np.arange(low, high + 1, dtype=float), np.concatenate([-back, [0.0], forth])

    def operational(self, rfm: pd.DataFrame, cutoff: dt.date) -> pd.DataFrame:
        """The RFM summary with recency and T on operational time.

        A summary does not tell the days of the purchases between, so `log_gaps`, if there is
        one, is moved as if all gaps had been stretched alike.

        Args:
            rfm: At least frequency, recency and T, in weeks; other columns are carried along.
                Not changed.
            cutoff: The cutoff that T was counted to.

        Returns:
            A new frame with the same index and columns. `0 <= recency <= T` holds as before.

        Raises:
            ModelError: A column is missing, or a row is impossible.
        """
        histories = check_histories(rfm)
        first = _whole(7.0 * histories.T)
        last = first - _whole(7.0 * histories.recency)
        age = -self.cumulative(cutoff, -first)
        silent = -self.cumulative(cutoff, -np.clip(last, 0.0, first))
        clocked: dict[str, Any] = {"recency": age - silent, "T": age}
        if LOG_GAPS in rfm.columns:
            gaps = np.maximum(histories.frequency, 1.0)
            stretch = (clocked["recency"] / gaps + _LEAST_GAP) / (
                histories.recency / gaps + _LEAST_GAP
            )
            clocked[LOG_GAPS] = rfm[LOG_GAPS] + histories.frequency * np.log(stretch)
        return rfm.assign(**clocked)

    def horizon(self, cutoff: dt.date, days: float) -> float:
        """Operational weeks in the `days` days after the cutoff."""
        return float(self.cumulative(cutoff, days))

    def days(self, cutoff: dt.date, weeks: npt.ArrayLike) -> FloatArray:
        """Real days from the cutoff until `weeks` operational weeks have passed; any shape.

        The inverse of `horizon`. Beyond 400 years, and for a missing value, it is missing.
        """
        wanted = np.asarray(weeks, dtype=float)
        reach = float(np.max(wanted[np.isfinite(wanted)], initial=0.0))
        high = 366
        while True:
            grid, clock = self._clock(cutoff, 0, high)
            if clock[-1] >= reach or high >= _MAX_DAYS:
                return np.asarray(np.interp(wanted, clock, grid, left=np.nan, right=np.nan))
            high = min(4 * high, _MAX_DAYS)

    def segments(self, cutoff: dt.date, horizon_days: float) -> Segments:
        """The horizon in pieces of about a month, at most 48, to discount by real time.

        A piece is discounted as a whole, at the mean time of its purchases. What that leaves
        out is (rate x length)^2 / 24 of its value: 3e-6 for a month at 10 % a year, 8e-5 for
        the five months of a piece of twenty years.

        Raises:
            ModelError: The horizon is not above 0 and finite.
        """
        if not (np.isfinite(horizon_days) and horizon_days > 0.0):
            raise ModelError(f"horizon_days is {horizon_days}.", "Use a number of days above 0.")
        pieces = int(np.clip(np.ceil(horizon_days / _SEGMENT_DAYS), 1, _MAX_SEGMENTS))
        ends = np.linspace(0.0, horizon_days, pieces + 1)
        # Mean of the real time by dC: within a day the clock runs evenly, so trapezoids are exact.
        times = np.unique(np.concatenate([ends, np.arange(horizon_days)]))
        clock = self.cumulative(cutoff, times)
        moment = np.concatenate([[0.0], np.cumsum(np.diff(clock) * (times[1:] + times[:-1]) / 2.0)])
        at = np.searchsorted(times, ends)
        return Segments(clock[at], np.diff(moment[at]) / np.diff(clock[at]) / 7.0)

    # saving

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON: no numbers but floats and integers, dates as text."""
        return {
            "season": list(self.season),
            "weekday": list(self.weekday),
            "special": {
                name: {"factor": day.factor, "dates": [date.isoformat() for date in day.dates]}
                for name, day in self.special.items()
            },
            "notes": dict(self.notes),
        }

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any]) -> Self:
        """Read back what `to_dict` gave.

        Raises:
            ModelError: It is no calendar.
        """
        try:
            special = {
                name: SpecialDay(
                    float(day["factor"]), tuple(map(dt.date.fromisoformat, day["dates"]))
                )
                for name, day in saved["special"].items()
            }
            season, weekday = (tuple(map(float, saved[name])) for name in ("season", "weekday"))
            notes = dict(saved["notes"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ModelError(
                f"The saved calendar is damaged: {error!r}.", "Train again."
            ) from error
        return cls(season, weekday, special, notes)


def year_position(days: DayArray) -> FloatArray:
    """Where in its year each day stands: (day of year - 1/2) / days of the year.

    The same date is at the same place in all years, to a sixth of a day.

    >>> year_position(np.array(["2023-12-25", "2024-12-25"], dtype="datetime64[D]")).round(3)
    array([0.982, 0.982])
    """
    day = days.astype("datetime64[D]")
    year = day.astype("datetime64[Y]")
    begin, end = (edge.astype("datetime64[D]") for edge in (year, year + 1))
    return np.asarray(((day - begin).astype(float) + 0.5) / (end - begin).astype(float))


def weekday(days: DayArray) -> npt.NDArray[np.int64]:
    """0 for Monday; 1970-01-01 was a Thursday."""
    return np.asarray((days.astype(np.int64) + 3) % 7)


def _whole(days: FloatArray) -> FloatArray:
    """Weeks of whole days, times seven, are whole days again."""
    near = np.round(days)
    return np.asarray(np.where(np.abs(days - near) < 1e-6, near, days))
