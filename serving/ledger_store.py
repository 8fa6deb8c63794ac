"""One way to write and read the tables of the score ledger, in a DuckDB file or in PostgreSQL.

A store is open for one transaction: all of it happens, or nothing. A DuckDB file is open to one
program that writes at a time, so a store that is in use is waited for.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pacsv

from features.errors import InputError
from features.progress import note
from features.reading.addresses import DUCKDB, is_postgres, without_secrets
from features.reading.postgres import connect
from features.schema import quote
from serving.database import copy_text

if TYPE_CHECKING:
    import psycopg

__all__ = ["WAIT_SECONDS", "Store", "opened"]

WAIT_SECONDS = 60.0
"""How long a file that another program has open is waited for."""

_PAUSE = 0.2
_writing = threading.Lock()
_MEMORY = "512MB"  # of the engine that reads and writes a file; what does not fit goes to disk
_STAGING = "regulars_staging"
_BROKEN = (
    OSError,
    duckdb.IOException,
    duckdb.SerializationException,
    duckdb.FatalException,
    duckdb.InternalException,
)
_ARROW = {
    "text": pa.string(),
    "integer": pa.int32(),
    "bigint": pa.int64(),
    "boolean": pa.bool_(),
    "double precision": pa.float64(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us"),
}
_DUCKDB_NAMES = {
    "VARCHAR": "text",
    "DOUBLE": "double precision",
    "INTEGER": "integer",
    "BIGINT": "bigint",
    "BOOLEAN": "boolean",
    "DATE": "date",
    "TIMESTAMP": "timestamp",
}


class Store(Protocol):
    """Tables of one schema, for one transaction."""

    def relation(self, table: str) -> str:
        """The quoted name of a table."""

    def has(self, table: str) -> bool:
        """Whether the table is there."""

    def make(self, table: str, columns: Mapping[str, str], key: Sequence[str]) -> None:
        """Make a table, and the schema, where they are not there."""

    def check(self, table: str, columns: Mapping[str, str]) -> None:
        """Refuse a table that is there with other columns."""

    def run(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run a statement with `?` for each value, and return its rows."""

    def add(
        self,
        table: str,
        columns: Mapping[str, str],
        key: Sequence[str],
        blocks: Iterable[pa.Table],
        *,
        replace: bool = True,
    ) -> None:
        """Put rows in the place of those with the same key; no replacing where there are none."""

    def frame(
        self, table: str, columns: Sequence[str], where: tuple[str, int] | None = None
    ) -> pd.DataFrame:
        """Read columns of a table, of the rows with one value of a column only."""


@contextmanager
def opened(
    url: str, schema: str, *, write: bool = False, make: bool = True, wait: float | None = None
) -> Iterator[Store | None]:
    """Open a store for one transaction, which an error undoes.

    Args:
        url: Address of the database.
        schema: The schema of its tables.
        write: Whether anything is written.
        make: Whether a file that is not there is made, if something is written.
        wait: Seconds to wait for a file that is in use; `WAIT_SECONDS` when left out.

    Yields:
        The store; None for a file that is not there and is not to be made.

    Raises:
        InputError: It cannot be opened, read or written to.
    """
    if is_postgres(url):
        with connect(url, read_only=not write) as con:
            yield _Postgres(con, url, schema)
        return
    path = Path(url.removeprefix(DUCKDB))
    if not path.exists() and not (write and make):
        yield None
        return
    # The file's own lock keeps other programs out, and not other threads of this one.
    with _writing if write else nullcontext():
        file = _open_file(path, write=write, wait=WAIT_SECONDS if wait is None else wait)
        try:
            file.execute("BEGIN")
            yield _File(file, path, schema)
            file.execute("COMMIT")
        except (duckdb.Error, OSError) as error:
            raise _trouble(path, error) from None
        finally:
            file.close()


def _open_file(path: Path, *, write: bool, wait: float) -> duckdb.DuckDBPyConnection:
    if not path.resolve().parent.is_dir():
        raise InputError(
            f"There is no folder {path.parent} for the score ledger.",
            "Make the folder, or correct score_ledger under [monitor].",
        )
    until, said = time.monotonic() + wait, False
    while True:
        try:
            con = duckdb.connect(str(path), read_only=not write, config={"memory_limit": _MEMORY})
            con.execute("SET enable_progress_bar = false")
            con.execute("SET preserve_insertion_order = false")
            return con
        except duckdb.Error as error:
            if "lock" not in str(error).lower() and "different configuration" not in str(error):
                raise _trouble(path, error) from None
            if time.monotonic() >= until:
                raise InputError(
                    f"The score ledger {path} is in use by another program, and still was after "
                    f"{wait:.0f} seconds.",
                    "Close the program that has it open, and run the command again.",
                ) from None
            if not said:
                note(f"Waiting for another program to close the score ledger {path}.")
                said = True
            time.sleep(_PAUSE)


def _trouble(path: Path, error: Exception) -> InputError:
    line = (str(error).splitlines() or [type(error).__name__])[0]
    if isinstance(error, duckdb.IOException | OSError) and "space" in line.lower():
        return InputError(
            f"The score ledger {path} cannot be written: {line}",
            "Make room on the disk and run the command again; the ledger is as it was.",
        )
    if isinstance(error, _BROKEN):
        return InputError(
            f"The score ledger {path} cannot be read or written: {line}",
            "Check that it is a DuckDB file of this version that you may write to. If it is "
            "damaged, bring back a copy, or move it away: a new one is begun, and only what was "
            "recorded of earlier lists is missing.",
        )
    return InputError(f"The score ledger {path}: {line}", "Nothing was changed in it.")


def _refuse(place: str, table: str, columns: Mapping[str, str], found: Mapping[str, str]) -> None:
    wrong = [
        f"{name} ({found[name]} instead of {kind})" if name in found else f"{name} (absent)"
        for name, kind in columns.items()
        if found.get(name) != kind
    ]
    if wrong:
        more = f" and {len(wrong) - 5} more" if len(wrong) > 5 else ""
        raise InputError(
            f"The table {table} of {place} is no table of this version's score ledger: "
            f"{', '.join(wrong[:5])}{more}.",
            "Name another file or schema under [monitor] score_ledger; it will be made.",
        )


def _listed(columns: Mapping[str, str], key: Sequence[str]) -> str:
    return ", ".join(
        f"{quote(name)} {kind}{' NOT NULL' if name in key else ''}"
        for name, kind in columns.items()
    )


def _names(columns: Iterable[str]) -> str:
    return ", ".join(map(quote, columns))


class _File:
    """A DuckDB file. One program writes at a time, so that keys need no index to be kept."""

    def __init__(self, con: duckdb.DuckDBPyConnection, path: Path, schema: str) -> None:
        self._con, self._path, self._schema = con, path, schema

    def relation(self, table: str) -> str:
        return f"{quote(self._schema)}.{quote(table)}"

    def _columns(self, table: str) -> dict[str, str]:
        rows = self.run(
            "SELECT column_name, data_type FROM duckdb_columns() WHERE schema_name = ? "
            "AND table_name = ? AND database_name = current_database()",
            [self._schema, table],
        )
        return {str(name): _DUCKDB_NAMES.get(str(kind), str(kind).lower()) for name, kind in rows}

    def has(self, table: str) -> bool:
        return bool(self._columns(table))

    def make(self, table: str, columns: Mapping[str, str], key: Sequence[str]) -> None:
        self.run(f"CREATE SCHEMA IF NOT EXISTS {quote(self._schema)}")
        self.run(f"CREATE TABLE IF NOT EXISTS {self.relation(table)} ({_listed(columns, key)})")
        self.check(table, columns)

    def check(self, table: str, columns: Mapping[str, str]) -> None:
        _refuse(str(self._path), table, columns, self._columns(table))

    def run(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        return self._con.execute(statement, list(values)).fetchall()

    def add(
        self,
        table: str,
        columns: Mapping[str, str],
        key: Sequence[str],
        blocks: Iterable[pa.Table],
        *,
        replace: bool = True,
    ) -> None:
        place, names = self.relation(table), _names(columns)
        same = " AND ".join(f"old.{quote(name)} = new.{quote(name)}" for name in key)
        for block in blocks:
            self._con.register(_STAGING, block)
            if replace:
                self.run(f"DELETE FROM {place} old USING {_STAGING} new WHERE {same}")  # noqa: S608
            self.run(f"INSERT INTO {place} ({names}) SELECT {names} FROM {_STAGING}")  # noqa: S608
            self._con.unregister(_STAGING)

    def frame(
        self, table: str, columns: Sequence[str], where: tuple[str, int] | None = None
    ) -> pd.DataFrame:
        statement = f"SELECT {_names(columns)} FROM {self.relation(table)}"  # noqa: S608
        if where is not None:
            statement += f" WHERE {quote(where[0])} = ?"
        values = [] if where is None else [where[1]]
        found: pd.DataFrame = self._con.sql(statement, params=values).to_arrow_table().to_pandas()
        return found


class _Postgres:
    """A schema of a PostgreSQL database."""

    def __init__(self, con: psycopg.Connection[Any], url: str, schema: str) -> None:
        self._con, self._url, self._schema = con, url, schema

    def relation(self, table: str) -> str:
        return f"{quote(self._schema)}.{quote(table)}"

    def _columns(self, table: str) -> dict[str, str]:
        rows = self.run(
            "SELECT a.attname, format_type(a.atttypid, NULL) FROM pg_attribute a "
            "JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace "
            "WHERE n.nspname = ? AND c.relname = ? AND a.attnum > 0 AND NOT a.attisdropped",
            [self._schema, table],
        )
        names = {"timestamp without time zone": "timestamp"}
        return {str(name): names.get(str(kind), str(kind)) for name, kind in rows}

    def has(self, table: str) -> bool:
        return bool(self._columns(table))

    def make(self, table: str, columns: Mapping[str, str], key: Sequence[str]) -> None:
        # Two that write for the first time at once would both make the table.
        self.run("SELECT pg_advisory_xact_lock(hashtextextended(?, 0))", [self.relation("lists")])
        if not self.has(table):
            # Asked first: "if not exists" needs the right to make one, even where there is one.
            if not self.run("SELECT 1 FROM pg_namespace WHERE nspname = ?", [self._schema]):
                self.run(f"CREATE SCHEMA IF NOT EXISTS {quote(self._schema)}")
            self.run(
                f"CREATE TABLE {self.relation(table)} "
                f"({_listed(columns, key)}, PRIMARY KEY ({_names(key)}))"
            )
        self.check(table, columns)

    def check(self, table: str, columns: Mapping[str, str]) -> None:
        place = f"the schema {self._schema} of {without_secrets(self._url)}"
        _refuse(place, table, columns, self._columns(table))

    def run(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        text = statement.replace("%", "%%").replace("?", "%s")
        cursor = self._con.execute(text.encode(), list(values))
        return cursor.fetchall() if cursor.description else []

    def add(
        self,
        table: str,
        columns: Mapping[str, str],
        key: Sequence[str],
        blocks: Iterable[pa.Table],
        *,
        replace: bool = True,
    ) -> None:
        names = _names(columns)
        self.run(f"CREATE TEMP TABLE {_STAGING} ({_listed(columns, key)}) ON COMMIT DROP")
        command = f"COPY pg_temp.{_STAGING} ({names}) FROM STDIN".encode()
        with self._con.cursor() as cursor, cursor.copy(command) as copy:
            for block in blocks:
                copy.write(copy_text(block))
        statement = f"INSERT INTO {self.relation(table)} ({names}) SELECT {names} FROM {_STAGING}"  # noqa: S608
        if replace:
            changed = (quote(name) for name in columns if name not in key)
            changes = ", ".join(f"{name} = EXCLUDED.{name}" for name in changed)
            statement += f" ON CONFLICT ({_names(key)}) DO UPDATE SET {changes}"
        self.run(statement)
        self.run(f"DROP TABLE pg_temp.{_STAGING}")

    def frame(
        self, table: str, columns: Sequence[str], where: tuple[str, int] | None = None
    ) -> pd.DataFrame:
        # As text, in which every number is exact, through a file: rows as Python objects would
        # take a hundred times the memory.
        types = self._columns(table)
        chosen = f"SELECT {_names(columns)} FROM {self.relation(table)}"  # noqa: S608
        if where is not None:
            chosen += f" WHERE {quote(where[0])} = {int(where[1])}"
        command = f"COPY ({chosen}) TO STDOUT (FORMAT csv, HEADER true, FORCE_QUOTE *)".encode()
        with tempfile.TemporaryFile() as file:
            with self._con.cursor() as cursor, cursor.copy(command) as copy:
                for part in copy:
                    file.write(part)
            file.seek(0)
            found: pa.Table = pacsv.read_csv(
                file,
                parse_options=pacsv.ParseOptions(newlines_in_values=True),
                convert_options=pacsv.ConvertOptions(
                    column_types={name: _ARROW[types[name]] for name in columns},
                    null_values=[""],
                    strings_can_be_null=True,
                    quoted_strings_can_be_null=False,
                    true_values=["t"],
                    false_values=["f"],
                ),
            )
        frame: pd.DataFrame = found.to_pandas()
        return frame
