"""Write answers to files: scored lists and other tables, and pages.

Files are written whole or not at all: the new content goes to a hidden file in the same
folder, is flushed to the disk and then takes the old file's name in one step.

CSV files are safe to open in a spreadsheet. Text that a spreadsheet would run as a formula (it
starts with `=`, `+`, `-`, `@`, a tab, a line break or a null, after any quotes) gets a single
quote in front, as OWASP advises (Application Security Verification Standard 5.0, requirement
1.2.10). `serving.id_list` takes that quote away again, so a list written here can be read back.
Numbers and Parquet files are left as they are.
"""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import BinaryIO

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from features.aside import written_aside
from features.errors import InputError

__all__ = ["FORMULA", "check_output", "write_list", "write_text", "writing", "writing_list"]

FORMULA = "[ ']*[=+\\-@\\t\\r\\n\\x00\uff1d\uff0b\uff0d\uff20]"
"""Starts a text that a spreadsheet may run; full-width signs count in East Asian editions."""

_Add = Callable[[pa.Table], None]
_ELSEWHERE = (
    "Check the permissions of the folder and the room on the disk, or choose another place."
)


def write_list(frame: pd.DataFrame, path: str | Path) -> Path:
    """Write a table to a file, whole or not at all.

    Args:
        frame: Any table; its index is not written. Date columns without a time of day are
            written as dates in CSV files.
        path: `.parquet`, `.csv` or `.csv.gz`. An existing file is replaced.

    Returns:
        The path written.

    Raises:
        InputError: The suffix is another one, or the folder is missing or cannot be written
            to. The old file, if any, is untouched.
    """
    with writing_list(path) as write:
        write(frame)
    return Path(path)


@contextmanager
def writing_list(path: str | Path) -> Iterator[Callable[[pd.DataFrame], None]]:
    """Write a table to a file block by block, whole or not at all.

    Args:
        path: As for `write_list`.

    Yields:
        What takes the blocks, at least one; all have the columns and types of the first. The file
        is there when the context ends without an error.

    Raises:
        InputError: As for `write_list`.
    """
    target = Path(path)
    begin = _writer(target)
    with writing(target) as file, begin(file) as add:
        yield lambda frame: add(pa.Table.from_pandas(frame, preserve_index=False))


def write_text(text: str, path: str | Path) -> Path:
    """Write a text, such as a page, as UTF-8, whole or not at all.

    Returns:
        The path written.

    Raises:
        InputError: As for `writing`.
    """
    target = Path(path)
    with writing(target) as file:
        file.write(text.encode())
    return target


def check_output(path: str | Path, *, text: bool = False) -> None:
    """Refuse a place that could not be written to, before long work is done for it.

    Args:
        path: Where `write_list` is to write, or `write_text`.
        text: Whether it is `write_text`, which takes any suffix.

    Raises:
        InputError: As for `write_list`; a full disk cannot be foreseen.
    """
    target = Path(path)
    if not text:
        _writer(target)
    _check_target(target)
    if not os.access(target.resolve().parent, os.W_OK):
        raise InputError(
            f"Cannot write {target}: the folder {target.parent} cannot be written to.", _ELSEWHERE
        )


@contextmanager
def writing(path: str | Path) -> Iterator[BinaryIO]:
    """Open a file that takes the place of `path` only if the block ends without an error.

    Raises:
        InputError: The folder is missing or cannot be written to, the disk is full, or `path`
            is a folder. The old file, if any, is untouched and nothing else is left behind.
    """
    given = Path(path)
    target = _check_target(given)
    try:
        with written_aside(target) as aside, aside.open("r+b") as file:
            yield file
            file.flush()
    except OSError as error:
        raise InputError(f"Cannot write {given}: {error.strerror or error}.", _ELSEWHERE) from error


def _check_target(path: Path) -> Path:
    """Return the file to write: a link stays a link to the new content."""
    target = path.resolve()
    if target.exists() and not target.is_file():
        raise InputError(f"Cannot write {path}: it is not a file.", "Give the name of a file.")
    if not target.parent.is_dir():
        raise InputError(
            f"Cannot write {path}: there is no folder {path.parent}.",
            "Make the folder first, or choose another place.",
        )
    return target


def _writer(path: Path) -> Callable[[BinaryIO], AbstractContextManager[_Add]]:
    name = path.name.lower()
    if name.endswith(".parquet"):
        return _adding_parquet
    if name.endswith(".csv"):
        return _adding_csv
    if name.endswith(".csv.gz"):
        return _adding_csv_gz
    raise InputError(
        f"Cannot tell from the name {path.name} how to write it.",
        "End the name in .parquet, .csv or .csv.gz.",
    )


@contextmanager
def _adding_parquet(file: BinaryIO) -> Iterator[_Add]:
    writer: pq.ParquetWriter | None = None

    def add(table: pa.Table) -> None:
        nonlocal writer
        if writer is None:
            writer = pq.ParquetWriter(file, table.schema, compression="zstd")
        # A column in which everything is missing may have come with another type.
        writer.write_table(table.cast(writer.schema))

    try:
        yield add
    finally:
        if writer is not None:
            writer.close()


@contextmanager
def _adding_csv(file: BinaryIO | gzip.GzipFile) -> Iterator[_Add]:
    first = True

    def add(table: pa.Table) -> None:
        nonlocal first
        options = pacsv.WriteOptions(include_header=first)
        pacsv.write_csv(_safe_for_spreadsheets(table), file, options)
        first = False

    yield add


@contextmanager
def _adding_csv_gz(file: BinaryIO) -> Iterator[_Add]:
    # No name and no time inside: the same table gives the same bytes.
    with (
        gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=file, mtime=0) as packed,
        _adding_csv(packed) as add,
    ):
        yield add


def _safe_for_spreadsheets(table: pa.Table) -> pa.Table:
    """Return the table with formulas made plain text and midnight times made dates."""
    columns = []
    for column in table.columns:
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            column = _quoted(column)
        elif pa.types.is_timestamp(column.type) and column.type.tz is None:
            days = column.cast(pa.date32(), safe=False)
            if pc.all(pc.equal(days.cast(column.type), column), min_count=0).as_py():
                column = days
        columns.append(column)
    names = _quoted(pa.chunked_array([pa.array(table.column_names, pa.string())])).to_pylist()
    return pa.table(columns, names=names)


def _quoted(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return the texts, those that look like formulas with a single quote in front."""
    risky = pc.match_substring_regex(column, f"^{FORMULA}")
    quote = pa.scalar("'", column.type)
    return pc.if_else(
        risky, pc.binary_join_element_wise(quote, column, pa.scalar("", column.type)), column
    )
