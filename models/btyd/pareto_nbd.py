"""Pareto/NBD: the customer can leave at any moment.

Schmittlein, Morrison & Colombo (1987), "Counting Your Customers: Who Are They and What Will They
Do Next?", Management Science 33(1), 1-24; formulas after Fader & Hardie (2005), "A Note on
Deriving the Pareto/NBD Model and Related Expressions" (http://brucehardie.com/notes/009/).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from scipy.special import digamma, gammaln

from . import pareto_formulas as formulas
from .formulas import FloatArray
from .future import Future
from .histories import Histories
from .model import PurchaseModel
from .pareto_counts import purchase_tail, purchase_tails

__all__ = ["ParetoNBD"]


class ParetoFuture(Future):
    """Purchases at a Gamma(r, alpha) rate until a Gamma(s, beta) rate ends it all."""

    def __init__(self, r: FloatArray, alpha: FloatArray, s: FloatArray, beta: FloatArray) -> None:
        self.law = (r, alpha, s, beta)

    def expected(self, t: FloatArray | float) -> FloatArray:
        return formulas.expected_purchases(*self.law, t)

    def discounted(self, t: float, rate: float) -> FloatArray:
        return formulas.discounted_purchases(*self.law, t, rate)

    def none(self, t: FloatArray | float) -> FloatArray:
        return formulas.silence(*self.law, t)

    def bought(self, times: FloatArray) -> Iterator[FloatArray]:
        return formulas.purchase_by(*self.law, times)

    def _most(self, t: FloatArray | float) -> FloatArray:
        r, alpha, *_ = self.law
        out: FloatArray = r / alpha * np.asarray(t)
        return out

    def _tails(self, t: FloatArray | float) -> Iterator[FloatArray]:
        return purchase_tails(*self.law, t)

    def tail(self, k: FloatArray, t: FloatArray | float) -> FloatArray:
        return purchase_tail(k, *self.law, t)

    def next_purchase(self) -> FloatArray:
        # Unlike in BG/NBD the customer may leave while waiting, so it may be infinite.
        return formulas.median_wait(*self.law)


class ParetoNBD(PurchaseModel):
    """Pareto/NBD with parameters r, alpha (purchase rate) and s, beta (dropout rate).

    Purchases come at random at a rate lambda ~ Gamma(r, rate alpha), and the customer leaves
    after a time that is exponential at a rate mu ~ Gamma(s, rate beta); both rates are
    independent. `probability_alive` is below 1 for everybody who has been silent.

    >>> m = ParetoNBD.from_parameters(r=0.553, alpha=10.578, s=0.606, beta=11.669)
    >>> round(float(m.expected_purchases_new_customer(52.0)), 3)
    1.473
    """

    names: ClassVar[tuple[str, ...]] = ("r", "alpha", "s", "beta")
    label: ClassVar[str] = "pareto_nbd"
    effects: ClassVar[Mapping[str, Mapping[str, float]]] = {
        "rate": {"alpha": -1.0},
        "dropout": {"beta": -1.0},
    }

    def _prior_centre(self, mean_T: float) -> dict[str, float]:
        # Centred on one purchase in an average T, and on half of the customers gone by then.
        return {"r": 1.0, "alpha": mean_T, "s": 1.0, "beta": mean_T}

    def _start(self, nodes: Histories) -> dict[str, float]:
        purchases = float(nodes.weight @ nodes.frequency)
        exposure = float(nodes.weight @ nodes.T)
        mean_T = exposure / float(nodes.weight.sum())
        return {"r": 0.5, "alpha": 0.5 * exposure / purchases, "s": 0.5, "beta": 0.5 * mean_T}

    def _log_likelihood(self, parameters: FloatArray, nodes: Histories) -> tuple[float, FloatArray]:
        # With m = r + x:  lnG(m) - lnG(r) + r ln alpha + s ln beta
        #   + ln[ s * integral over (tx, T) of (alpha+u)^-m (beta+u)^-(s+1) du
        #         + (alpha+T)^-m (beta+T)^-s ]                 (Fader & Hardie 2005, eq. 18)
        # The kernel writes the bracket as the sum of two integrals, see there.
        from .pareto_kernel import silence_sums

        level, plan, marks, cells = nodes.levels, nodes.plan, nodes.marks, parameters.shape[1]
        r, alpha, s, beta = parameters[:, level.cell]
        x, weight = level.frequency, level.weight
        terms, by_shape, by_alpha, by_s, by_beta = silence_sums(
            r + x,
            alpha,
            s,
            beta,
            marks.start,
            marks.time,
            plan.start,
            marks.at_T,
            marks.at_recency,
            plan.weight,
            *_rules(),
            formulas.FALL,
        )
        same = gammaln(r + x) - gammaln(r) - x * np.log(alpha)
        by_level = (
            weight * (digamma(r + x) - digamma(r)) + by_shape,
            weight * r / alpha + by_alpha,
            by_s,
            weight * s / beta + by_beta,
        )
        gradient: FloatArray = np.stack(
            [np.bincount(level.cell, part, minlength=cells).astype(float) for part in by_level]
        )
        return float(weight @ same + terms.sum()), gradient

    def _alive(
        self, draws: Mapping[str, FloatArray], x: FloatArray, recency: FloatArray, T: FloatArray
    ) -> FloatArray:
        if np.ptp(x) == 0.0:
            x = x[:1]
        return formulas.probability_alive(
            draws["r"] + x, draws["alpha"], draws["s"], draws["beta"], recency, T
        )

    def _future(
        self,
        draws: Mapping[str, FloatArray],
        x: float,
        T: FloatArray,
        recency: FloatArray | None = None,
    ) -> Future:
        # Given alive, lambda ~ Gamma(r + x, alpha + T) and mu ~ Gamma(s, beta + T), independently
        # (Fader & Hardie 2005, section 4).
        since = T[:, None]
        return ParetoFuture(
            draws["r"] + x, draws["alpha"] + since, draws["s"], draws["beta"] + since
        )

    def _newcomer(self, draws: Mapping[str, FloatArray]) -> tuple[FloatArray, Future]:
        future = ParetoFuture(draws["r"], draws["alpha"], draws["s"], draws["beta"])
        return np.ones_like(draws["s"]), future


@lru_cache(maxsize=1)
def _rules() -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], FloatArray, FloatArray]:
    """Gauss-Legendre rules of all sizes: sizes, where each begins, nodes, weights."""
    sizes = np.array(formulas.SIZES, dtype=np.intp)
    rules = [formulas.legendre(size) for size in formulas.SIZES]
    nodes, weights = (np.concatenate([rule[i] for rule in rules]) for i in (0, 1))
    return sizes, np.cumsum(sizes) - sizes, nodes, weights
