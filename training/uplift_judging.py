"""Judge the learners of effects: choose one on earlier campaigns, measure it on the last."""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.booster import raw_scores
from models.uplift.examples import Examples, fit_base
from models.uplift.learners import LEARNERS, cross_fitted_effects, fit_effects
from models.uplift.qini import Qini, qini
from training.uplift_examples import Pool, Trial, Trials

__all__ = ["Judged", "judge", "threads_for"]

Floats = npt.NDArray[np.float64]

MANY_ROWS = 50_000
"""Rows from which on several threads are faster than one."""


@dataclass(frozen=True)
class Judged:
    """How the learners did on one kind of treatment.

    Attributes:
        kind: The kind.
        test: The campaign they were judged on.
        cross_fitted: Whether it is also the only one they were fitted on.
        learner: The one chosen.
        effects: Learner -> effects foretold on the test, shape (n,).
        found: Learner -> how these rank.
    """

    kind: str
    test: Trial
    cross_fitted: bool
    learner: str
    effects: Mapping[str, Floats]
    found: Mapping[str, Qini]

    @property
    def earned(self) -> bool:
        """Whether the chosen learner ranks better than chance, for sure."""
        return self.found[self.learner].beats_random


def threads_for(found: Trials) -> int:
    """Threads of training that suit so many rows."""
    rows = sum(len(trial.stayed) for trial in found.each)
    return min(4, os.cpu_count() or 1) if rows >= MANY_ROWS else 1


def judge(found: Trials, kind: str, seed: int) -> Judged:
    """Fit the learners on what had closed before the kind's last campaign, and judge them on it."""
    test = found.of(kind)[-1]
    earlier = found.before(test.campaign.first_day)
    alone = not earlier.of(kind)
    learned = Trials((test,), found.horizon_days) if alone else earlier
    threads = threads_for(learned)
    pool = Pool.of(learned, seed, threads)
    examples = pool.examples[kind]
    inside = {
        name: cross_fitted_effects(name, examples, seed=seed, num_threads=threads)
        for name in LEARNERS
    }
    if alone:
        effects = inside
    else:
        X = pool.inputs.matrix(test.features)
        base = raw_scores(fit_base(pool.inputs, pool.X, pool.y, seed=seed, num_threads=threads), X)
        effects = {
            name: fit_effects(name, examples, seed=seed, num_threads=threads)(X, base)
            for name in LEARNERS
        }
    ranked = {
        name: qini(test.stayed, test.treated, effect, seed=seed) for name, effect in effects.items()
    }
    return Judged(kind, test, alone, _choose(examples, inside), effects, ranked)


def _choose(examples: Examples, effects: Mapping[str, Floats]) -> str:
    """The learner with the lowest R-loss, `odds` where it is not worse for sure.

    The R-loss is the mean of (y - m - (T - e) tau)^2, with everything cross-fitted (Nie & Wager
    2021, Biometrika 108:299-319).
    """
    plain = 1 / (1 + np.exp(-examples.base))
    rest = examples.y - plain
    residual = examples.treated - examples.chance
    losses = {name: (rest - residual * effect) ** 2 for name, effect in effects.items()}
    simple = losses[LEARNERS[0]]
    best = min(losses, key=lambda name: math.fsum(losses[name]))
    gain = np.sort(simple - losses[best])
    error = gain.std() / math.sqrt(len(gain))
    return best if gain.mean() > 2 * error else LEARNERS[0]
