"""What an uplift training lays before the gate: how well effects rank the customers of a test."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from features.settings import FeatureSettings
from models.base import ModelError
from models.metrics.bootstrap import Resampled
from models.uplift.qini import REPLICATES, qini
from training.dataset import Holdout
from training.gate import Yardstick
from training.promote import Champion, Contest
from training.uplift_judging import Judged

__all__ = ["METRIC", "YARDSTICKS", "uplift_contest"]

METRIC = "uplift/minus_qini_area"
"""Mean over the kinds of the Qini area, negative: lower is better, 0 is a random order."""

YARDSTICKS = (Yardstick(METRIC, "minus the Qini area", "ranking", margin=0.05, leads=True),)
"""Effects of single customers are not seen, so ranking is all that can be judged."""

Floats = npt.NDArray[np.float64]


def uplift_contest(
    judged: Sequence[Judged],
    test: Holdout,
    horizon_days: int,
    features: FeatureSettings | None,
    seed: int,
) -> Contest:
    """The chosen learners on the last campaign of each kind, and how a champion is measured there.

    A kind that a model does not know is a random order of its customers. The champion's learners
    are those of its card, fitted on the earlier campaigns as all learners were.

    Args:
        judged: How the learners did on each kind.
        test: Who they were judged on.
        horizon_days: Days after the contact that count.
        features: Features beside the catalogue.
        seed: Of the resampling.
    """
    rows = sum(len(each.test.stayed) for each in judged)

    def together(areas: Sequence[tuple[float, Floats]]) -> Resampled:
        value = -float(np.mean([value for value, _ in areas]))
        draws = -np.mean([draws for _, draws in areas], axis=0)
        return Resampled({METRIC: value}, {METRIC: draws}, (rows, 0, rows, REPLICATES, seed))

    def by_learner(learners: Mapping[str, str]) -> Resampled:
        areas = []
        for each in judged:
            learner = learners.get(each.kind)
            if learner is not None and learner not in each.found:
                raise ModelError(f"its learner {learner} is not known any more")
            found = None if learner is None else each.found[learner]
            areas.append(_NONE if found is None else (found.area.value, found.replicates))
        return together(areas)

    def as_it_is(champion: Champion) -> Resampled:
        areas = []
        for each in judged:
            said = champion.model.predict(each.test.features)
            column = f"uplift_{each.kind}"
            if column in said:
                found = qini(each.test.stayed, each.test.treated, said[column], seed=seed)
                areas.append((found.area.value, found.replicates))
            else:
                areas.append(_NONE)
        return together(areas)

    def again(champion: Champion) -> Resampled:
        known = champion.card.get("treatments", ())
        return by_learner({each["name"]: each["learner"] for each in known})

    def objection(champion: Champion) -> str:
        theirs = champion.card.get("horizon_days")
        if theirs == horizon_days:
            return ""
        return f"as they answer different questions ({horizon_days} days against {theirs})"

    ours = by_learner({each.kind: each.learner for each in judged if each.earned})
    return Contest(test, YARDSTICKS, ours, as_it_is, again, objection, features=features)


_NONE: tuple[float, Floats] = (0.0, np.zeros(REPLICATES))
