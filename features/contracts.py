"""What is known of each customer's contracts at a cutoff, and whether they end after it.

Contracts that follow one another within `RENEWAL_DAYS` are one subscription: a customer who lets a
contract run out and takes a new one a week later has not left. So a customer churns when a
subscription ends, and whether it did is known `RENEWAL_DAYS` after the end. (Renewal within 30
days of expiry is also the label of the KKBox churn challenge, WSDM Cup 2018.)

An end on or after the cutoff is not known at the cutoff, even where the source holds it: the
contract runs. Customers without a running contract are not at risk and not in a snapshot.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import ibis

from features.expressions import days_before, ratio, when
from features.feature import Feature
from features.window import ObservationWindow

if TYPE_CHECKING:
    import ibis.expr.types as ir

__all__ = ["FEATURES", "RENEWAL_DAYS", "contract_ends", "contract_features"]

RENEWAL_DAYS = 30
"""A new contract that starts no later than this after the end of one renews it."""

_NEVER = dt.datetime(9999, 1, 1)


def _feature(name: str, definition: str, null_class: str = "", **known: object) -> Feature:
    settings = {"window": "all", "monotone": 0, "reason_group": "contract", "minimum": 0.0, **known}
    sources = ("subscriptions.started_at", *settings.pop("columns", ()))  # type: ignore[misc]
    return Feature(name, definition, null_class=null_class, sources=sources, **settings)  # type: ignore[arg-type]


_ENDED, _FEE, _PLAN = (f"subscriptions.{name}" for name in ("ended_at", "fee", "plan"))

FEATURES: tuple[Feature, ...] = (
    _feature(
        "contract_days",
        "days since the start of the running contract; of several, the one that started last",
        drift_exempt=True,
    ),
    _feature(
        "subscribed_days",
        "days since the subscription began: contracts that renew one another within 30 days",
        columns=(_ENDED,),
        drift_exempt=True,
    ),
    _feature(
        "subscriber_days",
        "days since the start of the customer's first contract",
        drift_exempt=True,
    ),
    _feature("n_contracts", "contracts started so far", minimum=1.0),
    _feature("n_running_contracts", "contracts that run", columns=(_ENDED,), minimum=1.0),
    _feature("n_lapses", "times without a contract for more than 30 days", columns=(_ENDED,)),
    _feature(
        "days_to_month_renewal",
        "days until the running contract has lasted a whole number of months",
        minimum=1.0,
        maximum=31.0,
    ),
    _feature(
        "days_to_year_renewal",
        "days until the running contract has lasted a whole number of years",
        minimum=1.0,
        maximum=366.0,
    ),
    _feature("contract_fee", "fee of the running contract", "S", columns=(_FEE,), minimum=None),
    _feature(
        "contract_fee_change",
        "fee of the running contract over that of the one before, less 1",
        "US",
        columns=(_FEE,),
        minimum=-1.0,
    ),
    _feature(
        "contract_plan",
        "plan of the running contract",
        "S",
        columns=(_PLAN,),
        kind="category",
        minimum=None,
    ),
    _feature(
        "contract_plan_changed",
        "1 where the running contract has another plan than the one before, else 0",
        "US",
        columns=(_PLAN,),
        maximum=1.0,
    ),
)
"""Features of the running contract; those of columns that a source lacks are left out."""


def contract_features(subscriptions: ir.Table, window: ObservationWindow) -> ir.Table:
    """What is known of the contracts of every customer who has one running at the cutoff.

    Args:
        subscriptions: The standard table.
        window: Its cutoff counts; contracts that started before the source began are known.

    Returns:
        One row a customer: customer_id and the columns of `FEATURES` that the source allows.
    """
    at = dt.datetime.combine(window.cutoff, dt.time())
    rows = subscriptions.filter(subscriptions.started_at < at)
    end = rows.ended_at if "ended_at" in rows.columns else ibis.null("timestamp")
    rows = _spells(rows.mutate(end=(end < at).ifelse(end, ibis.null("timestamp"))))
    own = ibis.window(group_by=rows.customer_id, order_by=_order(rows))
    before = {c: rows[c].lag().over(own) for c in ("fee", "plan") if c in rows.columns}
    rows = rows.mutate(
        position=ibis.row_number().over(own),
        **{f"{column}_before": value for column, value in before.items()},
    )
    running = rows.end.isnull()
    found = rows.group_by("customer_id").agg(
        subscriber_days=rows.started_at.date().min(),
        subscribed_days=rows.spell_start.max(),
        n_contracts=rows.count(),
        n_running_contracts=running.sum(),
        n_lapses=rows.begins.sum() - 1,
        position=rows.position.max(where=running),
    )
    now = rows.select("customer_id", "position", *_present(rows), *_present(rows, "_before"),
                      started=rows.started_at.date())  # fmt: skip
    both = found.filter(found.n_running_contracts > 0).inner_join(now, ["customer_id", "position"])
    columns = {
        "contract_days": days_before(both.started, window),
        "subscribed_days": days_before(both.subscribed_days.date(), window),
        "subscriber_days": days_before(both.subscriber_days, window),
        "n_contracts": both.n_contracts,
        "n_running_contracts": both.n_running_contracts,
        "n_lapses": both.n_lapses,
        "days_to_month_renewal": _days_to(both.started, window, 1),
        "days_to_year_renewal": _days_to(both.started, window, 12),
    }
    if "fee" in both.columns:
        columns["contract_fee"] = both.fee
        columns["contract_fee_change"] = ratio(both.fee, both.fee_before) - 1.0
    if "plan" in both.columns:
        columns["contract_plan_changed"] = when(
            both.plan_before.notnull() & both.plan.notnull(),
            (both.plan != both.plan_before).cast("float64"),
        )
    numbers = {name: value.cast("float64") for name, value in columns.items()}
    texts = {"contract_plan": both.plan} if "plan" in both.columns else {}
    every = numbers | texts
    named = {f.name: every[f.name] for f in FEATURES if f.name in every}
    return both.select("customer_id", **named)


def contract_ends(subscriptions: ir.Table, window: ObservationWindow) -> ir.Table:
    """Whose subscription, running at the cutoff, ends in the label window for good.

    Args:
        subscriptions: The standard table, with everything that is known today. To tell, it has
            to reach `RENEWAL_DAYS` past the label window.
        window: Has the label window.

    Returns:
        customer_id of those who churn, once each. A subscription that ends in the gap before
        the label window is not among them: nothing could have been done about it.
    """
    at = dt.datetime.combine(window.cutoff, dt.time())
    edges = (window.label_start, window.label_end)
    first, last = (dt.datetime.combine(day, dt.time()) for day in edges)
    rows = _spells(subscriptions.mutate(end=subscriptions.ended_at))
    ends = rows.end.fill_null(_NEVER)
    runs = (rows.started_at < at) & (ends >= at)
    spells = rows.group_by("customer_id", "spell").agg(last_end=ends.max(), at_risk=runs.any())
    left = spells.at_risk & (spells.last_end >= first) & (spells.last_end < last)
    return spells.filter(left).select("customer_id").distinct()


def _present(rows: ir.Table, suffix: str = "") -> list[str]:
    return [f"{name}{suffix}" for name in ("fee", "plan") if name in rows.columns]


def _order(rows: ir.Table) -> list[ir.Value]:
    """Down to the last column, so that only equal rows can change places."""
    names = [name for name in ("started_at", "end", "fee", "plan") if name in rows.columns]
    return [rows[name] for name in names]


def _spells(rows: ir.Table) -> ir.Table:
    """Number each customer's subscriptions: contracts with no more than 30 days between them.

    Args:
        rows: customer_id, started_at and `end`, null where a contract runs.

    Returns:
        The rows with `begins` (1 where a contract begins a subscription), `spell` (its number)
        and `spell_start` (when it began).
    """
    earlier = ibis.window(group_by=rows.customer_id, order_by=_order(rows), rows=(None, -1))
    until = rows.end.fill_null(_NEVER).max().over(earlier)
    again = until.notnull() & (rows.started_at <= until + ibis.interval(days=RENEWAL_DAYS))
    rows = rows.mutate(begins=again.ifelse(0, 1))
    ordered = ibis.window(group_by=rows.customer_id, order_by=_order(rows), rows=(None, 0))
    rows = rows.mutate(spell=rows.begins.sum().over(ordered))
    whole = ibis.window(group_by=[rows.customer_id, rows.spell])
    return rows.mutate(spell_start=rows.started_at.min().over(whole))


def _days_to(started: ir.DateValue, window: ObservationWindow, months: int) -> ir.IntegerValue:
    """Days from the cutoff to the next time that a whole number of periods has passed."""
    cutoff = ibis.literal(window.cutoff)
    passed = (cutoff.year() - started.year()).cast("int64") * 12 + (
        cutoff.month() - started.month()
    )
    whole = passed // months
    # The engine puts the 31st of a short month on its last day, as contracts do.
    due = [(started + (whole + k) * months * ibis.interval(months=1)).cast("date") for k in (0, 1)]
    days = [day.delta(cutoff, unit="day") for day in due]
    return (days[0] > 0).ifelse(days[0], days[1])
