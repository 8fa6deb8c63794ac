"""What a training of the next purchase lays before the gate: how much of each list was right."""

import numpy as np

from models.base import ModelError
from models.metrics.bootstrap import Resampled, customer_draws
from models.next_purchase import QUESTIONS, NextPurchase
from training.dataset import Holdout
from training.gate import Yardstick
from training.next_choice import REPLICATES, Period
from training.promote import Champion, Contest

__all__ = ["DECIDES", "YARDSTICKS", "next_contest"]

DECIDES = "next/shortfall"
"""1 - NDCG, the mean of the two questions: lower is better."""

YARDSTICKS = (Yardstick(DECIDES, "1 - NDCG", "ranking", margin=0.01, leads=True),)


def next_contest(
    test: Period, ours: NextPurchase, item: str, k: int, holdout: Holdout, seed: int
) -> Contest:
    """The model as of the test cutoff, and how a champion is measured on the same customers.

    Args:
        test: The later period.
        ours: Fitted on its histories.
        item: What an item is.
        k: Length of the lists.
        holdout: Who it is judged on.
        seed: Of the resampling.
    """

    def measured(model: NextPurchase) -> Resampled:
        found = [test.measure(model, question, k)["ndcg"] for question in QUESTIONS]
        asked = [np.isfinite(values) for values in found]
        pairs = [(v[a], a) for v, a in zip(found, asked, strict=True) if a.any()]
        n = len(test.judged)

        def shortfall(weight: np.ndarray) -> float:
            means = []
            for values, who in pairs:
                total = weight[who].sum()
                means.append((weight[who] * values).sum() / total if total else np.nan)
            return float(1.0 - np.mean(means))

        draws = np.array([shortfall(weight) for weight in customer_draws(n, REPLICATES, seed)])
        return Resampled(
            {DECIDES: shortfall(np.ones(n))}, {DECIDES: draws}, (n, 0, n, REPLICATES, seed)
        )

    def as_it_is(champion: Champion) -> Resampled:
        return measured(champion.model)

    def again(champion: Champion) -> Resampled:
        try:
            methods, l2 = champion.card["methods"], float(champion.card["l2"])
        except KeyError as error:
            raise ModelError(f"its card does not say {error}") from error
        return measured(test.fit(item, methods, l2))

    def objection(champion: Champion) -> str:
        theirs = champion.card.get("item")
        return "" if theirs == item else f"as one foretells {item}, the other {theirs}"

    return Contest(holdout, YARDSTICKS, measured(ours), as_it_is, again, objection)
