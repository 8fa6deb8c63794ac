"""The one place that says what is known at a cutoff and what lies in the horizon after it.

Every window is half-open. A cutoff is a date and means its midnight in the shop's local
time: a row stamped at that midnight belongs to the future.
"""

from __future__ import annotations

import calendar
import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from features.errors import InputError, NotEnoughDataError

if TYPE_CHECKING:
    import ibis.expr.types as ir

__all__ = [
    "MAX_CALIBRATION_CUTOFFS",
    "MAX_TRAINING_CUTOFFS",
    "MIN_HISTORY_DAYS",
    "POOLING_TRAINING_CUTOFFS",
    "PREFERRED_HISTORY_DAYS",
    "CutoffSplit",
    "ObservationWindow",
    "known_rows",
    "last_closed_cutoff",
    "monthly_cutoffs",
    "split_cutoffs",
]

MIN_HISTORY_DAYS = 30
"""No cutoff comes sooner after the first day of the source."""

PREFERRED_HISTORY_DAYS = 180
"""History before the first cutoff, where enough cutoffs remain after it."""

MAX_TRAINING_CUTOFFS = 24
"""Older training cutoffs are left out: two years of months show every season twice."""

MAX_CALIBRATION_CUTOFFS = 3
"""So many of the latest calibration cutoffs are pooled where training can spare them."""

POOLING_TRAINING_CUTOFFS = 6
"""Training keeps at least this many cutoffs when calibration cutoffs are pooled."""


@dataclass(frozen=True)
class ObservationWindow:
    """What is observed, `[start, cutoff)`, and what is to be foretold, the horizon.

    Attributes:
        start: First day of the source. A feature whose window begins before it is
            unknown (NULL), never zero.
        cutoff: Everything before the midnight that begins this day is known.
        gap_days: Days between the cutoff and the label window (operational lead time).
        horizon_days: Length of the label window.

    Raises:
        InputError: The cutoff is not after the start, or a length is out of range.

    >>> window = ObservationWindow(dt.date(2024, 1, 1), dt.date(2024, 7, 1), horizon_days=90)
    >>> window.label_end, window.is_closed(dt.date(2024, 9, 28))
    (datetime.date(2024, 9, 29), True)
    """

    start: dt.date
    cutoff: dt.date
    gap_days: int = 0
    horizon_days: int = 90

    def __post_init__(self) -> None:
        """Refuse what cannot be observed."""
        for name in ("start", "cutoff"):
            if isinstance(getattr(self, name), dt.datetime):
                raise TypeError(f"{name} is a date: it stands for its midnight")
        if self.gap_days < 0:
            raise InputError(f"gap_days is {self.gap_days}.", "It must be 0 or more.")
        if self.horizon_days < 1:
            raise InputError(f"horizon_days is {self.horizon_days}.", "It must be 1 or more.")
        if self.cutoff <= self.start:
            raise NotEnoughDataError(
                f"Nothing is known at the cutoff {self.cutoff}: the data begins on {self.start}.",
                "Choose a later cutoff.",
            )

    @property
    def label_start(self) -> dt.date:
        """First day of the label window."""
        return self.cutoff + dt.timedelta(days=self.gap_days)

    @property
    def label_end(self) -> dt.date:
        """The day after the last day of the label window."""
        return self.label_start + dt.timedelta(days=self.horizon_days)

    def is_closed(self, last_day: dt.date) -> bool:
        """Whether data that ends with `last_day` holds the whole label window."""
        return self.label_end <= last_day + dt.timedelta(days=1)

    def observes(self, days: int) -> bool:
        """Whether the source covers all of the `days` days that end at the cutoff."""
        return self.cutoff - dt.timedelta(days=days) >= self.start

    def observes_labels_before(self, days: int) -> bool:
        """Whether the label window, moved back by so many days, is known: covered, and over."""
        back = dt.timedelta(days=days)
        return self.start <= self.label_start - back and self.label_end - back <= self.cutoff

    def known(self, rows: ir.Table, time: str = "timestamp") -> ir.Table:
        """The rows features may use: dated in `[start, cutoff)` and known at the cutoff."""
        return known_rows(rows, self.cutoff, time).filter(
            lambda t: t[time] >= _midnight(self.start)
        )

    def future(self, rows: ir.Table, time: str = "timestamp") -> ir.Table:
        """The rows labels are made of: dated in the label window, whenever they came in."""
        return rows.filter(
            lambda t: t[time] >= _midnight(self.label_start),
            lambda t: t[time] < _midnight(self.label_end),
        )


def known_rows(rows: ir.Table, cutoff: dt.date, time: str = "timestamp") -> ir.Table:
    """The rows with `time < cutoff` and, where the table has it, `known_at <= cutoff`.

    A row whose `known_at` is missing counts as known when it happened.
    """
    at = _midnight(cutoff)
    rows = rows.filter(lambda t: t[time] < at)
    if "known_at" in rows.columns:
        rows = rows.filter(lambda t: t.known_at.isnull() | (t.known_at <= at))
    return rows


def _midnight(day: dt.date) -> dt.datetime:
    return dt.datetime.combine(day, dt.time())


def last_closed_cutoff(last_day: dt.date, horizon_days: int, gap_days: int = 0) -> dt.date:
    """The latest cutoff whose label window the data covers to its end.

    >>> last_closed_cutoff(dt.date(2010, 11, 30), horizon_days=90)
    datetime.date(2010, 9, 2)
    """
    return last_day + dt.timedelta(days=1 - gap_days - horizon_days)


def _months_back(anchor: dt.date, months: int) -> dt.date:
    year, month = divmod(anchor.year * 12 + anchor.month - 1 - months, 12)
    month += 1
    return dt.date(year, month, min(anchor.day, calendar.monthrange(year, month)[1]))


def monthly_cutoffs(
    first_day: dt.date,
    last_day: dt.date,
    horizon_days: int,
    gap_days: int = 0,
    min_history_days: int | None = None,
) -> list[dt.date]:
    """Cutoffs one month apart whose label windows are closed, in ascending order.

    They step back by whole months from the last closed cutoff. Each step counts from that
    cutoff, so the day of the month only changes where a month is too short for it.

    Args:
        first_day: First day of the source.
        last_day: Last day of the source.
        horizon_days: Length of the label window.
        gap_days: Days between a cutoff and its label window.
        min_history_days: Days of data that a cutoff needs before it. By default 180 where
            that leaves at least six cutoffs to train on beside three to calibrate on, and
            30 otherwise: a short history is better used early than not at all.

    Returns:
        The cutoffs; an empty list where the history is too short for any.

    >>> days = monthly_cutoffs(dt.date(2009, 12, 1), dt.date(2010, 11, 30), horizon_days=90)
    >>> str(days[0]), str(days[-1]), len(days)
    ('2010-01-02', '2010-09-02', 9)
    """
    if min_history_days is None:
        late = monthly_cutoffs(first_day, last_day, horizon_days, gap_days, PREFERRED_HISTORY_DAYS)
        split = _split(late, horizon_days + gap_days)
        if split is not None and len(split.calibration) == MAX_CALIBRATION_CUTOFFS:
            return late
        min_history_days = MIN_HISTORY_DAYS
    latest = last_closed_cutoff(last_day, horizon_days, gap_days)
    earliest = first_day + dt.timedelta(days=max(min_history_days, 1))
    cutoffs: list[dt.date] = []
    while (cutoff := _months_back(latest, len(cutoffs))) >= earliest:
        cutoffs.append(cutoff)
    return cutoffs[::-1]


@dataclass(frozen=True)
class CutoffSplit:
    """Which cutoffs train, calibrate and test. All lists ascend.

    Attributes:
        train: Cutoffs whose labels are complete before the first calibration cutoff.
        calibration: Later cutoffs whose labels are complete before the test cutoff.
        test: The last closed cutoff.
    """

    train: list[dt.date]
    calibration: list[dt.date]
    test: dt.date


def split_cutoffs(cutoffs: Sequence[dt.date], horizon_days: int, gap_days: int = 0) -> CutoffSplit:
    """Split cutoffs in time so that no label window reaches into a later stage.

    The rule, with `reach = gap_days + horizon_days`:

    1. The test cutoff is the last one.
    2. A calibration cutoff c has `c + reach <= test`. The latest three such cutoffs are
       pooled if at least six training cutoffs remain, else the latest two under the same
       condition, else the latest alone.
    3. A training cutoff t has `t + reach <= first calibration cutoff`; of these the latest
       24 are kept. One is enough.
    Cutoffs between the stages are not used: their labels would overlap a later stage.

    Args:
        cutoffs: Closed cutoffs in any order, such as `monthly_cutoffs` gives.
        horizon_days: Length of the label window.
        gap_days: Days between a cutoff and its label window.

    Returns:
        The split.

    Raises:
        NotEnoughDataError: No cutoff is left for one of the three stages.

    >>> days = monthly_cutoffs(dt.date(2009, 12, 1), dt.date(2010, 11, 30), horizon_days=90)
    >>> split = split_cutoffs(days, horizon_days=90)
    >>> [str(day) for day in split.train], [str(day) for day in split.calibration]
    (['2010-01-02', '2010-02-02', '2010-03-02'], ['2010-06-02'])
    """
    ordered = sorted(set(cutoffs))
    reach = gap_days + horizon_days
    split = _split(ordered, reach)
    if split is not None:
        return split
    if not ordered:
        found = "No monthly cutoff has both some history before it and its horizon behind it."
    elif len(ordered) == 1:
        found = f"Only one monthly cutoff can be used, {ordered[0]}."
    else:
        found = (
            f"Only {len(ordered)} monthly cutoffs can be used, {ordered[0]} to {ordered[-1]}, "
            f"and their label windows of {reach} days overlap."
        )
    raise NotEnoughDataError(
        found,
        "Training, calibration and test need a label window each, one after the other: with "
        f"{_days(horizon_days, gap_days)} about {3 * reach + MIN_HISTORY_DAYS + 31} days of "
        "transactions. Use a longer history or a shorter horizon_days.",
    )


def _days(horizon_days: int, gap_days: int) -> str:
    gap = f" and a gap of {gap_days}" if gap_days else ""
    return f"a horizon of {horizon_days} days{gap}"


def _split(ordered: Sequence[dt.date], reach: int) -> CutoffSplit | None:
    """The split of ascending cutoffs, None where a stage stays empty."""
    if not ordered:
        return None
    length = dt.timedelta(days=reach)
    test = ordered[-1]
    candidates = [day for day in ordered if day + length <= test]
    for pooled in range(min(MAX_CALIBRATION_CUTOFFS, len(candidates)), 0, -1):
        calibration = candidates[-pooled:]
        train = [day for day in ordered if day + length <= calibration[0]]
        if len(train) >= (POOLING_TRAINING_CUTOFFS if pooled > 1 else 1):
            return CutoffSplit(train[-MAX_TRAINING_CUTOFFS:], calibration, test)
    return None
