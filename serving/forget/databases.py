"""Take customers out of tables of a database.

A row deleted from a DuckDB file stays in the file's free blocks until they are written over, so the
file is made anew without those rows and takes the old one's place in one step. PostgreSQL keeps
deleted rows, too, until the table is vacuumed; that is for whoever looks after the server.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import duckdb

from features.errors import InputError
from features.reading.postgres import connect
from features.reading.values import literal
from features.schema import quote

__all__ = ["from_duckdb", "from_postgres", "tables_of"]

Table = tuple[str, str]
"""Schema and name."""

Hit = tuple[frozenset[str], int]
"""The customers who were found, and the rows about them."""

_ID = "customer_id"
_MEMORY = "1GB"


def tables_of(path: Path, columns: Collection[str]) -> list[Table]:
    """The tables of a DuckDB file that have all of these columns.

    Raises:
        InputError: It cannot be read, or another program has it open.
    """
    with _attached(path, read_only=True) as con:
        return [table for table, names in _tables(con).items() if set(columns) <= names]


def from_duckdb(path: Path, tables: Sequence[Table], ids: Collection[str], *, apply: bool) -> Hit:
    """Take the rows of customers out of tables of a DuckDB file, all or none.

    Args:
        path: The file.
        tables: Those of its tables to look into; each has a column customer_id.
        ids: The customers.
        apply: Whether to write; otherwise it is only looked at.

    Returns:
        Who was found, and in how many rows.

    Raises:
        InputError: It cannot be read or written, or another program has it open. It is as it was.
    """
    aside = path.resolve().with_name(f".{path.name}.forget")
    with _attached(path, read_only=not apply) as con:
        con.execute("CREATE TEMP TABLE forgotten AS SELECT unnest($1::VARCHAR[]) AS id", [[*ids]])
        found: set[str] = set()
        rows = 0
        for table in tables:
            counted = con.execute(
                f"SELECT {_ID}::VARCHAR, count(*) FROM {_name('old', table)} "  # noqa: S608
                f"WHERE {_ID}::VARCHAR IN (FROM forgotten) GROUP BY ALL"
            ).fetchall()
            found |= {str(row[0]) for row in counted}
            rows += sum(int(row[1]) for row in counted)
        # Bytes of rows deleted by others may still be in a file that shows none of them, so it
        # is written whenever it is asked for.
        if apply:
            for left in (aside, aside.with_name(f"{aside.name}.wal")):
                left.unlink(missing_ok=True)  # of a run that was stopped
            _rewrite(con, path.resolve(), aside, tables)
        return frozenset(found), rows


def from_postgres(url: str, table: Table, ids: Collection[str], *, apply: bool) -> Hit:
    """Take the rows of customers out of a table of a PostgreSQL database, all or none.

    Raises:
        InputError: The database cannot be reached, or the table is not there or may not be
            written to. It is as it was.
    """
    from psycopg import sql

    place = sql.Identifier(*table)
    with connect(url, read_only=not apply) as con:
        there = con.execute(
            "SELECT 1 FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid "
            "JOIN pg_namespace n ON n.oid = c.relnamespace "
            "WHERE n.nspname = %s AND c.relname = %s AND a.attname = %s AND NOT a.attisdropped",
            (*table, _ID),
        ).fetchall()
        if not there:
            raise InputError(f"There is no table {'.'.join(table)} with a column {_ID}.")
        what = sql.SQL("SELECT {id}::text FROM {place} WHERE {id}::text = ANY(%s)")
        if apply:
            what = sql.SQL("DELETE FROM {place} WHERE {id}::text = ANY(%s) RETURNING {id}::text")
        gone = con.execute(what.format(place=place, id=sql.Identifier(_ID)), ([*ids],)).fetchall()
    return frozenset(str(row[0]) for row in gone), len(gone)


def _rewrite(
    con: duckdb.DuckDBPyConnection, path: Path, aside: Path, tables: Sequence[Table]
) -> None:
    """Write the file without those rows; the old one stays locked until it is replaced."""
    try:
        con.execute(f"ATTACH {literal(str(aside))} AS new")
        aside.chmod(0o600)  # before any customer is in it
        con.execute("COPY FROM DATABASE old TO new (SCHEMA)")
        for table in _tables(con):
            without = f"WHERE {_ID}::VARCHAR IS NULL OR {_ID}::VARCHAR NOT IN (FROM forgotten)"
            con.execute(
                f"INSERT INTO {_name('new', table)} FROM {_name('old', table)} "
                f"{without if table in tables else ''}"
            )
        con.execute("CHECKPOINT new")
        con.execute("DETACH new")
        # Empties the old file's log, which must not be read as that of the new one.
        con.execute("CHECKPOINT old")
        aside.chmod(path.stat().st_mode & 0o7777)
        aside.replace(path)
        for changed in (path, path.parent):
            handle = os.open(changed, os.O_RDONLY)
            os.fsync(handle)
            os.close(handle)
    except (duckdb.Error, OSError) as problem:
        for left in (aside, aside.with_name(f"{aside.name}.wal")):
            left.unlink(missing_ok=True)
        raise InputError(
            f"{path.name} cannot be written anew: {str(problem).splitlines()[0]}",
            "It is still the old file. Check the room on the disk and the rights of the folder.",
        ) from None


def _tables(con: duckdb.DuckDBPyConnection) -> dict[Table, set[str]]:
    rows = con.execute(
        "SELECT t.schema_name, t.table_name, list(c.column_name) FROM duckdb_tables() t "
        "JOIN duckdb_columns() c USING (database_oid, schema_oid, table_oid) "
        "WHERE t.database_name = 'old' GROUP BY ALL ORDER BY ALL"
    ).fetchall()
    return {(str(row[0]), str(row[1])): set(row[2]) for row in rows}


def _name(database: str, table: Table) -> str:
    return f"{database}.{quote(table[0])}.{quote(table[1])}"


@contextmanager
def _attached(path: Path, *, read_only: bool) -> Iterator[duckdb.DuckDBPyConnection]:
    if not path.is_file():
        raise InputError(f"There is no file {path}.")
    con = duckdb.connect(config={"memory_limit": _MEMORY})
    try:
        con.execute("SET enable_progress_bar = false")
        how = " (READ_ONLY)" if read_only else ""
        con.execute(f"ATTACH {literal(str(path))} AS old{how}")
        yield con
    except duckdb.Error as problem:
        raise InputError(
            f"{path.name} cannot be opened as a DuckDB database: {str(problem).splitlines()[0]}",
            "Close the program that uses it, or check that it is a DuckDB file.",
        ) from None
    finally:
        con.close()
