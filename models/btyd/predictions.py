"""What a purchase model says of customers: averages and quantiles over the posterior draws."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..base import ModelError
from .formulas import FloatArray
from .future import BLOCK_CELLS, Future, weekly_rate
from .histories import distinct
from .parameters import Parameters

__all__ = ["Predictions"]


class Predictions(Parameters):
    """What a purchase model predicts: see `PurchaseModel`, of which this is a part."""

    @abstractmethod
    def _alive(
        self, draws: Mapping[str, FloatArray], x: FloatArray, recency: FloatArray, T: FloatArray
    ) -> FloatArray:
        """Probability of being alive at T, (n, d).

        Histories have shape (n, 1). A parameter has shape (d,), or (n, d) where it differs
        between customers.
        """

    @abstractmethod
    def _future(
        self,
        draws: Mapping[str, FloatArray],
        x: float,
        T: FloatArray,
        recency: FloatArray | None = None,
    ) -> Future:
        """The future of customers alive at T with frequency x.

        T has shape (n,), and so has recency, which may be left out unless
        `future_needs_recency`; draws as above.
        """

    @abstractmethod
    def _newcomer(self, draws: Mapping[str, FloatArray]) -> tuple[FloatArray, Future]:
        """Chance of being alive right after the first purchase, (d,), and the future then."""

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
        return self._predict(rfm, lambda alive, _future, _t: alive, quantiles, None).clip(0.0, 1.0)

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
        ).clip(0.0, 1.0)

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
        self,
        horizon: npt.ArrayLike,
        quantiles: Sequence[float] | None = None,
        customers: pd.DataFrame | None = None,
    ) -> Any:
        """Expected repeat purchases of a customer in the first `horizon` weeks.

        Args:
            horizon: Weeks since the first purchase, one number or (n,).
            quantiles: Posterior quantiles wanted beside the mean.
            customers: Covariates and segment of n customers. Without it the customer is at the
                mean, of the most common levels, and of no particular segment.

        Returns:
            A float for one number, else (n,); with quantiles (..., 1 + quantiles).
        """
        t, draws = _weeks(horizon), self._fitted()
        if customers is not None and self._design is not None:
            cells = self._design.cells(customers)
            weeks = np.broadcast_to(t, (len(customers),))
            keys, place = distinct(np.column_stack([cells.place.astype(float), weeks]))
            rows = []
            for cell, week in keys:
                alive, future = self._newcomer(self.at(draws, cells, np.array([int(cell)])))
                rows.append(alive * future.expected(np.full((1, 1), week)))
            values = np.concatenate(rows) if rows else np.empty((0, 1))
            return self._summary(values, quantiles)[place]
        alive, future = self._newcomer(draws)
        values = alive * future.expected(np.atleast_1d(t)[:, None])
        out = self._summary(values, quantiles)
        return out[0] if t.ndim == 0 else out

    def purchase_distribution_new_customer(self, horizon: npt.ArrayLike, max_k: int) -> FloatArray:
        """Probability that a new customer makes exactly k repeat purchases.

        Args:
            horizon: Weeks since the first purchase, (n,).
            max_k: The last k.

        Returns:
            (n, max_k + 1), columns k = 0, 1, ..., max_k.
        """
        t = np.atleast_1d(_weeks(horizon))
        alive, future = self._newcomer(self._fitted())
        steps = future.tails(t[:, None])
        at_least = [np.ones(len(t))]
        at_least += [(alive * next(steps)).mean(axis=1) for _ in range(max_k + 1)]
        out: FloatArray = -np.diff(np.stack(at_least, axis=1), axis=1)
        return out.clip(0.0, 1.0)

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
        """Apply `work` to blocks of distinct histories; back in row order.

        A block has one frequency and one group of cells (`groups`).
        """
        draws = self._fitted()
        h, cells = self.read(rfm)
        t = np.zeros(len(h)) if horizon is None else np.broadcast_to(_weeks(horizon), (len(h),))
        group, cell = self.groups(cells)[cells.place], cells.place
        keys = np.column_stack([group, h.frequency, h.T, h.recency, t, cell])
        rows, inverse = distinct(keys)
        out = np.empty((len(rows), width))
        size = max(1, BLOCK_CELLS // len(next(iter(draws.values()))))
        edges = np.flatnonzero((np.diff(rows[:, :2], axis=0) != 0).any(axis=1)) + 1
        for together in np.split(np.arange(len(rows)), edges) if len(rows) else ():
            for start in range(0, len(together), size):
                block = together[start : start + size]
                x, T, recency, weeks = rows[block, 1:5].T[:, :, None]
                own = self.at(draws, cells, rows[block, 5].astype(np.intp))
                alive = self._alive(own, x, recency, T)
                future = self._future(own, float(x[0, 0]), T[:, 0], recency[:, 0])
                out[block] = work(alive, future, weeks)
        return out[inverse]


def _weeks(horizon: npt.ArrayLike) -> FloatArray:
    t = np.asarray(horizon, dtype=float)
    if not (np.isfinite(t) & (t >= 0)).all():
        raise ModelError(f"horizon is {horizon!r}.", "Give weeks as a finite number of at least 0.")
    return t
