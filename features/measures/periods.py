"""Periods: which months, quarters or years the data covers whole, and which one a day lies in."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal, get_args

import ibis

from features.errors import InputError

if TYPE_CHECKING:
    import ibis.expr.types as ir

__all__ = ["ALL", "By", "Period", "Periods", "label", "month_number"]

By = Literal["month", "quarter", "year"]

ALL = "all"
"""The period that is the whole of the data, from its first day to its last."""

_MONTHS = {"month": 1, "quarter": 3, "year": 12}


@dataclass(frozen=True)
class Period:
    """One month, quarter or year.

    Attributes:
        label: "2024-03", "2024-Q1" or "2024".
        start: Its first day.
        end: The day after its last.
    """

    label: str
    start: dt.date
    end: dt.date


@dataclass(frozen=True)
class Periods:
    """The periods of some data.

    Attributes:
        by: Their length.
        first: First day of the data.
        last: Last day of the data.
        closed: Weekdays (0 = Monday) on which the shop is closed.
        quiet: Share of the other days that pass without a sale.

    A period at the edge of the data is whole as well where the days that it lacks are closed
    ones, or so few that they may have passed without a sale by chance (5 % or more).

    >>> found = Periods("month", dt.date(2024, 1, 1), dt.date(2024, 3, 30))
    >>> [period.label for period in found.whole], [period.label for period in found.left_out]
    (['2024-01', '2024-02'], ['2024-03'])
    >>> Periods("month", dt.date(2024, 1, 1), dt.date(2024, 3, 30), closed=(6,)).whole[-1].label
    '2024-03'
    """

    by: By
    first: dt.date
    last: dt.date
    closed: tuple[int, ...] = ()
    quiet: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what is no period."""
        if self.by not in _MONTHS:
            raise InputError(f"Periods are by {', '.join(get_args(By))}, not by {self.by!r}.")

    @cached_property
    def touched(self) -> tuple[Period, ...]:
        """Every period with a day of the data, in order, whole or not."""
        low, high = self._serial(self.first), self._serial(self.last)
        return tuple(self._period(serial) for serial in range(low, high + 1))

    @cached_property
    def whole(self) -> tuple[Period, ...]:
        """The periods that the data covers from their first day to their last, in order."""
        return tuple(
            period
            for period in self.touched
            if self._nothing(period.start, self.first)
            and self._nothing(self.last + dt.timedelta(days=1), period.end)
        )

    @cached_property
    def left_out(self) -> tuple[Period, ...]:
        """The periods that the data only touches: a begun first or last one."""
        return tuple(period for period in self.touched if period not in self.whole)

    @property
    def sentence(self) -> str:
        """What is left out, in words; "" where nothing is."""
        if not self.left_out:
            return ""
        names = " and ".join(period.label for period in self.left_out)
        are = "is not a whole period" if len(self.left_out) == 1 else "are no whole periods"
        return f"{names} {are} in the data ({self.first} to {self.last}): left out."

    def _nothing(self, start: dt.date, end: dt.date) -> bool:
        """Whether it may well be that nothing happened in [start, end)."""
        days = [start + dt.timedelta(days=i) for i in range((end - start).days)]
        open_days = sum(day.weekday() not in self.closed for day in days)
        return self.quiet**open_days >= 0.05

    def limited(self, first: dt.date, last: dt.date) -> Periods:
        """The same periods for a table that has rows from one day to another only."""
        return replace(self, first=max(first, self.first), last=min(last, self.last))

    def number(self, day: ir.DateValue) -> ir.IntegerValue:
        """The position among the whole periods: 0 for the first one.

        Days before the first whole period have numbers below 0, days after the last have
        `len(whole)` or more.
        """
        return self._serial_expression(day) - self._origin

    @cached_property
    def _origin(self) -> int:
        return self._serial(self.whole[0].start if self.whole else self.first)

    def position(self, day: dt.date) -> int:
        """As `number`, for one day."""
        return self._serial(day) - self._origin

    def labels(self, numbers: Iterable[int | None]) -> list[str]:
        """The labels of periods by `number`, whole or not; None is "all"."""
        return [ALL if n is None else self._period(n + self._origin).label for n in numbers]

    def during(self, rows: ir.Table, day: str = "day") -> ir.Table:
        """The rows of whole periods, with the column `period` (a `number`).

        Args:
            rows: Any table.
            day: Its column of dates or times.
        """
        if not self.whole:
            return rows.filter(ibis.literal(False)).mutate(period=ibis.literal(0, "int64"))
        start, end = self.whole[0].start, self.whole[-1].end
        inside = rows.filter(lambda t: (t[day] >= start) & (t[day] < end))
        return inside.mutate(period=self.number(inside[day]))

    def _serial(self, day: dt.date) -> int:
        return (day.year * 12 + day.month - 1) // _MONTHS[self.by]

    def _serial_expression(self, day: ir.DateValue) -> ir.IntegerValue:
        months = month_number(day)
        return months if self.by == "month" else (months / _MONTHS[self.by]).floor().cast("int64")

    def _period(self, serial: int) -> Period:
        months = _MONTHS[self.by]
        start, end = _first_of(serial * months), _first_of((serial + 1) * months)
        return Period(label(start, self.by), start, end)


def month_number(day: ir.DateValue) -> ir.IntegerValue:
    """Months since the year 0, as a whole number."""
    return day.year().cast("int64") * 12 + day.month().cast("int64") - 1


def label(day: dt.date, by: By) -> str:
    """The label of the period that a day lies in.

    >>> day = dt.date(2024, 5, 17)
    >>> label(day, "month"), label(day, "quarter"), label(day, "year")
    ('2024-05', '2024-Q2', '2024')
    """
    if by == "month":
        return f"{day:%Y-%m}"
    return f"{day.year}-Q{(day.month + 2) // 3}" if by == "quarter" else str(day.year)


def _first_of(month: int) -> dt.date:
    return dt.date(month // 12, month % 12 + 1, 1)
