"""Go through every place that may hold customers, and take them out of each."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from features.errors import InputError
from features.progress import task
from features.reading.addresses import DUCKDB, is_postgres, without_secrets
from serving.forget.beside import find_beside, lists_in
from serving.forget.databases import from_duckdb, from_postgres, tables_of
from serving.forget.files import from_list, from_page, from_quarantine
from serving.forget.leftovers import remove
from serving.forget.models import artifact_folders, holding
from serving.forget.place import Kind, Place, State

if TYPE_CHECKING:
    from serving.database import Target
    from serving.score_ledger import ScoreLedger

__all__ = ["Where", "forget"]

_NAME_IT = "It was not written by Regulars: name it with --in to take them out."
_IN_USE = "A command that is running writes it: run this one again when it has ended."
_TOTALS = "Its totals and pictures still count them: write the report anew."
_IN_MODELS = "Train again, then delete the runs that hold it: `mlflow gc` removes their files."

Hit = tuple[frozenset[str], int]


@dataclass(frozen=True)
class Where:
    """Where to look.

    Attributes:
        base: The folder of the configuration; lists beside it are found by their columns.
        quarantine: The folder of quarantined rows.
        source: Files of the source, which are left alone.
        score_ledger: Where scored lists are recorded; None: nowhere.
        tracking_uri: Where MLflow keeps its records.
        named: Further files and folders.
        targets: Tables that scores were written to.
        whole: Tables whose quarantined rows are deleted altogether: their customer is an
            expression, so no cell of a raw row needs to be the id.
    """

    base: Path
    quarantine: Path
    source: frozenset[Path] = frozenset()
    score_ledger: ScoreLedger | None = None
    tracking_uri: str = ""
    named: tuple[Path, ...] = ()
    targets: tuple[Target, ...] = ()
    whole: frozenset[str] = frozenset()


def forget(ids: Collection[str], where: Where, *, apply: bool = True) -> tuple[Place, ...]:
    """Take customers out of everything that commands have written.

    Each file is replaced whole or stays as it was, and each table changes in one transaction, so
    a run that was stopped is simply run again.

    Args:
        ids: The customers.
        where: Where to look.
        apply: Whether to write; otherwise it is only looked at.

    Returns:
        What was looked at, in this order: leftovers, score ledger, lists, tables, quarantine,
        pages, models. A place that could not be read or written is among them with the reason.

    Raises:
        InputError: What was named is not there or is no list; nothing was changed.
    """
    known = frozenset(ids)
    named = dict.fromkeys(path for place in where.named for path in lists_in(place))
    file = _file(where.score_ledger)
    beside = find_beside(
        where.base, where.quarantine, {*where.source, *named, *filter(None, [file])}
    )
    # First: a command that ends while the lists are looked at would write them again unseen.
    places = [_left_behind(path, apply) for path in beside.leftovers]
    work: list[Callable[[], Place]] = []
    if where.score_ledger is not None:
        take = partial(_from_ledger, where.score_ledger, known, apply=apply)
        work.append(partial(_place, where.score_ledger.shown, "ledger", take, apply))
    for path in (*beside.lists, *named):
        take = partial(from_list, path, known, apply=apply)
        work.append(partial(_place, str(path), "list", take, apply))
    for path in beside.others:
        take = partial(from_list, path, known, apply=False)
        work.append(partial(_place, str(path), "list", take, apply, _NAME_IT))
    for path, tables in beside.databases:
        take = partial(from_duckdb, path, tables, known, apply=apply)
        work.append(partial(_place, str(path), "table", take, apply))
    for target in where.targets:
        take = partial(_from_target, target, known, apply=apply)
        work.append(partial(_place, target.shown, "table", take, apply))
    work += [partial(_quarantined, path, known, where.whole, apply) for path in beside.quarantine]
    for path in beside.pages:
        take = partial(from_page, path, known, apply=apply)
        work.append(partial(_page, str(path), take, apply))
    work.append(partial(_models, where.tracking_uri, known))
    with task("Looking for customers", total=len(work)) as looking:
        for look in work:
            places.append(look())
            looking.advance()
    unread = beside.unread.items()
    places += [Place(str(path), "list", "unread", remedy=why) for path, why in unread]
    return tuple(places)


def _place(
    name: str, kind: Kind, take: Callable[[], Hit], apply: bool, left_alone: str = ""
) -> Place:
    """What became of a place; `left_alone` is what to do where it is only looked at."""
    try:
        found, rows = take()
    except InputError as problem:
        return Place(name, kind, "unread", remedy=f"{problem.message} {problem.hint}".strip())
    if not found:
        return Place(name, kind, "clean", rows=0)
    state: State = "remains" if left_alone else "removed" if apply else "found"
    return Place(name, kind, state, found, rows, left_alone)


def _page(name: str, take: Callable[[], Hit], apply: bool) -> Place:
    place = _place(name, "page", take, apply)
    return replace(place, remedy=_TOTALS) if place.found else place


def _file(place: ScoreLedger | None) -> Path | None:
    """The file of a score ledger; None where it is in a server."""
    if place is None or is_postgres(place.url):
        return None
    return Path(place.url.removeprefix(DUCKDB))


def _from_ledger(place: ScoreLedger, ids: frozenset[str], *, apply: bool) -> Hit:
    from serving.ledger_store import opened
    from serving.score_ledger import forget_customers

    with opened(place.url, place.schema) as store:
        if store is None or not store.has("scores"):
            return frozenset(), 0
        rows = store.run(
            f"SELECT customer_id, count(*) FROM {store.relation('scores')} "  # noqa: S608
            "WHERE customer_id = ANY(?) GROUP BY customer_id",
            [sorted(ids)],
        )
    found = frozenset(str(row[0]) for row in rows)
    if apply:
        forget_customers(place, sorted(found))
        if (file := _file(place)) is not None:
            from_duckdb(file, [], [], apply=True)  # deleted rows are still in its free blocks
    return found, sum(int(row[1]) for row in rows)


def _from_target(target: Target, ids: frozenset[str], *, apply: bool) -> Hit:
    table = (target.schema, target.table)
    if is_postgres(target.url):
        return from_postgres(target.url, table, ids, apply=apply)
    path = Path(target.url.removeprefix(DUCKDB))
    if table not in tables_of(path, ["customer_id"]):
        raise InputError(f"There is no {target.shown} with a column customer_id.")
    return from_duckdb(path, [table], ids, apply=apply)


def _quarantined(path: Path, ids: frozenset[str], whole: frozenset[str], apply: bool) -> Place:
    if path.stem not in whole:
        take = partial(from_quarantine, path, ids, apply=apply)
        return _place(str(path), "quarantine", take, apply)
    # Who is in it cannot be told; it is written anew whenever the tables are read.
    if apply:
        path.unlink(missing_ok=True)
    return Place(str(path), "quarantine", "removed" if apply else "found")


def _left_behind(path: Path, apply: bool) -> Place:
    """Who is in it is not asked: nobody needs it."""
    if remove(path, apply=apply):
        return Place(str(path), "leftover", "removed" if apply else "found")
    return Place(str(path), "leftover", "remains", remedy=_IN_USE)


def _models(tracking_uri: str, ids: frozenset[str]) -> Place:
    name = f"MLflow at {without_secrets(tracking_uri)}"
    try:
        folders = artifact_folders(tracking_uri)
    except InputError as problem:
        return Place(name, "models", "unread", remedy=problem.message)
    if folders is None:
        why = "It is on a server, so its files were not looked through; no customer is kept there."
        return Place(name, "models", "unread", remedy=why)
    found = holding(folders, ids)
    if not found:
        return Place(name, "models", "clean")
    files = ", ".join(str(path) for path in sorted(found)[:3])
    more = f" and {len(found) - 3} more" if len(found) > 3 else ""
    return Place(
        f"{name}: {files}{more}",
        "models",
        "remains",
        frozenset().union(*found.values()),
        remedy=_IN_MODELS,
    )
