"""Baskets: how often each customer bought which item before a cutoff, and what came next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import ibis
import numpy as np
import numpy.typing as npt

from features.errors import InputError
from features.window import ObservationWindow, known_rows

if TYPE_CHECKING:
    import datetime as dt

    import ibis.expr.types as ir
    import pyarrow as pa

    from features.ledger import Ledger

__all__ = ["Baskets", "Item", "bought_items", "item_column", "next_items"]

Item = Literal["category", "product_id"]
"""What an item is: a column of the transactions."""


@dataclass(frozen=True)
class Baskets:
    """How many days each customer bought each item on, as the entries of a sparse matrix.

    Attributes:
        customers: Ids, sorted, (n,).
        items: Keys of the items, sorted, (m,): the text without blanks around it, in lower case.
        names: The commonest spelling of each item, of equals the first, (m,).
        row: Position in `customers` of each entry, (e,).
        column: Position in `items`, (e,).
        days: Days with a sale line of the item, at least 1, (e,).
        last_day: The last of them, (e,).
    """

    customers: npt.NDArray[np.object_]
    items: npt.NDArray[np.object_]
    names: npt.NDArray[np.object_]
    row: npt.NDArray[np.int64]
    column: npt.NDArray[np.int64]
    days: npt.NDArray[np.int64]
    last_day: npt.NDArray[np.datetime64]


def item_column(ledger: Ledger, asked: Item | None = None) -> Item:
    """Return the column that says what was bought: the category, else the product.

    Args:
        ledger: The trusted tables.
        asked: A column to insist on.

    Raises:
        InputError: The transactions have no such column.
    """
    columns = ledger.transactions.columns
    order: tuple[Item, ...] = ("category", "product_id") if asked is None else (asked,)
    for name in order:
        if name in columns:
            return name
    raise InputError(
        f"The transactions do not say what was bought: there is no {' and no '.join(order)}.",
        "Map the column under [tables.transactions].",
    )


def bought_items(ledger: Ledger, cutoff: dt.date, item: Item) -> Baskets:
    """What was bought before a cutoff: sale lines (amount > 0) with an item.

    Args:
        ledger: The trusted tables.
        cutoff: Rows dated before it, and known at it, count.
        item: The column of the item.
    """
    return _collected(ledger, _item_days(known_rows(ledger.transactions, cutoff), item))


def next_items(ledger: Ledger, window: ObservationWindow, item: Item) -> Baskets:
    """What each customer bought on the first day with a sale line in the label window.

    Args:
        ledger: The trusted tables.
        window: The label window.
        item: The column of the item.

    Returns:
        Customers who bought an item in the window, and the items of their first such day; `days`
        is 1 throughout.
    """
    days = _item_days(window.future(ledger.transactions), item)
    first = days.day.min().over(ibis.window(group_by="customer_id"))
    return _collected(ledger, days.mutate(first=first).filter(lambda t: t.day == t["first"]))


def _item_days(rows: ir.Table, item: Item) -> ir.Table:
    """Sale lines by customer, item and day, with the number of lines of each spelling."""
    sales = rows.filter(rows.amount > 0, rows[item].notnull())
    spelling = sales[item].strip()
    sales = sales.select(
        "customer_id", spelling=spelling, item=spelling.lower(), day=sales.timestamp.date()
    ).filter(lambda t: t.item != "")
    return sales.group_by("customer_id", "item", "spelling", "day").agg(lines=sales.count())


def _collected(ledger: Ledger, days: ir.Table) -> Baskets:
    entries = days.group_by("customer_id", "item").agg(
        days=days.day.nunique(), last_day=days.day.max()
    )
    table = ledger.con.to_pyarrow(entries.order_by("customer_id", "item"))
    spellings = days.group_by("item", "spelling").agg(lines=days.lines.sum())
    common = ledger.con.to_pyarrow(
        spellings.order_by("item", ibis.desc("lines"), "spelling")
    ).to_pydict()
    names: dict[str, str] = {}
    for key, spelling in zip(common["item"], common["spelling"], strict=True):
        names.setdefault(key, spelling)
    (customers, row), (items, column) = (
        _coded(table.column(name)) for name in ("customer_id", "item")
    )
    return Baskets(
        customers,
        items,
        np.array([names[key] for key in items], dtype=object),
        row,
        column,
        table.column("days").to_numpy().astype(np.int64),
        table.column("last_day").to_numpy().astype("datetime64[D]"),
    )


def _coded(column: pa.ChunkedArray) -> tuple[npt.NDArray[np.object_], npt.NDArray[np.int64]]:
    """The distinct texts, sorted by code point, and the position of each entry's."""
    encoded = column.combine_chunks().dictionary_encode()
    texts = np.array(encoded.dictionary.to_pylist(), dtype=object)
    order = np.argsort(texts, kind="stable")
    place = np.empty(len(texts), dtype=np.int64)
    place[order] = np.arange(len(texts))
    return texts[order], place[encoded.indices.to_numpy(zero_copy_only=False)]
