"""Measures of the business: what customer value is judged by, by period and by segment.

`measure(ledger)` takes every measure that the tables allow and says of the others what they
need. Each family is a module with its rows of the catalogue in `MEASURES` and one function from a
`Question` to a `Found`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from features.measures.catalogue import FAMILIES, MEASURES, find
from features.measures.periods import By
from features.measures.segments import Question, ask
from features.measures.table import COLUMNS, Found, Measure, Missing, gather
from features.progress import task

if TYPE_CHECKING:
    from features.ledger import Ledger

__all__ = [
    "COLUMNS",
    "MEASURES",
    "Found",
    "Measure",
    "Missing",
    "Question",
    "ask",
    "find",
    "gather",
    "measure",
    "take",
]


def measure(
    ledger: Ledger,
    by: By = "month",
    segments: Sequence[str] = (),
    churn_days: int = 90,
    margin: float = 1.0,
    cuts: tuple[float, float] | None = None,
) -> Found:
    """Take every measure that needs no model.

    Args:
        ledger: The trusted tables.
        by: Length of the periods.
        segments: Segment columns: "cohort" (the period of the first purchase) or any static
            attribute, such as "country", "channel" or "category"; see `features.attributes`.
        churn_days: Days without a purchase after which a customer counts as lost.
        margin: Share of revenue that is profit.
        cuts: Revenue in twelve months above which a customer is of medium, and of high value;
            None: learned from the data, once.

    Returns:
        The long table, what could not be measured and why, and notes.

    Raises:
        InputError: A segment column that does not exist or has too many values.
    """
    with ask(ledger, by, segments, churn_days, margin, cuts) as asked:
        return take(asked)


def take(asked: Question) -> Found:
    """As `measure`, for a question that is put already."""
    parts = [Found(notes=(asked.periods.sentence,) if asked.periods.sentence else ())]
    with task("Taking measures", total=len(FAMILIES)) as taking:
        for family in FAMILIES:
            parts.append(family(asked))
            taking.advance()
    return gather(parts)
