"""Set aside rows that can be read but may not be meant: repeats and isolated late rows.

**Duplicates.** A row that equals an earlier one in every raw column may be the same line
exported twice or a second, equal purchase. `duplicates = "auto"` drops it where the row
says enough to tell: it names its product, or its order id occurs once apart from exact
repeats (one row an order); events and loyalty points, when they carry a time of day. Where
rows are only customer, day and amount, equal rows are kept. In the other tables an exact
repeat says nothing new and is dropped.
"""

import duckdb

from features.reading.delimited import FILE, ROW
from features.reading.values import literal
from features.schema import Table, quote
from features.settings import PolicySettings
from features.source import RawTable

__all__ = ["set_isolated_aside", "set_repeats_aside"]

_SILENCE_DAYS = 366
_ISOLATED_SHARE = 1000


def _count(con: duckdb.DuckDBPyConnection, relation: str) -> int:
    return int(con.execute(f"SELECT count(*) FROM {relation}").fetchall()[0][0])  # noqa: S608


def set_isolated_aside(
    con: duckdb.DuckDBPyConnection,
    table: Table,
    typed: str,
    policies: PolicySettings,
    kept: dict[str, int],
) -> None:
    """Mark rows that lie more than a year behind all others, one in a thousand at most."""
    if table.time is None:
        return
    day = f"CAST({quote(table.time)} AS DATE)"
    row = con.execute(
        f"WITH days AS (SELECT {day} AS d, count(*) AS n FROM {typed} "  # noqa: S608
        "WHERE reason IS NULL GROUP BY 1), "
        "gaps AS (SELECT d, d - lag(d) OVER (ORDER BY d) AS gap, "
        "sum(n) OVER (ORDER BY d DESC) AS behind, sum(n) OVER () AS total FROM days) "
        f"SELECT min(d) FROM gaps WHERE gap > {_SILENCE_DAYS} "
        f"AND behind * {_ISOLATED_SHARE} <= total"
    ).fetchall()[0]
    if row[0] is None:
        return
    test = f"reason IS NULL AND {quote(table.time)} >= TIMESTAMP {literal(str(row[0]))}"
    if policies.isolated_future == "quarantine":
        con.execute(f"UPDATE {typed} SET reason = 'isolated_future' WHERE {test}")  # noqa: S608
    else:
        kept["isolated_future_kept"] = _count(con, f"(FROM {typed} WHERE {test})")


def set_repeats_aside(
    con: duckdb.DuckDBPyConnection,
    raw: RawTable,
    table: Table,
    typed: str,
    policies: PolicySettings,
    kept: dict[str, int],
) -> None:
    """Mark exact repeats, and further rows of customers who may have one."""
    place = f"{quote(FILE)}, {quote(ROW)}"
    equal = ", ".join(map(quote, raw.columns))
    repeats = quote("repeated rows")
    con.execute(
        f"CREATE TEMP TABLE {repeats} AS SELECT {place} FROM (SELECT {place}, row_number() OVER "  # noqa: S608
        f"(PARTITION BY {equal} ORDER BY {place}) AS n FROM {raw.relation} SEMI JOIN "
        f"(SELECT {place} FROM {typed} WHERE reason IS NULL AND h IN "
        f"(SELECT h FROM {typed} WHERE reason IS NULL GROUP BY h HAVING count(*) > 1)) "
        f"USING ({place})) WHERE n > 1"
    )
    count = _count(con, repeats)
    drop = policies.duplicates == "drop" or (
        policies.duplicates == "auto" and count > 0 and _tells_repeats(con, table, typed, repeats)
    )
    if count and drop:
        con.execute(
            f"UPDATE {typed} SET reason = 'duplicate' FROM {repeats} r WHERE "  # noqa: S608
            f"{typed}.{quote(FILE)} = r.{quote(FILE)} AND {typed}.{quote(ROW)} = r.{quote(ROW)}"
        )
    elif count:
        kept["duplicates_kept"] = count
    con.execute(f"DROP TABLE {repeats}")
    columns = _columns(con, typed)
    if table.unique and "known_at" not in columns:
        con.execute(
            f"UPDATE {typed} SET reason = 'repeated_customer' FROM (SELECT {place}, row_number() "  # noqa: S608
            f"OVER (PARTITION BY customer_id ORDER BY {place}) AS n FROM {typed} "
            f"WHERE reason IS NULL) r WHERE r.n > 1 AND {typed}.{quote(FILE)} = r.{quote(FILE)} "
            f"AND {typed}.{quote(ROW)} = r.{quote(ROW)}"
        )


def _columns(con: duckdb.DuckDBPyConnection, relation: str) -> set[str]:
    return {row[0] for row in con.execute(f"DESCRIBE {relation}").fetchall()}


def _tells_repeats(con: duckdb.DuckDBPyConnection, table: Table, typed: str, repeats: str) -> bool:
    """Whether a row says enough to tell a repeated line from a repeated act."""
    columns = _columns(con, typed)
    if table.name == "transactions":
        if "product_id" in columns:
            return True
        if "order_id" not in columns:
            return False
        row = con.execute(
            f"SELECT count(order_id) = count(DISTINCT order_id) FROM (FROM {typed} ANTI JOIN "  # noqa: S608
            f"{repeats} USING ({quote(FILE)}, {quote(ROW)})) WHERE reason IS NULL"
        ).fetchall()[0]
        return row == (True,)
    if table.name in ("events", "loyalty"):
        row = con.execute(
            f"SELECT bool_or(timestamp <> date_trunc('day', timestamp)) FROM {typed} "  # noqa: S608
            "WHERE reason IS NULL"
        ).fetchall()[0]
        return row == (True,)
    return True
