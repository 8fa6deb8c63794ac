"""Find the files beside a configuration that commands have written about customers."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from features.errors import InputError
from serving.database import KEY
from serving.forget.databases import tables_of
from serving.forget.files import PAGE_MARK, columns_of, id_column
from serving.forget.leftovers import leftovers

__all__ = ["Beside", "find_beside", "lists_in"]

_LISTS = (".csv", ".csv.gz", ".parquet")
_DATABASES = (".duckdb", ".db", ".ddb")
_OURS = (
    {"customer_id", "as_of", "status", "churn_model"},  # a scored list
    {"customer_id", "status", "churn_probability", "churn_model"},  # of a table
    {"customer_id", "action", "arm", "why"},  # a plan
    {"customer_id", "timestamp", "campaign", "arm", "rank"},  # the list of a campaign
    {"customer_id", "as_of", "rfm_segment"},  # segments
    {"customer_id", "frequency", "recency", "T"},  # a snapshot
)


@dataclass(frozen=True)
class Beside:
    """What lies beside a configuration.

    Attributes:
        lists: CSV and Parquet files that a command of ours has written.
        others: Such files with a column of customer ids that are somebody else's.
        databases: DuckDB files with tables of scores, and these tables.
        pages: Reports with rows of customers.
        quarantine: Files of rows that were set aside.
        leftovers: Half-written files, and folders of parts, of commands that were stopped.
        unread: File -> why it could not be looked into.
    """

    lists: tuple[Path, ...] = ()
    others: tuple[Path, ...] = ()
    databases: tuple[tuple[Path, tuple[tuple[str, str], ...]], ...] = ()
    pages: tuple[Path, ...] = ()
    quarantine: tuple[Path, ...] = ()
    leftovers: tuple[Path, ...] = ()
    unread: dict[Path, str] = field(default_factory=dict)


def find_beside(base: Path, quarantine: Path, leave: Collection[Path]) -> Beside:
    """Find what commands have written in a folder; folders below it are not searched.

    Args:
        base: The folder of the configuration.
        quarantine: The folder of quarantined rows.
        leave: Files that are something else: those of the source, the score ledger.
    """
    left = {path.resolve() for path in leave}
    lists, others, databases, pages = [], [], [], []
    unread: dict[Path, str] = {}
    for path in _files(base):
        if path.resolve() in left or path.name.startswith("."):
            continue
        name = path.name.lower()
        try:
            if name.endswith(_LISTS):
                columns = columns_of(path)
                if any(ours <= set(columns) for ours in _OURS):
                    lists.append(path)
                elif id_column(columns) is not None:
                    others.append(path)
            elif name.endswith(_DATABASES) and _is_duckdb(path):
                if tables := tables_of(path, KEY):
                    databases.append((path, tuple(tables)))
            elif name.endswith((".html", ".htm")) and PAGE_MARK in _page(path):
                pages.append(path)
        except InputError as problem:
            unread[path] = problem.message
        except OSError as problem:
            unread[path] = f"{path} cannot be read: {problem.strerror or problem}"
    aside = [path for path in _files(quarantine) if path.suffix == ".parquet"]
    half = [path for folder in (base, quarantine) for path in leftovers(folder)]
    return Beside(
        tuple(lists),
        tuple(others),
        tuple(databases),
        tuple(pages),
        tuple(aside),
        tuple(half),
        unread,
    )


def lists_in(place: Path) -> list[Path]:
    """The file that was named, or all lists below a folder that was.

    Raises:
        InputError: It is not there, or is no list.
    """
    if place.is_dir():
        found = [path for path in sorted(place.rglob("*")) if path.name.lower().endswith(_LISTS)]
        return [path for path in found if path.is_file() and id_column(columns_of(path))]
    if not place.is_file():
        raise InputError(f"There is no file or folder {place}.", "Correct --in.")
    if not place.name.lower().endswith(_LISTS):
        raise InputError(f"{place} is no list.", f"Name a folder, or a file ending in {_LISTS}.")
    return [place]


def _files(folder: Path) -> Iterator[Path]:
    if folder.is_dir():
        yield from (path for path in sorted(folder.iterdir()) if path.is_file())


def _page(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


def _is_duckdb(path: Path) -> bool:
    """By the file's magic number: `mlflow.db` is one of SQLite."""
    with path.open("rb") as file:
        return file.read(12)[8:] == b"DUCK"
