"""Engagement: active customers, stickiness, sessions, and the funnel from a visit to a purchase.

A customer is active on a day with an event. The customers active in the 7 or 30 days that end with
a day are counted for every day without a list of them: an active day counts from itself until 7 or
30 days later, or until the next active day where that comes first, so that nobody counts twice.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import TYPE_CHECKING

import ibis
import numpy as np
import pandas as pd
from ibis import _

from features.measures.intervals import mean_interval, share_interval
from features.measures.periods import ALL, Period
from features.measures.table import Found, Measure, Missing, gather, rows
from features.visits import CART_HOURS, INACTIVITY_MINUTES, session_events

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from features.measures.segments import Question

__all__ = ["MEASURES", "STEPS", "engagement"]

STEPS = ("visit", "view", "cart", "purchase")
"""The steps of the funnel, in order."""

_WINDOWS = {"wau": 7, "mau": 30}
_NEEDS = ("events",)
_SESSION = (
    f"a session ends after {INACTIVITY_MINUTES} minutes without an event, or is what the shop gave "
    "one session_id"
)
_ORDERED = (
    "a step counts where it comes after the one before it; a purchase is a purchase event or, in "
    f"a shop without such events, a transaction from the day of the cart to {CART_HOURS} hours "
    "after it"
)

MEASURES: tuple[Measure, ...] = (
    Measure(
        "dau",
        "count",
        "Daily active customers",
        "mean over the days of the period of the customers with an event on the day",
        "",
        _NEEDS,
        "customers active in the period",
    ),
    *(
        Measure(
            name,
            "count",
            f"{title} active customers",
            "mean over the days of the period of the customers with an event in the "
            f"{_WINDOWS[name]} days that end with the day; days before the first whole such window "
            "are left out",
            "",
            _NEEDS,
            "customers active in the period",
        )
        for name, title in (("wau", "Weekly"), ("mau", "Monthly"))
    ),
    Measure(
        "stickiness_dau_mau",
        "share",
        "Stickiness: daily of monthly active customers",
        "sum over days of the daily active customers / sum over the same days of the monthly ones",
        "",
        _NEEDS,
        "customers active in the period",
    ),
    Measure(
        "stickiness_wau_mau",
        "share",
        "Stickiness: weekly of monthly active customers",
        "sum over days of the weekly active customers / sum over the same days of the monthly ones",
        "",
        _NEEDS,
        "customers active in the period",
    ),
    Measure(
        "stickiness_person",
        "share",
        "Stickiness of a customer",
        "mean over the customers active in the period of their active days / days of the period",
        "interval: Student's t",
        _NEEDS,
        "customers active in the period",
    ),
    Measure("sessions", "count", "Sessions", f"sessions that began; {_SESSION}", "", _NEEDS),
    Measure(
        "sessions_per_user",
        "ratio",
        "Sessions per customer",
        "sessions / customers with a session",
        "",
        _NEEDS,
        "customers with a session",
    ),
    Measure(
        "session_minutes",
        "minutes",
        "Length of a session",
        "mean minutes from the first to the last event of a session; 0 for a single event",
        "",
        _NEEDS,
        "sessions",
    ),
    Measure(
        "funnel_rate",
        "share",
        "Funnel by session",
        f"sessions that reach the step / sessions; {_ORDERED}",
        "interval: Wilson 1927",
        _NEEDS,
        "sessions",
    ),
    Measure(
        "funnel_person_rate",
        "share",
        "Funnel by customer",
        "customers who reach the step within the period / customers with an event in it; "
        f"{_ORDERED}",
        "interval: Wilson 1927",
        _NEEDS,
        "customers active in the period",
    ),
)

_ROW = {row.name: row for row in MEASURES}


def engagement(asked: Question) -> Found:
    """Active customers, stickiness, sessions and the funnel."""
    events = asked.ledger.tables.get("events")
    if events is None or not (span := _span(events)):
        return Found(missing=(Missing(tuple(_ROW), "There is no table of events."),))
    if span[0] > asked.periods.last:
        why = f"The events begin on {span[0]}, after the last transaction ({asked.periods.last})."
        return Found(missing=(Missing(tuple(_ROW), why),))
    last = max(min(span[1], asked.periods.last), asked.periods.first)
    periods = asked.periods.limited(span[0], asked.periods.last)
    part = replace(asked, periods=periods)
    return gather([_active(part, events, span[0], last), _sessions(part, events)])


def _span(events: ir.Table) -> tuple[dt.date, dt.date] | None:
    found = events.agg(first=events.timestamp.min().date(), last=events.timestamp.max().date())
    row = found.to_pyarrow().to_pylist()[0]
    return None if row["first"] is None else (row["first"], row["last"])


def _active(asked: Question, events: ir.Table, first: dt.date, last: dt.date) -> Found:
    days = asked.held(
        "active_days",
        lambda: events.select("customer_id", day=events.timestamp.date()).distinct(),
    )
    daily = _daily(asked, days, first, last)
    for name in ("dau", "wau"):
        daily[f"{name}_with_mau"] = daily[name].where(daily["mau"].notna())
    users = asked.totals(days, users=_.customer_id.nunique())
    periods = (*asked.periods.whole, Period(ALL, first, last + dt.timedelta(days=1)))
    parts = []
    for period in periods:
        inside = daily[(daily["day"] >= period.start) & (daily["day"] < period.end)]
        if inside.empty:
            continue
        sums = inside.groupby("segment", as_index=False).agg(
            days=("dau", "size"),
            **{f"{name}_days": (name, "count") for name in _WINDOWS},
            **{name: (name, "sum") for name in ("dau", *_WINDOWS, "dau_with_mau", "wau_with_mau")},
        )
        parts.append(sums.assign(period=period.label))
    found = pd.concat(parts, ignore_index=True).merge(users, on=["period", "segment"])
    made = [rows(_ROW["dau"], found, found["dau"] / found["days"], "users")]
    for name in _WINDOWS:
        mean = found[name] / found[f"{name}_days"].where(found[f"{name}_days"] > 0)
        made.append(rows(_ROW[name], found, mean, "users"))
    monthly = found["mau"].where(found["mau"] > 0)
    for name in ("dau", "wau"):
        stickiness = found[f"{name}_with_mau"] / monthly
        made.append(rows(_ROW[f"stickiness_{name}_mau"], found, stickiness, "users"))
    made.append(_person(asked, days))
    return Found(pd.concat(made, ignore_index=True))


def _daily(asked: Question, days: ir.Table, first: dt.date, last: dt.date) -> pd.DataFrame:
    """For each segment and day: dau, and wau and mau from the first whole window on."""
    following = days.day.lead().over(ibis.window(group_by="customer_id", order_by="day"))
    ends = {}
    for name, length in _WINDOWS.items():
        fades = (days.day + ibis.interval(days=length)).cast("date")
        ends[name] = (following < fades).ifelse(following, fades).fill_null(fades)
    spans = days.mutate(**ends)
    begun = asked.totals(spans, day=None, by=("day",), n=_.count())
    table = _by_day(begun, "day", first, last)
    found = {"dau": table}
    for name, length in _WINDOWS.items():
        over = _by_day(asked.totals(spans, day=None, by=(name,), n=_.count()), name, first, last)
        present = table.cumsum() - over.reindex(columns=table.columns, fill_value=0).cumsum()
        found[name] = present.astype("float64").iloc[length - 1 :]
    return pd.concat(
        [
            pd.DataFrame({"day": table.index, "segment": segment}).assign(
                **{name: frame[segment].reindex(table.index).array for name, frame in found.items()}
            )
            for segment in table.columns
        ],
        ignore_index=True,
    )


def _by_day(found: pd.DataFrame, day: str, first: dt.date, last: dt.date) -> pd.DataFrame:
    """Counts with a row for each day and a column for each segment."""
    every = pd.Index([first + dt.timedelta(days=i) for i in range((last - first).days + 1)])
    wide = found.pivot_table(index=day, columns="segment", values="n", aggfunc="sum", fill_value=0)
    return wide.reindex(every, fill_value=0).astype("int64")


def _person(asked: Question, days: ir.Table) -> pd.DataFrame:
    inside = asked.periods.during(days)
    own = inside.group_by("customer_id", "period").agg(day=inside.day.min(), active=inside.count())
    found = asked.totals(
        own, total=_.active.sum(), squares=(_.active * _.active).sum(), n=_.count()
    )
    found = found[found["period"] != ALL].reset_index(drop=True)
    lengths = {period.label: (period.end - period.start).days for period in asked.periods.whole}
    length = found["period"].map(lengths).astype("float64")
    mean, low, high = mean_interval(
        found["total"] / length, found["squares"] / length**2, found["n"]
    )
    return rows(
        _ROW["stickiness_person"], found, mean, "n", np.maximum(low, 0), np.minimum(high, 1)
    )


def _sessions(asked: Question, events: ir.Table) -> Found:
    told = asked.held(
        "session_events",
        # A key without a value is no key.
        lambda: session_events(events).mutate(session=_.session.fill_null("")),
    )
    kinds = told.agg(**{step: told[f"is_{step}"].any() for step in STEPS[1:]})
    kind = kinds.to_pyarrow().to_pylist()[0]
    steps = [step for step in STEPS[1:] if kind[step] or (step == "purchase" and kind["cart"])]
    keys = ["customer_id", "session", "started"]
    table = asked.held(
        "sessions",
        lambda: told.group_by(*keys).agg(
            seconds=told.timestamp.max().delta(told.timestamp.min(), unit="second")
        ),
    )
    found = asked.totals(
        table,
        day="started",
        n=_.count(),
        users=_.customer_id.nunique(),
        seconds=_.seconds.sum(),
    )
    parts = [
        rows(_ROW["sessions"], found, "n"),
        rows(_ROW["sessions_per_user"], found, found["n"] / found["users"], "users"),
        rows(_ROW["session_minutes"], found, found["seconds"] / found["n"] / 60, "n"),
    ]
    sold = None if kind["purchase"] else asked.ledger.transactions
    reached = asked.held("funnel", lambda: _funnel(told, keys, steps, sold))
    parts.append(_rates(asked, "funnel_rate", reached, "started", steps))
    whole = asked.held("person_funnel", lambda: _funnel(told, ["customer_id"], steps, sold))
    inside = asked.periods.during(told, "timestamp")
    by_period = asked.held(
        "person_period_funnel", lambda: _funnel(inside, ["customer_id", "period"], steps, sold)
    )
    persons = _rates(asked, "funnel_person_rate", by_period, "first", steps)
    parts.append(persons[persons["period"] != ALL])
    parts.append(_rates(asked, "funnel_person_rate", whole, None, steps))
    absent = [step for step in STEPS[1:] if step not in steps]
    lacking = (
        f"No name of an event stands for a {' or a '.join(absent)}: the funnel is without it. "
        "Rename events by an SQL expression under [tables.events]."
    )
    return Found(pd.concat(parts, ignore_index=True), notes=(lacking,) if absent else ())


def _funnel(told: ir.Table, keys: list[str], steps: list[str], sold: ir.Table | None) -> ir.Table:
    """How far each session or customer came: keys, first (their first event), reached (steps)."""
    if not steps:
        return told.group_by(*keys).agg(first=told.timestamp.min(), reached=ibis.literal(0))
    # Only a step that something has to come before takes a join.
    at = told.timestamp.min(where=told[f"is_{steps[0]}"])
    reached = told.group_by(*keys).agg(first=told.timestamp.min(), at=at)
    reached = reached.mutate(reached=_yes(reached["at"]))
    for step in steps[1:]:
        names = {f"own_{key}": key for key in keys}
        so_far = reached.filter(_yes(reached["at"]) == 1).select(before="at", **names)
        # A transaction belongs to any of the carts, not to the first one alone.
        bought = step == "purchase" and sold is not None
        own = told.filter(told["is_cart" if bought else f"is_{step}"]).select(*keys, "timestamp")
        same = [own[key] == so_far[f"own_{key}"] for key in keys]
        made = own.join(so_far, [*same, own.timestamp >= so_far.before])
        if sold is not None and bought:
            carts = made.select(*names, cart="timestamp").distinct()
            paid = sold.filter(sold.amount > 0).select("customer_id", "timestamp")
            until = carts.cart + ibis.interval(hours=CART_HOURS)
            near = [paid.timestamp >= carts.cart.truncate("D"), paid.timestamp < until]
            made = carts.join(paid, [carts.own_customer_id == paid.customer_id, *near])
        came = made.group_by(*names).agg(came=made.timestamp.min())
        both = reached.left_join(came, [reached[key] == came[f"own_{key}"] for key in keys])
        reached = both.select(*keys, "first", at="came", reached=both.reached + _yes(both.came))
    return reached


def _yes(at: ir.TimestampValue) -> ir.IntegerValue:
    return at.notnull().cast("int64")  # noqa: PD004 (of Ibis, not pandas)


def _rates(
    asked: Question, name: str, reached: ir.Table, day: str | None, steps: list[str]
) -> pd.DataFrame:
    sums = {step: (_.reached >= i).sum() for i, step in enumerate(steps, start=1)}
    found = asked.totals(reached, day=day, visit=_.count(), **sums)
    parts = []
    for step in ("visit", *steps):
        share, low, high = share_interval(found[step], found["visit"])
        ends = (None, None) if step == "visit" else (low, high)
        narrow = found["segment"].where(found["segment"] != ALL, "")
        named = found.assign(segment=(narrow + f"|step={step}").str.strip("|"))
        parts.append(rows(_ROW[name], named, share, "visit", *ends))
    return pd.concat(parts, ignore_index=True)
