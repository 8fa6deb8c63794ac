"""Customer lifetime value: purchases x spend x margin, discounted, with intervals.

    clv = margin * E[spend per purchase] * integral over the horizon of
          exp(-delta s) d E[purchases until s],        delta = ln(1 + annual rate) a year

the finite-horizon form of Fader, Hardie & Lee (2005), "RFM and CLV: Using Iso-Value Curves for
Customer Base Analysis", Journal of Marketing Research 42(4), eq. 1 to 3. Purchases and spend per
purchase are independent given a customer's history, so the expectation of the product is the
product of the expectations.

Intervals are predictive: the range in which what the customer will really buy and spend lies
with the stated probability. They come from the exact distribution of the number of purchases
(a mixture over the posterior draws of "gone" and "alive and buying") and, given the number, the
exact distribution of their total value. Both are read off at one fixed low-discrepancy set of
points, the same for all customers: no random numbers, so a customer's figures depend on nobody
else, on no block size and on no order. (For the same reason the intervals of several customers
must not be added up.)
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import gammaincinv

from .base import CLV_COLUMNS, ModelError
from .btyd import PURCHASE_MODELS, PurchaseModel
from .btyd.formulas import FloatArray
from .btyd.model import Future, thin_draws, weekly_rate
from .btyd.rfm import check_histories, check_spend
from .spend import GammaGamma, spend_by_draw

__all__ = ["CustomerLifetimeValue"]

DRAWS_FILE = "draws.npz"

_POINTS = 1024  # points at which the distribution of value is read
_INTERVAL_DRAWS = 64  # posterior draws behind the intervals
_DISCOUNT_DRAWS = 25  # and behind the mean discount factor, which hardly depends on them
_TEN_YEARS = 3652.5


@dataclass(frozen=True)
class _Question:
    """What is asked of `predict`, with everything that is the same for all customers."""

    weeks: float
    rate: float
    margin: float
    low: float
    high: float
    intervals: bool
    draws: dict[str, FloatArray]
    few: dict[str, FloatArray]
    fewest: dict[str, FloatArray]
    spend: dict[str, FloatArray]
    uniform: FloatArray  # (3, points): number, value and level of spend
    spend_at: dict[str, FloatArray]  # spend parameters of each point


class CustomerLifetimeValue:
    """A purchase model and a spend model together.

    >>> from models.btyd import ModifiedBetaGeoNBD
    >>> clv = CustomerLifetimeValue(
    ...     ModifiedBetaGeoNBD.from_parameters(r=0.525, alpha=6.183, a=0.891, b=1.614),
    ...     GammaGamma.from_parameters(p=6.25, q=3.74, gamma=15.44),
    ... )
    >>> rfm = pd.DataFrame(
    ...     {"frequency": [2.0], "recency": [30.43], "T": [38.86], "monetary_value": [22.35]},
    ...     index=["00021"],
    ... )
    >>> clv.predict(rfm, horizon_days=365)[["p_alive", "clv", "clv_high"]].round(2)
           p_alive   clv  clv_high
    00021     0.71  37.8    142.81
    """

    kind: ClassVar[str] = "clv"
    """Name of the model family in `card.json`."""

    def __init__(
        self, purchases: PurchaseModel | None = None, spend: GammaGamma | None = None
    ) -> None:
        self.purchases = purchases
        self.spend = spend

    def fit(
        self,
        rfm: pd.DataFrame,
        seed: int = 0,
        method: str = "nuts",
        purchase_model: str = "mbg_nbd",
        priors: str = "weak",
    ) -> Self:
        """Learn both models from one RFM summary.

        Args:
            rfm: Columns frequency, recency, T (weeks), monetary_value and optionally weight.
                Not changed.
            seed: Makes the draws repeatable.
            method: "nuts", "laplace" or "map".
            purchase_model: "mbg_nbd" or "bg_nbd".
            priors: "weak" or "flat".

        Returns:
            The model itself.

        Raises:
            ModelError: From either fit, or an unknown purchase model.
        """
        if purchase_model not in PURCHASE_MODELS:
            raise ModelError(
                f"Unknown purchase model {purchase_model!r}.",
                f"Choose one of {', '.join(PURCHASE_MODELS)}.",
            )
        purchases = PURCHASE_MODELS[purchase_model]()
        self.purchases = purchases.fit(rfm, seed=seed, method=method, priors=priors)
        self.spend = GammaGamma().fit(rfm, seed=seed, method=method, priors=priors)
        return self

    def _fitted(self) -> tuple[PurchaseModel, GammaGamma]:
        if self.purchases is None or self.spend is None:
            raise ModelError("CustomerLifetimeValue is not fitted.", "Call fit first.")
        return self.purchases, self.spend

    @property
    def diagnostics(self) -> dict[str, Any]:
        """Diagnostics of both fits under "purchases" and "spend"."""
        purchases, spend = self._fitted()
        return {"purchases": purchases.diagnostics, "spend": spend.diagnostics}

    def posterior_summary(self) -> pd.DataFrame:
        """One row a parameter: model, parameter, mean, sd, q05, median, q95."""
        rows = []
        for model in self._fitted():
            for name, values in model.posterior.items():
                q05, median, q95 = np.quantile(values, [0.05, 0.5, 0.95])
                rows.append((model.label, name, values.mean(), values.std(), q05, median, q95))
        columns = ["model", "parameter", "mean", "sd", "q05", "median", "q95"]
        return pd.DataFrame(rows, columns=columns)

    def predict(
        self,
        rfm: pd.DataFrame,
        horizon_days: float = 365,
        annual_discount_rate: float = 0.10,
        margin: float = 1.0,
        interval: float = 0.90,
        n_draws: int = 200,
        block_size: int = 2048,
    ) -> pd.DataFrame:
        """What each customer will do in the horizon after the cutoff.

        Memory beyond input and output is bounded by about 20 arrays of `block_size` x `n_draws`
        (or 1024, if more) numbers per processor, whatever the number of customers.

        Args:
            rfm: Columns frequency, recency, T (weeks) and monetary_value. Not changed.
            horizon_days: Days to look ahead, above 0.
            annual_discount_rate: For example 0.10; money a year away is worth 1 / 1.10.
            margin: Share of spend that is margin.
            interval: Probability that the predictive intervals hold, between 0 and 1.
            n_draws: Posterior draws to average over.
            block_size: Customers worked on at once; has no influence on the result.

        Returns:
            One row a customer on the index of `rfm`:

            - `p_alive`: probability of still being a customer at the cutoff.
            - `probability_no_purchase`: of buying nothing in the horizon.
            - `expected_purchases`, `purchases_low`, `purchases_high`: in the horizon, with the
              predictive interval of the number.
            - `expected_spend`: expected money in the horizon, undiscounted, before margin.
            - `clv`, `clv_low`, `clv_high`: discounted margin in the horizon, with its predictive
              interval (which takes the mean discount factor for the actual one).
            - `next_purchase_days`: median days until the next purchase of a customer who is
              alive; missing beyond ten years.

            A model fitted by "map" knows no uncertainty; its interval columns are missing.

        Raises:
            ModelError: An impossible row or argument.
        """
        h = check_histories(rfm)
        _, money, _ = check_spend(rfm)
        question = self._question(horizon_days, annual_discount_rate, margin, interval, n_draws)
        if block_size < 1:
            raise ModelError(f"block_size is {block_size}.", "Use at least 1.")
        # Neighbours in this order share frequency and T, and so most of the work.
        order = np.lexsort((h.recency, h.T, h.frequency))
        blocks = [order[i : i + block_size] for i in range(0, len(order), block_size)]
        out = np.empty((len(h), len(CLV_COLUMNS)))

        def work(block: npt.NDArray[np.intp]) -> None:
            out[block] = self._predict_block(
                question, h.frequency[block], h.recency[block], h.T[block], money[block]
            )

        workers = min(4, os.cpu_count() or 1, max(1, len(blocks)))
        if workers == 1:
            for block in blocks:
                work(block)
        else:
            with ThreadPoolExecutor(workers) as pool:
                list(pool.map(work, blocks))
        return pd.DataFrame(out, columns=list(CLV_COLUMNS), index=rfm.index)

    def _question(
        self, horizon_days: float, rate: float, margin: float, interval: float, n_draws: int
    ) -> _Question:
        purchases, spend = self._fitted()
        if not (np.isfinite(horizon_days) and horizon_days > 0):
            raise ModelError(f"horizon_days is {horizon_days}.", "Use a number of days above 0.")
        if not np.isfinite(margin) or margin < 0:
            raise ModelError(f"margin is {margin}.", "Use a share such as 0.35 for 35 %.")
        if not 0.0 < interval < 1.0:
            raise ModelError(f"interval is {interval}.", "Use a probability such as 0.90.")
        if n_draws < 1:
            raise ModelError(f"n_draws is {n_draws}.", "Use at least 1.")
        draws, spend_draws = purchases.posterior, spend.posterior
        uniform = _low_discrepancy(_POINTS)
        size = len(spend_draws["p"])
        which = np.minimum((uniform[3] * size).astype(int), size - 1)
        inferences = (purchases.diagnostics.get("inference"), spend.diagnostics.get("inference"))
        return _Question(
            weeks=horizon_days / 7.0,
            rate=weekly_rate(rate),
            margin=margin,
            low=0.5 * (1.0 - interval),
            high=0.5 * (1.0 + interval),
            intervals="map" not in inferences,
            draws=thin_draws(draws, n_draws),
            few=thin_draws(draws, min(n_draws, _INTERVAL_DRAWS)),
            fewest=thin_draws(draws, min(n_draws, _DISCOUNT_DRAWS)),
            spend=thin_draws(spend_draws, n_draws),
            uniform=uniform[:3],
            spend_at={name: values[which] for name, values in spend_draws.items()},
        )

    def _predict_block(
        self, ask: _Question, x: FloatArray, recency: FloatArray, T: FloatArray, money: FloatArray
    ) -> FloatArray:
        """The output columns for one block, sorted by frequency and T."""
        out = np.empty((len(x), len(CLV_COLUMNS)))
        for group in np.split(np.arange(len(x)), np.flatnonzero(np.diff(x)) + 1):
            if len(group):
                out[group] = self._predict_frequency(
                    ask, float(x[group[0]]), recency[group], T[group], money[group]
                )
        return out

    def _predict_frequency(
        self, ask: _Question, x: float, recency: FloatArray, T: FloatArray, money: FloatArray
    ) -> FloatArray:
        """The output columns for customers with one frequency."""
        purchases, _ = self._fitted()
        lengths, place = np.unique(T, return_inverse=True)
        history = (np.full((1, 1), x), recency[:, None], T[:, None])

        alive = purchases._alive(ask.draws, *history)
        future = purchases._future(ask.draws, x, lengths)
        expected = (alive * future.expected(ask.weeks)[place]).mean(axis=1)
        none = 1.0 - (alive * (1.0 - future.none(ask.weeks))[place]).mean(axis=1)
        wait = 7.0 * future.next_purchase().mean(axis=1)[place]
        discount = self._discount_factor(ask, x, history, lengths, place)
        per_purchase = spend_by_draw(ask.spend, np.full(len(T), x), money).mean(axis=1)

        spend = expected * per_purchase
        unknown = np.full(len(T), np.nan)
        low, high, value_low, value_high = unknown, unknown, unknown, unknown
        if ask.intervals:
            low, high, numbers = self._numbers(ask, x, history, lengths, place)
            value_low, value_high = _value_quantiles(numbers, x, money, ask)
        factor = ask.margin * discount
        return np.column_stack(
            [
                alive.mean(axis=1),
                none.clip(0.0, 1.0),
                expected,
                low,
                high,
                spend,
                factor * spend,
                factor * value_low,
                factor * value_high,
                np.where(wait <= _TEN_YEARS, wait, np.nan),
            ]
        )

    def _numbers(
        self,
        ask: _Question,
        x: float,
        history: tuple[FloatArray, FloatArray, FloatArray],
        lengths: FloatArray,
        place: npt.NDArray[np.intp],
    ) -> tuple[FloatArray, FloatArray, npt.NDArray[np.intp]]:
        """Low and high quantile of the number of purchases, (n,), and (n, points) quantiles."""
        purchases, _ = self._fitted()
        alive = purchases._alive(ask.few, *history)
        heavy = purchases._future(ask.few, x, lengths).heavy(ask.weeks)
        levels = np.concatenate([[ask.low, ask.high], ask.uniform[0]])
        order = np.argsort(1.0 - levels)
        threshold = (1.0 - levels)[order]
        numbers = np.empty((len(place), len(levels)), dtype=np.intp)
        light = np.flatnonzero(~heavy[place])
        if len(light):
            kept = np.cumsum(~heavy) - 1
            future = purchases._future(ask.few, x, lengths[~heavy])
            found = _light_numbers(future, alive[light], kept[place[light]], threshold, ask.weeks)
            numbers[light[:, None], order] = found
        for row in np.flatnonzero(heavy[place]):
            future = purchases._future(ask.few, x, lengths[[place[row]]])
            numbers[row, order] = _heavy_numbers(future, alive[row], threshold, ask.weeks)
        return numbers[:, 0].astype(float), numbers[:, 1].astype(float), numbers[:, 2:]

    def _discount_factor(
        self,
        ask: _Question,
        x: float,
        history: tuple[FloatArray, FloatArray, FloatArray],
        lengths: FloatArray,
        place: npt.NDArray[np.intp],
    ) -> FloatArray:
        """Discounted over plain expected purchases, (n,).

        The ratio depends on when purchases fall inside the horizon and hardly on the parameter
        draw, so a few draws give it to about five digits.
        """
        purchases, _ = self._fitted()
        if ask.rate == 0.0:
            return np.ones(len(place))
        future = purchases._future(ask.fewest, x, lengths)
        alive = purchases._alive(ask.fewest, *history)
        plain = (alive * future.expected(ask.weeks)[place]).mean(axis=1)
        worth = (alive * future.discounted(ask.weeks, ask.rate)[place]).mean(axis=1)
        ratio = np.ones(len(place))
        np.divide(worth, plain, out=ratio, where=plain > 0.0)
        return ratio

    # saving

    def to_folder(self, folder: Path) -> dict[str, Any]:
        """Write the posterior draws to `folder`/draws.npz.

        Returns:
            A JSON-able description for `from_folder`; it holds no customer.
        """
        purchases, spend = self._fitted()
        arrays = {f"purchases_{name}": values for name, values in purchases.posterior.items()}
        arrays |= {f"spend_{name}": values for name, values in spend.posterior.items()}
        np.savez_compressed(folder / DRAWS_FILE, **arrays)  # type: ignore[arg-type]
        return {
            "purchase_model": purchases.label,
            "spend_model": spend.label,
            "time_unit": purchases.time_unit,
            "purchases": _without_time(purchases.diagnostics),
            "spend": _without_time(spend.diagnostics),
        }

    @classmethod
    def from_folder(cls, folder: Path, description: Mapping[str, Any]) -> Self:
        """Read back what `to_folder` wrote.

        Raises:
            ModelError: The file is missing or damaged, or the model is of a kind this version
                does not know.
        """
        label = description.get("purchase_model")
        if label not in PURCHASE_MODELS or description.get("time_unit") != "weeks":
            raise ModelError(
                f"This version cannot read a CLV model of kind {label!r} in "
                f"{description.get('time_unit')!r}.",
                "Load it with the version that wrote it, or train again.",
            )
        path = folder / DRAWS_FILE
        kind = PURCHASE_MODELS[label]
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as saved:
                first = {name: saved[f"purchases_{name}"] for name in kind.names}
                second = {name: saved[f"spend_{name}"] for name in GammaGamma.names}
        except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
            raise ModelError(f"{path} is missing or damaged: {error}.", "Train again.") from error
        purchases = kind.from_draws(first, description.get("purchases"))
        return cls(purchases, GammaGamma.from_draws(second, description.get("spend")))


def _without_time(diagnostics: dict[str, Any]) -> dict[str, Any]:
    """All but the run time, so that the same fit is saved as the same bytes."""
    return {name: value for name, value in diagnostics.items() if name != "seconds"}


def _low_discrepancy(count: int) -> FloatArray:
    """Hammersley points in four dimensions, (4, count), inside (0, 1).

    Halton (1960), Numerische Mathematik 2, 84-90: i / count and the digits of i mirrored at the
    point in bases 2, 3 and 5, so that every margin and pair of margins is evenly filled.
    """
    i = np.arange(count)
    rows = [(i + 0.5) / count]
    for base in (2, 3, 5):
        value, scale, rest = np.zeros(count), 1.0, i + 1
        while rest.any():
            scale /= base
            value = value + scale * (rest % base)
            rest = rest // base
        rows.append(value)
    return np.stack(rows)


def _light_numbers(
    future: Future,
    alive: FloatArray,
    place: npt.NDArray[np.intp],
    threshold: FloatArray,
    weeks: float,
) -> npt.NDArray[np.intp]:
    """Number of k >= 1 with P(X >= k) above each threshold; ascending thresholds.

    P(X >= k) is averaged over the draws. At a threshold of 1 - q this is the quantile q.

    Returns:
        (n, thresholds).
    """
    n, size = len(alive), len(threshold)
    counts = np.zeros((n, size + 1), dtype=np.int32)
    rows = np.arange(n)
    for tail_by_draw in future.tails(weeks):
        tail = (alive * tail_by_draw[place]).mean(axis=1)
        passed = np.searchsorted(threshold, tail)  # how many thresholds lie below
        if not passed.any():
            break
        counts[rows, passed] += 1
    # Threshold i is passed by every k whose rank is above i.
    above = np.cumsum(counts[:, :0:-1], axis=1)[:, ::-1]
    return above.astype(np.intp)


def _heavy_numbers(
    future: Future, alive: FloatArray, threshold: FloatArray, weeks: float
) -> npt.NDArray[np.intp]:
    """The same for one customer with very many purchases, on a geometric grid of k."""
    t = np.array([[weeks]])

    def tail(k: FloatArray) -> FloatArray:
        out: FloatArray = (alive * future.tail(k[:, None, None], t)).mean(axis=(1, 2))
        return out

    top = 1024.0
    while tail(np.array([top]))[0] > threshold[0]:
        top *= 2.0
    grid = np.unique(np.geomspace(1.0, top, 600).round())
    falling = np.minimum.accumulate(tail(grid))
    numbers = np.interp(-threshold, -falling, grid, left=0.0)
    return np.floor(numbers).astype(np.intp)


def _value_quantiles(
    numbers: npt.NDArray[np.intp], x: float, money: FloatArray, ask: _Question
) -> tuple[FloatArray, FloatArray]:
    """Quantiles of the total value of the purchases, (n,) each.

    Given k purchases and the customer's own rate nu the total is Gamma(p k, rate nu), and given
    the history nu is Gamma(q + p x, rate gamma + x z) (Fader & Hardie 2013, section 2).
    """
    p, q, gamma = (ask.spend_at[name] for name in GammaGamma.names)
    level = gammaincinv(q + p * x, ask.uniform[2])
    present = np.zeros(int(numbers.max()) + 1, dtype=bool)
    present[numbers] = True
    distinct_numbers = np.flatnonzero(present)
    if distinct_numbers.size <= len(numbers):
        k = np.maximum(distinct_numbers[:, None], 1)
        table = gammaincinv(p * k, ask.uniform[1]) * (distinct_numbers > 0)[:, None]
        where = np.cumsum(present) - 1
        amount = table[where[numbers], np.arange(numbers.shape[1])]
    else:
        amount = gammaincinv(p * np.maximum(numbers, 1), ask.uniform[1]) * (numbers > 0)
    total = amount * (gamma + x * money[:, None]) / level
    low, high = np.quantile(total, [ask.low, ask.high], axis=1, method="hazen")
    return low, high
