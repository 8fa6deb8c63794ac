"""What a customer is, beside what they did: static attributes by name, as known at a cutoff.

Three tables have them, asked in this order when a name could mean several:

- `customers`: any column. Where rows carry a `known_at`, the latest row known at the cutoff
  counts; a row without one has always been known.
- `acquisition`: channel, campaign, cost.
- `transactions`: channel, category, product_id, as they stood on the customer's first purchase.
  What came later would tell the model what it is to foretell.

`"transactions.channel"` says which table is meant.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import ibis
import pandas as pd

from features.errors import InputError
from features.purchases import customer_days, purchases_in
from features.schema import nearest
from features.window import ObservationWindow

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from features.ledger import Ledger

__all__ = [
    "attribute_names",
    "attribute_rows",
    "attribute_tables",
    "attributes",
    "is_number",
    "number_attributes",
]

_FIRST_PURCHASE = ("channel", "category", "product_id")
_NO_ATTRIBUTES = ("customer_id", "known_at")
_LEADING_ZERO = re.compile(r"^\s*[+-]?0\d")


def attribute_names(ledger: Ledger) -> dict[str, str]:
    """The attributes a ledger has: name -> table.

    Both the plain name and the one with its table, "customers.gender", are there.
    """
    found: dict[str, str] = {}
    for table in ("transactions", "acquisition", "customers"):  # the last one wins a plain name
        if table not in ledger.tables:
            continue
        for column in ledger.tables[table].columns:
            if column in _NO_ATTRIBUTES:
                continue
            if table == "transactions" and column not in _FIRST_PURCHASE:
                continue
            found[column] = table
            found[f"{table}.{column}"] = table
    return found


def attribute_tables(ledger: Ledger, names: Sequence[str]) -> dict[str, str]:
    """The table of each of `names`.

    Raises:
        InputError: A name that no table has.
    """
    known = attribute_names(ledger)
    for name in names:
        if name not in known:
            plain = sorted(other for other in known if "." not in other)
            raise InputError(
                f"No table has the attribute {name!r}.",
                f"{nearest(name, known)} There is: {', '.join(plain) or 'none'}.".strip(),
            )
    return {name: known[name] for name in names}


def attributes(
    ledger: Ledger,
    window: ObservationWindow,
    names: Sequence[str],
    *,
    numbers: Collection[str] | None = None,
) -> pd.DataFrame:
    """Attributes of the customers of a snapshot.

    Args:
        ledger: The trusted tables.
        window: What is observed; only its start and cutoff matter.
        names: Of `attribute_names`.
        numbers: Which of them are numbers; by default it is seen from what is known of these
            customers.

    Returns:
        One row a customer with a purchase before the cutoff, on the index of the snapshot
        (customer_id, sorted by its text); one column a name. A column whose known values are all
        numbers is float64 (unless one has a leading zero, as codes do), any other is text. What
        is not known is missing.

    Raises:
        InputError: A name that no table has.

    >>> from features.ledger import Ledger
    >>> import datetime as dt
    >>> shop = Ledger.from_frames(
    ...     pd.DataFrame({"customer_id": ["a"], "timestamp": ["2024-02-01"], "amount": [9.5]}),
    ...     customers=pd.DataFrame({"customer_id": ["a"], "country": ["NL"]}),
    ... )
    >>> window = ObservationWindow(dt.date(2024, 1, 1), dt.date(2024, 3, 1))
    >>> attributes(shop, window, ["country"]).loc["a", "country"]
    'NL'
    """
    wanted = list(dict.fromkeys(names))
    query = _known_attributes(ledger, window, wanted)
    frame = query.to_pyarrow().sort_by("customer_id").to_pandas().set_index("customer_id")
    typed = {
        name: _typed(frame[name], is_number(frame[name]) if numbers is None else name in numbers)
        for name in wanted
    }
    return pd.DataFrame(typed, index=frame.index)


def number_attributes(
    ledger: Ledger, window: ObservationWindow, names: Sequence[str]
) -> frozenset[str]:
    """Which attributes `attributes` gives as numbers; its arguments."""
    query = _known_attributes(ledger, window, list(dict.fromkeys(names)))
    return frozenset(
        name
        for name in dict.fromkeys(names)
        if is_number(query.select(name).distinct().to_pyarrow().to_pandas()[name])
    )


def _known_attributes(ledger: Ledger, window: ObservationWindow, names: Sequence[str]) -> ir.Table:
    """The customers of a snapshot with what is known of them."""
    query = _customers(ledger, window).select("customer_id")
    for table in attribute_rows(ledger, window, names):
        query = query.left_join(table, query.customer_id == table.owner).drop("owner")
    return query


def attribute_rows(
    ledger: Ledger, window: ObservationWindow, names: Sequence[str]
) -> list[ir.Table]:
    """What is known of attributes at a cutoff, as expressions on the engine.

    Args:
        ledger: The trusted tables.
        window: What is observed; only its start and cutoff matter.
        names: Of `attribute_names`, each once.

    Returns:
        For each table that has some of them: one row an `owner` (a customer_id), with one
        column a name, typed as in its table.

    Raises:
        InputError: A name that no table has.
    """
    known = attribute_tables(ledger, names)
    found = []
    for table in ("customers", "acquisition", "transactions"):
        columns = {name: name.split(".")[-1] for name in names if known[name] == table}
        if not columns:
            continue
        rows = ledger.tables[table]
        if table == "customers":
            rows = _latest_known(rows, window)
        elif table == "transactions":
            rows = _first_purchase(window.known(rows), _customers(ledger, window))
        found.append(rows.select(owner="customer_id", **columns))
    return found


def _customers(ledger: Ledger, window: ObservationWindow) -> ir.Table:
    """The customers of a snapshot, with the day of their first purchase."""
    rows = window.known(ledger.transactions)
    days = customer_days(rows) if ledger.days is None else window.known(ledger.days, "day")
    bought = purchases_in(rows, days, ledger.purchase_unit)
    return bought.group_by("customer_id").agg(first_day=bought.day.min())


def _latest_known(table: ir.Table, window: ObservationWindow) -> ir.Table:
    """One row a customer: the one that became known last before the cutoff."""
    if "known_at" not in table.columns:
        return table
    at, ever = dt.datetime.combine(window.cutoff, dt.time()), dt.datetime(1, 1, 1)
    rows = table.mutate(known_at=table.known_at.fill_null(ever))
    rows = rows.filter(rows.known_at <= at)
    # Rows of one moment are told apart by their content, so that no order of rows matters.
    others = [rows[column].asc() for column in sorted(rows.columns) if column != "known_at"]
    order = [rows.known_at.desc(), *others]
    place = ibis.row_number().over(group_by=rows.customer_id, order_by=order)
    return rows.mutate(place=place).filter(lambda t: t.place == 0)


def _first_purchase(rows: ir.Table, customers: ir.Table) -> ir.Table:
    """What the sales of each customer's first purchase day say; the earliest one that says it."""
    columns = [column for column in _FIRST_PURCHASE if column in rows.columns]
    sales = rows.filter(rows.amount > 0).mutate(day=rows.timestamp.date())
    firsts = customers.select(owner=customers.customer_id, day=customers.first_day)
    sales = sales.join(firsts, [sales.customer_id == firsts.owner, sales.day == firsts.day])
    # One value a moment, so that "the earliest" is certain whatever the order of the rows.
    moments = sales.group_by("customer_id", "timestamp").agg(
        **{column: sales[column].min() for column in columns}
    )
    return moments.group_by("customer_id").agg(
        **{
            column: moments[column].argmin(
                moments.timestamp,
                where=moments[column].notnull(),  # noqa: PD004 (of Ibis, not pandas)
            )
            for column in columns
        }
    )


def _typed(values: pd.Series, number: bool) -> pd.Series:
    """As numbers, or as text."""
    if number:
        return pd.to_numeric(values).astype("float64")
    return values.dropna().astype(str).reindex(values.index)


def is_number(values: pd.Series) -> bool:
    """Whether all known values are finite numbers, none with a leading zero, as codes have.

    >>> is_number(pd.Series(["7", None, "1.5"])), is_number(pd.Series(["007"]))
    (True, False)
    """
    if pd.api.types.is_numeric_dtype(values):
        return True
    text = values.dropna().astype(str)
    numbers = pd.to_numeric(text, errors="coerce")
    finite = numbers.notna() & ~numbers.isin([float("inf"), float("-inf")])
    return bool(len(text) and finite.all() and not text.str.match(_LEADING_ZERO).any())
