"""The tables as they stood at a cutoff, and what the families of features from them share.

A row that is dated before the cutoff can still tell what came after it. Three rules take that
away, for the product's own features and for those a user adds:

- A row counts from the moment it is dated and, where the table has it, from its `known_at`.
- A later moment on an earlier row is not known yet: a ticket resolved on or after the cutoff is
  open, a contract that ends then runs.
- What became of a message is written on its row days after it was sent, with no moment of its
  own. So `opened` and `clicked` count as unknown for `RESPONSE_DAYS` after the message, and
  `redeemed` for `REDEMPTION_DAYS`.

A source has begun on the day of its first known row. What lies before is not observed.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING

import ibis

from features.expressions import days_before, ratio, when
from features.feature import Feature
from features.schema import TABLES
from features.window import ObservationWindow

if TYPE_CHECKING:
    import ibis.expr.types as ir

__all__ = [
    "REDEMPTION_DAYS",
    "RESPONSE_DAYS",
    "beside",
    "counted_from",
    "has_source",
    "known_tables",
    "observed",
    "smoothed",
    "source_flag",
]

RESPONSE_DAYS = 7
"""Days after a message before it counts as opened or not, clicked or not."""

REDEMPTION_DAYS = 60
"""Days after an offer before it counts as redeemed or not."""

_SETTLES = {"opened": RESPONSE_DAYS, "clicked": RESPONSE_DAYS, "redeemed": REDEMPTION_DAYS}


def known_tables(tables: Mapping[str, ir.Table], window: ObservationWindow) -> dict[str, ir.Table]:
    """The tables without anything that was not known at the cutoff.

    Args:
        tables: Standard tables by name, such as `Ledger.tables`.
        window: What is observed.

    Returns:
        The same tables and columns, with the rows and the values known at the cutoff; see the
        module's text. A table whose rows have no date is limited by its `known_at`, and left
        as it is where it has none.
    """
    return {name: _known(name, rows, window) for name, rows in tables.items()}


def _known(name: str, rows: ir.Table, window: ObservationWindow) -> ir.Table:
    at = dt.datetime.combine(window.cutoff, dt.time())
    time = TABLES[name].time
    if time is not None:
        rows = window.known(rows, time)
    elif "known_at" in rows.columns:
        rows = rows.filter(rows.known_at.isnull() | (rows.known_at <= at))
    later: dict[str, ir.Value] = {
        column.name: (rows[column.name] < at).ifelse(rows[column.name], ibis.null("timestamp"))
        for column in TABLES[name].columns
        if column.kind == "timestamp"
        and column.name in rows.columns
        and column.name not in (time, "known_at")
    }
    if name == "contacts":
        later |= {
            column: (rows.timestamp < at - dt.timedelta(days=days)).ifelse(
                rows[column], ibis.null("boolean")
            )
            for column, days in _SETTLES.items()
            if column in rows.columns
        }
    return rows.mutate(**later) if later else rows


def source_flag(table: str, time: str = "timestamp") -> Feature:
    """The row of the catalogue of `has_<table>`.

    It is the same for all customers of a snapshot and turns from 0 to 1 at one cutoff, so it
    tells the time as the season does, and nothing about anybody.
    """
    return Feature(
        f"has_{table}",
        f"1 when the {table} have begun by the cutoff, else 0",
        "all",
        "S",
        0,
        "season",
        minimum=0,
        maximum=1,
        drift_exempt=True,
        seasonal=True,
        sources=(f"{table}.{time}",),
        core=False,
    )


def has_source(begun: ir.DateValue) -> ir.FloatingValue:
    """1.0 where the source has begun, 0.0 where it has not."""
    return begun.notnull().cast("float64")


def beside(
    customers: ir.Table, sums: Mapping[str, tuple[ir.Table, ...]]
) -> tuple[ir.Table, dict[str, dict[str, ir.Value]]]:
    """Join what was added up over the rows of each source to the customers, in one chain.

    Args:
        customers: One row a customer: customer_id.
        sums: Source -> tables. Those with a column `owner` (a customer_id) have one row an
            owner with any row in the source; others have one row in all, such as the first
            days of the source.

    Returns:
        The joined table, and for each source its columns in it by their own names. The sums
        of who has no row in a source are missing.
    """
    joined = customers
    places: dict[str, dict[str, str]] = {}
    for source, tables in sums.items():
        places[source] = {}
        for number, table in enumerate(tables):
            own = {name: f"{source}_{number}_{name}" for name in table.columns}
            places[source] |= own
            table = table.rename({unlike: name for name, unlike in own.items()})
            joined = (
                joined.left_join(table, [("customer_id", own["owner"])])
                if "owner" in own
                else joined.cross_join(table)
            )
    return joined, {
        source: {name: joined[unlike] for name, unlike in own.items()}
        for source, own in places.items()
    }


def observed(begun: ir.DateValue, window: ObservationWindow, days: int) -> ir.BooleanValue:
    """Whether a source that began on a day covers all of the `days` days before the cutoff."""
    return days_before(begun, window) >= days


def counted_from(
    value: ir.NumericValue, begun: ir.DateValue, window: ObservationWindow, days: int
) -> ir.FloatingValue:
    """A total over the last `days` days: 0 if nothing happened, missing if not observed."""
    return when(observed(begun, window, days), value.fill_null(0))


def smoothed(part: ir.NumericValue, whole: ir.NumericValue) -> ir.FloatingValue:
    """(part + 1) / (whole + 2), the posterior mean of a share under an even prior.

    Missing where there is no whole.
    """
    return ratio(part.fill_null(0) + 1, when(whole > 0, whole) + 2.0)
