"""BG/NBD: the customer can leave right after each repeat purchase.

Fader, Hardie & Lee (2005), "Counting Your Customers the Easy Way: An Alternative to the
Pareto/NBD Model", Marketing Science 24(2), 275-284; cited as FHL.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import count
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from scipy.special import betaln, digamma, expit, gammaln

from . import formulas
from .formulas import FloatArray
from .model import Future, PurchaseModel
from .rfm import Histories

__all__ = ["BetaGeoNBD"]

# Expected purchases without dropout above which single probabilities are not enumerated.
_HEAVY = 500.0


class BetaGeoFuture(Future):
    """Purchases at a Gamma(r, alpha) rate until a Beta(a, b) coin ends it; see `formulas`."""

    def __init__(
        self, r: FloatArray, alpha: FloatArray, a: FloatArray, b: FloatArray, nodes: int
    ) -> None:
        self.r, self.alpha, self.a, self.b = r, alpha, a, b
        self._rule: formulas.BetaRule | None = None
        self._nodes = nodes

    @property
    def rule(self) -> formulas.BetaRule:
        if self._rule is None:
            self._rule = formulas.beta_rule(self.a, self.b, self._nodes)
        return self._rule

    def expected(self, t: FloatArray | float) -> FloatArray:
        return formulas.expected_purchases(self.r, self.alpha, self.rule, t)

    def discounted(self, t: float, rate: float) -> FloatArray:
        return formulas.discounted_purchases(self.r, self.alpha, self.rule, t, rate)

    def none(self, t: FloatArray | float) -> FloatArray:
        return formulas.no_purchase(self.r, self.alpha, t)

    def heavy(self, t: FloatArray | float) -> npt.NDArray[np.bool_]:
        rate = self.r / self.alpha * np.asarray(t)
        out: npt.NDArray[np.bool_] = np.atleast_2d(rate).max(axis=1) > _HEAVY
        return out

    def tails(self, t: FloatArray | float) -> Iterator[FloatArray]:
        if not self.heavy(t).any():
            return formulas.purchase_tails(self.r, self.alpha, self.a, self.b, t)
        # The recursion would start from an underflow.
        return (self.tail(np.asarray(float(k)), t) for k in count(1))

    def tail(self, k: FloatArray, t: FloatArray | float) -> FloatArray:
        return formulas.purchase_tail(k, self.r, self.alpha, self.a, self.b, t)

    def next_purchase(self) -> FloatArray:
        # Nobody leaves between purchases, so the wait is exponential at rate
        # lambda ~ Gamma(r, alpha): a Lomax variable with this median.
        out: FloatArray = self.alpha * np.expm1(np.log(2.0) / self.r)
        return out


class BetaGeoNBD(PurchaseModel):
    """BG/NBD with parameters r, alpha (purchase rate) and a, b (dropout).

    By its definition nobody who bought once has had the chance to leave: `probability_alive` is
    1 at frequency 0. Use `probability_no_purchase` to rank customers by risk.

    >>> import pandas as pd
    >>> m = BetaGeoNBD.from_parameters(r=0.243, alpha=4.414, a=0.793, b=2.426)
    >>> rfm = pd.DataFrame({"frequency": [2], "recency": [30.43], "T": [38.86]})
    >>> m.expected_purchases(rfm, 39.0).round(3).tolist()
    [1.226]
    >>> m.probability_alive(rfm).round(4).tolist()
    [0.7266]
    """

    names: ClassVar[tuple[str, ...]] = ("r", "alpha", "a", "b")
    label: ClassVar[str] = "bg_nbd"
    first_chance: ClassVar[int] = 0
    """1 when the first purchase, too, gives the customer a chance to leave."""

    def _prior_centre(self, mean_T: float) -> dict[str, float]:
        # Centred on one purchase in an average T, and on one customer in three leaving.
        return {"r": 1.0, "alpha": mean_T, "a": 1.0, "b": 2.0}

    def _start(self, nodes: Histories) -> dict[str, float]:
        purchases = float(nodes.weight @ nodes.frequency)
        exposure = float(nodes.weight @ nodes.T)
        return {"r": 0.5, "alpha": 0.5 * exposure / purchases, "a": 1.0, "b": 3.0}

    def _log_likelihood(self, parameters: FloatArray, nodes: Histories) -> tuple[float, FloatArray]:
        # FHL eq. 6 in logarithms. With n = x chances to leave (x + 1 for the modified model):
        #   lnG(r+x) - lnG(r) + r ln alpha + lnB(a, b+n) - lnB(a, b)
        #   + ln[(alpha+T)^-(r+x) + a/(b+n-1) (alpha+tx)^-(r+x)], the last term only for n > 0.
        level, cells = nodes.levels, parameters.shape[1]
        r, alpha, a, b = parameters[:, level.cell]
        x, weight = level.frequency, level.weight
        n = x + self.first_chance
        value = float(
            weight
            @ (gammaln(r + x) - gammaln(r) + r * np.log(alpha) + betaln(a, b + n) - betaln(a, b))
        )
        base = np.where(n > 0, b + n - 1.0, 1.0)
        end = digamma(a + b) - digamma(a + b + n)
        by_level = np.stack(
            [
                digamma(r + x) - digamma(r) + np.log(alpha),
                r / alpha,
                end,
                end + digamma(b + n) - digamma(b),
            ]
        )
        with np.errstate(divide="ignore"):
            odds_at = np.where(n > 0, np.log(a / base), -np.inf)
        at = level.place
        shape, alpha_at = (r + x)[at], alpha[at]
        log_T, log_tx = np.log(alpha_at + nodes.T), np.log(alpha_at + nodes.recency)
        odds = odds_at[at] + shape * (log_T - log_tx)
        softplus = np.maximum(odds, 0.0) + np.log1p(np.exp(-np.abs(odds)))
        value += float(nodes.weight @ (softplus - shape * log_T))
        dropped = expit(odds)
        inverse_T = 1.0 / (alpha_at + nodes.T)
        step = 1.0 / (alpha_at + nodes.recency) - inverse_T
        by_node = np.stack(
            [
                dropped * (log_T - log_tx) - log_T,
                -shape * (inverse_T + dropped * step),
                dropped / a[at],
                -dropped / base[at],
            ]
        )
        gradient = np.stack(
            [
                np.bincount(level.cell, weight * lev, minlength=cells)
                + np.bincount(nodes.cell, nodes.weight * node, minlength=cells)
                for lev, node in zip(by_level, by_node, strict=True)
            ]
        )
        return value, gradient

    def _alive(
        self, draws: Mapping[str, FloatArray], x: FloatArray, recency: FloatArray, T: FloatArray
    ) -> FloatArray:
        # FHL section 4; P(alive) = 1 / (1 + odds that the last purchase was the end).
        chances = x + self.first_chance
        odds = formulas.log_odds_dropped(
            draws["alpha"],
            draws["a"],
            draws["b"],
            np.maximum(chances, 1.0),
            draws["r"] + x,
            recency,
            T,
        )
        return np.where(chances > 0, expit(-odds), 1.0)

    def _future(self, draws: Mapping[str, FloatArray], x: float, T: FloatArray) -> Future:
        # Given alive, lambda ~ Gamma(r + x, alpha + T) and p ~ Beta(a, b + n), independently.
        b = draws["b"] + (x + self.first_chance)
        return BetaGeoFuture(
            draws["r"] + x, draws["alpha"] + T[:, None], draws["a"], b, self._rule_nodes(draws)
        )

    def _newcomer(self, draws: Mapping[str, FloatArray]) -> tuple[FloatArray, Future]:
        a, b = draws["a"], draws["b"]
        alive = b / (a + b) if self.first_chance else np.ones_like(a)
        future = BetaGeoFuture(
            draws["r"], draws["alpha"], a, b + self.first_chance, self._rule_nodes(draws)
        )
        return alive, future

    def _rule_nodes(self, draws: Mapping[str, FloatArray]) -> int:
        # One number for all customers, so that a customer's result depends on nobody else.
        return formulas.beta_nodes(draws["a"], draws["b"] + self.first_chance)
