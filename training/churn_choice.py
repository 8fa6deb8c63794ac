"""Which churn candidate to take: on cutoffs before the test, which none of them was fitted on."""

import datetime as dt
from collections.abc import Sequence

import numpy as np

from training.churn_panel import ChurnSettings
from training.churn_rolling import Rolling
from training.metrics.choice import Simplest, simplest_not_worse

__all__ = ["VALIDATION_CUTOFFS", "choose_candidate", "validation_cutoffs"]

VALIDATION_CUTOFFS = 3
"""Latest closed cutoffs that decide."""


def validation_cutoffs(rolling: Rolling, until: dt.date) -> list[dt.date]:
    """The latest cutoffs whose labels have closed by a day and that can be foretold, ascending."""
    closed = [c for c in rolling.panel.closed_by(until) if rolling.can_score(c)]
    return closed[-VALIDATION_CUTOFFS:]


def choose_candidate(
    rolling: Rolling, names: Sequence[str], until: dt.date, settings: ChurnSettings, seed: int
) -> Simplest:
    """Apply the rule of `training.metrics.choice` to the candidates' forecasts at these cutoffs.

    Every forecast is out of time, its calibration included: it knows what had closed by its
    cutoff and no more. A customer's rows at several cutoffs are resampled together.

    Args:
        rolling: The candidates.
        names: The simplest first.
        until: The test cutoff.
        settings: What an offer costs.
        seed: Seed of the resampling.
    """
    cutoffs = validation_cutoffs(rolling, until)
    slices = [rolling.panel.slices[c] for c in cutoffs]
    return simplest_not_worse(
        np.concatenate([s.churned[s.eligible] for s in slices]),
        {
            name: np.concatenate(
                [
                    rolling.probability(name, c)[s.eligible]
                    for c, s in zip(cutoffs, slices, strict=True)
                ]
            )
            for name in names
        },
        np.concatenate([s.value[s.eligible] for s in slices]),
        settings.offer,
        np.concatenate([s.customers[s.eligible] for s in slices]),
        seed=seed,
    )
