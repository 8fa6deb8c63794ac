"""Snapshots: features, RFM summary and labels of all customers at one cutoff."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from features.behaviour import RFM_COLUMNS, behaviour
from features.catalogue import CATALOGUE
from features.errors import NotEnoughDataError
from features.labels import LABELS, future_activity
from features.progress import task
from features.window import ObservationWindow

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from features.ledger import Ledger

__all__ = ["Snapshot", "build_panel", "build_snapshot", "snapshot_expression"]


@dataclass(frozen=True)
class Snapshot:
    """All customers with a purchase before the cutoff, one row each.

    The three frames share one index, named customer_id, sorted by its text.

    Attributes:
        window: What was observed.
        features: float64, in the order of the catalogue; missing values by its null classes.
        rfm: frequency, recency and T (weeks), monetary_value, first_value; float64.
        labels: churned (0 or 1), future_purchases, future_spend; float64. None where the
            label window is not closed or labels were not asked for.
    """

    window: ObservationWindow
    features: pd.DataFrame
    rfm: pd.DataFrame
    labels: pd.DataFrame | None = None


def snapshot_expression(
    transactions: ir.Table,
    window: ObservationWindow,
    unit: str = "day",
    *,
    labels: bool = False,
    days: ir.Table | None = None,
) -> ir.Table:
    """The query behind a snapshot: one row a customer, everything as columns.

    It runs on any backend of Ibis that holds the transactions. `behaviour` gives the
    columns; with `labels` those of `features.labels.LABELS` stand beside them. `days` are
    the transactions' `features.purchases.customer_days`, where they are at hand.
    """
    known = behaviour(transactions, window, unit, days)
    if not labels:
        return known
    future = future_activity(transactions, window, unit, days)
    both = known.left_join(future, "customer_id").drop("customer_id_right")
    purchases = both.future_purchases.fill_null(0.0)
    return both.mutate(
        churned=(purchases == 0.0).cast("float64"),
        future_purchases=purchases,
        future_spend=both.future_spend.fill_null(0.0),
    )


def build_snapshot(ledger: Ledger, window: ObservationWindow, *, labels: bool = True) -> Snapshot:
    """Take a snapshot of the ledger at a cutoff, in one query on its engine.

    Args:
        ledger: The trusted tables.
        window: What to observe.
        labels: Whether to add labels where the label window is closed.

    Returns:
        The snapshot.

    Raises:
        NotEnoughDataError: Nobody bought anything before the cutoff, or it lies later than
            the day after the last transaction.
    """
    if window.cutoff > ledger.last_day + dt.timedelta(days=1):
        raise NotEnoughDataError(
            f"The cutoff {window.cutoff} is after the end of the data: the last transaction is "
            f"of {ledger.last_day}.",
            "Choose an earlier cutoff. Later, days without data would count as silence.",
        )
    labels = labels and window.is_closed(ledger.last_day)
    query = snapshot_expression(
        ledger.transactions, window, ledger.purchase_unit, labels=labels, days=ledger.days
    )
    table = query.to_pyarrow().sort_by("customer_id")
    if not table.num_rows:
        raise NotEnoughDataError(
            f"No customer has a purchase before the cutoff {window.cutoff}.",
            "Choose a later cutoff, and check that sales have positive amounts.",
        )
    frame = table.to_pandas().set_index("customer_id")
    names = [feature.name for feature in CATALOGUE if feature.name in frame.columns]
    return Snapshot(
        window,
        frame[names],
        frame[list(RFM_COLUMNS)],
        frame[list(LABELS)] if labels else None,
    )


def build_panel(
    ledger: Ledger, windows: Sequence[ObservationWindow], *, labels: bool = True
) -> list[Snapshot]:
    """Take a snapshot for each window, and report progress."""
    snapshots = []
    with task("Building features", total=len(windows)) as progress:
        for window in windows:
            snapshots.append(build_snapshot(ledger, window, labels=labels))
            progress.advance()
    return snapshots
