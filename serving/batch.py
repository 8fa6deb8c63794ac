"""Lists of customers as files: read the ids asked for, write the answers.

Files are written whole or not at all: the new content goes to a hidden file in the same
folder, is flushed to the disk and then takes the old file's name in one step.

CSV files are safe to open in a spreadsheet. Text that a spreadsheet would run as a formula (it
starts with `=`, `+`, `-`, `@`, a tab, a line break or a null, after any quotes) gets a single
quote in front, as OWASP advises (Application Security Verification Standard 5.0, requirement
1.2.10). `read_list` takes that quote away again, so a list written here can be read back.
Numbers and Parquet files are left as they are.
"""

from __future__ import annotations

import csv
import gzip
import io
import os
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import BinaryIO

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from features.aside import written_aside
from features.errors import InputError
from features.reading.values import MISSING
from features.schema import recognise

__all__ = [
    "check_output",
    "check_unique",
    "read_list",
    "write_list",
    "write_text",
    "writing",
    "writing_list",
]

# Starts a text that a spreadsheet may run; full-width signs count in East Asian editions.
_FORMULA = "[ ']*[=+\\-@\\t\\r\\n\\x00\uff1d\uff0b\uff0d\uff20]"
_QUOTED_FORMULA = re.compile("'" + _FORMULA)
_NUMBER = re.compile(r"[0-9.]+")
_WHOLE_NUMBER = re.compile(r"([0-9]+)[.]0+")
_SEPARATORS = (",", ";", "\t", "|")
_ID_TYPES = {"str", "int", "float", "Decimal", "NoneType"}
_SHOWN = 5
_Add = Callable[[pa.Table], None]
_LARGEST = 1 << 31  # bytes of a list as text, unpacked
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


def read_list(path: str | Path) -> list[str]:
    """Read the customer ids of a list, in its order.

    Args:
        path: `.csv`, `.csv.gz` or `.parquet` with a column `customer_id` (or one of the names
            that ledgers use for it), or `.txt`. A CSV or text file with a single column may do
            without a header: if its first line is no such name, it is taken for an id.

    Returns:
        The ids as text, surrounding blanks removed. When all that are numbers end in `.0`,
        they lose it, as ids do in the ledger.

    Raises:
        InputError: The file is missing, unreadable or empty, has no such column, or an id is
            blank or given twice; the message names the rows, counted as the file's lines.
    """
    source = Path(path)
    if not source.is_file():
        raise InputError(
            f"There is no file {source}." if not source.exists() else f"{source} is not a file.",
            "Give the path of a CSV, Parquet or text file with a column customer_id.",
        )
    name = source.name.lower()
    try:
        if name.endswith(".parquet"):
            ids, rows = _from_parquet(source)
        elif name.endswith((".csv", ".csv.gz", ".txt")):
            ids, rows = _from_text(source)
        else:
            raise InputError(
                f"{source}: a list cannot be read from this kind of file.",
                "Use .csv, .csv.gz, .txt or .parquet.",
            )
    except (OSError, EOFError, zlib.error, pa.ArrowException) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"{source}: cannot be read ({reason}).", "Check that the file is whole and readable."
        ) from error
    ids = _without_decimals(ids)
    if not ids:
        raise InputError(f"{source}: the list is empty.", "Give one customer id a line.")
    blank = [row for value, row in zip(ids, rows, strict=True) if not value]
    if blank:
        raise InputError(
            f"{source}: no customer id in {_rows(blank)}.",
            "Fill in the id or remove the row.",
        )
    check_unique(ids, rows, str(source))
    return ids


def check_unique(ids: Sequence[str], rows: Sequence[int], source: str) -> None:
    """Refuse a list that names a customer twice.

    Args:
        ids: The ids.
        rows: Where each stands, for the message.
        source: What to call the list in the message.

    Raises:
        InputError: Naming the first ids given twice and their rows.
    """
    if len(set(ids)) == len(ids):
        return
    seen: dict[str, list[int]] = {}
    for value, row in zip(ids, rows, strict=True):
        seen.setdefault(value, []).append(row)
    twice = {value: at for value, at in seen.items() if len(at) > 1}
    some = "; ".join(f"{value} in {_rows(at)}" for value, at in list(twice.items())[:_SHOWN])
    more = f"; and {len(twice) - _SHOWN:,} more" if len(twice) > _SHOWN else ""
    raise InputError(
        f"{source}: {len(twice):,} customer id{'s' if len(twice) > 1 else ''} "
        f"given more than once: {some}{more}.",
        "Keep each customer once.",
    )


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
    risky = pc.match_substring_regex(column, f"^{_FORMULA}")
    quote = pa.scalar("'", column.type)
    return pc.if_else(
        risky, pc.binary_join_element_wise(quote, column, pa.scalar("", column.type)), column
    )


def _from_text(path: Path) -> tuple[list[str], list[int]]:
    """Return the ids of a CSV or text file and the line of each."""
    packed = path.name.lower().endswith(".gz")
    with gzip.open(path, "rb") if packed else path.open("rb") as file:
        content = file.read(_LARGEST + 1)
    if len(content) > _LARGEST:
        raise InputError(f"{path}: larger than any list of customers.", "Give a shorter list.")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: not UTF-8 text (byte {error.start + 1:,}).", "Save the list as CSV UTF-8."
        ) from None
    if "\0" in text:
        raise InputError(f"{path}: not a text file.", "Save the list as CSV UTF-8.")
    first = re.split(r"[\r\n]", text.lstrip("\r\n"), maxsplit=1)[0]
    position, separator, header = 0, ",", False
    for candidate in _SEPARATORS:
        try:
            names = next(csv.reader([first], delimiter=candidate), [])
        except csv.Error as error:
            raise InputError(
                f"{path}: the first line cannot be read ({error}).",
                "Check the quotes of that line.",
            ) from error
        found = _id_column(path, names)
        if found is not None:
            position, separator, header = found, candidate, True
            break
    else:
        if any(candidate in first for candidate in _SEPARATORS):
            raise _no_column(path, re.split(r"[,;\t|]", first.strip()))
    ids, rows = [], []
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    last = 0  # empty lines at the end are no customers
    try:
        for record in reader:
            ids.append(_plain(record[position]) if len(record) > position else "")
            rows.append(reader.line_num)
            if ids[-1] or any(cell.strip() for cell in record):
                last = len(ids)
    except csv.Error as error:
        raise InputError(
            f"{path}: line {reader.line_num:,} cannot be read ({error}).",
            "Check the quotes of that line.",
        ) from error
    start = next((i for i, value in enumerate(ids) if value), 0) + 1 if header else 0
    return ids[start:last], rows[start:last]


def _from_parquet(path: Path) -> tuple[list[str], list[int]]:
    """Return the ids of a Parquet file and the row of each, from 1."""
    with pq.ParquetFile(path) as file:
        names = list(file.schema_arrow.names)
        position = _id_column(path, names)
        if position is None:
            raise _no_column(path, names)
        column = file.read(columns=[names[position]]).column(0)
    values = column.to_pylist()
    wrong = {type(value).__name__ for value in values} - _ID_TYPES
    if wrong:
        raise InputError(
            f"{path}: column {names[position]} holds {', '.join(sorted(wrong))}, not customer ids.",
            "Store the ids as text or whole numbers.",
        )
    return [_plain(_as_text(value)) for value in values], list(range(1, len(values) + 1))


def _as_text(value: str | int | float | Decimal | None) -> str:
    """Return a cell as text, nothing for a missing one.

    >>> _as_text(13085.0), _as_text(1e16), _as_text(float("nan"))
    ('13085.0', '10000000000000000.0', '')
    """
    if value is None or value != value:
        return ""
    if isinstance(value, float) and value.is_integer():
        return f"{value:.1f}"
    return str(value)


def _id_column(path: Path, names: Sequence[str]) -> int | None:
    """Return the position of the column of customer ids, None when there is none."""
    for plain in ("customer_id", "id"):  # in a list of customers, a bare id is theirs
        if names.count(plain) == 1:
            return names.index(plain)
    try:
        found = recognise("customers", names).get("customer_id")
    except InputError as error:
        raise InputError(
            f"{path}: {error.message}", "Keep one of them, named customer_id."
        ) from error
    return None if found is None else names.index(found[1:-1].replace('""', '"'))


def _no_column(path: Path, names: Iterable[str]) -> InputError:
    shown = ", ".join(name.strip()[:40] for name in list(names)[:10])
    return InputError(
        f"{path}: no column of customer ids among: {shown}.", "Name the column customer_id."
    )


def _plain(text: str) -> str:
    """Return a cell as it was before `write_list` made it safe; nothing for "no value".

    >>> _plain(" 13085 "), _plain("'=A1"), _plain("NULL")
    ('13085', '=A1', '')
    """
    value = text.strip()
    if _QUOTED_FORMULA.match(value):
        value = value[1:].strip()
    return "" if value.lower() in MISSING else value


def _without_decimals(ids: list[str]) -> list[str]:
    """Return ids without the `.0` that a detour through floating point left on them.

    The rule is the ledger's: only when all that are numbers end in it.

    >>> _without_decimals(["13085.0", "2.0", "A1"]), _without_decimals(["1.0", "1.5"])
    (['13085', '2', 'A1'], ['1.0', '1.5'])
    """
    if not all(_WHOLE_NUMBER.fullmatch(value) for value in ids if _NUMBER.fullmatch(value)):
        return ids
    return [found[1] if (found := _WHOLE_NUMBER.fullmatch(value)) else value for value in ids]


def _rows(rows: Sequence[int]) -> str:
    """Return "row 3", "rows 3, 8" or "rows 3, 8, ... (120 in all)"."""
    shown = ", ".join(f"{row:,}" for row in rows[:_SHOWN])
    more = f", ... ({len(rows):,} in all)" if len(rows) > _SHOWN else ""
    return f"row{'s' if len(rows) > 1 else ''} {shown}{more}"
