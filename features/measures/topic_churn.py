"""Topics and churn: do customers who wrote about something leave more often than others?"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import ibis
import numpy as np
import pandas as pd
import pyarrow as pa

from features.measures.association import PAST_DAYS, STRATA, difference, with_past_and_future
from features.measures.periods import ALL
from features.measures.remarks import Remarks
from features.measures.table import Found, Measure, Missing, rows, segment

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from features.measures.segments import Question

__all__ = ["FEWEST_WRITERS", "MEASURES", "MOST_CUTOFFS", "WRITTEN_DAYS", "topic_churn"]

WRITTEN_DAYS = 90
"""A remark counts at a cutoff when it was made in so many days before it."""

MOST_CUTOFFS = 4
"""Cutoffs a churn horizon apart, the latest whose horizon is over first."""

FEWEST_WRITERS = 10
"""A topic with fewer remarks before the cutoffs is left out: an interval would say nothing."""

_COMPARED = (
    "churn rate (no purchase in the churn horizon) of customers with a remark of the topic in the "
    f"{WRITTEN_DAYS} days before a cutoff less that of customers without one, of all who bought in "
    f"the {PAST_DAYS} days before; up to {MOST_CUTOFFS} cutoffs a horizon apart"
)

MEASURES: tuple[Measure, ...] = (
    Measure(
        "topic_churn_difference",
        "share",
        "Churn after a topic: difference",
        f"{_COMPARED}. As it is: an association, not an effect",
        "intervals by customer: Binder 1983",
        ("tickets.topic",),
        "customers with the topic, at a cutoff",
    ),
    Measure(
        "topic_churn_difference_adjusted",
        "share",
        "Churn after a topic: difference among those with the same past",
        f"as topic_churn_difference, within cutoffs and {STRATA}; still an association and not an "
        "effect",
        "intervals by customer: Binder 1983",
        ("tickets.topic",),
        "customers with the topic, at a cutoff",
    ),
)


def topic_churn(asked: Question, written: Remarks) -> Found:
    """The association of each topic with later churn.

    Args:
        asked: The question.
        written: What customers wrote.
    """
    names = tuple(row.name for row in MEASURES)
    cutoffs = _cutoffs(asked)
    if not cutoffs:
        why = (
            f"It takes {WRITTEN_DAYS} days of history and {asked.churn_days} days after them; the "
            f"data has {(asked.end - asked.ledger.first_day).days}."
        )
        return Found(missing=(Missing(names, why),))
    panel = asked.held("churn_panel", lambda: _panel(asked, cutoffs))
    wrote = asked.held("writers", lambda: _writers(written.table, cutoffs))
    counts = wrote.group_by("source", "topic").agg(n=wrote.count())
    counts = counts.filter(counts.n >= FEWEST_WRITERS).order_by("source", "topic")
    parts = []
    for row in counts.to_pyarrow().to_pylist():
        own = wrote.filter((wrote.source == row["source"]) & (wrote.topic == row["topic"]))
        own = own.select(who="customer_id", day="start")
        both = panel.left_join(own, [panel.customer_id == own.who, panel.start == own.day])
        both = both.mutate(exposed=(both.who == both.customer_id).fill_null(False))
        found = difference(both.drop("who", "day"), "churned", ["start", "stratum"])
        if found is None or found.n < FEWEST_WRITERS:
            continue
        source = {} if row["source"] == written.main else {"source": row["source"]}
        place = pd.DataFrame({"period": [ALL], "segment": [segment(**source, topic=row["topic"])]})
        for measure, ends, n in zip(
            MEASURES, (found.raw, found.adjusted), (found.n, found.compared), strict=True
        ):
            value, low, high = (np.array([end]) for end in ends)
            parts.append(rows(measure, place, value, [n], low, high))
    if not parts:
        why = f"No topic has {FEWEST_WRITERS} customers who wrote before a cutoff."
        return Found(missing=(Missing(names, why),))
    return Found(pd.concat(parts, ignore_index=True))


def _cutoffs(asked: Question) -> list[dt.date]:
    step = dt.timedelta(days=asked.churn_days)
    earliest = asked.ledger.first_day + dt.timedelta(days=WRITTEN_DAYS)
    latest = [asked.end - step * (i + 1) for i in range(MOST_CUTOFFS)]
    return [day for day in latest if day >= earliest]


def _dates(cutoffs: list[dt.date]) -> ir.Table:
    return ibis.memtable(pa.table({"start": pa.array(cutoffs, pa.date32())}))


def _panel(asked: Question, cutoffs: list[dt.date]) -> ir.Table:
    """Every customer who bought in the year before a cutoff: stratum, and whether they left."""
    customers = asked.purchases.select("customer_id").distinct()
    moments = customers.cross_join(_dates(cutoffs))
    panel = with_past_and_future(moments, asked.purchases, asked.churn_days)
    panel = panel.filter(panel.past > 0)
    return panel.select("customer_id", "start", "stratum", churned=1 - panel.bought)


def _writers(remarks: ir.Table, cutoffs: list[dt.date]) -> ir.Table:
    """Who wrote what before which cutoff: customer_id, start, source, topic."""
    days = _dates(cutoffs)
    said = remarks.filter(remarks.topic != "").mutate(day=remarks.timestamp.date())
    begin = (days.start - ibis.interval(days=WRITTEN_DAYS)).cast("date")
    both = said.join(days, [said.day < days.start, said.day >= begin])
    return both.select("customer_id", "start", "source", "topic").distinct()
