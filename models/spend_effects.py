"""What raises or lowers a customer's level of spend: frequency, attributes, segments.

An effect multiplies the scale gamma of the Gamma-Gamma model, and with it the mean spend
p gamma / (q - 1), by exp(effect x value), the way static covariates enter the purchase models:
Fader & Hardie (2007), "Incorporating Time-Invariant Covariates into the Pareto/NBD and BG/NBD
Models", brucehardie.com/notes/019. There are

- a slope on log(1 + frequency), centred: mean spend goes with a power of 1 + frequency;
- or tiers of frequency, one coefficient each, drawn towards zero by a common spread that is
  learned too: small tiers borrow from the whole;
- columns of attributes, coded as for the purchase models (`btyd.covariates`): numbers are
  standardised, texts are indicators against the most common level;
- segments, one coefficient each, drawn towards zero in the same way as tiers.

What they have to remember (means, levels, cut points) is stored with the model as plain JSON.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from .base import ModelError
from .btyd.covariates import Design, printable
from .btyd.formulas import FloatArray
from .btyd.histories import distinct

__all__ = ["START_SPREAD", "Effects", "ScaleBy", "Slope", "Tiers", "scale_by_draw"]

ScaleBy = Literal["frequency", "tier"]

_SPEND = "spend"  # name of the effect in the design of the columns
_OWN = ("monetary_value", "first_value")
_MIN_TIER = 50.0  # customers a tier of frequency holds at least

START_SPREAD = 0.2
"""Prior standard deviation of the coefficients of tiers and segments before it is learned."""


@dataclass(frozen=True)
class Slope:
    """One coefficient on log(1 + frequency).

    Attributes:
        centre: Its mean in fitting, so that the effect of an average customer is 0.
    """

    centre: float

    kind = "frequency"

    @property
    def names(self) -> tuple[str, ...]:
        """Name of its coefficient."""
        return ("effect:frequency",)

    def rows(self, frequency: FloatArray) -> FloatArray:
        """(n, 1)."""
        out: FloatArray = (np.log1p(frequency) - self.centre)[:, None]
        return out


@dataclass(frozen=True)
class Tiers:
    """One coefficient a tier of frequency.

    Attributes:
        starts: Lowest frequency of each tier, ascending.
        spread: Prior standard deviation of the coefficients, learned (`learn_spreads`).
    """

    starts: tuple[float, ...]
    spread: float = START_SPREAD

    kind = "tier"

    @property
    def names(self) -> tuple[str, ...]:
        """Names of its coefficients."""
        return tuple(f"effect:frequency:{start:g}+" for start in self.starts)

    def rows(self, frequency: FloatArray) -> FloatArray:
        """(n, tiers) of zeros and ones; a frequency below the first tier counts with it."""
        place = np.searchsorted(self.starts, frequency, side="right") - 1
        out: FloatArray = np.eye(len(self.starts))[np.maximum(place, 0)]
        return out


@dataclass(frozen=True)
class Effects:
    """The effects of a model, learned from what it was fitted on.

    Attributes:
        scale: What frequency does.
        columns: The attributes and the segment.
        segment_spread: Prior standard deviation of the coefficients of segments, learned.
    """

    scale: Slope | Tiers | None = None
    columns: Design = field(default_factory=lambda: Design({_SPEND: ()}))
    segment_spread: float = START_SPREAD

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self.names)

    @classmethod
    def learn(
        cls,
        rfm: pd.DataFrame,
        weight: FloatArray,
        scale_by: ScaleBy | None,
        covariates: Sequence[str],
        segment: str | None,
    ) -> Effects:
        """Settle means, levels and tiers.

        Tiers of frequency start at 0, 1, 2, 4, 8, ...; one with fewer than 50 customers is
        joined to its neighbour.

        Args:
            rfm: The customers whose spend is learned.
            weight: Customers a row stands for, (n,).
            scale_by: "frequency", "tier" or None.
            covariates: Columns of attributes.
            segment: A column of segments.

        Raises:
            ModelError: A column is missing or cannot be used.
        """
        for name in (*covariates, *([segment] if segment is not None else [])):
            if name in _OWN:
                raise ModelError(f"'{name}' is what is to be learned; it cannot be a covariate.")
        columns = Design.learn(rfm, weight, {_SPEND: tuple(covariates)}, segment)
        scale: Slope | Tiers | None = None
        if scale_by is not None:
            frequency = _frequency(rfm)
            if np.ptp(frequency) == 0.0:
                raise ModelError(
                    "All customers whose spend is known have bought equally often.",
                    "Learn one level of spend for all: leave scale_by out.",
                )
            if scale_by == "frequency":
                scale = Slope(float(weight @ np.log1p(frequency) / weight.sum()))
            else:
                scale = _learn_tiers(frequency, weight)
        return cls(scale, columns)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all coefficients, in the order of the columns of `design`."""
        by_frequency = () if self.scale is None else self.scale.names
        terms = tuple(f"effect:{term}" for term in self.columns.terms(_SPEND))
        column = self.columns.segment
        segments = (f"effect:{column}:{printable(name)}" for name in self.columns.segments)
        return (*by_frequency, *terms, *segments)

    @property
    def inputs(self) -> tuple[str, ...]:
        """Columns of the RFM summary that are read."""
        return (*(() if self.scale is None else ("frequency",)), *self.columns.input_columns)

    @property
    def levels(self) -> dict[str, npt.NDArray[np.intp]]:
        """Places of the coefficients that share a spread: "tier" and "segment"."""
        size, segments = len(self.names), len(self.columns.segments)
        out = {}
        if isinstance(self.scale, Tiers):
            out["tier"] = np.arange(len(self.scale.starts))
        if segments:
            out["segment"] = np.arange(size - segments, size)
        return out

    @property
    def spreads(self) -> dict[str, float]:
        """Spread of the coefficients of each of `levels`."""
        tier = self.scale.spread if isinstance(self.scale, Tiers) else START_SPREAD
        return {name: {"tier": tier, "segment": self.segment_spread}[name] for name in self.levels}

    def with_spreads(self, spreads: Mapping[str, float]) -> Effects:
        """The same with other spreads."""
        scale = self.scale
        if isinstance(scale, Tiers):
            scale = replace(scale, spread=spreads["tier"])
        return replace(
            self, scale=scale, segment_spread=spreads.get("segment", self.segment_spread)
        )

    def cells(self, rfm: pd.DataFrame) -> tuple[npt.NDArray[np.intp], FloatArray]:
        """Customers who share all effects share a cell.

        Returns:
            The cell of each customer, (n,), and what each coefficient is multiplied with,
            (cells, coefficients).
        """
        own = self.columns.cells(rfm)
        frequency = np.zeros(len(rfm)) if self.scale is None else _frequency(rfm)
        keys, place = distinct(np.column_stack([frequency, own.place.astype(float)]))
        at = keys[:, 1].astype(np.intp)
        parts = [] if self.scale is None else [self.scale.rows(keys[:, 0])]
        parts.append(own.numbers.get(_SPEND, np.empty((len(own), 0)))[at])
        segments = np.arange(len(self.columns.segments))
        parts.append((own.segment[at][:, None] == segments).astype(float))
        return place, np.concatenate(parts, axis=1)

    def design(self, rfm: pd.DataFrame) -> FloatArray:
        """What each coefficient is multiplied with for each customer, (n, coefficients)."""
        if not self:
            return np.empty((len(rfm), 0))
        place, rows = self.cells(rfm)
        out: FloatArray = rows[place]
        return out

    def describe(self) -> dict[str, Any]:
        """As plain JSON, for `from_description`."""
        scale = self.scale
        return {
            "scale": None if scale is None else {"kind": scale.kind, **asdict(scale)},
            "columns": self.columns.describe(),
            "segment_spread": self.segment_spread,
        }

    @classmethod
    def from_description(cls, described: Mapping[str, Any]) -> Effects:
        """Read back what `describe` gave.

        Raises:
            ModelError: An effect of frequency that this version does not know.
        """
        known = described["scale"]
        scale: Slope | Tiers | None = None
        if known is not None:
            if known["kind"] == Slope.kind:
                scale = Slope(float(known["centre"]))
            elif known["kind"] == Tiers.kind:
                scale = Tiers(tuple(map(float, known["starts"])), float(known["spread"]))
            else:
                raise ModelError(
                    f"This version knows no effect of frequency of kind {known['kind']!r}.",
                    "Load it with the version that wrote it, or train again.",
                )
        columns = Design.from_description(described["columns"])
        return cls(scale, columns, float(described["segment_spread"]))


def _learn_tiers(frequency: FloatArray, weight: FloatArray) -> Tiers:
    starts = [0.0, 1.0]
    while starts[-1] <= frequency.max():
        starts.append(2.0 * starts[-1])
    held = np.histogram(frequency, np.array([*starts, np.inf]), weights=weight)[0]
    kept: list[float] = []
    mass = 0.0
    for start, customers in zip(starts[::-1], held[::-1], strict=True):
        mass += float(customers)
        if mass >= _MIN_TIER:
            kept.append(start)
            mass = 0.0
    if len(kept) < 2:
        raise ModelError(
            f"There are no two tiers of frequency with {_MIN_TIER:.0f} customers each.",
            "Learn one level of spend for all: leave scale_by out.",
        )
    return Tiers(tuple(kept[::-1]))


def _frequency(rfm: pd.DataFrame) -> FloatArray:
    if "frequency" not in rfm.columns:
        raise ModelError(
            "The RFM summary has no column 'frequency', which this spend model depends on.",
            "Give one row a customer with frequency, the number of repeat purchases.",
        )
    out = np.asarray(rfm["frequency"].to_numpy(dtype=float, na_value=np.nan), dtype=float)
    bad = ~(np.isfinite(out) & (out >= 0))
    if bad.any():
        place = int(np.flatnonzero(bad)[0])
        raise ModelError(
            f"Row {rfm.index[place]!r}: frequency is {out[place]}.",
            "frequency counts repeat purchases: purchases minus one.",
        )
    return out


def scale_by_draw(draws: Mapping[str, FloatArray], design: FloatArray) -> FloatArray:
    """What multiplies gamma for each customer under each draw.

    Args:
        draws: Posterior draws of a `GammaGamma`, name -> (d,).
        design: Its `effects(rfm)`, (n, coefficients).

    Returns:
        (n, d); (1, d) of ones where the model has no effects.
    """
    names = [name for name in draws if name.startswith("effect:")]
    if not names:
        return np.ones((1, len(draws["gamma"])))
    out: FloatArray = np.exp(design @ np.stack([draws[name] for name in names]))
    return out
