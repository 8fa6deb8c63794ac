"""Gamma-Gamma: what a customer spends at a purchase.

Fader & Hardie (2013), "The Gamma-Gamma Model of Monetary Value", brucehardie.com/notes/025;
cited as FH. A customer's purchases are Gamma(p, rate nu) and nu ~ Gamma(q, rate gamma) differs
between customers.

Which purchases. The model speaks of any number of purchases of a customer: the repeat purchases,
all of them, or all weighted by their age; see `spend_values`.

Independence. Spend per purchase is taken to be independent of how often a customer buys.
`diagnostics` has the correlation and the rank correlation of the two, and `advice` says when
they are too strong. `scale_by`, `covariates` and `segment` let the level of spend depend on
frequency, on attributes and on a group of the customer: a factor on gamma, see `spend_effects`.

All of these are the same model to whoever predicts from it: a customer with x purchases of mean
value z, x not necessarily whole, and gamma times a factor of their own. What is needed is

- `values(rfm)`: x and z;
- `effects(rfm)`: the customer's row of the design, (n, k), with k = 0 columns for the plain model;
- `scale_by_draw(draws, effects)`: the factor under each draw;
- `spend_by_draw(draws, x, z, scale)`: expected value of the next purchase, and its parts: given
  the history, nu ~ Gamma(q + p x, rate scale gamma + x z).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Self, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd

from .base import ModelError
from .btyd.formulas import FloatArray
from .btyd.future import BLOCK_CELLS
from .btyd.posterior import infer
from .btyd.rfm import check_spend
from .btyd.target import Priors
from .spend_advice import HEAVY_TAIL_HINT, advise, check_settled, dependence, largest
from .spend_effects import Effects, ScaleBy, scale_by_draw
from .spend_likelihood import learn_spreads, spend_target
from .spend_values import FIRST_VALUE, SpendOf, read_spend, recent_columns, settle

__all__ = [
    "FIRST_VALUE",
    "SPEND_MODELS",
    "GammaGamma",
    "SpendOf",
    "recent_columns",
    "scale_by_draw",
    "spend_by_draw",
]


class GammaGamma:
    """Gamma-Gamma spend model with parameters p, q, gamma; q must exceed 1.

    Args:
        scale_by: Let the level of spend depend on how often a customer buys: "frequency" (mean
            spend rises with a power of 1 + frequency) or "tier" (a level for each tier of
            frequency, drawn towards the whole). None takes the two to be independent.
        covariates: Columns of attributes that the level of spend may depend on, treated as for
            the purchase models (`btyd.covariates`).
        segment: A column of segments, such as a country: a level each, drawn towards the whole.
        half_life_days: Read the columns `recent_columns` of this half-life.

    >>> m = GammaGamma.from_parameters(p=6.25, q=3.74, gamma=15.44)
    >>> m.expected_spend([2, 1, 0], [22.35, 11.77, 0.0]).round(4).tolist()
    [24.6637, 18.9169, 35.219]
    """

    names: ClassVar[tuple[str, ...]] = ("p", "q", "gamma")
    """The parameters that every variant has; `posterior` has its effects beside them."""

    def __init__(
        self,
        scale_by: ScaleBy | None = None,
        covariates: Sequence[str] = (),
        segment: str | None = None,
        half_life_days: int | None = None,
    ) -> None:
        if scale_by is not None and scale_by not in get_args(ScaleBy):
            raise ModelError(
                f"Unknown scale_by {scale_by!r}.", f"Choose one of {', '.join(get_args(ScaleBy))}."
            )
        if half_life_days is not None and half_life_days < 1:
            raise ModelError(f"half_life_days is {half_life_days}.", "Use a number of days.")
        self._scale_by = scale_by
        self._covariates = (covariates,) if isinstance(covariates, str) else tuple(covariates)
        self._segment = segment
        self._half_life = half_life_days
        self._effects = Effects()
        self._draws: dict[str, FloatArray] | None = None
        self._diagnostics: dict[str, Any] = {}
        self._spend_of: SpendOf = "repeat_purchases"

    @property
    def label(self) -> str:
        """Short name of the variant, such as "gamma_gamma" or "gamma_gamma_by_tier"."""
        name = "gamma_gamma"
        if self._scale_by is not None:
            name += f"_by_{self._scale_by}"
        if self._covariates:
            name += "_covariates"
        if self._segment is not None:
            name += "_segment"
        if self._half_life is not None:
            name += f"_recent_{self._half_life}"
        return name

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
        cls,
        draws: Mapping[str, npt.ArrayLike],
        diagnostics: Mapping[str, Any] | None = None,
        description: Mapping[str, Any] | None = None,
    ) -> Self:
        """A model with posterior draws from elsewhere.

        Args:
            draws: What `posterior` gave: parameter name -> (draws,).
            diagnostics: What `diagnostics` gave. Without a description, which purchases it
                reads is `spend_of` here; repeat purchases without it.
            description: What `describe` gave; a plain Gamma-Gamma without it.

        Raises:
            ModelError: Impossible draws, or a description this version does not know.
        """
        known = dict(description or {})
        half_life = known.get("half_life_days")
        model = cls(
            known.get("scale_by"), known.get("covariates", ()), known.get("segment"), half_life
        )
        if "effects" in known:
            model._effects = Effects.from_description(known["effects"])
        wanted = (*cls.names, *model._effects.names)
        missing = [name for name in wanted if name not in draws]
        if missing:
            raise ModelError(f"The draws of GammaGamma lack {', '.join(missing)}.", "Train again.")
        arrays = {name: np.array(draws[name], dtype=float) for name in wanted}
        for name, values in arrays.items():
            positive = name.startswith("effect:") or (values > 0).all()
            if values.ndim != 1 or not len(values) or not (np.isfinite(values).all() and positive):
                raise ModelError(
                    f"Parameter {name} of GammaGamma is not positive and finite: {values}."
                )
        if (arrays["q"] <= 1.0).any():
            raise ModelError(
                f"q is {arrays['q'].min():.3g}: at q <= 1 mean spend is infinite.",
                HEAVY_TAIL_HINT,
            )
        model._draws = arrays
        model._diagnostics = dict(diagnostics or {"inference": "given"})
        default = "repeat_purchases" if half_life is None else "recent_purchases"
        spend_of = model._diagnostics.setdefault("spend_of", default)
        spend_of = known.get("spend_of", spend_of)
        if spend_of not in get_args(SpendOf):
            raise ModelError(
                f"Unknown spend_of {spend_of!r}.", f"Choose one of {', '.join(get_args(SpendOf))}."
            )
        model._spend_of = spend_of
        return model

    def describe(self) -> dict[str, Any]:
        """What `from_draws` needs beside the draws, as plain JSON; it holds no customer."""
        return {
            "label": self.label,
            "spend_of": self._spend_of,
            "scale_by": self._scale_by,
            "covariates": list(self._covariates),
            "segment": self._segment,
            "half_life_days": self._half_life,
            "effects": self._effects.describe(),
        }

    def fit(
        self, rfm: pd.DataFrame, seed: int = 0, method: str = "nuts", priors: Priors = "weak"
    ) -> Self:
        """Learn the parameters, and settle which purchases are read.

        With `half_life_days` the columns of that half-life are read. Else, with a column
        `first_value`, all purchases of all customers count; without it the repeat purchases of
        those who have any.

        The weak prior is log-normal and independent for p (median 2), q - 1 (median 2) and gamma
        (median: the mean spend), each with standard deviation 1.5 of the logarithm. q is above 1
        by construction, so that mean spend is finite. The effect of a number is normal with
        standard deviation 0.5, that of a tier or segment normal with a common standard deviation
        that is learned from the data (`spend_effects.learn_spreads`).

        Args:
            rfm: Columns frequency, monetary_value (mean value of the repeat purchases) and
                optionally first_value and weight; further ones as the variant needs. Not
                changed.
            seed: Makes the draws repeatable.
            method: "nuts", "laplace" or "map".
            priors: "weak", "flat", or (median, standard deviation of the logarithm) for some of
                p, q (the prior of q - 1) and gamma.

        Returns:
            The model itself.

        Raises:
            ModelError: A purchase without a positive value, fewer than two customers who differ,
                spend without a finite mean, or draws that cannot be trusted.
        """
        began = time.perf_counter()
        spend_of = settle(rfm, self._half_life)
        x, money, weight = read_spend(rfm, spend_of, self._half_life)
        known = x > 0
        x, money, weight = x[known], money[known], weight[known]
        if not len(x) or np.ptp(money) == 0.0:
            who = "repeat buyers" if spend_of == "repeat_purchases" else "customers"
            raise ModelError(
                f"Spend cannot be learned: it takes {who} who differ in mean spend "
                f"(found {len(x)} {who}).",
                "Take a longer history.",
            )
        effects = Effects.learn(rfm[known], weight, self._scale_by, self._covariates, self._segment)
        target = spend_target(x, money, weight, priors, effects, *effects.cells(rfm[known]))
        target, effects = learn_spreads(target, effects)
        fitted = infer(replace(target, suspects=lambda: largest(x * money, weight)), seed, method)
        q, spent = float(fitted.diagnostics["mode"]["q"]), x * money
        check_settled(q, fitted.draws, spent, weight)
        self._draws, self._effects, self._spend_of = fitted.draws, effects, spend_of
        found = dependence(x, money, weight)
        self._diagnostics = {
            "model": self.label,
            "spend_of": spend_of,
            "priors": priors if isinstance(priors, str) else {k: [*v] for k, v in priors.items()},
            **fitted.diagnostics,
            **found,
            "advice": advise(q, fitted.draws, spent, weight, found, self._scale_by),
            "seconds": time.perf_counter() - began,
        }
        return self

    @property
    def posterior(self) -> dict[str, FloatArray]:
        """Posterior draws, parameter name -> (draws,); a copy."""
        return {name: values.copy() for name, values in self._fitted().items()}

    @property
    def diagnostics(self) -> dict[str, Any]:
        """How the fit went, and whether what the model takes for granted holds.

        Beside what every fit has:

        - `spend_of`: which purchases it read.
        - `correlation`: of number and mean value of a customer's purchases, among the customers
          it was fitted on.
        - `rank_correlation` (Spearman), `rank_correlation_low` and `_high` (95 %) and
          `rank_correlation_p`. Under independence it comes to about 0.05 and not to 0: mean
          values of few purchases are more skewed.
        - `advice`: what is doubtful and what to try, one line each; empty when all is well.
        """
        return dict(self._diagnostics)

    @property
    def parameters(self) -> dict[str, float]:
        """Posterior mean of each parameter, or the point itself."""
        return {name: float(values.mean()) for name, values in self._fitted().items()}

    @property
    def spend_of(self) -> SpendOf:
        """The values it reads: "all_purchases", "repeat_purchases" or "recent_purchases"."""
        return self._spend_of

    @property
    def input_columns(self) -> tuple[str, ...]:
        """Columns of the summary that predictions need."""
        if self._half_life is not None:
            read: tuple[str, ...] = recent_columns(self._half_life)
        else:
            read = ("frequency", "monetary_value")
            if self._spend_of == "all_purchases":
                read = (*read, FIRST_VALUE)
        return tuple(dict.fromkeys((*read, *self._effects.inputs)))

    def values(self, rfm: pd.DataFrame) -> tuple[FloatArray, FloatArray]:
        """What is known of each customer's spend: number of values and their mean.

        Args:
            rfm: The `input_columns`.

        Returns:
            Number (not whole, and different between customers of one frequency, with
            `half_life_days`) and mean, (n,) each; the mean is 0 where the number is 0.

        Raises:
            ModelError: A column is missing, or a purchase has no positive value.
        """
        x, money, _ = self._read(rfm)
        return x, money

    def effects(self, rfm: pd.DataFrame) -> FloatArray:
        """Each customer's row of the design, (n, k), for `scale_by_draw`; k is 0 without effects.

        A missing number counts as the mean, a new level as the most common one, a new segment
        as the population.

        Raises:
            ModelError: A column is missing.
        """
        return self._effects.design(rfm)

    def basis(self, rfm: pd.DataFrame) -> npt.NDArray[np.str_]:
        """What each customer's expected spend rests on.

        Returns:
            (n,) of "own" (their own purchases, drawn towards the population) and "population"
            (no purchase with a known value: the population's mean).
        """
        x, _ = self.values(rfm)
        return np.where(x > 0, "own", "population")

    def _read(self, rfm: pd.DataFrame) -> tuple[FloatArray, FloatArray, FloatArray]:
        return read_spend(rfm, self._spend_of, self._half_life)

    def _fitted(self) -> dict[str, FloatArray]:
        if self._draws is None:
            raise ModelError("GammaGamma is not fitted.", "Call fit first.")
        return self._draws

    def log_likelihood(self, rfm: pd.DataFrame) -> float:
        """Weighted log-likelihood at the posterior mean of the customers with known spend."""
        at = {name: np.array([value]) for name, value in self.parameters.items()}
        x, money, weight = self._read(rfm)
        known = x > 0
        x, money, weight = x[known], money[known], weight[known]
        scale = np.broadcast_to(scale_by_draw(at, self.effects(rfm[known]))[:, 0], len(x))
        # Values divided by the scale are those of a plain model; the rest is the Jacobian.
        target = spend_target(x, money / scale, weight, "flat")
        p, q, gamma = (self.parameters[name] for name in self.names)
        plain = target.log_likelihood(np.log([p, q - 1.0, gamma]))[0]
        return plain - float(weight @ np.log(scale))

    def expected_spend(
        self,
        frequency: npt.ArrayLike,
        monetary_value: npt.ArrayLike,
        quantiles: Sequence[float] | None = None,
    ) -> FloatArray:
        """Expected value of a customer's next purchase, by number and mean of the past ones.

        FH eq. 5: p (gamma + x z) / (p x + q - 1), the customer's own mean drawn towards that of
        the population; for x = 0 the population mean p gamma / (q - 1).

        Args:
            frequency: Purchases with a known value, (n,).
            monetary_value: Their mean value, (n,); not read at frequency 0.
            quantiles: Posterior quantiles wanted beside the mean.

        Returns:
            (n,), or (n, 1 + quantiles) with the mean first.

        Raises:
            ModelError: An impossible row, or the model needs more than these two (`predict`).
        """
        frame = pd.DataFrame(
            {"frequency": np.atleast_1d(frequency), "monetary_value": np.atleast_1d(monetary_value)}
        )
        x, money, _ = check_spend(frame)
        if self._effects:
            raise ModelError(
                f"{self.label} needs the columns {', '.join(self._effects.inputs)} as well.",
                "Use predict with the whole summary.",
            )
        return self._expected(x, money, np.empty((len(x), 0)), quantiles)

    def predict(self, rfm: pd.DataFrame, quantiles: Sequence[float] | None = None) -> FloatArray:
        """Expected value of each customer's next purchase.

        Args:
            rfm: The `input_columns`, one row a customer.
            quantiles: Posterior quantiles wanted beside the mean.

        Returns:
            (n,), or (n, 1 + quantiles) with the mean first.
        """
        return self._expected(*self.values(rfm), self.effects(rfm), quantiles)

    def _expected(
        self,
        x: FloatArray,
        money: FloatArray,
        design: FloatArray,
        quantiles: Sequence[float] | None,
    ) -> FloatArray:
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
            scale = scale_by_draw(draws, design[block])
            values = spend_by_draw(draws, x[block], money[block], scale)
            mean = values.mean(axis=1)
            if quantiles is not None:
                mean = np.column_stack([mean, *np.quantile(values, list(quantiles), axis=1)])
            blocks.append(mean)
        return np.concatenate(blocks) if blocks else np.empty(0)


SPEND_MODELS: Mapping[str, Callable[[], GammaGamma]] = {
    "gamma_gamma": GammaGamma,
    "gamma_gamma_by_frequency": lambda: GammaGamma(scale_by="frequency"),
    "gamma_gamma_by_tier": lambda: GammaGamma(scale_by="tier"),
    "gamma_gamma_recent_90": lambda: GammaGamma(half_life_days=90),
    "gamma_gamma_recent_180": lambda: GammaGamma(half_life_days=180),
    "gamma_gamma_recent_365": lambda: GammaGamma(half_life_days=365),
}
"""Spend models by their label, as candidates for a backtest; none but the first is assumed."""


def spend_by_draw(
    draws: Mapping[str, FloatArray],
    x: FloatArray,
    money: FloatArray,
    scale: FloatArray | float = 1.0,
) -> FloatArray:
    """Expected spend at a purchase under each draw, (n, draws); FH eq. 5.

    Args:
        draws: Posterior draws, name -> (draws,).
        x: Purchases with a known value, (n,).
        money: Their mean value, (n,).
        scale: Factor on gamma, (n, draws) or (1, draws): `scale_by_draw`.
    """
    p, q, gamma = draws["p"], draws["q"], draws["gamma"]
    total = (x * money)[:, None]
    out: FloatArray = p * (gamma * scale + total) / (p * x[:, None] + (q - 1.0))
    return out
