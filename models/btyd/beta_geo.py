"""BG/NBD: the customer can leave right after each repeat purchase.

Fader, Hardie & Lee (2005), "Counting Your Customers the Easy Way: An Alternative to the
Pareto/NBD Model", Marketing Science 24(2), 275-284; cited as FHL.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import ClassVar

import numpy as np
from scipy.special import expit

from . import formulas
from .formulas import FloatArray
from .future import Future
from .histories import Histories
from .model import PurchaseModel

__all__ = ["BetaGeoNBD"]


class BetaGeoFuture(Future):
    """Purchases at a Gamma(r, alpha) rate until a Beta(a, b) coin ends it; see `formulas`."""

    def __init__(
        self, r: FloatArray, alpha: FloatArray, a: FloatArray, b: FloatArray, nodes: int
    ) -> None:
        self.r, self.alpha, self.a, self.b = r, alpha, a, b
        self._nodes = nodes

    @cached_property
    def rule(self) -> formulas.BetaRule:
        return formulas.beta_rule(self.a, self.b, self._nodes)

    def expected(self, t: FloatArray | float) -> FloatArray:
        return formulas.expected_purchases(self.r, self.alpha, self.rule, t)

    def discounted(self, t: float, rate: float) -> FloatArray:
        return formulas.discounted_purchases(self.r, self.alpha, self.rule, t, rate)

    def none(self, t: FloatArray | float) -> FloatArray:
        return formulas.no_purchase(self.r, self.alpha, t)

    def _most(self, t: FloatArray | float) -> FloatArray:
        out: FloatArray = self.r / self.alpha * np.asarray(t)
        return out

    def _tails(self, t: FloatArray | float) -> Iterator[FloatArray]:
        return formulas.purchase_tails(self.r, self.alpha, self.a, self.b, t)

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
    effects: ClassVar[Mapping[str, Mapping[str, float]]] = {
        "rate": {"alpha": -1.0},
        "dropout": {"a": 0.5, "b": -0.5},  # the logit of the mean a / (a + b) moves by the effect
    }
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
        # A customer has had as many chances to leave as repeat purchases, or one more.
        from .kernels import dropout_likelihood

        level, plan = nodes.levels, nodes.plan
        return dropout_likelihood(
            parameters,
            level.frequency,
            level.frequency + self.first_chance,
            level.cell,
            level.weight,
            plan.start,
            plan.time,
            plan.cell,
            plan.at_T,
            plan.at_recency,
            plan.weight,
        )

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

    def _future(
        self,
        draws: Mapping[str, FloatArray],
        x: float,
        T: FloatArray,
        recency: FloatArray | None = None,
    ) -> Future:
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
