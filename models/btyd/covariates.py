"""What is known of a customer beside the history: covariates and segments, as columns of numbers.

A covariate multiplies the purchase rate or the dropout of every customer who shares its value:

    log parameter_j (customer) = log parameter_j + sum over effects e of  share[e][j] * eta[e]
    eta[e] = sum over columns of coefficient * value  (+ the offset of the segment, `segments`)

where `share` is the model's table `effects`. This is Fader & Hardie (2007), "Incorporating
Time-Invariant Covariates into the Pareto/NBD and BG/NBD Models" (brucehardie.com/notes/019):
alpha = alpha0 exp(-gamma1' z), and for the Pareto/NBD beta = beta0 exp(-gamma2' z). For the
BG/NBD they give a and b a coefficient vector each; here one vector moves a and b by half each in
opposite directions, so that it adds to the logit of the mean dropout probability a / (a + b) and
means one thing in every model: a positive coefficient buys more often, or leaves sooner.

Numbers are standardised (weighted mean 0, standard deviation 1) and rounded to 1/64 of a standard
deviation, so that customers share values; rounding biases a coefficient by 2e-5 of itself. Text
and yes-no columns become one indicator a level against the most common level. Both are learned
in `fit` and kept.

What is missing or new: a missing text is a level of its own; a missing number counts as the mean;
a level that fitting has not seen counts as the most common one; a segment that it has not seen,
as the population. None is an error, all are counted (`Design.unseen`, and diagnostics).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Number
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..base import ModelError
from .formulas import FloatArray
from .histories import distinct

__all__ = ["MAX_LEVELS", "MISSING", "Cells", "Column", "Design", "printable"]

MAX_LEVELS = 50
"""Levels of a covariate. Columns with more of them are segments."""

MISSING = "(missing)"
"""The level of a missing text."""

_STEPS_A_SD = 64.0
_FARTHEST = 1e6  # standard deviations: keeps sums of terms finite
_OWN = ("frequency", "recency", "T", "weight")


@dataclass(frozen=True)
class Column:
    """A covariate as it was learned.

    Attributes:
        name: The column.
        mean: Weighted mean of a number.
        sd: Its standard deviation; 0 for a column without variation, which has no effect.
        levels: Levels of a text, the most common one first; none for a number.
    """

    name: str
    mean: float = 0.0
    sd: float = 0.0
    levels: tuple[str, ...] = ()

    @property
    def terms(self) -> tuple[str, ...]:
        """Names of its columns of numbers: "age", or "gender=f"."""
        if self.levels:
            return tuple(f"{self.name}={printable(level)}" for level in self.levels[1:])
        return (self.name,) if self.sd > 0.0 else ()

    @classmethod
    def learn(cls, values: pd.Series[Any], weight: FloatArray) -> Self:
        """The scale of a number, or the levels of a text.

        Raises:
            ModelError: Neither number nor text, nothing but missing values, or too many levels.
        """
        name = str(values.name)
        if values.isna().all():
            raise ModelError(f"Covariate '{name}' is missing for every customer.", "Leave it out.")
        if _is_number(values):
            number = _numbers(values)
            known = np.isfinite(number)
            share = weight[known] / weight[known].sum()
            mean = float(share @ number[known])
            sd = float(np.sqrt(share @ (number[known] - mean) ** 2))
            return cls(name, mean, sd if sd > 1e-12 * max(1.0, abs(mean)) else 0.0)
        text = _texts(values)
        count = pd.Series(weight).groupby(text).sum()
        if len(count) > MAX_LEVELS:
            raise ModelError(
                f"Covariate '{name}' has {len(count)} levels, at most {MAX_LEVELS} are possible.",
                f"Give it as segment='{name}', which shrinks small groups, or merge levels.",
            )
        # The most common first; equal ones in the order of their text.
        ordered = sorted(count.index, key=lambda level: (-count[level], level))
        return cls(name, levels=tuple(ordered))

    def numbers(self, values: pd.Series[Any]) -> FloatArray:
        """Its columns of numbers, (n, terms)."""
        if not self.levels:
            if not _is_number(values) and not values.isna().all():
                raise ModelError(
                    f"Column '{self.name}' holds text, but the model was fitted on numbers.",
                    "Convert it to numbers first.",
                )
            if not self.terms:
                return np.empty((len(values), 0))
            z = (_numbers(values) - self.mean) / self.sd
            z = np.round(z.clip(-_FARTHEST, _FARTHEST) * _STEPS_A_SD) / _STEPS_A_SD
            return np.nan_to_num(z)[:, None]
        text = _texts(values)
        return np.column_stack(
            [np.empty((len(values), 0)), *[text == level for level in self.levels[1:]]]
        ).astype(float)

    def unseen(self, values: pd.Series[Any]) -> npt.NDArray[np.bool_]:
        """Where a number is missing or a level is new, (n,)."""
        if self.levels:
            return ~pd.Index(_texts(values)).isin(self.levels)
        return np.asarray(values.isna())


@dataclass(frozen=True)
class Cells:
    """Customers with equal covariates and segment share a cell.

    Attributes:
        place: Cell of each customer, (n,).
        numbers: Effect -> its columns of numbers, (cells, terms).
        segment: Segment of each cell, (cells,); -1 for none or one that fitting has not seen.
    """

    place: npt.NDArray[np.intp]
    numbers: dict[str, FloatArray]
    segment: npt.NDArray[np.intp]

    def __len__(self) -> int:
        """Number of cells."""
        return len(self.segment)


@dataclass(frozen=True)
class Design:
    """Which columns move which effect, and how they were scaled.

    Attributes:
        covariates: Effect ("rate", "dropout") -> names of its columns.
        columns: The columns named there, as learned.
        segment: The column that holds the segment.
        segments: Segments that fitting has seen, sorted.
        customers: Customers of each segment.
    """

    covariates: Mapping[str, tuple[str, ...]]
    columns: tuple[Column, ...] = ()
    segment: str | None = None
    segments: tuple[str, ...] = ()
    customers: tuple[float, ...] = ()

    @property
    def input_columns(self) -> tuple[str, ...]:
        """The columns it reads."""
        names = tuple(column.name for column in self.columns)
        return names if self.segment is None else (*names, self.segment)

    @classmethod
    def learn(
        cls,
        frame: pd.DataFrame,
        weight: FloatArray,
        covariates: Mapping[str, Sequence[str]],
        segment: str | None,
    ) -> Self:
        """Learn scales, levels and segments.

        Raises:
            ModelError: A column is missing or cannot be used.
        """
        names = list(dict.fromkeys(name for group in covariates.values() for name in group))
        for name in [*names, *([segment] if segment is not None else [])]:
            if name in _OWN:
                raise ModelError(f"'{name}' belongs to the history; it cannot be a covariate.")
        if segment in names:
            raise ModelError(
                f"'{segment}' is both a covariate and the segment.", "Give it as one of the two."
            )
        columns = tuple(Column.learn(_column(frame, name), weight) for name in names)
        groups = {effect: tuple(dict.fromkeys(group)) for effect, group in covariates.items()}
        if segment is None:
            return cls(groups, columns)
        count = pd.Series(weight).groupby(_texts(_column(frame, segment))).sum()
        if len(count) < 2:
            only = f"only '{count.index[0]}'"
            raise ModelError(
                f"Segment '{segment}' has {only}: there is nothing to pool.",
                "Fit without a segment.",
            )
        return cls(groups, columns, segment, tuple(count.index), tuple(map(float, count)))

    def cells(self, frame: pd.DataFrame) -> Cells:
        """Code the customers of a frame.

        Raises:
            ModelError: A column is missing or of another kind than in fitting.
        """
        blocks = {c.name: c.numbers(_column(frame, c.name)) for c in self.columns}
        code = np.full(len(frame), -1.0)
        if self.segment is not None:
            texts = _texts(_column(frame, self.segment))
            code = pd.Index(self.segments).get_indexer(pd.Index(texts)).astype(float)
        rows, place = distinct(np.column_stack([code, *blocks.values()]))
        starts = np.cumsum([1] + [block.shape[1] for block in blocks.values()])
        at = {name: range(a, b) for name, a, b in zip(blocks, starts, starts[1:], strict=False)}
        values = {
            effect: rows[:, [i for name in group for i in at[name]]]
            for effect, group in self.covariates.items()
        }
        return Cells(place, values, rows[:, 0].astype(np.intp))

    def terms(self, effect: str) -> tuple[str, ...]:
        """Names of the columns of numbers of an effect."""
        by_name = {column.name: column for column in self.columns}
        return tuple(t for n in self.covariates.get(effect, ()) for t in by_name[n].terms)

    def unseen(self, frame: pd.DataFrame) -> dict[str, int]:
        """Customers by column whose number is missing, or whose level or segment is new."""
        out = {c.name: int(c.unseen(_column(frame, c.name)).sum()) for c in self.columns}
        if self.segment is not None:
            texts = pd.Index(_texts(_column(frame, self.segment)))
            out[self.segment] = int((~texts.isin(self.segments)).sum())
        return out

    def describe(self) -> dict[str, Any]:
        """All of it as JSON."""
        return {
            "covariates": {effect: list(group) for effect, group in self.covariates.items()},
            "columns": [
                {"name": c.name, "mean": c.mean, "sd": c.sd, "levels": list(c.levels)}
                for c in self.columns
            ],
            "segment": self.segment,
            "segments": list(self.segments),
            "customers": list(self.customers),
        }

    @classmethod
    def from_description(cls, description: Mapping[str, Any]) -> Self:
        """Read back what `describe` gave."""
        return cls(
            {effect: tuple(group) for effect, group in description["covariates"].items()},
            tuple(
                Column(c["name"], float(c["mean"]), float(c["sd"]), tuple(c["levels"]))
                for c in description["columns"]
            ),
            description["segment"],
            tuple(description["segments"]),
            tuple(map(float, description["customers"])),
        )


def _column(frame: pd.DataFrame, name: str) -> pd.Series[Any]:
    if name not in frame.columns:
        have = ", ".join(map(str, frame.columns)) or "none"
        raise ModelError(
            f"The RFM summary has no column '{name}' (columns: {have}).",
            f"The model uses '{name}' as a covariate or segment; add it for every customer.",
        )
    if (frame.columns == name).sum() > 1:
        raise ModelError(f"The RFM summary has more than one column '{name}'.", "Rename them.")
    values = frame[name]
    if pd.api.types.is_datetime64_any_dtype(values) or pd.api.types.is_timedelta64_dtype(values):
        raise ModelError(
            f"Column '{name}' holds times; a covariate is a number, a text or yes-no.",
            "Convert it, for example to a number of days.",
        )
    return values


def _is_number(values: pd.Series[Any]) -> bool:
    if pd.api.types.is_bool_dtype(values):
        return False
    if values.dtype == object:
        known = values.dropna()
        return len(known) > 0 and all(
            isinstance(v, Number) and not isinstance(v, bool | np.bool_) for v in known
        )
    return pd.api.types.is_numeric_dtype(values)


def _numbers(values: pd.Series[Any]) -> FloatArray:
    number = np.asarray(values.astype(object).where(values.notna(), np.nan), dtype=float)
    if np.isinf(number).any():
        label = values.index[int(np.flatnonzero(np.isinf(number))[0])]
        raise ModelError(f"Row {label!r}: '{values.name}' is infinite.", "Use a finite number.")
    return number


def _texts(values: pd.Series[Any]) -> npt.NDArray[np.object_]:
    """Levels as text; True, 1, 1.0 and "1" are one level, a missing value is `MISSING`."""
    codes, levels = pd.factorize(values, use_na_sentinel=True)
    names = np.array([*map(_text, levels), MISSING], dtype=object)
    out: npt.NDArray[np.object_] = names[codes]
    return out


def _text(level: object) -> str:
    if isinstance(level, bool | np.bool_ | float | np.floating) and float(level).is_integer():
        return str(int(level))
    return str(level)


def printable(level: str) -> str:
    """A level as part of a name: what cannot be printed is written out."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in level)
