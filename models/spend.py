"""Gamma-Gamma: what a customer spends at a purchase.

Fader & Hardie (2013), "The Gamma-Gamma Model of Monetary Value", brucehardie.com/notes/025;
cited as FH. A customer's purchases are Gamma(p, rate nu) and nu ~ Gamma(q, rate gamma) differs
between customers. Spend per purchase is taken to be independent of how often a customer buys;
`diagnostics["correlation"]` says how far that holds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import digamma, gammaln

from .base import ModelError
from .btyd.formulas import FloatArray
from .btyd.model import BLOCK_CELLS, PRIOR_SD
from .btyd.posterior import Target, infer
from .btyd.rfm import check_spend, distinct

__all__ = ["GammaGamma"]

# Distinct values per frequency above which they are moved to a Chebyshev grid, and its size.
_GRID = 64
_HEAVY_TAIL = 0.05

_HEAVY_TAIL_HINT = (
    "A few purchases are so large that the mean does not settle. Leave out or cap customers of "
    "another kind (for example wholesale accounts), or model them apart."
)


class GammaGamma:
    """Gamma-Gamma spend model with parameters p, q, gamma; q must exceed 1.

    >>> m = GammaGamma.from_parameters(p=6.25, q=3.74, gamma=15.44)
    >>> m.expected_spend([2, 1, 0], [22.35, 11.77, 0.0]).round(4).tolist()
    [24.6637, 18.9169, 35.219]
    """

    names: ClassVar[tuple[str, ...]] = ("p", "q", "gamma")
    label: ClassVar[str] = "gamma_gamma"

    def __init__(self) -> None:
        self._draws: dict[str, FloatArray] | None = None
        self._diagnostics: dict[str, Any] = {}

    @classmethod
    def from_parameters(cls, p: float, q: float, gamma: float) -> Self:
        """A model at known parameter values.

        Raises:
            ModelError: A parameter is not positive, or q is at most 1 (infinite mean).
        """
        draws = {"p": np.array([p]), "q": np.array([q]), "gamma": np.array([gamma])}
        return cls.from_draws(draws, {"inference": "given"})

    @classmethod
    def from_draws(
        cls, draws: Mapping[str, npt.ArrayLike], diagnostics: Mapping[str, Any] | None = None
    ) -> Self:
        """A model with posterior draws from elsewhere: parameter name -> (draws,)."""
        arrays = {name: np.array(draws[name], dtype=float) for name in cls.names}
        for name, values in arrays.items():
            if (
                values.ndim != 1
                or not len(values)
                or not (np.isfinite(values) & (values > 0)).all()
            ):
                raise ModelError(
                    f"Parameter {name} of GammaGamma is not positive and finite: {values}."
                )
        if (arrays["q"] <= 1.0).any():
            raise ModelError(
                f"q is {arrays['q'].min():.3g}: at q <= 1 mean spend is infinite.",
                _HEAVY_TAIL_HINT,
            )
        model = cls()
        model._draws = arrays
        model._diagnostics = dict(diagnostics or {"inference": "given"})
        return model

    def fit(
        self, rfm: pd.DataFrame, seed: int = 0, method: str = "nuts", priors: str = "weak"
    ) -> Self:
        """Learn the parameters from the customers with repeat purchases.

        The weak prior is log-normal and independent for p (median 2), q - 1 (median 2) and gamma
        (median: the mean spend), each with standard deviation 1.5 of the logarithm. q is above 1
        by construction, so that mean spend is finite.

        Args:
            rfm: Columns frequency, monetary_value and optionally weight. Not changed.
            seed: Makes the draws repeatable.
            method: "nuts", "laplace" or "map".
            priors: "weak" or "flat".

        Returns:
            The model itself.

        Raises:
            ModelError: A repeat buyer without a positive mean value, fewer than two distinct
                repeat buyers, spend without a finite mean, or draws that cannot be trusted.
        """
        if priors not in ("weak", "flat"):
            raise ModelError(f"Unknown priors {priors!r}.", "Choose weak or flat.")
        x, money, weight = check_spend(rfm)
        repeat = x > 0
        x, money, weight = x[repeat], money[repeat], weight[repeat]
        if not len(x) or np.ptp(money) == 0.0:
            raise ModelError(
                "Spend cannot be learned: it takes repeat buyers who differ in mean spend "
                f"(found {len(x)} repeat buyers).",
                "Take a longer history.",
            )
        target = _target(x, money, weight, priors)
        fitted = infer(target, seed, method)
        if float(fitted.diagnostics["mode"]["q"]) < 1.0 + _HEAVY_TAIL:
            raise ModelError(
                f"Mean spend is not finite: q is {fitted.diagnostics['mode']['q']:.3f}.",
                _HEAVY_TAIL_HINT,
            )
        self._draws = fitted.draws
        self._diagnostics = {
            "model": self.label,
            "priors": priors,
            **fitted.diagnostics,
            "correlation": _correlation(x, money, weight),
        }
        return self

    @property
    def posterior(self) -> dict[str, FloatArray]:
        """Posterior draws, parameter name -> (draws,); a copy."""
        return {name: values.copy() for name, values in self._fitted().items()}

    @property
    def diagnostics(self) -> dict[str, Any]:
        """How the fit went, and `correlation` of frequency and spend among repeat buyers."""
        return dict(self._diagnostics)

    @property
    def parameters(self) -> dict[str, float]:
        """Posterior mean of each parameter, or the point itself."""
        return {name: float(values.mean()) for name, values in self._fitted().items()}

    def _fitted(self) -> dict[str, FloatArray]:
        if self._draws is None:
            raise ModelError("GammaGamma is not fitted.", "Call fit first.")
        return self._draws

    def log_likelihood(self, rfm: pd.DataFrame) -> float:
        """Weighted log-likelihood of the repeat buyers at the posterior mean."""
        x, money, weight = check_spend(rfm)
        repeat = x > 0
        target = _target(x[repeat], money[repeat], weight[repeat], "flat")
        p, q, gamma = (self.parameters[name] for name in self.names)
        return target.log_likelihood(np.log([p, q - 1.0, gamma]))[0]

    def expected_spend(
        self,
        frequency: npt.ArrayLike,
        monetary_value: npt.ArrayLike,
        quantiles: Sequence[float] | None = None,
    ) -> FloatArray:
        """Expected value of a customer's next purchase.

        FH eq. 5: p (gamma + x z) / (p x + q - 1), the customer's own mean drawn towards that of
        the population; for x = 0 the population mean p gamma / (q - 1).

        Args:
            frequency: Repeat purchases, (n,).
            monetary_value: Mean value of the repeat purchases, (n,); not read at frequency 0.
            quantiles: Posterior quantiles wanted beside the mean.

        Returns:
            (n,), or (n, 1 + quantiles) with the mean first.
        """
        frame = pd.DataFrame(
            {"frequency": np.atleast_1d(frequency), "monetary_value": np.atleast_1d(monetary_value)}
        )
        x, money, _ = check_spend(frame)
        draws = self._fitted()
        if quantiles is not None and len(draws["p"]) < 2:
            raise ModelError(
                "Quantiles need posterior draws; this model has a single point.",
                "Fit with method='nuts'.",
            )
        size = max(1, BLOCK_CELLS // len(draws["p"]))
        blocks = []
        for start in range(0, len(x), size):
            block = slice(start, start + size)
            values = spend_by_draw(draws, x[block], money[block])
            mean = values.mean(axis=1)
            if quantiles is not None:
                mean = np.column_stack([mean, *np.quantile(values, list(quantiles), axis=1)])
            blocks.append(mean)
        return np.concatenate(blocks) if blocks else np.empty(0)


def spend_by_draw(draws: Mapping[str, FloatArray], x: FloatArray, money: FloatArray) -> FloatArray:
    """Expected spend at a purchase under each draw, (n, draws); FH eq. 5."""
    p, q, gamma = draws["p"], draws["q"], draws["gamma"]
    total = (x * money)[:, None]
    out: FloatArray = p * (gamma + total) / (p * x[:, None] + (q - 1.0))
    return out


def _correlation(x: FloatArray, money: FloatArray, weight: FloatArray) -> float:
    covariance = np.cov(np.stack([x, money]), aweights=weight)
    spread = float(np.sqrt(covariance[0, 0] * covariance[1, 1]))
    return float(covariance[0, 1]) / spread if spread > 0.0 else 0.0


def _nodes(
    x: FloatArray, money: FloatArray, weight: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Few weighted (frequency, value) nodes with the same likelihood.

    Identical customers are merged. Where one frequency still has many values, its customers are
    spread over a Chebyshev grid in log value by their Lagrange coefficients: the sum over
    customers of any smooth function of log value is kept. The only such function here is
    log(gamma + x z), whose nearest singularity is pi away from the real axis, so that the error
    is about 1e-11. Weights may be negative.
    """
    rows, place = distinct(np.column_stack([x, money]))
    merged = np.bincount(place, weight, minlength=len(rows)).astype(float)
    out = []
    for group in np.split(np.arange(len(rows)), np.flatnonzero(np.diff(rows[:, 0])) + 1):
        values, mass = rows[group, 1], merged[group]
        if len(group) > _GRID:
            y = np.log(values)
            angle = (np.arange(_GRID) + 0.5) * np.pi / _GRID
            centre, half = 0.5 * (y[-1] + y[0]), 0.5 * (y[-1] - y[0])
            grid = np.cos(angle)
            sign = np.sin(angle) * (-1.0) ** np.arange(_GRID)
            deposited = np.zeros(_GRID)
            for start in range(0, len(y), 16384):
                u = (y[start : start + 16384] - centre) / half
                gap = u[:, None] - grid
                gap[gap == 0.0] = 1e-300
                share = sign / gap  # barycentric Lagrange coefficients
                share /= share.sum(axis=1, keepdims=True)
                deposited += mass[start : start + 16384] @ share
            values, mass = np.exp(centre + half * grid), deposited
        out.append(np.column_stack([np.full(len(values), rows[group[0], 0]), values, mass]))
    table = np.concatenate(out)
    return table[:, 0], table[:, 1], table[:, 2]


def _target(x: FloatArray, money: FloatArray, weight: FloatArray, priors: str) -> Target:
    """The posterior in the coordinates log p, log(q - 1), log gamma."""
    customers = float(weight.sum())
    centre = np.log([2.0, 2.0, float(weight @ money) / customers])
    node_x, node_money, w = _nodes(x, money, weight)
    levels, group = np.unique(node_x, return_inverse=True)
    mass = np.bincount(group, w, minlength=len(levels))
    log_total = np.log(node_x * node_money)
    total = node_x * node_money
    weighted_log_total = float((w * node_x) @ log_total)
    constant = -float(w @ np.log(node_money))

    def log_likelihood(point: FloatArray) -> tuple[float, FloatArray]:
        # FH eq. 1a in logarithms: lnG(px+q) - lnG(px) - lnG(q) + q ln gamma
        #   + (px - 1) ln z + px ln x - (px + q) ln(gamma + x z).
        p, above_one, gamma = np.exp(np.clip(point, -200.0, 200.0))
        q = 1.0 + above_one
        shape = p * levels
        log_sum = np.log(gamma + total)
        power = p * node_x + q
        value = (
            mass @ (gammaln(shape + q) - gammaln(shape))
            + customers * (q * np.log(gamma) - gammaln(q))
            + p * weighted_log_total
            + constant
            - (w * power) @ log_sum
        )
        both = digamma(shape + q)
        by_p = (mass * levels) @ (both - digamma(shape)) + weighted_log_total
        by_p -= (w * node_x) @ log_sum
        by_q = mass @ both + customers * (np.log(gamma) - digamma(q)) - w @ log_sum
        by_gamma = customers * q / gamma - (w * power) @ (1.0 / (gamma + total))
        return float(value), np.array([by_p * p, by_q * above_one, by_gamma * gamma])

    def to_parameters(point: FloatArray) -> FloatArray:
        values = np.exp(point)
        values[..., 1] += 1.0
        out: FloatArray = values
        return out

    return Target(
        names=GammaGamma.names,
        log_likelihood=log_likelihood,
        to_parameters=to_parameters,
        prior_mean=centre,
        prior_sd=np.full(3, PRIOR_SD if priors == "weak" else np.inf),
        start=centre,
        weight=customers,
        nodes=len(node_x),
    )
