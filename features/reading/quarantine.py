"""Keep the rows that were set aside, with their place and the reason."""

import contextlib
import os
import tempfile
from pathlib import Path

import duckdb

from features.errors import InputError
from features.reading.delimited import FILE, ROW
from features.reading.values import literal
from features.schema import quote
from features.source import RawTable

__all__ = ["write_quarantine"]


def write_quarantine(
    con: duckdb.DuckDBPyConnection, raw: RawTable, typed: str, folder: Path
) -> None:
    """Write the rows set aside, raw columns as text, whole or not at all."""
    own = {"source_file", "row_number", "reason", "raw_line"}
    columns = "".join(
        f", CAST({quote(c)} AS VARCHAR) AS {quote(c + ' (raw)' if c.lower() in own else c)}"
        for c in raw.columns
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
        handle, temporary = tempfile.mkstemp(dir=folder, suffix=".part")
        os.close(handle)
    except OSError as error:
        raise InputError(
            f"The quarantine folder {folder} cannot be written: {error.strerror or error}.",
            "Make the folder writable.",
        ) from None
    try:
        con.execute(
            f"COPY ({select} ORDER BY source_file, row_number) TO {literal(temporary)} "
            "(FORMAT parquet)"
        )
        Path(temporary).chmod(0o644)
        Path(temporary).replace(target)
    finally:
        with contextlib.suppress(FileNotFoundError):
            Path(temporary).unlink()
