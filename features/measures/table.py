"""The long table of measures: one row a measure, period and segment, with its interval."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pandas as pd

__all__ = ["COLUMNS", "Found", "Measure", "Missing", "Unit", "gather", "no_rows", "rows", "segment"]

Unit = Literal[
    "share", "money", "count", "ratio", "points", "days", "months", "hours", "minutes",
    "purchases", "p_value",
]  # fmt: skip

COLUMNS = ("measure", "period", "segment", "value", "low", "high", "n", "unit")
"""The columns of the long table, in order; see `rows` for what they hold."""


@dataclass(frozen=True)
class Measure:
    """What is known about a measure, but its code: one row of the catalogue.

    Attributes:
        name: As in the long table.
        unit: What `value` counts.
        title: A few words, as a heading.
        definition: How it is computed, in words and symbols; one definition, one name.
        source: Where the definition or its formula comes from; "" for a plain count.
        needs: Tables, or columns as table.column, without which it cannot be measured.
        n: What the column `n` counts.
    """

    name: str
    unit: Unit
    title: str
    definition: str
    source: str = ""
    needs: tuple[str, ...] = ("transactions",)
    n: str = "customers"


@dataclass(frozen=True)
class Missing:
    """Measures that could not be taken, and what they would need.

    Attributes:
        measures: Their names.
        needs: A sentence: what is needed.

    >>> print(Missing(("nps", "nps_change"), "There is no table of surveys."))
    nps, nps_change: There is no table of surveys.
    """

    measures: tuple[str, ...]
    needs: str

    def __str__(self) -> str:
        return f"{', '.join(self.measures)}: {self.needs}"


def no_rows() -> pd.DataFrame:
    """A long table without rows."""
    frame = pd.DataFrame({name: pd.Series(dtype="str") for name in COLUMNS})
    return frame.astype({"value": float, "low": float, "high": float, "n": "int64"})


@dataclass(frozen=True)
class Found:
    """What a family of measures found.

    Attributes:
        frame: The long table, with the columns `COLUMNS`.
        missing: What could not be measured, and why.
        notes: Sentences that a reader of the figures has to know.
    """

    frame: pd.DataFrame = field(default_factory=no_rows)
    missing: tuple[Missing, ...] = ()
    notes: tuple[str, ...] = ()


def rows(
    measure: Measure,
    frame: pd.DataFrame,
    value: str | pd.Series | Sequence[float] | np.ndarray,
    n: str | pd.Series | Sequence[int] | np.ndarray | None = None,
    low: str | pd.Series | np.ndarray | None = None,
    high: str | pd.Series | np.ndarray | None = None,
) -> pd.DataFrame:
    """The rows of one measure.

    Args:
        measure: Its row of the catalogue.
        frame: Has the columns period and segment, one row a figure.
        value: The figures: a column of the frame or values in its order.
        n: How many customers, answers, ... are behind each; None: the value itself.
        low: Lower end of the 95 % interval; None where the figure is a count of everything.
        high: Upper end.

    Returns:
        The long table: measure, period, segment (text), value, low, high (float64; low and
        high are NaN without an interval), n (int64) and unit. Rows without a value are left
        out.

    >>> churn = Measure("churn_rate", "share", "Churn rate", "...")
    >>> found = pd.DataFrame({"period": ["2024-01"], "segment": ["all"], "lost": [2], "of": [8]})
    >>> rows(churn, found, found["lost"] / found["of"], "of").to_dict("records")[0]["value"]
    0.25
    """

    def column(given: str | pd.Series | Sequence[float] | np.ndarray | None) -> np.ndarray:
        if given is None:
            return np.full(len(frame), np.nan)
        taken = frame[given] if isinstance(given, str) else given
        return np.asarray(taken, dtype=np.float64)

    values = column(value)
    table: pd.DataFrame = pd.DataFrame(
        {
            "measure": measure.name,
            "period": frame["period"].to_numpy(),
            "segment": frame["segment"].to_numpy(),
            "value": values,
            "low": column(low),
            "high": column(high),
            "n": values if n is None else column(n),
            "unit": measure.unit,
        }
    )
    table = table[~np.isnan(values)].reset_index(drop=True)
    return table.assign(n=table["n"].astype("int64"))


def gather(parts: Iterable[Found]) -> Found:
    """All families together: rows one below the other, what is missing and notes in order."""
    found = list(parts)
    frames = [part.frame for part in found if len(part.frame)]
    return Found(
        pd.concat(frames, ignore_index=True) if frames else no_rows(),
        tuple(missing for part in found for missing in part.missing),
        tuple(dict.fromkeys(sentence for part in found for sentence in part.notes)),
    )


def segment(**parts: object) -> str:
    """The text of a segment of several parts.

    >>> segment(cohort="2024-01", age=3)
    'cohort=2024-01|age=3'
    """
    return "|".join(f"{key}={str(value).replace('|', '/')}" for key, value in parts.items())
