"""The face of every purchase model, and all that the models share.

A new model is one short file: it subclasses `PurchaseModel` and gives its parameter names, its
log-likelihood with gradient, the chance of being alive, and the future of a customer who is
alive. Checking, merging identical customers, inference, averaging over posterior draws and
quantiles are here, once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..base import ModelError
from .formulas import FloatArray
from .posterior import Target, infer
from .rfm import Histories, check_histories, compress, distinct

__all__ = ["BLOCK_CELLS", "WEEKS_A_YEAR", "Future", "PurchaseModel", "thin_draws", "weekly_rate"]

WEEKS_A_YEAR = 365.25 / 7.0

BLOCK_CELLS = 1 << 20
"""Customers x draws held at once: 8 MB an array, whatever the number of customers."""

PRIOR_SD = 1.5
"""Standard deviation of the logarithm of every parameter under the weak prior."""


def weekly_rate(annual_discount_rate: float) -> float:
    """Continuous discount rate a week: exp(-52.18 * rate) = 1 / (1 + annual rate)."""
    if not (np.isfinite(annual_discount_rate) and annual_discount_rate > -1.0):
        raise ModelError(
            f"annual_discount_rate is {annual_discount_rate}.", "Use for example 0.10 for 10 %."
        )
    return float(np.log1p(annual_discount_rate) / WEEKS_A_YEAR)


def thin_draws(draws: Mapping[str, FloatArray], count: int) -> dict[str, FloatArray]:
    """At most `count` draws, evenly spaced."""
    size = len(next(iter(draws.values())))
    keep = np.linspace(0, size - 1, min(count, size)).round().astype(int)
    return {name: np.asarray(values)[keep] for name, values in draws.items()}


class Future(ABC):
    """What customers who are alive will do from now on, under every posterior draw.

    All results have shape (customers, draws). `customers` are those the future was asked for;
    they share one value of frequency.
    """

    @abstractmethod
    def expected(self, t: FloatArray | float) -> FloatArray:
        """Expected purchases in the next `t` weeks."""

    @abstractmethod
    def discounted(self, t: float, rate: float) -> FloatArray:
        """Expected purchases in the next `t` weeks, each times exp(-rate * its time)."""

    @abstractmethod
    def none(self, t: FloatArray | float) -> FloatArray:
        """Probability of no purchase in the next `t` weeks."""

    @abstractmethod
    def tails(self, t: FloatArray | float) -> Iterator[FloatArray]:
        """P(at least k purchases in the next `t` weeks) for k = 1, 2, ..."""

    @abstractmethod
    def heavy(self, t: FloatArray | float) -> npt.NDArray[np.bool_]:
        """Customers, (customers,), who may buy so often that `tails` takes too many steps."""

    @abstractmethod
    def tail(self, k: FloatArray, t: FloatArray | float) -> FloatArray:
        """The same for given k of shape (..., 1, 1); for customers with very many purchases."""

    @abstractmethod
    def next_purchase(self) -> FloatArray:
        """Median weeks to the next purchase."""


class PurchaseModel(ABC):
    """A buy-till-you-die model of repeat purchases; times in weeks.

    Make one from known parameters (`from_parameters`) or learn it (`fit`). Predictions are
    averages over the posterior draws; with `quantiles` they come with the posterior quantiles of
    the quantity itself, which is not a range for what a customer will do: that range is in
    `models.clv`.
    """

    names: ClassVar[tuple[str, ...]]
    """Parameter names."""
    label: ClassVar[str]
    """Short name: "bg_nbd", "mbg_nbd", ..."""
    time_unit: ClassVar[str] = "weeks"

    def __init__(self) -> None:
        self._draws: dict[str, FloatArray] | None = None
        self._diagnostics: dict[str, Any] = {}

    # what a model has to say

    @abstractmethod
    def _log_likelihood(self, parameters: FloatArray, nodes: Histories) -> tuple[float, FloatArray]:
        """Weighted log-likelihood of the nodes, and its gradient by the parameters.

        Args:
            parameters: (k, cells) in the order of `names`; column `nodes.cell[i]` holds for
                node i.
            nodes: Weighted histories.

        Returns:
            The sum over nodes of weight x log-likelihood, and its gradient, (k, cells).
        """

    @abstractmethod
    def _prior_centre(self, mean_T: float) -> dict[str, float]:
        """Median of the weak prior of each parameter, given the mean T in weeks."""

    @abstractmethod
    def _start(self, nodes: Histories) -> dict[str, float]:
        """Where the search for the mode begins."""

    @abstractmethod
    def _alive(
        self, draws: Mapping[str, FloatArray], x: FloatArray, recency: FloatArray, T: FloatArray
    ) -> FloatArray:
        """Probability of being alive at T, (n, d).

        Histories have shape (n, 1). A parameter has shape (d,), or (n, d) where it differs
        between customers.
        """

    @abstractmethod
    def _future(self, draws: Mapping[str, FloatArray], x: float, T: FloatArray) -> Future:
        """The future of customers alive at T with frequency x; T has shape (n,), draws as above."""

    @abstractmethod
    def _newcomer(self, draws: Mapping[str, FloatArray]) -> tuple[FloatArray, Future]:
        """Chance of being alive right after the first purchase, (d,), and the future then."""

    # making one

    @classmethod
    def from_parameters(cls, **parameters: float) -> Self:
        """A model at known parameter values.

        >>> from models.btyd import BetaGeoNBD
        >>> m = BetaGeoNBD.from_parameters(r=0.2426, alpha=4.4136, a=0.7929, b=2.4259)
        >>> round(float(m.expected_purchases_new_customer(52.0)), 3)
        1.444
        """
        if set(parameters) != set(cls.names):
            raise ModelError(
                f"{cls.__name__} has the parameters {', '.join(cls.names)}; "
                f"got {', '.join(sorted(parameters)) or 'none'}."
            )
        draws = {name: np.array([float(parameters[name])]) for name in cls.names}
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
                    f"Parameter {name} of {cls.__name__} is not positive and finite: {values}."
                )
        model = cls()
        model._draws = arrays
        model._diagnostics = dict(diagnostics or {"inference": "given"})
        return model

    def fit(
        self, rfm: pd.DataFrame, seed: int = 0, method: str = "nuts", priors: str = "weak"
    ) -> Self:
        """Learn the parameters.

        The weak prior is log-normal and independent for each parameter: its median is written in
        each model's `_prior_centre` (for a rate parameter such as alpha it follows the mean T,
        so the unit of time does not matter) and the standard deviation of the logarithm is 1.5,
        a factor of 20 either way at 95 %.

        Args:
            rfm: Columns frequency, recency, T in weeks and optionally weight. Not changed.
            seed: Makes the draws repeatable.
            method: "nuts" (full posterior), "laplace" (fast, checked by k-hat), or "map" (the
                mode only; no intervals).
            priors: "weak" or "flat" (flat in the logarithms; its mode is the maximum likelihood).

        Returns:
            The model itself.

        Raises:
            ModelError: Impossible rows, too little data, or draws that cannot be trusted.
        """
        nodes = compress(check_histories(rfm))
        if not len(nodes):
            raise ModelError("The RFM summary has no rows.", "Give one row a customer.")
        if not (nodes.frequency > 0).any():
            raise ModelError(
                "No customer has bought more than once, so purchase rates cannot be learned.",
                "Take a longer history.",
            )
        if not (nodes.T > 0).any():
            raise ModelError("T is 0 for every customer.", "Take a later cutoff.")
        if priors not in ("weak", "flat"):
            raise ModelError(f"Unknown priors {priors!r}.", "Choose weak or flat.")
        fitted = infer(self._target(nodes, priors), seed, method)
        self._draws = fitted.draws
        self._diagnostics = {"model": self.label, "priors": priors, **fitted.diagnostics}
        return self

    def _target(self, nodes: Histories, priors: str) -> Target:
        weight = float(nodes.weight.sum())
        mean_T = float(nodes.weight @ nodes.T) / weight
        centre, start = self._prior_centre(mean_T), self._start(nodes)

        def log_likelihood(point: FloatArray) -> tuple[float, FloatArray]:
            parameters = np.exp(np.clip(point, -200.0, 200.0))[:, None]
            value, gradient = self._log_likelihood(parameters, nodes)
            return value, (gradient * parameters)[:, 0]

        k = len(self.names)
        return Target(
            names=self.names,
            log_likelihood=log_likelihood,
            to_parameters=np.exp,
            prior_mean=np.log([centre[name] for name in self.names]),
            prior_sd=np.full(k, PRIOR_SD if priors == "weak" else np.inf),
            start=np.log([start[name] for name in self.names]),
            weight=weight,
            nodes=len(nodes),
        )

    # what is known about it

    @property
    def posterior(self) -> dict[str, FloatArray]:
        """Posterior draws, parameter name -> (draws,); a copy."""
        return {name: values.copy() for name, values in self._fitted().items()}

    @property
    def diagnostics(self) -> dict[str, Any]:
        """How the fit went: inference, r_hat, ess, divergences, seconds, nodes, mode, ..."""
        return dict(self._diagnostics)

    @property
    def parameters(self) -> dict[str, float]:
        """Posterior mean of each parameter, or the point itself."""
        return {name: float(values.mean()) for name, values in self._fitted().items()}

    def _fitted(self) -> dict[str, FloatArray]:
        if self._draws is None:
            raise ModelError(f"{type(self).__name__} is not fitted.", "Call fit first.")
        return self._draws

    def log_likelihood(self, rfm: pd.DataFrame) -> float:
        """Weighted log-likelihood of the histories at the posterior mean of the parameters."""
        nodes = compress(check_histories(rfm))
        point = np.array([[self.parameters[name]] for name in self.names])
        return self._log_likelihood(point, nodes)[0]

    # predictions

    def probability_alive(
        self, rfm: pd.DataFrame, quantiles: Sequence[float] | None = None
    ) -> FloatArray:
        """Probability that each customer is still a customer at the cutoff.

        Args:
            rfm: Histories, one row a customer.
            quantiles: Posterior quantiles wanted beside the mean.

        Returns:
            (n,), or (n, 1 + quantiles) with the mean first.
        """
        return self._predict(rfm, lambda alive, _future, _extra: alive, quantiles, None)

    def expected_purchases(
        self,
        rfm: pd.DataFrame,
        horizon: npt.ArrayLike,
        quantiles: Sequence[float] | None = None,
    ) -> FloatArray:
        """Expected purchases of each customer in the next `horizon` weeks.

        Args:
            rfm: Histories, one row a customer.
            horizon: Weeks, one number or one a customer.
            quantiles: Posterior quantiles of the expectation wanted beside the mean.

        Returns:
            (n,), or (n, 1 + quantiles) with the mean first.
        """
        return self._predict(
            rfm, lambda alive, future, t: alive * future.expected(t), quantiles, horizon
        )

    def probability_no_purchase(
        self,
        rfm: pd.DataFrame,
        horizon: npt.ArrayLike,
        quantiles: Sequence[float] | None = None,
    ) -> FloatArray:
        """Probability of no purchase in the next `horizon` weeks: gone, or alive and waiting.

        Comparable with a churn probability over the same horizon, which `1 - p_alive` is not.
        Arguments and result as in `expected_purchases`.
        """
        return self._predict(
            rfm,
            lambda alive, future, t: (1.0 - alive) + alive * future.none(t),
            quantiles,
            horizon,
        )

    def discounted_expected_residual_transactions(
        self,
        rfm: pd.DataFrame,
        annual_discount_rate: float = 0.10,
        quantiles: Sequence[float] | None = None,
    ) -> FloatArray:
        """DERT: all purchases still to come, each discounted to the cutoff.

        Fader, Hardie & Lee (2005), "RFM and CLV". Arguments and result as in
        `expected_purchases`.
        """
        rate = weekly_rate(annual_discount_rate)
        if rate <= 0.0:
            raise ModelError("DERT needs a positive discount rate.", "Use for example 0.10.")
        return self._predict(
            rfm,
            lambda alive, future, _t: alive * future.discounted(np.inf, rate),
            quantiles,
            None,
        )

    def purchase_distribution(
        self, rfm: pd.DataFrame, horizon: npt.ArrayLike, max_k: int
    ) -> FloatArray:
        """Probability of exactly k purchases in the next `horizon` weeks.

        Returns:
            (n, max_k + 1), columns k = 0, 1, ..., max_k.
        """

        def tails(alive: FloatArray, future: Future, t: FloatArray | float) -> FloatArray:
            steps = future.tails(t)
            out = np.empty((len(alive), max_k + 2))
            out[:, 0] = 1.0
            for k in range(1, max_k + 2):
                out[:, k] = (alive * next(steps)).mean(axis=1)
            return out

        at_least = self._map(rfm, tails, horizon, max_k + 2)
        out: FloatArray = at_least[:, :-1] - at_least[:, 1:]
        return out.clip(0.0, 1.0)

    def expected_purchases_new_customer(
        self, horizon: npt.ArrayLike, quantiles: Sequence[float] | None = None
    ) -> Any:
        """Expected repeat purchases of a customer in the first `horizon` weeks.

        Args:
            horizon: Weeks since the first purchase, one number or (n,).
            quantiles: Posterior quantiles wanted beside the mean.

        Returns:
            A float for one number, else (n,); with quantiles (..., 1 + quantiles).
        """
        t = _weeks(horizon)
        alive, future = self._newcomer(self._fitted())
        values = alive * future.expected(np.atleast_1d(t)[:, None])
        out = self._summary(values, quantiles)
        return out[0] if t.ndim == 0 else out

    def _summary(self, values: FloatArray, quantiles: Sequence[float] | None) -> FloatArray:
        mean: FloatArray = values.mean(axis=1)
        if quantiles is None:
            return mean
        self._need_draws()
        bounds = np.quantile(values, list(quantiles), axis=1)
        return np.column_stack([mean, *bounds])

    def _need_draws(self) -> None:
        inference = self._diagnostics.get("inference", "given")
        if inference == "map" or len(next(iter(self._fitted().values()))) < 2:
            raise ModelError(
                f"Quantiles need posterior draws; this model has a single point ({inference}).",
                "Fit with method='nuts'.",
            )

    def _predict(
        self,
        rfm: pd.DataFrame,
        quantity: Callable[[FloatArray, Future, Any], FloatArray],
        quantiles: Sequence[float] | None,
        horizon: npt.ArrayLike | None,
    ) -> FloatArray:
        if quantiles is not None:
            self._need_draws()
        width = 1 if quantiles is None else 1 + len(quantiles)

        def summarise(alive: FloatArray, future: Future, t: Any) -> FloatArray:
            values = np.broadcast_to(quantity(alive, future, t), alive.shape)
            return self._summary(values, quantiles).reshape(len(alive), width)

        out = self._map(rfm, summarise, horizon, width)
        return out[:, 0] if quantiles is None else out

    def _map(
        self,
        rfm: pd.DataFrame,
        work: Callable[[FloatArray, Future, Any], FloatArray],
        horizon: npt.ArrayLike | None,
        width: int,
    ) -> FloatArray:
        """Apply `work` to blocks of distinct histories with one frequency; back in row order."""
        h = check_histories(rfm)
        draws = self._fitted()
        t = np.zeros(len(h)) if horizon is None else np.broadcast_to(_weeks(horizon), (len(h),))
        keys = np.column_stack([h.frequency, h.T, h.recency, t])
        rows, inverse = distinct(keys)
        out = np.empty((len(rows), width))
        size = max(1, BLOCK_CELLS // len(next(iter(draws.values()))))
        edges = np.flatnonzero(np.diff(rows[:, 0])) + 1
        for group in np.split(np.arange(len(rows)), edges):
            for start in range(0, len(group), size):
                block = group[start : start + size]
                x, T, recency, weeks = rows[block].T[:, :, None]
                alive = self._alive(draws, x, recency, T)
                future = self._future(draws, float(x[0, 0]), T[:, 0])
                out[block] = work(alive, future, weeks)
        return out[inverse]


def _weeks(horizon: npt.ArrayLike) -> FloatArray:
    t = np.asarray(horizon, dtype=float)
    if not (np.isfinite(t) & (t >= 0)).all():
        raise ModelError(f"horizon is {horizon!r}.", "Give weeks as a finite number of at least 0.")
    return t
