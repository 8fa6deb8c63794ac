"""What a training on a plain table lays before the gate: money, Brier score and level, out of fold.

The challenger's forecasts are out of fold. A champion that was trained before the day of the table
forecasts it as it is; any other one has its recipe fitted on the same folds. A champion that reads
columns that the table does not have is of another table.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from features.customer_table import CustomerTable
from models.decision import Offer
from models.metrics.bootstrap import Resampled, resample
from models.scorers import Recipe
from training.churn_contest import YARDSTICKS, recipe_of, with_level
from training.dataset import Holdout
from training.promote import Champion, Contest
from training.table_folds import forecast_out_of_fold

__all__ = ["table_contest"]

Floats = npt.NDArray[np.float64]


def table_contest(
    table: CustomerTable,
    y: Floats,
    forecasts: Mapping[str, Floats],
    recipes: Mapping[str, Recipe],
    winner: str,
    label: Mapping[str, str],
    test: Holdout,
    *,
    value: float,
    offer: Offer,
    replicates: int,
    seed: int,
    threads: int,
) -> Contest:
    """The chosen candidate out of fold, and how a champion is measured on the same customers.

    Args:
        table: The customers.
        y: 1 churned, 0 stayed.
        forecasts: Candidate -> churn probabilities out of fold.
        recipes: Candidate -> recipe.
        winner: The candidate that was registered.
        label: Its column, and its value for those who left.
        test: Who they were judged on.
        value: What a customer is worth who stays.
        offer: What keeping a customer costs.
        replicates: Of the resampling.
        seed: Of folds and resampling.
        threads: Of the trees.
    """

    def measured(p: npt.ArrayLike) -> Resampled:
        found = resample(y, p, value=value, offer=offer, replicates=replicates, seed=seed)
        return with_level(found)

    def as_it_is(champion: Champion) -> Resampled:
        return measured(champion.model.predict(table.features, reasons=False)["churn_probability"])

    def again(champion: Champion) -> Resampled:
        recipe = recipe_of(champion)
        for candidate, known in recipes.items():
            if known == recipe:
                return measured(forecasts[candidate])
        folds = forecast_out_of_fold(table, {"champion": recipe}, seed=seed, threads=threads)
        return measured(folds["champion"].p)

    def objection(champion: Champion) -> str:
        theirs = champion.card.get("label", {})
        if dict(theirs) != dict(label):
            return f"as their labels differ ({_label(label)} against {_label(theirs)})"
        reads: Sequence[str] = champion.card.get("feature_names", ())
        missing = [name for name in reads if name not in table.features.columns]
        if missing:
            return f"as it reads columns that this table does not have ({', '.join(missing[:5])})"
        return ""

    return Contest(test, YARDSTICKS, measured(forecasts[winner]), as_it_is, again, objection)


def _label(label: Mapping[str, str]) -> str:
    return f"{label.get('column')} = {label.get('churned')}"
