"""Take customers out of a file: a CSV or Parquet list, a set of quarantined rows, a report page.

A file is read whole first and written only if somebody is in it: to a hidden file beside it that
then takes its place in one step (`serving.batch.writing`). Of a CSV file the other rows stay as
they are, byte for byte.
"""

from __future__ import annotations

import csv
import gzip
import re
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from html import unescape
from pathlib import Path
from typing import IO, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.errors import InputError
from features.schema import recognise
from serving.batch import writing

__all__ = ["PAGE_MARK", "columns_of", "from_list", "from_page", "from_quarantine", "id_column"]

PAGE_MARK = '<bdi class="id">'
"""By what a page of ours with rows of customers is known."""

Hit = tuple[frozenset[str], int]
"""The customers who were found, and the rows about them."""

_SEPARATORS = (",", ";", "\t", "|")
_PERSON = re.compile(r'\s*<tr>\s*<th scope="row"><bdi class="id">([^<]*)</bdi>.*?</tr>', re.DOTALL)
_ID_ON_PAGE = re.compile(r'<bdi class="id">([^<]*)</bdi>')
_DECIMALS = r"^([0-9]+)[.]0+$"


def columns_of(path: Path) -> list[str]:
    """The columns of a CSV or Parquet file.

    Raises:
        InputError: It cannot be read.
    """
    if _is_parquet(path):
        with _parquet(path) as file:
            return list(file.schema_arrow.names)
    with _text(path) as file:
        return _header(path, file)[0]


def id_column(names: Collection[str]) -> str | None:
    """The column that holds the ids of customers, by its name; None where there is none."""
    listed = list(names)
    for plain in ("customer_id", "id"):
        if listed.count(plain) == 1:
            return plain
    try:
        found = recognise("customers", listed).get("customer_id")
    except InputError:
        return None
    return None if found is None else found[1:-1].replace('""', '"')


def from_list(path: Path, ids: Collection[str], *, apply: bool) -> Hit:
    """Take the rows of customers out of a list.

    Args:
        path: A `.csv`, `.csv.gz` or `.parquet` file with a column of customer ids.
        ids: The customers.
        apply: Whether to write; otherwise it is only looked at.

    Returns:
        Who was found, and in how many rows.

    Raises:
        InputError: It cannot be read or written, or has no such column. It is as it was.
    """
    if _is_parquet(path):
        return _from_parquet(path, ids, lambda table: _of(table, ids, path), apply=apply)
    found: set[str] = set()
    rows = 0
    for _, who in _records(path, ids):
        if who:
            found.add(who)
            rows += 1
    if rows and apply:
        with writing(path) as file, _packed(path, file) as packed:
            for raw, who in _records(path, ids):
                if not who:
                    packed.write(raw.encode())
    return frozenset(found), rows


def from_quarantine(path: Path, ids: Collection[str], *, apply: bool) -> Hit:
    """Take out the quarantined rows in which any cell is one of the ids.

    Such a row holds the columns of the source, so it is not known which one is the customer; a
    broken line is held whole, and counts when one of its fields is an id.

    Raises:
        InputError: It cannot be read or written. It is as it was.
    """
    return _from_parquet(path, ids, lambda table: _anywhere(table, ids), apply=apply)


def from_page(path: Path, ids: Collection[str], *, apply: bool) -> Hit:
    """Take the rows of customers off a report, out of its list to act on.

    Its totals and pictures are made of everybody and stay as they are.

    Raises:
        InputError: It cannot be read or written. It is as it was.
    """
    try:
        page = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise _unreadable(path, problem) from None
    found = [who for each in _ID_ON_PAGE.findall(page) if (who := unescape(each)) in ids]
    if found and apply:

        def kept(row: re.Match[str]) -> str:
            return "" if unescape(row[1]) in ids else row[0]

        with writing(path) as file:
            file.write(_PERSON.sub(kept, page).encode())
    return frozenset(found), len(found)


def _is_parquet(path: Path) -> bool:
    return path.suffix.lower() in (".parquet", ".pq")


def _from_parquet(
    path: Path,
    ids: Collection[str],
    which: Callable[[pa.Table], tuple[pa.ChunkedArray, set[str]]],
    *,
    apply: bool,
) -> Hit:
    found: set[str] = set()
    rows = 0
    with _parquet(path) as file:
        schema = file.schema_arrow
        groups = range(file.num_row_groups)
        for group in groups:
            theirs, who = which(file.read_row_group(group))
            found |= who
            rows += pc.sum(theirs).as_py() or 0
        if rows and apply:
            codec = file.metadata.row_group(0).column(0).compression.lower()
            codec = {"uncompressed": "none"}.get(codec, codec)
            with writing(path) as out, pq.ParquetWriter(out, schema, compression=codec) as writer:
                for group in groups:
                    table = file.read_row_group(group)
                    kept = table.filter(pc.invert(which(table)[0]))
                    writer.write_table(_without_dictionaries(kept).cast(schema))
    return frozenset(found), rows


def _of(table: pa.Table, ids: Collection[str], path: Path) -> tuple[pa.ChunkedArray, set[str]]:
    """Which rows are about them, by the column of ids."""
    name = id_column(table.column_names)
    if name is None:
        raise InputError(f"{path} has no column of customer ids.", "Name it customer_id.")
    return _equal(table.column(name), ids)


def _anywhere(table: pa.Table, ids: Collection[str]) -> tuple[pa.ChunkedArray, set[str]]:
    """Which rows are about them, by any cell."""
    theirs = pa.chunked_array([pa.repeat(False, len(table))])
    found: set[str] = set()
    for name in table.column_names:
        if name == "raw_line":
            here, who = _fields(table.column(name), ids)
        else:
            here, who = _equal(table.column(name), ids)
        theirs, found = pc.or_(theirs, here), found | who
    return theirs, found


def _equal(column: pa.ChunkedArray, ids: Collection[str]) -> tuple[pa.ChunkedArray, set[str]]:
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    text = pc.utf8_trim_whitespace(column.cast(pa.string()))
    wanted = pa.array(sorted(ids), pa.string())
    # Numbers may have been through floating point.
    whole = pc.replace_substring_regex(text, _DECIMALS, r"\1")
    text = pc.if_else(pc.is_in(text, value_set=wanted), text, whole)
    here = pc.fill_null(pc.is_in(text, value_set=wanted), False)
    return here, set(pc.unique(text.filter(here)).to_pylist())


def _fields(column: pa.ChunkedArray, ids: Collection[str]) -> tuple[pa.ChunkedArray, set[str]]:
    known = frozenset(ids)
    theirs = [
        known & {part.strip(" \"'\r\n") for part in re.split(r"[,;\t|]", line or "")}
        for line in column.to_pylist()
    ]
    found: set[str] = set().union(*theirs)
    return pa.chunked_array([pa.array([bool(each) for each in theirs], pa.bool_())]), found


def _without_dictionaries(table: pa.Table) -> pa.Table:
    """Encode dictionaries anew: a value without rows would stay in them."""
    for i, column in enumerate(table.columns):
        if pa.types.is_dictionary(column.type):
            plain = column.cast(column.type.value_type)
            table = table.set_column(i, table.field(i), plain.dictionary_encode().cast(column.type))
    return table


@contextmanager
def _parquet(path: Path) -> Iterator[pq.ParquetFile]:
    try:
        with pq.ParquetFile(path) as file:
            yield file
    except (OSError, pa.ArrowException) as problem:
        raise _unreadable(path, problem) from None


def _records(path: Path, ids: Collection[str]) -> Iterator[tuple[str, str]]:
    """Every record of a CSV file as it stands there, and which of the customers it is about."""
    with _text(path) as file:
        names, separator, first = _header(path, file)
        name = id_column(names)
        if name is None:
            raise InputError(f"{path} has no column of customer ids.", "Name it customer_id.")
        position = names.index(name)
        yield first, ""
        lines: list[str] = []

        def read() -> Iterator[str]:
            for line in file:
                lines.append(line)
                yield line

        try:
            for record in csv.reader(read(), delimiter=separator):
                cell = record[position].strip() if len(record) > position else ""
                yield "".join(lines), _who(cell, ids)
                lines.clear()
        except csv.Error as problem:
            raise _unreadable(path, problem) from None


def _who(cell: str, ids: Collection[str]) -> str:
    """The customer that a cell names, as it is or as files change it; empty for another one."""
    # A formula has a quote in front in the lists that are written here.
    for text in (cell, cell[1:] if cell[:1] == "'" else "", re.sub(_DECIMALS, r"\1", cell)):
        if text in ids:
            return text
    return ""


def _header(path: Path, file: IO[str]) -> tuple[list[str], str, str]:
    """The names in the first line of a file, what separates them, and the line itself."""
    first = file.readline()
    plain = first.removeprefix("\ufeff").rstrip("\r\n")
    for separator in _SEPARATORS:
        names = next(csv.reader([plain], delimiter=separator), [])
        if id_column(names) is not None:
            return names, separator, first
    return next(csv.reader([plain]), []), ",", first


@contextmanager
def _text(path: Path) -> Iterator[IO[str]]:
    try:
        if path.suffix.lower() == ".gz":
            with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
                yield file
        else:
            with path.open(encoding="utf-8", newline="") as file:
                yield file
    except (OSError, EOFError, UnicodeDecodeError) as problem:
        raise _unreadable(path, problem) from None


@contextmanager
def _packed(path: Path, file: BinaryIO) -> Iterator[BinaryIO | gzip.GzipFile]:
    if path.suffix.lower() != ".gz":
        yield file
        return
    with gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as packed:
        yield packed


def _unreadable(path: Path, problem: Exception) -> InputError:
    reason = str(problem).splitlines()[0] if str(problem) else type(problem).__name__
    return InputError(f"{path} cannot be read: {reason}", "Look into it yourself.")
