"""Is the stated uncertainty right? Measures of intervals and predictive draws."""

import numpy as np
import numpy.typing as npt

from .inputs import pair

__all__ = ["coverage", "crps", "held", "pit_ks", "randomised_pit"]


def coverage(pit: npt.ArrayLike, level: float = 0.90) -> float:
    """Share of outcomes inside the central predictive interval of a level.

    Counts and zero-heavy money have no interval that holds exactly 90 %: one that starts at
    zero holds every zero, and coverage by "inside or not" is above the level for a perfect
    forecast. Read off randomised PIT values, it equals the level if the forecast is right.

    Args:
        pit: Randomised PIT values, one an outcome.
        level: Probability of the interval.

    >>> coverage([0.01, 0.2, 0.5, 0.97], 0.90)
    0.5
    """
    values = np.asarray(pit, dtype=np.float64)
    edge = 0.5 * (1.0 - level)
    return float(((values >= edge) & (values <= 1.0 - edge)).mean())


def held(y: npt.ArrayLike, low: npt.ArrayLike, high: npt.ArrayLike) -> float:
    """Share of customers whose outcome lies in [low, high], ends included.

    What a reader of the interval sees: at least the nominal level, and above it with many zeros.
    """
    actual, lower = pair(y, low)
    _, upper = pair(y, high)
    if (lower > upper).any():
        raise ValueError("expected low <= high")
    return float(((actual >= lower) & (actual <= upper)).mean())


def crps(y: npt.ArrayLike, draws: npt.ArrayLike) -> float:
    """Continuous ranked probability score of predictive draws, mean over customers.

    E|X - y| - E|X - X'| / 2 over the empirical distribution of the draws (Gneiting and
    Raftery 2007, JASA 102:359-378, eq. 21), by sorting: no pair is formed.

    Args:
        y: n outcomes.
        draws: (n, m) predictive draws, a row a customer.

    Returns:
        In the units of `y`; equals the absolute error when all draws agree.

    >>> crps([3.0], [[1.0, 1.0]])
    2.0
    """
    actual = np.asarray(y, dtype=np.float64)
    sample = np.sort(np.asarray(draws, dtype=np.float64), axis=1)
    if sample.shape[:1] != actual.shape:
        raise ValueError(f"expected one row of draws a customer, got shape {sample.shape}")
    m = sample.shape[1]
    off = np.abs(sample - actual[:, None]).mean(axis=1)
    weight = (2 * np.arange(1, m + 1) - m - 1) / m**2
    return float((off - sample @ weight).mean())


def randomised_pit(
    y: npt.ArrayLike, draws: npt.ArrayLike, rng: np.random.Generator, *, spaced: bool = False
) -> npt.NDArray[np.float64]:
    """Where each outcome falls in its predictive distribution, uniform if that is right.

    F(y-) + U (F(y) - F(y-)): the jump at `y` (a count, or no spend at all) is spread evenly
    (Brockwell 2007; Czado, Gneiting and Held 2009, Biometrics 65:1254-1261). For draws F is
    theirs with the outcome counted among them, (rank + U) / (m + 1), so that it is uniform for
    finitely many draws too. For evenly spaced quantiles it is read between their levels.

    Args:
        y: n outcomes.
        draws: (n, m) predictive draws, a row a customer.
        rng: Source of U; the same seed gives the same answer.
        spaced: The points are no draws, but the quantiles at the levels (i + 1/2) / m.
    """
    actual = np.asarray(y, dtype=np.float64)[:, None]
    sample = np.asarray(draws, dtype=np.float64)
    below = (sample < actual).sum(axis=1)
    equal = (sample == actual).sum(axis=1)
    m, u = sample.shape[1], rng.random(actual.size)
    if spaced:
        low = np.maximum(below - 0.5, 0.0) / m
        high = np.minimum(below + equal + 0.5, m) / m
        return np.asarray(low + u * (high - low))
    return np.asarray((below + u * (equal + 1)) / (m + 1))


def pit_ks(pit: npt.ArrayLike) -> float:
    """Largest gap between the distribution of the PIT values and the uniform one.

    The Kolmogorov-Smirnov statistic: 0 is perfect, about 1.36 / sqrt(n) is the 95 % point
    for a right forecast.
    """
    values = np.sort(np.asarray(pit, dtype=np.float64))
    n = values.size
    steps = np.arange(1, n + 1) / n
    return float(max((steps - values).max(), (values - (steps - 1 / n)).max()))
