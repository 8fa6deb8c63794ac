"""Measures of a scored list: what customers are expected to bring, against what they cost."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import ibis
import pandas as pd
import pyarrow as pa
from ibis import _
from scipy.stats import norm

from features.measures.intervals import ratio_interval
from features.measures.periods import ALL
from features.measures.table import Found, Measure, Missing, rows
from features.measures.worth import by_channel, money, worth

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from features.measures.segments import Question

__all__ = ["MEASURES", "SCORED_LEVEL", "predictive"]

SCORED_LEVEL = 0.90
"""Probability with which the intervals clv_low to clv_high of a scored list hold."""

_YEAR = 365
_NUMBERS = ("clv", "clv_low", "clv_high", "churn_probability", "churn_low", "churn_high")

PREDICTIVE = Measure(
    "clv_predictive",
    "money",
    "Predictive CLV",
    "mean CLV of the scored customers: discounted margin expected in the CLV horizon after the "
    "scoring, by the registered model. It counts nothing of the past; many customers have left "
    "already and are worth little, so the mean is lower than that of a new customer",
    needs=("transactions", "a CLV model"),
)
LTV_TO_CAC = Measure(
    "ltv_to_cac",
    "ratio",
    "LTV : CAC",
    "(margin x revenue so far + predictive CLV) / acquisition_cost, of the scored customers "
    "whose cost is known. What lies beyond the CLV horizon is not in it",
    needs=("transactions", "acquisition.cost", "a CLV model"),
)
AT_RISK = Measure(
    "revenue_at_risk",
    "money",
    "Revenue at risk",
    "sum over scored customers of churn_probability x revenue in the 365 days before the "
    "scoring; low and high take churn_low and churn_high of every customer at once, which is "
    "wider than chance",
    needs=("transactions", "a churn model"),
)

MEASURES = (PREDICTIVE, LTV_TO_CAC, AT_RISK)


def predictive(asked: Question, scored: pd.DataFrame) -> Found:
    """What a scored list says of the whole, and of each channel and segment.

    Intervals of clv_predictive and ltv_to_cac hold two things: how far the figure would move
    with as many other customers of the same kind, and how far the customers' future may be off
    the expectation by their own predictive intervals, independently of each other. A model
    that is too high or too low for everyone is not in them; see its backtest for that.

    Args:
        asked: The question; its `margin` is used for the past, as the model's is for the
            future.
        scored: A scored list, as `serving.scorer.score` gives it, of one moment.

    Returns:
        clv_predictive, ltv_to_cac and revenue_at_risk, with the period "all", for everyone,
        each acquisition channel and segment; ltv_to_cac also by `cohort=`, revenue_at_risk by
        `risk_tier=`.
    """
    done = scored[scored["status"] == "scored"]
    if not len(done):
        needs = "The scored list has no customer with a purchase."
        return Found(missing=(Missing(tuple(each.name for each in MEASURES), needs),))
    table = asked.held(ibis.util.gen_name("expected"), lambda: _expected(asked, done))
    value = table.filter(~_.clv.isnull())  # noqa: PD003 (of Ibis, not pandas)
    mean = by_channel(
        asked,
        value,
        n=_.count(),
        clv=_.clv.sum(),
        squares=(_.clv * _.clv).sum(),
        noise=(_.spread * _.spread).sum(),
    )
    found = ratio_interval(
        mean["clv"], mean["n"], mean["squares"], mean["n"], mean["clv"], mean["n"], mean["noise"]
    )
    low = found[1].clip(0)  # nobody is worth less than nothing
    parts = [rows(PREDICTIVE, mean, found[0], "n", low, found[2])]
    ratio, missing, notes = _to_cac(asked, value)
    parts += [ratio, _at_risk(asked, table)]
    return Found(pd.concat(parts, ignore_index=True), missing, notes)


def _expected(asked: Question, done: pd.DataFrame) -> ir.Table:
    """Of each scored customer: past and expected margin, what is uncertain, and what is at risk."""
    as_of: dt.date = pd.Timestamp(done["as_of"].iloc[0]).date()
    columns = {
        name: pa.array(done[name], kind, from_pandas=True)
        for name, kind in (
            ("customer_id", pa.string()),
            ("risk_tier", pa.string()),
            *((name, pa.float64()) for name in _NUMBERS),
        )
    }
    list_ = ibis.memtable(pa.table(columns))
    before = asked.days.filter(asked.days.day < as_of)
    recent = before.day >= as_of - dt.timedelta(days=_YEAR)
    past = before.group_by(payer=before.customer_id).agg(
        so_far=before.value.sum(), recent=before.value.sum(where=recent).fill_null(0)
    )
    known = worth(asked)
    about = [name for name in ("day", "channel", "cost") if name in known.columns]
    who = known.select(*about, who=known.customer_id)
    both = list_.inner_join(past, list_.customer_id == past.payer)
    both = both.inner_join(who, both.customer_id == who.who)
    width = 2 * float(norm.ppf(0.5 + SCORED_LEVEL / 2))
    # What is at risk of a customer whose returns outweigh the year's purchases is nothing.
    recent_money = (both.recent > 0).ifelse(both.recent, 0).cast("float64")
    return both.select(
        "customer_id",
        *about,
        "risk_tier",
        clv=money(both.clv),
        spread=money((both.clv_high - both.clv_low) / width).fill_null(0),
        margin=money(both.so_far.cast("float64") * asked.margin),
        at_risk=money(recent_money * both.churn_probability),
        at_risk_low=money(recent_money * both.churn_low),
        at_risk_high=money(recent_money * both.churn_high),
    )


def _to_cac(
    asked: Question, value: ir.Table
) -> tuple[pd.DataFrame, tuple[Missing, ...], tuple[str, ...]]:
    nothing = rows(LTV_TO_CAC, pd.DataFrame({"period": [], "segment": []}), [], [])
    if "cost" not in value.columns:
        needs = "There is no table acquisition with what each customer cost."
        return nothing, (Missing((LTV_TO_CAC.name,), needs),), ()
    worths = value.mutate(ltv=value.margin + value.clv).filter(~_.cost.isnull())  # noqa: PD003
    worths = worths.mutate(ltv=money(worths.ltv))
    sums = by_channel(
        asked,
        worths,
        cohorts=True,
        n=_.count(),
        ltv=_.ltv.sum(),
        cost=_.cost.sum(),
        squares=(_.ltv * _.ltv).sum(),
        cost_squares=(_.cost * _.cost).sum(),
        products=(_.ltv * _.cost).sum(),
        noise=(_.spread * _.spread).sum(),
    )
    found = ratio_interval(
        sums["ltv"],
        sums["cost"],
        sums["squares"],
        sums["cost_squares"],
        sums["products"],
        sums["n"],
        sums["noise"],
    )
    free = sums.loc[sums["cost"] <= 0, "segment"].tolist()
    notes = (f"No {LTV_TO_CAC.name} where winning customers cost nothing: {', '.join(free)}.",)
    return rows(LTV_TO_CAC, sums, found[0], "n", *found[1:]), (), notes if free else ()


def _at_risk(asked: Question, table: ir.Table) -> pd.DataFrame:
    risky = table.filter(~_.at_risk.isnull())  # noqa: PD003 (of Ibis, not pandas)
    sums = {
        "n": _.count(),
        "value": _.at_risk.sum(),
        "low": _.at_risk_low.sum(),
        "high": _.at_risk_high.sum(),
    }
    found = by_channel(asked, risky, **sums)
    tiers = asked.totals(risky, day=None, by=("risk_tier",), segments=(), **sums)
    tiers = tiers[tiers["risk_tier"].notna()]
    tiers = tiers.assign(segment="risk_tier=" + tiers["risk_tier"]).drop(columns="risk_tier")
    both = pd.concat([found, tiers], ignore_index=True).assign(period=ALL)
    return rows(AT_RISK, both, "value", "n", "low", "high")
