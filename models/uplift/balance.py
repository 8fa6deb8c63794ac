"""Was the assignment in fact random? What was known before must not tell who was treated."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from .arms import checked_arms
from .experiment import design

__all__ = ["RATIO_ALARM", "Balance", "check_balance"]

RATIO_ALARM = 0.001
"""A sample ratio that is rarer than this under the plan is taken for a fault, as is the custom of
the field (Fabijan et al. 2019, KDD:2156-2164): with many experiments, one in twenty proves none."""

ALARM = 0.01
"""Likewise for the covariates together."""

PERMUTATIONS = 999

MANY = 20_000
"""Customers from which on the omnibus test takes the limiting distribution."""


@dataclass(frozen=True)
class Balance:
    """Whether two arms look as if they had been drawn at random.

    Attributes:
        p_value: Of the omnibus test: how often arms drawn at random would differ as much in all
            covariates together. NaN without covariates.
        ratio_p: Of the sample ratio against the plan; NaN where no plan was given.
        treated_share: Share of customers treated.
        planned_share: What was planned; None where not known.
        table: One row a covariate: `treated`, `control` (means), `difference` (standardised by
            the pooled standard deviation) and `p_value` (Welch), the largest difference first.
        random: Whether nothing speaks against chance.
        verdict: The same in words.
    """

    p_value: float
    ratio_p: float
    treated_share: float
    planned_share: float | None
    table: pd.DataFrame
    random: bool
    verdict: str


def check_balance(
    covariates: pd.DataFrame,
    treated: npt.ArrayLike,
    *,
    planned_share: float | None = None,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
) -> Balance:
    """Test an assignment for chance.

    The omnibus test is Hansen and Bowers' d-squared (2008, Statistical Science 23:219-236): the
    squared length of the difference between the arms' means, in units of the covariates' joint
    covariance. Its p-value comes from arms drawn anew among the same customers, so it is exact
    whatever the covariates' distributions; with more than `MANY` customers from the chi-square
    that it then follows. The sample ratio is tested by chi-square.

    Args:
        covariates: Numbers that were settled before the treatment, a row a customer; missing
            values allowed, and whether a value is missing is tested, too.
        treated: 1 in the treatment arm, 0 in the control arm.
        planned_share: Share of customers that the plan treats. Without it the ratio of the arms
            cannot be tested.
        permutations: Arms drawn anew.
        seed: Of these draws.

    Raises:
        ModelError: An arm has fewer than two customers, or a covariate holds no numbers.
    """
    rows = len(np.asarray(treated))
    one = checked_arms(np.zeros(rows), treated).treated
    # In an order that is the customers' own, so that no order of rows changes the draws.
    order = np.argsort(covariates.index.astype(str).to_numpy(), kind="stable")
    some, arm = covariates.iloc[order], one[order]
    X = design(some, rows)
    p_value = _omnibus(X, arm, permutations, seed) if X.shape[1] else math.nan
    share = float(one.mean())
    ratio_p = math.nan
    if planned_share is not None:
        expected = rows * np.array([planned_share, 1 - planned_share])
        ratio_p = float(stats.chisquare([one.sum(), (~one).sum()], expected).pvalue)
    random = not (p_value < ALARM or ratio_p < RATIO_ALARM)
    table = _table(some, arm)
    return Balance(
        p_value,
        ratio_p,
        share,
        planned_share,
        table,
        random,
        _verdict(p_value, ratio_p, share, planned_share, table),
    )


def _omnibus(
    X: npt.NDArray[np.float64], arm: npt.NDArray[np.bool_], draws: int, seed: int
) -> float:
    # In orthonormal coordinates d-squared is a plain squared length.
    basis = np.linalg.qr(X)[0]
    n, n_treated = len(arm), int(arm.sum())
    rng = np.random.default_rng(seed)

    def length(assignments: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        squares: npt.NDArray[np.float64] = ((assignments - n_treated / n) @ basis) ** 2
        return np.asarray(squares.sum(axis=1))

    seen = length(arm[None].astype(np.float64))[0]
    if n > MANY:
        share = n_treated / n
        variance = share * (1 - share) * n / (n - 1)  # of each coordinate, drawn without return
        return float(stats.chi2.sf(seen / variance, basis.shape[1]))
    beyond, block = 0, max(1, min(draws, 4_000_000 // n))
    for start in range(0, draws, block):
        drawn = np.zeros((min(block, draws - start), n))
        for row in drawn:
            row[rng.permutation(n)[:n_treated]] = 1.0
        beyond += int((length(drawn) >= seen * (1 - 1e-12)).sum())
    return (beyond + 1) / (draws + 1)


def _table(covariates: pd.DataFrame, arm: npt.NDArray[np.bool_]) -> pd.DataFrame:
    rows = []
    for name in covariates.columns:
        values = covariates[name].to_numpy(np.float64, na_value=np.nan)
        one, other = (np.sort(v[~np.isnan(v)]) for v in (values[arm], values[~arm]))
        if min(len(one), len(other)) < 2:
            continue
        spread = math.sqrt((one.var(ddof=1) + other.var(ddof=1)) / 2)
        gap = one.mean() - other.mean()
        p = stats.ttest_ind(one, other, equal_var=False).pvalue if spread > 0 else math.nan
        rows.append(
            (
                str(name),
                one.mean(),
                other.mean(),
                gap / spread if spread > 0 else math.nan,
                float(p),
            )
        )
    table = pd.DataFrame(rows, columns=["covariate", "treated", "control", "difference", "p_value"])
    order = np.argsort(-table["difference"].abs().fillna(-1.0).to_numpy(), kind="stable")
    return table.iloc[order].set_index("covariate")


def _verdict(
    p_value: float, ratio_p: float, share: float, planned: float | None, table: pd.DataFrame
) -> str:
    said = []
    if ratio_p < RATIO_ALARM:
        said.append(
            f"The arms are not of the planned size: {share:.1%} treated where {planned:.1%} were "
            f"planned (p = {ratio_p:.2g}). Customers were lost or added on one side; find out why "
            "before believing any effect."
        )
    if p_value < ALARM:
        known = table["difference"].dropna()
        most = (
            f"most in {known.index[0]} ({known.iloc[0]:+.2f} standard deviations)"
            if len(known)
            else "in where values are missing"
        )
        said.append(
            f"The arms differed before the campaign (p = {p_value:.2g}), {most}: the assignment "
            "does not look random, and the difference between the arms is not the effect."
        )
    if not said:
        said.append(
            "The assignment looks random: nothing known before tells who was treated "
            f"(p = {p_value:.2g})."
            if not math.isnan(p_value)
            else "There is nothing to test the assignment by."
        )
        if math.isnan(ratio_p):
            said.append(f"{share:.1%} were treated; whether that was the plan is not known.")
    return " ".join(said)
