"""Write the scored list to a table of a database: a row a customer, day and pair of models.

A target is the address of a database with the table as an option:

- `postgresql://HOST/DATABASE?table=SCHEMA.TABLE`
- `duckdb:///FILE?table=SCHEMA.TABLE`

Schema and table are made if they are not there. Everything is written in one transaction: rows go
to a staging table first, and from there in one statement to their place, where a row with the
same key is replaced. Readers see the table as it was before or as it is after, never in between,
and writing the same list twice is writing it once. Rows under other keys stay.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from features.errors import InputError
from features.reading.addresses import (
    DUCKDB,
    expand,
    is_postgres,
    split_option,
    without_secrets,
)
from features.reading.postgres import connect
from features.schema import quote
from serving.scored import SCORED_DTYPES

if TYPE_CHECKING:
    import psycopg

__all__ = [
    "KEY",
    "Target",
    "check_target",
    "copy_text",
    "parse_target",
    "write_scores",
    "writing_scores",
]

KEY = ("customer_id", "as_of", "churn_model", "clv_model")
"""What a row is known by."""

# A day is a day, whatever the time zone of who reads it.
_KINDS = {"str": "text", "float64": "double precision", "datetime64[us]": "date"}
_BLOCK = 50_000  # rows on their way to the server at once
_MEMORY = "1GB"  # of the engine that writes a file; what does not fit goes to disk beside it
_STAGING = "regulars_staging"
_FORM = "Write postgresql://HOST/DATABASE?table=SCHEMA.TABLE or duckdb:///FILE?table=SCHEMA.TABLE."


@dataclass(frozen=True)
class Target:
    """A table of a database.

    Attributes:
        url: Address of the database; it may hold a password, and is not shown.
        schema: The schema.
        table: The table.
        columns: Those of the list that goes there, names of `SCORED_DTYPES`.
        key: What a row is known by.
    """

    url: str = field(repr=False)
    schema: str
    table: str
    columns: tuple[str, ...] = tuple(SCORED_DTYPES)
    key: tuple[str, ...] = KEY

    @property
    def types(self) -> dict[str, str]:
        """Column -> type in the database."""
        return {name: _KINDS[SCORED_DTYPES[name]] for name in self.columns}

    @property
    def shown(self) -> str:
        """What messages may show."""
        return f"{self.schema}.{self.table} of {without_secrets(self.url)}"

    @property
    def relation(self) -> str:
        """The quoted name."""
        return f"{quote(self.schema)}.{quote(self.table)}"


def parse_target(
    text: str, columns: Sequence[str] = tuple(SCORED_DTYPES), key: Sequence[str] = KEY
) -> Target:
    """Understand an address with a table; `${NAME}` is taken from the environment.

    Args:
        text: The address.
        columns: Those of the list that goes there, names of `SCORED_DTYPES`.
        key: What a row is known by.

    >>> parse_target("duckdb:///scores.duckdb?table=crm.scores").shown
    'crm.scores of duckdb:///scores.duckdb'
    >>> parse_target("postgresql://ann:secret@db/shop?table=scores").shown
    'public.scores of postgresql://db/shop'

    Raises:
        InputError: It is of no kind that can be written to, or names no table.
    """
    url, table = split_option(expand(text), "table")
    if not is_postgres(url) and not url.startswith(DUCKDB):
        raise InputError(f"{without_secrets(url)!r} is no database to write to.", _FORM)
    if url.startswith(DUCKDB) and "?" in url:
        raise InputError("A DuckDB address has no option but table.", _FORM)
    schema, dot, name = (table or "").rpartition(".")
    if not name or (dot and not schema):
        raise InputError(f"{without_secrets(url)!r} does not say which table.", _FORM)
    schema = schema or ("public" if is_postgres(url) else "main")
    return Target(url, schema, name, tuple(columns), tuple(key))


def check_target(target: Target) -> None:
    """Refuse a table that could not be written to, before long work is done for it.

    Raises:
        InputError: As for `write_scores`; what happens to the database later cannot be foreseen.
    """
    if is_postgres(target.url):
        with connect(target.url) as con:
            _check_columns(target, _postgres_columns(con, target))
        return
    path = _duckdb_file(target)
    if path.exists():
        with _open_duckdb(path) as con:
            _check_columns(target, _duckdb_columns(con, target))


def write_scores(frame: pd.DataFrame, target: Target) -> int:
    """Write a scored list to its table, all of it or nothing.

    Args:
        frame: As for `writing_scores`.
        target: Where to.

    Returns:
        Number of rows written.

    Raises:
        InputError: As for `writing_scores`.
    """
    with writing_scores(target) as write:
        write(frame)
    return len(frame)


def writing_scores(target: Target) -> AbstractContextManager[Callable[[pd.DataFrame], None]]:
    """Write a scored list to its table block by block, all of it or nothing.

    Args:
        target: Where to.

    Returns:
        A context that gives what takes the blocks: the target's columns.
        `as_of` and `next_purchase_date` are written as dates, what is missing as NULL. The rows
        are there when the context ends without an error.

    Raises:
        InputError: The database cannot be reached or written to, or the table has other columns.
            The table is as it was.
    """
    return _writing_postgres(target) if is_postgres(target.url) else _writing_duckdb(target)


@contextmanager
def _writing_postgres(target: Target) -> Iterator[Callable[[pd.DataFrame], None]]:
    from psycopg import sql

    place = sql.Identifier(target.schema, target.table)
    columns = sql.SQL(", ").join(map(sql.Identifier, target.types))
    with connect(target.url, read_only=False) as con:
        # Two that write for the first time at once would both make the table.
        con.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (target.relation,))
        found = _postgres_columns(con, target)
        _check_columns(target, found)
        if not found:
            _make_postgres(con, target)
        con.execute(
            sql.SQL("CREATE TEMP TABLE {} ({}) ON COMMIT DROP").format(
                sql.Identifier(_STAGING), sql.SQL(_listed(target))
            )
        )
        command = sql.SQL("COPY pg_temp.{} ({}) FROM STDIN").format(
            sql.Identifier(_STAGING), columns
        )
        with con.cursor() as cursor, cursor.copy(command) as copy:

            def write(frame: pd.DataFrame) -> None:
                for block in _blocks(frame, target):
                    copy.write(copy_text(block))

            yield write
        con.execute(
            sql.SQL(
                "INSERT INTO {place} ({columns}) SELECT {columns} FROM pg_temp.{staging} "
                "ON CONFLICT ({key}) DO UPDATE SET {changes}"
            ).format(
                place=place,
                columns=columns,
                staging=sql.Identifier(_STAGING),
                key=sql.SQL(", ").join(map(sql.Identifier, target.key)),
                changes=sql.SQL(_changes(target)),
            )
        )


def _make_postgres(con: psycopg.Connection[Any], target: Target) -> None:
    from psycopg import sql

    # Asked first: "if not exists" needs the right to make one, even where there is one.
    there = con.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", (target.schema,))
    if not there.fetchall():
        con.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(target.schema)))
    con.execute(
        sql.SQL("CREATE TABLE {} ({}, PRIMARY KEY ({}))").format(
            sql.Identifier(target.schema, target.table),
            sql.SQL(_listed(target)),
            sql.SQL(", ").join(map(sql.Identifier, target.key)),
        )
    )


def _postgres_columns(con: psycopg.Connection[Any], target: Target) -> dict[str, str]:
    rows = con.execute(
        "SELECT a.attname, format_type(a.atttypid, NULL) FROM pg_attribute a "
        "JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE n.nspname = %s AND c.relname = %s AND a.attnum > 0 AND NOT a.attisdropped",
        (target.schema, target.table),
    ).fetchall()
    return {str(name): str(kind) for name, kind in rows}


@contextmanager
def _writing_duckdb(target: Target) -> Iterator[Callable[[pd.DataFrame], None]]:
    with _open_duckdb(_duckdb_file(target)) as con:
        try:
            con.execute("BEGIN")
            found = _duckdb_columns(con, target)
            _check_columns(target, found)
            if not found:
                con.execute(f"CREATE SCHEMA IF NOT EXISTS {quote(target.schema)}")
                key = ", ".join(map(quote, target.key))
                con.execute(
                    f"CREATE TABLE {target.relation} ({_listed(target)}, PRIMARY KEY ({key}))"
                )
            con.execute(f"CREATE TEMP TABLE {quote(_STAGING)} ({_listed(target)})")
            columns = ", ".join(map(quote, target.types))

            def write(frame: pd.DataFrame) -> None:
                for block in _blocks(frame, target):
                    con.register("regulars_block", block)
                    con.execute(
                        f"INSERT INTO {quote(_STAGING)} SELECT {columns} FROM regulars_block"  # noqa: S608
                    )
                    con.unregister("regulars_block")

            yield write
            con.execute(
                f"INSERT INTO {target.relation} ({columns}) SELECT {columns} "  # noqa: S608
                f"FROM {quote(_STAGING)} ON CONFLICT ({', '.join(map(quote, target.key))}) "
                f"DO UPDATE SET {_changes(target)}"
            )
            con.execute(f"DROP TABLE {quote(_STAGING)}")
            con.execute("COMMIT")
        except duckdb.Error as error:
            raise InputError(
                f"Cannot write {target.shown}: {str(error).splitlines()[0]}", "Nothing was changed."
            ) from None


def _duckdb_file(target: Target) -> Path:
    path = Path(target.url.removeprefix(DUCKDB))
    if not path.resolve().parent.is_dir():
        raise InputError(
            f"Cannot write {target.shown}: there is no folder {path.parent}.",
            "Make the folder first, or choose another place.",
        )
    return path


def _open_duckdb(path: Path) -> duckdb.DuckDBPyConnection:
    try:
        con = duckdb.connect(str(path), config={"memory_limit": _MEMORY})
        # It would be drawn into what the command prints.
        con.execute("SET enable_progress_bar = false")
        in_file = con.execute(
            "SELECT path FROM duckdb_databases() WHERE database_name = current_database()"
        ).fetchone()
    except duckdb.Error as error:
        raise InputError(
            f"{path.name} cannot be opened as a DuckDB database: {str(error).splitlines()[0]}",
            "Close the program that uses it, or check that it is a DuckDB file.",
        ) from None
    if in_file is None or in_file[0] is None:  # the engine opens a CSV file, too, but in memory
        con.close()
        raise InputError(
            f"{path.name} is no DuckDB database.", "Name a DuckDB file, or one that is not there."
        )
    return con


def _duckdb_columns(con: duckdb.DuckDBPyConnection, target: Target) -> dict[str, str]:
    rows = con.execute(
        "SELECT column_name, data_type FROM duckdb_columns() WHERE schema_name = $1 "
        "AND table_name = $2 AND database_name = current_database()",
        [target.schema, target.table],
    ).fetchall()
    names = {"VARCHAR": "text", "DOUBLE": "double precision", "DATE": "date"}
    return {str(name): names.get(str(kind), str(kind).lower()) for name, kind in rows}


def _check_columns(target: Target, found: Mapping[str, str]) -> None:
    """Refuse a table that is there, but not for scores."""
    if not found:
        return
    wrong = [
        f"{name} ({found[name]} instead of {kind})" if name in found else f"{name} (absent)"
        for name, kind in target.types.items()
        if found.get(name) != kind
    ]
    if wrong:
        raise InputError(
            f"The table {target.shown} is there with other columns: {', '.join(wrong[:5])}"
            f"{f' and {len(wrong) - 5} more' if len(wrong) > 5 else ''}.",
            "Name a table that is not there yet; it will be made.",
        )


def _listed(target: Target) -> str:
    return ", ".join(
        f"{quote(name)} {kind}{' NOT NULL' if name in (*target.key, 'status') else ''}"
        for name, kind in target.types.items()
    )


def _changes(target: Target) -> str:
    return ", ".join(
        f"{quote(n)} = EXCLUDED.{quote(n)}" for n in target.types if n not in target.key
    )


def _blocks(frame: pd.DataFrame, target: Target) -> Iterator[pa.Table]:
    kinds = {"text": pa.string(), "double precision": pa.float64(), "date": pa.date32()}
    schema = pa.schema([(name, kinds[kind]) for name, kind in target.types.items()])
    for start in range(0, len(frame), _BLOCK):
        block = frame.iloc[start : start + _BLOCK]
        yield pa.Table.from_pandas(block[list(target.types)], schema=schema, preserve_index=False)


def copy_text(block: pa.Table) -> bytes:
    r"""A block in the text format of COPY: exact for every number and every text.

    >>> table = pa.table({"a": ["x\ty", None], "b": [0.1, float("inf")]})
    >>> print(copy_text(table).decode().replace("\t", " | "), end="")
    x\ty | 0.1
    \N | inf
    """
    columns = []
    for column in block.columns:
        text = column.cast(pa.string())
        if pa.types.is_string(column.type):
            for plain, escaped in (("\\", r"\\"), ("\t", r"\t"), ("\n", r"\n"), ("\r", r"\r")):
                text = pc.replace_substring(text, plain, escaped)
        columns.append(text.fill_null(r"\N"))
    lines = pc.binary_join_element_wise(*columns, "\t").to_pylist()
    return "".join(f"{line}\n" for line in lines).encode()
