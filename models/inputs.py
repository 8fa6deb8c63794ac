"""From frames of features to the matrix that the models see, the same at training and scoring.

Which columns are used, and the levels of categories, are settled once, on the training
snapshots. One column is computed here: the spend percentile, a customer's place among the
training customers, which scoring only looks up.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from typing import Any, Literal, Protocol, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from .base import ModelError
from .categories import (
    MIN_LEVEL_ROWS,
    category_codes,
    factorised,
    is_category,
    learn_levels,
)

__all__ = [
    "SPEND_PERCENTILE",
    "CatalogueRow",
    "Feature",
    "Inputs",
    "Kind",
    "Matrix",
    "Percentiles",
]

Floats = npt.NDArray[np.float64]
Matrix = npt.NDArray[np.float32]
Kind = Literal["number", "category"]

SPEND_PERCENTILE = "spend_percentile"
SPEND_WINDOWS = ("net_spend_365", "net_spend_180", "net_spend_90", "net_spend_30")

_LARGEST = float(np.finfo(np.float32).max)


class CatalogueRow(Protocol):
    """What is read of a row of the feature catalogue."""

    @property
    def name(self) -> str:
        """Its column."""
        ...

    @property
    def reason_group(self) -> str:
        """The subject it speaks about."""
        ...

    @property
    def monotone(self) -> int:
        """Sign of its effect on the probability of churn: -1, 0 (none assumed) or +1."""
        ...

    @property
    def seasonal(self) -> bool:
        """Whether it only tells the time of the year."""
        ...

    @property
    def kind(self) -> Kind:
        """Whether it is a number or a category."""
        ...


@dataclass(frozen=True)
class Feature:
    """A catalogue row, as far as the model keeps it.

    Args:
        name: Its column.
        reason_group: The subject it speaks about.
        monotone: Sign of its effect; 0 for a category.
        seasonal: Whether it only tells the time of the year.
        kind: Whether it is a number or a category.
        levels: Of a category, those told apart, in the order of their codes. All others have
            the next code, that of `UNKNOWN`.
    """

    name: str
    reason_group: str
    monotone: int = 0
    seasonal: bool = False
    kind: Kind = "number"
    levels: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able description; `from_dict` reads it back."""
        return asdict(self) | {"levels": list(self.levels)}

    @classmethod
    def from_dict(cls, description: Mapping[str, Any]) -> Self:
        """Read back what `to_dict` returned."""
        return cls(**{**description, "levels": tuple(description["levels"])})


@dataclass(frozen=True)
class Percentiles:
    """Where a value stands within the training customers, frozen.

    Args:
        source: Column that is ranked.
        value: Distinct quantiles of the training values, ascending.
        rank: Share of training customers below, counting half of the ties, at each.
    """

    source: str
    value: tuple[float, ...]
    rank: tuple[float, ...]

    @classmethod
    def learn(cls, source: str, values: npt.ArrayLike) -> Self:
        """Keep 201 quantiles of the values; missing ones are left out."""
        x = np.asarray(values, dtype=np.float64)
        levels = np.linspace(0.0, 1.0, 201)
        quantiles = np.quantile(x[~np.isnan(x)], levels)
        distinct, code = np.unique(quantiles, return_inverse=True)
        middle = np.bincount(code, weights=levels) / np.bincount(code)
        return cls(source, tuple(distinct.tolist()), tuple(middle.tolist()))

    def __call__(self, values: npt.ArrayLike) -> Floats:
        """Return the rank in [0, 1] of each value; missing stays missing."""
        return np.asarray(np.interp(np.asarray(values, np.float64), self.value, self.rank))

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able description; `from_dict` reads it back to the same bits."""
        return {"source": self.source, "value": list(self.value), "rank": list(self.rank)}

    @classmethod
    def from_dict(cls, description: Mapping[str, Any]) -> Self:
        """Read back what `to_dict` returned."""
        return cls(description["source"], tuple(description["value"]), tuple(description["rank"]))


@dataclass(frozen=True)
class Inputs:
    """The features of a fitted model.

    Args:
        features: In the model's order.
        percentiles: How `spend_percentile`, then one of the features, is computed; None when
            nothing is.
    """

    features: tuple[Feature, ...]
    percentiles: Percentiles | None = None

    @classmethod
    def choose(
        cls,
        train: pd.DataFrame | Sequence[pd.DataFrame],
        catalogue: Sequence[CatalogueRow] = (),
        cutoffs: Sequence[date] = (),
    ) -> tuple[Self, dict[str, str]]:
        """Choose among the columns of the training snapshots.

        Left out is what is constant or empty and, as long as the cutoffs span less than a year,
        what only tells the time of the year: the model could do no more than learn the few
        cutoffs by heart. Of a category, the `MAX_LEVELS` most frequent levels with at least
        `MIN_LEVEL_ROWS` rows and `MIN_LEVEL_CUSTOMERS` customers are told apart; the rest is one
        level, `UNKNOWN`.

        Args:
            train: The training snapshots, one frame a cutoff or one frame with all; all with
                the same columns.
            catalogue: Columns that it does not know are a reason group of their own, and a
                category if they hold text or are of a categorical type. If it lists
                `spend_percentile`, this is computed from the widest `net_spend_` window.
            cutoffs: Cutoffs of the training snapshots.

        Returns:
            The inputs, and what was left out: name -> reason.

        Raises:
            ModelError: A column is missing in one of the frames, occurs twice, is not numeric,
                or none is left.
        """
        frames = _frames(train)
        names = list(map(str, frames[0].columns))
        for frame in frames:
            _check_columns(frame, names, "the training panel")
        known = {
            row.name: Feature(row.name, row.reason_group, row.monotone, row.seasonal, row.kind)
            for row in catalogue
        }
        whole_year = bool(cutoffs) and (max(cutoffs) - min(cutoffs)).days >= 365
        # What only tells the time has at most one value a cutoff, and at most one a month.
        times = len(cutoffs) or 12
        kept: list[Feature] = []
        dropped: dict[str, str] = {}
        spreads: set[str] = set()
        for name in names:
            feature = known.get(name) or Feature(name, name, kind=_kind(frames, name))
            if feature.kind == "category":
                feature = replace(feature, monotone=0, levels=learn_levels(f[name] for f in frames))
                parts = [category_codes(frame[name], feature.levels) for frame in frames]
            else:
                parts = [_numbers(frame, name) for frame in frames]
            if all(np.isnan(part).all() for part in parts):
                dropped[name] = "no value in training"
            elif not _varies(parts):
                dropped[name] = (
                    f"no level in {MIN_LEVEL_ROWS} training rows"
                    if feature.kind == "category" and not feature.levels
                    else "the same value in all training rows"
                )
            elif feature.seasonal and not whole_year and _distinct(parts) <= times:
                dropped[name] = "tells the season, and the training cutoffs span less than a year"
            else:
                kept.append(feature)
                if _varies(parts, missing_counts=False):
                    spreads.add(name)
        percentiles = None
        source = next((w for w in SPEND_WINDOWS if w in spreads), None)
        if SPEND_PERCENTILE in known and SPEND_PERCENTILE not in names and source is not None:
            values = np.concatenate([_numbers(frame, source) for frame in frames])
            percentiles = Percentiles.learn(source, values)
            kept.append(known[SPEND_PERCENTILE])
        if not kept:
            raise ModelError(
                "no feature differs between the training customers",
                "Check the training panel: all columns are empty or constant.",
            )
        # In the catalogue's order, then by name: the order of the columns changes nothing.
        place = {name: i for i, name in enumerate(known)}
        kept.sort(key=lambda f: (place.get(f.name, len(place)), f.name))
        return cls(tuple(kept), percentiles), dropped

    @property
    def names(self) -> list[str]:
        """The features, in the order of the matrix."""
        return [f.name for f in self.features]

    @property
    def columns(self) -> list[str]:
        """What a frame must have: the features, without the one that is computed."""
        if self.percentiles is None:
            return self.names
        plain = [name for name in self.names if name != SPEND_PERCENTILE]
        return list(dict.fromkeys([*plain, self.percentiles.source]))

    @property
    def categories(self) -> list[str]:
        """The features that are categories."""
        return [f.name for f in self.features if f.kind == "category"]

    @property
    def text_columns(self) -> list[str]:
        """Those of `columns` that hold text: the categories. All others hold numbers."""
        return self.categories

    @property
    def groups(self) -> dict[str, str]:
        """Feature -> reason group."""
        return {f.name: f.reason_group for f in self.features}

    @property
    def signs(self) -> dict[str, int]:
        """Feature -> sign of its effect, for those that have one."""
        return {f.name: f.monotone for f in self.features if f.monotone}

    def without(self, left_out: Collection[str]) -> tuple[int, ...]:
        """Return the positions of the features that remain.

        Args:
            left_out: Features or reason groups. What is not among the features has no effect.

        Raises:
            ModelError: Nothing remains.
        """
        gone = set(left_out)
        kept = tuple(i for i, f in enumerate(self.features) if not {f.name, f.reason_group} & gone)
        if not kept:
            raise ModelError(f"no feature remains without {', '.join(sorted(gone))}")
        return kept

    def matrix(
        self, frame: pd.DataFrame | Sequence[pd.DataFrame], what: str = "the frame to score"
    ) -> Matrix:
        """Return the features, C-contiguous, shape (n, f).

        A category is the code of its level, and NaN where it is missing. Numbers too large for
        32 bits become the largest that fit.

        Args:
            frame: At least `columns`, in any order; or several such frames, whose rows follow
                each other.
            what: How an error calls it.

        Raises:
            ModelError: A column is missing, occurs twice, is not numeric, or is infinite
                somewhere.
        """
        frames = _frames(frame)
        for part in frames:
            _check_columns(part, self.columns, what)
        out = np.empty((sum(map(len, frames)), len(self.features)), dtype=np.float32)
        start = 0
        for part in frames:
            rows = slice(start, start + len(part))
            for i, feature in enumerate(self.features):
                out[rows, i] = self._column(part, feature)
            start = rows.stop
        return out

    def values(self, frame: pd.DataFrame, X: Matrix) -> dict[str, npt.NDArray[Any]]:
        """Return what is known of customers, by name, as it is said to people.

        Args:
            frame: What `matrix` was made from.
            X: The matrix.

        Returns:
            Feature -> (n,): numbers as float64, and categories as the text they have in the
            frame, None where there is none.
        """
        out: dict[str, npt.NDArray[Any]] = {}
        for feature, column in zip(self.features, X.T, strict=True):
            if feature.kind == "category":
                codes, texts = factorised(frame[feature.name])
                out[feature.name] = np.array([*texts, None], dtype=object)[codes]
            else:
                out[feature.name] = column.astype(np.float64)
        return out

    def _column(self, frame: pd.DataFrame, feature: Feature) -> Matrix:
        if feature.kind == "category":
            return category_codes(frame[feature.name], feature.levels)
        if self.percentiles is not None and feature.name == SPEND_PERCENTILE:
            return self.percentiles(_numbers(frame, self.percentiles.source)).astype(np.float32)
        return _numbers(frame, feature.name)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able description; `from_dict` reads it back to the same bits."""
        ranked = self.percentiles
        return {
            "features": [f.to_dict() for f in self.features],
            SPEND_PERCENTILE: ranked.to_dict() if ranked else None,
        }

    @classmethod
    def from_dict(cls, description: Mapping[str, Any]) -> Self:
        """Read back what `to_dict` returned."""
        ranked = description[SPEND_PERCENTILE]
        return cls(
            tuple(Feature.from_dict(row) for row in description["features"]),
            Percentiles.from_dict(ranked) if ranked else None,
        )


def _frames(given: pd.DataFrame | Sequence[pd.DataFrame]) -> list[pd.DataFrame]:
    frames = [given] if isinstance(given, pd.DataFrame) else list(given)
    if not frames:
        raise ModelError("expected at least one frame of features, got none")
    return frames


def _kind(frames: Sequence[pd.DataFrame], name: str) -> Kind:
    return "category" if any(is_category(frame[name]) for frame in frames) else "number"


def _varies(parts: Sequence[Matrix], missing_counts: bool = True) -> bool:
    """Whether two values differ; a missing one beside another counts as different if wanted."""
    low, high = np.inf, -np.inf
    for part in parts:
        known = part[~np.isnan(part)]
        if len(known) < len(part) and missing_counts:
            return True
        if len(known):
            low, high = min(low, known.min()), max(high, known.max())
    return bool(low < high)


def _distinct(parts: Sequence[Matrix]) -> int:
    return len(np.unique(np.concatenate([np.unique(part) for part in parts])))


def _check_columns(frame: pd.DataFrame, expected: Sequence[str], what: str) -> None:
    have = [str(name) for name in frame.columns]
    there = set(have)
    if missing := [name for name in expected if name not in there]:
        extra = [name for name in have if name not in expected]
        raise ModelError(
            f"{what} lacks {len(missing)} of {len(expected)} columns: {', '.join(missing)}"
            + (f"; it has these besides: {', '.join(extra[:20])}" if extra else ""),
            "Build the features with the version of regulars that trained the model.",
        )
    if len(there) < len(have):
        twice = next(name for name in have if have.count(name) > 1)
        raise ModelError(f"{what} has two columns called {twice!r}")


def _numbers(frame: pd.DataFrame, name: str) -> Matrix:
    """Return a column as 32-bit floats, after checking that it is numbers, finite or missing."""
    column = frame[name]
    numeric = pd.api.types.is_numeric_dtype(column.dtype) or pd.api.types.infer_dtype(
        column, skipna=True
    ) in ("decimal", "integer", "floating", "mixed-integer-float", "boolean", "empty")
    if not numeric or pd.api.types.is_complex_dtype(column.dtype):
        raise ModelError(f"column {name!r} must be numeric, found {column.dtype}")
    values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    if (infinite := np.isinf(values)).any():
        raise ModelError(f"column {name!r} is infinite for customer {frame.index[infinite][0]}")
    return np.asarray(np.clip(values, -_LARGEST, _LARGEST), dtype=np.float32)
