"""The trusted tables of one shop, in one engine."""

import datetime as dt
import hashlib
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import duckdb
import ibis
import pandas as pd
import pyarrow as pa
from ibis.backends.duckdb import Backend

from features.errors import InputError, SchemaError
from features.progress import task
from features.purchases import customer_days, purchases
from features.quality import QualityReport, TableQuality, validate
from features.queries import Queries
from features.reading.delimited import FILE, ROW
from features.reading.engine import confine, seal
from features.schema import TABLES, nearest, quote
from features.settings import PolicySettings, PurchaseSettings, SourceSettings, TableSettings
from features.source import (
    RawTable,
    database_of,
    enums_to_text,
    find_tables,
    one_moment,
    open_table,
)
from features.visits import visits

__all__ = ["Ledger", "open_ledger"]


@dataclass(frozen=True)
class Ledger:
    """The standard tables of one shop, validated and held in one engine.

    Attributes:
        con: The engine: DuckDB in memory, through Ibis.
        tables: Table -> trusted rows under standard names and types; an optional column that
            the source does not have is absent. Times are the shop's local time.
        quality: What was read, accepted and set aside.
        purchase_unit: What counts as one purchase, `"day"` or `"order"`.
    """

    con: Backend
    tables: Mapping[str, ibis.Table]
    quality: QualityReport
    purchase_unit: str = "day"

    @property
    def transactions(self) -> ibis.Table:
        """The transactions: customer_id, timestamp, amount, and the optional columns found."""
        return self.tables["transactions"]

    @cached_property
    def days(self) -> ibis.Table | None:
        """The transactions netted by customer and day, or None where they have a known_at.

        They are netted when first asked for, and held in the engine in order of customer and
        day. See `features.purchases.customer_days` for the columns, and for why this cannot
        be done once and for all where rows become known late.
        """
        if "known_at" in self.transactions.columns:
            return None
        netted = customer_days(self.transactions).order_by("customer_id", "day")
        return self.con.create_table(ibis.util.gen_name("customer_days"), netted, temp=True)

    @cached_property
    def visits(self) -> ibis.Table | None:
        """The events as visits, or None without events or where rows have a known_at.

        They are made when first asked for, and held in the engine. See `features.visits` for
        the columns.
        """
        events = self.tables.get("events")
        if events is None or "known_at" in {*events.columns, *self.transactions.columns}:
            return None
        made = visits(events, self.transactions).order_by("customer_id", "day")
        return self.con.create_table(ibis.util.gen_name("visits"), made, temp=True)

    @cached_property
    def queries(self) -> Queries:
        """Queries that have been translated for the engine, to be run at other cutoffs."""
        return Queries(self.con)

    def purchases(self, cutoff: dt.date) -> ibis.Table:
        """The purchases known at a cutoff, as `features.purchases.purchases` gives them."""
        return purchases(self.transactions, cutoff, self.purchase_unit, self.days)

    @cached_property
    def _range(self) -> tuple[dt.date, dt.date]:
        row = self.con.con.execute(
            "SELECT CAST(min(timestamp) AS DATE), CAST(max(timestamp) AS DATE) FROM transactions"
        ).fetchall()[0]
        return row[0], row[1]

    @property
    def first_day(self) -> dt.date:
        """The day of the first transaction."""
        return self._range[0]

    @property
    def last_day(self) -> dt.date:
        """The day of the last transaction."""
        return self._range[1]

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the content of all tables: 16 hex digits, the same for any order of rows.

        Rows are hashed one by one and the hashes added up (and xor-ed), so that two equal
        rows count twice. It depends on the version of the engine's hash.
        """
        digest = hashlib.sha256()
        for name in sorted(self.tables):
            columns = sorted(self.tables[name].columns)
            row = self.con.con.execute(
                "SELECT count(*), bit_xor(h), sum(CAST(h AS HUGEINT)) FROM "  # noqa: S608
                f"(SELECT hash({', '.join(map(quote, columns))}) AS h FROM {quote(name)})"
            ).fetchall()[0]
            digest.update(repr((name, columns, row)).encode())
        return digest.hexdigest()[:16]

    @classmethod
    def from_frames(cls, transactions: pd.DataFrame, **tables: pd.DataFrame) -> "Ledger":
        """A ledger from data frames, for notebooks and tests.

        The frames pass the same validation as files, with the default policies; only rows
        after today are not set aside, as a frame may hold any history. Common column names
        are recognised.

        Args:
            transactions: One row a transaction.
            **tables: Further tables of the data contract by name.

        Raises:
            SchemaError: A frame is no table of the contract or cannot be used.

        >>> ledger = Ledger.from_frames(
        ...     pd.DataFrame({"user_id": [7], "date": ["2024-02-29"], "total": ["12.50"]})
        ... )
        >>> ledger.last_day
        datetime.date(2024, 2, 29)
        """
        policies = PolicySettings(history_end=dt.date(8999, 12, 31))
        con = _engine()
        report: dict[str, TableQuality] = {}
        for name, frame in {"transactions": transactions, **tables}.items():
            if name not in TABLES:
                raise SchemaError(
                    f"{name} is no table of the data contract.",
                    nearest(name, TABLES) or f"Tables: {', '.join(TABLES)}.",
                )
            raw = _raw_frame(con.con, name, frame)
            report[name] = validate(con.con, raw, TableSettings(), policies, "UTC", None)
            _drop_raw(con.con, raw)
        seal(con.con)
        return cls(con, {name: con.table(name) for name in report}, QualityReport(report))


def open_ledger(
    source: SourceSettings,
    tables: Mapping[str, TableSettings],
    policies: PolicySettings,
    purchases: PurchaseSettings,
    base: Path,
    quarantine: Path | None,
    memory: str | None = None,
) -> Ledger:
    """Read, validate and hold the tables of a source.

    Tables that are configured are read; so are tables that the source has under their
    standard names (`events.csv`). One of the latter that cannot be used is skipped and
    reported in `quality.skipped`; one that is configured is an error.

    Args:
        source: Where the tables are.
        tables: Table -> its settings.
        policies: What to do with doubtful rows.
        purchases: What counts as one purchase.
        base: Folder of the configuration, to which relative paths are relative.
        quarantine: Folder for the rows set aside; None: they are only counted.
        memory: How much the engine takes, such as "4GB"; what does not fit goes to temporary
            files. None: four fifths of the machine's.

    Raises:
        InputError: The source or a table is not there, or cannot be used (`SchemaError`).
    """
    con = _engine(memory)
    report: dict[str, TableQuality] = {}
    skipped: dict[str, str] = {}
    if (database := database_of(source, base)) is not None:  # its views are somebody's SQL
        beside = database.with_name(f"{database.name}.wal")
        confine(con.con, [database, beside], [quarantine] if quarantine is not None else [])
    with one_moment(con.con, source, base) as moment:
        wanted = find_tables(source, tables, base, moment)
        with task("Reading tables", total=len(wanted)) as reading:
            for name, settings in wanted.items():
                try:
                    raw = open_table(con.con, source, name, settings, base, moment)
                    report[name] = validate(
                        con.con, raw, settings, policies, source.timezone, quarantine
                    )
                    _drop_raw(con.con, raw)
                except InputError as error:
                    if name == "transactions" or name in tables:
                        raise
                    skipped[name] = str(error)
                reading.advance()
    seal(con.con)
    held = {name: con.table(name) for name in report}
    return Ledger(con, held, QualityReport(report, skipped), purchases.unit)


def _engine(memory: str | None = None) -> Backend:
    con = ibis.duckdb.connect()
    if memory is not None:
        con.con.execute("SET memory_limit = $1", [memory])
    spill = Path(tempfile.gettempdir()) / "regulars-spill"
    con.con.execute("SET temp_directory = $1", [str(spill)])
    con.con.execute("SET TimeZone = 'UTC'")
    return con


def _raw_frame(con: duckdb.DuckDBPyConnection, name: str, frame: pd.DataFrame) -> RawTable:
    if not len(frame) and name == "transactions":
        raise SchemaError("The transactions have no rows.", "Pass at least one transaction.")
    names = [str(column) for column in frame.columns]
    if len({column.casefold() for column in names}) < len(names):
        raise SchemaError(
            f"The {name} frame has column names that repeat: {', '.join(names)}.",
            "Rename the columns.",
        )
    relation = quote(f"raw {name}")
    try:
        # By way of Arrow: the engine's own reader of frames trips over reversed ones.
        arrays = [_as_arrow(frame.iloc[:, i]) for i in range(len(names))]
        con.register("regulars_frame", pa.table(arrays, names=names))
        con.execute(
            f"CREATE TEMP TABLE {relation} AS SELECT {name!r} AS {quote(FILE)}, "  # noqa: S608
            f"row_number() OVER () AS {quote(ROW)}, * FROM regulars_frame"
        )
        con.unregister("regulars_frame")
    except (duckdb.Error, pa.ArrowException) as error:
        raise SchemaError(
            f"The {name} frame cannot be read: {str(error).splitlines()[0]}",
            "Give each column one type.",
        ) from None
    enums_to_text(con, relation)
    described = con.execute(f"DESCRIBE {relation}").fetchall()
    columns = {row[0]: row[1] for row in described if row[0] not in (FILE, ROW)}
    return RawTable(name, relation, columns, f"the {name} frame")


def _as_arrow(values: pd.Series) -> pa.Array:
    if isinstance(values.dtype, pd.DatetimeTZDtype):
        utc = pa.array(values.dt.tz_convert(None))
        return utc.cast(pa.timestamp(utc.type.unit, "UTC"))
    return pa.array(values, from_pandas=True)


def _drop_raw(con: duckdb.DuckDBPyConnection, raw: RawTable) -> None:
    con.execute(f"DROP TABLE {raw.relation}")
    con.execute(f"DROP TABLE IF EXISTS {quote(f'rejected {raw.name}')}")
