"""Columns of today against those of a model's reference: the numbers behind `serving.drift`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from models.bins import Column
from models.reference import Reference
from models.stability import ACT, WATCH, adjusted, bins_in_use, psi, psi_critical, psi_p_value

__all__ = ["LIGHT", "Comparison", "DriftSettings", "Row", "Verdict", "judged"]

Floats = npt.NDArray[np.float64]
Verdict = Literal["same", "exempt", "season", "ageing", "light", "watch", "act", "unknown"]

LIGHT = 0.01
"""A column that carries less of what the model looks at is taken one step less seriously."""
MIN_CUSTOMERS = 50
"""With fewer customers nothing is compared."""


@dataclass(frozen=True)
class DriftSettings:
    """What counts as drift.

    Attributes:
        exempt: Columns that are not judged, beside those that the catalogue exempts.
        watch: Index from which on a column has moved.
        act: Index from which on it is another one.
        alpha: Probability of any false alarm over all columns of a model where nothing moved.
        most_rows: Of more customers, so many are compared.
    """

    exempt: tuple[str, ...] = ()
    watch: float = WATCH
    act: float = ACT
    alpha: float = 0.01
    most_rows: int = 50_000


@dataclass(frozen=True)
class Row:
    """One column compared.

    Attributes:
        name: The column.
        of: "input" or "score".
        psi: Index against the training cutoffs; NaN where these say nothing of the column.
        p_value: Probability of such an index or more if nothing had changed.
        critical: The index that chance alone exceeds with probability `DriftSettings.alpha`.
        psi_year_ago: Index against the same time a year ago; NaN where that is not known.
        critical_year_ago: As `critical`.
        psi_training_day: Index against the day of the training.
        critical_training_day: As `critical`.
        missing: Share of customers without a value.
        missing_before: The greatest such share in training, on its day and a year ago.
        new_levels: By how much the share in levels that training did not tell apart has risen.
        mean: Mean of the known values; NaN of a category.
        mean_error: Standard error of it.
        mean_before: Mean over the training cutoffs.
        mean_low: The lowest mean of a training cutoff.
        mean_high: The highest.
        mean_year_ago: Mean a year ago.
        n: Customers of the training cutoffs, as one sample.
        m: Customers now; 1 where the column is gone.
        psi_again: Index of the day of the training, as it comes out today, against what it was.
        rewritten: Whether that is drift, too.
        group: Reason group.
        importance: Share of what the model looks at; NaN where unknown.
        verdict: What it comes to; see `serving.drift`.
    """

    name: str
    of: str
    psi: float
    p_value: float
    critical: float
    psi_year_ago: float
    critical_year_ago: float
    psi_training_day: float
    critical_training_day: float
    missing: float
    missing_before: float
    new_levels: float
    mean: float
    mean_error: float
    mean_before: float
    mean_low: float
    mean_high: float
    mean_year_ago: float
    n: int
    m: int
    psi_again: float = float("nan")
    rewritten: bool = False
    group: str = ""
    importance: float = float("nan")
    verdict: Verdict = "same"


class Comparison:
    """Compares columns of one model at one cutoff with its reference."""

    def __init__(self, reference: Reference, cutoff: dt.date, settings: DriftSettings) -> None:
        self.shares: dict[str, pd.DataFrame] = {}
        self.reference = reference
        self._season = reference.a_year_before(cutoff)
        self._alpha, self._watch = settings.alpha, settings.watch

    def column(
        self,
        name: str,
        column: Column,
        now: pd.Series[Any] | None,
        year_ago: pd.Series[Any] | None,
        again: pd.Series[Any] | None = None,
        of: str = "input",
    ) -> Row:
        """Compare one column; None stands for a column that the data does not have any more."""
        size = column.bins.size
        counts = np.zeros(size) if now is None else column.bins.count(now).astype(float)
        if now is None:
            counts[-1] = 1.0  # everybody's value is missing
        trained = self.reference.learned_from
        training, n = column.pooled(trained)
        day, day_n = column.pooled({self.reference.as_of})
        then = np.zeros(size) if year_ago is None else column.bins.count(year_ago).astype(float)
        if then.sum() == then[-1] and self._season is not None:
            then = column.pooled({self._season})[0]
        if then.sum() == then[-1]:
            then = np.zeros(size)  # nothing was known of it a year ago
        m = counts.sum()
        same_day = np.zeros(size) if again is None else column.bins.count(again).astype(float)
        psi_again = psi(day, same_day)
        limit = max(self._watch, self._critical(day, same_day, day_n))
        value, bins = psi(training, counts), bins_in_use(training, counts)
        known = None if now is None or column.bins.category else now.astype("float64")
        means = [column.means[d] for d in (*trained, self.reference.as_of) if d in column.means]
        self.shares[name] = pd.DataFrame(
            {
                "column": name,
                "bin": list(column.bins.names),
                "training": _share(training),
                "year_ago": _share(then),
                "training_day": _share(day),
                "now": _share(counts),
            }
        )
        before = np.array([_share(training), _share(day), _share(then)])
        return Row(
            name=name,
            of=of,
            psi=value,
            p_value=psi_p_value(value, n, m, bins),
            critical=psi_critical(n, m, bins, self._alpha),
            psi_year_ago=psi(then, counts),
            critical_year_ago=self._critical(then, counts, then.sum()),
            psi_training_day=psi(day, counts),
            critical_training_day=self._critical(day, counts, day_n),
            missing=float(_share(counts)[-1]),
            missing_before=float(np.nanmax(before[:, -1], initial=0.0)),
            new_levels=float(_share(counts)[-2] - np.nanmax(before[:, -2], initial=0.0))
            if column.bins.category
            else 0.0,
            mean=float("nan") if known is None else float(known.mean()),
            mean_error=float("nan")
            if known is None
            else float(known.std() / np.sqrt(max(known.count(), 1))),
            mean_before=column.mean(trained),
            mean_low=min(means, default=float("nan")),
            mean_high=max(means, default=float("nan")),
            mean_year_ago=float("nan")
            if year_ago is None or column.bins.category
            else float(year_ago.astype("float64").mean()),
            n=int(n),
            m=int(m),
            psi_again=psi_again,
            rewritten=bool(psi_again > limit),
        )

    def _critical(self, before: Floats, counts: Floats, n: float) -> float:
        return psi_critical(n, counts.sum(), bins_in_use(before, counts), self._alpha)


def judged(rows: Sequence[Row], exempt: Collection[str], settings: DriftSettings) -> list[Row]:
    """Say of each row what the module's text says."""
    counted = [row for row in rows if row.name not in exempt]
    chance = dict(
        zip(
            (row.name for row in counted),
            adjusted([row.p_value for row in counted]).tolist(),
            strict=True,
        )
    )
    return [replace(row, verdict=_verdict(row, chance, settings)) for row in rows]


def _verdict(row: Row, chance: Mapping[str, float], settings: DriftSettings) -> Verdict:
    if row.name not in chance:
        return "exempt"
    if np.isnan(row.psi) or row.m < MIN_CUSTOMERS <= row.n:
        # A column that is gone has nobody to count, and is a finding of its own.
        return "unknown"
    if row.psi <= settings.watch or not chance[row.name] <= settings.alpha:
        return "same"
    least = np.nanmin([row.psi, row.psi_training_day])
    if not row.rewritten:
        if row.psi_year_ago <= max(settings.watch, row.critical_year_ago):
            return "season"
        if row.psi_training_day <= max(settings.watch, row.critical_training_day):
            return "ageing"
        least = np.nanmin([least, row.psi_year_ago])
    heavy = np.isnan(row.importance) or row.importance >= LIGHT
    if heavy:
        return "act" if least > settings.act else "watch"
    return "watch" if least > settings.act else "light"


def _share(counts: Floats) -> Floats:
    total = counts.sum()
    return counts / total if total else np.full(len(counts), np.nan)
