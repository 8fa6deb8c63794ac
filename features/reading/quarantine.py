"""Keep the rows that were set aside, with their place and the reason."""

import json
import re
from itertools import islice
from pathlib import Path

import duckdb

from features.aside import written_aside
from features.errors import InputError
from features.reading.delimited import FILE, ROW
from features.reading.values import literal
from features.schema import quote
from features.source import RawTable

__all__ = ["WIDEST", "write_quarantine"]

WIDEST = 1_000
"""Columns of a raw row that are kept with it."""


def write_quarantine(
    con: duckdb.DuckDBPyConnection, raw: RawTable, typed: str, folder: Path
) -> None:
    """Write the rows set aside, raw columns as text, whole or not at all.

    Of a very wide table only the first `WIDEST` columns are written; source file and row number
    lead to the rest.
    """
    own = {"source_file", "row_number", "reason", "raw_line"}
    columns = "".join(
        f", CAST({quote(c)} AS VARCHAR) AS {quote(c + ' (raw)' if c.lower() in own else c)}"
        for c in islice(raw.columns, WIDEST)
    )
    place = f"{quote(FILE)} AS source_file, {quote(ROW)} AS row_number"
    select = (
        f"SELECT {place}, reason{columns} FROM {raw.relation} JOIN "  # noqa: S608
        f"(SELECT {quote(FILE)}, {quote(ROW)}, reason AS {quote('set aside')} FROM {typed} "
        f"WHERE reason IS NOT NULL) USING ({quote(FILE)}, {quote(ROW)})"
    ).replace(", reason,", f", {quote('set aside')} AS reason,", 1)
    if raw.rejects is not None:
        select += f" UNION ALL BY NAME SELECT {place}, reason, line AS raw_line FROM {raw.rejects}"  # noqa: S608
    target = folder / f"{raw.name}.parquet"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with written_aside(target) as aside:
            con.execute(
                f"COPY ({select} ORDER BY source_file, row_number) TO {literal(str(aside))} "
                "(FORMAT parquet, USE_TMP_FILE false)"
            )
    except (OSError, duckdb.IOException) as error:
        reason = getattr(error, "strerror", None) or _sentence(str(error))
        raise InputError(
            f"The quarantine folder {folder} cannot be written: {reason}.",
            "Make the folder writable, and check that the disk has room.",
        ) from None


def _sentence(said: str) -> str:
    r"""What the engine says of a write that failed, without the JSON it may come in.

    >>> _sentence('IO Error: {"exception_type":"IO","exception_message":"File \\"a\\": disk full"}')
    'File "a": disk full'
    >>> _sentence("IO Error: disk full\nmore")
    'IO Error: disk full'
    """
    found = re.search(r'"exception_message":("(?:[^"\\]|\\.)*")', said)
    return str(json.loads(found[1])) if found else said.splitlines()[0]
