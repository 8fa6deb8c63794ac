"""Write the tables of a simulation: row by row of blocks, and whole or not at all."""

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from features.errors import InputError

__all__ = ["MARK", "TableFiles", "new_folder"]

MARK = "simulation.json"
_UNFINISHED = ".simulating"


class TableFiles:
    """Files that tables are added to, opened at their first rows.

    Args:
        folder: Where they are.
        names: File name by table; the suffix says CSV or Parquet.
    """

    def __init__(self, folder: Path, names: Mapping[str, str]) -> None:
        self._folder = folder
        self._names = names
        self._open: dict[str, Any] = {}
        self.rows: dict[str, int] = dict.fromkeys(names, 0)

    def add(self, name: str, table: pa.Table) -> None:
        """Append the rows of `table`."""
        if name not in self._open:
            path = self._folder / self._names[name]
            if path.suffix == ".csv":
                self._open[name] = pacsv.CSVWriter(
                    path,
                    table.schema,
                    write_options=pacsv.WriteOptions(quoting_style="needed"),
                )
            else:
                self._open[name] = pq.ParquetWriter(path, table.schema, compression="zstd")
        self._open[name].write_table(table)
        self.rows[name] += table.num_rows

    def __enter__(self) -> Self:
        """These files."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close them."""
        for file in self._open.values():
            file.close()


@contextmanager
def new_folder(folder: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """A folder to write into that takes the place of `folder`'s files when all went well.

    Yields:
        The folder to write into, and a dictionary whose content is written last, as `MARK`:
        a folder without it is not a whole simulation.

    Raises:
        InputError: `folder` holds something that is no simulation, or cannot be written.
    """
    _refuse_others(folder)
    unfinished = folder / _UNFINISHED
    try:
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
    except OSError as error:
        raise InputError(
            f"Cannot write into the folder {folder}: {error.strerror}.",
            "Choose another folder, or ask for the right to write there.",
        ) from None
    mark: dict[str, Any] = {}
    done = False
    try:
        yield unfinished, mark
        (folder / MARK).unlink(missing_ok=True)
        for path in sorted(unfinished.iterdir()):
            path.replace(folder / path.name)
        text = json.dumps(mark, indent=2, ensure_ascii=False) + "\n"
        (unfinished / MARK).write_text(text, encoding="utf-8")
        (unfinished / MARK).replace(folder / MARK)
        done = True
    finally:
        # A folder whose files are half the old and half the new keeps the unfinished one as
        # a sign that it may be written over.
        if done or (folder / MARK).exists() or not _files(folder):
            shutil.rmtree(unfinished, ignore_errors=True)


def _files(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if not path.name.startswith(".")]


def _refuse_others(folder: Path) -> None:
    if not folder.exists():
        return
    if not folder.is_dir():
        raise InputError(
            f"{folder} is a file, and the simulated tables need a folder.",
            "Choose the name of a new folder.",
        )
    ours = (folder / MARK).exists() or (folder / _UNFINISHED).exists()
    if _files(folder) and not ours:
        raise InputError(
            f"The folder {folder} is not empty and holds no simulation; nothing was written.",
            "Choose a new or an empty folder.",
        )
