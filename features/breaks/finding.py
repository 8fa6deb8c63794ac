"""One break: something in a ledger that the customers did not do."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

__all__ = ["KINDS", "Break", "Kind", "span"]

Kind = Literal[
    "missing_days",
    "thin_days",
    "last_day",
    "arrivals",
    "reactivations",
    "id_changes",
    "returns",
    "large_return",
    "repeated_day",
    "doubled_rows",
    "scale",
    "silent_table",
]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""What can break; see `features.breaks`."""


@dataclass(frozen=True)
class Break:
    """Something that the customers did not do, or hardly can have done.

    Attributes:
        kind: What it is.
        first: First day.
        last: Last day.
        value: What was found: a count, a share or a ratio.
        expected: What the days around it lead one to expect.
        n: Rows, purchases or customers that it is about.
        grave: Whether what is learned or foretold from these days is wrong, unless a person knows
            better.
        words: One sentence, with its numbers.
        remedy: What to do.
    """

    kind: Kind
    first: dt.date
    last: dt.date
    value: float
    expected: float
    n: int
    grave: bool
    words: str
    remedy: str

    def to_dict(self) -> dict[str, Any]:
        """The same as plain values for JSON, dates in ISO form."""
        return asdict(self) | {"first": self.first.isoformat(), "last": self.last.isoformat()}


def span(first: dt.date, last: dt.date) -> str:
    """Days in words.

    >>> span(dt.date(2024, 1, 2), dt.date(2024, 1, 2))
    '2024-01-02'
    """
    return f"{first}" if first == last else f"{first} to {last}"
