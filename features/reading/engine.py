"""What the engine may reach: the files of its source while it reads, and nothing afterwards."""

from collections.abc import Sequence
from pathlib import Path

import duckdb

from features.reading.values import literal

__all__ = ["confine", "seal"]


def confine(
    con: duckdb.DuckDBPyConnection, files: Sequence[Path] = (), folders: Sequence[Path] = ()
) -> None:
    """Let the engine reach these files and folders and nothing else, for good.

    A view in a database that was handed over can then read its own tables, and no file beside
    it; nothing can be written elsewhere, fetched or installed. What the engine spills to its
    temporary folder is not touched by this. DuckDB follows links before it compares.

    Args:
        con: The engine.
        files: Files it may open.
        folders: Folders in which it may read and write.
    """
    for name, paths in (("allowed_paths", files), ("allowed_directories", folders)):
        listed = ", ".join(literal(str(path.resolve())) for path in paths)
        con.execute(f"SET {name} = [{listed}]")
    con.execute("SET enable_external_access = false")


def seal(con: duckdb.DuckDBPyConnection) -> None:
    """Cut the engine off from all files and addresses: what it needs, it has read.

    `SET` cannot undo it: DuckDB refuses to open up again while it runs.
    """
    con.execute("SET enable_external_access = false")
