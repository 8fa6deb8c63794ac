"""Read a CSV file into the engine as text, every row numbered.

A well-formed file goes through the engine's own parallel reader. Where that reader meets a
row it cannot take, the file is read again record by record: broken rows are set aside with
a reason, and a quote that never closes costs its own line and not the rest of the file.
"""

import codecs
import csv
import shutil
import tempfile
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pyarrow as pa

from features.errors import SchemaError
from features.reading.dialect import Dialect, open_bytes
from features.reading.values import literal
from features.schema import quote

__all__ = ["FILE", "ROW", "read_csv"]

FILE = "source file"
"""Column of a raw table: the file a row comes from. (Blank and lower case: no header's name.)"""
ROW = "row number"
"""Column of a raw table: the number of the row in its file, from 1."""

_BATCH = 50_000
_QUOTED_LINES = 500
"""A quoted value spans at most so many lines; beyond, the quote is taken to be a mistake."""
_LONGEST = 1 << 22
"""Bytes of the longest line; a longer one is set aside and never held whole."""
_CHUNK = 1 << 20


def read_csv(
    con: duckdb.DuckDBPyConnection,
    path: Path,
    name: str,
    dialect: Dialect,
    target: str,
    rejects: str,
) -> None:
    """Append a CSV file's rows to the table `target` and its broken rows to `rejects`.

    Args:
        con: The engine.
        path: The file, plain, `.gz` or `.zst`.
        name: How the file is called in messages and in the column `FILE`.
        dialect: How it is written.
        target: Table with `FILE`, `ROW` and the dialect's columns, all text.
        rejects: Table with `FILE`, `ROW`, `reason` and `line`.

    Raises:
        SchemaError: The bytes are not text in the stated encoding, or no row can be read.
    """
    with tempfile.TemporaryDirectory(prefix="regulars-") as folder:
        utf8 = _as_utf8(path, name, dialect, Path(folder))
        if dialect.separator == "whitespace" or not _read_fast(con, utf8, name, dialect, target):
            _read_carefully(con, utf8, name, dialect, target, rejects)


def _as_utf8(path: Path, name: str, dialect: Dialect, folder: Path) -> Path:
    """A file that the engine can read: UTF-8, its name free of wildcards."""
    if dialect.encoding == "utf-8" and dialect.skip == 0:
        safe = folder / ("input" + "".join(path.suffixes[-2:]).lower())
        if safe.suffix not in (".gz", ".zst"):
            safe = folder / "input.csv"
        safe.symlink_to(path.resolve())
        return safe
    copy = folder / "input.csv"
    with open_bytes(path) as stream:
        if dialect.encoding == "utf-8":  # only lines in front to skip: bytes stay as they are
            for _ in range(dialect.skip):
                stream.readline()
            with copy.open("wb") as same:
                shutil.copyfileobj(stream, same)
            return copy
        # A byte that means nothing becomes one that is no UTF-8, so that its row is set aside.
        errors = "replace" if dialect.encoding.startswith("utf") else "surrogateescape"
        reader = codecs.getreader(dialect.encoding)(stream, errors)
        with copy.open("w", encoding="utf-8", errors="surrogateescape", newline="") as out:
            try:
                for _ in range(dialect.skip):
                    reader.readline()
                shutil.copyfileobj(reader, out)
            except UnicodeError as error:
                raise SchemaError(
                    f"{name} is not written in {dialect.encoding}: {error}.",
                    "Correct the encoding of the table, or leave it out to have it detected.",
                ) from None
    return copy


def _read_fast(
    con: duckdb.DuckDBPyConnection, path: Path, name: str, dialect: Dialect, target: str
) -> bool:
    """Read with the engine's reader; False when it does not take every row."""
    with open_bytes(path) as stream:
        start = stream.read(1 << 16)
    if b"\r" in start.replace(b"\r\n", b""):
        return False  # old line ends, alone or mixed, are read record by record
    columns = ", ".join(f"{literal(column)}: 'VARCHAR'" for column in dialect.columns)
    listed = ", ".join(map(quote, dialect.columns))
    before = con.execute(f"SELECT count(*) FROM {target}").fetchall()[0]  # noqa: S608
    try:
        con.execute(
            f"INSERT INTO {target} ({quote(FILE)}, {quote(ROW)}, {listed}) "  # noqa: S608
            f"SELECT {literal(name)}, row_number() OVER (), {listed} FROM read_csv("
            f"{literal(str(path))}, auto_detect = false, header = {str(dialect.header).lower()}, "
            f"delim = {literal(dialect.separator)}, quote = '\"', escape = '\"', "
            f"columns = {{{columns}}}, null_padding = false)"
        )
    except duckdb.Error:
        after = con.execute(f"SELECT count(*) FROM {target}").fetchall()[0]  # noqa: S608
        assert before == after
        return False
    return True


def _read_carefully(
    con: duckdb.DuckDBPyConnection,
    path: Path,
    name: str,
    dialect: Dialect,
    target: str,
    rejects: str,
) -> None:
    width = len(dialect.columns)
    good: list[list[str]] = []
    bad: list[tuple[int, str, str]] = []

    def flush() -> None:
        numbers = [int(row.pop()) for row in good]
        arrays = [pa.array([row[i] or None for row in good], pa.string()) for i in range(width)]
        names = pa.array([name] * len(good), pa.string())
        _insert(
            con,
            target,
            pa.table(
                [names, pa.array(numbers, pa.int64()), *arrays],
                names=[FILE, ROW, *dialect.columns],
            ),
        )
        good.clear()

    number = 0 if not dialect.header else -1
    for fields, line, reason in _records(path, dialect.separator):
        number += 1
        if number == 0:
            continue  # the header
        if reason is None:
            while len(fields) > width and not fields[-1].strip():
                fields.pop()
            if len(fields) == width:
                good.append([*fields, str(number)])
                if len(good) == _BATCH:
                    flush()
                continue
            reason = "too_many_fields" if len(fields) > width else "too_few_fields"
        bad.append((number, reason, line[:2000]))
    flush()
    if bad:
        columns = list(zip(*bad, strict=True))
        _insert(
            con,
            rejects,
            pa.table(
                [
                    pa.array([name] * len(bad), pa.string()),
                    pa.array(columns[0], pa.int64()),
                    pa.array(columns[1], pa.string()),
                    pa.array(columns[2], pa.string()),
                ],
                names=[FILE, ROW, "reason", "line"],
            ),
        )


def _insert(con: duckdb.DuckDBPyConnection, target: str, batch: pa.Table) -> None:
    con.register("regulars_batch", batch)
    try:
        con.execute(f"INSERT INTO {target} BY NAME SELECT * FROM regulars_batch")  # noqa: S608
    finally:
        con.unregister("regulars_batch")


def _lines(path: Path) -> Iterator[bytes]:
    """Lines of a file with their ends, whatever the ends are; one too long is cut behind the limit.

    A file may unpack to a single line of any size, so lines are not left to the stream.
    """
    rest = b""
    skipping = False
    with open_bytes(path) as stream:
        while chunk := stream.read(_CHUNK):
            if chunk.endswith(b"\r"):
                chunk += stream.read(1)  # the rest of its line end, if it is one
            lines = (rest + chunk).splitlines(keepends=True)
            rest = b"" if lines[-1].endswith((b"\n", b"\r")) else lines.pop()
            for line in lines:
                if not skipping:
                    yield line[: _LONGEST + 1]
                skipping = False
            if len(rest) > _LONGEST:
                if not skipping:
                    yield rest[: _LONGEST + 1]
                rest, skipping = b"", True
    if rest and not skipping:
        yield rest


def _records(path: Path, separator: str) -> Iterator[tuple[list[str], str, str | None]]:
    """Fields, text and what is wrong (None: nothing) of each record; blank lines are skipped."""
    lines = _lines(path)
    waiting: deque[bytes] = deque()
    first = True
    while True:
        raw = waiting.popleft() if waiting else next(lines, None)
        if raw is None:
            return
        if first:
            raw, first = raw.removeprefix(b"\xef\xbb\xbf"), False
        if len(raw) > _LONGEST:
            yield [], raw[:2000].decode("utf-8", "replace"), "too_long"
            continue
        if not raw.strip():
            continue
        try:
            line = raw.decode("utf-8")
        except UnicodeDecodeError:
            yield [], raw.decode("utf-8", "replace").rstrip("\r\n"), "bad_encoding"
            continue
        if separator == "whitespace":
            yield line.split(), line.rstrip("\r\n"), None
            continue
        fields, unfinished = _fields(line, separator)
        if unfinished:  # a quoted value may go on below
            extra: list[bytes] = []
            text, size = line, len(raw)
            while unfinished and len(extra) < _QUOTED_LINES and size <= _LONGEST:
                more = waiting.popleft() if waiting else next(lines, None)
                if more is None:
                    break
                extra.append(more)
                size += len(more)
                if b'"' in more:
                    text = line + b"".join(extra).decode("utf-8", "replace")
                    fields, unfinished = _fields(text, separator)
            if fields is None:
                waiting.extendleft(reversed(extra))
            else:
                line = text
        if fields is None:
            yield [], line.rstrip("\r\n"), "bad_quotes"
        else:
            yield fields, line.rstrip("\r\n"), None


def _fields(text: str, separator: str) -> tuple[list[str] | None, bool]:
    """The fields of a record, None where it is none; and whether a quote is still open."""
    try:
        rows = list(csv.reader([text], delimiter=separator, strict=True))
    except csv.Error as error:
        return None, "unexpected end" in str(error)
    return (rows[0] if len(rows) == 1 else None), False
