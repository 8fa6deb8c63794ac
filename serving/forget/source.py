"""Whether the tables that everything is made from still hold customers."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from features.schema import quote
from serving.forget.files import from_quarantine
from serving.forget.place import Place

if TYPE_CHECKING:
    from features.ledger import Ledger

__all__ = ["in_source"]


def in_source(ledger: Ledger, quarantine: Path, ids: Collection[str]) -> Place:
    """Look for customers in the source, which is only read.

    Args:
        ledger: Its trusted tables.
        quarantine: A folder with the rows that were set aside when they were read.
        ids: The customers.
    """
    found: set[str] = set()
    rows = 0
    tables = []
    ledger.con.con.register("forgotten", pa.table({"id": pa.array(sorted(ids), pa.string())}))
    for name in sorted(ledger.tables):
        here = ledger.con.con.execute(
            f"SELECT customer_id, count(*) FROM {quote(name)} "  # noqa: S608
            "WHERE customer_id IN (SELECT id FROM forgotten) GROUP BY customer_id"
        ).fetchall()
        if here:
            tables.append(name)
            found |= {str(row[0]) for row in here}
            rows += sum(int(row[1]) for row in here)
    ledger.con.con.unregister("forgotten")
    for path in sorted(quarantine.glob("*.parquet")):
        here_too, aside = from_quarantine(path, ids, apply=False)
        if here_too:
            found |= here_too
            rows += aside
            tables += [] if path.stem in tables else [path.stem]
    if not found:
        return Place("the tables of the source", "source", "clean", rows=0)
    return Place(
        f"the source: {', '.join(tables)}",
        "source",
        "remains",
        frozenset(found),
        rows,
        "Delete them where these tables come from: Regulars never writes to its source, and "
        "the next list would name them again.",
    )
