"""From purchases to lives: how long customers stay, where nobody gives notice.

A *life* begins with a customer's first purchase, or with the first one after a silence of more
than `churn_days`. It is over `churn_days` full days after its last purchase: on the morning of
`last + churn_days + 1`. Both moments are known when they come, whatever happens later, so later
rows change no life that is over. Somebody who comes back begins another life. With this rule
every customer is, on every day, either active or lost, and

    active at the end = active at the start + new + reactivated - lost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import ibis

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from features.measures.segments import Question

__all__ = ["lives"]


def lives(asked: Question) -> ir.Table:
    """Every life of every customer, held in the engine.

    Returns:
        One row a life: customer_id; number (0 for the first); begun and last (days of its
        first and last purchase); lost (1 if it was over by the end of the data, else 0); lost_on
        (the day on which it was over, missing while it is not); days (its length so far, from
        begun to lost_on or the end of the data); next_begun (begin of the customer's next
        life, missing without one).
    """
    return asked.held("lives", lambda: _lives(asked))


def _lives(asked: Question) -> ir.Table:
    days = asked.purchases.select("customer_id", "day").distinct()
    own = ibis.window(group_by="customer_id", order_by="day")
    silent = days.day.delta(days.day.lag().over(own), unit="day")
    marked = days.mutate(begins=(silent.isnull() | (silent > asked.churn_days)).cast("int64"))
    numbered = marked.mutate(
        number=marked.begins.sum().over(
            ibis.cumulative_window(group_by="customer_id", order_by="day")
        )
        - 1
    )
    found = numbered.group_by("customer_id", "number").agg(
        begun=numbered.day.min(), last=numbered.day.max()
    )
    over = (found["last"] + ibis.interval(days=asked.churn_days + 1)).cast("date")
    following = ibis.window(group_by="customer_id", order_by="number")
    # The last morning of which everything before is known is the one after the last day.
    lost = over <= asked.end
    return found.mutate(
        lost=lost.cast("int64"),
        lost_on=lost.ifelse(over, ibis.null("date")),
        days=lost.ifelse(over, asked.end).delta(found.begun, unit="day"),
        next_begun=found.begun.lead().over(following),
    )
