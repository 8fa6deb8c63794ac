"""A smooth correction of an expectation: a few log-linear terms, drawn towards no correction.

    mean = expectation * exp(t' coefficients),   coefficients ~ N(0, prior sd^2)

fitted by quasi-likelihood with variance proportional to mean^power (McCullagh & Nelder 1989,
"Generalized Linear Models", ch. 9; power 1 suits counts, 1.5 zero-heavy money: Jorgensen 1987,
JRSS B 49, 127-162). The dispersion is estimated, so that heavy tails buy less correction. With
little data the prior keeps the factor near 1; with many customers it does not matter, and with
many label windows the correction is taken whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from .order import canonical_order

__all__ = ["LogLinear"]

Floats = npt.NDArray[np.float64]

PRIOR_SD = 0.5
"""Prior standard deviation of a coefficient: one unit of a term moves the mean by 1.65 at most."""

LEVEL_SD = 1.0
"""Prior standard deviation of the logarithm of the common factor."""

PECULIAR = 0.5
"""Variance of what is peculiar to one label window, over that of what lasts."""

LARGEST_FACTOR = 5.0
"""No expectation is raised or lowered by more."""


@dataclass(frozen=True)
class LogLinear:
    """A fitted correction.

    Args:
        coefficients: Of the constant and of each term.
        low: Terms are read no lower than this, one number a term: the range seen in training.
        high: And no higher than this.
    """

    coefficients: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]

    @classmethod
    def fit(
        cls,
        terms: Floats,
        expectation: Floats,
        outcome: Floats,
        *,
        power: float,
        windows: float,
        cutoffs: int,
    ) -> Self:
        """Learn a correction; the same bits for any order of the rows.

        Args:
            terms: (n, k), finite.
            expectation: (n,), above 0.
            outcome: (n,), at least 0.
            power: Power of the variance function, from 1 to below 2.
            windows: Label windows that do not overlap, as a number; 1 for one cutoff. However
                many customers it holds, a window is one draw of the season and the times: the
                correction found is multiplied by windows / (windows + 1/2), its best guess if
                what is peculiar to a window varies half as much as what lasts.
            cutoffs: Label windows. Those that overlap tell the same purchases several times, so
                a row counts for windows / cutoffs.
        """
        low, high = np.quantile(terms, [0.001, 0.999], axis=0, method="hazen")
        scale = float(np.sort(expectation).mean())
        order = canonical_order(np.column_stack([terms, expectation]), outcome)
        z = np.vstack([np.ones(len(terms)), terms.clip(low, high).T])[:, order]
        base, y = expectation[order] / scale, outcome[order] / scale
        dispersion = max(float(((y - base) ** 2 / base**power).mean()), 1e-9)
        weight = min(windows / cutoffs, 1.0) / dispersion
        precision = np.full(len(z), PRIOR_SD**-2)
        precision[0] = LEVEL_SD**-2

        # Plain sums throughout: those of a matrix product depend on the number of threads.
        def loss(beta: Floats) -> tuple[float, Floats]:
            mean = base * np.exp(np.clip((z * beta[:, None]).sum(axis=0), -10.0, 10.0))
            if power == 1.0:
                fit, slope = mean - y * np.log(mean), mean - y
            else:
                fit = mean ** (2.0 - power) / (2.0 - power) - y * mean ** (1.0 - power) / (
                    1.0 - power
                )
                slope = (mean - y) * mean ** (1.0 - power)
            penalty = precision * beta
            value = weight * float(fit.sum()) + 0.5 * float((penalty * beta).sum())
            return value, weight * (z * slope).sum(axis=1) + penalty

        found = minimize(loss, np.zeros(len(z)), jac=True, method="L-BFGS-B")
        lasting = found.x * (windows / (windows + PECULIAR))
        return cls(tuple(lasting.tolist()), tuple(low.tolist()), tuple(high.tolist()))

    def factor(self, terms: Floats) -> Floats:
        """What each expectation is multiplied by, (n,)."""
        beta = np.array(self.coefficients)
        # A sum in a fixed order: a matrix product may depend on the number of rows.
        raw = beta[0] + (terms.clip(self.low, self.high) * beta[1:]).sum(axis=1)
        return np.asarray(np.exp(raw).clip(1.0 / LARGEST_FACTOR, LARGEST_FACTOR))

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able description; `from_dict` reads it back to the same bits."""
        return {
            "coefficients": list(self.coefficients),
            "low": list(self.low),
            "high": list(self.high),
        }

    @classmethod
    def from_dict(cls, description: Mapping[str, Any]) -> Self:
        """Read back what `to_dict` returned."""
        names = ("coefficients", "low", "high")
        return cls(*(tuple(float(v) for v in description[name]) for name in names))
