"""Parts of a list on their way to it: kept while it is made, and found again by the next run.

A part is a Parquet file in a hidden folder beside the output. Beside the parts lies what they were
made from: when a run is ended half-way, the next one goes on from there if that is the same, and
starts afresh otherwise. The folder goes when the list stands.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from features.errors import InputError
from features.locking import hold
from serving.batch import writing

__all__ = ["Parts", "folder_of", "opened_parts"]

_KEY = "made-from.txt"
_A_ROW = 500  # bytes of a customer in parts and output, and to spare


class Parts:
    """The parts in a folder.

    Args:
        folder: It is there, and nobody else uses it.
        key: What the parts are made from; others are removed.
    """

    def __init__(self, folder: Path, key: str) -> None:
        self.folder = folder
        made_from = folder / _KEY
        if not made_from.is_file() or made_from.read_text(encoding="utf-8") != key:
            for old in folder.iterdir():
                old.unlink()
            with writing(made_from) as file:
                file.write(key.encode())

    def has(self, number: int, rows: int) -> bool:
        """Whether a part is there, whole."""
        try:
            return int(pq.read_metadata(self._path(number)).num_rows) == rows
        except (OSError, pa.ArrowException):
            return False

    def write(self, number: int, table: pa.Table) -> None:
        """Keep a part."""
        with writing(self._path(number)) as file:
            pq.write_table(table, file, compression="zstd")

    def read(self, number: int, columns: Sequence[str] | None = None) -> pa.Table:
        """A part, or some columns of it."""
        with pq.ParquetFile(self._path(number)) as file:
            return file.read(columns=None if columns is None else list(columns))

    def _path(self, number: int) -> Path:
        return self.folder / f"part-{number:05d}.parquet"


def folder_of(output: Path) -> Path:
    """Where the parts of a list are.

    >>> folder_of(Path("lists/scores.csv")).as_posix()
    'lists/.scores.csv.parts'
    """
    return output.with_name(f".{output.name}.parts")


@contextmanager
def opened_parts(folder: Path | None, key: str, rows: int) -> Iterator[Parts]:
    """Keep parts in a folder while a list is made.

    Args:
        folder: It is made, and removed when the block ends well; one that was left by a run
            with the same key is used again. None: a temporary one, which goes in any case.
        key: What the parts are made from.
        rows: Customers in the list, to see whether there is room for them.

    Raises:
        InputError: Another process makes the same list, or there is no room for it.
    """
    if folder is None:
        with tempfile.TemporaryDirectory(prefix="regulars-") as made:
            _check_room(Path(made), rows)
            yield Parts(Path(made), key)
        return
    lock = folder.with_suffix(".lock")
    with hold(lock, f"the list {folder.stem.removeprefix('.')}", seconds=0):
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            parts = Parts(folder, key)
        except OSError as error:
            raise InputError(
                f"The folder {folder} cannot be used ({error.strerror or error}).",
                "It keeps finished parts of the list while it is made. Remove it, or choose "
                "another place for the list.",
            ) from error
        _check_room(folder, rows)
        yield parts
        shutil.rmtree(folder, ignore_errors=True)


def _check_room(folder: Path, rows: int) -> None:
    free, needed = shutil.disk_usage(folder).free, rows * _A_ROW
    if free < needed:
        raise InputError(
            f"There is no room for a list of {rows:,} customers: {folder.parent} has "
            f"{free / 1e6:,.1f} MB left, and it takes up to {needed / 1e6:,.1f} MB.",
            "Make room, or choose another place for the list.",
        )
