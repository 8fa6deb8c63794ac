"""Gamma-Gamma: what a customer spends at a purchase.

Fader & Hardie (2013), "The Gamma-Gamma Model of Monetary Value", brucehardie.com/notes/025;
cited as FH. A customer's purchases are Gamma(p, rate nu) and nu ~ Gamma(q, rate gamma) differs
between customers. Spend per purchase is taken to be independent of how often a customer buys;
`diagnostics["correlation"]` says how far that holds.

Which purchases. The model speaks of any number of purchases of a customer. FH use the repeat
purchases; where the summary has a column `first_value`, all purchases are used, the first one
included. Then a customer who has bought once has an estimate of their own as well: on the CDNOW
sample the normalised Gini of predicted spend rises from 0.685 to 0.72.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, Self, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd

from .base import ModelError
from .btyd.formulas import FloatArray
from .btyd.model import BLOCK_CELLS
from .btyd.posterior import infer
from .btyd.rfm import check_all_spend, check_spend
from .spend_likelihood import spend_target

__all__ = ["FIRST_VALUE", "GammaGamma", "SpendOf", "spend_by_draw"]

FIRST_VALUE = "first_value"
"""Column with the value of the first purchase; where it is, all purchases are used."""

SpendOf = Literal["all_purchases", "repeat_purchases"]

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
        self._spend_of: SpendOf = "repeat_purchases"

    @classmethod
    def from_parameters(
        cls, p: float, q: float, gamma: float, spend_of: SpendOf = "repeat_purchases"
    ) -> Self:
        """A model at known parameter values.

        Args:
            p: Shape of the values of one customer.
            q: Shape of the rates of all customers, above 1.
            gamma: Their scale.
            spend_of: Which purchases it reads.

        Raises:
            ModelError: A parameter is not positive, or q is at most 1 (infinite mean).
        """
        draws = {"p": np.array([p]), "q": np.array([q]), "gamma": np.array([gamma])}
        return cls.from_draws(draws, {"inference": "given", "spend_of": spend_of})

    @classmethod
    def from_draws(
        cls, draws: Mapping[str, npt.ArrayLike], diagnostics: Mapping[str, Any] | None = None
    ) -> Self:
        """A model with posterior draws from elsewhere: parameter name -> (draws,).

        Which purchases it reads is `spend_of` of the diagnostics; repeat purchases without it.
        """
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
        spend_of = model._diagnostics.setdefault("spend_of", "repeat_purchases")
        if spend_of not in get_args(SpendOf):
            raise ModelError(
                f"Unknown spend_of {spend_of!r}.", f"Choose one of {', '.join(get_args(SpendOf))}."
            )
        model._spend_of = spend_of
        return model

    def fit(
        self, rfm: pd.DataFrame, seed: int = 0, method: str = "nuts", priors: str = "weak"
    ) -> Self:
        """Learn the parameters, and settle which purchases are read.

        With a column `first_value` all purchases of all customers count; without it the repeat
        purchases of those who have any.

        The weak prior is log-normal and independent for p (median 2), q - 1 (median 2) and gamma
        (median: the mean spend), each with standard deviation 1.5 of the logarithm. q is above 1
        by construction, so that mean spend is finite.

        Args:
            rfm: Columns frequency, monetary_value (mean value of the repeat purchases) and
                optionally first_value and weight. Not changed.
            seed: Makes the draws repeatable.
            method: "nuts", "laplace" or "map".
            priors: "weak" or "flat".

        Returns:
            The model itself.

        Raises:
            ModelError: A purchase without a positive value, fewer than two customers who differ,
                spend without a finite mean, or draws that cannot be trusted.
        """
        if priors not in ("weak", "flat"):
            raise ModelError(f"Unknown priors {priors!r}.", "Choose weak or flat.")
        spend_of: SpendOf = "all_purchases" if FIRST_VALUE in rfm.columns else "repeat_purchases"
        x, money, weight = _known_spend(rfm, spend_of)
        if not len(x) or np.ptp(money) == 0.0:
            who = "customers" if spend_of == "all_purchases" else "repeat buyers"
            raise ModelError(
                f"Spend cannot be learned: it takes {who} who differ in mean spend "
                f"(found {len(x)} {who}).",
                "Take a longer history.",
            )
        target = spend_target(x, money, weight, priors)
        fitted = infer(target, seed, method)
        if float(fitted.diagnostics["mode"]["q"]) < 1.0 + _HEAVY_TAIL:
            raise ModelError(
                f"Mean spend is not finite: q is {fitted.diagnostics['mode']['q']:.3f}.",
                _HEAVY_TAIL_HINT,
            )
        self._draws = fitted.draws
        self._spend_of = spend_of
        self._diagnostics = {
            "model": self.label,
            "spend_of": spend_of,
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
        """How the fit went, which purchases it read (`spend_of`), and `correlation`.

        The last is the correlation of number and mean value of a customer's purchases, among
        the customers it was fitted on.
        """
        return dict(self._diagnostics)

    @property
    def parameters(self) -> dict[str, float]:
        """Posterior mean of each parameter, or the point itself."""
        return {name: float(values.mean()) for name, values in self._fitted().items()}

    @property
    def spend_of(self) -> SpendOf:
        """The purchases whose values it reads: "all_purchases" or "repeat_purchases"."""
        return self._spend_of

    def values(self, rfm: pd.DataFrame) -> tuple[FloatArray, FloatArray]:
        """What is known of each customer's spend: number of values and their mean.

        Args:
            rfm: Columns frequency, monetary_value and, where all purchases are read, first_value.

        Returns:
            Number and mean, (n,) each; the mean is 0 where the number is 0.

        Raises:
            ModelError: A column is missing, or a purchase has no positive value.
        """
        x, money, _ = _read_spend(rfm, self._spend_of)
        return x, money

    def _fitted(self) -> dict[str, FloatArray]:
        if self._draws is None:
            raise ModelError("GammaGamma is not fitted.", "Call fit first.")
        return self._draws

    def log_likelihood(self, rfm: pd.DataFrame) -> float:
        """Weighted log-likelihood at the posterior mean of the customers with known spend."""
        target = spend_target(*_known_spend(rfm, self._spend_of), "flat")
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
            frequency: Purchases with a known value, (n,).
            monetary_value: Their mean value, (n,); not read at frequency 0.
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


def _read_spend(rfm: pd.DataFrame, spend_of: SpendOf) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Number and mean of the values, and weight, (n,) each."""
    if spend_of == "repeat_purchases":
        return check_spend(rfm)
    if FIRST_VALUE not in rfm.columns:
        raise ModelError(
            f"The RFM summary has no column '{FIRST_VALUE}', and this model has learned spend from "
            "all purchases, the first one included.",
            "Add the value of each customer's first purchase, or fit on a summary without it.",
        )
    return check_all_spend(rfm)


def _known_spend(rfm: pd.DataFrame, spend_of: SpendOf) -> tuple[FloatArray, FloatArray, FloatArray]:
    """The same for the customers of whom any value is known."""
    x, money, weight = _read_spend(rfm, spend_of)
    known = x > 0
    return x[known], money[known], weight[known]


def _correlation(x: FloatArray, money: FloatArray, weight: FloatArray) -> float:
    covariance = np.cov(np.stack([x, money]), aweights=weight)
    spread = float(np.sqrt(covariance[0, 0] * covariance[1, 1]))
    return float(covariance[0, 1]) / spread if spread > 0.0 else 0.0
