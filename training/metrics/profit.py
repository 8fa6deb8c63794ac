"""What a retention campaign can earn with a churn score (Verbraken et al. 2013)."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import special

from training.metrics.inputs import Array, labels
from training.metrics.ranking import groups_by_score

__all__ = ["ProfitMaximum", "empc", "mpc"]


class ProfitMaximum(NamedTuple):
    """The best a retention campaign can do with a score.

    Attributes:
        profit: Per customer of the base, in the units of `clv`.
        share: Share of customers to contact at that optimum.
    """

    profit: float
    share: float


def _roc_hull(actual: Array, score: Array) -> tuple[Array, Array]:
    """Upper convex hull of the ROC curve: (false positive rate, true positive rate)."""
    counts, hits = groups_by_score(score, actual)
    tp = np.concatenate([[0.0], np.cumsum(hits)]) / actual.sum()
    fp = np.concatenate([[0.0], np.cumsum(counts - hits)]) / (actual.size - actual.sum())
    hull: list[int] = []
    for i in range(tp.size):
        # Drop the last point while it lies on or below the line past it (Graham's scan).
        while len(hull) > 1 and (fp[hull[-1]] - fp[hull[-2]]) * (tp[i] - tp[hull[-2]]) >= (
            tp[hull[-1]] - tp[hull[-2]]
        ) * (fp[i] - fp[hull[-2]]):
            hull.pop()
        hull.append(i)
    return fp[hull], tp[hull]


def mpc(
    y: npt.ArrayLike,
    p: npt.ArrayLike,
    *,
    clv: float = 200.0,
    offer_cost: float = 10.0,
    contact_cost: float = 1.0,
    save_rate: float = 0.30,
) -> ProfitMaximum:
    """Maximum profit measure for churn: max over thresholds of P(T; gamma).

    P(T; gamma) = CLV (gamma (1 - delta) - phi) pi0 F0(T) - CLV (delta + phi) pi1 F1(T),
    delta = offer_cost / clv, phi = contact_cost / clv; pi0, F0 are the share of churners
    and the part of them contacted, pi1, F1 those of the others (Verbraken, Verbeke and
    Baesens 2013, IEEE TKDE 25:961-973). The defaults are theirs.
    """
    actual, score = labels(y, p)
    churners = float(actual.mean())
    if churners in (0.0, 1.0):
        return ProfitMaximum(float("nan"), float("nan"))
    fp, tp = _roc_hull(actual, score)
    gain = (save_rate * (clv - offer_cost) - contact_cost) * churners
    cost = (offer_cost + contact_cost) * (1 - churners)
    profit = gain * tp - cost * fp
    best = int(np.argmax(profit))
    return ProfitMaximum(
        float(profit[best]), float(churners * tp[best] + (1 - churners) * fp[best])
    )


def empc(
    y: npt.ArrayLike,
    p: npt.ArrayLike,
    *,
    clv: float = 200.0,
    offer_cost: float = 10.0,
    contact_cost: float = 1.0,
    alpha: float = 6.0,
    beta: float = 14.0,
) -> ProfitMaximum:
    """Expected maximum profit measure for churn: MPC averaged over an unknown save rate.

    Integral over gamma of max_T P(T; gamma) times the Beta(alpha, beta) density of gamma
    (Verbraken, Verbeke and Baesens 2013; `mpc` has P). Each corner of the ROC hull is the
    best threshold on one interval of gamma, so the integral is a finite sum of incomplete
    beta functions. The defaults are theirs: a mean save rate of 0.30.
    """
    actual, score = labels(y, p)
    churners = float(actual.mean())
    if churners in (0.0, 1.0):
        return ProfitMaximum(float("nan"), float("nan"))
    fp, tp = _roc_hull(actual, score)
    delta, phi = offer_cost / clv, contact_cost / clv
    steps_tp, steps_fp = np.diff(tp), np.diff(fp)
    with np.errstate(divide="ignore"):
        slope = np.where(steps_tp > 0, steps_fp / np.where(steps_tp > 0, steps_tp, 1.0), np.inf)
    # The save rate at which the next corner of the hull becomes the better one.
    switch = (slope * (delta + phi) * (1 - churners) / churners + phi) / (1 - delta)
    edges = np.concatenate([[0.0], np.clip(switch, 0.0, 1.0), [1.0]])
    mass = np.diff(special.betainc(alpha, beta, edges))
    mean = alpha / (alpha + beta) * np.diff(special.betainc(alpha + 1, beta, edges))
    gain = clv * ((1 - delta) * mean - phi * mass) * churners * tp
    cost = clv * (delta + phi) * (1 - churners) * fp * mass
    share = (churners * tp + (1 - churners) * fp) * mass
    return ProfitMaximum(float((gain - cost).sum()), float(share.sum()))
