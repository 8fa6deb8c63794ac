"""From a frame of features to the matrix that the trees see, the same at training and scoring.

Which columns are used is chosen once, on the training panel. One column is computed here: the
spend percentile, a customer's place among the training customers, which scoring only looks up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from .base import ModelError

__all__ = ["SPEND_PERCENTILE", "CatalogueRow", "Feature", "Inputs", "Percentiles"]

Floats = npt.NDArray[np.float64]

SPEND_PERCENTILE = "spend_percentile"
SPEND_WINDOWS = ("net_spend_365", "net_spend_180", "net_spend_90", "net_spend_30")


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


@dataclass(frozen=True)
class Feature:
    """A catalogue row, as far as the model keeps it."""

    name: str
    reason_group: str
    monotone: int = 0
    seasonal: bool = False


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
        cls, train_X: pd.DataFrame, catalogue: Sequence[CatalogueRow], cutoffs: Sequence[date]
    ) -> tuple[Self, dict[str, str]]:
        """Choose among the columns of the training panel.

        Left out is what is constant or empty and, as long as the cutoffs span less than a year,
        what only tells the time of the year: the model could do no more than learn the few
        cutoffs by heart.

        Args:
            train_X: The training panel.
            catalogue: Columns that it does not know are a reason group of their own. If it
                lists `spend_percentile`, this is computed from the widest `net_spend_` window.
            cutoffs: Cutoffs of the training panel.

        Returns:
            The inputs, and what was left out: name -> reason.

        Raises:
            ModelError: A column occurs twice, is not numeric, or none is left.
        """
        _check_columns(train_X, [], "the training panel")
        known = {
            row.name: Feature(row.name, row.reason_group, row.monotone, row.seasonal)
            for row in catalogue
        }
        whole_year = bool(cutoffs) and (max(cutoffs) - min(cutoffs)).days >= 365
        # What only tells the time has at most one value a cutoff, and at most one a month.
        times = len(cutoffs) or 12
        kept: list[Feature] = []
        dropped: dict[str, str] = {}
        for name in map(str, train_X.columns):
            feature = known.get(name, Feature(name, name))
            distinct = train_X[name].nunique(dropna=False)
            if not train_X[name].notna().any():
                dropped[name] = "no value in training"
            elif distinct == 1:
                dropped[name] = "the same value in all training rows"
            elif feature.seasonal and not whole_year and distinct <= times:
                dropped[name] = "tells the season, and the training cutoffs span less than a year"
            else:
                kept.append(feature)
        percentiles = None
        if SPEND_PERCENTILE in known and SPEND_PERCENTILE not in train_X.columns:
            names = {f.name for f in kept}
            spread = (
                w for w in SPEND_WINDOWS if w in names and train_X[w].min() < train_X[w].max()
            )
            if source := next(spread, None):
                percentiles = Percentiles.learn(source, _column(train_X, source))
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
    def groups(self) -> dict[str, str]:
        """Feature -> reason group."""
        return {f.name: f.reason_group for f in self.features}

    @property
    def signs(self) -> dict[str, int]:
        """Feature -> sign of its effect, for those that have one."""
        return {f.name: f.monotone for f in self.features if f.monotone}

    def matrix(self, frame: pd.DataFrame, what: str = "the frame to score") -> Floats:
        """Return the features as doubles, C-contiguous, shape (n, f).

        Args:
            frame: At least `columns`, in any order.
            what: How an error calls it.

        Raises:
            ModelError: A column is missing, occurs twice, is not numeric, or is infinite
                somewhere.
        """
        _check_columns(frame, self.columns, what)
        out = np.empty((len(frame), len(self.features)))
        for i, name in enumerate(self.names):
            if self.percentiles is not None and name == SPEND_PERCENTILE:
                out[:, i] = self.percentiles(_column(frame, self.percentiles.source))
            else:
                out[:, i] = _column(frame, name)
        return out


def _check_columns(frame: pd.DataFrame, expected: Sequence[str], what: str) -> None:
    have = [str(name) for name in frame.columns]
    if missing := [name for name in expected if name not in have]:
        extra = [name for name in have if name not in expected]
        raise ModelError(
            f"{what} lacks {len(missing)} of {len(expected)} columns: {', '.join(missing)}"
            + (f"; it has these besides: {', '.join(extra[:20])}" if extra else ""),
            "Build the features with the version of regulars that trained the model.",
        )
    if len(set(have)) < len(have):
        twice = next(name for name in have if have.count(name) > 1)
        raise ModelError(f"{what} has two columns called {twice!r}")


def _column(frame: pd.DataFrame, name: str) -> Floats:
    """Return a column as doubles, after checking that it is numbers and finite or missing."""
    column = frame[name]
    numeric = pd.api.types.is_numeric_dtype(column.dtype) or pd.api.types.infer_dtype(
        column, skipna=True
    ) in ("decimal", "integer", "floating", "mixed-integer-float", "boolean", "empty")
    if not numeric or pd.api.types.is_complex_dtype(column.dtype):
        raise ModelError(f"column {name!r} must be numeric, found {column.dtype}")
    values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    if (infinite := np.isinf(values)).any():
        raise ModelError(f"column {name!r} is infinite for customer {frame.index[infinite][0]}")
    return values
