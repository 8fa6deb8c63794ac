"""A ledger day by day: what is counted once, and looked at from many sides."""

from __future__ import annotations

import datetime as dt
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import ibis
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from features.purchases import customer_days
from features.window import known_rows

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from features.ledger import Ledger

__all__ = ["SILENCE_DAYS", "Daily", "bought_days", "count_days"]

Floats = npt.NDArray[np.float64]

SILENCE_DAYS = 180
"""A customer who buys again after a longer silence has come back."""
_STEPS = 50
"""Steps of size that an amount e times as large is apart."""


@dataclass(frozen=True)
class Daily:
    """Counts of every day from the first to the last; arrays of shape (days,).

    Attributes:
        first_day: The first day.
        rows: Rows above zero.
        buyers: Customers whose net amount is above zero.
        births: Those of them who never bought before.
        returners: Those who had not bought for more than `SILENCE_DAYS`.
        returns: Rows below zero.
        sold: Sum of the amounts above zero.
        returned: Sum of those below, without sign.
        median: Median of the amounts above zero, to 1 %; NaN without any.
        high: Their ninth decile, likewise.
        last_hour: Hour of the last row, in fractions; NaN without any.
    """

    first_day: dt.date
    rows: Floats
    buyers: Floats
    births: Floats
    returners: Floats
    returns: Floats
    sold: Floats
    returned: Floats
    median: Floats
    high: Floats
    last_hour: Floats

    def __len__(self) -> int:
        """How many days there are."""
        return len(self.rows)

    def day(self, i: int) -> dt.date:
        """The day of a place in the arrays."""
        return self.first_day + dt.timedelta(days=int(i))

    @property
    def weekday(self) -> npt.NDArray[np.int64]:
        """Weekday of each day, 0 = Monday."""
        return (np.arange(len(self)) + self.first_day.weekday()) % 7


def bought_days(ledger: Ledger, cutoff: dt.date) -> ir.Table:
    """One row a customer and day with a net amount above zero: customer_id, day."""
    rows = known_rows(ledger.transactions, cutoff)
    days = customer_days(rows) if ledger.days is None else known_rows(ledger.days, cutoff, "day")
    return days.filter(days.value > 0).select("customer_id", "day")


def count_days(ledger: Ledger, cutoff: dt.date) -> Daily | None:
    """Count what was known at a cutoff by day, on the engine; None without any sale."""
    rows = known_rows(ledger.transactions, cutoff)
    sale = rows.amount > 0
    counted = rows.group_by(day=rows.timestamp.date()).agg(
        rows=sale.sum(),
        returns=(rows.amount < 0).sum(),
        sold=rows.amount.sum(where=sale).cast("float64"),
        returned=(-rows.amount).sum(where=rows.amount < 0).cast("float64"),
        last=rows.timestamp.max(),
    )
    bought = bought_days(ledger, cutoff)
    before = bought.day.lag().over(ibis.window(group_by="customer_id", order_by="day"))
    bought = bought.mutate(silence=bought.day.delta(before, unit="day"))
    customers = bought.group_by("day").agg(
        buyers=bought.count(),
        births=bought.silence.isnull().sum(),
        returners=(bought.silence > SILENCE_DAYS).sum(),
    )
    # Counted in steps of 2 %: exact quantiles would hold every amount in memory at once.
    step = (rows.amount.cast("float64").ln() * _STEPS).floor().cast("int64")
    amounts = (
        rows.filter(sale)
        .group_by(day=rows.timestamp.date(), step=step)
        .agg(n=ibis._.count())
        .order_by("day", "step")
    )
    table = ledger.con.to_pyarrow(counted).to_pydict()
    people = ledger.con.to_pyarrow(customers).to_pydict()
    sales = [day for day, n in zip(table["day"], table["rows"], strict=True) if n]
    if not sales:
        return None
    first, last = min(table["day"]), max(table["day"])
    size = (last - first).days + 1

    def spread(source: dict[str, list[Any]], name: str, empty: float = 0.0) -> Floats:
        out = np.full(size, empty)
        values = [empty if value is None else float(value) for value in source[name]]
        out[[(day - first).days for day in source["day"]]] = values
        return out

    sold = ledger.con.to_pyarrow(amounts)
    for name, level in (("median", 0.5), ("high", 0.9)):
        of_day = _quantiles(sold, level)
        table[name] = [of_day.get(day) for day in table["day"]]
    table["hour"] = [t.hour + t.minute / 60 for t in table["last"]]
    nan = float("nan")
    return Daily(
        first,
        spread(table, "rows"),
        spread(people, "buyers"),
        spread(people, "births"),
        spread(people, "returners"),
        spread(table, "returns"),
        spread(table, "sold"),
        spread(table, "returned"),
        spread(table, "median", nan),
        spread(table, "high", nan),
        spread(table, "hour", nan),
    )


def _quantiles(sold: pa.Table, level: float) -> dict[dt.date, float]:
    """A quantile of the amounts of each day, from how many lie in each step of size."""
    days, steps = sold.column("day").to_pylist(), sold.column("step").to_numpy()
    counts = sold.column("n").to_numpy().astype(np.float64)
    found = {}
    edges = [0, *(i for i in range(1, len(days)) if days[i] != days[i - 1]), len(days)]
    for start, end in itertools.pairwise(edges):
        if start < end:
            reached = np.cumsum(counts[start:end])
            place = start + int(np.searchsorted(reached, level * reached[-1]))
            found[days[start]] = float(np.exp((steps[place] + 0.5) / _STEPS))
    return found
