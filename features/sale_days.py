"""The days on which a shop sells: its closed weekdays, and gaps that chance does not explain."""

import datetime as dt
import math
from dataclasses import dataclass

from features.ledger import Ledger
from features.schema import quote

__all__ = ["Gap", "SaleDays", "sale_days"]


@dataclass(frozen=True)
class Gap:
    """A run of days without any sale, longer than chance explains.

    Attributes:
        first: Its first day.
        last: Its last day.
        days: Its length in days.
    """

    first: dt.date
    last: dt.date
    days: int


@dataclass(frozen=True)
class SaleDays:
    """When a shop sells.

    Attributes:
        closed: Weekdays on which it hardly ever does (0 = Monday).
        silent: Days without a sale, closed weekdays not counted.
        gaps: Runs of such days that are longer than chance explains.
    """

    closed: tuple[int, ...]
    silent: int
    gaps: tuple[Gap, ...]


def sale_days(ledger: Ledger) -> SaleDays:
    """Find closed weekdays, silent days on open weekdays, and the gaps.

    A weekday is closed when fewer than one in ten of at least four has a sale. A run of
    silent open days is a gap when, at the share of silent days found, fewer than 0.05 runs
    of its length are expected in the history.
    """
    first, last = ledger.first_day, ledger.last_day
    found = ledger.con.con.execute(
        f"SELECT DISTINCT CAST({quote('timestamp')} AS DATE) FROM transactions WHERE amount > 0"  # noqa: S608
    ).fetchall()
    sold = {day for (day,) in found}
    days = [first + dt.timedelta(days=i) for i in range((last - first).days + 1)]
    closed = []
    for weekday in range(7):
        of_kind = [day for day in days if day.weekday() == weekday]
        if len(of_kind) >= 4 and sum(day in sold for day in of_kind) * 10 < len(of_kind):
            closed.append(weekday)
    if len(closed) == 7:
        closed = []
    open_days = [day for day in days if day.weekday() not in closed or day in sold]
    silent = sum(day not in sold for day in open_days)
    if not silent:
        return SaleDays(tuple(closed), 0, ())
    share = silent / len(open_days)
    longest = math.log(0.05 / len(open_days)) / math.log(share) if share < 1 else math.inf
    gaps = []
    run: list[dt.date] = []
    for day in [*open_days, None]:
        if day is not None and day not in sold:
            run.append(day)
            continue
        if len(run) >= max(2, longest):
            gaps.append(Gap(run[0], run[-1], (run[-1] - run[0]).days + 1))
        run = []
    return SaleDays(tuple(closed), silent, tuple(gaps))
