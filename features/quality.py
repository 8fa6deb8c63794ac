"""Validate raw rows: what can be trusted goes on, the rest is set aside with a reason.

Read = accepted + set aside, always. Reasons:

| reason | the row |
|---|---|
| `no_customer` | has no customer |
| `no_timestamp`, `no_amount`, `no_<column>` | lacks a required value |
| `bad_timestamp`, `bad_amount`, `bad_<column>` | has a required value that cannot be read |
| `amount_not_finite` | has an amount that is infinite or "not a number" |
| `amount_too_large` | has an amount that does not fit DECIMAL(18,4) |
| `too_early`, `in_future` | lies before `history_start` or after `history_end` |
| `isolated_future` | lies more than a year behind all others (see `PolicySettings`) |
| `negative_quantity` | has a quantity below zero and an amount that is not |
| `zero_amount` | has amount zero, where the policy says so |
| `duplicate` | equals an earlier row in every raw column |
| `repeated_customer` | is a further row of a customer who may have one |
| `too_many_fields`, `too_few_fields`, `bad_quotes`, `bad_encoding`, `too_long` | is broken as CSV |
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb

from features.errors import SchemaError
from features.reading.columns import (
    Binding,
    Parsed,
    bind,
    check_where,
    numbers_relation,
    parse_column,
)
from features.reading.delimited import FILE, ROW
from features.reading.policies import set_isolated_aside, set_repeats_aside
from features.reading.quarantine import write_quarantine
from features.reading.values import literal, text_sql
from features.schema import SQL_TYPES, TABLES, Table, quote
from features.settings import PolicySettings, TableSettings
from features.source import RawTable

__all__ = ["QualityReport", "TableQuality", "validate"]

_REMEDIES = {
    "no_customer": "customer_id is empty in these rows. ",
    "in_future": "They lie after history_end in [policies], which is today when left out. ",
    "too_early": "They lie before history_start in [policies]. ",
}
"""What to say when a reason costs the table most of its rows."""

_TOTALS_FROM = 20
_TOTALS_SHARE = 0.9
"""How many orders of several rows, and what share of them with equal rows, call for a warning."""


@dataclass(frozen=True)
class TableQuality:
    """What happened to the rows of one table: read = accepted + quarantined, always.

    Attributes:
        source: Where the rows came from, in words.
        read: Rows read that meet `where`.
        accepted: Rows that can be trusted.
        quarantined: Reason -> rows set aside for it.
        left_out: Rows that `where` leaves out; not in `read`.
        recognised: Standard column -> raw column or expression, found by its common name
            (in `customers` also the attributes taken over).
        mapped: Standard column -> raw column or expression, as configured.
        unreadable: Optional column -> values that could not be read and became null.
        policies: Policy -> rows it kept: `duplicates_kept`, `zero_amount_kept`,
            `negative_quantity_kept`, `isolated_future_kept`.
        notes: What was decided about the file (separator, encoding, day order...), in words.
    """

    source: str
    read: int
    accepted: int
    quarantined: Mapping[str, int] = field(default_factory=dict)
    left_out: int = 0
    recognised: Mapping[str, str] = field(default_factory=dict)
    mapped: Mapping[str, str] = field(default_factory=dict)
    unreadable: Mapping[str, int] = field(default_factory=dict)
    policies: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Hold the invariant."""
        if self.accepted + sum(self.quarantined.values()) != self.read:
            raise AssertionError(f"{self.source}: accepted + quarantined is not read")

    def to_dict(self) -> dict[str, Any]:
        """The same as plain dictionaries and lists, for JSON."""
        return {
            "source": self.source,
            "read": self.read,
            "accepted": self.accepted,
            "quarantined": dict(self.quarantined),
            "left_out": self.left_out,
            "recognised": dict(self.recognised),
            "mapped": dict(self.mapped),
            "unreadable": dict(self.unreadable),
            "policies": dict(self.policies),
            "notes": list(self.notes),
        }


@dataclass(frozen=True)
class QualityReport:
    """The quality of every table read.

    Attributes:
        tables: Table -> what happened to its rows.
        skipped: Table found under its name but not configured and not usable -> why.
    """

    tables: Mapping[str, TableQuality] = field(default_factory=dict)
    skipped: Mapping[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Table -> counts, for JSON. What was skipped is in `skipped` alone."""
        return {name: table.to_dict() for name, table in self.tables.items()}


def validate(
    con: duckdb.DuckDBPyConnection,
    raw: RawTable,
    settings: TableSettings,
    policies: PolicySettings,
    timezone: str,
    quarantine: Path | None,
) -> TableQuality:
    """Turn a raw table into the trusted table of its name in the engine.

    Args:
        con: The engine.
        raw: The raw rows.
        settings: The table's mapping and formats.
        policies: What to do with doubtful rows.
        timezone: The shop's time zone.
        quarantine: Folder for `<table>.parquet` with the rows set aside; None: not written.

    Raises:
        SchemaError: A column is missing or wrong, an expression does not fit, most values of
            a column cannot be read, or no row is left.
    """
    table = TABLES[raw.name]
    binding = bind(raw, settings)
    where = check_where(raw, settings)
    numbered, decimal, decimal_note = numbers_relation(con, raw, binding, where, settings)
    staged, typed = quote(f"staged {raw.name}"), quote(f"typed {raw.name}")
    total = _count(con, raw.relation)
    _stage(con, raw, binding, numbered, where.sql if where else None, staged)
    notes = [*raw.notes, *([decimal_note] if decimal_note else [])]
    parsed: dict[str, Parsed] = {}
    kinds = {row[0]: row[1] for row in con.execute(f"DESCRIBE {staged}").fetchall()}
    try:
        for name, expression in binding.columns.items():
            parsed[name], note = parse_column(
                con,
                staged,
                table.column(name),
                kinds[name],
                shown=expression.shown,
                origin=raw.origin,
                decimal=decimal,
                settings=settings,
                timezone=timezone,
            )
            notes += [note] if note else []
            if expression.numbers:
                present = f"{quote('written ' + name)} OR ({parsed[name].value}) IS NOT NULL"
                parsed[name] = replace(parsed[name], present=present)
        values, parsed = _named(parsed)
        con.execute(
            f"CREATE TEMP TABLE {typed} AS SELECT {quote(FILE)}, {quote(ROW)}, h, "  # noqa: S608
            f"{_reason(table, parsed, policies, timezone)} AS reason, "
            f"{', '.join(map(quote, parsed))}, {_unreadable(table, parsed)} AS unreadable "
            f"FROM (SELECT {quote(FILE)}, {quote(ROW)}, h, {values} FROM {staged})"
        )
    except duckdb.Error as error:
        raise SchemaError(
            f"{raw.origin}: a mapped column has a type that does not fit: "
            f"{str(error).splitlines()[0]}",
            f"Check the columns of [tables.{raw.name}].",
        ) from None
    kept: dict[str, int] = {}
    set_isolated_aside(con, table, typed, policies, kept)
    set_repeats_aside(con, raw, table, typed, policies, kept)
    counts: dict[str, int] = dict(
        con.execute(
            f"SELECT reason, count(*) FROM {typed} WHERE reason IS NOT NULL GROUP BY 1 ORDER BY 1"  # noqa: S608
        ).fetchall()
    )
    staged_rows = _count(con, staged)
    broken: dict[str, int] = {}
    if raw.rejects is not None:
        broken = dict(
            con.execute(f"SELECT reason, count(*) FROM {raw.rejects} GROUP BY 1").fetchall()  # noqa: S608
        )
    if quarantine is not None:
        write_quarantine(con, raw, typed, quarantine)
    _check_usable(con, raw, binding, staged, typed, counts, broken, staged_rows)
    columns = ", ".join(
        f"CAST({quote(n)} AS {SQL_TYPES[table.column(n).kind]}) AS {quote(n)}" for n in parsed
    )
    con.execute(
        f"CREATE TABLE {quote(raw.name)} AS SELECT {columns} FROM {typed} WHERE reason IS NULL"  # noqa: S608
    )
    _count_kept(con, raw.name, parsed, policies, kept)
    notes += _repeated_totals(con, raw.name, parsed)
    unreadable = _count_unreadable(con, table, parsed, typed)
    accepted = _count(con, quote(raw.name))
    for temporary in (staged, typed):
        con.execute(f"DROP TABLE {temporary}")
    texts = {name: expression.text for name, expression in binding.columns.items()}
    return TableQuality(
        source=raw.origin,
        read=staged_rows + sum(broken.values()),
        accepted=accepted,
        quarantined=dict(sorted({**counts, **broken}.items())),
        left_out=total - staged_rows,
        recognised={n: texts[n].replace('"', "") for n in texts if n not in settings.columns},
        mapped={n: texts[n] for n in texts if n in settings.columns},
        unreadable=unreadable,
        policies=kept,
        notes=tuple(dict.fromkeys(notes)),
    )


def _count(con: duckdb.DuckDBPyConnection, relation: str) -> int:
    row = con.execute(f"SELECT count(*) FROM {relation}").fetchall()[0]  # noqa: S608
    return int(row[0])


def _stage(
    con: duckdb.DuckDBPyConnection,
    raw: RawTable,
    binding: Binding,
    numbered: str,
    where: str | None,
    staged: str,
) -> None:
    """Evaluate the expressions over the rows that meet `where`."""
    if where is not None:
        kind = _type_of(con, where, numbered, f"where of [tables.{raw.name}]")
        if kind != "BOOLEAN":
            raise SchemaError(
                f"The where of [tables.{raw.name}] is no condition.",
                'Write something that is true or false, such as "Price > 0".',
            )
    selected = [quote(FILE), quote(ROW), f"hash({', '.join(map(quote, raw.columns))}) AS h"]
    for name, expression in binding.columns.items():
        if not expression.is_column:
            _type_of(con, expression.sql, numbered, f"{name} of [tables.{raw.name}]")
        if expression.numbers:
            # A product of unreadable parts is unreadable, not missing.
            written = " AND ".join(
                f"({text_sql(quote(column))}) IS NOT NULL" for column in expression.numbers
            )
            selected.append(f"{written} AS {quote('written ' + name)}")
        selected.append(f"{expression.sql} AS {quote(name)}")
    condition = f" WHERE {where}" if where is not None else ""
    try:
        con.execute(
            f"CREATE TEMP TABLE {staged} AS SELECT {', '.join(selected)} FROM {numbered}{condition}"  # noqa: S608
        )
    except duckdb.Error as error:
        raise SchemaError(
            f"An expression of [tables.{raw.name}] fails on its rows: {str(error).splitlines()[0]}",
            "Correct the expression.",
        ) from None


def _type_of(con: duckdb.DuckDBPyConnection, sql: str, relation: str, where: str) -> str:
    try:
        rows = con.execute(f"SELECT typeof({sql}) FROM {relation} LIMIT 1").fetchall()  # noqa: S608
    except duckdb.Error as error:
        raise SchemaError(
            f"The {where} does not fit its columns: {str(error).splitlines()[0]}",
            "Correct the expression; CAST(column AS ...) changes a type.",
        ) from None
    return str(rows[0][0]) if rows else "BOOLEAN"


def _named(parsed: Mapping[str, Parsed]) -> tuple[str, dict[str, Parsed]]:
    """Give every part of each column a name, so that it is computed once.

    Returns:
        The select list that names the parts, and the columns in terms of those names.
    """
    values, named = [], {}
    for name, item in parsed.items():
        parts = {"value": (item.value, quote(name))}
        for part in ("present", "finite", "number"):
            parts[part] = (getattr(item, part), quote(f"{part} {name}"))
        values += [f"{sql} AS {alias}" for sql, alias in parts.values()]
        named[name] = Parsed(**{part: alias for part, (_, alias) in parts.items()})
    return ", ".join(values), named


def _reason(
    table: Table, parsed: Mapping[str, Parsed], policies: PolicySettings, timezone: str
) -> str:
    """SQL: why a row is set aside, null when it is not; the first reason counts."""
    cases: list[tuple[str, str]] = []
    for column in table.columns:
        name = column.name
        if name not in parsed or not (column.required or name == "known_at"):
            continue
        item = parsed[name]
        if column.required:
            short = "customer" if name == "customer_id" else name
            cases.append((f"NOT ({item.present})", f"no_{short}"))
        if column.kind == "amount":
            cases.append((f"NOT ({item.finite})", f"{name}_not_finite"))
            cases.append((f"({item.value}) IS NULL AND {item.number}", f"{name}_too_large"))
        cases.append((f"({item.present}) AND ({item.value}) IS NULL", f"bad_{name}"))
        if column.choices:
            allowed = ", ".join(map(literal, column.choices))
            cases.append((f"({item.value}) NOT IN ({allowed})", f"bad_{name}"))
        if name == table.time:
            end = policies.history_end or dt.datetime.now(ZoneInfo(timezone)).date()
            after = min(end, dt.date(8999, 12, 31)) + dt.timedelta(days=1)
            start = literal(str(policies.history_start))
            cases.append((f"({item.value}) < TIMESTAMP {start}", "too_early"))
            cases.append((f"({item.value}) >= TIMESTAMP {literal(str(after))}", "in_future"))
    if table.name == "transactions":
        amount = f"({parsed['amount'].value})"
        if "quantity" in parsed and policies.negative_quantity == "quarantine":
            quantity = f"({parsed['quantity'].value})"
            cases.append((f"{quantity} < 0 AND {amount} >= 0", "negative_quantity"))
        if policies.zero_amount == "quarantine":
            cases.append((f"{amount} = 0", "zero_amount"))
    whens = " ".join(f"WHEN {test} THEN {literal(reason)}" for test, reason in cases)
    return f"CASE {whens} END"


def _optional(table: Table, parsed: Mapping[str, Parsed]) -> list[str]:
    return [
        name
        for name in parsed
        if not table.column(name).required
        and name != "known_at"
        and (table.column(name).kind != "text" or table.column(name).choices)
    ]


def _unreadable(table: Table, parsed: Mapping[str, Parsed]) -> str:
    """SQL: the optional columns of a row that hold something unreadable, as a list."""
    tests = []
    for name in _optional(table, parsed):
        item = parsed[name]
        bad = f"({item.present}) AND ({item.value}) IS NULL"
        choices = table.column(name).choices
        if choices:
            bad = f"({item.value}) NOT IN ({', '.join(map(literal, choices))})"
        tests.append(f"CASE WHEN {bad} THEN {literal(name)} END")
    return f"[{', '.join(tests)}]" if tests else "CAST([] AS VARCHAR[])"


def _count_unreadable(
    con: duckdb.DuckDBPyConnection, table: Table, parsed: Mapping[str, Parsed], typed: str
) -> dict[str, int]:
    if not _optional(table, parsed):
        return {}
    return dict(
        con.execute(
            "SELECT name, count(*) FROM (SELECT unnest(unreadable) AS name "  # noqa: S608
            f"FROM {typed} WHERE reason IS NULL) WHERE name IS NOT NULL GROUP BY 1 ORDER BY 1"
        ).fetchall()
    )


def _count_kept(
    con: duckdb.DuckDBPyConnection,
    name: str,
    parsed: Mapping[str, Parsed],
    policies: PolicySettings,
    kept: dict[str, int],
) -> None:
    if name != "transactions":
        return
    kept["zero_amount_kept"] = _count(con, "(FROM transactions WHERE amount = 0)")
    if "quantity" in parsed and policies.negative_quantity == "keep":
        kept["negative_quantity_kept"] = _count(
            con, "(FROM transactions WHERE quantity < 0 AND amount >= 0)"
        )


def _repeated_totals(
    con: duckdb.DuckDBPyConnection, name: str, parsed: Mapping[str, Parsed]
) -> list[str]:
    """A warning where the amount of a line looks like the total of its order."""
    if name != "transactions" or "order_id" not in parsed:
        return []
    row = con.execute(
        "SELECT count(*), count(*) FILTER (same) FROM (SELECT min(amount) = max(amount) AS same "
        "FROM transactions WHERE order_id IS NOT NULL AND amount > 0 "
        "GROUP BY customer_id, order_id HAVING count(*) > 1)"
    ).fetchall()[0]
    orders, same = int(row[0]), int(row[1])
    if orders < _TOTALS_FROM or same < orders * _TOTALS_SHARE:
        return []
    note = (
        f"in {same:,} of {orders:,} orders with several rows, every row has the same amount; if "
        "that is the total of the order, it is counted once a row: map amount to the amount of "
        "the line"
    )
    return [note]


def _check_usable(
    con: duckdb.DuckDBPyConnection,
    raw: RawTable,
    binding: Binding,
    staged: str,
    typed: str,
    counts: Mapping[str, int],
    broken: Mapping[str, int],
    rows: int,
) -> None:
    if not rows and not broken:
        raise SchemaError(
            f"{raw.origin}: where leaves out every row.", f"Correct where in [tables.{raw.name}]."
        )
    for name, expression in binding.columns.items():
        bad = counts.get(f"bad_{name}", 0)
        if bad and bad * 2 > rows - counts.get(f"no_{name}", 0):
            row = con.execute(
                f"SELECT min(CAST(s.{quote(name)} AS VARCHAR)) FROM {staged} s JOIN {typed} t "  # noqa: S608
                f"USING ({quote(FILE)}, {quote(ROW)}) WHERE t.reason = {literal(f'bad_{name}')}"
            ).fetchall()[0]
            example = f", for example {row[0]!r}" if row[0] is not None else ""
            hint = {
                "timestamp": 'State how times are written: timestamp_format = "%d/%m/%Y %H:%M".',
                "amount": 'Map another column, or state decimal = "," if numbers are written so.',
                "number": 'Map another column, or state decimal = "," if numbers are written so.',
            }.get(TABLES[raw.name].column(name).kind, "Map another column.")
            raise SchemaError(
                f"{raw.origin}: {bad:,} of {rows - counts.get(f'no_{name}', 0):,} values of "
                f"{expression.shown!r} cannot be read "
                f"as {name}{example}.",
                hint,
            )
    if raw.name == "transactions" and sum(counts.values()) == rows:
        told = ", ".join(f"{n:,} {reason}" for reason, n in {**counts, **broken}.items())
        raise SchemaError(
            f"{raw.origin}: no row can be used ({told}).",
            _REMEDIES.get(max(counts, key=counts.__getitem__, default=""), "")
            + "Check the mapping in [tables.transactions]; the rows are in the quarantine.",
        )
