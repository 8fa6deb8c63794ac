"""Effects without a control group: treated against comparable untreated customers, and how sure.

The effect on the treated is estimated by augmented inverse probability weighting with
cross-fitting: untreated customers are weighted to look like the treated, and a regression takes
away what difference is left; one of the two models has to be right (Robins, Rotnitzky & Zhao
1994, JASA 89:846; Chernozhukov et al. 2018, Econometrics Journal 21:C1). Nothing of this sees
what was not measured, so the result is called an observational estimate wherever it is shown,
with the E-value beside it, and there is a refusal where nobody is comparable.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..base import ModelError
from .nuisance import design, expected_outcomes, folds_of, propensities
from .sensitivity import e_value, e_value_limit, ratio_of_difference

__all__ = [
    "LABEL",
    "WARNING",
    "Estimate",
    "ObservationalEffect",
    "observational_effect",
    "standardised_differences",
]

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Texts = npt.NDArray[np.str_]

LABEL: Final = "observational estimate"
WARNING: Final = (
    "The raw difference is no effect: those who were treated differed before they were, and "
    "would have bought more or less than the others anyway."
)

_ASSUMPTION: Final = (
    "An observational estimate: it holds if nothing that was not measured led both to treatment "
    "and to the outcome."
)
_FEWEST = 30
"""Treated customers, and untreated ones after weighting, below which nothing is said."""
_HIGHEST = 0.95
"""Of those whose chance of treatment is above this, none is left to compare with."""
_LEAST_OVERLAP = 0.8
_BALANCED = 0.1  # Austin 2009, Stat Med 28:3083
_UNBALANCED = 0.25  # Rubin 2001, Health Serv Outcomes Res Methodol 2:169


@dataclass(frozen=True)
class Estimate:
    """A figure with its interval; NaN where it is not defined."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class ObservationalEffect:
    """What a treatment did to those who were treated, as far as it can be told.

    Attributes:
        adjusted: Mean outcome of the treated less that of comparable untreated customers.
        relative: The same as a share of `comparison_mean`; NaN where a mean is not above 0.
        raw: Mean outcome of the treated less that of all the untreated. See `warning`.
        treated_mean: Mean outcome of the treated (of those that have comparable others).
        comparison_mean: What it would have been without treatment, by the adjustment.
        n_treated, n_control: Rows in each arm that were used.
        customers_treated: Customers behind the treated rows.
        effective_control: Untreated rows that the weighted ones are worth: (sum w)^2 / sum w^2.
        overlap: Share of the treated that have comparable untreated ones; the others are left
            out.
        balance: Standardised mean differences, on the index covariate: before and after
            weighting, the largest before first. Up to 0.1 counts as balanced.
        e_value, e_value_limit: How strongly something that was not measured would have to be
            tied to both treatment and outcome (as risk ratios) to explain the effect away, or
            to move the interval to no effect.
        sentences: What a reader has to know.
    """

    adjusted: Estimate
    relative: Estimate
    raw: Estimate
    treated_mean: float
    comparison_mean: float
    n_treated: int
    n_control: int
    customers_treated: int
    effective_control: float
    overlap: float
    balance: pd.DataFrame = field(repr=False)
    e_value: float
    e_value_limit: float
    sentences: tuple[str, ...]

    @property
    def label(self) -> str:
        """What it is called wherever it is shown."""
        return LABEL

    @property
    def warning(self) -> str:
        """What is said beside the raw difference."""
        return WARNING


def observational_effect(
    treated: npt.ArrayLike,
    outcome: npt.ArrayLike,
    covariates: pd.DataFrame,
    *,
    clusters: npt.ArrayLike | None = None,
    folds: int = 5,
    seed: int = 0,
    level: float = 0.95,
) -> ObservationalEffect:
    """Estimate the effect of a treatment that was not assigned at random, on the treated.

    With chances of treatment e, weights w = e / (1 - e), expected outcomes m without treatment
    and residuals r = y - m, the comparison is

        mean of m over the treated + sum of w r / sum of w over the untreated,

    and intervals come from the influence function, summed by customer. The order of the rows
    does not matter.

    Args:
        treated: 0 or 1, shape (n,).
        outcome: What came after, shape (n,).
        covariates: What was known before the treatment, one row each: numbers or text, missing
            values allowed. Never anything that the treatment may have changed.
        clusters: The customer of each row; by default the index of the covariates. Rows of one
            customer share a fold and count as one in the intervals.
        folds: For cross-fitting.
        seed: Deals customers out to the folds.
        level: Of the intervals.

    Returns:
        The estimate, with the raw difference and the checks beside it.

    Raises:
        ModelError: The arrays do not fit, or there is no honest answer: too few in an arm, too
            few of the treated with comparable others, or arms that stay unlike.
    """
    t, y, who = _checked(treated, outcome, covariates, clusters)
    described = design(covariates)
    order = _order(who, t, y, described)
    t, y, who, described = t[order], y[order], who[order], described.iloc[order]
    fold = folds_of(who, folds, seed)
    chance = propensities(t, described, fold)
    usable = chance <= min(_HIGHEST, float(chance[~t].max()))
    overlap = float(usable[t].mean())
    if overlap < _LEAST_OVERLAP:
        raise ModelError(
            f"Only {overlap:.0%} of the treated have comparable untreated customers: for the "
            "others treatment was all but certain.",
            "Without anyone to compare with there is no estimate; keep a random control group.",
        )
    raw = _raw_difference(y, t, who, level)
    t, y, who, described = t[usable], y[usable], who[usable], described[usable]
    fold, chance = fold[usable], chance[usable]
    weights = np.where(t, 1.0, chance / (1 - chance))
    control = weights[~t]
    effective = float(control.sum() ** 2 / (control**2).sum())
    customers = len(np.unique(who[t]))
    if customers < _FEWEST or effective < _FEWEST:
        raise ModelError(
            f"{customers} treated customers, and untreated ones worth {effective:.0f}, are too "
            "few to compare.",
            f"At least {_FEWEST} of each are needed.",
        )
    balance = standardised_differences(t, described, weights)
    worst = float(balance["after"].abs().max())
    if worst > _UNBALANCED:
        raise ModelError(
            f"Treated and untreated customers stay unlike: {balance['after'].abs().idxmax()} "
            f"differs by {worst:.2f} standard deviations after weighting.",
            "There is no honest comparison; keep a random control group.",
        )
    expected = expected_outcomes(y, t, weights, described, fold)
    means, influence = _means(y, t, weights, expected)
    adjusted = _interval(means[0] - means[1], influence[:, 0] - influence[:, 1], who, level)
    relative, ratio = _relative(means, influence, who, level)
    if (y < 0).any() or math.isnan(ratio.value):  # there is no ratio of means
        spread = math.sqrt((y[t].var() + y[~t].var()) / 2) or math.nan
        ends = (adjusted.value, adjusted.low, adjusted.high)
        ratio = Estimate(*(ratio_of_difference(end / spread) for end in ends))
    evidence = e_value(ratio.value), e_value_limit(ratio.low, ratio.high)
    return ObservationalEffect(
        adjusted=adjusted,
        relative=relative,
        raw=raw,
        treated_mean=means[0],
        comparison_mean=means[1],
        n_treated=int(t.sum()),
        n_control=int((~t).sum()),
        customers_treated=customers,
        effective_control=effective,
        overlap=overlap,
        balance=balance,
        e_value=evidence[0],
        e_value_limit=evidence[1],
        sentences=_sentences(overlap, worst, balance, evidence),
    )


def standardised_differences(
    treated: Bools, described: pd.DataFrame, weights: Floats
) -> pd.DataFrame:
    """Means of the treated less those of the others, in standard deviations.

    The standard deviation is that of the arms before weighting, sqrt((v1 + v0) / 2), so that
    weighting cannot hide a difference in it (Austin 2009, Stat Med 28:3083).

    Args:
        treated: Which rows are treated.
        described: Numeric covariates.
        weights: Of every row; those of the treated are 1 for an effect on the treated.

    Returns:
        before, after; on the index covariate, the largest before first.
    """
    x = described.to_numpy(dtype=np.float64)
    one, other = x[treated], x[~treated]
    spread = np.sqrt((one.var(axis=0) + other.var(axis=0)) / 2)
    spread = np.where(spread > 0, spread, 1.0)
    plain = one.mean(axis=0) - other.mean(axis=0)
    weighted = np.average(one, axis=0, weights=weights[treated]) - np.average(
        other, axis=0, weights=weights[~treated]
    )
    table = pd.DataFrame(
        {"before": plain / spread, "after": weighted / spread},
        index=pd.Index(described.columns, name="covariate"),
    )
    return table.sort_values("before", key=np.abs, ascending=False, kind="stable")


def _checked(
    treated: npt.ArrayLike,
    outcome: npt.ArrayLike,
    covariates: pd.DataFrame,
    clusters: npt.ArrayLike | None,
) -> tuple[Bools, Floats, Texts]:
    arm = np.asarray(treated, dtype=np.float64)
    y = np.asarray(outcome, dtype=np.float64)
    who = np.asarray(covariates.index if clusters is None else clusters)
    if not len(arm) == len(y) == len(covariates) == len(who):
        raise ModelError(
            f"{len(arm)} treatments, {len(y)} outcomes, {len(covariates)} rows of covariates and "
            f"{len(who)} clusters.",
            "Pass one of each a row.",
        )
    if not np.isin(arm, (0, 1)).all() or not np.isfinite(y).all():
        raise ModelError("Treatments are 0 or 1, and outcomes are numbers.", "Drop other rows.")
    for count, name in ((arm.sum(), "treated"), ((1 - arm).sum(), "untreated")):
        if count < _FEWEST:
            raise ModelError(
                f"There are {count:.0f} {name} rows, too few to compare.",
                f"At least {_FEWEST} of each are needed.",
            )
    return arm == 1, y, who.astype(str)


def _order(
    who: Texts, treated: Bools, outcome: Floats, described: pd.DataFrame
) -> npt.NDArray[np.int64]:
    """An order that depends on what is in the rows only."""
    columns = described.to_numpy(dtype=np.float64).T
    return np.asarray(np.lexsort((*columns, outcome, treated, who)), dtype=np.int64)


def _interval(value: float, influence: Floats, who: Texts, level: float) -> Estimate:
    """A normal interval from the influence of each row, summed by customer."""
    reach = _quantile(level) * _error(influence, who)
    return Estimate(float(value), float(value - reach), float(value + reach))


def _error(influence: Floats, who: Texts) -> float:
    sums = np.bincount(np.unique(who, return_inverse=True)[1], weights=influence)
    groups = len(sums)
    return float(np.sqrt((sums**2).sum() * groups / max(groups - 1, 1)) / len(influence))


def _quantile(level: float) -> float:
    return NormalDist().inv_cdf((1 + level) / 2)


def _raw_difference(outcome: Floats, treated: Bools, who: Texts, level: float) -> Estimate:
    share = treated.mean()
    one, other = outcome[treated].mean(), outcome[~treated].mean()
    influence = np.where(treated, (outcome - one) / share, -(outcome - other) / (1 - share))
    return _interval(one - other, influence, who, level)


def _means(
    outcome: Floats, treated: Bools, weights: Floats, expected: Floats
) -> tuple[tuple[float, float], Floats]:
    """Means of the treated with and without treatment, and the influence of each row on both."""
    share = treated.mean()
    with_it = outcome[treated].mean()
    control = np.where(treated, 0.0, weights)
    residual = outcome - expected
    left = (control * residual).sum() / control.sum()
    without = expected[treated].mean() + left
    one = np.where(treated, (outcome - with_it) / share, 0.0)
    other = np.where(treated, (expected + left - without) / share, 0.0)
    other += control * (residual - left) / control.mean()
    return (float(with_it), float(without)), np.column_stack([one, other])


def _relative(
    means: tuple[float, float], influence: Floats, who: Texts, level: float
) -> tuple[Estimate, Estimate]:
    """The change relative to the comparison, and the ratio; the interval is one of its log."""
    if min(means) <= 0:
        nothing = Estimate(math.nan, math.nan, math.nan)
        return nothing, nothing
    log = _interval(
        math.log(means[0] / means[1]),
        influence[:, 0] / means[0] - influence[:, 1] / means[1],
        who,
        level,
    )
    ratio = Estimate(math.exp(log.value), math.exp(log.low), math.exp(log.high))
    return Estimate(ratio.value - 1, ratio.low - 1, ratio.high - 1), ratio


def _sentences(
    overlap: float, worst: float, balance: pd.DataFrame, evidence: tuple[float, float]
) -> tuple[str, ...]:
    sensitivity = (
        "To explain it away, something not measured would have to be tied to both by risk ratios "
        f"of {evidence[0]:.2f}; of {evidence[1]:.2f} to leave no clear effect (E-value)."
    )
    found = [_ASSUMPTION, sensitivity]
    if overlap < 1:
        found.append(
            f"{1 - overlap:.1%} of the treated have no comparable others and are left out."
        )
    if worst > _BALANCED:
        name = balance["after"].abs().idxmax()
        found.append(
            f"After weighting {name} still differs by {worst:.2f} standard deviations; the "
            "regression has to make up for it."
        )
    return tuple(found)
