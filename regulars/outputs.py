"""Where commands may write: not over what the configuration reads."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from features.errors import InputError

if TYPE_CHECKING:
    from .config import Config

__all__ = ["check_not_source", "source_files"]


def check_not_source(config: Config, *outputs: Path | None) -> None:
    """Refuse to write over a table that the configuration reads.

    Args:
        config: The configuration.
        outputs: Files to be written; None is none.

    Raises:
        InputError: One of them is a file of the source.
    """
    read = {path.resolve() for path in source_files(config)}
    for output in outputs:
        if output is not None and output.resolve() in read:
            raise InputError(
                f"{output} is read by the configuration and would be replaced.",
                "Choose another name for the output.",
            )


def source_files(config: Config) -> frozenset[Path]:
    """The files that a configuration reads; none of a database, or of a source that is gone."""
    from features.reading.addresses import DUCKDB, expand
    from features.reading.files import find_files
    from features.source import find_tables

    try:
        url = expand(config.source.url)
        if url.startswith(DUCKDB):
            return frozenset({config.base / url.removeprefix(DUCKDB)})
        if "://" in url:
            return frozenset()
        wanted = find_tables(config.source, config.tables, config.base)
        found = [find_files(config.source, name, wanted[name], config.base) for name in wanted]
    except InputError:
        return frozenset()
    return frozenset(path for paths in found for path in paths)
