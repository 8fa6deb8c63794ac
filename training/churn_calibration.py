"""Which level a churn score has at a cutoff: calibrations judged at earlier cutoffs.

How many customers churn moves with the season, the age of the shop and the age of the training
data, and the score of a model cannot know all of it. The ranking survives such moves, the level
does not. No calibration is right everywhere: one learned from the latest closed cutoff is a whole
label window old, and in a shop with a season it corrects summer by spring. So every calibration
is a candidate, each is replayed at the earlier cutoffs, where its error is known, and the
calibrator for a new cutoff is their mean in log-odds, weighted by how near each came.

A candidate is a source and a method. The methods are those of `models.calibration`. The sources:

* `none`: the score as it is.
* `latest`, `pooled`: the newest closed cutoff; the newest three.
* `last_year`: the closed cutoffs around the same day one year earlier.
* `btyd`: the shift at which the mean probability of the customers to be scored equals the mean
  probability of no purchase under the purchase model. It needs no outcome, so it can be had
  where no label has closed yet.
* `btyd+latest`, `btyd+pooled`, `btyd+last_year`: scores are first brought to the level of the
  purchase model, at the source as at the target; the method learns what is then still missing.

The weight of a candidate k is its prior weight times (R_k / R_none) ** (-m / 2), with R_k the
mean regret at earlier targets: log loss above that of the best sigmoid in hindsight. Were level
errors normal with an unknown variance per candidate, this would be its posterior weight in a
Bayesian model average over m independent targets, as a regret is close to a squared error of the
level. Label windows overlap, so m counts windows that fit side by side, and old targets count
less. The error belongs to the cutoff and is shared by its customers; hence the number of
customers does not sharpen the weights.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from models.calibration import Calibrator, Method
from models.metrics.probability import brier, ece, log_loss, mean_p_minus_rate
from models.venn_abers import VennAbers
from training.calibration_candidates import (
    ANCHOR,
    NONE,
    Candidates,
    Key,
    Scored,
    Slice,
    Unlabelled,
    allowed_methods,
    anchor_of,
    slice_of,
)

__all__ = [
    "CHOSEN",
    "METHOD_PRIOR",
    "SOURCE_PRIOR",
    "CalibrationChoice",
    "Scored",
    "Unlabelled",
    "choose_calibration",
]

Floats = npt.NDArray[np.float64]

CHOSEN = "chosen"
"""Source, in the evidence, of what this very rule would have chosen at that cutoff."""

SOURCE_PRIOR: Mapping[str, float] = {
    "none": 0.25,
    ANCHOR: 1.0,
    "latest": 0.02,
    "pooled": 0.02,
    "last_year": 1.0,
    f"{ANCHOR}+latest": 0.02,
    f"{ANCHOR}+pooled": 0.02,
    f"{ANCHOR}+last_year": 3.0,
}
"""Weight before any evidence. Learned over made-up shops with and without seasons, trends and
shocks: without evidence a calibration of another season does more harm than good, and the level
of the purchase model is the best guess for a young shop."""

METHOD_PRIOR: Mapping[str, float] = {
    "identity": 1.0,
    "shift": 1.0,
    "platt": 0.1,
    "beta": 0.03,
    "isotonic": 0.01,
}
"""Weight of a method within its source: the more it can bend, the more it has to show."""

HALF_LIFE_DAYS = 365
"""An earlier target this old counts half."""
PRIOR_TARGETS, PRIOR_REGRET = 2.0, 0.001
"""Every candidate starts as if it had missed so often by so many nats: small differences between
candidates are luck. 0.001 is a level error of about 0.1 in log-odds."""
PRIOR_LEVEL_ERROR = 0.25
"""Level error, in log-odds, that is believed in before any is seen, as if seen once."""
LEAST_WEIGHT = 0.01
"""Candidates below this are left out of the mean."""

_GROUPS = ("all", "one_time", "repeat")
_KEYS = ("cutoff", "source", "method", "group")
_MEASURES = ("customers", "churn_rate", "log_loss", "brier", "ece", "mean_p_minus_rate")
_FAR = 20.0
_SAID = 3


@dataclass(frozen=True, eq=False)
class CalibrationChoice:
    """A calibrator for a cutoff, and why.

    Attributes:
        calibrator: From raw score to probability.
        interval: Around that probability. Its margin is `level_error`. Give it the raw score;
            `VennAbers.around` keeps the probability inside.
        source: Source of the candidate with the greatest weight.
        method: Its method.
        weights: "source/method" -> weight in the mean, greatest first; sums to one.
        level_error: How far off, in log-odds, this rule was at earlier cutoffs (root mean
            square, with one pseudo-cutoff).
        expected: Mean probability of the customers to be scored: all and, where known,
            one_time and repeat. The churn rate that is foretold.
        reason: Plain words.
        evidence: How each candidate did at each earlier cutoff. Columns cutoff, source, method,
            group (all, one_time, repeat), customers, churn_rate, log_loss, brier, ece,
            mean_p_minus_rate, and weight: that in the present choice. Source `CHOSEN` is the
            rule itself, with what it could know at that cutoff.
    """

    calibrator: Calibrator
    interval: VennAbers
    source: str
    method: str
    weights: Mapping[str, float]
    level_error: float
    expected: Mapping[str, float]
    reason: str
    evidence: pd.DataFrame


@dataclass(frozen=True, eq=False)
class _Judged:
    """What came of every candidate, and of the choice, at an earlier target."""

    day: dt.date
    regret: Mapping[Key, float]
    level_error: float


def choose_calibration(
    past: Sequence[Scored],
    target: dt.date,
    reach_days: int,
    *,
    now: Unlabelled | None = None,
    methods: Sequence[str] | None = None,
) -> CalibrationChoice:
    """Choose the calibration of a cutoff by how each kind did at earlier ones.

    Args:
        past: Earlier cutoffs, in any order. Those whose label window is open at `target` are
            ignored, and each earlier cutoff is judged with what had closed by itself.
        target: The cutoff to calibrate.
        reach_days: Days from a cutoff to the end of its label window: gap plus horizon.
        now: Its customers. Without them the sources on the purchase model are left out.
        methods: Methods allowed, of "none", "shift", "platt", "beta", "isotonic"; all by
            default. The score as it is always remains a candidate.

    Returns:
        The choice. It does not depend on the order of cutoffs or rows.

    Raises:
        ModelError: A score is not finite or an outcome not 0 or 1.
        ValueError: Two entries have the same cutoff, or a method is unknown.
    """
    allowed = allowed_methods(methods)
    reach = dt.timedelta(days=reach_days)
    closed = sorted((s for s in past if s.cutoff + reach <= target), key=lambda s: s.cutoff)
    if any(a.cutoff == b.cutoff for a, b in pairwise(closed)):
        raise ValueError("two entries have the same cutoff")
    slices = [slice_of(s) for s in closed]
    fits = Candidates(slices)

    judged: list[_Judged] = []
    rows: list[dict[str, Any]] = []
    for s in slices:
        known = [x for x in slices if x.day + reach <= s.day]
        candidates = fits.at(s.day, s.anchor, known, allowed)
        weights = _weights(candidates, [j for j in judged if j.day + reach <= s.day], s.day, reach)
        chosen = _mean(candidates, weights)
        hindsight: Method = "platt" if s.y.min() < s.y.max() else "shift"
        floor = log_loss(s.y, Calibrator.fit(hindsight, s.z, s.y)(s.z))
        regret = {}
        for key, calibrator in {**candidates, (CHOSEN, "mean"): chosen}.items():
            p = calibrator(s.z)
            regret[key] = max(log_loss(s.y, p) - floor, 0.0)
            rows += _measures(s, key, p)
        judged.append(_Judged(s.day, regret, _level_error(chosen, s)))

    anchor = None
    if now is not None and now.btyd is not None:
        anchor = anchor_of(np.asarray(now.score, np.float64), np.asarray(now.btyd, np.float64))
    candidates = fits.at(target, anchor, slices, allowed)
    weights = _weights(candidates, judged, target, reach)
    calibrator = _mean(candidates, weights)
    source, method = next(iter(weights))
    error = _usual_error(judged, target, reach)
    evidence = pd.DataFrame(rows, columns=[*_KEYS, *_MEASURES])
    evidence["weight"] = [
        weights.get(key, 0.0) for key in zip(evidence["source"], evidence["method"], strict=True)
    ]
    return CalibrationChoice(
        calibrator=calibrator,
        interval=_interval(calibrator, slices[-3:], error),
        source=source,
        method=method,
        weights={f"{s}/{m}": w for (s, m), w in weights.items()},
        level_error=error,
        expected={} if now is None else _expected(calibrator, now),
        reason=_reason(weights, judged),
        evidence=evidence,
    )


def _age_weights(days: Sequence[dt.date], target: dt.date, reach: dt.timedelta) -> Floats:
    """Weights of earlier targets, ascending days. Their sum counts independent new ones."""
    side_by_side = (days[-1] - days[0] + reach) / reach
    age = np.array([(target - reach - day).days for day in days], dtype=np.float64)
    return np.asarray(0.5 ** (age / HALF_LIFE_DAYS) * min(side_by_side / len(days), 1.0))


def _weights(
    candidates: Mapping[Key, Calibrator],
    judged: Sequence[_Judged],
    target: dt.date,
    reach: dt.timedelta,
) -> dict[Key, float]:
    """Weight of each candidate, greatest first; see the head of this module."""
    logs = {}
    for key in candidates:
        source, method = key
        log = float(np.log(SOURCE_PRIOR[source] * METHOD_PRIOR[method]))
        seen = [j for j in judged if key in j.regret]
        if seen:
            age = _age_weights([j.day for j in seen], target, reach)
            m = float(age.sum())
            start, total = PRIOR_TARGETS * PRIOR_REGRET, PRIOR_TARGETS + m
            mine, none = (
                (start + float(age @ [j.regret[k] for j in seen])) / total for k in (key, NONE)
            )
            log -= m / 2 * float(np.log(mine / none))
        logs[key] = log
    top = max(logs.values())
    raw = {key: float(np.exp(log - top)) for key, log in logs.items()}
    kept = {key: w for key, w in raw.items() if w >= LEAST_WEIGHT * sum(raw.values())}
    total = sum(kept.values())
    return {k: w / total for k, w in sorted(kept.items(), key=lambda item: (-item[1], item[0]))}


def _mean(candidates: Mapping[Key, Calibrator], weights: Mapping[Key, float]) -> Calibrator:
    return Calibrator.mean([candidates[key] for key in weights], list(weights.values()))


def _level_error(calibrator: Calibrator, s: Slice) -> float:
    """Shift that the calibrated log-odds would still have needed."""
    fitted = Calibrator.fit("shift", calibrator.log_odds(s.z), s.y)
    return float(fitted.parameters["b"])


def _usual_error(judged: Sequence[_Judged], target: dt.date, reach: dt.timedelta) -> float:
    total, squares = 1.0, PRIOR_LEVEL_ERROR**2
    if judged:
        age = _age_weights([j.day for j in judged], target, reach)
        total += float(age.sum())
        squares += float(age @ [j.level_error**2 for j in judged])
    return float(np.sqrt(squares / total))


def _interval(calibrator: Calibrator, slices: Sequence[Slice], margin: float) -> VennAbers:
    """Interval by the newest closed cutoffs, each moved to where the calibrator fits it.

    So it says how many customers had such a score; the level is that of the calibrator.
    """
    if not slices:
        return VennAbers(np.empty(0), np.empty(0), np.empty(0), margin)
    z = np.concatenate([s.z + _needed_move(calibrator, s) for s in slices])
    return VennAbers.fit(z, np.concatenate([s.y for s in slices]), margin)


def _needed_move(calibrator: Calibrator, s: Slice) -> float:
    """What to add to the scores so that the mean probability is the churn rate; bisection."""
    low, high, rate = -_FAR, _FAR, float(s.y.mean())
    for _ in range(40):
        middle = (low + high) / 2
        if calibrator(s.z + middle).mean() < rate:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _measures(s: Slice, key: Key, p: Floats) -> list[dict[str, Any]]:
    rows = []
    members = (np.ones(len(p), dtype=bool), s.one_time, ~s.one_time)
    for group, inside in zip(_GROUPS, members, strict=True):
        if not inside.any():
            continue
        y, q = s.y[inside], p[inside]
        found = (len(y), float(y.mean()), log_loss(y, q), brier(y, q), ece(y, q))
        values = (s.day, *key, group, *found, mean_p_minus_rate(y, q))
        rows.append(dict(zip((*_KEYS, *_MEASURES), values, strict=True)))
    return rows


def _expected(calibrator: Calibrator, now: Unlabelled) -> dict[str, float]:
    p = calibrator(now.score)
    parts = {"all": np.ones(len(p), dtype=bool)}
    if now.one_time is not None:
        once = np.asarray(now.one_time, dtype=bool)
        parts |= {"one_time": once, "repeat": ~once}
    return {name: float(np.sort(p[m]).mean()) for name, m in parts.items() if m.any()}


_WORDS = {
    "none": "the score as it is",
    ANCHOR: "the level of the purchase model",
    "latest": "the latest closed cutoff",
    "pooled": "the latest three closed cutoffs",
    "last_year": "the same season a year ago",
    f"{ANCHOR}+latest": "the purchase model's level, corrected by the latest closed cutoff",
    f"{ANCHOR}+pooled": "the purchase model's level, corrected by the latest three closed cutoffs",
    f"{ANCHOR}+last_year": "the purchase model's level, corrected by the same season a year ago",
}


def _reason(weights: Mapping[Key, float], judged: Sequence[_Judged]) -> str:
    parts = []
    for (source, method), weight in list(weights.items())[:_SAID]:
        how = "" if source in ("none", ANCHOR) else f" ({method})"
        parts.append(f"{weight:.0%} {_WORDS[source]}{how}")
    if len(weights) > _SAID:
        parts.append(f"{len(weights) - _SAID} more with less")
    count = len(judged)
    basis = (
        "no earlier cutoff has closed, so weighted as in other shops"
        if not count
        else f"weighted by how near each came at {count} earlier cutoff{'s' if count > 1 else ''}"
    )
    return f"{', '.join(parts)}; {basis}"
