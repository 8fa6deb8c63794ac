"""How well a score ranks customers by what a treatment does to them.

Customers are sorted by the score, the highest first. Among the first k of them,

    q(k) = Y_T(k) - Y_C(k) N_T(k) / N_C(k)

outcomes are due to the treatment (Radcliffe 2007, Direct Marketing Analytics Journal 1:14-21),
where Y are the outcomes and N the customers of an arm. A random order gives a straight line.
Libraries divide the area between the two by different things, so each number here says which:

- `area`: with q per treated customer and k as a share of all, so that the curve ends at the
  average effect and the area is in the unit of the outcome per customer;
- `sklift`: divided by the same area of the perfect order, as `qini_auc_score` of scikit-uplift does
  with `negative_effect=True`; for outcomes that are 0 or 1. A perfect order sees each customer's
  outcome, which no model can, so that even the true effects score far below 1.

Customers with equal scores are one step of the curve: their order says nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..base import ModelError
from .arms import checked_arms, checked_scores

__all__ = ["Qini", "Ranking", "autoc", "qini", "qini_band", "qini_curve", "true_qini", "uplift_at"]

Floats = npt.NDArray[np.float64]
REPLICATES = 500


@dataclass(frozen=True)
class Ranking:
    """A measure of a ranking and its interval; NaN where it is not defined."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Qini:
    """How well a score ranks, by several measures.

    Attributes:
        area: Area between Qini curve and random line, per customer.
        sklift: The same as a share of the perfect order's area.
        autoc: See `autoc`.
        replicates: Bootstrap replicates of `area`, to compare scores on the same customers.
    """

    area: Ranking
    sklift: Ranking
    autoc: Ranking
    replicates: Floats

    @property
    def beats_random(self) -> bool:
        """Whether the whole interval of the area lies above 0, where a random order is."""
        return self.area.low > 0


@dataclass(frozen=True)
class _Sorted:
    """Customers by descending score, and the last one of each group of equal scores."""

    y: Floats
    treated: Floats
    order: npt.NDArray[np.intp]
    ends: npt.NDArray[np.intp]

    @classmethod
    def by(cls, y: Floats, treated: npt.NDArray[np.bool_], score: Floats) -> _Sorted:
        order = np.argsort(-score, kind="stable")
        ends = np.append(np.flatnonzero(np.diff(score[order])), len(score) - 1)
        return cls(y[order], treated[order].astype(np.float64), order, ends)

    def curve(self, weight: Floats | None = None) -> tuple[Floats, Floats]:
        """Share of customers and q per treated customer after each group, from (0, 0) on."""
        t, y = self.treated, self.y
        w = np.ones(len(y)) if weight is None else weight[self.order]
        n_t, n = (w * t).cumsum()[self.ends], w.cumsum()[self.ends]
        y_t, y_all = (w * t * y).cumsum()[self.ends], (w * y).cumsum()[self.ends]
        n_c, y_c = n - n_t, y_all - y_t
        ratio = np.divide(n_t, n_c, out=np.zeros_like(n_t), where=n_c > 0)
        q = y_t - y_c * ratio
        # A draw may hold nobody of an arm: it has no curve.
        ends = q / n_t[-1] if 0 < n_t[-1] < n[-1] else np.full_like(q, np.nan)
        return np.append(0.0, n / n[-1]), np.append(0.0, ends)


def qini_curve(y: npt.ArrayLike, treated: npt.ArrayLike, score: npt.ArrayLike) -> pd.DataFrame:
    """The Qini curve.

    Args:
        y: Outcome of each customer.
        treated: 1 in the treatment arm, 0 in the control arm.
        score: The higher, the more the treatment is believed to do.

    Returns:
        One row a distinct score, after one with zeros: `share` of customers contacted, the highest
        scores first; `gain`, the effect so far in units of the outcome per customer (at share 1
        the average effect); `random`, that of a random choice of as many.

    Raises:
        ModelError: The arguments do not fit together, or an arm is empty.

    >>> qini_curve([1, 0, 0, 1], [1, 0, 1, 0], [3, 3, 1, 1]).round(2).to_dict("list")
    {'share': [0.0, 0.5, 1.0], 'gain': [0.0, 0.5, 0.0], 'random': [0.0, 0.0, 0.0]}
    """
    outcome, one = checked_arms(y, treated, fewest=1)
    share, gain = _Sorted.by(outcome, one, checked_scores(score, len(outcome))).curve()
    return pd.DataFrame({"share": share, "gain": gain, "random": share * gain[-1]})


def qini_band(
    y: npt.ArrayLike,
    treated: npt.ArrayLike,
    score: npt.ArrayLike,
    *,
    customers: npt.ArrayLike | None = None,
    points: int = 51,
    replicates: int = REPLICATES,
    seed: int = 0,
    level: float = 0.95,
) -> pd.DataFrame:
    """The Qini curve at evenly spaced shares, with its bootstrap interval, to draw.

    Args:
        y: As for `qini`, like all that are not named here.
        treated: Likewise.
        score: Likewise.
        customers: Likewise.
        points: Number of shares, from 0 to 1.
        replicates: Likewise.
        seed: Likewise.
        level: Likewise.

    Returns:
        Columns `share`, `gain`, `random` as `qini_curve`, and `low`, `high` of the gain.
    """
    outcome, one = checked_arms(y, treated, fewest=1)
    ranked = _Sorted.by(outcome, one, checked_scores(score, len(outcome)))
    share = np.linspace(0.0, 1.0, points)
    gain = np.interp(share, *ranked.curve())
    codes = pd.factorize(np.arange(len(outcome)) if customers is None else np.asarray(customers))[0]
    drawn = [np.interp(share, *ranked.curve(w)) for w in _draws(codes, replicates, seed)]
    low, high = np.nanquantile(drawn, [(1 - level) / 2, (1 + level) / 2], axis=0)
    random = share * gain[-1]
    return pd.DataFrame({"share": share, "gain": gain, "random": random, "low": low, "high": high})


def qini(
    y: npt.ArrayLike,
    treated: npt.ArrayLike,
    score: npt.ArrayLike,
    *,
    customers: npt.ArrayLike | None = None,
    replicates: int = REPLICATES,
    seed: int = 0,
    level: float = 0.95,
) -> Qini:
    """Measure a ranking, with bootstrap intervals.

    Customers are drawn with replacement, each with all rows they have, within no stratum: the
    number of treated customers varies as it would in another experiment.

    Args:
        y: Outcome of each row.
        treated: 1 in the treatment arm, 0 in the control arm.
        score: The higher, the more the treatment is believed to do.
        customers: Customer of each row; None: every row is a customer of its own.
        replicates: Bootstrap replicates; with 0 the intervals are missing.
        seed: Of the bootstrap. The same customers and seed are drawn alike for every score.
        level: Of the intervals.

    Raises:
        ModelError: As `qini_curve`.
    """
    outcome, one = checked_arms(y, treated, fewest=1)
    ranked = _Sorted.by(outcome, one, checked_scores(score, len(outcome)))
    binary = bool(np.isin(outcome, (0.0, 1.0)).all())
    best = _Sorted.by(outcome, one, outcome * one - outcome * ~one) if binary else None

    def measures(weight: Floats | None) -> tuple[float, float, float]:
        area = _area(*ranked.curve(weight))
        whole = math.nan if best is None else _area(*best.curve(weight))
        return area, area / whole if whole else math.nan, _autoc(ranked, weight)

    found = measures(None)
    codes = pd.factorize(np.arange(len(outcome)) if customers is None else np.asarray(customers))[0]
    drawn = [measures(weight) for weight in _draws(codes, replicates, seed)]
    columns = np.array(drawn).T if drawn else np.full((3, 0), np.nan)
    made = [_ranking(v, c, level) for v, c in zip(found, columns, strict=True)]
    return Qini(made[0], made[1], made[2], np.asarray(columns[0]))


def uplift_at(
    y: npt.ArrayLike,
    treated: npt.ArrayLike,
    score: npt.ArrayLike,
    share: float = 0.3,
    strategy: Literal["overall", "by_group"] = "overall",
) -> float:
    """The average effect among the customers with the highest scores (uplift@k).

    Args:
        y: Outcome of each customer.
        treated: 1 in the treatment arm, 0 in the control arm.
        score: The higher, the more the treatment is believed to do. Of equal scores the later
            rows come first, as in scikit-uplift.
        share: Share of customers that are contacted, above 0 and at most 1.
        strategy: "overall" takes the first `share` of all customers, and compares the arms among
            them; "by_group" takes the first `share` of each arm. Both are names of scikit-uplift.

    Returns:
        Mean outcome of the treated less that of the untreated among them; NaN where one of the
        arms has nobody there.

    Raises:
        ModelError: As `qini_curve`, or the share or the strategy is not one.
    """
    outcome, arm = checked_arms(y, treated, fewest=1)
    if not 0 < share <= 1:
        raise ModelError(f"share must be above 0 and at most 1, got {share}.")
    order = np.argsort(checked_scores(score, len(outcome)), kind="stable")[::-1]
    arm, outcome = arm[order], outcome[order]
    if strategy == "overall":
        first = int(len(arm) * share)
        one, other = outcome[:first][arm[:first]], outcome[:first][~arm[:first]]
    elif strategy == "by_group":
        one, other = (o[: int(len(o) * share)] for o in (outcome[arm], outcome[~arm]))
    else:
        raise ModelError(f"strategy must be overall or by_group, got {strategy!r}.")
    return float(one.mean() - other.mean()) if len(one) and len(other) else math.nan


def autoc(y: npt.ArrayLike, treated: npt.ArrayLike, score: npt.ArrayLike) -> float:
    """The area under the targeting operator curve, a rank-weighted average treatment effect.

    The curve is the average effect among the customers with the highest scores less that among
    all, and AUTOC its mean over all shares, which looks at the very top more than the Qini curve
    does (Yadlowsky, Fleming, Shah, Brunskill & Wager 2025, JASA 120:38-51). Effects are estimated
    by weighting with the shares of the arms.

    Returns:
        The area in units of the outcome; 0 for a ranking that says nothing.
    """
    outcome, one = checked_arms(y, treated, fewest=1)
    return _autoc(_Sorted.by(outcome, one, checked_scores(score, len(outcome))), None)


def true_qini(effect: npt.ArrayLike, score: npt.ArrayLike) -> float:
    """The area between curve and random line where each customer's true effect is known.

    For simulations: `true_qini(effect, effect)` is the oracle's.

    >>> true_qini([0.2, 0.0], [1, 0])
    0.025
    """
    tau = np.asarray(effect, dtype=np.float64)
    found = checked_scores(score, len(tau))
    order = np.argsort(-found, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(found[order])), len(found) - 1)
    gain = tau[order].cumsum()[ends] / len(tau)
    return _area(np.append(0.0, (ends + 1) / len(tau)), np.append(0.0, gain))


def _area(share: Floats, gain: Floats) -> float:
    return float(np.trapezoid(gain - share * gain[-1], share))


def _autoc(ranked: _Sorted, weight: Floats | None) -> float:
    w = np.ones(len(ranked.y)) if weight is None else weight[ranked.order]
    n = w.cumsum()
    share = float((w * ranked.treated).sum() / n[-1])
    if not 0 < share < 1:
        return math.nan
    effect = ranked.y * (ranked.treated / share - (1 - ranked.treated) / (1 - share))
    above = (w * effect).cumsum()[ranked.ends]
    upto = n[ranked.ends]
    mean = np.divide(above, upto, out=np.zeros_like(above), where=upto > 0)
    # Everybody in a group of equal scores sees the mean down to the group's end.
    steps = np.diff(upto, prepend=0.0)
    return float((steps * (mean - mean[-1])).sum() / n[-1])


def _draws(codes: npt.NDArray[np.intp], replicates: int, seed: int) -> Iterator[Floats]:
    rng, count = np.random.default_rng(seed), int(codes.max()) + 1
    for _ in range(replicates):
        drawn = np.bincount(rng.integers(0, count, count), minlength=count)
        yield drawn[codes].astype(np.float64)


def _ranking(value: float, replicates: Floats, level: float) -> Ranking:
    known = replicates[np.isfinite(replicates)]
    if not len(known):
        return Ranking(value, math.nan, math.nan)
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return Ranking(value, float(low), float(high))
