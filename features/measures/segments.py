"""Segments: whom a figure is about, and sums of any table by period and segment."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import ibis
import pandas as pd

from features.attributes import attribute_names, attribute_rows
from features.errors import InputError
from features.measures.periods import ALL, By, Periods, month_number
from features.purchases import customer_days, purchases_in
from features.sale_days import sale_days
from features.schema import nearest, quote
from features.window import ObservationWindow

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from features.ledger import Ledger

__all__ = ["COHORT", "MOST_VALUES", "UNKNOWN", "Question", "ask", "check_segments"]

COHORT = "cohort"
"""The segment column that every ledger has: the period of the customer's first purchase."""

UNKNOWN = "unknown"
"""The value of a segment column for customers of whom it is not known."""

MOST_VALUES = 60
"""A column with more values than this makes no segments."""


@dataclass(frozen=True)
class Question:
    """What is asked of a ledger: every family of measures answers the same question.

    Attributes:
        ledger: The trusted tables.
        periods: The whole periods of the data.
        segments: Columns by which figures are given beside those for everyone.
        churn_days: Days without a purchase after which a customer counts as lost.
        margin: Share of revenue that is profit.
        cuts: Revenue in twelve months above which a customer is of medium, and of high value;
            None: learned from the data, once.
    """

    ledger: Ledger
    periods: Periods
    segments: tuple[str, ...] = ()
    churn_days: int = 90
    margin: float = 1.0
    cuts: tuple[float, float] | None = None
    _held: dict[str, tuple[str, ir.Table]] = field(default_factory=dict, repr=False, compare=False)

    @property
    def keys(self) -> tuple[str, ...]:
        """The segment columns with `ALL` before them, which is everyone."""
        return (ALL, *self.segments)

    @cached_property
    def end(self) -> dt.date:
        """The day after the last day of the data."""
        return self.ledger.last_day + dt.timedelta(days=1)

    @cached_property
    def days(self) -> ir.Table:
        """The transactions netted by customer and day: see `features.purchases.customer_days`."""
        netted = self.ledger.days
        if netted is not None:
            return netted
        return self.held("days", lambda: customer_days(self.ledger.transactions))

    @cached_property
    def purchases(self) -> ir.Table:
        """Every purchase: customer_id, day, value."""
        return purchases_in(self.ledger.transactions, self.days, self.ledger.purchase_unit)

    @cached_property
    def active(self) -> ir.Table:
        """Who bought in which period, whole or not: one row a customer and period.

        Columns: customer_id; day (of the first purchase in the period); purchases (how many);
        age (periods since the one of the customer's first purchase, 0 for that one).
        """
        return self.held("active", self._active)

    def _active(self) -> ir.Table:
        bought, number = self.purchases, self.periods.number
        found = bought.group_by("customer_id", period=number(bought.day)).agg(
            day=bought.day.min(), purchases=bought.count()
        )
        age = found.period - found.period.min().over(ibis.window(group_by="customer_id"))
        return found.select("customer_id", "day", "purchases", age=age)

    @cached_property
    def months(self) -> ir.Table:
        """Money by customer and calendar month, returns taken off.

        Columns: customer_id; month (`month_number`); day (the first one with a transaction);
        revenue (decimal).
        """
        return self.held("months", self._months)

    def _months(self) -> ir.Table:
        days = self.days
        return days.group_by("customer_id", month=month_number(days.day)).agg(
            day=days.day.min(), revenue=days.value.sum()
        )

    @cached_property
    def members(self) -> ir.Table:
        """Who a customer is: one row for everyone who bought or has static attributes.

        Columns: customer_id; first_day (of the first purchase, missing without one); one text
        column for each segment column, called `segment_0` and so on in their order.
        """
        return self.held("members", self._members)

    def held(self, name: str, make: Callable[[], ir.Table]) -> ir.Table:
        """A table that is made once and then held in the engine, until `release`.

        Args:
            name: What to find it by.
            make: Gives it as an expression.
        """
        if name not in self._held:
            unlike = ibis.util.gen_name(name)
            table = self.ledger.con.create_table(unlike, make(), temp=True)
            self._held[name] = unlike, table
        return self._held[name][1]

    def release(self) -> None:
        """Drop what is held in the engine."""
        while self._held:
            _, (name, _) = self._held.popitem()
            self.ledger.con.con.execute(f"DROP TABLE {quote(name)}")
        for name in ("days", "purchases", "active", "months", "members"):
            self.__dict__.pop(name, None)

    def _members(self) -> ir.Table:
        bought = self.purchases.group_by("customer_id").agg(first_day=lambda t: t.day.min())
        names = [name for name in self.segments if name != COHORT]
        window = ObservationWindow(self.ledger.first_day, self.end)
        tables = attribute_rows(self.ledger, window, names) if names else []
        ids = [bought.select("customer_id")]
        ids += [table.select(customer_id=table.owner) for table in tables]
        everyone = ids[0] if len(ids) == 1 else ibis.union(*ids, distinct=True)
        query = everyone.left_join(bought, "customer_id").drop("customer_id_right")
        for table in tables:
            query = query.left_join(table, query.customer_id == table.owner).drop("owner")
        columns = {
            f"segment_{i}": self._cohort(query) if name == COHORT else _text(query[name])
            for i, name in enumerate(self.segments)
        }
        return query.select("customer_id", "first_day", **columns)

    def _cohort(self, members: ir.Table) -> ir.StringValue:
        day, by = members.first_day, self.periods.by
        year = day.year().cast("string")
        if by == "month":
            found = day.strftime("%Y-%m")
        elif by == "quarter":
            found = year + "-Q" + day.quarter().cast("string")
        else:
            found = year
        return found.fill_null(UNKNOWN)

    def segmented(self, rows: ir.Table, key: str) -> ir.Table:
        """Rows with the column `segment`: the text of the segment each belongs to by one column.

        Args:
            rows: Any table with customer_id.
            key: `ALL` or a segment column asked for.
        """
        if key == ALL:
            return rows.mutate(segment=ibis.literal(ALL))
        column = f"segment_{self.segments.index(key)}"
        who = self.members.select(member="customer_id", segment=column)
        joined = rows.left_join(who, rows.customer_id == who.member).drop("member")
        value = joined.segment.fill_null(UNKNOWN)
        return joined.mutate(segment=ibis.literal(f"{key}=") + value)

    def totals(
        self,
        rows: ir.Table,
        day: str | None = "day",
        by: Sequence[str] = (),
        segments: Sequence[str] | None = None,
        all_data: bool = True,
        **sums: ir.Deferred,
    ) -> pd.DataFrame:
        """Aggregate a table by period and segment: for everyone and for each segment column.

        Args:
            rows: Any table with customer_id and a column of dates or times.
            day: That column; rows outside the whole periods count for "all" only. None: only
                the period "all".
            by: Further columns to group by; they are in the result beside the segment.
            segments: Segment columns to use in place of those asked for; a subset.
            all_data: Whether to add the period "all", which is one more look at all rows.
            **sums: Name -> deferred aggregate, such as `revenue=_.value.sum()` with `_` from
                Ibis. Sum decimals and whole numbers only, so that the order of rows is nothing.

        Returns:
            One row a period and segment (and value of `by`) that occurs: period (label),
            segment ("all" or "country=GB"), the columns of `by`, and one column a sum:
            decimals as float64, counts as int64. Sorted by period, segment and `by`.
        """
        wanted = self.segments if segments is None else tuple(segments)
        parts = []
        for key in (ALL, *wanted):
            placed = self.segmented(rows, key)
            if day is not None:
                inside = self.periods.during(placed, day)
                parts.append(inside.group_by("period", "segment", *by).agg(**sums))
            if all_data:
                whole = placed.group_by("segment", *by).agg(**sums)
                parts.append(whole.mutate(period=ibis.null("int64")))
        names = ["segment", *by, *sums]
        parts = [
            part.select(
                period=part.period.cast("int64"),
                **{name: _plain(part[name]) for name in names},
            )
            for part in parts
        ]
        table = parts[0] if len(parts) == 1 else ibis.union(*parts)
        frame: pd.DataFrame = (
            table.order_by("period", *names[: -len(sums)]).to_pyarrow().to_pandas()
        )
        numbers = [None if pd.isna(n) else int(n) for n in frame["period"]]
        frame["period"] = pd.Series(self.periods.labels(numbers), frame.index, dtype="str")
        return frame


def _plain(value: ir.Value) -> ir.Value:
    """Decimals as doubles, whole numbers of any width as int64."""
    kind = value.type()
    if kind.is_decimal():
        return value.cast("float64")
    return value.cast("int64") if kind.is_integer() else value


def _text(value: ir.Value) -> ir.StringValue:
    """A value of a segment column, as it stands in a segment; missing and blank are unknown."""
    text = value.cast("string").strip().replace("|", "/")
    return (text == "").ifelse(UNKNOWN, text).fill_null(UNKNOWN)


def check_segments(ledger: Ledger, names: Sequence[str]) -> None:
    """Refuse segment columns that a ledger does not have.

    Raises:
        InputError: A name is neither `COHORT` nor an attribute.
    """
    known = (COHORT, *attribute_names(ledger))
    for name in names:
        if name not in known:
            plain = ", ".join(sorted(each for each in known if "." not in each))
            raise InputError(
                f"There is no segment column {name!r}.",
                f"{nearest(name, known)} There is: {plain}.".strip(),
            )


@contextmanager
def ask(
    ledger: Ledger,
    by: By = "month",
    segments: Sequence[str] = (),
    churn_days: int = 90,
    margin: float = 1.0,
    cuts: tuple[float, float] | None = None,
) -> Iterator[Question]:
    """Put a question to a ledger; what it holds in the engine is dropped at the end.

    Args:
        ledger: The trusted tables.
        by: Length of the periods.
        segments: Segment columns: `COHORT`, or any of `features.attributes.attribute_names`.
        churn_days: Days without a purchase after which a customer counts as lost.
        margin: Share of revenue that is profit.
        cuts: Of the value tiers, as in `Question`.

    Yields:
        The question.

    Raises:
        InputError: A segment column that no table has, or one with more than `MOST_VALUES`
            values; or `by` is no length of periods.

    >>> from features.ledger import Ledger
    >>> from ibis import _
    >>> days = ["2024-01-01", "2024-01-31", "2024-02-29"]
    >>> shop = Ledger.from_frames(
    ...     pd.DataFrame({"customer_id": ["a", "b", "a"], "timestamp": days, "amount": [5, 3, 4]})
    ... )
    >>> with ask(shop) as asked:
    ...     asked.totals(asked.purchases, money=_.value.sum())
        period segment  money
    0  2024-01     all    8.0
    1  2024-02     all    4.0
    2      all     all   12.0
    """
    wanted = tuple(dict.fromkeys(segments))
    check_segments(ledger, wanted)
    found = sale_days(ledger)
    last, first = ledger.last_day, ledger.first_day
    open_days = sum(
        (first + dt.timedelta(days=i)).weekday() not in found.closed
        for i in range((last - first).days + 1)
    )
    periods = Periods(by, first, last, found.closed, found.silent / max(open_days, 1))
    asked = Question(ledger, periods, wanted, churn_days, margin, cuts)
    try:
        _check_values(asked)
        yield asked
    finally:
        asked.release()


def _check_values(asked: Question) -> None:
    columns = [(i, name) for i, name in enumerate(asked.segments) if name != COHORT]
    if not columns:
        return
    values = {f"n_{i}": asked.members[f"segment_{i}"].nunique() for i, _ in columns}
    counts = asked.members.agg(**values).to_pyarrow().to_pylist()[0]
    for i, name in columns:
        found = counts[f"n_{i}"]
        if found > MOST_VALUES:
            raise InputError(
                f"The segment column {name} has {found:,} values.",
                f"A column that makes segments has at most {MOST_VALUES}: group the values in the "
                "customers table, or choose another column.",
            )
