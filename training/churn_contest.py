"""What a churn training lays before the gate: money, Brier score and level on the test cutoff."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from features.compatibility import feature_facts
from models.base import ModelError
from models.metrics.bootstrap import Resampled, resample
from models.scorers import Recipe
from training.churn_panel import ChurnSettings, Slice
from training.churn_pictures import Judged
from training.churn_rolling import Rolling
from training.dataset import Holdout
from training.gate import Yardstick
from training.promote import Champion, Contest

__all__ = ["YARDSTICKS", "churn_contest", "recipe_of", "with_level"]

YARDSTICKS = (
    Yardstick(
        "churn/realised_profit",
        "profit of the policy a customer",
        "money",
        margin=0.01,
        higher_is_better=True,
    ),
    Yardstick("churn/brier", "Brier score", "calibration", margin=0.01, leads=True),
    Yardstick("churn/level", "|mean p - rate|", "calibration", margin=0.02, relative=False),
    Yardstick("churn/expected_profit", "expected profit", "shown", 0.01, higher_is_better=True),
    Yardstick("churn/ece", "ECE", "shown", margin=0.02, relative=False),
    Yardstick("churn/roc_auc", "ROC-AUC", "shown", margin=0.01, higher_is_better=True),
)
"""Money, and whether probabilities mean what they say; the others are for whoever looks. The level
of a month moves by a point or two with what nobody could know, so it has an absolute margin."""


_QUESTION = {
    "horizon_days": "a horizon of {} days",
    "gap_days": "a gap of {} days",
    "of": "churn of {}",
}
"""What makes churn another thing."""


def churn_contest(
    winner: str,
    judged: Mapping[str, Judged],
    recipes: Mapping[str, Recipe],
    some: Rolling,
    full: Rolling,
    test: Holdout,
    test_slice: Slice,
    settings: ChurnSettings,
    seed: int,
) -> Contest:
    """The chosen candidate at the test cutoff, and how a champion is measured on the same.

    Args:
        winner: The candidate that was registered.
        judged: How each candidate did on the test.
        recipes: What each is.
        some: Where calibrations are learned.
        full: Where candidates are fitted.
        test: Who they were judged on.
        test_slice: The same with features and outcomes.
        settings: What churn means, and what an offer costs.
        seed: Of the resampling.
    """
    mine = judged[winner]
    day = test_slice.window.cutoff

    def measured(p: npt.NDArray[np.float64]) -> Resampled:
        _, _, _, replicates, _ = mine.resampled.drawn
        return with_level(
            resample(
                mine.churned, p, mine.customers, value=mine.value, offer=settings.offer,
                replicates=replicates, seed=seed,
            )
        )  # fmt: skip

    def as_it_is(champion: Champion) -> Resampled:
        customers = test_slice.features[test_slice.eligible]
        return measured(champion.model.predict(customers, reasons=False)["churn_probability"])

    def again(champion: Champion) -> Resampled:
        recipe = recipe_of(champion)
        name = champion.card.get("candidate", "champion")
        if recipes.get(name) == recipe:
            return with_level(judged[name].resampled)
        name = name if name not in recipes else f"{name} of the champion"
        for rolling in (some, full):
            rolling.recipes = {**rolling.recipes, name: recipe}
        p = some.calibration(name, day).calibrator(full.scores(name, day))
        return measured(p[test_slice.eligible])

    def objection(champion: Champion) -> str:
        ours = {**settings.spec.to_dict(), "of": settings.label}
        theirs = {**champion.card.get("label", {})}
        theirs["horizon_days"] = champion.card.get("horizon_days")
        theirs["gap_days"] = champion.card.get("gap_days")
        for key, said in _QUESTION.items():
            if key in theirs and theirs[key] != ours[key]:
                return (
                    f"as they answer different questions ({said.format(ours[key])} against "
                    f"{said.format(theirs[key])})"
                )
        return ""

    return Contest(
        test,
        YARDSTICKS,
        with_level(mine.resampled),
        as_it_is,
        again,
        objection,
        asked={
            "eligibility": settings.eligibility,
            "attributes": sorted(settings.features.attributes),
            "own_features": feature_facts(settings.features)["own_features"],
        },
        features=settings.features,
    )


def recipe_of(champion: Champion) -> Recipe:
    """What a champion is made of, by its card.

    Raises:
        ModelError: The card does not say, or says something that this version does not know.
    """
    said: Any = champion.card.get("recipe")
    try:
        return Recipe.from_dict(said)
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"its card has no recipe that can be read ({type(error).__name__}: {error})"
        ) from error


def with_level(found: Resampled) -> Resampled:
    """The same with `churn/level`: mean p minus rate, without its sign."""
    name = "churn/mean_p_minus_rate"
    return Resampled(
        {**found.sample, "churn/level": abs(found.sample[name])},
        {**found.replicates, "churn/level": np.abs(found.replicates[name])},
        found.drawn,
    )
