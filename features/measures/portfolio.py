"""The customer portfolio: how value is spread over customers, and how customers move."""

from __future__ import annotations

import datetime as dt
import math
from decimal import Decimal
from typing import TYPE_CHECKING

import ibis
import pandas as pd
from ibis import _

from features.expressions import at_least
from features.measures.periods import ALL
from features.measures.table import Found, Measure, Missing, rows
from features.measures.worth import money

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from features.measures.segments import Question

__all__ = ["MEASURES", "TIER_SHARES", "portfolio"]

TIER_SHARES = (0.5, 0.8)
"""The cut points lie where this share of customers is below: half low, three in ten medium."""

Cuts = tuple[Decimal, Decimal] | tuple[float, float]

_LATEST = 12
_DECILES = 10

TOP = Measure(
    "revenue_share_top10",
    "share",
    "Revenue from the top 10 % of customers",
    "revenue of the tenth of active customers who brought most in the period / revenue of all "
    "of them; who brought less than nothing, by returns, counts as 0",
)
GINI = Measure(
    "value_gini",
    "ratio",
    "Concentration of value (Gini)",
    "Gini coefficient of revenue over the active customers of the period: 0 when all bring the "
    "same, near 1 when one brings everything; less than nothing counts as 0",
    source="Gini 1912, as (2 sum(i x_i) / sum(x) - n - 1) / n over ascending x",
)
DECILE = Measure(
    "value_decile_share",
    "share",
    "Revenue by decile of customers",
    "share of revenue of each tenth of the active customers, decile 1 being those who brought most",
)
MIGRATION = Measure(
    "tier_migration",
    "share",
    "Moves between value tiers",
    "of the customers in the tier `from` at the end of the period before, the share who are in "
    "the tier `to` at the end of this one. A tier is revenue in the twelve months before: none "
    "(nothing), low, medium, high, and `new` for those whose first purchase had not come. Unless "
    "given, the cut points are learned once, at the end of the first period with twelve months "
    "behind it, so that customers move because of themselves",
    n="customers in the tier `from`",
)

MEASURES = (TOP, GINI, DECILE, MIGRATION)


def portfolio(asked: Question) -> Found:
    """Concentration of revenue by period and segment, and moves between value tiers.

    Args:
        asked: The question.

    Returns:
        revenue_share_top10, value_gini and value_decile_share (over all data only) for everyone
        and each segment with ten customers or more, and tier_migration (`from=low|to=high`)
        from each to the next of the latest 13 periods.
    """
    spread = _spread(asked)
    moves = _moves(asked)
    frames = [*(rows(*each) for each in spread), moves.frame]
    return Found(pd.concat(frames, ignore_index=True), moves.missing, moves.notes)


def _spread(asked: Question) -> list[tuple[Measure, pd.DataFrame, str, str]]:
    found = _by_decile(asked)
    keys = ["period", "segment"]
    whole = found.groupby(keys, as_index=False, sort=False).agg(
        customers=("customers", "sum"), total=("revenue", "sum"), ranks=("ranks", "sum")
    )
    whole = whole[(whole["customers"] >= _DECILES) & (whole["total"] > 0)]
    found = found.merge(whole[[*keys, "total"]], on=keys)
    found["share"] = found["revenue"] / found["total"]
    top = found[found["decile"] == 1]
    n = whole["customers"]
    gini = whole.assign(gini=(2 * whole["ranks"] / whole["total"] - n - 1) / n)
    deciles = found[found["period"] == ALL]
    prefix = deciles["segment"].where(deciles["segment"] != ALL, "") + "|"
    deciles = deciles.assign(
        segment=prefix.str.removeprefix("|") + "decile=" + deciles["decile"].astype(str)
    )
    return [
        (TOP, top, "share", "customers"),
        (GINI, gini, "gini", "customers"),
        (DECILE, deciles, "share", "customers"),
    ]


def _by_decile(asked: Question) -> pd.DataFrame:
    """Of each period, segment and decile: customers, revenue, and revenue times its rank."""
    months = asked.months
    active = asked.active.select("customer_id", period=asked.periods.number(asked.active.day))
    by_period = asked.periods.during(months).group_by("customer_id", "period")
    spent = by_period.agg(revenue=months.revenue.sum())
    bought = spent.semi_join(active, ["customer_id", "period"])
    ever = months.group_by("customer_id").agg(revenue=months.revenue.sum())
    ever = ever.semi_join(active, "customer_id").mutate(period=ibis.null("int64"))
    both = ibis.union(bought.select("customer_id", "period", "revenue"), ever)
    held = asked.held("spent", lambda: both.mutate(value=money(at_least(both.revenue, 0))))
    parts = []
    for key in asked.keys:
        rows_ = asked.segmented(held, key)
        # Equal values may change places: no sum below depends on it.
        group = [rows_.period, rows_.segment]
        best = ibis.window(group_by=group, order_by=rows_.value.desc())
        ranked = rows_.mutate(
            decile=ibis.ntile(_DECILES).over(best) + 1,
            place=ibis.row_number().over(best),
            of=rows_.count().over(ibis.window(group_by=group)),
        )
        sums = ranked.group_by("period", "segment", "decile").agg(
            customers=ranked.count(),
            revenue=ranked.value.sum().cast("float64"),
            ranks=(ranked.value * (ranked.of - ranked.place)).sum().cast("float64"),
        )
        parts.append(sums)
    found = parts[0] if len(parts) == 1 else ibis.union(*parts)
    frame: pd.DataFrame = found.order_by("period", "segment", "decile").to_pyarrow().to_pandas()
    numbers = [None if pd.isna(n) else int(n) for n in frame["period"]]
    return frame.assign(period=asked.periods.labels(numbers))


def _moves(asked: Question) -> Found:
    whole, first = asked.periods.whole, asked.periods.first
    ends = [p for p in whole if _month(p.end) - 12 >= _month(first) + (first.day > 1)]
    if len(ends) < 2:
        needs = "It takes two periods with twelve months of data behind them."
        return Found(missing=(Missing((MIGRATION.name,), needs),))
    learned, ends = ends[0], ends[-_LATEST - 1 :]
    months = asked.months
    values = {
        f"value_{i}": months.revenue.sum(
            where=(months.month >= _month(p.end) - 12) & (months.month < _month(p.end))
        ).fill_null(0)
        for i, p in enumerate([learned, *ends])
    }
    spent = months.group_by("customer_id").agg(month=months.month.min(), **values)
    spent = asked.held("tiers", lambda: spent)
    learns = asked.cuts is None
    cuts = _cuts(spent.filter(spent.value_0 > 0).value_0) if learns else asked.cuts
    if cuts is None:
        needs = f"Fewer than {_DECILES} customers brought anything by {learned.label}."
        return Found(missing=(Missing((MIGRATION.name,), needs),))
    tiers = {f"tier_{i}": _tier(spent, i, _month(p.end), cuts) for i, p in enumerate(ends, 1)}
    placed = spent.select(**tiers)
    parts = []
    for i, period in enumerate(ends[1:], 2):
        moved = placed.group_by(before=f"tier_{i - 1}", to=f"tier_{i}").agg(customers=_.count())
        frame = moved.order_by("before", "to").to_pyarrow().to_pandas()
        frame = frame[(frame["before"] != "new") | (frame["to"] != "new")]
        parts.append(frame.assign(period=period.label))
    table = pd.concat(parts, ignore_index=True)
    table["of"] = table.groupby(["period", "before"])["customers"].transform("sum")
    table["segment"] = "from=" + table["before"] + "|to=" + table["to"]
    low, high = cuts
    whence = f"learned at the end of {learned.label}" if learns else "given"
    note = (
        f"Value tiers: low up to {low:,.2f} of revenue in twelve months, medium up to {high:,.2f}, "
        f"as {whence}."
    )
    return Found(rows(MIGRATION, table, table["customers"] / table["of"], "of"), notes=(note,))


def _month(day: dt.date) -> int:
    return day.year * 12 + day.month - 1


def _cuts(values: ir.DecimalColumn) -> Cuts | None:
    """The values below which the `TIER_SHARES` of customers lie, or None for too few."""
    table = values.as_table().rename(value=values.get_name()).order_by("value")
    count = int(table.count().to_pyarrow().as_py())
    if count < _DECILES:
        return None
    places = [math.ceil(share * count) - 1 for share in TIER_SHARES]
    low, high = (table.limit(1, offset=place).to_pyarrow()["value"][0].as_py() for place in places)
    return low, high


def _tier(spent: ir.Table, i: int, end: int, cuts: Cuts) -> ir.StringValue:
    value = spent[f"value_{i}"]
    return ibis.cases(
        (spent.month >= end, "new"),
        (value <= 0, "none"),
        (value <= cuts[0], "low"),
        (value <= cuts[1], "medium"),
        else_="high",
    )
