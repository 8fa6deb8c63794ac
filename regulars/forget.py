"""Forget customers: where to look, by what the configuration says."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from features.errors import InputError
from features.progress import task

from .outputs import source_files
from .settings import score_ledger

if TYPE_CHECKING:
    from serving.database import Target
    from serving.forget import Place, Where

    from .config import Config

__all__ = ["forget_customers"]


def forget_customers(
    config: Config,
    ids: Collection[str],
    *,
    named: Sequence[Path] = (),
    targets: Sequence[Target] = (),
    apply: bool = True,
) -> list[Place]:
    """Take customers out of everything that commands have written, and look into the source.

    Args:
        config: Says where everything is.
        ids: The customers.
        named: Further files, and folders of files, to take them out of.
        targets: Tables that scores were written to.
        apply: Whether to write; otherwise everything is only looked at.

    Raises:
        InputError: What was named is not there; nothing was changed.
    """
    from serving.forget import forget

    places = forget(ids, _where(config, named, targets), apply=apply)
    return [*places, _source(config, ids)]


def _where(config: Config, named: Sequence[Path], targets: Sequence[Target]) -> Where:
    from serving.forget import Where

    return Where(
        base=config.base,
        quarantine=config.quarantine,
        source=source_files(config),
        score_ledger=score_ledger(config),
        tracking_uri=config.mlflow.tracking_uri,
        named=tuple(named),
        targets=tuple(targets),
        whole=frozenset(
            name
            for name, table in config.tables.items()
            if not _is_column(table.columns.get("customer_id", "customer_id"))
        ),
    )


def _is_column(text: str) -> bool:
    """Whether a mapping is the bare name of a column, and no expression."""
    return not any(mark in text for mark in "()+*/|'")


def _source(config: Config, ids: Collection[str]) -> Place:
    from features.ledger import open_ledger
    from serving.forget import Place, in_source

    with task("Reading the source"), tempfile.TemporaryDirectory() as folder:
        try:
            ledger = open_ledger(
                config.source,
                config.tables,
                config.policies,
                config.purchases,
                base=config.base,
                quarantine=Path(folder),
            )
            return in_source(ledger, Path(folder), ids)
        except InputError as problem:
            return Place("the source", "source", "unread", remedy=problem.message)
