"""Who a customer is and where they came from, as features.

How a customer was won is settled before the first purchase, so the channel and the cost of
acquisition are always used. Anything else is used only where `[features] attributes` names it.
A table of customers mostly says how they stand today: an attribute such as a status, a number
of orders or a date of the last one would tell a model of the past what it is to foretell, and
nothing in the table shows it. With a `known_at` the latest row known at the cutoff counts;
without one the user's word is taken that the attribute never changes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from features.attributes import attribute_rows, attribute_tables, is_number
from features.feature import Feature
from features.known_tables import beside
from features.window import ObservationWindow

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from features.ledger import Ledger

__all__ = ["FEATURES", "attribute_features", "with_profile"]

FEATURES: tuple[Feature, ...] = (
    Feature(
        "acquisition_channel",
        "the channel through which the customer was won; undefined where it is not known",
        "",
        "US",
        0,
        "profile",
        sources=("acquisition.channel",),
        core=False,
        kind="category",
    ),
    Feature(
        "acquisition_cost",
        "what it cost to win the customer; undefined where it is not known",
        "",
        "US",
        0,
        "profile",
        sources=("acquisition.cost",),
        core=False,
    ),
)
"""How the customer was won. Attributes that the user names come beside them."""

_PREFIX = {"customers": "customer_", "acquisition": "acquisition_", "transactions": "first_"}


def attribute_features(ledger: Ledger, names: Sequence[str]) -> dict[str, Feature]:
    """The features that attributes become: "table.column" -> its row of the catalogue.

    The columns are called `customer_gender`, `acquisition_campaign` and, for what transactions
    say of the first purchase, `first_channel`. An attribute is a number where all its values
    in the ledger are, and none has a leading zero; this is a matter of its type, and read from
    the whole column as other types are. The fixed rows of `FEATURES` come first, as far as
    the ledger has their columns.

    Args:
        ledger: The trusted tables.
        names: Of `features.attributes.attribute_names`.

    Raises:
        InputError: A name that no table has.
    """
    won = ledger.tables.get("acquisition")
    found = {
        row.sources[0]: row
        for row in FEATURES
        if won is not None and row.sources[0].split(".")[1] in won.columns
    }
    for name, table in attribute_tables(ledger, names).items():
        column = name.split(".")[-1]
        full = f"{table}.{column}"
        if full in found:
            continue
        dated = "known_at" in ledger.tables[table].columns and table == "customers"
        when = {
            "customers": "the last one known at the cutoff" if dated else "taken as unchanging",
            "acquisition": "taken as unchanging",
            "transactions": "on the first purchase",
        }[table]
        values = ledger.tables[table].select(column).distinct().to_pyarrow().to_pandas()[column]
        found[full] = Feature(
            _PREFIX[table] + column,
            f"{column} of {table}, {when}; undefined where it is not known",
            "",
            "US",
            0,
            "profile",
            sources=(full,),
            core=False,
            kind="number" if is_number(values) else "category",
        )
    return found


def with_profile(
    customers: ir.Table,
    ledger: Ledger,
    window: ObservationWindow,
    found: Mapping[str, Feature],
) -> ir.Table:
    """Customers with their attributes as further columns, float64 or text.

    Args:
        customers: One row a customer: customer_id.
        ledger: The trusted tables.
        window: What is observed.
        found: As `attribute_features` gives.
    """
    rows = tuple(attribute_rows(ledger, window, list(found)))
    joined, parts = beside(customers, {"profile": rows})
    columns: dict[str, ir.Value] = {}
    for name, row in found.items():
        value = parts["profile"][name].cast("string")
        columns[row.name] = value.try_cast("float64") if row.kind == "number" else value
    return joined.select(*customers.columns, **columns)
