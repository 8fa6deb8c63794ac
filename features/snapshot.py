"""Snapshots: features, RFM summary and labels of all customers at one cutoff."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from features.behaviour import RFM_COLUMNS, behaviour
from features.catalogue import CATALOGUE
from features.engagement import engagement_features, engagement_sums
from features.errors import NotEnoughDataError
from features.extra import Extra, load_extra
from features.feature import Feature
from features.known_tables import beside, known_tables
from features.labels import LABELS, future_activity
from features.marketing import contact_features, contact_sums, loyalty_features, loyalty_sums
from features.profile_attributes import attribute_features, with_profile
from features.progress import task
from features.purchases import customer_days, purchases_in
from features.settings import FeatureSettings
from features.visits import visits
from features.voice import survey_features, survey_sums, ticket_features, ticket_sums
from features.window import ObservationWindow

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from features.ledger import Ledger

__all__ = ["Common", "Settled", "Snapshot", "build_panel", "build_snapshot", "snapshot_expression"]

_FAMILIES = {
    "surveys": (survey_sums, survey_features),
    "tickets": (ticket_sums, ticket_features),
    "contacts": (contact_sums, contact_features),
    "loyalty": (loyalty_sums, loyalty_features),
}
"""Tables whose features come from their rows alone."""


@dataclass(frozen=True)
class Snapshot:
    """All customers with a purchase before the cutoff, one row each.

    The three frames share one index, named customer_id, sorted by its text.

    Attributes:
        window: What was observed.
        features: float64, and text for categories; in the order of the catalogue, then
            attributes and the user's own; missing values by their null classes.
        rfm: frequency, recency and T (weeks), monetary_value, first_value; float64.
        labels: churned (0 or 1), future_purchases, future_spend; float64. None where the
            label window is not closed or labels were not asked for.
        catalogue: One row for each column of features.
    """

    window: ObservationWindow
    features: pd.DataFrame
    rfm: pd.DataFrame
    labels: pd.DataFrame | None = None
    catalogue: tuple[Feature, ...] = ()


@dataclass(frozen=True)
class Common:
    """What all customers have in common, where a query is about some of them.

    Attributes:
        tables: The standard tables of all customers.
        seen: Their events as visits, where they are at hand.
        sums: Of `features.behaviour.added_up`.
    """

    tables: Mapping[str, ir.Table]
    seen: ir.Table | None
    sums: Mapping[str, ir.Table]


@dataclass(frozen=True)
class Settled:
    """What is settled before a snapshot is taken, for all customers alike.

    Attributes:
        named: Of `features.profile_attributes.attribute_features`.
        extra: The user's own features, and the query that gives them.
        own: Their rows of the catalogue.
        common: What the others are, where the ledger is about some customers; None: it is about
            all.
    """

    named: Mapping[str, Feature]
    extra: tuple[Extra, ir.Table] | None = None
    own: tuple[Feature, ...] = ()
    common: Common | None = None

    @classmethod
    def of(cls, ledger: Ledger, window: ObservationWindow, settings: FeatureSettings) -> Settled:
        """What a ledger of all customers settles.

        Raises:
            InputError: An attribute is not there, or the user's function fails.
        """
        named = attribute_features(ledger, settings.attributes)
        extra = load_extra(settings)
        if extra is None:
            return cls(named)
        taken = {row.name for row in (*CATALOGUE, *named.values())}
        query, own = extra.table(ledger.tables, window, {*taken, *RFM_COLUMNS, *LABELS})
        return cls(named, (extra, query), own)


def snapshot_expression(
    transactions: ir.Table,
    window: ObservationWindow,
    unit: str = "day",
    *,
    labels: bool = False,
    days: ir.Table | None = None,
    tables: Mapping[str, ir.Table] | None = None,
    seen: ir.Table | None = None,
    common: Common | None = None,
) -> ir.Table:
    """The query behind a snapshot: one row a customer, everything as columns.

    It runs on any backend of Ibis that holds the tables. `behaviour` and the families of the
    other tables give the columns; with `labels` those of `features.labels.LABELS` stand
    beside them.

    Args:
        transactions: The standard table.
        window: What is observed.
        unit: What a purchase is: "day" or "order".
        labels: Whether to look into the horizon, too.
        days: The transactions' `features.purchases.customer_days`, where they are at hand.
        tables: The other standard tables by name; each switches on its features.
        seen: The events' `features.visits.visits`, where they are at hand.
        common: What the others are, where the tables hold some customers only.
    """
    shared = None if common is None else common.sums
    customers = behaviour(transactions, window, unit, days, shared)
    known = known_tables({**(tables or {}), "transactions": transactions}, window)
    everybody = None if common is None else known_tables(common.tables, window)
    sums = _family_sums(known, window, everybody)
    if "events" in known:
        rows = known["transactions"]
        if seen is None:
            seen = visits(known["events"], rows)
        netted = customer_days(rows) if days is None else window.known(days, "day")
        bought = purchases_in(rows, netted, unit)
        sums["events"] = engagement_sums(seen, bought, window)
        if common is not None and everybody is not None:
            whole = common.seen
            if whole is None:
                whole = visits(everybody["events"], everybody["transactions"])
            sums["events"] = _of_some(sums["events"], engagement_sums(whole, bought, window))
    if labels:
        future = future_activity(transactions, window, unit, days)
        sums["future"] = (future.rename(owner="customer_id"),)
    if not sums:
        return customers
    joined, parts = beside(customers, sums)
    columns: dict[str, ir.Value] = {}
    for name, c in parts.items():
        if name == "events":
            columns |= engagement_features(c, joined.days_since_last, window)
        elif name in _FAMILIES:
            columns |= _FAMILIES[name][1](c, window)
    columns = {
        name: value if value.type().is_string() else value.cast("float64")
        for name, value in columns.items()
    }
    if labels:
        purchases = parts["future"]["future_purchases"].fill_null(0.0)
        columns |= {
            "churned": (purchases == 0.0).cast("float64"),
            "future_purchases": purchases,
            "future_spend": parts["future"]["future_spend"].fill_null(0.0),
        }
    return joined.select(*customers.columns, **columns)


def build_snapshot(
    ledger: Ledger,
    window: ObservationWindow,
    *,
    labels: bool = True,
    settings: FeatureSettings | None = None,
    settled: Settled | None = None,
) -> Snapshot:
    """Take a snapshot of the ledger at a cutoff, in one query on its engine.

    Args:
        ledger: The trusted tables.
        window: What to observe.
        labels: Whether to add labels where the label window is closed.
        settings: Attributes and features of the user's own; none by default.
        settled: What they come to, where it is known already.

    Returns:
        The snapshot. Of a ledger of some customers (`Settled.common`) it may be empty.

    Raises:
        NotEnoughDataError: Nobody bought anything before the cutoff, or it lies later than
            the day after the last transaction.
        InputError: An attribute is not there, or the user's features cannot be computed.
    """
    if window.cutoff > ledger.last_day + dt.timedelta(days=1):
        raise NotEnoughDataError(
            f"The cutoff {window.cutoff} is after the end of the data: the last transaction is "
            f"of {ledger.last_day}.",
            "Choose an earlier cutoff. Later, days without data would count as silence.",
        )
    labels = labels and window.is_closed(ledger.last_day)
    if settled is None:
        settled = Settled.of(ledger, window, settings or FeatureSettings())
    named, common = settled.named, settled.common
    rows = {row.name: row for row in (*CATALOGUE, *named.values(), *settled.own)}

    def query(window: ObservationWindow) -> ir.Table:
        customers = snapshot_expression(
            ledger.transactions,
            window,
            ledger.purchase_unit,
            labels=labels,
            days=ledger.days,
            tables=ledger.tables,
            seen=ledger.visits,
            common=common,
        )
        return with_profile(customers, ledger, window, named) if named else customers

    frame = ledger.queries.run(("snapshot", labels, tuple(named)), window, query)
    if frame.empty and common is None:
        raise NotEnoughDataError(
            f"No customer has a purchase before the cutoff {window.cutoff}.",
            "Choose a later cutoff, and check that sales have positive amounts.",
        )
    frame = frame.set_index("customer_id").sort_index()
    if settled.extra is not None:
        extra, query_of_own = settled.extra
        frame = frame.join(extra.run(query_of_own))
        extra.check(frame[[row.name for row in settled.own]])
    found = tuple(row for row in rows.values() if row.name in frame.columns)
    return Snapshot(
        window,
        frame[[row.name for row in found]],
        frame[list(RFM_COLUMNS)],
        frame[list(LABELS)] if labels else None,
        found,
    )


def _family_sums(
    known: Mapping[str, ir.Table],
    window: ObservationWindow,
    everybody: Mapping[str, ir.Table] | None = None,
) -> dict[str, tuple[ir.Table, ...]]:
    """What is added up over the rows of each source; `everybody` has those of all customers."""
    found: dict[str, tuple[ir.Table, ...]] = {}
    for name, (add_up, _) in _FAMILIES.items():
        if name not in known:
            continue
        found[name] = add_up(known[name], window)
        if everybody is not None:
            if name == "surveys":
                found[name] = survey_sums(known[name], window, everybody[name])
            found[name] = _of_some(found[name], add_up(everybody[name], window))
    return found


def _of_some(own: tuple[ir.Table, ...], whole: tuple[ir.Table, ...]) -> tuple[ir.Table, ...]:
    """Sums of some customers, with what is one row in all (`beside`) from all customers."""
    return tuple(
        one if "owner" in one.columns else other for one, other in zip(own, whole, strict=True)
    )


def build_panel(
    ledger: Ledger,
    windows: Sequence[ObservationWindow],
    *,
    labels: bool = True,
    settings: FeatureSettings | None = None,
) -> list[Snapshot]:
    """Take a snapshot for each window, and report progress; arguments as `build_snapshot`."""
    snapshots = []
    with task("Building features", total=len(windows)) as progress:
        for window in windows:
            snapshots.append(build_snapshot(ledger, window, labels=labels, settings=settings))
            progress.advance()
    return snapshots
