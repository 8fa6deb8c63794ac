"""The D-curve: after how many days of silence a customer is better called lost than active.

The idea, to choose the days that make two errors together least, is that of the D-curve
(engineering.indeedblog.com/blog/2020/01/defining-churn). The formula here is our own: both
errors are shares of those to whom they happen,

- Type I: of the customers who came back, the share that had been called churned;
- Type II: of those who never came back, the share that was still called active;

so that the best number of days does not depend on how many never come back. (With Type I as
a share of those called churned, the sum is least at a few days where customers buy slowly and
most are gone: to call everybody churned is then seldom wrong.)
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import ibis
import pyarrow as pa

from features.errors import InputError
from features.purchases import customer_days, purchases_in
from features.schema import quote

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from features.ledger import Ledger

__all__ = ["InactivityCurve", "InactivityPoint", "inactivity_curve", "purchase_spells", "states"]

FLAT = 0.01
"""Days whose sum of errors is within this of the least are called as good."""


@dataclass(frozen=True)
class InactivityPoint:
    """What comes of calling customers churned after so many days without a purchase.

    Attributes:
        days: A customer is called churned with no purchase in this many days before a cutoff.
        called_churned: Customers so called.
        came_back: Those of them who bought in the follow-up.
        type_1: Share of all who came back that had been called churned.
        type_2: Share of all who never came back that were still called active.
    """

    days: int
    called_churned: int
    came_back: int
    type_1: float
    type_2: float

    @property
    def false_churn(self) -> float | None:
        """Share of those called churned who came back; None where nobody is called so."""
        return self.came_back / self.called_churned if self.called_churned else None


@dataclass(frozen=True)
class InactivityCurve:
    """The two errors against days of silence, pooled over cutoffs.

    A customer counts once at each cutoff. "Never came back" means: not within the follow-up.

    Attributes:
        cutoffs: The cutoffs.
        follow_up_days: For so many days after a cutoff it is watched who comes back.
        customers: Customers known, summed over the cutoffs.
        returned: Those of them who bought in the follow-up.
        points: One each number of days, ascending.
        best_days: The days with the least sum of the two errors, the fewest if several.
        as_good: The range of days whose sum is within 0.01 of it.
    """

    cutoffs: tuple[dt.date, ...]
    follow_up_days: int
    customers: int
    returned: int
    points: tuple[InactivityPoint, ...]
    best_days: int
    as_good: tuple[int, int]

    @property
    def open_ended(self) -> bool:
        """Whether the best is the longest silence looked at: it may well be longer."""
        return self.best_days == self.points[-1].days

    def at(self, days: int) -> InactivityPoint:
        """The point nearest to a number of days."""
        return min(self.points, key=lambda point: (abs(point.days - days), point.days))

    def to_dict(self) -> dict[str, Any]:
        """The same as plain values for JSON."""
        points = [{**asdict(point), "false_churn": point.false_churn} for point in self.points]
        cutoffs = [cutoff.isoformat() for cutoff in self.cutoffs]
        return {
            **asdict(self),
            "cutoffs": cutoffs,
            "points": points,
            "as_good": list(self.as_good),
            "open_ended": self.open_ended,
        }


@contextmanager
def purchase_spells(ledger: Ledger) -> Iterator[ir.Table]:
    """Hold every purchase day with the one that follows in the engine, as long as it is needed.

    Yields:
        One row a customer and purchase day, as known today: customer_id, day, until (the
        next purchase day, or the year 9999) and first_day (the customer's first).
    """
    rows = ledger.transactions
    days = customer_days(rows) if ledger.days is None else ledger.days
    bought = purchases_in(rows, days, ledger.purchase_unit).select("customer_id", "day").distinct()
    own = ibis.window(group_by="customer_id", order_by="day")
    whole = ibis.window(group_by="customer_id")
    spells = bought.mutate(
        until=bought.day.lead().over(own).fill_null(ibis.literal(dt.date.max)),
        first_day=bought.day.min().over(whole),
    )
    name = ibis.util.gen_name("spells")
    try:
        yield ledger.con.create_table(name, spells, temp=True)
    finally:
        ledger.con.con.execute(f"DROP TABLE IF EXISTS {quote(name)}")


def states(spells: ir.Table, cutoffs: Sequence[dt.date], gaps: Sequence[int] = (0,)) -> ir.Table:
    """Where each customer stands at each cutoff.

    Args:
        spells: As `purchase_spells` gives them.
        cutoffs: The cutoffs.
        gaps: Days after the cutoff at which the customer is looked at.

    Returns:
        One row a cutoff, gap and customer with a purchase before the cutoff: cutoff, gap_days,
        silence (days since the last purchase, at cutoff + gap) and wait (days from there to
        the next purchase, 0 for that very day; thousands of years for never).
    """
    moments = [(c, g, c + dt.timedelta(days=g)) for c in cutoffs for g in gaps]
    names = ("cutoff", "gap_days", "moment")
    at = ibis.memtable(
        pa.table(dict(zip(names, map(list, zip(*moments, strict=True)), strict=True)))
    )
    # Two inequalities on sorted dates: the engine's range join, no pair is looked at in vain.
    both = spells.join(at, [spells.day < at.moment, spells.until >= at.moment])
    known = both.filter(both.first_day < both.cutoff)
    return known.select(
        "cutoff",
        "gap_days",
        silence=known.moment.delta(known.day, unit="day"),
        wait=known.until.delta(known.moment, unit="day"),
    )


def inactivity_curve(
    spells: ir.Table, cutoffs: Sequence[dt.date], follow_up_days: int, days: Sequence[int]
) -> InactivityCurve | None:
    """Measure the two errors at each number of days.

    Purchases after a cutoff's follow-up change nothing of what is counted there. It is for
    the caller to choose cutoffs with the whole follow-up behind them, and with at least
    `max(days)` days of data before them: nobody can be silent for longer than there is data.

    Args:
        spells: As `purchase_spells` gives them.
        cutoffs: The cutoffs.
        follow_up_days: How long it is watched who comes back.
        days: The numbers of days to measure.

    Returns:
        The curve, or None where it has no meaning: nobody came back, or everybody did.

    Raises:
        InputError: There are no cutoffs or days, or one is not above zero.
    """
    grid = sorted(set(days))
    if not grid or not cutoffs or grid[0] < 1 or follow_up_days < 1:
        raise InputError(
            "A D-curve needs cutoffs, a follow-up and numbers of days above zero.",
            f"Got {len(cutoffs)} cutoffs, {follow_up_days} days and {list(days)}.",
        )
    found = states(spells, cutoffs)
    counted = found.group_by("silence").agg(
        customers=found.count(), returned=(found.wait < follow_up_days).sum()
    )
    rows = counted.to_pyarrow().to_pylist()
    customers, returned = (sum(row[name] for row in rows) for name in ("customers", "returned"))
    gone = customers - returned
    if not returned or not gone:
        return None
    points = []
    for silent in grid:
        # No purchase in [cutoff - silent, cutoff): a label window that ends at the cutoff.
        called = [row for row in rows if row["silence"] > silent]
        churned = sum(row["customers"] for row in called)
        back = sum(row["returned"] for row in called)
        still_active = gone - (churned - back)
        points.append(InactivityPoint(silent, churned, back, back / returned, still_active / gone))
    # As integers, so that equal sums are equal.
    cost = [p.came_back * gone + (gone - p.called_churned + p.came_back) * returned for p in points]
    least = min(cost)
    near = [
        p.days for p, c in zip(points, cost, strict=True) if c - least <= FLAT * gone * returned
    ]
    return InactivityCurve(
        tuple(cutoffs),
        follow_up_days,
        customers,
        returned,
        tuple(points),
        points[cost.index(least)].days,
        (near[0], near[-1]),
    )
