"""The average effect of a treatment, from a randomised experiment.

Where the arms were drawn at random, the difference between their means estimates the average
effect without any model (Neyman 1923, Statistical Science 5:465-480, 1990). What was known of
the customers before can make it sharper: the regression-adjusted estimate stands beside the plain
one and never in its place.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..base import ModelError
from .arms import checked_arms

__all__ = [
    "FLAGGED",
    "Effect",
    "Profit",
    "adjusted_effect",
    "campaign_profit",
    "difference_in_means",
]

Floats = npt.NDArray[np.float64]

MAX_SHARE = 0.1
"""Covariates at most, as a share of the customers of the smaller arm."""

FLAGGED = 20
"""Customers without a value, and with one, from which on that is a covariate of its own."""


@dataclass(frozen=True)
class Effect:
    """An average effect, in the unit of the outcome.

    Attributes:
        value: Treated less untreated.
        low: Lower end of the confidence interval.
        high: Upper end.
        se: Standard error.
        p_value: Two-sided, against no effect.
        treated_mean: Mean outcome of the treatment arm.
        control_mean: Mean outcome of the control arm.
        n_treated: Customers of the treatment arm.
        n_control: Customers of the control arm.
        method: How it was estimated, in words.
    """

    value: float
    low: float
    high: float
    se: float
    p_value: float
    treated_mean: float
    control_mean: float
    n_treated: int
    n_control: int
    method: str

    @property
    def n(self) -> int:
        """Customers of both arms."""
        return self.n_treated + self.n_control

    @property
    def relative(self) -> float:
        """The effect as a share of the control arm's mean; NaN where that is 0."""
        return self.value / self.control_mean if self.control_mean else math.nan


@dataclass(frozen=True)
class Profit:
    """What a campaign earned, against not running it.

    Attributes:
        profit: Money: margin of the extra spend of all treated customers, less all cost.
        low: Lower end of its confidence interval.
        high: Upper end.
        roi: Profit for each unit of money spent; NaN where nothing was spent.
        roi_low: Lower end of its confidence interval.
        roi_high: Upper end.
        cost: Money spent.
        n_treated: Customers of the treatment arm.
        n_control: Customers of the control arm.
    """

    profit: float
    low: float
    high: float
    roi: float
    roi_low: float
    roi_high: float
    cost: float
    n_treated: int
    n_control: int


def difference_in_means(y: npt.ArrayLike, treated: npt.ArrayLike, *, level: float = 0.95) -> Effect:
    """The plain difference between the arms' means, with Welch's interval for unequal variances.

    Args:
        y: Outcome of each customer.
        treated: 1 in the treatment arm, 0 in the control arm.
        level: Of the interval.

    Raises:
        ModelError: See `models.uplift.arms.checked_arms`.

    >>> effect = difference_in_means([1, 0, 1, 1, 0, 0, 1, 0], [1, 1, 1, 1, 0, 0, 0, 0])
    >>> effect.value, round(effect.low, 3), round(effect.high, 3)
    (0.5, -0.365, 1.365)
    """
    from statsmodels.stats.weightstats import CompareMeans, DescrStatsW

    outcome, one = checked_arms(y, treated)
    ordered = np.sort(outcome[one]), np.sort(outcome[~one])  # no order of rows changes a bit
    means = [math.fsum(part) / len(part) for part in ordered]
    compared = CompareMeans(*map(DescrStatsW, ordered))
    se = float(compared.std_meandiff_separatevar)
    if se > 0:
        low, high = compared.tconfint_diff(alpha=1 - level, usevar="unequal")
        p_value = compared.ttest_ind(usevar="unequal")[1]
    else:  # nobody differs from anybody in the same arm
        low = high = means[0] - means[1]
        p_value = 1.0 if means[0] == means[1] else 0.0
    return Effect(
        means[0] - means[1],
        float(low),
        float(high),
        se,
        float(p_value),
        means[0],
        means[1],
        len(ordered[0]),
        len(ordered[1]),
        "difference in means, Welch interval",
    )


def adjusted_effect(
    y: npt.ArrayLike,
    treated: npt.ArrayLike,
    covariates: pd.DataFrame,
    *,
    level: float = 0.95,
) -> Effect:
    """The effect with chance differences in what was known before taken out.

    Least squares of the outcome on the arm, the centred covariates and their products with the
    arm; the coefficient of the arm is the effect, with standard errors that allow unequal
    variances, HC2 (Lin 2013, Annals of Applied Statistics 7:295-318). With the outcome's own
    past as the only covariate this is what the field calls CUPED (Deng, Xu, Kohavi & Walker 2013,
    WSDM:123-132), with a slope for each arm. In large samples it is never less precise than the
    plain difference, whether or not the outcome is linear in the covariates.

    Args:
        y: Outcome of each customer.
        treated: 1 in the treatment arm, 0 in the control arm.
        covariates: Numbers that were settled before the treatment, a row a customer. A missing
            value is taken as the column's mean, and told apart by a column of its own.
        level: Of the interval.

    Raises:
        ModelError: As `difference_in_means`; there are more covariates than a tenth of the
            smaller arm's customers.
    """
    import statsmodels.api as sm

    outcome, one = checked_arms(y, treated)
    X = design(covariates, len(outcome))
    if X.shape[1] > MAX_SHARE * min(one.sum(), (~one).sum()):
        raise ModelError(
            f"{X.shape[1]} covariates are too many for {int(min(one.sum(), (~one).sum()))} "
            "customers in the smaller arm.",
            "Adjust for fewer: the outcome's own past is the most useful one.",
        )
    arm = one.astype(np.float64)
    full = _independent(np.column_stack([np.ones(len(arm)), arm, X, X * arm[:, None]]))
    fitted = sm.OLS(outcome, full).fit(cov_type="HC2", use_t=True)
    low, high = fitted.conf_int(alpha=1 - level)[1]
    value = float(fitted.params[1])
    base = float(outcome.mean() - value * arm.mean())
    return Effect(
        value,
        float(low),
        float(high),
        float(fitted.bse[1]),
        float(fitted.pvalues[1]),
        base + value,
        base,
        int(one.sum()),
        int((~one).sum()),
        f"regression-adjusted for {covariates.shape[1]} covariates (Lin 2013), HC2",
    )


def design(covariates: pd.DataFrame, rows: int) -> Floats:
    """Return covariates as standardised columns without one that says what others say.

    A missing value becomes the mean, 0, and a column says where values are missing, if that is
    so for some `FLAGGED` customers and not for as many. Columns that are constant, or follow
    from those before them, are left out.

    Raises:
        ModelError: Not one row a customer, or a column holds no numbers.
    """
    if len(covariates) != rows:
        raise ModelError(f"expected {rows} rows of covariates, got {len(covariates)}")
    try:
        X = covariates.to_numpy(np.float64, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise ModelError(f"covariates must be numbers: {error}") from error
    if np.isinf(X).any():
        raise ModelError("a covariate is infinite.")
    missing = np.isnan(X)
    known = (~missing).sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(known > 0, np.where(missing, 0.0, X).sum(axis=0) / known, 0.0)
    filled = np.where(missing, mean, X)
    told = (np.minimum(known, rows - known) >= FLAGGED) if rows else known > 0
    both = np.column_stack([filled, missing[:, told].astype(np.float64)])
    both = both - both.mean(axis=0)
    scale = both.std(axis=0)
    varies = scale > 1e-12 * np.maximum(np.abs(both).max(axis=0, initial=0.0), 1e-300)
    both = both[:, varies] / scale[varies]
    if not both.shape[1]:
        return np.zeros((rows, 0))
    return _independent(both)


def _independent(X: Floats) -> Floats:
    """The columns that do not follow from those before them."""
    # What the earlier columns leave of a column stands on the diagonal of R.
    left = np.abs(np.diag(np.linalg.qr(X, mode="r")))
    own = np.zeros(X.shape[1], dtype=bool)
    own[: len(left)] = left > 1e-8 * np.linalg.norm(X, axis=0)[: len(left)]
    kept: Floats = X[:, own]
    return kept


def campaign_profit(
    spend: npt.ArrayLike,
    cost: npt.ArrayLike,
    treated: npt.ArrayLike,
    *,
    margin: float = 1.0,
    level: float = 0.95,
) -> Profit:
    """What a campaign earned and returned, with intervals.

    A customer's contribution is margin x spend - cost. The profit is the difference of its means
    between the arms, times the treated customers. The return on investment is profit / cost; its
    interval is that of the contribution, with the cost that was in fact spent taken as given,
    because the question is what this campaign brought for that money.

    Args:
        spend: Money that each customer spent in the campaign's window.
        cost: Money that each customer's contacts and offers cost; 0 in the control arm as a rule.
        treated: 1 in the treatment arm, 0 in the control arm.
        margin: Share of spend that is profit.
        level: Of the intervals.

    Raises:
        ModelError: As `difference_in_means`.

    >>> campaign_profit([30, 50, 20, 20], [1, 1, 0, 0], [1, 1, 0, 0], margin=0.5).profit
    18.0
    """
    money = np.asarray(cost, dtype=np.float64)
    contribution = difference_in_means(
        margin * np.asarray(spend, dtype=np.float64) - money, treated, level=level
    )
    n = contribution.n_treated
    spent = math.fsum(money[np.asarray(treated, dtype=np.float64) == 1.0])
    profit, low, high = (n * v for v in (contribution.value, contribution.low, contribution.high))
    roi = [v / spent if spent > 0 else math.nan for v in (profit, low, high)]
    return Profit(profit, low, high, roi[0], roi[1], roi[2], spent, n, contribution.n_control)
