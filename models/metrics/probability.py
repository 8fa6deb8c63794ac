"""Does 70 % mean 70 %? Measures of the level of a churn probability."""

from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import special, stats

from .inputs import Array, probabilities

__all__ = [
    "bins_of",
    "brier",
    "ece",
    "level_is_off",
    "log_loss",
    "mean_p_minus_rate",
    "reliability_table",
]

_LEVEL = 0.05  # a sound model is within 1 to 4 points out of time; monitoring tolerates as much


def brier(y: npt.ArrayLike, p: npt.ArrayLike) -> float:
    """Mean squared error of the probability, mean (p - y)^2 (Brier 1950).

    >>> brier([0, 1], [0.5, 0.5])
    0.25
    """
    actual, forecast = probabilities(y, p)
    return float(np.mean((forecast - actual) ** 2))


def log_loss(y: npt.ArrayLike, p: npt.ArrayLike) -> float:
    """Minus the mean log-likelihood: -mean[y ln p + (1 - y) ln(1 - p)].

    Probabilities are held within machine epsilon of 0 and 1, as scikit-learn does, so one
    confident mistake costs 36 nats and not infinity.
    """
    actual, forecast = probabilities(y, p)
    eps = np.finfo(np.float64).eps
    inside = np.clip(forecast, eps, 1 - eps)
    return float(-np.mean(special.xlogy(actual, inside) + special.xlog1py(1 - actual, -inside)))


def mean_p_minus_rate(y: npt.ArrayLike, p: npt.ArrayLike) -> float:
    """Calibration in the large: mean forecast minus the rate that came.

    Above zero: churn was overstated. The first thing to look at when a season changes.
    """
    actual, forecast = probabilities(y, p)
    return float(forecast.mean() - actual.mean())


def level_is_off(value: float, low: float, high: float) -> bool:
    """Whether `mean_p_minus_rate` is more than 5 points, and its interval does not hold zero.

    >>> level_is_off(0.11, 0.09, 0.13), level_is_off(0.11, -0.01, 0.23), level_is_off(0.04, 0, 0)
    (True, False, False)
    """
    return abs(value) > _LEVEL and (low > 0.0 or high < 0.0)


def bins_of(forecast: Array, bins: int, kind: Literal["width", "mass"]) -> npt.NDArray[np.int64]:
    """Bin of each forecast, 0 to bins - 1."""
    if bins < 1:
        raise ValueError(f"expected at least one bin, got {bins}")
    if kind == "width":
        return np.minimum((forecast * bins).astype(np.int64), bins - 1)
    # Equal mass by mid-rank: customers with the same forecast stay together.
    return np.minimum(
        ((stats.rankdata(forecast) - 0.5) / forecast.size * bins).astype(np.int64), bins - 1
    )


def ece(
    y: npt.ArrayLike,
    p: npt.ArrayLike,
    bins: int = 10,
    kind: Literal["width", "mass"] = "width",
) -> float:
    """Expected calibration error: sum over bins of (n_b / N) |mean p_b - mean y_b|.

    Naeini, Cooper and Hauskrecht 2015, AAAI. `width` cuts [0, 1] into equal steps, `mass`
    cuts the customers into groups of one size (forecasts that are equal stay together).
    """
    actual, forecast = probabilities(y, p)
    place = bins_of(forecast, bins, kind)
    return float(np.abs(np.bincount(place, weights=forecast - actual)).sum() / actual.size)


def reliability_table(y: npt.ArrayLike, p: npt.ArrayLike, bins: int = 10) -> dict[str, Array]:
    """What a reliability diagram shows: equal-mass bins of the forecast.

    Returns:
        Columns `bin` (from 1), `customers`, `mean_p`, `churn_rate`, and `low`, `high`: the
        Wilson 95 % interval of the churn rate (Wilson 1927). Empty bins are left out.
    """
    actual, forecast = probabilities(y, p)
    place = bins_of(forecast, bins, "mass")
    customers = np.bincount(place, minlength=bins).astype(np.float64)
    kept = customers > 0
    customers = customers[kept]
    mean_p = np.bincount(place, weights=forecast, minlength=bins)[kept] / customers
    rate = np.bincount(place, weights=actual, minlength=bins)[kept] / customers
    z2 = stats.norm.ppf(0.975) ** 2
    centre = (rate + z2 / (2 * customers)) / (1 + z2 / customers)
    half = (
        np.sqrt(z2 * (rate * (1 - rate) / customers + z2 / (4 * customers**2)))
        / (1 + z2 / customers)
    )  # fmt: skip
    return {
        "bin": np.flatnonzero(kept).astype(np.float64) + 1,
        "customers": customers,
        "mean_p": mean_p,
        "churn_rate": rate,
        # Rounding must not leave the rate of an all-or-none bin outside its own interval.
        "low": np.clip(np.minimum(centre - half, rate), 0.0, 1.0),
        "high": np.clip(np.maximum(centre + half, rate), 0.0, 1.0),
    }
