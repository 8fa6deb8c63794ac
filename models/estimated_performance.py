"""How good a churn probability is likely to be, before anybody can know: from itself alone.

Confidence-based performance estimation (CBPE; NannyML documentation, "How it works: performance
estimation"; Białek, Kuberski, Perrakis and Bifet 2024, arXiv 2407.08649): where a probability means
what it says, every customer counts as a churner with weight p and as one who stays with weight
1 - p, and what a measure comes to follows from that. It holds for other customers than those of the
training, of whom the probability is still right (covariate shift); it cannot see that the same
customers now leave more often (concept drift). So an estimate is no proof of health, and the
calibration error cannot be estimated at all: the estimate takes it to be zero.

`estimated_performance` gives what each measure is expected to come to, and the range in which it
falls by chance alone, from outcomes drawn by the probabilities themselves.

Early returns: of the customers who come back within a horizon, a known share has come back by a
given day (the timing curve of horizons that are over). `expected_returns` says how many customers
that is, and how far from it chance and the unsteadiness of the curve may lead.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import stats

from .base import ModelError
from .metrics.bootstrap import Interval

__all__ = ["Earnings", "estimated_auc", "estimated_performance", "expected_returns"]

Array = npt.NDArray[np.float64]

_MOST = 50_000  # customers whose outcomes are drawn; of more, the spread follows from that of these


class Earnings(NamedTuple):
    """What a list earns from each customer; 0 for those who are not on it.

    Attributes:
        listed: True where a customer is on the list.
        if_leaves: Money earned by the contact if the customer would leave.
        if_stays: If the customer would stay.
    """

    listed: npt.NDArray[np.bool_]
    if_leaves: Array
    if_stays: Array

    def earned(self, churned: Array) -> Array:
        """What each contact earns if the customers do, or do with this probability, `churned`."""
        return self.if_stays + churned * (self.if_leaves - self.if_stays)


def estimated_auc(p: npt.ArrayLike) -> float:
    """The area under the ROC curve that a calibrated probability is expected to have.

    Of two customers i and j, with i scored higher, the pair counts for it with the chance that i
    leaves and j stays, and against it with the chance of the reverse: the sum of p_i (1 - p_j) over
    pairs with p_i > p_j, half of it where they are equal, over the sum of p_i (1 - p_j) over all
    pairs of two customers.

    Args:
        p: Churn probabilities.

    Returns:
        Between 0.5 and 1; NaN where no pair of a churner and one who stays is possible.

    Raises:
        ModelError: A probability is missing or not between 0 and 1.

    >>> estimated_auc([0.0, 1.0]), estimated_auc([0.3, 0.3, 0.3])
    (1.0, 0.5)
    """
    forecast = _checked(p)
    return float(_Pairs(forecast).auc(forecast, forecast * (1.0 - forecast)))


class _Pairs:
    """Customers sorted by their score, for one sum over all pairs after the other."""

    def __init__(self, p: Array) -> None:
        self.order = np.argsort(-p, kind="stable")
        ordered = p[self.order]
        self.starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))

    def auc(self, churned: Array, own: Array | None = None) -> float:
        """The area if each customer leaves with this probability, or did: 0 or 1.

        Args:
            churned: One entry a customer.
            own: The pair of a customer with himself, to be left out; None where it is zero.
        """
        leaves = np.add.reduceat(churned[self.order], self.starts)
        stays = np.add.reduceat((1.0 - churned)[self.order], self.starts)
        before = np.cumsum(leaves) - leaves
        same = 0.0 if own is None else float(own.sum())
        pairs = float(leaves.sum()) * float(stays.sum()) - same
        if not pairs > 0.0:
            return math.nan
        won = float((stays * (before + 0.5 * leaves)).sum()) - 0.5 * same
        return won / pairs


def estimated_performance(
    p: npt.ArrayLike,
    earnings: Earnings | None = None,
    *,
    replicates: int = 200,
    seed: int = 0,
    level: float = 0.95,
) -> dict[str, Interval]:
    """What measures of a calibrated churn probability are expected to come to.

    Args:
        p: Churn probabilities, which are taken to mean what they say.
        earnings: What a list made of them earns; without it nothing is said of a list.
        replicates: Draws of all outcomes behind the intervals.
        seed: Seed of the draws.
        level: Of the intervals.

    Returns:
        Measure -> its expectation and the range in which the realised one falls by chance (twice
        its spread over the draws, to both sides, as far as it is possible):

        - `churn_rate`: the mean of p;
        - `roc_auc`: `estimated_auc`;
        - `brier`: the mean of p (1 - p);
        - `precision`: of the customers on the list, the share who leave; not without a list;
        - `profit`: what the list earns, per customer of the base; not without a list.

    Raises:
        ModelError: As for `estimated_auc`, or nobody is given.
    """
    forecast = _checked(p)
    if not forecast.size:
        raise ModelError("there is nobody to estimate the performance for.")
    expected = {
        "churn_rate": float(forecast.mean()),
        "roc_auc": estimated_auc(forecast),
        "brier": float((forecast * (1.0 - forecast)).mean()),
    }
    if earnings is not None:
        if earnings.listed.any():
            expected["precision"] = float(forecast[earnings.listed].mean())
        expected["profit"] = float(earnings.earned(forecast).mean())
    rng = np.random.default_rng(seed)
    some, part = forecast, earnings
    if forecast.size > _MOST:
        picked = np.sort(rng.choice(forecast.size, _MOST, replace=False))
        some = forecast[picked]
        if earnings is not None:
            leaves, stays = earnings.if_leaves[picked], earnings.if_stays[picked]
            part = Earnings(earnings.listed[picked], leaves, stays)
    pairs = _Pairs(some)
    drawn: dict[str, list[float]] = {name: [] for name in expected}
    for _ in range(replicates):
        churned = (rng.random(some.size) < some).astype(np.float64)
        drawn["churn_rate"].append(float(churned.mean()))
        drawn["roc_auc"].append(pairs.auc(churned))
        drawn["brier"].append(float(((some - churned) ** 2).mean()))
        if part is not None:
            if "precision" in drawn:
                # Nobody of a short list need be among those drawn from.
                listed = churned[part.listed]
                drawn["precision"].append(float(listed.mean()) if listed.size else math.nan)
            drawn["profit"].append(float(part.earned(churned).mean()))
    width = float(stats.norm.ppf(0.5 * (1.0 + level))) * math.sqrt(some.size / forecast.size)
    found = {}
    for name, value in expected.items():
        defined = np.array(drawn[name])
        defined = defined[np.isfinite(defined)]
        half = width * float(defined.std()) if defined.size else math.nan
        most = math.inf if name == "profit" else 1.0
        least = -math.inf if name == "profit" else 0.0
        found[name] = Interval(value, max(value - half, least), min(value + half, most))
    return found


def expected_returns(
    p: npt.ArrayLike,
    shares: npt.ArrayLike,
    *,
    effective: float | None = None,
    level: float = 0.95,
) -> tuple[Array, Array, Array]:
    """How many customers should have come back by each day of a horizon that is not over.

    A customer comes back within the horizon with probability 1 - p, and of those who do, the share
    F(d) by day d: q = (1 - p) F(d). The number of customers back by then is a sum of independent
    trials of unequal chance (Poisson-binomial), with variance sum q (1 - q). F differs from horizon
    to horizon; how much, the earlier ones tell: what is between them is added as a prediction
    interval of one more of them (Student's t), at right angles to chance.

    Args:
        p: Churn probabilities of the customers.
        shares: F, (earlier horizons, days): of those who came back, the share by the end of each
            day.
        effective: As how many customers those are who are seen, if they stand for others; as many
            as there are when left out.
        level: Of the band.

    Returns:
        Expected share of all customers who are back by the end of each day, and the lower and upper
        end of the band in which it should be. With one earlier horizon the band holds chance only.

    Raises:
        ModelError: A probability is missing or not between 0 and 1, or there is no earlier horizon.

    >>> mean, low, high = expected_returns([0.5] * 400, [[0.2, 1.0]])
    >>> mean.tolist(), low.round(3).tolist(), high.round(3).tolist()
    ([0.1, 0.5], [0.071, 0.451], [0.129, 0.549])
    """
    stays = 1.0 - _checked(p)
    earlier = np.asarray(shares, dtype=np.float64)
    if earlier.ndim != 2 or not earlier.size or not stays.size:
        raise ModelError("expected customers, and at least one earlier horizon to compare with.")
    curve = earlier.mean(axis=0)
    # sum q (1 - q) = F sum (1 - p) - F^2 sum (1 - p)^2, so that no day needs all customers.
    first, second = float(stays.sum()), float((stays**2).sum())
    chance = np.sqrt(np.maximum(curve * first - curve**2 * second, 0.0)) / stays.size
    chance *= math.sqrt(stays.size / (effective or stays.size))
    half = float(stats.norm.ppf(0.5 * (1.0 + level))) * chance
    windows = len(earlier)
    if windows > 1:
        spread = earlier.std(axis=0, ddof=1) * math.sqrt(1.0 + 1.0 / windows)
        reach = float(stats.t.ppf(0.5 * (1.0 + level), windows - 1))
        half = np.hypot(half, reach * spread * stays.mean())
    mean = curve * stays.mean()
    return mean, np.clip(mean - half, 0.0, 1.0), np.clip(mean + half, 0.0, 1.0)


def _checked(p: npt.ArrayLike) -> Array:
    forecast = np.asarray(p, dtype=np.float64)
    if not ((forecast >= 0.0) & (forecast <= 1.0)).all():
        raise ModelError("a churn probability must be between 0 and 1.")
    return forecast
