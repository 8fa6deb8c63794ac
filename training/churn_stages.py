"""What a churn training knows when all its stages are done."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

from models.churn import ChurnModel
from models.scorers import Recipe
from training.churn_panel import Panel
from training.churn_pictures import Judged
from training.churn_rolling import Rolling
from training.churn_tuning import Tuned
from training.metrics.choice import Simplest

__all__ = ["Plan", "Training"]


@dataclass(frozen=True)
class Plan:
    """The cutoffs of a training.

    Attributes:
        cutoffs: All closed monthly cutoffs.
        test: The last of them.
        now: The day after the data.
    """

    cutoffs: list[dt.date]
    test: dt.date
    now: dt.date


@dataclass(frozen=True)
class Training:
    """All that is written down."""

    panel: Panel
    plan: Plan
    some: Rolling
    full: Rolling
    recipes: Mapping[str, Recipe]
    tuning: Mapping[str, Tuned]
    choice: Simplest
    judged: Mapping[str, Judged]
    model: ChurnModel
    seed: int
