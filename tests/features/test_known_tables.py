"""What holds for every table, checked on random small shops through the real engine."""

import datetime as dt
from collections.abc import Mapping
from decimal import Decimal
from functools import cache

import ibis
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.catalogue import CATALOGUE
from features.known_tables import REDEMPTION_DAYS, RESPONSE_DAYS, known_tables
from features.ledger import Ledger
from features.profile_attributes import attribute_features, with_profile
from features.quality import QualityReport
from features.schema import SQL_TYPES, TABLES
from features.snapshot import snapshot_expression
from features.visits import visits
from features.window import ObservationWindow

MIDNIGHT = dt.datetime(2024, 3, 1)
WINDOW = ObservationWindow(dt.date(2022, 12, 1), MIDNIGHT.date(), horizon_days=40)
ATTRIBUTES = ["country", "campaign", "transactions.channel"]

TIMED = ("events", "surveys", "tickets", "contacts", "loyalty")

Rows = dict[str, list[dict]]
examples = settings(max_examples=6, deadline=None)


# The shops -----------------------------------------------------------------------------


def moments(first: int, last: int) -> st.SearchStrategy[dt.datetime]:
    """Moments by their day relative to the cutoff, many close together and at midnight."""
    return st.builds(
        lambda day, minutes: MIDNIGHT + dt.timedelta(days=day, minutes=minutes),
        st.one_of(st.integers(first, last), st.sampled_from([first, last])),
        st.sampled_from([0, 0, 1, 20, 600, 625, 660, 1430, 1439]),
    )


maybe = st.sampled_from([None, True, False])
VALUES: dict[str, dict[str, st.SearchStrategy]] = {
    "transactions": {
        "amount": st.integers(-2000, 5000).map(lambda cents: Decimal(cents) / 100),
        "channel": st.sampled_from([None, "web", "store"]),
    },
    "events": {
        "event": st.sampled_from(["view", "Add to cart", "purchase", "login"]),
        "session_id": st.sampled_from([None, None, "s", "t"]),
    },
    "surveys": {
        "kind": st.sampled_from(["nps", "csat"]),
        "score": st.integers(0, 10),
        "scale_max": st.sampled_from([None, 5, 10]),
    },
    "tickets": {
        "resolved_at": st.one_of(st.none(), moments(-400, -1)),
        "sentiment": st.one_of(st.none(), st.sampled_from([-0.5, 0.0, 0.5])),
    },
    "contacts": {
        "campaign": st.just("spring"),
        "arm": st.sampled_from([None, "treatment", "control"]),
        "opened": maybe,
        "clicked": maybe,
        "redeemed": maybe,
    },
    "loyalty": {
        "points": st.sampled_from([-20, 0, 0.1, 0.2, 50, 1e9]),
        "tier": st.sampled_from([None, "silver", "gold"]),
        "kind": st.sampled_from([None, "earn", "expiry"]),
    },
    "customers": {"country": st.sampled_from(["NL", "FR"])},
}


def table(name: str, first: int, last: int, late: bool) -> st.SearchStrategy[list[dict]]:
    time = TABLES[name].time
    columns = {"customer_id": st.sampled_from(["a", "b", "c"]), **VALUES[name]}
    if time is not None:
        columns[time] = moments(first, last)
    elif not late:
        late = first >= 0
    columns["known_at"] = (
        st.integers(1, 30).map(lambda days: MIDNIGHT + dt.timedelta(days=days))
        if late
        else st.sampled_from([None, dt.datetime(2020, 1, 1), MIDNIGHT])
    )
    return st.lists(st.fixed_dictionaries(columns), max_size=8)


def shops(first: int, last: int, late: bool = False) -> st.SearchStrategy[Rows]:
    return st.fixed_dictionaries({name: table(name, first, last, late) for name in VALUES})


past = shops(-440, -1)
unknown = st.one_of(shops(0, 60), shops(-440, -1, late=True))


# The engine ----------------------------------------------------------------------------


@cache
def engine() -> ibis.BaseBackend:
    con = ibis.duckdb.connect(threads=1)
    for name in (*VALUES, "acquisition"):
        columns = {column.name: SQL_TYPES[column.kind] for column in TABLES[name].columns}
        if name == "customers":
            columns["country"] = "VARCHAR"
        about = ", ".join(f"{column} {kind}" for column, kind in columns.items())
        con.raw_sql(f"CREATE TABLE {name} ({about})").fetchall()
    con.raw_sql("INSERT INTO acquisition VALUES ('a', 'search', 1.5, 'spring')").fetchall()
    return con


@cache
def statement(name: str) -> str:
    """The statement that takes a snapshot, planned once: which way of getting visits."""
    tables = {table: engine().table(table) for table in (*VALUES, "acquisition")}
    if name != "as known":
        tables |= {table: tables[table].drop("known_at") for table in ("transactions", "events")}
    seen = visits(tables["events"], tables["transactions"]) if name == "held visits" else None
    query = snapshot_expression(tables["transactions"], WINDOW, tables=tables, seen=seen)
    shop = Ledger(engine(), tables, QualityReport({}))
    query = with_profile(query, shop, WINDOW, attribute_features(shop, ATTRIBUTES))
    prepared = name.replace(" ", "_")
    engine().con.execute(f"PREPARE {prepared} AS {engine().compile(query)}").fetchall()
    return f"EXECUTE {prepared}"


def run(shop: Rows, name: str = "as known") -> pd.DataFrame:
    con = engine().con
    for table, rows in shop.items():
        con.execute(f"DELETE FROM {table}").fetchall()
        for row in rows:
            marks = ", ".join("?" for _ in row)
            con.execute(
                f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", list(row.values())
            ).fetchall()
    return con.execute(statement(name)).df().set_index("customer_id").sort_index()


# The properties ------------------------------------------------------------------------


@pytest.mark.slow
@given(shop=past, more=unknown, seed=st.randoms(use_true_random=False))
@examples
def test_rows_of_the_future_and_their_order_change_nothing(shop, more, seed) -> None:
    mixed = {name: [*rows, *more[name]] for name, rows in shop.items()}
    for rows in mixed.values():
        seed.shuffle(rows)
    pd.testing.assert_frame_equal(run(shop), run(mixed), check_exact=True)


@pytest.mark.slow
@given(shop=past, data=st.data())
@examples
def test_what_comes_later_of_earlier_rows_changes_nothing(shop, data) -> None:
    later = st.one_of(st.none(), moments(0, 60))
    for ticket in shop["tickets"]:
        if ticket["resolved_at"] is None:
            ticket["resolved_at"] = data.draw(later)
    first = run(shop)
    for ticket in shop["tickets"]:
        if ticket["resolved_at"] is None or ticket["resolved_at"] >= MIDNIGHT:
            ticket["resolved_at"] = data.draw(later)
    for contact in shop["contacts"]:
        age = MIDNIGHT - contact["timestamp"]
        for column, days in (
            *(("opened", RESPONSE_DAYS), ("clicked", RESPONSE_DAYS)),
            ("redeemed", REDEMPTION_DAYS),
        ):
            if age <= dt.timedelta(days=days):
                contact[column] = data.draw(maybe)
    pd.testing.assert_frame_equal(first, run(shop), check_exact=True)


@pytest.mark.slow
@given(shop=past, more=unknown)
@examples
def test_visits_made_once_give_what_those_of_each_cutoff_give(shop, more) -> None:
    for name in ("transactions", "events"):
        shop[name] += [row for row in more[name] if row["timestamp"] >= MIDNIGHT]
    pd.testing.assert_frame_equal(
        run(shop, "held visits"), run(shop, "visits at the cutoff"), check_exact=True
    )


@pytest.mark.slow
@given(shop=past)
@examples
def test_values_stay_within_their_bounds(shop) -> None:
    frame = run(shop)
    begun = {f"has_{name}": bool(rows) for name, rows in shop.items() if name in TIMED}
    for feature in CATALOGUE:
        if feature.name not in frame.columns or feature.kind == "category":
            continue
        values = frame[feature.name]
        assert not np.isinf(values).any(), feature.name
        if feature.minimum is not None:
            assert (values.dropna() >= feature.minimum).all(), feature.name
        if feature.maximum is not None:
            assert (values.dropna() <= feature.maximum).all(), feature.name
        if not {"U", "C"} & set(feature.null_class):
            assert values.notna().all(), feature.name
        if feature.name in begun:
            assert (values == begun[feature.name]).all(), feature.name


def test_every_feature_of_the_engine_has_a_column() -> None:
    columns = set(run({name: [] for name in VALUES}).columns)
    assert {row.name for row in CATALOGUE if row.origin == "engine"} <= columns


@pytest.mark.parametrize("name", sorted(TABLES))
def test_a_table_at_a_cutoff_holds_nothing_later(name: str) -> None:
    columns: Mapping[str, str] = {c.name: SQL_TYPES[c.kind] for c in TABLES[name].columns}
    moments = [column.name for column in TABLES[name].columns if column.kind == "timestamp"]
    con = ibis.duckdb.connect(threads=1)
    con.raw_sql(
        f"CREATE TABLE {name} ({', '.join(f'{c} {kind}' for c, kind in columns.items())})"
    ).fetchall()
    days = [dt.datetime(2024, 2, 1), MIDNIGHT, MIDNIGHT + dt.timedelta(days=3)]
    for first in days:
        for second in days:
            values = [first if c == TABLES[name].time else second for c in moments]
            marks = ", ".join("?" for _ in moments) or "NULL"
            con.con.execute(
                f"INSERT INTO {name} ({', '.join(moments) or 'customer_id'}) VALUES ({marks})",
                values,
            ).fetchall()
    found = known_tables({name: con.table(name)}, WINDOW)[name].to_pyarrow().to_pandas()
    assert len(found) > 0
    assert list(found.columns) == list(columns)
    for column in moments:
        last = MIDNIGHT if column == "known_at" else MIDNIGHT - dt.timedelta(microseconds=1)
        assert (found[column].dropna() <= last).all(), column
