"""BG/BB: customers who can buy only at given opportunities, at most once at each.

Fader, Hardie & Shang (2010), "Customer-Base Analysis in a Discrete-Time Noncontractual Setting",
Marketing Science 29(6), 1086-1108; cited as FHS. For a yearly donation, renewals that may be
skipped, matches, cruises, seminars: time is counted in opportunities, and what is asked is who
takes the next one. Where customers can buy on any day, use the models in weeks.

Before each opportunity a customer who is there leaves with probability theta ~ Beta(gamma, delta);
who has not left buys with probability p ~ Beta(alpha, beta). With x purchases at n opportunities,
the last one at tx, the likelihood is (FHS eq. 5)

    B(alpha+x, beta+n-x)/B(alpha, beta) B(gamma, delta+n)/B(gamma, delta)
    + sum_{i<n-tx} B(alpha+x, beta+tx-x+i)/B(alpha, beta) B(gamma+1, delta+tx+i)/B(gamma, delta).

Alive means: still there at opportunity n + 1 (FHS eq. 11). Given that, p ~ Beta(alpha+x,
beta+n-x) and theta ~ Beta(gamma, delta+n+1), independently, and all that follows is made of these
two: with S_i = B(gamma, delta+n+1+i) / B(gamma, delta+n+1) the chance to be there i opportunities
later,

    P(X(t) >= m) = sum_{i=m}^{t} S_{i-1} C(i-1, m-1) B(alpha+x+m, beta+n-x+i-m) / B(alpha+x, beta+n-x),
    E[X(t)]      = E[p] E[(1 - (1 - theta)^t) / theta].
"""  # noqa: E501

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import count
from typing import ClassVar

import numpy as np
import pandas as pd
from scipy.special import betaln, digamma

from ..base import ModelError
from . import formulas
from .covariates import Cells
from .formulas import FloatArray
from .future import Future
from .histories import Histories
from .model import PurchaseModel
from .target import Priors, Target

__all__ = ["BetaGeoBetaBinomial"]

# The wait for the next purchase is not followed further.
_LONGEST_WAIT = 10_000
_ALMOST_ONE = 1.0 - 2.0**-53


class BetaGeoBetaBinomialFuture(Future):
    """At each opportunity: there with probability 1 - theta, the first time surely; buys with p."""

    def __init__(
        self, alpha: FloatArray, beta: FloatArray, gamma: FloatArray, delta: FloatArray, nodes: int
    ) -> None:
        self.alpha, self.beta, self.gamma, self.delta = alpha, beta, gamma, delta
        self._nodes = nodes

    @cached_property
    def rule(self) -> formulas.BetaRule:
        return formulas.beta_rule(self.gamma, self.delta, self._nodes)

    def expected(self, t: FloatArray | float) -> FloatArray:
        return self._sum(_whole(t), 0.0)

    def discounted(self, t: float, rate: float) -> FloatArray:
        return self._sum(np.asarray(t) if np.isinf(t) else _whole(t), rate)

    def _sum(self, t: FloatArray, rate: float) -> FloatArray:
        """Sum over opportunities i up to t of exp(-rate i) P(a purchase at i).

        Given theta a geometric series, v (1 - q^t) / (1 - q) with q = (1 - theta) v.
        """
        size = np.broadcast_shapes(self.alpha.shape, t.shape, self.rule.p.shape[1:])
        total = np.zeros(size)
        for node, weight in zip(self.rule.p, self.rule.weight, strict=True):
            theta = np.minimum(node, _ALMOST_ONE)
            ratio = -np.expm1(-rate) + theta * np.exp(-rate)
            total += weight * -np.expm1(t * (np.log1p(-theta) - rate)) / ratio
        out: FloatArray = total * np.exp(-rate) * (self.alpha / (self.alpha + self.beta))
        return out

    def _quiet(self) -> Iterator[tuple[FloatArray, FloatArray]]:
        """For t = 1, 2, ...: nothing bought and gone before t; nothing bought and there at t."""
        here = self.beta / (self.alpha + self.beta) + 0.0 * (self.gamma + self.delta)
        gone = np.zeros(here.shape)
        for i in count(1):
            yield gone, here
            leaves = self.gamma / (self.gamma + self.delta + (i - 1))
            gone = gone + here * leaves
            here = here * (1.0 - leaves) * ((self.beta + i) / (self.alpha + self.beta + i))

    def none(self, t: FloatArray | float) -> FloatArray:
        t = _whole(t)
        steps = self._quiet()
        gone, here = next(steps)
        out = np.ones(np.broadcast_shapes(t.shape, here.shape))
        for i in range(1, int(t.max(initial=0.0)) + 1):
            out = np.where(t == i, gone + here, out)
            gone, here = next(steps)
        return out

    def _most(self, t: FloatArray | float) -> FloatArray:
        return _whole(t) + 0.0 * self.alpha

    def _tails(self, t: FloatArray | float) -> Iterator[FloatArray]:
        return (self.tail(np.asarray(float(m)), t) for m in count(1))

    def tail(self, k: FloatArray, t: FloatArray | float) -> FloatArray:
        # The k-th purchase is at opportunity i: a sum of positive terms, in logarithms because
        # the first of them may be far below the largest.
        t, k = _whole(t), np.asarray(k)
        last = int(t.max(initial=0.0))
        alpha, beta, gamma, delta = self.alpha, self.beta, self.gamma, self.delta
        term = betaln(alpha + k, beta) - betaln(alpha, beta)
        term = term + betaln(gamma, delta + k - 1.0) - betaln(gamma, delta)
        size = np.broadcast_shapes(term.shape, t.shape)
        total = np.full(size, -np.inf)
        for i in range(int(k.min()), last + 1):
            begun = i > k
            with np.errstate(divide="ignore", invalid="ignore"):
                step = (i - 1.0) / (i - k) * (beta + (i - 1) - k) / (alpha + beta + (i - 1))
                step = step * (delta + (i - 2)) / (gamma + delta + (i - 2))
                term = term + np.where(begun, np.log(step), 0.0)
            total = np.where((i >= k) & (i <= t), np.logaddexp(total, term), total)
        out: FloatArray = np.exp(np.minimum(total, 0.0))
        return out

    def next_purchase(self) -> FloatArray:
        """Median opportunities to the next purchase; infinite if it more likely never comes."""
        steps = self._quiet()
        out = np.full(next(self._quiet())[0].shape, np.inf)
        open_ = np.ones(out.shape, dtype=bool)
        for i in range(1, _LONGEST_WAIT + 1):
            gone, here = next(steps)
            bought = open_ & (gone + here <= 0.5)
            out[bought] = i
            open_ &= ~bought & (gone <= 0.5)
            if not open_.any():
                break
        return out


class BetaGeoBetaBinomial(PurchaseModel):
    """BG/BB with parameters alpha, beta (purchase) and gamma, delta (dropout).

    The RFM summary counts opportunities after the first purchase: `frequency` of them were taken,
    the last one was opportunity `recency` (0 if none), and there were `T`. Horizons are whole
    numbers of opportunities, too. It is not a candidate where the others are, which count weeks.

    >>> m = BetaGeoBetaBinomial.from_parameters(alpha=1.2, beta=0.75, gamma=0.66, delta=2.78)
    >>> rfm = pd.DataFrame({"frequency": [3, 0], "recency": [4, 0], "T": [6, 6]})
    >>> m.probability_alive(rfm).round(4).tolist()
    [0.4383, 0.1078]
    >>> m.expected_purchases(rfm, 10).round(4).tolist()
    [1.8408, 0.1293]
    """

    names: ClassVar[tuple[str, ...]] = ("alpha", "beta", "gamma", "delta")
    label: ClassVar[str] = "bg_bb"
    time_unit: ClassVar[str] = "opportunities"
    effects: ClassVar[Mapping[str, Mapping[str, float]]] = {
        "rate": {"alpha": 0.5, "beta": -0.5},  # the logit of the mean alpha / (alpha + beta)
        "dropout": {"gamma": 0.5, "delta": -0.5},
    }

    def discounted_expected_residual_transactions(
        self,
        rfm: pd.DataFrame,
        annual_discount_rate: float = 0.10,
        quantiles: Sequence[float] | None = None,
        opportunities_a_year: float = 1.0,
    ) -> FloatArray:
        """DERT: all purchases still to come, one at the next opportunity discounted once.

        FHS eq. 14.

        Args:
            rfm: Histories, one row a customer.
            annual_discount_rate: For example 0.10.
            quantiles: Posterior quantiles of the expectation wanted beside the mean.
            opportunities_a_year: How many there are, evenly spaced.

        Returns:
            (n,), or (n, 1 + quantiles) with the mean first.
        """
        if not (np.isfinite(annual_discount_rate) and annual_discount_rate > 0.0):
            raise ModelError("DERT needs a positive discount rate.", "Use for example 0.10.")
        if not (np.isfinite(opportunities_a_year) and opportunities_a_year > 0.0):
            raise ModelError(f"opportunities_a_year is {opportunities_a_year}.", "Use 1, 12 or 52.")
        rate = float(np.log1p(annual_discount_rate)) / opportunities_a_year
        return self._predict(
            rfm,
            lambda alive, future, _t: alive * future.discounted(np.inf, rate),
            quantiles,
            None,
        )

    def read(self, rfm: pd.DataFrame) -> tuple[Histories, Cells]:
        """As `PurchaseModel.read`; frequency, recency and T must be counts of opportunities."""
        histories, cells = super().read(rfm)
        _check_counts(rfm, histories)
        return histories, cells

    def _learn(self, rfm: pd.DataFrame) -> Histories:
        histories = super()._learn(rfm)
        _check_counts(rfm, histories)
        return histories

    def _on_grid(self, exact: Histories, priors: Priors, fineness: int = 0) -> Target:
        # Between whole opportunities there is nothing to put a node on, and they are few.
        return self._target(exact, priors)

    def _prior_centre(self, mean_T: float) -> dict[str, float]:
        # Centred on buying at half of the opportunities, and on one customer in five leaving.
        return {"alpha": 1.0, "beta": 1.0, "gamma": 1.0, "delta": 4.0}

    def _start(self, nodes: Histories) -> dict[str, float]:
        share = float(nodes.weight @ nodes.frequency) / float(nodes.weight @ nodes.T)
        share = min(max(share, 0.05), 0.95)
        return {"alpha": 2.0 * share, "beta": 2.0 * (1.0 - share), "gamma": 1.0, "delta": 4.0}

    def _log_likelihood(self, parameters: FloatArray, nodes: Histories) -> tuple[float, FloatArray]:
        # FHS eq. 5. The terms of the sum follow from the first by a ratio below 1:
        # term(i+1)/term(i) = (beta+tx-x+i)/(alpha+beta+tx+i) (delta+tx+i)/(gamma+delta+1+tx+i).
        x, tx, n = nodes.frequency, nodes.recency, nodes.T
        alpha, beta, gamma, delta = parameters[:, nodes.cell]
        missed = n - tx
        total, term = np.zeros(len(nodes)), np.ones(len(nodes))
        # Derivatives of log term and of the sum by alpha, beta, gamma and delta.
        slope, by_term = np.zeros((4, len(nodes))), np.zeros((4, len(nodes)))
        for i in range(int(missed.max(initial=0.0))):
            term = np.where(i < missed, term, 0.0)
            total += term
            by_term += term * slope
            buys, leaves = beta + (tx - x + i), delta + (tx + i)
            in_all, stays = alpha + beta + (tx + i), gamma + delta + (tx + i + 1.0)
            slope -= np.stack([1.0 / in_all, 1.0 / in_all, 1.0 / stays, 1.0 / stays])
            slope[1] += 1.0 / buys
            slope[3] += 1.0 / leaves
            term = term * (buys / in_all) * (leaves / stays)
        left = missed > 0
        by_term /= np.where(left, total, 1.0)

        def parts(until: FloatArray, dropped: float) -> tuple[FloatArray, FloatArray]:
            """ln[B(alpha+x, beta+until-x) B(gamma+dropped, delta+until)], and its gradient."""
            value = betaln(alpha + x, beta + until - x) + betaln(gamma + dropped, delta + until)
            both, whole = digamma(alpha + beta + until), digamma(gamma + delta + dropped + until)
            return value, np.stack(
                [
                    digamma(alpha + x) - both,
                    digamma(beta + until - x) - both,
                    digamma(gamma + dropped) - whole,
                    digamma(delta + until) - whole,
                ]
            )

        alive, by_alive = parts(n, 0.0)
        first, by_first = parts(tx, 1.0)
        with np.errstate(divide="ignore"):
            dead = np.where(left, first + np.log(np.where(left, total, 1.0)), -np.inf)
        value = np.logaddexp(alive, dead)
        share = np.exp(dead - value)
        gradient = (1.0 - share) * by_alive + share * (by_first + by_term)
        value = value - betaln(alpha, beta) - betaln(gamma, delta)
        gradient[:2] += digamma(alpha + beta)
        gradient[2:] += digamma(gamma + delta)
        gradient -= digamma(np.stack([alpha, beta, gamma, delta]))
        cells = parameters.shape[1]
        by_cell = [np.bincount(nodes.cell, nodes.weight * g, minlength=cells) for g in gradient]
        return float(nodes.weight @ value), np.stack(by_cell)

    def _alive(
        self, draws: Mapping[str, FloatArray], x: FloatArray, recency: FloatArray, T: FloatArray
    ) -> FloatArray:
        # FHS eq. 11. In units of the likelihood's first term: 1 / (1 + all ways to have left by
        # n), times the chance (delta+n) / (gamma+delta+n) to be there at n + 1.
        alpha, beta, gamma, delta = (draws[name] for name in self.names)
        log_ratio = betaln(alpha + x, beta + recency - x) - betaln(alpha + x, beta + T - x)
        log_ratio = log_ratio + betaln(gamma + 1.0, delta + recency) - betaln(gamma, delta + T)
        total = np.zeros(np.shape(log_ratio))
        term = np.ones(total.shape)
        missed = T - recency
        for i in range(int(missed.max(initial=0.0))):
            term = np.where(i < missed, term, 0.0)
            total += term
            at = recency + i
            term = term * ((beta + at - x) / (alpha + beta + at))
            term = term * ((delta + at) / (gamma + delta + 1.0 + at))
        with np.errstate(divide="ignore"):
            left = np.exp(-np.logaddexp(0.0, log_ratio + np.log(total)))
        out: FloatArray = left * ((delta + T) / (gamma + delta + T))
        return out

    def _future(
        self,
        draws: Mapping[str, FloatArray],
        x: float,
        T: FloatArray,
        recency: FloatArray | None = None,
    ) -> Future:
        n = T[:, None]
        return BetaGeoBetaBinomialFuture(
            draws["alpha"] + x + 0.0 * n,
            draws["beta"] + (n - x),
            draws["gamma"] + 0.0 * n,
            draws["delta"] + (n + 1.0),
            self._rule_nodes(draws),
        )

    def _newcomer(self, draws: Mapping[str, FloatArray]) -> tuple[FloatArray, Future]:
        alpha, beta, gamma, delta = (draws[name] for name in self.names)
        future = BetaGeoBetaBinomialFuture(alpha, beta, gamma, delta + 1.0, self._rule_nodes(draws))
        return delta / (gamma + delta), future

    def _rule_nodes(self, draws: Mapping[str, FloatArray]) -> int:
        # One number for all customers, so that a customer's result depends on nobody else.
        return formulas.beta_nodes(draws["gamma"], draws["delta"] + 1.0)


def _whole(t: FloatArray | float) -> FloatArray:
    t = np.asarray(t, dtype=float)
    if (t != np.floor(t)).any():
        raise ModelError(
            "The horizon of BG/BB is a whole number of opportunities; "
            f"got {float(t[t != np.floor(t)].flat[0]):g}.",
            "Where customers can buy on any day, use a model in weeks, such as ModifiedBetaGeoNBD.",
        )
    return t


def _check_counts(rfm: pd.DataFrame, histories: Histories) -> None:
    """Refuse what cannot be counts of opportunities."""
    x, tx, n = histories.frequency, histories.recency, histories.T
    cases = (
        ((tx != np.floor(tx)) | (n != np.floor(n)), "recency and T are not whole numbers"),
        (x > tx, "frequency is above recency, the number of the last opportunity taken"),
        ((x == 0) & (tx > 0), "recency is above 0 though frequency is 0"),
    )
    for bad, what in cases:
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            raise ModelError(
                f"Row {rfm.index[row]!r}: {what}; "
                f"frequency={x[row]:g}, recency={tx[row]:g}, T={n[row]:g}.",
                "BG/BB counts opportunities to buy since the first purchase, at most one purchase "
                "at each. Where customers can buy on any day, use a model in weeks.",
            )
