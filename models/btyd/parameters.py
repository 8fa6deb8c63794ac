"""The parameters of a purchase model: its draws, and what they are for each customer."""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..base import ModelError
from .covariates import Cells, Design
from .formulas import FloatArray
from .histories import Histories, distinct
from .rfm import check_histories
from .segments import offset_name, summary

__all__ = ["Parameters"]

_MAX_EFFECT = 10.0
"""Logarithm of the largest factor by which covariates and segment move a rate in predictions: of
an extreme value of a covariate, far beyond what fitting has seen, no more is made than this."""


class Parameters(ABC):
    """What a purchase model knows: see `PurchaseModel`, of which this is a part."""

    names: ClassVar[tuple[str, ...]]
    """Parameter names."""
    label: ClassVar[str]
    """Short name: "bg_nbd", "mbg_nbd", ..."""
    time_unit: ClassVar[str] = "weeks"
    effects: ClassVar[Mapping[str, Mapping[str, float]]] = {}
    """Effect -> parameter -> how much its logarithm changes when the effect grows by 1. "rate"
    and "dropout" are known; a larger effect means more purchases, and leaving sooner."""
    future_needs_recency: ClassVar[bool] = False
    """Whether the future of a customer who is alive depends on recency, beside frequency and T."""

    def __init__(
        self,
        *,
        covariates: Mapping[str, Sequence[str]] | None = None,
        segment: str | None = None,
        coefficient_sd: float = 1.0,
        segment_sd: float = 0.25,
    ) -> None:
        self.covariates = _asked(covariates or {}, tuple(self.effects))
        self.segment = segment
        self.coefficient_sd = coefficient_sd
        self.segment_sd = segment_sd
        self._design: Design | None = None
        self._cells: Cells | None = None
        self._draws: dict[str, FloatArray] | None = None
        self._diagnostics: dict[str, Any] = {}

    # making one

    @classmethod
    def from_parameters(cls, **parameters: float) -> Self:
        """A model at known parameter values.

        >>> from models.btyd import BetaGeoNBD
        >>> m = BetaGeoNBD.from_parameters(r=0.2426, alpha=4.4136, a=0.7929, b=2.4259)
        >>> round(float(m.expected_purchases_new_customer(52.0)), 3)
        1.444
        """
        if set(parameters) != set(cls.names):
            raise ModelError(
                f"{cls.__name__} has the parameters {', '.join(cls.names)}; "
                f"got {', '.join(sorted(parameters)) or 'none'}."
            )
        draws = {name: np.array([float(parameters[name])]) for name in cls.names}
        return cls.from_draws(draws, {"inference": "given"})

    @classmethod
    def from_draws(
        cls,
        draws: Mapping[str, npt.ArrayLike],
        diagnostics: Mapping[str, Any] | None = None,
        description: Mapping[str, Any] | None = None,
    ) -> Self:
        """A model with posterior draws from elsewhere.

        To save a model, keep three things: all of `posterior` (arrays by name; the names hold
        the columns and levels, so read back every name that was written, not only `names`),
        `diagnostics` and `describe()` (both JSON). This makes the same model of them again.

        Args:
            draws: Name -> (draws,): the parameters, and what `describe()["parameters"]` lists.
            diagnostics: How the fit went.
            description: What `describe` gave; None for a model without covariates and segments.

        Raises:
            ModelError: A name is missing, or a value is impossible.
        """
        model = cls()
        if description and description.get("design"):
            model._take(Design.from_description(description["design"]))
        names = model.parameter_names
        missing = [name for name in names if name not in draws]
        if missing:
            raise ModelError(f"{cls.__name__} has no draws of {', '.join(missing)}.")
        arrays = {name: np.array(draws[name], dtype=float) for name in names}
        for name, values in arrays.items():
            positive = name in cls.names
            if (
                values.ndim != 1
                or not len(values)
                or not np.isfinite(values).all()
                or (positive and not (values > 0).all())
            ):
                raise ModelError(
                    f"Parameter {name} of {cls.__name__} is not "
                    f"{'positive and ' if positive else ''}finite: {values}."
                )
        model._draws = arrays
        model._diagnostics = dict(diagnostics or {"inference": "given"})
        return model

    def describe(self) -> dict[str, Any]:
        """What `from_draws` needs beside draws and diagnostics, as JSON; it holds no customer.

        Returns:
            "parameters": names of all draws; "input_columns"; "design": covariates with their
            levels, means and standard deviations, and segments with their sizes; None without.
        """
        design = self._design
        return {
            "parameters": list(self.parameter_names),
            "input_columns": list(self.input_columns),
            "design": None if design is None else design.describe(),
        }

    @property
    def input_columns(self) -> tuple[str, ...]:
        """Columns that fitting and predictions read: frequency, recency, T, covariates, segment."""
        asked = [name for group in self.covariates.values() for name in group]
        if self.segment is not None:
            asked.append(self.segment)
        return ("frequency", "recency", "T", *dict.fromkeys(asked))

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Names of all draws.

        The parameters hold for a customer at the mean of every number, the most common level of
        every text, and in no particular segment. Then come the coefficients, "rate[age]" and
        "rate[gender=f]", the standard deviations between segments, "sd_rate[channel]", and their
        offsets, "rate[channel:web]".
        """
        return (*self.names, *self._coefficients(), *self._spreads(), *self._offsets())

    def _coefficients(self) -> list[str]:
        design = self._design
        if design is None:
            return []
        return [f"{effect}[{term}]" for effect in self.effects for term in design.terms(effect)]

    def _spreads(self) -> list[str]:
        if self._design is None or self._design.segment is None:
            return []
        return [f"sd_{effect}[{self._design.segment}]" for effect in self.effects]

    def _offsets(self) -> list[str]:
        design = self._design
        if design is None or design.segment is None:
            return []
        return [offset_name(e, design.segment, s) for e in self.effects for s in design.segments]

    def _take(self, design: Design) -> None:
        self._design = design
        self.covariates = {effect: tuple(group) for effect, group in design.covariates.items()}
        self.segment = design.segment

    # what is known about it

    @property
    def posterior(self) -> dict[str, FloatArray]:
        """Posterior draws, parameter name -> (draws,); a copy."""
        return {name: values.copy() for name, values in self._fitted().items()}

    @property
    def diagnostics(self) -> dict[str, Any]:
        """How the fit went: inference, r_hat, ess, divergences, seconds, nodes, mode, ..."""
        return dict(self._diagnostics)

    @property
    def parameters(self) -> dict[str, float]:
        """Posterior mean of each parameter, or the point itself."""
        return {name: float(values.mean()) for name, values in self._fitted().items()}

    def _fitted(self) -> dict[str, FloatArray]:
        if self._draws is None:
            raise ModelError(f"{type(self).__name__} is not fitted.", "Call fit first.")
        return self._draws

    def unseen(self, rfm: pd.DataFrame) -> dict[str, int]:
        """Customers by column whose number is missing, or whose level or segment is new.

        They are predicted as customers at the mean, of the most common level, and of no
        particular segment.
        """
        return {} if self._design is None else self._design.unseen(rfm)

    def segment_summary(self, interval: float = 0.90) -> pd.DataFrame:
        """How segments differ from the population, and how far each was pulled to it.

        Args:
            interval: Probability of the posterior intervals.

        Returns:
            One row a segment: segment, customers, and for each effect ("rate", "dropout") the
            multiplier (posterior median) with `_low` and `_high`, and `_shrinkage`: the share of
            the segments' variance that is still unknown of this segment, 0 for a segment that is
            known for itself to 1 for one of which the data say nothing. The multiplier of the
            dropout is that of the odds of the mean dropout probability, or of the dropout rate.
            After "map" intervals and shrinkage are missing.

        Raises:
            ModelError: The model has no segments.
        """
        draws, design = self._fitted(), self._design
        if design is None or design.segment is None:
            raise ModelError("The model has no segments.", "Make it with segment='a column'.")
        point = len(next(iter(draws.values()))) < 2
        return summary(draws, tuple(self.effects), design, None if point else interval)

    # customers and their parameters

    def read(self, rfm: pd.DataFrame) -> tuple[Histories, Cells]:
        """The histories of a frame and, for customers that share them, covariates and segment.

        Returns:
            Histories in the order of the rows, and the cell of each.

        Raises:
            ModelError: A column is missing, or a row is impossible.
        """
        histories = check_histories(rfm)
        if self._design is None:
            cell = np.zeros(len(histories), dtype=np.intp)
            return histories, Cells(cell, {}, np.full(1, -1, dtype=np.intp))
        return histories, self._design.cells(rfm)

    def at(
        self, draws: Mapping[str, FloatArray], cells: Cells, which: npt.NDArray[np.intp]
    ) -> dict[str, FloatArray]:
        """Draws of the parameters of customers.

        Args:
            draws: All of `posterior`, or as many of its draws as are wanted.
            cells: What `read` gave.
            which: Cell of each customer, (n,).

        Returns:
            Name -> (d,), or (n, d) where the customers differ.
        """
        base = {name: np.asarray(draws[name]) for name in self.names}
        design = self._design
        if design is None or not len(which):
            return base
        if (which == which[0]).all():
            which = which[:1]
        for effect, moved in self.effects.items():
            terms = design.terms(effect)
            eta = np.zeros((len(which), len(base[self.names[0]])))
            if terms:
                coefficients = np.stack([draws[f"{effect}[{term}]"] for term in terms])
                # One term after another: a matrix product may round by the number of rows.
                for column, coefficient in zip(
                    cells.numbers[effect][which].T, coefficients, strict=True
                ):
                    eta += column[:, None] * coefficient
            if design.segment is not None:
                known, place = np.unique(cells.segment[which], return_inverse=True)
                names = [offset_name(effect, design.segment, design.segments[s]) for s in known]
                offsets = [draws[name] * (s >= 0) for name, s in zip(names, known, strict=True)]
                eta += np.stack(offsets)[place]
            elif not terms:
                continue
            if (eta == eta[0]).all():
                eta = eta[0]
            np.clip(eta, -_MAX_EFFECT, _MAX_EFFECT, out=eta)
            for name, share in moved.items():
                base[name] = base[name] * np.exp(share * eta)
        return base

    def groups(self, cells: Cells) -> npt.NDArray[np.intp]:
        """A number for each cell, the same where all parameters are but those of the rate.

        Customers of one number can be worked on together: what is costly (the average over the
        dropout probability) is the same for all of them.
        """
        if self._design is None:
            return np.zeros(len(cells), dtype=np.intp)
        moving = [x for effect, x in cells.numbers.items() if effect != "rate"]
        keys = np.column_stack([cells.segment.astype(float), *moving])
        return distinct(keys)[1]


def _asked(
    covariates: Mapping[str, Sequence[str]], effects: tuple[str, ...]
) -> dict[str, tuple[str, ...]]:
    for effect, names in covariates.items():
        if effect not in effects:
            raise ModelError(
                f"Covariates cannot move {effect!r}.", f"Choose of {', '.join(effects) or 'none'}."
            )
        if isinstance(names, str):
            raise ModelError(f"Covariates of {effect!r} are one text.", f"Write [{names!r}].")
    return {effect: tuple(names) for effect, names in covariates.items() if len(names)}
