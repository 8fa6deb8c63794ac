"""Who is champion, who was, from when until when, and why: kept in the registry itself.

The alias `champion` says which version is in use. Beside it every move of the alias is an event: a
tag of the registered model, `champion.<UTC time>.<4 hexadecimal digits>`, with JSON as its value.
A key is never written twice, so the history only grows, no tag comes near MLflow's limit on its
length, two writers cannot overwrite each other, and a version that is deleted stays in it. It is
the same in SQLite, PostgreSQL and behind a server.

The alias is moved first, then the event is written: what counts is the alias. A move without an
event, by hand in the MLflow UI or by a process that was killed in between, is noticed by comparing
the two, and noted as made outside.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import getpass
import hashlib
import json
import re
import time
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import unquote

from mlflow.exceptions import MlflowException

from features.errors import InputError
from features.locking import hold, lock_of
from features.progress import note

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.tracking import MlflowClient

__all__ = [
    "CHALLENGER",
    "CHAMPION",
    "MOST_WORDS",
    "Event",
    "Reign",
    "Way",
    "by_alias",
    "database_file",
    "events",
    "move_champion",
    "predecessor",
    "registry_lock",
    "reigns",
    "store_lock",
]

CHAMPION = "champion"
CHALLENGER = "challenger"

Way = Literal["gate", "hand", "rollback", "outside"]

MOST_WORDS = 1000
"""Most characters of a reason: so many always fit into a tag."""

_KEY = re.compile(r"champion\.\d{8}T\d{6}\.\d{6}Z\.[0-9a-f]{4}")
_TIME = "%Y%m%dT%H%M%S.%fZ"
_OUTSIDE = (
    "the alias was moved outside Regulars, for instance in the MLflow UI, or by a process that was "
    "ended half-way; the time is when that was noticed"
)
_EARLIER = "champion before a history was kept; the time is when the version was registered"
_WAIT = 3600.0  # seconds


@dataclass(frozen=True)
class Event:
    """One move of the alias.

    Attributes:
        at: When, UTC, ISO.
        version: Who is champion from then on; empty: nobody.
        before: Who was; empty: nobody.
        way: "gate": at the end of a training; "hand" and "rollback": `regulars promote`;
            "outside": not by Regulars.
        why: The reason.
        by: Who asked for it, of moves by hand.
        training_id: Of a training.
    """

    at: str
    version: str
    before: str
    way: Way
    why: str
    by: str = ""
    training_id: str = ""


@dataclass(frozen=True)
class Reign:
    """A time during which one version was champion.

    Attributes:
        version: The version; empty: none was champion.
        since: From when on, UTC, ISO.
        until: Until when; empty: still.
        way: How it came about, as of an `Event`.
        why: The reason.
        by: Who asked for it, of moves by hand.
        training_id: Of the training whose gate it passed.
    """

    version: str
    since: str
    until: str
    way: Way
    why: str
    by: str = ""
    training_id: str = ""

    def to_dict(self) -> dict[str, str]:
        """Return plain JSON."""
        return asdict(self)


@contextlib.contextmanager
def registry_lock(uri: str, name: str) -> Iterator[None]:
    """Let one process at a time judge and move the champion of a model.

    A file beside an SQLite database, an advisory lock in PostgreSQL. A server of MLflow and other
    databases have no lock to offer: there whoever moves the alias looks again just before.

    Args:
        uri: The store.
        name: The registered model.

    Raises:
        InputError: Somebody else has held it for an hour.
    """
    with _lock(uri, name, f"the registry of {name}"):
        yield


@contextlib.contextmanager
def store_lock(uri: str) -> Iterator[None]:
    """Let one process at a time open a store: the first one fills it with MLflow's tables."""
    with _lock(uri, "", "the MLflow store"):
        yield


@contextlib.contextmanager
def _lock(uri: str, part: str, what: str) -> Iterator[None]:
    database = database_file(uri)
    if database is not None:
        plain = part if re.fullmatch(r"[\w-]{0,100}", part, re.ASCII) else _digest(part).hex()
        with hold(lock_of(database, plain), what, seconds=_WAIT):
            yield
    elif uri.startswith("postgresql"):
        with _advisory_lock(uri, int.from_bytes(_digest(part), signed=True), what):
            yield
    else:
        yield


def database_file(uri: str) -> Path | None:
    """The file of an SQLite store, None for any other.

    >>> database_file("sqlite:////srv/shop/mlflow.db").as_posix()
    '/srv/shop/mlflow.db'
    >>> database_file("http://localhost:5000") is None
    True
    """
    if not uri.startswith("sqlite:///"):
        return None
    found = unquote(uri.removeprefix("sqlite:///").split("?", 1)[0])
    return Path(found).resolve() if found and found != ":memory:" else None


def by_alias(client: MlflowClient, name: str, alias: str) -> ModelVersion | None:
    """The version that bears an alias, None where there is none."""
    try:
        return client.get_model_version_by_alias(name, alias)
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise


def events(client: MlflowClient, name: str) -> list[Event]:
    """All moves of the alias that were written down, the first one first."""
    found = []
    for key, value in sorted(client.get_registered_model(name).tags.items()):
        if _KEY.fullmatch(key):
            try:
                event = Event(**json.loads(value))
                if dt.datetime.fromisoformat(event.at).tzinfo is None:
                    raise ValueError("a time without its zone")
                found.append(event)
            except (ValueError, TypeError):  # somebody has edited it
                note(f"The tag {key} of {name} cannot be read and is left out of the history.")
    return found


def reigns(client: MlflowClient, name: str) -> list[Reign]:
    """Who was champion from when until when, the first one first.

    A champion that the events do not account for comes last, as made outside.
    """
    known = events(client, name)
    unknown = _unaccounted(client, name, known)
    moves = [*known, *([unknown] if unknown else [])]
    ends = [*(move.at for move in moves[1:]), ""]
    return [
        Reign(m.version, m.at, end, m.way, m.why, m.by, m.training_id)
        for m, end in zip(moves, ends, strict=False)  # without a move there is no end either
    ]


def predecessor(client: MlflowClient, name: str) -> str:
    """The version that a rollback goes back to; empty where there is none.

    A rollback undoes the last move that has not been undone: rolling back twice goes back by two.
    """
    stack: list[str] = []
    for reign in reigns(client, name):
        if reign.way == "rollback" and reign.version in stack:
            while stack[-1] != reign.version:
                stack.pop()
        elif reign.version and stack[-1:] != [reign.version]:
            stack.append(reign.version)
    return stack[-2] if len(stack) > 1 else ""


def move_champion(
    client: MlflowClient, name: str, version: str, *, way: Way, why: str, training_id: str = ""
) -> None:
    """Make a version the champion, and write down when, how and why.

    A champion that the events do not account for is written down first. Hold `registry_lock`.

    Args:
        client: Of the store.
        name: The registered model.
        version: Its version.
        way: How it came about.
        why: The reason; of a long one the start is kept.
        training_id: Of the training whose gate it passed.
    """
    known = events(client, name)
    unknown = _unaccounted(client, name, known)
    if unknown is not None:
        _write(client, name, unknown)
        known = [*known, unknown]
    before = by_alias(client, name, CHAMPION)
    client.set_registered_model_alias(name, CHAMPION, version)
    said = why if len(why) <= MOST_WORDS else f"{why[: MOST_WORDS - 3]}..."
    by = _user() if way in ("hand", "rollback") else ""
    former = "" if before is None else str(before.version)
    _write(client, name, Event(_now(known), version, former, way, said, by, training_id))


def _unaccounted(client: MlflowClient, name: str, known: list[Event]) -> Event | None:
    """The move that led to the present champion, where nobody has written it down."""
    champion = by_alias(client, name, CHAMPION)
    version = "" if champion is None else str(champion.version)
    last = known[-1].version if known else ""
    if version == last:
        return None
    if not known and champion is not None and champion.tags.get("promoted") == "true":
        at = dt.datetime.fromtimestamp(champion.creation_timestamp / 1000, dt.UTC)
        return Event(at.isoformat(), version, "", "gate", _EARLIER)
    return Event(_now(known), version, last, "outside", _OUTSIDE)


def _write(client: MlflowClient, name: str, event: Event) -> None:
    at = dt.datetime.fromisoformat(event.at)
    key = f"champion.{at.strftime(_TIME)}.{uuid.uuid4().hex[:4]}"
    text = json.dumps(asdict(event), ensure_ascii=False, sort_keys=True)
    client.set_registered_model_tag(name, key, text)


def _now(known: list[Event]) -> str:
    """Now, or just after the last event where the clock has been set back."""
    now = dt.datetime.now(dt.UTC)
    last = max(_instants(known), default=now)
    return (now if now > last else last + dt.timedelta(microseconds=1)).isoformat()


def _instants(known: list[Event]) -> list[dt.datetime]:
    return [dt.datetime.fromisoformat(event.at) for event in known]


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a user without a name, as in some containers
        return ""


def _digest(name: str) -> bytes:
    return hashlib.blake2b(f"regulars:{name}".encode(), digest_size=8).digest()


@contextlib.contextmanager
def _advisory_lock(uri: str, key: int, what: str) -> Iterator[None]:
    """Hold a lock of PostgreSQL, which dies with the connection."""
    import sqlalchemy

    engine = sqlalchemy.create_engine(
        uri, poolclass=sqlalchemy.NullPool, isolation_level="AUTOCOMMIT"
    )
    with engine.connect() as connection:
        asked: Any = sqlalchemy.text("SELECT pg_try_advisory_lock(:key)")
        start, said = time.monotonic(), False
        while not connection.execute(asked, {"key": key}).scalar():
            waited = time.monotonic() - start
            if waited > _WAIT:
                raise InputError(
                    f"Another process uses {what}, and has not let go of it in an hour.",
                    "Wait until it has finished, or end it.",
                )
            if waited > 2.0 and not said:
                note(f"Waiting: another process uses {what}.")
                said = True
            time.sleep(0.2)
        yield
