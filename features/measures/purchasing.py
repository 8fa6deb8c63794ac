"""Purchasing: who buys in a period, how often and for how much, who leaves and who comes back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
from ibis import _

from features.measures.intervals import share_interval
from features.measures.lives import lives
from features.measures.periods import ALL
from features.measures.table import Found, Measure, Missing, rows

if TYPE_CHECKING:
    from features.measures.segments import Question

__all__ = ["MEASURES", "purchasing"]

ACTIVE = Measure(
    "active_customers", "count", "Active customers", "customers with a purchase in the period"
)
NEW = Measure(
    "new_customers",
    "count",
    "New customers",
    "customers whose first purchase lies in the period; the first periods of the data also "
    "count those who had bought before the data begins",
)
RETURNING = Measure(
    "returning_customers",
    "count",
    "Returning customers",
    "active customers whose first purchase lies before the period",
)
REACTIVATED = Measure(
    "reactivated_customers",
    "count",
    "Reactivated customers",
    "customers with a purchase in the period that ended a silence of more than churn_days",
)
PURCHASES = Measure("purchases", "count", "Purchases", "purchases in the period", n="purchases")
REVENUE = Measure(
    "revenue",
    "money",
    "Revenue",
    "sum of all amounts in the period, returns taken off when they come",
)
REPEAT = Measure(
    "repeat_purchase_rate",
    "share",
    "Repeat-purchase rate",
    "customers active in the period with at least two purchases by its end / customers active "
    "in it; over all data: customers with at least two purchases / customers",
)
FREQUENCY = Measure(
    "purchase_frequency",
    "purchases",
    "Purchase frequency",
    "purchases / active customers of the period",
)
VALUE = Measure(
    "average_purchase_value",
    "money",
    "Average purchase value",
    "revenue / purchases of the period, so that revenue = active_customers x purchase_frequency "
    "x average_purchase_value",
    n="purchases",
)
CHURN = Measure(
    "churn_rate",
    "share",
    "Churn rate",
    "of the customers active up to the start of the period (a purchase in the churn_days + 1 days "
    "before it), those who become lost in it, by being silent for churn_days full days: who is "
    "lost on its first morning counts; only where the data reaches back far enough to know who "
    "was active",
    source="occurrence over those exposed, with churn as in docs/label.md",
)
REACTIVATION = Measure(
    "reactivation_rate",
    "share",
    "Reactivation rate",
    "of the customers lost at the start of the period, those who buy again in it",
)

MEASURES = (
    ACTIVE,
    NEW,
    RETURNING,
    REACTIVATED,
    PURCHASES,
    REVENUE,
    REPEAT,
    FREQUENCY,
    VALUE,
    CHURN,
    REACTIVATION,
)


def purchasing(asked: Question) -> Found:
    """Customers, purchases and revenue of every period, and the flow of customers.

    Args:
        asked: The question.

    Returns:
        All `MEASURES`, by period and segment. Shares have Wilson intervals: how far they would
        move by chance with as many other customers of the same kind. Counts and money have
        none, as they count everything. returning_customers, churn_rate and reactivation_rate
        are of periods only, not of "all".
    """
    table = _totals(asked)
    periods = table[table["period"] != ALL]
    repeat = share_interval(table["active"] - table["once"], table["active"])
    parts = [
        rows(ACTIVE, table, "active"),
        rows(NEW, table, "new"),
        rows(RETURNING, periods, periods["active"] - periods["new"]),
        rows(REACTIVATED, table, "back"),
        rows(PURCHASES, table, "purchases"),
        rows(REVENUE, table, "revenue", "active"),
        rows(REPEAT, table, repeat[0], "active", *repeat[1:]),
        rows(FREQUENCY, table, _ratio(table["purchases"], table["active"]), "active"),
        rows(VALUE, table, _ratio(table["revenue"], table["purchases"]), "purchases"),
    ]
    flow = _flow(asked)
    return Found(pd.concat([*parts, flow.frame], ignore_index=True), flow.missing, flow.notes)


def _totals(asked: Question) -> pd.DataFrame:
    """Sums of every period and segment with any transaction."""
    sums = {
        "active": _.count(),
        "new": (_.age == 0).sum(),
        "purchases": _.purchases.sum(),
        "once": ((_.age == 0) & (_.purchases == 1)).sum(),
    }
    ever = asked.active.group_by("customer_id").agg(
        purchases=asked.active.purchases.sum(), age=asked.active.age.min()
    )
    counts = pd.concat(
        [
            asked.totals(asked.active, all_data=False, **sums),
            asked.totals(asked.held("ever", lambda: ever), day=None, **sums),
        ]
    )
    returns = lives(asked).filter(_.number > 0)
    back = asked.totals(returns, day="begun", back=_.customer_id.nunique())
    money = asked.totals(asked.months, revenue=_.revenue.sum())
    # A period with returns only has revenue and nobody active.
    keys = ["period", "segment"]
    table = money.merge(counts, "left", on=keys).merge(back, "left", on=keys)
    return table.fillna(dict.fromkeys((*sums, "back"), 0))


def _ratio(part: pd.Series, whole: pd.Series) -> pd.Series:
    return (part / whole.where(whole > 0)).astype("float64")


def _flow(asked: Question) -> Found:
    """Churn and reactivation of the periods that can know them."""
    count = len(asked.periods.whole)
    reach = asked.churn_days + 1
    known = [
        i
        for i, period in enumerate(asked.periods.whole)
        if (period.start - asked.periods.first).days >= reach
    ]
    if not known:
        return Found(
            missing=(
                Missing(
                    (CHURN.name, REACTIVATION.name),
                    f"No whole {asked.periods.by} begins {reach} days or more after the first "
                    "transaction, so nobody can be known to be lost in one.",
                ),
            )
        )
    period = asked.periods.number
    table = lives(asked)
    flow = table.select(
        "customer_id",
        begun=period(table.begun),
        lost=period(table.lost_on).fill_null(count),
        again=period(table.next_begun).fill_null(count),
    )
    counted = asked.totals(flow, day=None, by=("begun", "lost", "again"), lives=_.count())
    found = []
    for number in known:
        c = counted
        # Lost on the first morning of a period counts as lost in it.
        active = c[(c["begun"] < number) & (c["lost"] >= number)]
        lost = active[active["lost"] == number]
        gone = c[(c["lost"] < number) & (c["again"] >= number)]
        back = gone[gone["again"] == number]
        parts = {"active": active, "lost": lost, "gone": gone, "back": back}
        sums = {name: part.groupby("segment")["lives"].sum() for name, part in parts.items()}
        sums_of = pd.DataFrame(sums).fillna(0).rename_axis("segment").reset_index()
        found.append(sums_of.assign(period=asked.periods.whole[number].label))
    flows = pd.concat(found, ignore_index=True)
    churn = share_interval(flows["lost"], flows["active"])
    again = share_interval(flows["back"], flows["gone"])
    notes: tuple[str, ...] = ()
    if known[0]:
        first = asked.periods.whole[known[0]].label
        sentence = (
            f"churn_rate and reactivation_rate begin with {first}: before, the data is shorter "
            f"than the {reach} days it takes to know who is lost."
        )
        notes = (sentence,)
    found_rows = [
        rows(CHURN, flows, churn[0], "active", *churn[1:]),
        rows(REACTIVATION, flows, again[0], "gone", *again[1:]),
    ]
    return Found(pd.concat(found_rows, ignore_index=True), notes=notes)
