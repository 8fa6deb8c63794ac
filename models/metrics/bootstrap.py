"""How sure is a measure? Customers drawn again, all their rows with them.

A customer can be in a table several times, once a cutoff, and their rows tell nearly the same
story. So customers are drawn with replacement, not rows (the clustered bootstrap: Field and Welsh
2007, JRSS B 69:369-390): every row counts as often as its customer was drawn. The draws follow
from the set of customers and the seed alone. So candidates measured on the same customers are
compared draw by draw, and no byte depends on the order of rows that carry customer ids.

A replicate is one pass over rows that were sorted once, so time grows with rows times
replicates, and memory with rows only.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import special

from ..decision import Offer, expected_value
from .inputs import Array, probabilities
from .probability import bins_of
from .profit import customer_profit, expected_maximum, values

__all__ = [
    "Difference",
    "Interval",
    "Resampled",
    "customer_draws",
    "difference",
    "distinct_customers",
    "paired_difference",
    "resample",
    "resampled_means",
]

_FOLDED = ("ece", "ece_mass")
"""Measures that noise can only raise; see `Resampled.interval`."""


class Interval(NamedTuple):
    """A measure and its confidence interval."""

    value: float
    low: float
    high: float


class Difference(NamedTuple):
    """One candidate's measure minus another's, on the same customers.

    Attributes:
        value: On all customers.
        low: Lower end of the confidence interval.
        high: Upper end.
        p_value: One-sided: of the replicates (and the sample itself), the share in which the
            difference is zero or has the other sign. Small: the sign is no accident.
    """

    value: float
    low: float
    high: float
    p_value: float


def distinct_customers(
    customers: npt.ArrayLike | None, rows: int
) -> tuple[npt.NDArray[np.int64], int]:
    """Number each row's customer, in the order of their sorted ids.

    Args:
        customers: Customer of each row; None: every row is a customer of its own.
        rows: Number of rows.

    Returns:
        The number of each row's customer, and how many customers there are.

    Raises:
        ValueError: Not one id a row.
    """
    if customers is None:
        return np.arange(rows), rows
    ids = np.asarray(customers)
    if ids.shape != (rows,):
        raise ValueError(f"expected {rows} customer ids, got shape {ids.shape}")
    code, distinct = pd.factorize(ids, sort=True)
    if (code < 0).any():
        raise ValueError("expected a customer id in every row")
    return np.asarray(code, dtype=np.int64), len(distinct)


def customer_draws(customers: int, replicates: int, seed: int) -> Iterator[Array]:
    """How often each customer is drawn, one vector of that many counts a replicate.

    Raises:
        ValueError: No replicate is asked for.
    """
    if replicates < 1:
        raise ValueError(f"expected at least one replicate, got {replicates}")
    rng = np.random.default_rng(seed)
    for _ in range(replicates):
        drawn = rng.integers(0, customers, customers)
        yield np.bincount(drawn, minlength=customers).astype(np.float64)


@dataclass(frozen=True)
class Resampled:
    """Measures of one forecast, on the sample and on every replicate.

    Attributes:
        sample: Measure -> its value on all customers.
        replicates: Measure -> its value on each replicate, `nan` where it is not defined.
        drawn: What two forecasts must share to be compared draw by draw: rows, churners,
            customers, replicates and seed.
    """

    sample: Mapping[str, float]
    replicates: Mapping[str, Array]
    drawn: tuple[int, int, int, int, int]

    def interval(self, name: str, level: float = 0.95) -> Interval:
        """Confidence interval of a measure.

        Quantiles of the replicates. Not so for the calibration errors, which add up the
        sizes of errors: noise raises them, in a replicate once more than in the sample, so
        quantiles lie too high. Error and noise add up like the legs of a right triangle, so
        the squares of those quantiles are mirrored at the square of the sample's value (the
        basic interval: Davison and Hinkley 1997, section 5.2.1). The interval holds the value
        and ends at zero.
        """
        value, draws = self.sample[name], self.replicates[name]
        low, high = _quantiles(draws, level)
        if name.rsplit("/", 1)[-1] in _FOLDED:
            least, most = 2 * value**2 - high**2, 2 * value**2 - low**2
            low, high = math.sqrt(max(least, 0.0)), math.sqrt(max(most, value**2))
            low = min(low, value)
        return Interval(value, low, high)

    def intervals(self, level: float = 0.95) -> dict[str, Interval]:
        """Confidence intervals of all measures."""
        return {name: self.interval(name, level) for name in self.sample}

    def minus(self, other: "Resampled", name: str, level: float = 0.95) -> Difference:
        """This forecast's measure minus another's, draw by draw.

        Raises:
            ValueError: The two were not measured on the same draws.
        """
        if self.drawn != other.drawn:
            raise ValueError(
                "expected forecasts for the same customers, resampled with the same seed and "
                f"replicates, got {self.drawn} and {other.drawn}"
            )
        return difference(
            self.sample[name] - other.sample[name],
            self.replicates[name] - other.replicates[name],
            level,
        )


def resampled_means(
    rows: Array, code: npt.NDArray[np.int64], customers: int, replicates: int, seed: int
) -> Array:
    """Mean of several quantities on resampled customers.

    Args:
        rows: Quantities x rows.
        code: Number of each row's customer, from `distinct_customers`.
        customers: How many customers there are.
        replicates: Number of draws.
        seed: Seed of the draws.

    Returns:
        Shape (replicates, quantities).
    """
    by_customer = np.stack([np.bincount(code, weights=row, minlength=customers) for row in rows])
    size = np.bincount(code, minlength=customers).astype(np.float64)
    out = np.empty((replicates, len(rows)))
    for i, drawn in enumerate(customer_draws(customers, replicates, seed)):
        # einsum and not @: the same bytes whatever the number of threads.
        out[i] = np.einsum("kc,c->k", by_customer, drawn) / (drawn * size).sum()
    return out


def difference(value: float, draws: Array, level: float = 0.95) -> Difference:
    """Interval and one-sided p-value of a difference, from its replicates."""
    defined = draws[np.isfinite(draws)]
    against = (defined <= 0.0).sum() if value > 0.0 else (defined >= 0.0).sum()
    return Difference(value, *_quantiles(draws, level), float((1 + against) / (1 + defined.size)))


def _quantiles(draws: Array, level: float) -> tuple[float, float]:
    if not 0.0 < level < 1.0:
        raise ValueError(f"expected a level between 0 and 1, got {level}")
    defined = draws[np.isfinite(draws)]
    if not defined.size:
        return math.nan, math.nan
    low, high = np.quantile(defined, [0.5 * (1 - level), 0.5 * (1 + level)])
    return float(low), float(high)


class _Rows:
    """Rows sorted by score, with everything that does not change between replicates."""

    def __init__(
        self,
        y: Array,
        p: Array,
        code: npt.NDArray[np.int64],
        value: Array,
        weight: Array,
        offer: Offer | None,
    ) -> None:
        # Down to the last column, so that equal rows only can change places.
        order = np.lexsort((weight, value, y, code, -p))
        y, p, self.code, value = y[order], p[order], code[order], value[order]
        self.weight = weight[order]
        first = np.concatenate([[True], p[1:] != p[:-1]])
        self.starts = None if first.all() else np.flatnonzero(first)
        self.y = y
        eps = np.finfo(np.float64).eps
        inside = np.clip(p, eps, 1 - eps)
        self.means = {
            "brier": (p - y) ** 2,
            "log_loss": -(special.xlogy(y, inside) + special.xlog1py(1 - y, -inside)),
            "mean_p_minus_rate": p - y,
        }
        if offer is not None:
            promise = expected_value(p, value, offer)
            came = customer_profit(y, value, offer)
            self.means["expected_profit"] = np.where(promise > 0.0, promise, 0.0)
            self.means["realised_profit"] = np.where(promise > 0.0, came, 0.0)
        # The groups of the sample: where a group ends is part of the measure, not of the noise.
        self.bins = {"ece": bins_of(p, 10, "width"), "ece_mass": bins_of(p, 10, "mass")}

    def measures(self, drawn: Array) -> dict[str, float]:
        """All measures, each row counting as often as its customer was drawn, times its weight."""
        weight = drawn[self.code] * self.weight
        total = weight.sum()
        found = {name: float((weight * each).sum() / total) for name, each in self.means.items()}
        gap = weight * self.means["mean_p_minus_rate"]
        for name, place in self.bins.items():
            found[name] = float(np.abs(np.bincount(place, weights=gap)).sum() / total)
        hits, size = weight * self.y, weight
        if self.starts is not None:
            size, hits = np.add.reduceat(size, self.starts), np.add.reduceat(hits, self.starts)
        counted = size > 0.0
        size, hits = size[counted], hits[counted]
        caught, contacted = np.cumsum(hits), np.cumsum(size)
        churners = caught[-1]
        stayers = total - churners
        found["empc"] = expected_maximum(size, hits).profit
        if churners > 0.0:
            found["pr_auc"] = float((hits * caught / contacted).sum() / churners)
            top = np.interp(0.1 * total, np.append(0.0, contacted), np.append(0.0, caught))
            found["lift_at_10"] = float(top / (0.1 * churners))
        if churners > 0.0 and stayers > 0.0:
            # A churner beats the stayers below, and half of those with the same score.
            below = ((size - hits) * (caught - 0.5 * hits)).sum()
            found["roc_auc"] = float(below / (churners * stayers))
        return found


_NAMES = (
    *("roc_auc", "pr_auc", "brier", "log_loss", "ece", "ece_mass", "mean_p_minus_rate"),
    *("lift_at_10", "empc", "expected_profit", "realised_profit"),
)


def resample(
    y: npt.ArrayLike,
    p: npt.ArrayLike,
    customers: npt.ArrayLike | None = None,
    *,
    prefix: str = "churn",
    value: npt.ArrayLike | None = None,
    offer: Offer | None = None,
    weights: npt.ArrayLike | None = None,
    replicates: int = 200,
    seed: int = 0,
    most: int | None = None,
) -> Resampled:
    """All measures of a churn probability on resampled customers.

    The measures are those of `ranking`, `probability` and `profit` under the names every run uses.

    Args:
        y: 1 where the customer made no purchase in the horizon.
        p: Forecast probability of that.
        customers: Customer of each row; None: every row is a customer of its own.
        prefix: First part of each name.
        value: Money that the customer brings who stays, for the measures of profit.
        offer: What is sent; with it, `value` is needed.
        weights: How many customers each row stands for; one by default.
        replicates: 200 do for a standard error, 1,000 for the ends of a 95 % interval.
        seed: Same customers, same seed: same draws.
        most: Of more customers than this, so many are drawn from by lot, and how far a replicate
            lies from what it was drawn from is scaled by the root of the two sizes, as the standard
            error is (subsampling: Politis, Romano and Wolf 1999, section 2.2). None: no limit.

    Raises:
        ValueError: The arguments do not fit together.
    """
    actual, forecast = probabilities(y, p)
    if (offer is None) != (value is None):
        raise ValueError("expected an offer and values, or neither")
    code, size = distinct_customers(customers, actual.size)
    worth = values(0.0 if value is None else value, actual.size)
    weight = values(1.0 if weights is None else weights, actual.size)
    if (weight < 0.0).any() or not weight.sum() > 0.0:
        raise ValueError("expected weights of zero or more, not all of them zero")
    rows = _Rows(actual, forecast, code, worth, weight, offer)
    sample = rows.measures(np.ones(size))
    names = [name for name in _NAMES if name in sample]
    found = {f"{prefix}/{name}": np.full(replicates, np.nan) for name in names}
    base, drawn_of, shrink = sample, size, 1.0
    if most is not None and size > most:
        picked = np.zeros(size, dtype=bool)
        picked[np.random.default_rng(seed).choice(size, most, replace=False)] = True
        keep = picked[code]
        again = np.cumsum(picked) - 1
        rows = _Rows(
            actual[keep], forecast[keep], again[code[keep]], worth[keep], weight[keep], offer
        )
        base, drawn_of, shrink = rows.measures(np.ones(most)), most, math.sqrt(most / size)
    for i, drawn in enumerate(customer_draws(drawn_of, replicates, seed)):
        for name, measured in rows.measures(drawn).items():
            if name in sample:
                away = measured - base.get(name, math.nan)
                found[f"{prefix}/{name}"][i] = (
                    measured if shrink == 1.0 else sample[name] + shrink * away
                )
    return Resampled(
        {f"{prefix}/{name}": sample[name] for name in names},
        found,
        (actual.size, int(actual.sum()), size, replicates, seed),
    )


def paired_difference(
    metric: str,
    y: npt.ArrayLike,
    p_a: npt.ArrayLike,
    p_b: npt.ArrayLike,
    customers: npt.ArrayLike | None = None,
    *,
    value: npt.ArrayLike | None = None,
    offer: Offer | None = None,
    replicates: int = 200,
    seed: int = 0,
    level: float = 0.95,
) -> Difference:
    """A measure of forecast a minus that of forecast b, each draw applied to both.

    Args:
        metric: Its name without a prefix, such as `roc_auc`.
        y: 1 where the customer made no purchase in the horizon.
        p_a: One forecast.
        p_b: The other one, of the same rows.
        customers: Customer of each row; None: every row is a customer of its own.
        value: Money that the customer brings who stays, for the measures of profit.
        offer: What is sent; with it, `value` is needed.
        replicates: Number of draws.
        seed: Seed of the draws.
        level: Of the interval.

    Raises:
        ValueError: There is no such measure of these outcomes.
    """
    a, b = (
        resample(
            y, p, customers, prefix="", value=value, offer=offer, replicates=replicates, seed=seed
        )
        for p in (p_a, p_b)
    )
    if f"/{metric}" not in a.sample:
        known = ", ".join(name[1:] for name in a.sample)
        raise ValueError(f"expected one of {known}, got {metric}")
    return a.minus(b, f"/{metric}", level)
