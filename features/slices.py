"""Snapshots of a large shop, some customers at a time, in memory that does not grow with the shop.

The customers of a slice stand in a small table of the engine, and every table of the ledger is seen
through a view that keeps only their rows. What a feature takes from all customers (how long gaps
between purchases are in this shop, when a source began) is added up beforehand, in whole numbers,
so that a customer's features are the same to the bit in whatever slice they are taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

import ibis
import pandas as pd
import pyarrow as pa

from features.behaviour import RFM_COLUMNS, added_up, behaviour, shared_sums
from features.contracts import contract_features
from features.errors import NotEnoughDataError
from features.ledger import Ledger
from features.schema import quote
from features.snapshot import Common, Settled, Snapshot, build_snapshot
from features.subscriptions import subscription_snapshot
from features.window import known_rows

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from features.extra import Extra
    from features.settings import FeatureSettings
    from features.window import ObservationWindow

__all__ = ["Slices"]


class Slices:
    """A ledger that shows some customers at a time, and their snapshots.

    Args:
        ledger: The trusted tables of all customers.
        window: What is observed.

    Attributes:
        customers: Number of customers with a row of the transactions known at the cutoff.

    Raises:
        NotEnoughDataError: Nobody has a transaction before the cutoff.
    """

    def __init__(self, ledger: Ledger, window: ObservationWindow) -> None:
        self._con = ledger.con.con
        self._ledger, self._window = ledger, window
        self._slice = ibis.util.gen_name("slice")
        self._con.execute(f"CREATE TEMP TABLE {quote(self._slice)} (customer_id VARCHAR)")
        self._everyone, self.customers = self._listed()
        self._settled: Settled | None = None

    @cached_property
    def shown(self) -> Ledger:
        """The ledger through the views: the tables of the customers of the last `show`."""
        return self._views()

    def settle(self, settings: FeatureSettings, size: int) -> None:
        """Find out what features take from all customers; before `snapshot` and `contracts`.

        Args:
            settings: Attributes and features of the user's own.
            size: Customers that are looked at together.

        Raises:
            InputError: As for `features.snapshot.build_snapshot`.
        """
        settled = Settled.of(self._ledger, self._window, settings)
        if settled.extra is not None:
            settled = replace(settled, extra=(settled.extra[0], self._own(settled.extra)))
        common = Common(self._ledger.tables, self._ledger.visits, self._shared(size))
        self._settled = replace(settled, common=common)

    def show(self, customers: Sequence[str] | pa.Array) -> None:
        """Show these customers from now on."""
        table = pa.table({"customer_id": pa.array(customers, pa.string())})
        self._con.register("regulars_slice", table)
        self._fill("SELECT customer_id FROM regulars_slice")
        self._con.unregister("regulars_slice")

    def snapshot(self) -> Snapshot:
        """The snapshot of the customers shown; no labels. It may be empty."""
        return build_snapshot(self.shown, self._window, labels=False, settled=self._settled)

    def contracts(self) -> Snapshot:
        """The `features.subscriptions.subscription_snapshot` of the customers shown."""
        return subscription_snapshot(self.shown, self._window, labels=False, settled=self._settled)

    def everyone(self, start: int, stop: int) -> list[str]:
        """Customers with a known transaction, by their places in order of id."""
        found = self._con.execute(
            f"SELECT customer_id FROM {self._everyone} "  # noqa: S608
            "WHERE place >= $1 AND place < $2 ORDER BY place",
            [start, stop],
        ).fetchall()
        return [row[0] for row in found]

    def sample(
        self, most: int, *, contracts: bool = False
    ) -> tuple[pd.DataFrame, pd.Series[float]]:
        """The RFM summary of every k-th customer in order of id, of all if they are few.

        Args:
            most: About how many at most.
            contracts: Whether only customers count whose contract runs.

        Returns:
            The rows of `Snapshot.rfm` of those who have bought, sorted by id; and with contracts
            the fees of all whose contract runs (of every k-th), where they have fees.
        """
        ids = f"SELECT customer_id FROM {self._everyone}"  # noqa: S608
        count = self.customers
        if contracts:
            ids += " UNION SELECT customer_id FROM subscriptions"
            count = self._con.execute(f"SELECT count(*) FROM ({ids})").fetchall()[0][0]  # noqa: S608
        step = -(-count // most)
        self._fill(
            "SELECT customer_id FROM (SELECT customer_id, "  # noqa: S608
            f"row_number() OVER (ORDER BY customer_id) - 1 AS place FROM ({ids})) "
            f"WHERE place % {step} = 0"
        )
        columns = ", ".join(map(quote, ("customer_id", *RFM_COLUMNS)))
        sql = self.shown.queries.sql("sample", self._window, self._behaviour)
        found: pd.DataFrame = self._con.execute(f"SELECT {columns} FROM ({sql})").df()  # noqa: S608
        frame = found.set_index("customer_id").sort_index()
        if not contracts:
            return frame, pd.Series(dtype=float)
        held = contract_features(self.shown.tables["subscriptions"], self._window).to_pyarrow()
        holders = held.sort_by("customer_id").to_pandas().set_index("customer_id")
        fees = holders.get("contract_fee", pd.Series(dtype=float))
        return frame[frame.index.isin(holders.index)], fees

    def _behaviour(self, window: ObservationWindow) -> ir.Table:
        shown = self.shown
        return behaviour(shown.transactions, window, shown.purchase_unit, shown.days)

    def _fill(self, query: str) -> None:
        name = quote(self._slice)
        self._con.execute(f"TRUNCATE {name}")
        self._con.execute(f"INSERT INTO {name} {query}")

    def _views(self) -> Ledger:
        """The ledger of the customers shown."""
        con = self._ledger.con

        def view(table: ir.Table, name: str) -> ir.Table:
            if "customer_id" not in table.columns:
                return table
            name = ibis.util.gen_name(name)
            of = quote(str(table.op().name))
            self._con.execute(
                f"CREATE TEMP VIEW {quote(name)} AS SELECT * FROM {of} "  # noqa: S608
                f"WHERE customer_id IN (SELECT customer_id FROM {quote(self._slice)})"
            )
            return con.table(name)

        of = self._ledger
        shown = replace(of, tables={name: view(table, name) for name, table in of.tables.items()})
        # Netted once for all customers, and seen through a view like the others.
        vars(shown)["days"] = None if of.days is None else view(of.days, "days")
        vars(shown)["visits"] = None if of.visits is None else view(of.visits, "visits")
        return shown

    def _listed(self) -> tuple[str, int]:
        """A table of everyone with a known transaction, and how many they are."""
        rows = known_rows(self._ledger.transactions, self._window.cutoff)
        name = quote(ibis.util.gen_name("everyone"))
        sql = self._ledger.con.compile(rows.select("customer_id").distinct())
        self._con.execute(
            f"CREATE TEMP TABLE {name} AS SELECT customer_id, "  # noqa: S608
            f"row_number() OVER (ORDER BY customer_id) - 1 AS place FROM ({sql}) ORDER BY place"
        )
        count = int(self._con.execute(f"SELECT count(*) FROM {name}").fetchall()[0][0])  # noqa: S608
        if not count:
            raise NotEnoughDataError(
                f"Nobody has a transaction before the cutoff {self._window.cutoff}."
            )
        return name, count

    def _own(self, extra: tuple[Extra, ir.Table]) -> ir.Table:
        """The user's own features of the customers shown; computed once, for all customers."""
        made = extra[0].held(self._ledger.con, extra[1])
        keep = self._ledger.con.table(self._slice)
        return made.semi_join(keep, "customer_id")

    def _shared(self, size: int) -> dict[str, ir.Table]:
        """What features take from all customers, added up slice by slice."""
        con, shown = self._ledger.con, self.shown
        queries = shared_sums(shown.transactions, self._window, shown.purchase_unit, shown.days)
        parts = {name: ibis.util.gen_name(name) for name in queries}
        made = {name: con.compile(query) for name, query in queries.items()}
        for name, sql in made.items():
            empty = f"SELECT * FROM ({sql}) LIMIT 0"  # noqa: S608
            self._con.execute(f"CREATE TEMP TABLE {quote(parts[name])} AS {empty}")
        for start in range(0, self.customers, size):
            self._fill(
                f"SELECT customer_id FROM {self._everyone} "  # noqa: S608
                f"WHERE place >= {start} AND place < {start + size}"
            )
            for name, sql in made.items():
                self._con.execute(f"INSERT INTO {quote(parts[name])} {sql}")
        whole = added_up({name: con.table(part) for name, part in parts.items()})
        held = {
            name: con.create_table(ibis.util.gen_name(name), query, temp=True)
            for name, query in whole.items()
        }
        for part in parts.values():
            self._con.execute(f"DROP TABLE {quote(part)}")
        return held
