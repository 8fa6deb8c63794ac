"""Open the tables of a source as raw tables on one in-memory engine.

A raw table holds the rows as they are found: every column under its own name, text when the
file is text, plus the file and the number of each row. What the columns mean is decided in
`features.quality`.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeAlias, TypeVar

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from features.errors import InputError, SchemaError
from features.reading.addresses import DUCKDB, expand, is_postgres, without_secrets
from features.reading.database import (
    attach,
    database_path,
    database_tables,
    pick_table,
)
from features.reading.delimited import FILE, ROW, read_csv
from features.reading.dialect import UNREADABLE, Dialect, open_bytes, sniff
from features.reading.files import (
    PACKED,
    SUFFIXES,
    files_in,
    find_files,
    kind_of,
    shown_path,
    source_folder,
    stem_of,
)
from features.reading.postgres import connect, copy_table, postgres_tables, trouble
from features.reading.values import literal
from features.schema import TABLES, nearest, plain, quote
from features.settings import SourceSettings, TableSettings

if TYPE_CHECKING:
    import psycopg

    Server: TypeAlias = psycopg.Connection[Any]

__all__ = [
    "Moment",
    "RawTable",
    "database_of",
    "enums_to_text",
    "find_tables",
    "one_moment",
    "open_table",
    "raw_columns",
]

_P = ParamSpec("_P")
_T = TypeVar("_T")


@dataclass(frozen=True)
class RawTable:
    """A raw table in the engine.

    Attributes:
        name: Its standard name.
        relation: Its name in the engine, quoted.
        columns: Raw column -> engine type.
        origin: Where it comes from, in words.
        rejects: Quoted name of the table of structurally broken rows, None when there is none.
        notes: What was found out about the files.
    """

    name: str
    relation: str
    columns: Mapping[str, str]
    origin: str
    rejects: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def texts(self) -> dict[str, bool]:
        """Raw column -> whether it holds text."""
        return {column: kind == "VARCHAR" for column, kind in self.columns.items()}


@dataclass(frozen=True)
class Moment:
    """A database that is held open while its tables are read.

    Attributes:
        server: The connection to PostgreSQL, None for another source.
        engine: The engine to which a DuckDB file is attached, None for another source.
    """

    server: Server | None = None
    engine: duckdb.DuckDBPyConnection | None = None


@contextmanager
def one_moment(
    con: duckdb.DuckDBPyConnection, source: SourceSettings, base: Path
) -> Iterator[Moment]:
    """Hold a database, so that all tables that are read in the block are of one moment.

    PostgreSQL answers from one transaction, in which rows that are written meanwhile are not
    seen; a DuckDB file stays open, so that no other program can write to it. Files are read as
    they are when their turn comes.

    Args:
        con: The engine to which the tables will be read.
        source: Where they are.
        base: Folder of the configuration.

    Yields:
        For `find_tables` and `open_table`.

    Raises:
        InputError: The database cannot be reached, or the connection is lost in the block.
    """
    url = _address(source)
    if is_postgres(url):
        with connect(url) as server:
            yield Moment(server=server)
    elif url.startswith(DUCKDB):
        attach(con, database_path(url, base))
        try:
            yield Moment(engine=con)
        finally:
            con.execute("DETACH shop")
    else:
        yield Moment()


def find_tables(
    source: SourceSettings,
    tables: Mapping[str, TableSettings],
    base: Path,
    moment: Moment | None = None,
) -> dict[str, TableSettings]:
    """The tables to read: those configured, and those found under their standard name.

    Args:
        source: Where the tables are.
        tables: Those that are configured.
        base: Folder of the configuration.
        moment: Of `one_moment`; None: a moment of its own.

    Raises:
        SchemaError: A configured table name is no standard table.
    """
    for name in tables:
        if name not in TABLES:
            raise SchemaError(
                f"[tables.{name}] is no table of the data contract.",
                nearest(name, TABLES) or f"Tables: {', '.join(TABLES)}.",
            )
    wanted = {"transactions": tables.get("transactions", TableSettings())}
    if moment is None:
        with duckdb.connect() as con, one_moment(con, source, base) as moment:
            names = _names(source, base, moment)
    else:
        names = _names(source, base, moment)
    for name in TABLES:
        if name in tables or (name != "transactions" and plain(name) in names):
            wanted[name] = tables.get(name, TableSettings())
    return wanted


def _names(source: SourceSettings, base: Path, moment: Moment) -> set[str]:
    """What the tables of a source are called, in plain letters."""
    if moment.server is not None:
        return {plain(table) for _, table in postgres_tables(moment.server)[0]}
    if moment.engine is not None:
        return {plain(table) for _, table in database_tables(moment.engine)}
    return {plain(stem_of(path)) for path in files_in(source_folder(source, base))}


def database_of(source: SourceSettings, base: Path) -> Path | None:
    """The DuckDB file that a source is, None for another kind of source.

    Raises:
        InputError: It is not there.
    """
    url = _address(source)
    return database_path(url, base) if url.startswith(DUCKDB) else None


def _address(source: SourceSettings) -> str:
    url = expand(source.url)
    if "://" in url and not is_postgres(url) and not url.startswith(DUCKDB):
        raise InputError(
            f"The source {without_secrets(url)!r} is of a kind that is not supported.",
            'Use a folder (url = "data"), a DuckDB file (url = "duckdb:///shop.duckdb") or '
            'PostgreSQL (url = "postgresql://host/shop").',
        )
    return url


def raw_columns(path: Path, settings: TableSettings | None = None) -> list[str]:
    """Names of the columns of one CSV or Parquet file, without reading its rows.

    Raises:
        InputError: The file is not there, is of no supported kind, or cannot be read.
    """
    if not path.is_file():
        raise InputError(f"{path} is not there.", "Name a CSV or Parquet file.")
    if kind_of(path) not in SUFFIXES:
        raise InputError(
            f"{path.name} is no file that can be read.",
            f"Supported: {', '.join(SUFFIXES)}, also packed as .gz or .zst.",
        )
    if kind_of(path) not in (".parquet", ".pq"):
        return list(sniff(path, path.name, settings or TableSettings()).columns)
    try:
        if path.suffix.lower() in PACKED:
            with open_bytes(path) as stream:
                return list(pq.read_schema(pa.BufferReader(stream.read())).names)
        return list(pq.read_schema(path).names)
    except UNREADABLE as error:
        raise SchemaError(
            f"{path.name} is no readable Parquet file: {str(error).splitlines()[0]}",
            "Export the file again.",
        ) from None


def open_table(
    con: duckdb.DuckDBPyConnection,
    source: SourceSettings,
    name: str,
    settings: TableSettings,
    base: Path,
    moment: Moment | None = None,
) -> RawTable:
    """Open one table of the source as a raw table.

    Args:
        con: The engine.
        source: Where the table is.
        name: Its standard name.
        settings: Its settings.
        base: Folder of the configuration.
        moment: Of `one_moment`; None: a moment of its own.

    Raises:
        InputError: The file, table or database is not there or cannot be read.
    """
    if moment is None:
        with one_moment(con, source, base) as moment:
            return open_table(con, source, name, settings, base, moment)
    url = _address(source)
    if moment.server is not None:
        return _open_postgres_table(con, moment.server, url, name, settings)
    if moment.engine is not None:
        return _open_database_table(con, database_path(url, base), name, settings, base)
    paths = find_files(source, name, settings, base)
    shown = {path: shown_path(path, base) for path in paths}
    kinds = {"parquet" if kind_of(path) in (".parquet", ".pq") else "csv" for path in paths}
    if len(kinds) > 1:
        raise SchemaError(
            f"[tables.{name}] mixes CSV and Parquet files: {', '.join(shown.values())}.",
            "Narrow `from` so that it takes one kind.",
        )
    if kinds == {"parquet"}:
        return _open_parquet(con, name, shown)
    return _open_csv(con, name, shown, settings)


def _open_csv(
    con: duckdb.DuckDBPyConnection, name: str, shown: Mapping[Path, str], settings: TableSettings
) -> RawTable:
    dialects: dict[Path, Dialect] = {}
    for path, label in shown.items():
        dialects[path] = _whole(label, sniff, path, label, settings)
    columns: dict[str, str] = {}
    spelled: dict[str, str] = {}
    for path, dialect in dialects.items():
        for column in dialect.columns:
            known = spelled.setdefault(column.casefold(), column)
            if known != column:
                raise SchemaError(
                    f"{shown[path]} has a column {column!r}, an earlier file {known!r}.",
                    "Name the columns alike in all files of a table.",
                )
            columns[column] = "VARCHAR"
    _check_reserved(columns, name)
    relation, rejects = quote(f"raw {name}"), quote(f"rejected {name}")
    listed = "".join(f", {quote(column)} VARCHAR" for column in columns)
    con.execute(
        f"CREATE TEMP TABLE {relation} ({quote(FILE)} VARCHAR, {quote(ROW)} BIGINT{listed})"
    )
    con.execute(
        f"CREATE TEMP TABLE {rejects} ({quote(FILE)} VARCHAR, {quote(ROW)} BIGINT, "
        "reason VARCHAR, line VARCHAR)"
    )
    notes: list[str] = []
    for path, dialect in dialects.items():
        _whole(shown[path], read_csv, con, path, shown[path], dialect, relation, rejects)
        notes += [note for note in dialect.notes if note not in notes]
    count = con.execute(f"SELECT count(*) FROM {rejects}").fetchall()[0]  # noqa: S608
    return RawTable(
        name, relation, columns, _origin(shown), rejects if count[0] else None, tuple(notes)
    )


def _whole(label: str, read: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """What `read` gives; an `InputError` where the file proves to be damaged on the way."""
    try:
        return read(*args, **kwargs)
    except UNREADABLE as error:
        raise SchemaError(
            f"{label} cannot be read: {str(error).splitlines()[0] if str(error) else 'damaged'}.",
            "Export it again, or pack it again.",
        ) from None


def _origin(shown: Mapping[Path, str]) -> str:
    names = list(shown.values())
    return names[0] if len(names) == 1 else f"{len(names)} files, {names[0]} to {names[-1]}"


def _check_reserved(columns: Mapping[str, str], name: str) -> None:
    for column in columns:
        if column.casefold() in (FILE, ROW):
            raise SchemaError(
                f"Table {name} has a column {column!r}, a name that is needed for the row's place.",
                "Rename the column in the file.",
            )


def _open_parquet(con: duckdb.DuckDBPyConnection, name: str, shown: Mapping[Path, str]) -> RawTable:
    relation = quote(f"raw {name}")
    parts = []
    with tempfile.TemporaryDirectory(prefix="regulars-") as folder:
        for i, (path, label) in enumerate(shown.items()):
            safe = Path(folder) / f"{i}.parquet"
            try:
                if path.suffix.lower() in PACKED:
                    with open_bytes(path) as stream, safe.open("wb") as out:
                        shutil.copyfileobj(stream, out)
                else:
                    safe.symlink_to(path.resolve())
                con.execute(f"SELECT * FROM read_parquet({literal(str(safe))}) LIMIT 0")  # noqa: S608
            except (duckdb.Error, *UNREADABLE) as error:
                reason = str(error).splitlines()[0].replace(str(safe), label)
                raise SchemaError(
                    f"{label} is no readable Parquet file: {reason}", "Export the file again."
                ) from None
            parts.append(
                f"SELECT {literal(label)} AS {quote(FILE)}, file_row_number + 1 AS {quote(ROW)}, "  # noqa: S608
                f"* EXCLUDE (file_row_number) FROM read_parquet({literal(str(safe))}, "
                "file_row_number = true)"
            )
        _materialise(con, relation, " UNION ALL BY NAME ".join(parts), _origin(shown))
    return _typed(con, name, relation, _origin(shown))


def _materialise(con: duckdb.DuckDBPyConnection, relation: str, select: str, origin: str) -> None:
    try:
        con.execute(f"CREATE TEMP TABLE {relation} AS {select}")
    except duckdb.Error as error:
        raise SchemaError(
            f"{origin} cannot be read: {str(error).splitlines()[0]}", "Export it again."
        ) from None


def enums_to_text(con: duckdb.DuckDBPyConnection, relation: str) -> None:
    """Make the closed lists of a raw table plain text."""
    for name, kind, *_ in con.execute(f"DESCRIBE {relation}").fetchall():
        if kind.startswith("ENUM"):
            con.execute(f"ALTER TABLE {relation} ALTER {quote(name)} TYPE VARCHAR")


def _typed(con: duckdb.DuckDBPyConnection, name: str, relation: str, origin: str) -> RawTable:
    enums_to_text(con, relation)
    described = con.execute(f"DESCRIBE {relation}").fetchall()
    columns = {row[0]: row[1] for row in described if row[0] not in (FILE, ROW)}
    count = con.execute(f"SELECT count(*) FROM {relation}").fetchall()[0]  # noqa: S608
    if count == (0,):
        raise SchemaError(f"{origin} has no rows.", "Export it again with rows.")
    return RawTable(name, relation, columns, origin)


def _open_database_table(
    con: duckdb.DuckDBPyConnection, path: Path, name: str, settings: TableSettings, base: Path
) -> RawTable:
    schema, table = pick_table(database_tables(con), name, settings, path.name)
    label = f"{shown_path(path, base)}:{table}"
    relation = quote(f"raw {name}")
    _materialise(
        con,
        relation,
        f"SELECT {literal(label)} AS {quote(FILE)}, row_number() OVER () AS {quote(ROW)}, * "  # noqa: S608
        f"FROM shop.{quote(schema)}.{quote(table)}",
        label,
    )
    return _typed(con, name, relation, label)


def _open_postgres_table(
    con: duckdb.DuckDBPyConnection, server: Server, url: str, name: str, settings: TableSettings
) -> RawTable:
    import psycopg

    relation = quote(f"raw {name}")
    there, default = postgres_tables(server)
    database = server.info.dbname
    table = pick_table(there, name, settings, f"the database {database}", default)
    label = f"{database}:{'.'.join(table)}"
    try:
        # A table that cannot be read does not end the transaction for the others.
        with server.transaction():
            copy_table(server, con, table, relation, label)
    except psycopg.Error as error:
        if server.closed:
            raise
        raise trouble(error, url, server.info.password) from None
    return _typed(con, name, relation, label)
