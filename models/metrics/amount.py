"""How far off is an expected number of purchases or amount of money?"""

import numpy as np
import numpy.typing as npt

from .inputs import pair

__all__ = ["bias", "mae", "nmae", "rmse"]


def mae(y: npt.ArrayLike, predicted: npt.ArrayLike) -> float:
    """Mean absolute error. Rewards the median: never read it without the bias beside it."""
    actual, forecast = pair(y, predicted)
    return float(np.abs(forecast - actual).mean())


def nmae(y: npt.ArrayLike, predicted: npt.ArrayLike) -> float:
    """Sum of absolute errors over the sum of what came (also WAPE); `nan` if nothing came."""
    actual, forecast = pair(y, predicted)
    total = actual.sum()
    return float(np.abs(forecast - actual).sum() / total) if total > 0 else float("nan")


def rmse(y: npt.ArrayLike, predicted: npt.ArrayLike) -> float:
    """Root of the mean squared error. Rewards the mean, and so the total."""
    actual, forecast = pair(y, predicted)
    return float(np.sqrt(np.mean((forecast - actual) ** 2)))


def bias(y: npt.ArrayLike, predicted: npt.ArrayLike) -> float:
    """Relative error of the total: sum predicted / sum actual - 1; `nan` if nothing came.

    >>> bias([1.0, 3.0], [2.0, 3.0])
    0.25
    """
    actual, forecast = pair(y, predicted)
    total = actual.sum()
    return float(forecast.sum() / total - 1) if total > 0 else float("nan")
