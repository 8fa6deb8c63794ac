"""Find and copy the tables of a PostgreSQL database.

Rows stream from the server as text, in which every value is exact, to a private file and from
there into the engine; nothing holds a whole table in memory. What a column is in the engine
follows from its type on the server and, for `numeric`, from the digits that are there. A column
with a value that its type in the engine cannot hold stays text, so that the value is judged, and
its row set aside, as for a file.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from features.errors import InputError
from features.reading.addresses import without_secrets
from features.reading.delimited import FILE, ROW
from features.reading.values import literal
from features.schema import quote

if TYPE_CHECKING:
    import psycopg

__all__ = ["check_store", "connect", "copy_table", "postgres_tables", "trouble"]

_TYPES = {
    "bool": "BOOLEAN",
    "int2": "SMALLINT",
    "int4": "INTEGER",
    "int8": "BIGINT",
    "float4": "FLOAT",
    "float8": "DOUBLE",
    "date": "DATE",
    "timestamp": "TIMESTAMP",
    "timestamptz": "TIMESTAMPTZ",
}
"""Type on the server -> type in the engine; others than these and `numeric` are text."""

_SESSION = {
    # Text that reads the same on every server.
    "datestyle": "ISO, YMD",
    "timezone": "UTC",
    "intervalstyle": "iso_8601",
    "extra_float_digits": "1",
    # Rows in the order in which they are stored: their numbers mean the same at every reading.
    "synchronize_seqscans": "off",
    "max_parallel_workers_per_gather": "0",
    # A snapshot waits while a table that was copied is checked.
    "idle_in_transaction_session_timeout": "0",
}
_DIGITS = 38  # of the engine's widest DECIMAL


@contextmanager
def connect(url: str, *, read_only: bool = True) -> Iterator[psycopg.Connection[Any]]:
    """A connection with one transaction: committed at the end, undone after an error.

    A transaction that only reads sees the database as it was at its first query, whatever is
    written meanwhile. What the address leaves out comes from the environment and the files that
    PostgreSQL's own programs read: PGHOST, PGUSER, PGPASSWORD, PGPASSFILE, PGSERVICE and so on.

    Raises:
        InputError: The driver is missing, the server cannot be reached or does not let us in, or
            an error of the database ends the block. The message holds no credentials.
    """
    try:
        import psycopg
        from psycopg.conninfo import conninfo_to_dict
    except ImportError:
        raise InputError(
            "Reading and writing PostgreSQL needs a driver that is not installed.",
            'Install it with: pip install "regulars[postgres]".',
        ) from None
    try:
        options = conninfo_to_dict(url)
        # A password with a slash in it ends up in the name of the database, and would be shown.
        if "@" in str(options.get("dbname", "")):
            raise psycopg.ProgrammingError
    except psycopg.Error:  # its message may quote the address
        raise InputError(
            "The address of the PostgreSQL database cannot be understood.",
            "Write postgresql://USER@HOST:PORT/DATABASE, special characters percent-encoded, and "
            "give the password in PGPASSWORD.",
        ) from None
    usual = {"connect_timeout": 10, "application_name": "regulars"}
    settings: dict[str, Any] = {**usual, **options, "client_encoding": "UTF8"}
    try:
        # Nothing outlives the transaction, so that a pool of connections may be in between.
        with psycopg.connect(**settings, prepare_threshold=None) as con:
            con.read_only = read_only
            if read_only:
                con.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            for name, value in _SESSION.items():
                con.execute("SELECT set_config(%s, %s, true)", (name, value))
            yield con
    except psycopg.Error as error:
        raise trouble(error, url, settings.get("password")) from None


def check_store(uri: str) -> None:
    """Refuse a PostgreSQL database that does not answer or does not let us in.

    Args:
        uri: As SQLAlchemy takes it, `postgresql+psycopg://HOST/DATABASE`; any other store, or
            another driver than psycopg, is let pass. (MLflow would try for two minutes.)

    Raises:
        InputError: As for `connect`.
    """
    scheme, _, place = uri.partition("://")
    if scheme == "postgresql+psycopg":
        with connect(f"postgresql://{place}"):
            pass


def trouble(error: psycopg.Error, url: str, password: Any = None) -> InputError:
    """What went wrong with a database, in one line, without credentials."""
    text = error.diag.message_primary or str(error).strip() or type(error).__name__
    lines = [line.strip() for line in text.splitlines()]
    line = " ".join(line for line in lines if not line.startswith("Is the server running"))
    if password:
        line = line.replace(str(password), "***")
    state = error.sqlstate or ""
    if "certificate" in line:
        hint = (
            "Check sslmode and sslrootcert: the file must hold who signed the server's certificate."
        )
    elif state == "42501":
        hint = "Ask for that right, or use a role that has it."
    elif state[:2] in ("08", "28", "57", "3D", ""):
        hint = "Check address, role and password (PGPASSWORD), and that the server is up."
    elif state[:2] == "40":
        hint = "Another transaction was in the way; run the command again."
    elif state[:2] == "53":
        hint = "The server is out of room, memory or connections; nothing was changed."
    else:
        hint = "Nothing was changed."
    return InputError(f"The database {without_secrets(url)}: {line}", hint)


def postgres_tables(con: psycopg.Connection[Any]) -> tuple[list[tuple[str, str]], str]:
    """Schema and name of every table and view that may be read, and the schema used by default."""
    rows = con.execute(
        "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE c.relkind IN ('r', 'v', 'm', 'p', 'f') AND n.nspname <> 'information_schema' "
        "AND n.nspname !~ '^pg_' AND has_schema_privilege(n.oid, 'USAGE') "
        "AND has_table_privilege(c.oid, 'SELECT') ORDER BY 1, 2"
    ).fetchall()
    default = con.execute("SELECT coalesce(current_schema(), 'public')").fetchall()[0][0]
    return [(str(schema), str(table)) for schema, table in rows], str(default)


def copy_table(
    con: psycopg.Connection[Any],
    engine: duckdb.DuckDBPyConnection,
    table: tuple[str, str],
    relation: str,
    label: str,
) -> None:
    """Copy a table to the engine, with the label and number of each row, in stored order.

    Args:
        con: Of `connect`.
        engine: Where to.
        table: Schema and name.
        relation: Quoted name of the temporary table that is made.
        label: Where the rows come from, for the quarantine.

    Raises:
        InputError: There is no room for the rows, or they cannot be read as UTF-8.
    """
    from psycopg import sql

    every = sql.SQL("SELECT * FROM {}").format(sql.Identifier(*table))
    with con.cursor() as cursor:
        cursor.execute(sql.SQL("{} LIMIT 0").format(every))
        kinds = {column.name: _kind(con, column.type_code) for column in cursor.description or ()}
        command = sql.SQL("COPY ({}) TO STDOUT (FORMAT csv, FORCE_QUOTE *)").format(every)
        try:
            with tempfile.TemporaryDirectory(prefix="regulars-") as folder:
                path = Path(folder) / "rows.csv"
                with path.open("wb", buffering=1 << 20) as file, cursor.copy(command) as rows:
                    for row in rows:
                        file.write(row)
                _load(engine, path, kinds, relation, label)
        except (OSError, duckdb.Error) as error:
            reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
            raise InputError(
                f"{label} cannot be copied: {reason}",
                "Check the room in the folder for temporary files (TMPDIR), and that the text of "
                "the database is valid in its encoding.",
            ) from None


def _kind(con: psycopg.Connection[Any], oid: int) -> str:
    found = con.adapters.types.get(oid)
    return "text" if found is None or found.array_oid == oid else found.name


def _load(
    engine: duckdb.DuckDBPyConnection,
    path: Path,
    kinds: dict[str, str],
    relation: str,
    label: str,
) -> None:
    # Every value is in quotes, so that an empty text is told from a missing one.
    named = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in kinds)
    source = (
        f"read_csv({literal(str(path))}, columns = {{{named}}}, header = false, "
        "auto_detect = false, delim = ',', quote = '\"', escape = '\"', new_line = '\\n', "
        "nullstr = '', allow_quoted_nulls = false, max_line_size = 8388608, buffer_size = 33554432)"
    )
    types = _types(engine, source, kinds)
    listed = "".join(
        f", {quote(n)}" if t == "VARCHAR" else f", CAST({quote(n)} AS {t}) AS {quote(n)}"
        for n, t in types.items()
    )
    engine.execute(
        f"CREATE TEMP TABLE {relation} AS SELECT {literal(label)} AS {quote(FILE)}, "  # noqa: S608
        f"row_number() OVER () AS {quote(ROW)}{listed} FROM {source}"
    )


def _types(engine: duckdb.DuckDBPyConnection, source: str, kinds: dict[str, str]) -> dict[str, str]:
    """Column -> the type in the engine that holds all its values exactly."""
    types = {name: _TYPES.get(kind, "VARCHAR") for name, kind in kinds.items()}
    asked: list[str] = []
    for name, kind in kinds.items():
        column = quote(name)
        if kind == "numeric":
            bare = f"ltrim({column}, '-')"
            asked.append(f"bool_and({column} NOT IN ('NaN', 'Infinity', '-Infinity'))")
            asked.append(f"max(length(split_part({bare}, '.', 1)))")
            asked.append(f"max(length(split_part({bare}, '.', 2)))")
        elif types[name] != "VARCHAR":
            asked.append(
                f"bool_and({column} IS NULL OR TRY_CAST({column} AS {types[name]}) IS NOT NULL)"
            )
    if not asked:
        return types
    answers = iter(engine.execute(f"SELECT {', '.join(asked)} FROM {source}").fetchall()[0])  # noqa: S608
    for name, kind in kinds.items():
        if kind == "numeric":
            finite, whole, scale = next(answers), next(answers), next(answers)
            types[name] = _number(finite, whole, scale)
        elif types[name] != "VARCHAR" and next(answers) is False:
            types[name] = "VARCHAR"
    return types


def _number(finite: bool | None, whole: int | None, scale: int | None) -> str:
    """The type of a numeric column from the digits before and after the point.

    >>> _number(True, 5, 2), _number(True, 30, 4), _number(False, 3, 2), _number(None, None, None)
    ('DECIMAL(18,2)', 'DECIMAL(38,4)', 'DOUBLE', 'DECIMAL(18,0)')
    """
    whole, scale = whole or 0, scale or 0
    if finite is False or whole + scale > _DIGITS:
        return "DOUBLE"
    return f"DECIMAL({18 if whole + scale <= 18 else _DIGITS},{scale})"
