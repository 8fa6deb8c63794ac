"""How a CSV file is written: its encoding, separator and column names."""

import codecs
import csv
import gzip
import io
import re
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import pyarrow as pa
from charset_normalizer import from_bytes

from features.errors import SchemaError
from features.settings import TableSettings

__all__ = ["UNREADABLE", "Dialect", "open_bytes", "sniff", "unique_names"]

UNREADABLE = (OSError, EOFError, zlib.error, pa.ArrowException)
"""What reading from `open_bytes` raises where a file is damaged or cannot be read."""

_SAMPLE = 1 << 18
_SEPARATORS = (",", ";", "\t", "|")
_MAGIC = {
    b"PAR1": "a Parquet file; name it .parquet",
    b"PK\x03\x04": "an Excel workbook or a zip archive; save it as CSV",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook; save it as CSV",
    b"\x1f\x8b": "gzip data; name it .csv.gz",
    b"\x28\xb5\x2f\xfd": "zstd data; name it .csv.zst",
    b"SQLite format 3": "a SQLite database; export the table as CSV",
    b"%PDF": "a PDF; export the data as CSV",
}
_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# Encodings in which shops' systems still export; the order breaks ties.
_LEGACY = ["cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "shift_jis", "gb18030", "big5"]
_DATA_CELL = re.compile(r"[-+]?[\d.,]+|\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}([ T].*)?")


@dataclass(frozen=True)
class Dialect:
    """How one CSV file is written.

    Attributes:
        encoding: A Python codec.
        separator: One character, or `"whitespace"`.
        columns: Names of the columns, made unique.
        skip: Lines before the header (or the data, without one).
        header: Whether a header row follows the skipped lines.
        notes: What was found out about the file, in words.
    """

    encoding: str
    separator: str
    columns: tuple[str, ...]
    skip: int = 0
    header: bool = True
    notes: tuple[str, ...] = ()


def open_bytes(path: Path) -> BinaryIO:
    """A file's bytes, decompressed when it ends in `.gz` or `.zst`."""
    suffix = path.suffix.lower()
    if suffix == ".gz":
        return cast(BinaryIO, gzip.open(path, "rb"))
    if suffix == ".zst":
        return cast(BinaryIO, io.BufferedReader(pa.input_stream(str(path), compression="zstd")))
    return path.open("rb")


def unique_names(names: Sequence[str]) -> tuple[str, ...]:
    """Column names that differ: a name that comes twice is numbered, an empty one named.

    Null characters, which no name of the engine may hold, are left out.

    >>> unique_names(["id", "Note", "note", ""])
    ('id', 'Note (1)', 'note (2)', 'column 4')
    """
    plain = (name.replace("\0", "").strip() for name in names)
    tidy = [name or f"column {i}" for i, name in enumerate(plain, start=1)]
    total = Counter(name.casefold() for name in tidy)
    seen: Counter[str] = Counter()
    unique = []
    for name in tidy:
        key = name.casefold()
        seen[key] += 1
        unique.append(f"{name} ({seen[key]})" if total[key] > 1 else name)
    return tuple(unique)


def sniff(path: Path, shown: str, settings: TableSettings) -> Dialect:
    """Find out how a CSV file is written; what the settings state is taken as stated.

    Args:
        path: The file.
        shown: Its name in messages.
        settings: Stated encoding, separator, header and names.

    Raises:
        SchemaError: It is no text, is empty, has no data row, or its first row is data.
    """
    try:
        with open_bytes(path) as stream:
            sample = stream.read(_SAMPLE)
            whole = len(sample) < _SAMPLE
    except UNREADABLE as error:
        raise SchemaError(
            f"{shown} cannot be read: {error}.", "Check the file and its permissions."
        ) from None
    _check_text(sample, shown)
    encoding, notes = _encoding(path, sample, shown, settings.encoding)
    try:
        text = codecs.getincrementaldecoder(encoding)("replace").decode(sample)
    except UnicodeError:
        raise SchemaError(
            f"{shown} is not written in {encoding}.",
            "State the encoding it was exported with, or leave encoding out.",
        ) from None
    text = text.removeprefix("\ufeff")
    lines = re.split(r"\r\n|\n|\r", text)
    if not whole and len(lines) > 2:
        lines = lines[:-1]
    skip = 0
    hinted = None
    while skip < len(lines) and (not lines[skip].strip() or _sep_line(lines[skip])):
        hinted = _sep_line(lines[skip]) or hinted
        skip += 1
    lines = lines[skip:]
    if not lines:
        raise SchemaError(f"{shown} is empty.", "Export it again: it needs a header and rows.")
    separator = settings.separator or hinted or _separator(lines, shown)
    if settings.separator is None and separator != ",":
        shown_as = {"\t": "tabs", "whitespace": "blanks"}.get(separator, repr(separator))
        notes.append(f"fields are separated by {shown_as}")
    rows = _rows(lines, separator)
    if settings.header:
        names = rows[0]
        _check_header(names, shown)
        if len(rows) < 2:
            raise SchemaError(f"{shown} has a header but no rows.", "Export it again with rows.")
    else:
        names = list(settings.column_names or ())
        width = Counter(len(row) for row in rows).most_common(1)[0][0]
        if width != len(names):
            raise SchemaError(
                f"{shown} has {width} columns but column_names gives {len(names)}.",
                f"Name all {width} columns in order; the first row is {rows[0]!r}.",
            )
    columns = unique_names(names)
    if len({name.casefold() for name in names}) < len(names):
        notes.append("names that the header repeats are numbered: 'name (1)', 'name (2)'")
    return Dialect(encoding, separator, columns, skip, settings.header, tuple(notes))


def _check_text(sample: bytes, shown: str) -> None:
    if not sample.strip():
        raise SchemaError(f"{shown} is empty.", "Export it again: it needs a header and rows.")
    for magic, what in _MAGIC.items():
        if sample.startswith(magic):
            raise SchemaError(f"{shown} is no CSV file: it looks like {what}.")
    if not any(sample.startswith(bom) for bom, _ in _BOMS):
        odd = sum(sample.count(bytes([byte])) for byte in range(32) if byte not in (9, 10, 13))
        if odd > len(sample) // 100 and _utf16_without_bom(sample) is None:
            raise SchemaError(
                f"{shown} is no CSV file: it holds binary data.", "Export the table as CSV text."
            )


def _utf16_without_bom(sample: bytes) -> str | None:
    even, odd = sample[0::2].count(0), sample[1::2].count(0)
    if odd > len(sample) // 5 and even < odd // 10:
        return "utf-16-le"
    if even > len(sample) // 5 and odd < even // 10:
        return "utf-16-be"
    return None


def _encoding(path: Path, sample: bytes, shown: str, stated: str | None) -> tuple[str, list[str]]:
    if stated is not None:
        return stated, []
    for bom, name in _BOMS:
        if sample.startswith(bom):
            return name, [f"read as {name.upper()}"] if name != "utf-8" else []
    without = _utf16_without_bom(sample)
    if without is not None:
        return without, [f"read as {without.upper()}"]
    odd = _lines_that_are_not_utf8(path)
    if not odd:
        return "utf-8", []
    decoded = sample.decode("utf-8", "replace")
    good = sum(ord(c) > 127 for c in decoded if c != "\ufffd")
    if good > decoded.count("\ufffd") or (not any(byte > 127 for byte in sample) and good):
        return "utf-8", []  # the few bad rows are set aside
    lines = b"\n".join(odd)
    best = from_bytes(lines, cp_isolation=_LEGACY, threshold=0.5).best()
    name = best.encoding if best is not None else "cp1252"
    if lines.decode(name, "replace") == lines.decode("cp1252", "replace"):
        name = "cp1252"  # the same letters: take the commonest
    return name, [f"{shown} is not UTF-8; read as {name}"]


def _lines_that_are_not_utf8(path: Path, limit: int = 200) -> list[bytes]:
    found = []
    with open_bytes(path) as stream:
        while line := stream.readline(_SAMPLE):
            if not line.isascii():
                try:
                    line.decode("utf-8")
                except UnicodeDecodeError as error:
                    if error.end == len(line) == _SAMPLE:
                        continue  # a letter cut in two by the length of the piece
                    found.append(line.rstrip())
                    if len(found) == limit:
                        break
    return found


def _sep_line(line: str) -> str | None:
    """The separator that Excel's first line `sep=;` states."""
    match = re.fullmatch(r"\"?sep=(.)\"?", line.strip("\ufeff \r\n"), flags=re.IGNORECASE)
    return match.group(1) if match else None


def _rows(lines: Sequence[str], separator: str) -> list[list[str]]:
    if separator == "whitespace":
        return [line.split() for line in lines if line.strip()]
    kept = (line + "\n" for line in lines)
    try:
        return [row for row in csv.reader(kept, delimiter=separator) if row]
    except csv.Error:
        return [line.split(separator) for line in lines if line.strip()]


def _separator(lines: Sequence[str], shown: str) -> str:
    """The separator under which most rows have as many fields as the first, and the most."""
    best, best_score = ",", (0.0, 0)
    for separator in _SEPARATORS:
        rows = _rows(lines[:500], separator)
        width = len(rows[0])
        if width < 2:
            continue
        share = sum(len(row) == width for row in rows) / len(rows)
        score = (round(share, 1), width)
        if score > best_score:
            best, best_score = separator, score
    if best_score[1] == 0:
        widths = Counter(len(line.split()) for line in lines[:500] if line.strip())
        width, count = widths.most_common(1)[0]
        if width >= 3 and count >= 0.9 * sum(widths.values()):
            raise SchemaError(
                f"{shown} has no separator between its columns; they seem to be aligned with "
                f"blanks: {lines[0]!r}.",
                'Under its table in regulars.toml, set separator = "whitespace" (and header = '
                "false with column_names = [...] when the first row is data).",
            )
    return best


def _check_header(names: Sequence[str], shown: str) -> None:
    data = [name for name in names if _DATA_CELL.fullmatch(name.strip())]
    if len(data) * 2 >= len(names) or (len(data) >= 2 and len(names) <= 6):
        raise SchemaError(
            f"The first row of {shown} looks like data, not like column names: "
            f"{', '.join(names[:8])}.",
            "Set header = false and column_names = [...], one name a column.",
        )
