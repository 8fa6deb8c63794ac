"""What training keeps of its customers, so that drift can be told later.

Of every input of a model, and of its predictions, a reference holds the bins (`models.bins`) and
how many customers lay in each at the cutoffs of the training, month by month, and on the day of the
training itself. It names no customer, and is saved with the model as `reference.json`.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd

from .base import ModelError
from .bins import MIN_CUSTOMERS, Bins, Column, learn_column

__all__ = ["MAX_CUTOFFS", "REFERENCE", "Reference", "read_reference"]

REFERENCE = "reference.json"
"""Name of the file in a model's folder."""
MAX_CUTOFFS = 12
"""So many of the latest monthly cutoffs are kept: every season once."""

_FORMAT = 1


@dataclass(frozen=True)
class Reference:
    """The customers that a model was made from, as shares of bins.

    Args:
        as_of: Day of the training: everything before it was known. Nobody's outcome was.
        training: Cutoffs whose outcomes the model learned from, ascending, the latest
            `MAX_CUTOFFS`; without any, the model was fitted to the histories as of `as_of`.
        columns: Inputs of the model.
        scores: Its predictions.
    """

    as_of: dt.date
    training: tuple[dt.date, ...]
    columns: Mapping[str, Column]
    scores: Mapping[str, Column]

    @classmethod
    def learn(
        cls,
        frames: Mapping[dt.date, pd.DataFrame],
        as_of: dt.date,
        columns: Sequence[str],
        *,
        categories: Collection[str] = (),
        scores: Mapping[dt.date, pd.DataFrame] | None = None,
    ) -> Self:
        """Count the customers of a training.

        Args:
            frames: Cutoff -> inputs of the model, one row a customer; that of `as_of` among them.
                Cutoffs with fewer than `MIN_CUSTOMERS` customers are left out.
            as_of: Day of the training.
            columns: The inputs of the model.
            categories: Those that hold text.
            scores: Cutoff -> predictions, a column each, all numbers.

        Raises:
            ModelError: There are no customers as of the day of the training.
        """
        enough = [day for day, frame in sorted(frames.items()) if len(frame) >= MIN_CUSTOMERS]
        if as_of not in frames:
            raise ModelError(f"there are no customers as of {as_of}, the day of the training")
        training = tuple(day for day in enough if day != as_of)[-MAX_CUTOFFS:]
        kept = [*training, as_of]
        learned = training or (as_of,)
        made = {
            name: learn_column(
                {day: frames[day][name] for day in kept}, learned, name in categories
            )
            for name in columns
        }
        predicted = {
            str(name): learn_column(
                {day: scores[day][name] for day in kept if day in scores}, learned, False
            )
            for name in (scores[as_of].columns if scores else ())
            if scores
        }
        return cls(as_of, training, made, predicted)

    @property
    def learned_from(self) -> tuple[dt.date, ...]:
        """The cutoffs that stand for the training: those with outcomes, else its day."""
        return self.training or (self.as_of,)

    def a_year_before(self, cutoff: dt.date) -> dt.date | None:
        """Return the cutoff of the reference in the same season a year or more ago, if any.

        >>> kept = Reference(dt.date(2024, 6, 1), (dt.date(2023, 11, 30),), {}, {})
        >>> kept.a_year_before(dt.date(2024, 12, 1))
        datetime.date(2023, 11, 30)
        """
        days = sorted({*self.training, self.as_of}, reverse=True)
        for day in days:
            ago = (cutoff - day).days
            if ago > 300 and min(ago % 365, 365 - ago % 365) <= 16:
                return day
        return None

    def to_json(self) -> str:
        """Return it as canonical JSON; `from_json` reads it back."""
        cutoffs = [*self.training, self.as_of]
        described = {
            "format": _FORMAT,
            "as_of": self.as_of.isoformat(),
            "training": [day.isoformat() for day in self.training],
            "columns": {name: _described(c, cutoffs) for name, c in self.columns.items()},
            "scores": {name: _described(c, cutoffs) for name, c in self.scores.items()},
        }
        written = json.dumps(
            described, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False
        )
        return written + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read back what `to_json` returned.

        Raises:
            ModelError: It is not that, or of another version of the format.
        """
        try:
            found = json.loads(text)
            if found["format"] != _FORMAT:
                raise ModelError(
                    f"{REFERENCE} has format {found['format']!r}, this program reads {_FORMAT}",
                    "Train again.",
                )
            as_of = dt.date.fromisoformat(found["as_of"])
            training = tuple(map(dt.date.fromisoformat, found["training"]))
            columns, scores = (
                {name: _read(column, [*training, as_of]) for name, column in found[part].items()}
                for part in ("columns", "scores")
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            if isinstance(error, ModelError):
                raise
            raise ModelError(
                f"{REFERENCE} is not the reference of a model ({error})", "Train again."
            ) from error
        return cls(as_of, training, columns, scores)


def read_reference(folder: str | Path) -> Reference | None:
    """Read the reference in a model's folder; None where the model was saved without one.

    Call `artifact.read_card` first: it checks that the file is as it was saved.

    Raises:
        ModelError: The file cannot be read.
    """
    path = Path(folder) / REFERENCE
    try:
        return Reference.from_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror or error})") from error


def _described(column: Column, cutoffs: Sequence[dt.date]) -> dict[str, Any]:
    bins = column.bins
    told = {"levels": list(bins.levels)} if bins.category else {"edges": list(bins.edges)}
    return {
        **told,
        "counts": [column.counts[d].tolist() if d in column.counts else None for d in cutoffs],
        "means": [column.means.get(d) for d in cutoffs],
    }


def _read(described: Mapping[str, Any], cutoffs: Sequence[dt.date]) -> Column:
    category = "levels" in described
    bins = (
        Bins(levels=tuple(described["levels"]), category=True)
        if category
        else Bins(tuple(map(float, described["edges"])))
    )
    counts = {
        day: np.array(row, dtype=np.int64)
        for day, row in zip(cutoffs, described["counts"], strict=True)
        if row is not None
    }
    if any(row.shape != (bins.size,) or (row < 0).any() for row in counts.values()):
        raise ValueError("the counts do not fit the bins")
    means = {
        day: float(value)
        for day, value in zip(cutoffs, described["means"], strict=True)
        if value is not None
    }
    return Column(bins, counts, means)
