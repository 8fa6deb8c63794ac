"""Mean spend with old purchases counting less: the input of recency-weighted spend models.

A purchase counts half as much for every half-life that it lies before the customer's last one.
(Counted from the cutoff instead all weights of a customer would be smaller by one factor, which
neither the mean nor the effective number of purchases would notice.)

Weights are rounded to millionths and money is decimal, so that all sums are exact and depend on
no row order and no threads; only the last quotient rounds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import ibis

from features.expressions import days_before, ratio
from features.window import ObservationWindow

if TYPE_CHECKING:
    import ibis.expr.types as ir

__all__ = ["HALF_LIVES", "RECENT_COLUMNS", "recent_features", "recent_spend", "recent_sums"]

HALF_LIVES = (90, 180, 365)
"""Half-lives in days that candidates may read."""

RECENT_COLUMNS = tuple(f"recent_{what}_{h}" for h in HALF_LIVES for what in ("weight", "value"))

_MILLION = 1_000_000


def recent_sums(
    bought: ir.Table, window: ObservationWindow, half_lives: Sequence[int] = HALF_LIVES
) -> dict[str, ir.Value]:
    """What is added up over a customer's purchases.

    Args:
        bought: One row a purchase, as `features.rhythm.with_gaps` gives: day, value, since_last.
        window: What is observed.
        half_lives: Days after which a purchase counts half.
    """
    age = (days_before(bought.day, window) - bought.since_last).cast("float64")
    # Wide enough for a thousand thousand million a day, narrow enough for an exact product.
    value = bought.value.cast("decimal(27, 4)")
    sums: dict[str, ir.Value] = {}
    for half_life in half_lives:
        weight = (ibis.literal(0.5).pow(age / half_life) * _MILLION).round().cast("int64")
        sums |= {
            f"recency_{half_life}": weight.sum(),
            f"recency_squares_{half_life}": (weight * weight).sum(),
            f"recency_value_{half_life}": (value * weight.cast("decimal(8, 0)")).sum(),
        }
    return sums


def recent_features(
    customers: ir.Table, half_lives: Sequence[int] = HALF_LIVES
) -> dict[str, ir.Value]:
    """Columns from the sums, for each half-life h.

    - `recent_weight_<h>`: effective number of purchases, (sum of weights)^2 / sum of their
      squares (Kish 1965, "Survey Sampling", section 11.7): the number of equally weighted
      purchases whose mean is as certain. Between 1 and the number of purchases.
    - `recent_value_<h>`: weighted mean value of all purchases, the first one included.
    """
    found: dict[str, ir.Value] = {}
    for half_life in half_lives:
        weight = customers[f"recency_{half_life}"]
        total = weight.cast("float64")
        squares = customers[f"recency_squares_{half_life}"]
        found |= {
            f"recent_weight_{half_life}": total * total / squares.cast("float64"),
            f"recent_value_{half_life}": ratio(customers[f"recency_value_{half_life}"], weight),
        }
    return found


def recent_spend(
    bought: ir.Table, window: ObservationWindow, half_lives: Sequence[int] = HALF_LIVES
) -> ir.Table:
    """One row a customer with customer_id and the columns of `recent_features`.

    Args:
        bought: One row a purchase, as `features.rhythm.with_gaps` gives.
        window: What is observed.
        half_lives: Days after which a purchase counts half.
    """
    customers = bought.group_by("customer_id").agg(**recent_sums(bought, window, half_lives))
    return customers.select("customer_id", **recent_features(customers, half_lives))
