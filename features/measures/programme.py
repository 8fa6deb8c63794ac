"""Loyalty programme: who joins, what points are earned, burnt and lost, and what joining does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ibis
import numpy as np
import pandas as pd
from ibis import _

from features.enrolment import enrolments
from features.expressions import at_least, at_most
from features.measures.intervals import share_interval
from features.measures.periods import ALL
from features.measures.table import Found, Measure, Missing, rows

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from features.measures.segments import Question

__all__ = ["EFFECT_ADJUSTED", "EFFECT_RAW", "MEASURES", "point_moves", "programme"]

_NEEDS = ("transactions", "loyalty")
_MOVED = "customers whose points moved"

MEMBERS = Measure(
    "loyalty_members",
    "count",
    "Members",
    "customers who have joined the loyalty programme by the end of the period; by tier: the last "
    "one noted, over all data",
    needs=("loyalty",),
)
NEW_MEMBERS = Measure(
    "loyalty_new_members",
    "count",
    "New members",
    "customers who join the loyalty programme in the period: at the first row whose kind says "
    "so (enrol, join, sign up, register, welcome), else at their first row",
    needs=("loyalty",),
)
ENROLMENT = Measure(
    "loyalty_enrolment_rate",
    "share",
    "Enrolment rate",
    "of all who have bought by the end of the period, those who have joined by then",
    needs=_NEEDS,
)
ACTIVE_ENROLMENT = Measure(
    "loyalty_active_enrolment_rate",
    "share",
    "Enrolment rate of active customers",
    "of the customers with a purchase in the period, those who have joined by its end",
    needs=_NEEDS,
)
EARNED = Measure(
    "points_earned",
    "count",
    "Points earned",
    "points given in the period, gifts included and corrections taken off",
    needs=("loyalty",),
    n=_MOVED,
)
BURNT = Measure(
    "points_burnt",
    "count",
    "Points burnt",
    "points redeemed in the period: taken away, but neither expired nor corrected",
    needs=("loyalty",),
    n=_MOVED,
)
EXPIRED = Measure(
    "points_expired",
    "count",
    "Points expired",
    "points that lapse in the period",
    needs=("loyalty.kind",),
    n=_MOVED,
)
REDEMPTION = Measure(
    "redemption_rate",
    "share",
    "Redemption rate",
    "points_burnt / points_earned of the same period; above 1 where old points are burnt",
    needs=("loyalty",),
    n=_MOVED,
)
BREAKAGE = Measure(
    "breakage_rate",
    "share",
    "Breakage rate",
    "of the points given in the period, those that have expired by the end of the data, the "
    "oldest points of a customer being used first. low and high are bounds and no 95 % interval: "
    "none, or all, of the points still open will expire",
    needs=("loyalty.kind",),
    n="customers with points given",
)
EFFECT_RAW = Measure(
    "loyalty_effect_raw",
    "purchases",
    "Members less others, raw",
    "purchases of members less those of all other customers, a head, in the last churn_days days "
    "of the data; of money (outcome=spend) and relative (outcome=purchase_rate). No effect of the "
    "programme: who joins bought more before",
    needs=_NEEDS,
    n="members",
)
EFFECT_ADJUSTED = Measure(
    "loyalty_effect_adjusted",
    "purchases",
    "Effect of joining, adjusted",
    "purchases in the churn_days days after joining less what comparable customers made who "
    "bought then and did not join, a head; of money (outcome=spend) and relative "
    "(outcome=purchase_rate). An observational estimate, for those who join at a purchase",
    source="sequential trials (Danaei et al. 2013), augmented inverse probability weighting "
    "(Robins, Rotnitzky & Zhao 1994) with cross-fitting (Chernozhukov et al. 2018)",
    needs=_NEEDS,
    n="members who joined at a purchase",
)

MEASURES = (
    MEMBERS,
    NEW_MEMBERS,
    ENROLMENT,
    ACTIVE_ENROLMENT,
    EARNED,
    BURNT,
    EXPIRED,
    REDEMPTION,
    BREAKAGE,
    EFFECT_RAW,
    EFFECT_ADJUSTED,
)

_EXPIRES = r"^\s*(expir|laps|forfeit)"
_BURNS = r"^\s*(burn|redeem|redempt|spend|spent|used?\b)"
_CORRECTS = r"^\s*(adjust|correct|revers|refund|return|cancel|claw)"


def programme(asked: Question) -> Found:
    """Members, enrolment and points of every period.

    Args:
        asked: The question.

    Returns:
        All `MEASURES` but the two effects, by period and segment, points also by tier
        (`tier=gold`: the tier noted on the row). Enrolment rates have Wilson intervals;
        `breakage_rate` has bounds; the others count everything.
    """
    if "loyalty" not in asked.ledger.tables:
        names = tuple(row.name for row in MEASURES if row not in (EFFECT_RAW, EFFECT_ADJUSTED))
        return Found(missing=(Missing(names, "There is no table of the loyalty programme."),))
    loyalty = asked.ledger.tables["loyalty"]
    moves = point_moves(loyalty)
    has_kind = "kind" in loyalty.columns
    parts = [_membership(asked, loyalty), _points(asked, moves, has_kind)]
    missing: tuple[Missing, ...] = ()
    if has_kind:
        parts.append(_breakage(asked, moves))
    else:
        names = (EXPIRED.name, BREAKAGE.name)
        missing = (Missing(names, "The loyalty table has no column kind."),)
    return Found(pd.concat(parts, ignore_index=True), missing)


def point_moves(loyalty: ir.Table) -> ir.Table:
    """Every move of points as one of four kinds.

    A move is expired, burnt or a correction where `kind` says so; otherwise it is earned above
    zero and burnt below. Points burnt or expired count without their sign, however noted.

    Args:
        loyalty: The standard table.

    Returns:
        One row a move: customer_id, timestamp, day, tier (text, missing where not noted), and
        the decimals earned, burnt, expired and corrected (signed), zero where it is another.
    """
    points = loyalty.points.cast("decimal(18, 4)")
    zero = ibis.literal(0).cast("decimal(18, 4)")
    if "kind" in loyalty.columns:
        kind = loyalty.kind.lower()
        expires, burns, corrects = (
            kind.re_search(pattern).fill_null(False) for pattern in (_EXPIRES, _BURNS, _CORRECTS)
        )
    else:
        expires = burns = corrects = ibis.literal(False)
    burns = burns | (~expires & ~corrects & (points < 0))
    tier = loyalty.tier if "tier" in loyalty.columns else ibis.null("string")
    return loyalty.select(
        "customer_id",
        "timestamp",
        day=loyalty.timestamp.date(),
        tier=tier,
        expired=expires.ifelse(points.abs(), zero),
        burnt=burns.ifelse(points.abs(), zero),
        corrected=corrects.ifelse(points, zero),
        earned=(expires | burns | corrects).ifelse(zero, points),
    )


def _membership(asked: Question, loyalty: ir.Table) -> pd.DataFrame:
    """Members, those who join, and the shares of customers who are members."""
    dated = enrolments(loyalty).select("customer_id", day=_.enrolled_at.date())
    joined = asked.held("joined", lambda: dated)
    begun = joined.day.min().to_pyarrow().as_py()
    since = [ALL, *(period.label for period in asked.periods.whole if period.end > begun)]
    named = joined.rename(joiner="customer_id", joined="day")
    customers = asked.members.select("customer_id", day="first_day").drop_null("day")
    bought = customers.left_join(named, customers.customer_id == named.joiner)
    # One is a buying member from the later of the two days on.
    both = bought.drop_null("joined").select("customer_id", day=ibis.greatest(_.day, _.joined))
    members = _by_the_end(asked, joined)
    enrolled = _by_the_end(asked, both).rename(columns={"n": "part"})
    of = _by_the_end(asked, customers).merge(enrolled, how="left").fillna({"part": 0})
    of = of[of["period"].isin(since)]
    rate = share_interval(of["part"], of["n"])
    numbered = asked.periods.during(asked.purchases)
    mine = numbered.left_join(named, numbered.customer_id == named.joiner)
    mine = mine.mutate(
        joins=(asked.periods.number(mine.joined) <= mine.period).fill_null(False)
    ).drop("period", "joiner", "joined")
    active = asked.totals(
        mine,
        all_data=False,
        n=_.customer_id.nunique(),
        part=_.customer_id.nunique(where=_.joins),
    )
    active = active[active["period"].isin(since)]
    active_rate = share_interval(active["part"], active["n"])
    new = asked.totals(joined, all_data=False, n=_.count())
    return pd.concat(
        [
            rows(MEMBERS, members, "n"),
            rows(MEMBERS, _tiers(loyalty), "n"),
            rows(NEW_MEMBERS, new, "n"),
            rows(ENROLMENT, of, rate[0], "n", *rate[1:]),
            rows(ACTIVE_ENROLMENT, active, active_rate[0], "n", *active_rate[1:]),
        ]
    )


def _by_the_end(asked: Question, dated: ir.Table) -> pd.DataFrame:
    """How many rows are dated before the end of each whole period, and of all data."""
    whole = asked.periods.whole
    everything = asked.totals(dated, day=None, n=_.count())
    if not whole:
        return everything
    # What lies before the first whole period is there when it begins.
    held = dated.mutate(day=ibis.greatest(dated.day, ibis.literal(whole[0].start)))
    counts = asked.totals(held, all_data=False, n=_.count())
    wide = counts.pivot_table(index="period", columns="segment", values="n", aggfunc="sum")
    wide = wide.reindex([period.label for period in whole]).fillna(0).cumsum()
    long = wide.melt(ignore_index=False, value_name="n").reset_index()
    return pd.concat([long[long["n"] > 0], everything], ignore_index=True)


def _tiers(loyalty: ir.Table) -> pd.DataFrame:
    """Members by the last tier noted; of several at one moment the last by name."""
    if "tier" not in loyalty.columns:
        return pd.DataFrame({"period": [], "segment": [], "n": []})
    noted = loyalty.drop_null("tier").group_by("customer_id", "timestamp")
    moments = noted.agg(tier=_.tier.max())
    latest = moments.group_by("customer_id").agg(tier=_.tier.argmax(_.timestamp))
    counts = latest.group_by("tier").agg(n=_.count()).order_by("tier").to_pyarrow().to_pandas()
    named = "tier=" + counts["tier"].str.replace("|", "/")
    return pd.DataFrame({"period": ALL, "segment": named, "n": counts["n"]})


def _points(asked: Question, moves: ir.Table, has_kind: bool) -> pd.DataFrame:
    """Points earned, burnt and expired, by segment and by tier."""
    sums = {
        "earned": _.earned.sum() + _.corrected.sum(),
        "burnt": _.burnt.sum(),
        "expired": _.expired.sum(),
        "n": _.customer_id.nunique(),
    }
    table = asked.totals(moves, **sums)
    tiered = moves.drop_null("tier")
    tiers = asked.totals(tiered, by=("tier",), segments=(), **sums)
    tiers["segment"] = "tier=" + tiers["tier"].str.replace("|", "/")
    table = pd.concat([table, tiers.drop(columns="tier")], ignore_index=True)
    rate = np.where(
        table["earned"] > 0, table["burnt"] / table["earned"].replace(0, np.nan), np.nan
    )
    parts = [
        rows(EARNED, table, "earned", "n"),
        rows(BURNT, table, "burnt", "n"),
        rows(REDEMPTION, table, rate, "n"),
    ]
    return pd.concat([*parts, rows(EXPIRED, table, "expired", "n")] if has_kind else parts)


def _breakage(asked: Question, moves: ir.Table) -> pd.DataFrame:
    """What became of the points given in each period, first in, first out."""
    cohorts = asked.held("point_cohorts", lambda: _cohorts(asked, moves))
    table = asked.totals(
        cohorts,
        issued=_.issued.sum(),
        expired=_.lost.sum(),
        open=_.open.sum(),
        n=_.customer_id.nunique(),
    )
    low = table["expired"] / table["issued"]
    return rows(
        BREAKAGE, table, low, "n", low, (table["expired"] + table["open"]) / table["issued"]
    )


def _cohorts(asked: Question, moves: ir.Table) -> ir.Table:
    """Points given by customer and period, and how many of them have expired or are open.

    A customer's points stand on a line in the order they were given, and so do, from its start,
    those taken away in the order they were taken. The points of a period that expired are where
    its piece of the first line lies over an expired piece of the second.
    """
    zero = ibis.literal(0).cast("decimal(38, 4)")
    given = moves.mutate(
        period=asked.periods.number(moves.day),
        points=moves.earned + at_least(moves.corrected, zero),
    )
    issued = given.filter(given.points > 0).group_by("customer_id", "period")
    line = issued.agg(issued=_.points.sum(), day=_.day.min())
    ends = line.issued.sum().over(ibis.cumulative_window(group_by="customer_id", order_by="period"))
    line = line.mutate(upto=ends.cast("decimal(38, 4)"))
    line = line.mutate(since=line.upto - line.issued)
    taken = moves.mutate(other=moves.burnt - at_most(moves.corrected, zero))
    moments = taken.group_by("customer_id", "timestamp").agg(
        other=_.other.sum(), expired=_.expired.sum()
    )
    so_far = (moments.other + moments.expired).sum()
    moments = moments.mutate(
        gone=so_far.over(ibis.cumulative_window(group_by="customer_id", order_by="timestamp"))
    )
    totals = moments.group_by(owner="customer_id").agg(gone=_.gone.max())
    lapses = moments.filter(moments.expired > 0)
    lapses = lapses.select(owner="customer_id", start=_.gone - _.expired, end="gone")
    over = line.inner_join(
        lapses,
        [
            line.customer_id == lapses.owner,
            line.since < lapses.end,
            line.upto > lapses.start,
        ],
    )
    piece = ibis.least(over.upto, over.end) - ibis.greatest(over.since, over.start)
    lost = over.mutate(piece=piece).group_by(owner="customer_id", at="period")
    lost = lost.agg(lost=_.piece.sum())
    found = line.left_join(lost, [line.customer_id == lost.owner, line.period == lost.at])
    found = found.drop("owner").left_join(totals, found.customer_id == totals.owner)
    used = found.gone.fill_null(zero)
    still = found.upto - ibis.greatest(found.since, used)
    return found.select(
        "customer_id",
        "day",
        "issued",
        lost=found.lost.fill_null(zero),
        open=at_least(still, zero),
    )
