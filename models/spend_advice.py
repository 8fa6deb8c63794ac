"""What is doubtful about a fitted spend model, in figures and in words."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.special import ndtr

from .base import ModelError
from .btyd.formulas import FloatArray
from .btyd.histories import ranked
from .spend_effects import ScaleBy

__all__ = ["HEAVY_TAIL_HINT", "advise", "check_settled", "dependence", "largest"]

_HEAVY_TAIL = 0.05  # q - 1 at the mode below which the mean of spend does not settle
_UNSETTLED, _UNSTEADY = 1.5, 1.1  # mean over median of the population mean among the draws
_DEPENDENT = 0.15  # correlation of number and value of purchases that asks for advice

HEAVY_TAIL_HINT = (
    "A few purchases are so large that the mean does not settle. Leave out or cap customers of "
    "another kind (for example wholesale accounts), or model them apart."
)


def check_settled(
    q: float, draws: Mapping[str, FloatArray], spend: FloatArray, weight: FloatArray
) -> None:
    """Refuse a posterior of which the mean spend has no sensible value.

    Args:
        q: At the mode.
        draws: Of p, q and gamma.
        spend: All that each customer has spent, (n,).
        weight: Customers a row stands for, (n,).

    Raises:
        ModelError: q is next to 1, or the draws of the mean lie too far apart.
    """
    endless = q < 1.0 + _HEAVY_TAIL
    if endless or _unsettled(draws) >= _UNSETTLED:
        what = "is not finite" if endless else "does not settle"
        raise ModelError(
            f"Mean spend {what}: q is {q:.3f}. {largest(spend, weight)}", HEAVY_TAIL_HINT
        )


def advise(
    q: float,
    draws: Mapping[str, FloatArray],
    spend: FloatArray,
    weight: FloatArray,
    found: Mapping[str, float],
    scale_by: ScaleBy | None,
) -> str:
    """What is doubtful and what to try, one line each; empty when all is well.

    Args:
        q: At the mode.
        draws: Of p, q and gamma.
        spend: All that each customer has spent, (n,).
        weight: Customers a row stands for, (n,).
        found: What `dependence` gave.
        scale_by: How the model lets spend depend on frequency.
    """
    lines = []
    strongest = max(abs(found["correlation"]), abs(found["rank_correlation"]))
    by_chance = 1.959964 / np.sqrt(max(float(weight.sum()) - 3.0, 1.0))
    if strongest > max(_DEPENDENT, by_chance):
        lines.append(_dependence_advice(found, scale_by))
    if _unsettled(draws) > _UNSTEADY:
        lines.append(
            f"Mean spend hardly settles: q is {q:.2f}. {largest(spend, weight)} {HEAVY_TAIL_HINT}"
        )
    return "\n".join(lines)


def _unsettled(draws: Mapping[str, FloatArray]) -> float:
    """Mean over median of the population mean among the draws: 1 where they agree."""
    mean = draws["p"] * draws["gamma"] / (draws["q"] - 1.0)
    return float(mean.mean() / np.median(mean))


def largest(spend: FloatArray, weight: FloatArray) -> str:
    """What share of all spend the largest customers hold, as a sentence."""
    order = np.argsort(-spend)
    people = np.cumsum(weight[order])
    held = np.cumsum((spend * weight)[order]) / float(spend @ weight)
    top = int(np.searchsorted(people, max(1.0, 0.01 * people[-1]), side="left"))
    return (
        f"The largest customers, {people[top]:,.0f} of {people[-1]:,.0f}, hold {held[top]:.0%} of "
        "all spend."
    )


def dependence(x: FloatArray, money: FloatArray, weight: FloatArray) -> dict[str, float]:
    """Correlations of number and mean value of purchases.

    The interval of the rank correlation is that of Fieller, Hartley & Pearson (1957), "Tests
    for rank correlation coefficients. I", Biometrika 44(3/4): Fisher's z with variance
    1.06 / (n - 3).
    """
    rank = _correlation(_ranks(x, weight), _ranks(money, weight), weight)
    error = np.sqrt(1.06 / max(float(weight.sum()) - 3.0, 1.0))
    z = np.arctanh(np.clip(rank, -1.0 + 1e-12, 1.0 - 1e-12))
    return {
        "correlation": _correlation(x, money, weight),
        "rank_correlation": rank,
        "rank_correlation_low": float(np.tanh(z - 1.959964 * error)),
        "rank_correlation_high": float(np.tanh(z + 1.959964 * error)),
        "rank_correlation_p": float(2.0 * ndtr(-abs(z) / error)),
    }


def _dependence_advice(figures: Mapping[str, float], scale_by: ScaleBy | None) -> str:
    more = figures["rank_correlation"] + figures["correlation"] > 0.0
    found = (
        f"Customers who buy more often spend {'more' if more else 'less'} at a purchase: "
        f"correlation {figures['correlation']:.2f}, of ranks "
        f"{figures['rank_correlation']:.2f}, p {figures['rank_correlation_p']:.2g}."
    )
    if scale_by is not None:
        return f"{found} The model allows for it by {scale_by}."
    return (
        f"{found} Gamma-Gamma takes them to be independent: compare gamma_gamma_by_frequency and "
        "gamma_gamma_by_tier in a backtest."
    )


def _ranks(values: FloatArray, weight: FloatArray) -> FloatArray:
    """Middle ranks, each row standing for `weight` customers."""
    found, place = ranked(values)
    held = np.bincount(place, weight, minlength=len(found))
    out: FloatArray = (np.cumsum(held) - 0.5 * held)[place]
    return out


def _correlation(x: FloatArray, money: FloatArray, weight: FloatArray) -> float:
    covariance = np.cov(np.stack([x, money]), aweights=weight)
    spread = float(np.sqrt(covariance[0, 0] * covariance[1, 1]))
    return float(covariance[0, 1]) / spread if spread > 0.0 else 0.0
