"""What is asked of the customers, with everything that is the same for all of them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.special import gammaincinv

from ..base import CLV_COLUMNS, ModelError
from ..btyd import PurchaseModel
from ..btyd.formulas import FloatArray
from ..btyd.future import Future, thin_draws, weekly_rate
from ..calendar import Calendar
from ..spend import GammaGamma

__all__ = ["EXPECTATION_COLUMNS", "NEXT_PURCHASE_COLUMNS", "Question", "quantile_columns"]

EXPECTATION_COLUMNS = ("purchases_mean_low", "purchases_mean_high", "clv_mean_low", "clv_mean_high")
"""Posterior interval of the expectation."""

NEXT_PURCHASE_COLUMNS = ("next_purchase_low", "next_purchase_high")
"""Predictive interval of the days until the next purchase."""

_POINTS = 1024  # points at which the distribution of value is read
_AMOUNTS = (16, 64, 256)  # sizes of the tables of amounts that are kept
_KEPT = 8  # of them, 2 MB each at most
_TEN_YEARS = 3652.5


def quantile_columns(levels: Sequence[float]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of the columns of predictive quantiles: of purchases, and of CLV.

    Raises:
        ModelError: A level that is no probability, or one asked for twice.

    >>> quantile_columns([0.1, 0.975])
    (('purchases_q0.1', 'purchases_q0.975'), ('clv_q0.1', 'clv_q0.975'))
    """
    for level in levels:
        if not 0.0 < level < 1.0:
            raise ModelError(
                f"quantiles has the level {level}.", "Use probabilities between 0 and 1."
            )
    names = [f"q{level:.10g}" for level in levels]
    if len(set(names)) < len(names):
        raise ModelError(f"quantiles has a level twice: {', '.join(map(str, levels))}.")
    return tuple(f"purchases_{name}" for name in names), tuple(f"clv_{name}" for name in names)


@dataclass(frozen=True)
class Question:
    """What is asked, with everything that is the same for all customers. Made by `ask`."""

    purchases: PurchaseModel
    weeks: float
    rate: float
    margin: float
    levels: tuple[float, ...]  # of the predictive quantiles: low and high, then those asked for
    light: bool  # expectations alone
    intervals: bool
    means: bool
    wait_interval: bool
    edges: FloatArray  # pieces of the horizon on the calendar's clock, and
    worth: FloatArray  # what a purchase in each of them is worth; empty without a calendar
    ten_years: float
    calendar: Calendar | None
    cutoff: dt.date | None
    draws: Mapping[str, FloatArray]
    spend: Mapping[str, FloatArray]
    points: FloatArray  # (3, points): share of counts above, value, level of spend
    spend_at: Mapping[str, FloatArray]  # spend parameters of each point

    @classmethod
    def ask(
        cls,
        purchases: PurchaseModel,
        spend: GammaGamma,
        *,
        horizon_days: float,
        annual_discount_rate: float,
        margin: float,
        interval: float,
        n_draws: int,
        quantiles: Sequence[float] = (),
        light: bool = False,
        means: bool = False,
        wait_interval: bool = False,
        calendar: Calendar | None = None,
        cutoff: dt.date | None = None,
    ) -> Question:
        """Check the arguments of `CustomerLifetimeValue.predict` and prepare the draws.

        Raises:
            ModelError: An impossible argument.
        """
        if not horizon_days > 0:
            raise ModelError(f"horizon_days is {horizon_days}.", "Use a number of days above 0.")
        rate = weekly_rate(annual_discount_rate)
        if np.isinf(horizon_days) and rate <= 0.0:
            raise ModelError(
                f"horizon_days is {horizon_days} and annual_discount_rate is "
                f"{annual_discount_rate}: what all future is worth has no bound.",
                "Give a positive discount rate, or a finite horizon.",
            )
        if not np.isfinite(margin) or margin < 0:
            raise ModelError(f"margin is {margin}.", "Use a share such as 0.35 for 35 %.")
        if not 0.0 < interval < 1.0:
            raise ModelError(f"interval is {interval}.", "Use a probability such as 0.90.")
        if n_draws < 1:
            raise ModelError(f"n_draws is {n_draws}.", "Use at least 1.")
        quantile_columns(quantiles)
        if light and (len(quantiles) or means or wait_interval):
            raise ModelError(
                "intervals=False leaves out quantiles, expectation_interval and "
                "next_purchase_interval.",
                "Ask for them with intervals=True.",
            )
        draws, spend_draws = purchases.posterior, spend.posterior
        inferences = (purchases.diagnostics.get("inference"), spend.diagnostics.get("inference"))
        weeks, ten_years = horizon_days / 7.0, _TEN_YEARS / 7.0
        edges, worth = np.empty(0), np.empty(0)
        if calendar is not None:
            if cutoff is None:
                raise ModelError(
                    "The model has a calendar, and no cutoff is given.", "Give cutoff=date."
                )
            ten_years = calendar.horizon(cutoff, _TEN_YEARS)
            if np.isfinite(weeks):
                weeks = calendar.horizon(cutoff, horizon_days)
                parts = calendar.segments(cutoff, horizon_days)
                edges, worth = parts.edges[1:], np.exp(-rate * parts.middles)
        points = _points()
        size = len(spend_draws["p"])
        which = np.minimum((points[3] * size).astype(int), size - 1)
        return cls(
            purchases=purchases,
            weeks=weeks,
            rate=rate,
            margin=margin,
            levels=(0.5 * (1.0 - interval), 0.5 * (1.0 + interval), *quantiles),
            light=light,
            intervals="map" not in inferences and not light,
            means=means,
            wait_interval=wait_interval,
            edges=edges,
            worth=worth,
            ten_years=ten_years,
            calendar=calendar,
            cutoff=cutoff,
            draws=thin_draws(draws, n_draws),
            spend=thin_draws(spend_draws, n_draws),
            points=points[:3],
            spend_at={name: values[which] for name, values in spend_draws.items()},
        )

    def with_draws(self, count: int) -> Question:
        """The same with exactly `count` draws of both models, the draws used in turn."""

        def exactly(draws: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
            return {name: np.resize(values, count) for name, values in draws.items()}

        return replace(self, draws=exactly(self.draws), spend=exactly(self.spend))

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of `answer`; times in weeks of the model's clock."""
        waits = NEXT_PURCHASE_COLUMNS if self.wait_interval else ()
        means = EXPECTATION_COLUMNS if self.means else ()
        of_purchases, of_clv = quantile_columns(self.levels[2:])
        return (*CLV_COLUMNS, *waits, *means, *of_purchases, *of_clv)

    @property
    def by_history(self) -> bool:
        """Whether what a living customer will do is theirs alone, and not a matter of T."""
        design = self.purchases._design
        numbers = design is not None and any(not column.levels for column in design.columns)
        return self.purchases.future_needs_recency or numbers

    @property
    def waits(self) -> tuple[float, ...]:
        """Levels at which the wait for the next purchase is asked for."""
        return (0.5, *self.levels[:2]) if self.wait_interval else (0.5,)

    def amounts(self, k: npt.NDArray[np.integer]) -> FloatArray:
        """Value of k purchases at each point, in units of the level; k is (n, points)."""
        p, most = self.spend_at["p"], int(k.max())
        for size in _AMOUNTS:
            if most < size:
                table = _amounts(p.tobytes(), size)
                return np.asarray(table[k, np.arange(len(p))])
        present, place = np.unique(k, return_inverse=True)
        if len(present) > _AMOUNTS[-1]:
            return np.asarray(gammaincinv(p * k, self.points[1]))
        some = np.asarray(gammaincinv(p * present[:, None], self.points[1]))
        return np.asarray(some[place.reshape(k.shape), np.arange(len(p))])

    def discounted(self, future: Future) -> FloatArray:
        """Discounted expected purchases in the horizon, (customers, draws)."""
        if not len(self.edges):
            return future.discounted(self.weeks, self.rate)
        total, before = np.zeros(1), np.zeros(1)
        for edge, worth in zip(self.edges, self.worth, strict=True):
            until = future.expected(float(edge))
            total, before = total + worth * (until - before), until
        return total


@lru_cache(maxsize=_KEPT)
def _amounts(p: bytes, size: int) -> FloatArray:
    """Value of 0 to size - 1 purchases at each point, (size, points).

    It depends on p at the points alone, and takes longer than all else for a few customers: it is
    kept from one prediction to the next, and for all models with the same model of spend.
    """
    k = np.arange(size)[:, None]
    out: FloatArray = gammaincinv(np.frombuffer(p) * np.maximum(k, 1), _points()[1]) * (k > 0)
    out.setflags(write=False)
    return out


@lru_cache(maxsize=1)
def _points() -> FloatArray:
    """The points, (4, points), by the first coordinate."""
    points = _low_discrepancy(_POINTS)
    points = points[:, np.argsort(points[0], kind="stable")]
    points.setflags(write=False)
    return points


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
