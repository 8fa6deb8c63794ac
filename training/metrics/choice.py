"""Which of several forecasts to take: the simplest that is as good as the best.

"Not significantly worse" is not "as good". The profit of one campaign rests on the few customers
whom one list holds and another does not, so with few customers hardly any rule is significantly
worse than a model; and where nearly everyone is worth a contact, all lists are the same. When
profit alone decided, a model that truly earned 8 % more than a rule lost to it in 35 of 100
simulated shops of 500 customers.

So money has a veto, and the probabilities decide the rest. The Brier score sees every customer,
and is money too: twice the loss against perfect foresight, averaged over all break-even
probabilities from 0 to 1 (Schervish 1989, Annals of Statistics 17:1856-1879; Hernández-Orallo,
Flach and Ferri 2012, JMLR 13:2813-2869). It is what a forecast is worth when the costs of the offer
and the values of customers differ, as they do. With both, that model lost in none of 200 shops.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from models.decision import Offer, expected_value
from models.metrics.bootstrap import (
    Difference,
    difference,
    distinct_customers,
    resampled_means,
)
from models.metrics.inputs import Array, probabilities
from models.metrics.profit import customer_profit, values

__all__ = ["MARGIN", "RULE", "SIGNIFICANT", "Simplest", "simplest_not_worse"]

SIGNIFICANT = 0.05
"""Level of the one-sided tests."""

MARGIN = 0.01
"""Brier scores that are this part of the lowest above it, or less, are as good; so are profits
that are this part of the highest below it, however sure it is that they are lower."""

RULE = (
    "the simplest candidate that neither earns significantly less, and over 1 % less, than the one "
    "with the highest realised profit (one-sided, 5 %, customers resampled) nor, among those, has "
    "a Brier score that is significantly higher than the lowest, or more than 1 % higher"
)


@dataclass(frozen=True)
class Simplest:
    """The candidate to take.

    Attributes:
        winner: Its name.
        reason: One sentence.
        table: One row a candidate, in the order given: `candidate`; `realised_profit` per
            customer of the base, `profit_behind` (the highest minus its own), `profit_low`,
            `profit_high`, `profit_p`; `brier`, `brier_behind` (its own minus the lowest of
            those that passed on money), `brier_low`, `brier_high`, `brier_p`; `verdict`.
            Intervals hold 95 %; p-values are one-sided, `nan` for the best itself.
    """

    winner: str
    reason: str
    table: pd.DataFrame


def simplest_not_worse(
    y: npt.ArrayLike,
    forecasts: Mapping[str, npt.ArrayLike],
    value: npt.ArrayLike,
    offer: Offer,
    customers: npt.ArrayLike | None = None,
    *,
    replicates: int = 1000,
    seed: int = 0,
) -> Simplest:
    """Apply `RULE`.

    Args:
        y: 1 where the customer made no purchase in the horizon.
        forecasts: Candidate -> churn probabilities, the simplest candidate first. All must be
            out of time: none may have been fitted on these outcomes.
        value: Money that the customer brings who stays; one for all, or one each.
        offer: What is sent, and what it is believed to do.
        customers: Customer of each row; None: every row is a customer of its own.
        replicates: Resampled sets of customers behind the tests.
        seed: Seed of the resampling.

    Raises:
        ValueError: No candidate, or the arguments do not fit together.
    """
    if not forecasts:
        raise ValueError("expected at least one candidate")
    names = list(forecasts)
    checked = [probabilities(y, p) for p in forecasts.values()]
    actual = checked[0][0]
    worth = values(value, actual.size)
    code, clusters = distinct_customers(customers, actual.size)
    order = np.lexsort((*(p for _, p in checked), worth, actual, code))
    actual, worth, code = actual[order], worth[order], code[order]
    candidates = [p[order] for _, p in checked]
    came = customer_profit(actual, worth, offer)
    earned = [np.where(expected_value(p, worth, offer) > 0.0, came, 0.0) for p in candidates]
    missed = [(p - actual) ** 2 for p in candidates]
    rows = np.stack([*earned, *missed])
    drawn = resampled_means(rows, code, clusters, replicates, seed)
    n = len(names)
    profit, brier = rows[:n].mean(axis=1), rows[n:].mean(axis=1)

    richest = int(np.argmax(profit))
    money = _behind(-profit, -drawn[:, :n], richest)
    enough = MARGIN * abs(float(profit[richest]))
    earning = [i for i in range(n) if money[i].value <= enough or not _significant(money[i])]
    sharpest = min(earning, key=lambda i: brier[i])
    score = _behind(brier, drawn[:, n:], sharpest)
    close = MARGIN * float(brier[sharpest])
    good = [i for i in earning if score[i].value <= close and not _significant(score[i])]
    winner = good[0]

    def verdict(i: int) -> str:
        if i not in earning:
            return f"earns significantly less than {names[richest]} (p = {money[i].p_value:.3f})"
        if i not in good:
            more = f"{score[i].value / brier[sharpest]:.1%}" if brier[sharpest] > 0 else "clearly"
            return f"forecasts worse than {names[sharpest]}: Brier score {more} higher"
        if i == winner:
            return "chosen"
        return f"as good as the best, but less simple than {names[winner]}"

    table = pd.DataFrame({"candidate": names})
    for prefix, level, behind, best in (
        ("profit", profit, money, richest),
        ("brier", brier, score, sharpest),
    ):
        table["realised_profit" if prefix == "profit" else prefix] = level
        table[f"{prefix}_behind"] = [each.value for each in behind]
        table[f"{prefix}_low"] = [each.low for each in behind]
        table[f"{prefix}_high"] = [each.high for each in behind]
        table[f"{prefix}_p"] = [np.nan if i == best else b.p_value for i, b in enumerate(behind)]
    table["verdict"] = [verdict(i) for i in range(n)]
    return Simplest(names[winner], _reason(names, winner, good, table), table)


def _behind(level: Array, drawn: Array, best: int) -> list[Difference]:
    """How far each level lies above the best one (lower is better)."""
    return [
        difference(float(level[i] - level[best]), drawn[:, i] - drawn[:, best])
        for i in range(level.size)
    ]


def _significant(behind: Difference) -> bool:
    return behind.value > 0.0 and behind.p_value <= SIGNIFICANT


def _reason(names: list[str], winner: int, good: list[int], table: pd.DataFrame) -> str:
    if len(names) == 1:
        return "the only candidate"
    simpler = [str(row.candidate) for row in table[:winner].itertuples()]
    if simpler:
        return (
            f"the simplest that is as good as the best; {', '.join(simpler)} "
            f"{'is' if len(simpler) == 1 else 'are'} not"
        )
    if len(good) == 1:
        return "better than all others, and simpler"
    return "the simplest, and no other is clearly better"
