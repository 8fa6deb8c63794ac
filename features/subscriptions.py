"""Contracts at a cutoff: how many periods each has lasted, and who is at risk of leaving.

Contracts renew on calendar dates, so their periods are counted on the calendar: one that starts
on 31 January comes to its first monthly renewal on 28 or 29 February. (A month of 365.25/12 days
would miss the renewal of a February and invent one in a month of 31 days.) Contracts that renew
every so many days are counted in days.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import TYPE_CHECKING

import ibis
import pandas as pd

from features.contracts import FEATURES as CONTRACT_FEATURES
from features.contracts import RENEWAL_DAYS, contract_ends, contract_features
from features.errors import InputError, NotEnoughDataError
from features.settings import FeatureSettings
from features.snapshot import Settled, Snapshot, build_snapshot
from features.window import ObservationWindow

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from features.ledger import Ledger

__all__ = [
    "PERIOD_MONTHS",
    "RENEWAL_DAYS",
    "contracts_at",
    "subscription_lifetimes",
    "subscription_snapshot",
]

PERIOD_MONTHS = {"month": 1, "quarter": 3, "year": 12}
"""Contract periods by name, in months."""


def subscription_lifetimes(
    subscriptions: ir.Table, cutoff: dt.date, period: str | int = "month"
) -> ir.Table:
    """Periods lasted of every contract that had started before the cutoff.

    A contract that ended before the cutoff lasted all periods it had begun, one at least: after
    two months and a half it was renewed twice and lasted 3 monthly periods. A contract that runs
    at the cutoff has `periods` renewals behind it; it is censored there. An end on or after the
    cutoff is not known yet, and such a contract runs.

    Args:
        subscriptions: The standard table: customer_id, started_at and, where the source has
            them, ended_at, fee and plan. Each row is a contract.
        cutoff: Rows that started before its midnight count.
        period: "month", "quarter", "year", or a number of days.

    Returns:
        One row a contract, in no particular order: customer_id, started (date), periods
        (int64), ended (boolean) and, where the source has them, fee (float64) and plan.

    Raises:
        InputError: The period is none of these.
    """
    if not (period in PERIOD_MONTHS or (isinstance(period, int) and period >= 1)):
        raise InputError(
            f"Unknown contract period {period!r}.",
            f"Choose one of {', '.join(PERIOD_MONTHS)}, or a number of days.",
        )
    at = dt.datetime.combine(cutoff, dt.time())
    rows = subscriptions.filter(subscriptions.started_at < at)
    ended, last = ibis.literal(False), ibis.literal(cutoff)
    if "ended_at" in rows.columns:
        ended = (rows.ended_at < at).fill_null(False)
        last = ended.ifelse(rows.ended_at.date(), last)
    rows = rows.mutate(started=rows.started_at.date(), last=last, ended=ended)
    rows = _in_days(rows, period) if isinstance(period, int) else _on_calendar(rows, period)
    lasted = rows.whole + rows.begun
    lasted = rows.ended.ifelse((lasted < 1).ifelse(1, lasted), rows.whole)
    columns = {"periods": lasted.cast("int64"), "ended": rows.ended}
    if "fee" in rows.columns:
        columns["fee"] = rows.fee.cast("float64")
    if "plan" in rows.columns:
        columns["plan"] = rows.plan
    return rows.select("customer_id", "started", **columns)


def _in_days(rows: ir.Table, period: int) -> ir.Table:
    """Add `whole` (periods from `started` to `last`) and `begun` (1 where one more has begun)."""
    rows = rows.mutate(days=rows["last"].delta(rows.started, unit="day").cast("int64"))
    return rows.mutate(whole=rows.days // period, begun=(rows.days % period > 0).cast("int64"))


def _on_calendar(rows: ir.Table, period: str) -> ir.Table:
    """The same by calendar months."""
    # A contract renews on its first day's day of the month, or on the last day of a short month.
    start, last = rows.started, rows["last"]
    month = last.truncate("M").cast("date")
    next_month = (month + ibis.interval(months=1)).cast("date")
    rows = rows.mutate(
        months=(last.year() - start.year()).cast("int64") * 12 + (last.month() - start.month()),
        day=last.day().cast("int64"),
        start_day=start.day().cast("int64"),
        month_end=next_month.delta(month, unit="day").cast("int64"),
    )
    rows = rows.mutate(due=ibis.least(rows.start_day, rows.month_end))
    rows = rows.mutate(months=rows.months - (rows.day < rows.due).cast("int64"))
    length = PERIOD_MONTHS[period]
    begun = (rows.months % length > 0) | (rows.day != rows.due)
    return rows.mutate(whole=rows.months // length, begun=begun.cast("int64"))


def contracts_at(ledger: Ledger, cutoff: dt.date, period: str | int = "month") -> pd.DataFrame:
    """The contracts of a ledger at a cutoff, for `models.subscription`.

    Args:
        ledger: The trusted tables.
        cutoff: What is known, as in `subscription_lifetimes`.
        period: "month", "quarter", "year", or a number of days.

    Returns:
        The columns of `subscription_lifetimes`, sorted by customer and start.

    Raises:
        InputError: The ledger has no subscriptions, or a contract ends before it starts.
        NotEnoughDataError: No contract had started before the cutoff.
    """
    query = subscription_lifetimes(_checked_contracts(ledger), cutoff, period)
    order = [name for name in query.columns if name != "ended"]
    table = query.to_pyarrow().sort_by([(name, "ascending") for name in order])
    frame: pd.DataFrame = table.to_pandas()
    if not len(frame):
        raise NotEnoughDataError(
            f"No contract had started before the cutoff {cutoff}.", "Choose a later cutoff."
        )
    return frame


def subscription_snapshot(
    ledger: Ledger,
    window: ObservationWindow,
    *,
    labels: bool = True,
    settings: FeatureSettings | None = None,
    settled: Settled | None = None,
) -> Snapshot:
    """Take a snapshot of the customers who have a contract running at the cutoff.

    It has the shape of `features.snapshot.Snapshot`, so the same models train on it and score it,
    and holds who is at risk of leaving instead of who has bought.

    Args:
        ledger: The trusted tables; subscriptions with ended_at among them.
        window: What to observe.
        labels: Whether to add labels where they are known: `RENEWAL_DAYS` after the label window
            has closed.
        settings: What is known beside the catalogue.
        settled: What they come to, where it is known already; see `build_snapshot`.

    Returns:
        The snapshot. `features`: those of `features.contracts`, then those of the usual snapshot,
        missing for customers who never bought anything. `rfm`: missing for them, too. `labels`:
        churned (1 where the subscription ends in the label window, see `contract_ends`), and the
        future_purchases and future_spend of the window.

    Raises:
        InputError: The ledger has no subscriptions or none with ended_at, or a contract ends
            before it starts.
        NotEnoughDataError: Nobody has a contract running at the cutoff, or it lies after the data.
    """
    rows = _checked_contracts(ledger)
    if "ended_at" not in rows.columns:
        raise InputError(
            "The subscriptions do not say when they ended.",
            "Add a column ended_at: the day a contract ended, empty while it runs.",
        )
    renewed_by = window.label_end + dt.timedelta(days=RENEWAL_DAYS)
    known = labels and renewed_by <= ledger.last_day + dt.timedelta(days=1)
    usual = build_snapshot(ledger, window, labels=known, settings=settings, settled=settled)
    table = contract_features(rows, window).to_pyarrow().sort_by("customer_id")
    if not table.num_rows and (settled is None or settled.common is None):
        raise NotEnoughDataError(
            f"No contract runs at the cutoff {window.cutoff}.", "Choose another cutoff."
        )
    contracts = table.to_pandas().set_index("customer_id")
    holders = contracts.index
    outcome = None
    if known and usual.labels is not None:
        left = set(contract_ends(rows, window).to_pyarrow().column("customer_id").to_pylist())
        outcome = usual.labels.reindex(holders).fillna(0.0)
        outcome["churned"] = holders.isin(left).astype("float64")
    return replace(
        usual,
        features=contracts.join(usual.features),
        rfm=usual.rfm.reindex(holders),
        labels=outcome,
        catalogue=(*CONTRACT_FEATURES, *usual.catalogue),
    )


def _checked_contracts(ledger: Ledger) -> ir.Table:
    """The table of subscriptions, none of which ends before it starts."""
    if "subscriptions" not in ledger.tables:
        raise InputError(
            "There is no table of subscriptions.",
            "Add one with customer_id, started_at and ended_at.",
        )
    rows = ledger.tables["subscriptions"]
    if "ended_at" in rows.columns:
        wrong = rows.filter(rows.ended_at < rows.started_at)
        found = wrong.order_by("customer_id", "started_at").limit(1).to_pyarrow().to_pylist()
        if found:
            row = found[0]
            raise InputError(
                f"Table subscriptions: a contract of customer {row['customer_id']} starts at "
                f"{row['started_at']} and ends at {row['ended_at']}, before it.",
                "Correct the dates, or leave such rows out.",
            )
    return rows
