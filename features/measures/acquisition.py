"""Acquisition: what a customer costs to win, and when that comes back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from ibis import _

from features.measures.intervals import ratio_interval
from features.measures.periods import ALL
from features.measures.retention import LEAST, MONTH
from features.measures.segments import COHORT
from features.measures.table import Found, Measure, Missing, rows
from features.measures.worth import by_channel, worth

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from features.measures.segments import Question

__all__ = ["MEASURES", "acquisition", "with_cost"]

_NEEDS = ("transactions", "acquisition.cost")
COST = Measure(
    "acquisition_cost",
    "money",
    "Acquisition cost",
    "sum of the acquisition costs of the customers whose first purchase lies in the period",
    needs=_NEEDS,
)
CAC = Measure(
    "cac",
    "money",
    "Customer acquisition cost (CAC)",
    "acquisition_cost / customers whose first purchase lies in the period and whose cost is "
    "known; 0 is a known cost",
    needs=_NEEDS,
)
MARGIN_TO_CAC = Measure(
    "margin_to_cac",
    "ratio",
    "Earned so far, to CAC",
    "margin x revenue so far / acquisition_cost, of the customers whose cost is known: what has "
    "come back of the cost by now. ltv_to_cac adds what is expected",
    needs=_NEEDS,
)
CUMULATIVE = Measure(
    "cumulative_margin",
    "money",
    "Margin by age",
    "margin x revenue of a customer in the first `age` months after the first purchase: the sum "
    "over months of the mean of all customers who were observed to the end of that month",
    n="customers observed to that age",
)
PAYBACK = Measure(
    "payback_months",
    "months",
    "Payback",
    "the first `age` in whole months at which cumulative_margin reaches the CAC of the same "
    "customers; none while it has not",
    needs=_NEEDS,
)

MEASURES = (COST, CAC, MARGIN_TO_CAC, CUMULATIVE, PAYBACK)


def acquisition(asked: Question) -> Found:
    """What customers cost, by channel and cohort, and how fast they pay it back.

    Args:
        asked: The question; its `margin` is used.

    Returns:
        - acquisition_cost and cac: by period for everyone, `channel=` and each segment, which
          is by channel and cohort; over all data also by `cohort=`.
        - margin_to_cac, cumulative_margin (`age=3` or `channel=search|age=3`) and
          payback_months: over all data, for everyone, `channel=`, each segment, and
          margin_to_cac by `cohort=`.
    """
    curve = _cumulative(asked)
    curves = rows(CUMULATIVE, curve.assign(segment=_with_age(curve)), "margin", "customers")
    unknown = _unknown_cost(asked)
    if unknown:
        names = tuple(each.name for each in MEASURES if each is not CUMULATIVE)
        return Found(curves, (Missing(names, unknown),))
    known = with_cost(asked)
    costs = _costs(asked, known)
    whole = costs[costs["period"] == ALL]
    earned = ratio_interval(
        whole["margin"],
        whole["cost"],
        whole["squares"],
        whole["cost_squares"],
        whole["products"],
        whole["customers"],
    )
    back, notes = _payback(whole, curve)
    parts = [
        rows(COST, costs, "cost", "customers"),
        rows(CAC, costs, costs["cost"] / costs["customers"], "customers"),
        rows(MARGIN_TO_CAC, whole, earned[0], "customers", *earned[1:]),
        curves,
        back,
    ]
    return Found(pd.concat(parts, ignore_index=True), notes=(*_left_out(asked), *notes))


def _with_age(curve: pd.DataFrame) -> list[str]:
    return [
        f"age={age}" if segment == ALL else f"{segment}|age={age}"
        for segment, age in zip(curve["segment"], curve["age"], strict=True)
    ]


def _unknown_cost(asked: Question) -> str:
    """What is missing for any cost to be known; "" where nothing is."""
    table = asked.ledger.tables.get("acquisition")
    if table is None:
        return "There is no table acquisition with what each customer cost."
    if "cost" not in table.columns:
        return "The table acquisition has no column cost."
    if not with_cost(asked).count().to_pyarrow().as_py():
        return "No customer with a purchase has a cost in the table acquisition."
    return ""


def with_cost(asked: Question) -> ir.Table:
    """The customers of `worth` whose acquisition cost is known."""
    return worth(asked).filter(~_.cost.isnull())  # noqa: PD003 (of Ibis, not pandas)


def _costs(asked: Question, known: ir.Table) -> pd.DataFrame:
    sums = {
        "customers": _.count(),
        "cost": _.cost.sum(),
        "margin": _.margin.sum(),
        "squares": (_.margin * _.margin).sum(),
        "cost_squares": (_.cost * _.cost).sum(),
        "products": (_.margin * _.cost).sum(),
    }
    others = tuple(name for name in asked.segments if name != COHORT)
    periods = asked.totals(known, segments=others, all_data=False, **sums)
    channels = asked.totals(known, segments=(), by=("channel",), all_data=False, **sums)
    channels["segment"] = "channel=" + channels["channel"]
    whole = by_channel(asked, known, cohorts=True, **sums)
    parts = [whole, periods, channels[periods.columns]]
    table = pd.concat(parts, ignore_index=True)
    return table.drop_duplicates(["period", "segment"], keep="last", ignore_index=True)


def _cumulative(asked: Question) -> pd.DataFrame:
    """Mean margin of the first months: segment, age (in whole months), margin, customers."""
    people = worth(asked)
    if "cost" in people.columns:  # the same customers as in the cost, where it is known
        people = with_cost(asked)
    observed = people.day.delta(asked.end, unit="day").abs()
    people = people.mutate(seen=(observed / MONTH).floor().cast("int64"))
    channel = ["channel"] if "channel" in people.columns else []
    who = people.select("seen", *channel, member=people.customer_id, first=people.day)
    days = asked.days.join(who, asked.days.customer_id == who.member)
    days = days.mutate(age=(days.day.delta(days["first"], unit="day") / MONTH).floor())
    # A return can be older than the first purchase; it counts from there.
    days = days.mutate(age=(days.age < 0).ifelse(0, days.age).cast("int64"))
    inside = days.filter(days.age < days.seen).select("customer_id", "value", "age", *channel)
    paid = by_channel(asked, inside, by=("age",), value=_.value.sum())
    counted = by_channel(
        asked, people.select("customer_id", "seen", *channel), by=("seen",), customers=_.count()
    )
    parts = []
    for segment, own in counted.groupby("segment"):
        by_seen = np.zeros(own["seen"].max() + 1)
        by_seen[own["seen"]] = own["customers"]
        # Customers who were seen for more than `age` whole months.
        customers = np.cumsum(by_seen[::-1])[::-1][1:]
        customers = customers[customers >= LEAST]
        if not len(customers):
            continue
        spent = paid[(paid["segment"] == segment) & (paid["age"] < len(customers))]
        value = np.zeros(len(customers))
        value[spent["age"]] = spent["value"]
        parts.append(
            pd.DataFrame(
                {
                    "period": ALL,
                    "segment": str(segment),
                    "age": np.arange(1, len(customers) + 1),
                    "margin": np.cumsum(asked.margin * value / customers),
                    "customers": customers,
                }
            )
        )
    columns = ["period", "segment", "age", "margin", "customers"]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)


def _payback(costs: pd.DataFrame, curve: pd.DataFrame) -> tuple[pd.DataFrame, tuple[str, ...]]:
    found, waiting = [], []
    for row in costs.to_dict("records"):
        own = curve[curve["segment"] == row["segment"]]
        cac = row["cost"] / row["customers"]
        if not len(own) or cac <= 0:
            continue
        paid = own[own["margin"] >= cac]
        if len(paid):
            found.append({**row, "months": paid["age"].iloc[0]})
        else:
            waiting.append(
                f"{row['segment']} ({own['margin'].iloc[-1]:,.2f} of {cac:,.2f} after "
                f"{own['age'].iloc[-1]} months)"
            )
    notes = (f"Not paid back yet: {', '.join(waiting)}.",) if waiting else ()
    if not found:
        return rows(PAYBACK, costs.iloc[:0], "cost", "customers"), notes
    return rows(PAYBACK, pd.DataFrame(found), "months", "customers"), notes


def _left_out(asked: Question) -> tuple[str, ...]:
    """Whose cost, or whose purchases, are not in any of the figures."""
    table, people = asked.ledger.tables["acquisition"], worth(asked)
    bought = people.select(who="customer_id")
    idle = table.anti_join(bought, table.customer_id == bought.who)
    counted = idle.agg(people=idle.count(), cost=idle.cost.sum()).to_pyarrow().to_pylist()[0]
    notes = []
    if counted["people"]:
        cost = float(counted["cost"] or 0)
        who = "1 person" if counted["people"] == 1 else f"{counted['people']:,} people"
        notes.append(
            f"{who} in the table acquisition never bought: their cost of {cost:,.2f} is in no "
            "figure."
        )
    unknown = people.filter(people.cost.isnull()).count().to_pyarrow().as_py()  # noqa: PD003
    if unknown:
        notes.append(
            f"The acquisition cost of {unknown:,} customers is not known: they are left out of "
            "cac and what is derived from it."
        )
    return tuple(notes)
