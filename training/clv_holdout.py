"""The parts of the history on which CLV candidates are judged.

The end of the history is held out: as many days as the CLV horizon, but at most a third of the
history, in whole weeks. Two parts to learn from for one part to foretell is what a purchase model
needs to tell a slow buyer from one who has left; a longer holdout would starve it, a shorter one
would judge it on one season.

Which candidate is taken is settled on rolling windows that end before that holdout, by the same
rule for the history that is left. So the holdout measures the choice, too.
"""

import datetime as dt
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from features.errors import NotEnoughDataError
from features.ledger import Ledger
from features.purchases import purchases
from features.window import ObservationWindow

__all__ = [
    "HOLDOUT_SHARE",
    "STEP_DAYS",
    "WeeklyPurchases",
    "holdout_window",
    "rolling_windows",
    "weekly_purchases",
]

HOLDOUT_SHARE = 3
"""The holdout is at most one part in this many of the history."""

STEP_DAYS = 28
"""Days from one rolling cutoff to the next."""

_MIN_CALIBRATION_DAYS = 28


def holdout_window(first_day: dt.date, last_day: dt.date, horizon_days: int) -> ObservationWindow:
    """The calibration period and the holdout of a history.

    The holdout has min(`horizon_days`, a third of the history) days, in whole weeks where it
    is a week or more, and ends with the history.

    Args:
        first_day: First day of the source.
        last_day: Last day of the source.
        horizon_days: The horizon asked for.

    Raises:
        NotEnoughDataError: Fewer than four weeks are left to learn from.

    >>> window = holdout_window(dt.date(2009, 12, 1), dt.date(2010, 11, 30), 365)
    >>> str(window.cutoff), window.horizon_days
    ('2010-08-04', 119)
    """
    end = last_day + dt.timedelta(days=1)
    history = (end - first_day).days
    days = min(horizon_days, history // HOLDOUT_SHARE)
    if days >= 7:
        days -= days % 7
    if days < 1 or history - days < _MIN_CALIBRATION_DAYS:
        raise NotEnoughDataError(
            f"The history has {history} days, {first_day} to {last_day}.",
            "A CLV model needs at least six weeks: four to learn from and two to be judged on; "
            "half a year or more is better.",
        )
    return ObservationWindow(first_day, end - dt.timedelta(days=days), 0, days)


def rolling_windows(
    first_day: dt.date, end: dt.date, horizon_days: int, most: int, *, parts: int = 1
) -> tuple[ObservationWindow, ...]:
    """Windows of one horizon that all end by `end`, four weeks apart.

    The last one is `holdout_window`'s. Earlier ones follow as long as the history before the
    cutoff is at least `parts` horizons long.

    Args:
        first_day: First day of the source.
        end: Day after the last one that may be looked at.
        horizon_days: The horizon asked for.
        most: At most so many.
        parts: Horizons of history before a cutoff, at least.

    Returns:
        Windows with ascending cutoffs; none where the history is too short for one.

    >>> found = rolling_windows(dt.date(2009, 12, 1), dt.date(2010, 8, 4), 365, 6)
    >>> [str(window.cutoff) for window in found], found[0].horizon_days
    (['2010-02-24', '2010-03-24', '2010-04-21', '2010-05-19'], 77)
    """
    try:
        last = holdout_window(first_day, end - dt.timedelta(days=1), horizon_days)
    except NotEnoughDataError:
        return ()
    shortest = max(_MIN_CALIBRATION_DAYS, parts * last.horizon_days)
    found = [last]
    while len(found) < most:
        cutoff = found[-1].cutoff - dt.timedelta(days=STEP_DAYS)
        if (cutoff - first_day).days < shortest:
            break
        found.append(ObservationWindow(first_day, cutoff, 0, last.horizon_days))
    return tuple(reversed(found))


@dataclass(frozen=True)
class WeeklyPurchases:
    """Purchases of the customers known at the cutoff, in weeks counted from the cutoff.

    Attributes:
        repeats: Repeat purchases in each week.
        ends: Days from the start of the source to the end of each week.
        births: Day offset of a first purchase -> customers.
        cutoff_week: Weeks before the cutoff.
    """

    repeats: npt.NDArray[np.float64]
    ends: npt.NDArray[np.int64]
    births: npt.NDArray[np.float64]
    cutoff_week: int


def weekly_purchases(ledger: Ledger, window: ObservationWindow) -> WeeklyPurchases:
    """Count repeat purchases by week and first purchases by day, on the engine."""
    bought = purchases(ledger.transactions, window.label_end, ledger.purchase_unit)
    first = bought.group_by("customer_id").agg(first=bought.day.min())
    first = first.filter(first["first"] < window.cutoff)
    joined = bought.inner_join(first, "customer_id")
    by_day = joined.group_by("day").agg(n=joined.count()).order_by("day").to_pyarrow().to_pydict()
    born = first.rename(day="first").group_by("day").agg(n=lambda t: t.count())
    by_birth = born.order_by("day").to_pyarrow().to_pydict()
    days = (window.label_end - window.start).days
    counts, births = np.zeros(days), np.zeros(days)
    for into, table in ((counts, by_day), (births, by_birth)):
        for day, n in zip(table["day"], table["n"], strict=True):
            into[(day - window.start).days] += n
    before = (window.cutoff - window.start).days
    # Weeks end at the cutoff and every seven days from it, so the first one may be short.
    ends = np.unique(np.concatenate([np.arange(before, 0, -7), np.arange(before, days + 1, 7)]))
    summed = np.concatenate([[0.0], np.cumsum(counts - births)])
    repeats = np.diff(np.concatenate([[0.0], summed[ends]]))
    return WeeklyPurchases(repeats, ends, births, int((ends <= before).sum()))
