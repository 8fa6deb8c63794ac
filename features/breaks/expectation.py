"""What the days around a day lead one to expect of it, and how far chance may take it from that.

The level of a day is a trimmed mean of the days within four weeks of it, each divided by the factor
of its weekday. Counts scatter more than a Poisson's; how much more is learned from the series
itself, from the middle of its residuals, so that a few odd days do not hide themselves. Tails are
those of the negative binomial with that dispersion.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Expectation", "expect", "runs", "trimmed_mean", "weekday_factors"]

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

REACH = 28
"""Days on either side that a level is taken from."""
_TRIM = 0.2


@dataclass(frozen=True)
class Expectation:
    """What is expected of each day of a series.

    Attributes:
        mean: Expected counts, (days,).
        dispersion: Variance over mean, 1 or more.
        factor: Weekday factors, (7,), by the weekday of the series.
    """

    mean: Floats
    dispersion: float
    factor: Floats

    def above(self, counts: Floats) -> Floats:
        """Probability of so many or more, (days,)."""
        return _tail(counts - 1, self.mean, self.dispersion, upper=True)

    def below(self, counts: Floats) -> Floats:
        """Probability of so few or fewer, (days,)."""
        return _tail(counts, self.mean, self.dispersion, upper=False)


def expect(
    counts: Floats, weekday: npt.NDArray[np.int64], *, width: int = 1, reach: int = REACH
) -> Expectation:
    """Learn what is expected of each entry from its neighbours, never from itself.

    Args:
        counts: One entry a day, or a week.
        weekday: Weekday of each entry; all the same for weeks.
        width: Entries on either side that are left out with the entry itself.
        reach: Entries on either side that are taken.
    """
    factor = weekday_factors(counts, weekday)
    own = factor[weekday]
    with np.errstate(divide="ignore", invalid="ignore"):
        level = np.where(own > 0, counts / own, np.nan)
    mean = np.zeros(len(counts))
    for i in range(len(counts)):
        before = level[max(0, i - reach) : max(0, i - width + 1)]
        after = level[i + width : i + reach + 1]
        mean[i] = trimmed_mean(np.concatenate([before, after])) * own[i]
    seen = mean > 0.5
    dispersion = 1.0
    if seen.sum() >= 20:
        residual = (counts[seen] - mean[seen]) / np.sqrt(mean[seen])
        middle = np.median(np.abs(residual - np.median(residual)))
        dispersion = max(1.0, float((1.4826 * middle) ** 2))
    return Expectation(mean, dispersion, factor)


def weekday_factors(counts: Floats, weekday: npt.NDArray[np.int64]) -> Floats:
    """How busy each weekday is against the mean day, (7,); 0 where there is hardly ever anything.

    A weekday is closed when fewer than one in ten of at least four has anything.
    """
    if len(np.unique(weekday)) == 1 or not counts.any():
        return np.ones(7)
    window = np.ones(4 * 7)
    level = np.convolve(counts, window, "same") / np.convolve(np.ones(len(counts)), window, "same")
    ratio = np.divide(counts, level, out=np.full(len(counts), np.nan), where=level > 0)
    factor = np.ones(7)
    for k in range(7):
        of_kind = counts[weekday == k]
        closed = len(of_kind) >= 4 and (of_kind > 0).sum() * 10 < len(of_kind)
        factor[k] = 0.0 if closed else trimmed_mean(ratio[weekday == k])
    return factor


def trimmed_mean(values: Floats) -> float:
    """The mean without the lowest and the highest fifth; 0 of nothing.

    >>> trimmed_mean(np.array([1.0, 2.0, 3.0, 4.0, 1000.0]))
    3.0
    """
    known = np.sort(values[~np.isnan(values)])
    cut = int(_TRIM * len(known))
    kept = known[cut : len(known) - cut]
    return float(kept.mean()) if len(kept) else 0.0


def runs(flags: Bools, bridged: Bools | None = None) -> list[tuple[int, int]]:
    """First and last place of each run of true flags; places that are `bridged` end no run.

    >>> runs(np.array([True, False, True, False]), np.array([False, True, False, False]))
    [(0, 2)]
    """
    found: list[tuple[int, int]] = []
    open_run = False
    for i, flag in enumerate(flags):
        if flag:
            if open_run:
                found[-1] = (found[-1][0], i)
            else:
                found.append((i, i))
            open_run = True
        elif bridged is None or not bridged[i]:
            open_run = False
    return found


def _tail(counts: Floats, mean: Floats, dispersion: float, *, upper: bool) -> Floats:
    from scipy.stats import nbinom, poisson

    safe = np.maximum(mean, 1e-9)
    if dispersion <= 1.0 + 1e-9:
        tail = poisson.sf(counts, safe) if upper else poisson.cdf(counts, safe)
    else:
        size = safe / (dispersion - 1)
        chance = 1 / dispersion
        tail = nbinom.sf(counts, size, chance) if upper else nbinom.cdf(counts, size, chance)
    return np.asarray(tail, dtype=np.float64)
