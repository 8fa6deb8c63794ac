"""What each customer has brought and cost so far: sums over these make ratios of money."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ibis
import pandas as pd

from features.measures.lives import lives
from features.measures.periods import ALL
from features.measures.segments import UNKNOWN

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from features.measures.segments import Question

__all__ = ["MONEY", "by_channel", "money", "worth"]

MONEY = "decimal(19, 4)"
"""The type in which money is multiplied: products of two, and their sums, stay exact."""


def money(value: ir.NumericValue) -> ir.DecimalValue:
    """Money rounded to a ten-thousandth, so that sums of it do not depend on their order."""
    return value.cast(MONEY)


def worth(asked: Question) -> ir.Table:
    """Every customer with a purchase, held in the engine.

    Returns:
        One row a customer: customer_id; day (first purchase); revenue and margin (decimal; the
        margin is `asked.margin` of the revenue, returns taken off); lost (how often the
        customer became lost) and days (on which they were active, as `lives` counts); and with
        a table of acquisitions: channel (text, `UNKNOWN` if so) and, where it has them, cost
        (decimal, missing if unknown).
    """
    return asked.held("worth", lambda: _worth(asked))


def _worth(asked: Question) -> ir.Table:
    months, life = asked.months, lives(asked)
    paid = months.group_by("customer_id").agg(revenue=months.revenue.sum())
    lived = life.group_by(owner=life.customer_id).agg(
        day=life.begun.min(), lost=life.lost.sum().cast("int32"), days=life.days.sum()
    )
    table = lived.join(paid, lived.owner == paid.customer_id)
    columns = {
        "customer_id": table.customer_id,
        "day": table.day,
        "revenue": money(table.revenue),
        "margin": money(table.revenue.cast("float64") * asked.margin),
        "lost": table.lost,
        "days": table.days,
    }
    acquired = asked.ledger.tables.get("acquisition")
    if acquired is None:
        return table.select(**columns)
    known = acquired.select(
        who=acquired.customer_id,
        **{name: acquired[name] for name in ("channel", "cost") if name in acquired.columns},
    )
    with_cost = table.select(**columns).left_join(known, ibis._.customer_id == known.who)
    channel = with_cost.channel.cast("string").strip().replace("|", "/")
    named = (channel == "").ifelse(UNKNOWN, channel).fill_null(UNKNOWN)
    costs = {"cost": money(with_cost.cost)} if "cost" in with_cost.columns else {}
    return with_cost.select(*columns, channel=named, **costs)


def by_channel(
    asked: Question,
    rows: ir.Table,
    by: tuple[str, ...] = (),
    *,
    cohorts: bool = False,
    **sums: ibis.Deferred,
) -> pd.DataFrame:
    """Sums over all data for everyone, each acquisition channel, and each segment asked for.

    Args:
        asked: The question.
        rows: Has customer_id; channel, where acquisitions are known; and for cohorts day, the
            one of the first purchase.
        by: Further columns to group by.
        cohorts: Whether to add the cohorts of all whole periods, as `cohort=2024-01`.
        **sums: As for `Question.totals`.

    Returns:
        As `Question.totals`, with the period "all"; `channel=` is the channel of acquisition.
    """
    parts = [asked.totals(rows, day=None, by=by, **sums)]
    if "channel" in rows.columns:
        own = asked.totals(rows, day=None, by=("channel", *by), segments=(), **sums)
        parts.append(own.assign(segment="channel=" + own["channel"]).drop(columns="channel"))
    if cohorts:
        own = asked.totals(rows, by=by, segments=(), all_data=False, **sums)
        parts.append(own.assign(segment="cohort=" + own["period"], period=ALL))
    table = pd.concat(parts, ignore_index=True)
    # Whoever asks for channel as a segment of another table gets the channel of acquisition.
    return table.drop_duplicates(["period", "segment", *by], keep="last", ignore_index=True)
