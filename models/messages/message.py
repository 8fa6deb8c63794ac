"""What a message is: a fact about a customer that the features hold, whatever the language."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

__all__ = [
    "Bools",
    "Columns",
    "Condition",
    "Floats",
    "Message",
    "Topic",
    "Value",
    "at_least",
    "below",
    "is_known",
    "topic",
    "ways",
]

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Columns = Mapping[str, npt.NDArray[Any]]
"""Feature -> its values, shape (n,) each: doubles, or text in an object array."""

Condition = Callable[[Columns], Bools]
Value = str | float | Callable[[Columns], npt.NDArray[Any]]
"""A feature, a constant, or how a number follows from features."""


@dataclass(frozen=True, eq=False)
class Message:
    """One fact that can be said about a customer.

    Args:
        key: Of its text in each language.
        needs: Features that must have a value.
        lacks: Features that must be there, and have no value.
        when: Further condition on the needed features.
        reads: 1 when the sentence can only be read as a reason to worry, -1 as a good sign.
            The trees may have learned the opposite (who sends goods back also buys), but said
            aloud it would puzzle; then something else is said.
        values: What the text calls a number -> the feature that it is, a constant, or how it
            follows from the needed features. Features that it calls by their own name need no
            entry.
        fact: Messages with the same fact tell the reader the same; only one of them is said to
            a customer. Empty for a fact of its own.
    """

    key: str
    needs: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()
    when: Condition | None = None
    reads: int = 0
    values: Mapping[str, Value] = field(default_factory=dict)
    fact: str = ""

    def fits(self, columns: Columns, known: Mapping[str, Bools]) -> Bools | None:
        """Say for whom the message can be used, shape (n,).

        Args:
            columns: The features.
            known: Feature -> whether it has a value (`is_known`).

        Returns:
            None when a feature is not there at all.
        """
        if any(name not in known for name in (*self.needs, *self.lacks)):
            return None
        parts = [known[name] for name in self.needs] + [~known[name] for name in self.lacks]
        fit: Bools = np.logical_and.reduce(parts)
        return fit if self.when is None else fit & self.when(columns)

    def numbers(self, columns: Columns) -> dict[str, npt.NDArray[Any] | float]:
        """Return what the text speaks of: name -> the values of some customers, or a constant.

        Args:
            columns: The needed features of these customers.
        """
        out: dict[str, npt.NDArray[Any] | float] = {name: columns[name] for name in self.needs}
        for name, value in self.values.items():
            if callable(value):
                out[name] = value(columns)
            else:
                out[name] = columns[value] if isinstance(value, str) else value
        return out


@dataclass(frozen=True, eq=False)
class Topic:
    """Features that one sentence speaks for.

    Args:
        group: Their reason group.
        messages: The first that fits a customer is the one to be said.
        about: The features. One of the group that no topic is about is named itself.
    """

    group: str
    messages: tuple[Message, ...]
    about: frozenset[str]


def topic(group: str, *messages: Message, about: Iterable[str]) -> Topic:
    """Return a topic; see `Topic`."""
    return Topic(group, messages, frozenset(about))


def ways(
    key: str,
    *needs: str,
    by: Iterable[tuple[Condition | None, int]],
    fact: str = "",
    **values: Value,
) -> tuple[Message, ...]:
    """Return messages of one text that differ in when they fit and how they read.

    Args:
        key: Of the text.
        *needs: Features.
        by: For each message, its `when` and its `reads`.
        fact: As in `Message`.
        **values: As in `Message`.
    """
    return tuple(
        Message(key, needs, when=when, reads=reads, values=values, fact=fact) for when, reads in by
    )


def below(feature: str, limit: float) -> Condition:
    """Return the condition that a feature is below a limit."""
    return lambda columns: np.asarray(columns[feature] < limit)


def at_least(feature: str, limit: float) -> Condition:
    """Return the condition that a feature is at least a limit."""
    return lambda columns: np.asarray(columns[feature] >= limit)


def is_known(column: npt.NDArray[Any]) -> Bools:
    """Say where a feature has a value, shape (n,).

    >>> is_known(np.array(["web", None], dtype=object)).tolist()
    [True, False]
    """
    found = pd.notna(column) if column.dtype == object else np.isfinite(column)
    return np.asarray(found, dtype=bool)
