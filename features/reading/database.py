"""Find the tables of a database; a DuckDB file is opened for reading only."""

from pathlib import Path

import duckdb

from features.errors import InputError
from features.reading.addresses import DUCKDB
from features.reading.values import literal
from features.schema import TABLES, nearest, plain
from features.settings import TableSettings

__all__ = [
    "attach",
    "database_path",
    "database_tables",
    "pick_table",
]


def database_path(url: str, base: Path) -> Path:
    """The file that a `duckdb:///` address names; an `InputError` when it is not there."""
    path = base / url.removeprefix(DUCKDB)
    if not path.is_file():
        raise InputError(
            f"The database {url!r} is not there (looked for {path}).",
            "Correct [source] url; duckdb:///shop.duckdb is relative to regulars.toml.",
        )
    return path


def attach(con: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Attach the file as `shop`, for reading only."""
    try:
        con.execute(f"ATTACH {literal(str(path))} AS shop (READ_ONLY)")
    except duckdb.Error as error:
        raise InputError(
            f"{path.name} cannot be opened as a DuckDB database: {str(error).splitlines()[0]}",
            "Close the program that writes to it, or check that it is a DuckDB file.",
        ) from None


def database_tables(con: duckdb.DuckDBPyConnection) -> list[tuple[str, str]]:
    """Schema and name of every table and view of `shop`."""
    rows = con.execute(
        "SELECT table_schema, table_name FROM information_schema.tables "
        "WHERE table_catalog = 'shop' ORDER BY ALL"
    ).fetchall()
    return [(str(schema), str(table)) for schema, table in rows]


def pick_table(
    there: list[tuple[str, str]],
    name: str,
    settings: TableSettings,
    database: str,
    default: str = "main",
) -> tuple[str, str]:
    """The table that `from` names, or that is named like the standard table.

    Args:
        there: Schema and name of the tables there are.
        name: The standard table.
        settings: Its settings.
        database: What messages call the database.
        default: The schema that need not be named.

    Raises:
        InputError: There is none, or it is not clear which one.
    """
    names = [table if schema == default else f"{schema}.{table}" for schema, table in there]
    listed = ", ".join(names[:10]) or "none"
    if settings.from_ is not None:
        for entry, shown in zip(there, names, strict=True):
            if settings.from_ in (shown, ".".join(entry)):
                return entry
        raise InputError(
            f"[tables.{name}] from = {settings.from_!r}: no such table in {database}.",
            nearest(settings.from_, names) or f"Tables there: {listed}.",
        )
    for group in ({plain(name)}, set(TABLES[name].aliases)):
        found = [entry for entry in there if plain(entry[1]) in group]
        if len(found) == 1:
            return found[0]
        if found:
            break
    if len(there) == 1 and name == "transactions":
        return there[0]
    raise InputError(
        f"No one table of {database} is clearly {name}: found {listed}.",
        f'Name it in regulars.toml: [tables.{name}] from = "...".',
    )
