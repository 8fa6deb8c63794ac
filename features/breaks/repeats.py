"""Rows that were loaded more than once: a day under two dates, or twice under its own."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from features.breaks.finding import Break
from features.schema import quote
from features.window import known_rows

if TYPE_CHECKING:
    from features.ledger import Ledger

__all__ = ["doubled_rows", "repeated_days"]

SAME = 0.8
"""Share of a day's rows that another day has, too, from which on one is a copy."""
DOUBLED = 0.4
"""Share of rows of a day that are there twice; all of them give one half."""
LEAST = 8
"""Rows of a day, of at least so many customers, that make a copy of it no chance:"""
CUSTOMERS = 3
MAX_ROWS = 2_000_000
"""Of more rows, those of a part of the customers are compared."""
_HABIT = 3
"""What a customer buys on more days than this is a habit."""
_LISTED = 3


def repeated_days(ledger: Ledger, cutoff: dt.date) -> Iterator[Break]:
    """Days whose rows are those of another day: the same customers, amounts and products.

    What a customer buys again and again, as a subscriber does, is left out.
    """
    what = ("customer_id", "amount", "product_id", "quantity")
    view = _sample(ledger, cutoff, what)
    pairs = ledger.con.con.execute(f"""
        WITH rows AS (SELECT DISTINCT day, content, customer_id FROM {view}),
        size AS (SELECT day, count(*) AS n FROM rows GROUP BY day),
        rare AS (
            SELECT day, content, customer_id FROM rows
            QUALIFY count(*) OVER (PARTITION BY content) BETWEEN 2 AND {_HABIT}
        ),
        pair AS (
            SELECT a.day AS earlier, b.day AS later, count(*) AS n
            FROM rare a JOIN rare b ON a.content = b.content AND a.day < b.day
            GROUP BY ALL
            HAVING count(*) >= {LEAST} AND count(DISTINCT a.customer_id) >= {CUSTOMERS}
        )
        SELECT earlier, later, pair.n, least(e.n, l.n)
        FROM pair JOIN size e ON e.day = earlier JOIN size l ON l.day = later
        WHERE pair.n >= {SAME} * least(e.n, l.n) ORDER BY later, earlier
    """).fetchall()  # noqa: S608
    if not pairs:
        return
    shown = ", ".join(f"{later} repeats {earlier}" for earlier, later, *_ in pairs[:_LISTED])
    more = f" and {len(pairs) - _LISTED} more" if len(pairs) > _LISTED else ""
    same = sum(n for _, _, n, _ in pairs) / sum(n for *_, n in pairs)
    yield Break(
        "repeated_day",
        min(later for _, later, *_ in pairs),
        max(later for _, later, *_ in pairs),
        value=float(same),
        expected=0.0,
        n=len(pairs),
        grave=True,
        words=f"{len(pairs)} day{'s' * (len(pairs) > 1)} hold{'s' * (len(pairs) == 1)} the rows of "
        f"another day, {same:.0%} of them the same: {shown}{more}.",
        remedy="A load was probably repeated under another date. Delete the copy.",
    )


def doubled_rows(ledger: Ledger, cutoff: dt.date) -> Iterator[Break]:
    """Days on which nearly every row is there twice, where it is not usual."""
    what = ("customer_id", "timestamp", "amount", "product_id", "quantity")
    view = _sample(ledger, cutoff, what)
    found = ledger.con.con.execute(
        "SELECT day, count(*), count(*) - count(DISTINCT content), "  # noqa: S608
        f"count(DISTINCT customer_id) FROM {view} GROUP BY day ORDER BY day"
    ).fetchall()
    n = np.array([row[1] for row in found], dtype=float)
    share = np.array([row[2] for row in found]) / n
    busy = (n >= LEAST) & (np.array([row[3] for row in found]) >= CUSTOMERS)
    usual = float(np.median(share[busy])) if busy.any() else 0.0
    odd = np.flatnonzero(busy & (share >= DOUBLED) & (share >= usual + 0.3))
    if not len(odd):
        return
    days = [found[i][0] for i in odd]
    shown = ", ".join(map(str, days[:_LISTED])) + (", ..." if len(days) > _LISTED else "")
    mean = float(share[odd].mean())
    yield Break(
        "doubled_rows",
        days[0],
        days[-1],
        value=mean,
        expected=usual,
        n=int(n[odd].sum()),
        grave=True,
        words=f"On {len(days)} day{'s' * (len(days) > 1)} {mean:.0%} of the rows repeat another "
        f"row of the day, where {usual:.0%} is usual: {shown}.",
        remedy="The day was probably loaded twice. Delete the copies, or set duplicates under "
        "[policies].",
    )


def _sample(ledger: Ledger, cutoff: dt.date, columns: tuple[str, ...]) -> str:
    """A query of the sales, as day, content, customer_id; of many, those of some customers."""
    rows = known_rows(ledger.transactions, cutoff)
    parts = -(-ledger.quality.tables["transactions"].accepted // MAX_ROWS)
    names = ", ".join(quote(name) for name in columns if name in rows.columns)
    chosen = f" AND hash(customer_id) % {parts} = 0" if parts > 1 else ""
    return (
        f"(SELECT CAST({quote('timestamp')} AS DATE) AS day, hash({names}) AS content, "  # noqa: S608
        f"customer_id "
        f"FROM ({ledger.con.compile(rows)}) WHERE amount > 0{chosen})"
    )
