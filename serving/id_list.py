"""Read a list of customer ids from a file."""

from __future__ import annotations

import csv
import gzip
import io
import re
import zlib
from collections.abc import Iterable, Sequence
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from features.errors import InputError
from features.reading.values import MISSING
from features.schema import recognise
from serving.batch import FORMULA

__all__ = ["check_unique", "read_list"]

_QUOTED_FORMULA = re.compile("'" + FORMULA)
_NUMBER = re.compile(r"[0-9.]+")
_WHOLE_NUMBER = re.compile(r"([0-9]+)[.]0+")
_SEPARATORS = (",", ";", "\t", "|")
_ID_TYPES = {"str", "int", "float", "Decimal", "NoneType"}
_SHOWN = 5
_LARGEST = 1 << 31  # bytes of a list as text, unpacked


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
