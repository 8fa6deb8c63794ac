"""What every measure accepts: vectors of one length, checked."""

import numpy as np
import numpy.typing as npt

__all__ = ["Array", "labels", "pair", "probabilities"]

Array = npt.NDArray[np.float64]


def pair(y: npt.ArrayLike, p: npt.ArrayLike) -> tuple[Array, Array]:
    """Outcomes and forecasts as vectors of finite numbers.

    Raises:
        ValueError: Of different lengths, empty, or with `nan` or infinity.
    """
    actual = np.asarray(y, dtype=np.float64)
    forecast = np.asarray(p, dtype=np.float64)
    if actual.ndim != 1 or actual.shape != forecast.shape:
        raise ValueError(
            f"expected two vectors of one length, got shapes {actual.shape} and {forecast.shape}"
        )
    if actual.size == 0:
        raise ValueError("expected at least one customer, got none")
    if not (np.isfinite(actual).all() and np.isfinite(forecast).all()):
        raise ValueError("expected finite numbers, got nan or inf")
    return actual, forecast


def labels(y: npt.ArrayLike, p: npt.ArrayLike) -> tuple[Array, Array]:
    """The same, with outcomes 0 or 1 only."""
    actual, forecast = pair(y, p)
    if not np.isin(actual, (0.0, 1.0)).all():
        raise ValueError("expected labels 0 and 1")
    return actual, forecast


def probabilities(y: npt.ArrayLike, p: npt.ArrayLike) -> tuple[Array, Array]:
    """The same, with forecasts between 0 and 1 as well."""
    actual, forecast = labels(y, p)
    if forecast.min() < 0.0 or forecast.max() > 1.0:
        raise ValueError("expected probabilities between 0 and 1")
    return actual, forecast
