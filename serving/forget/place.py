"""One place that may hold a customer, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

__all__ = ["STATES", "Kind", "Place", "State"]

Kind = Literal["ledger", "list", "table", "quarantine", "page", "leftover", "source", "models"]

State = Literal["removed", "found", "clean", "remains", "unread"]
STATES: tuple[State, ...] = get_args(State)
"""`removed`: they were there and are gone; `found`: they are there, and would be removed; `clean`:
they are not there; `remains`: they are there, and a person has to see to it; `unread`: nobody
knows, because it could not be read."""


@dataclass(frozen=True)
class Place:
    """A place that was looked at.

    Attributes:
        name: What it is called: a file as a path, a table with its database.
        kind: What it is.
        state: What became of it.
        found: Ids of the customers who are, or were, there.
        rows: Rows that are, or were, about them; None where they were not counted.
        remedy: What a person has to do; empty where nothing.
    """

    name: str
    kind: Kind
    state: State
    found: frozenset[str] = frozenset()
    rows: int | None = None
    remedy: str = ""
