"""Bind the standard columns of a table to what a raw table has, and to their types."""

from collections.abc import Mapping
from dataclasses import dataclass

import duckdb

from features.errors import SchemaError
from features.reading.delimited import FILE
from features.reading.mapping import NUMBER_PREFIX, Expression, parse_expression
from features.reading.values import (
    Decimal,
    detect_decimal,
    detect_times,
    flag_sql,
    id_sql,
    number_sql,
    text_sql,
    time_sql,
    zoned_sql,
)
from features.schema import SQL_TYPES, TABLES, Column, Table, nearest, quote, recognise
from features.settings import TableSettings
from features.source import RawTable

__all__ = ["Binding", "Parsed", "bind", "check_where", "numbers_relation", "parse_column"]

_FLOATS = ("DOUBLE", "FLOAT")
_MOST_ATTRIBUTES = 1_000


@dataclass(frozen=True)
class Binding:
    """Which expression over the raw row gives which standard column.

    Attributes:
        columns: Standard column -> expression, in the order of the contract.
    """

    columns: Mapping[str, Expression]


@dataclass(frozen=True)
class Parsed:
    """SQL over the staged values of one standard column.

    Attributes:
        value: The value in its type, null when missing or unreadable.
        present: Whether something was written there.
        finite: Whether it is no infinity and no NaN; always true for kinds that have none.
        number: Whether it reads as a number of any size (for amounts out of range).
    """

    value: str
    present: str
    finite: str = "true"
    number: str = "true"


def bind(raw: RawTable, settings: TableSettings) -> Binding:
    """Decide where each standard column comes from: as configured, else by common names.

    Raises:
        SchemaError: A required column has no source, or a mapping is wrong.
    """
    table = TABLES[raw.name]
    texts = raw.texts
    written: dict[str, str] = dict(settings.columns)
    for name in written:
        table.column(name)
    used = {text if text in texts else text.strip('"') for text in written.values()}
    free = [column for column in texts if column not in used]
    recognised = recognise(raw.name, free, skip=written)
    for required in table.required:
        if required not in written and required not in recognised:
            raise _missing(table, required, raw)
    expressions: dict[str, Expression] = {}
    for name, text in {**recognised, **written}.items():
        where = f"{name} of [tables.{raw.name}]"
        if text not in texts:
            _check_repeated(text, raw, where)
        numeric = table.column(name).kind in ("amount", "number")
        expressions[name] = parse_expression(text, texts, where=where, numeric=numeric)
    if table.attributes:
        if len(texts) > _MOST_ATTRIBUTES:
            raise SchemaError(
                f"{raw.origin} has {len(texts):,} columns; each would be an attribute of a "
                f"customer, and at most {_MOST_ATTRIBUTES:,} are read.",
                "Leave out what is not needed.",
            )
        taken = {c for e in expressions.values() if e.is_column for c in e.columns}
        names = {name.casefold() for name in expressions}
        for column in texts:
            if column not in taken and column.casefold() not in names:
                expressions[column] = parse_expression(column, texts, where=column)
    order = [c.name for c in table.columns if c.name in expressions]
    order += [name for name in expressions if name not in order]
    return Binding({name: expressions[name] for name in order})


def _missing(table: Table, required: str, raw: RawTable) -> SchemaError:
    listed = ", ".join(raw.columns)
    close = nearest(required, raw.columns)
    hint = f"{close} " if close else ""
    hint += f'Write in regulars.toml: [tables.{table.name}] {required} = "a column or expression".'
    if len(raw.columns) == 1:
        hint += ' If the columns run together, set separator = ";" (or the one it uses).'
    if table.name == "transactions" and required == "timestamp":
        hint += " Order lines with their times are needed, not one row a customer."
    return SchemaError(
        f"{raw.origin} has no column that is known to be {required} of {table.name}. "
        f"Found: {listed}.",
        hint,
    )


def _check_repeated(text: str, raw: RawTable, where: str) -> None:
    bare = text.strip('"')
    repeated = [
        c
        for c in raw.columns
        if c.casefold().rpartition(" (")[0] == bare.casefold() and c[-1] == ")"
    ]
    if len(repeated) > 1:
        raise SchemaError(
            f"The {where} names {bare!r}, which {raw.origin} has {len(repeated)} times.",
            f"Name one of them: {' or '.join(map(repr, repeated))}.",
        )


def check_where(raw: RawTable, settings: TableSettings) -> Expression | None:
    """The row filter of a table, checked; None when there is none."""
    if settings.where is None:
        return None
    return parse_expression(settings.where, raw.texts, where=f"where of [tables.{raw.name}]")


def numbers_relation(
    con: duckdb.DuckDBPyConnection,
    raw: RawTable,
    binding: Binding,
    where: Expression | None,
    settings: TableSettings,
) -> tuple[str, Decimal, str]:
    """The raw relation with a number beside each text column that is needed as one.

    Returns:
        SQL of the relation, the table's decimal mark, and a sentence on how it is known.
    """
    helpers = {c for e in binding.columns.values() for c in e.numbers}
    helpers |= set(where.numbers) if where else set()
    plain = {
        e.columns[0]
        for name, e in binding.columns.items()
        if e.is_column
        and TABLES[raw.name].column(name).kind in ("amount", "number")
        and raw.texts[e.columns[0]]
    }
    decimal: Decimal
    if settings.decimal is not None:
        decimal, note = settings.decimal, ""
    else:
        asked = sorted(helpers | plain)
        decimal, note = detect_decimal(con, raw.relation, asked, where=raw.origin)
    extra = "".join(
        f", {number_sql(quote(column), decimal)} AS {quote(NUMBER_PREFIX + column)}"
        for column in sorted(helpers)
    )
    return f"(SELECT *{extra} FROM {raw.relation})", decimal, note  # noqa: S608


def parse_column(
    con: duckdb.DuckDBPyConnection,
    relation: str,
    column: Column,
    kind: str,
    *,
    shown: str,
    origin: str,
    decimal: Decimal,
    settings: TableSettings,
    timezone: str,
) -> tuple[Parsed, str]:
    """SQL that types the staged values of a column, and what was found out about them.

    Args:
        con: The engine.
        relation: The staged values.
        column: The standard column; it has the same name there.
        kind: Engine type of the staged values.
        shown: How the user calls it.
        origin: Where the rows come from, for messages.
        decimal: The decimal mark of numbers written as text.
        settings: Has the stated `timestamp_format`.
        timezone: The shop's time zone.
    """
    raw = quote(column.name)
    text = kind == "VARCHAR"
    present = f"({text_sql(raw) if text else raw}) IS NOT NULL"
    if kind in _FLOATS:
        present += f" AND NOT isnan({raw})"
    match column.kind:
        case "text":
            return Parsed(_text_value(con, relation, column, kind), present), ""
        case "timestamp":
            return _parse_time(con, relation, raw, kind, present, shown, origin, settings, timezone)
        case "flag":
            return Parsed(flag_sql(f"CAST({raw} AS VARCHAR)"), present), ""
        case _:
            number = number_sql(raw, decimal) if text else f"TRY_CAST({raw} AS DOUBLE)"
            finite = f"coalesce(isfinite({number}), true)"
            if column.kind == "number":
                return Parsed(f"CASE WHEN isfinite({number}) THEN {number} END", present), ""
            money = SQL_TYPES["amount"]
            value = number_sql(raw, decimal, money) if text else f"TRY_CAST({raw} AS {money})"
            return Parsed(value, present, finite, f"({number}) IS NOT NULL"), ""


def _text_value(con: duckdb.DuckDBPyConnection, relation: str, column: Column, kind: str) -> str:
    raw = quote(column.name)
    if kind in _FLOATS or kind.startswith("DECIMAL"):
        whole = f"{raw} = trunc({raw}) AND abs({raw}) < 1e18"
        if kind in _FLOATS:
            whole = f"isfinite({raw}) AND {whole}"
        other = text_sql(f"CAST({raw} AS VARCHAR)")
        return f"CASE WHEN {whole} THEN CAST(CAST({raw} AS BIGINT) AS VARCHAR) ELSE {other} END"
    value = text_sql(raw if kind == "VARCHAR" else f"CAST({raw} AS VARCHAR)")
    if column.choices:
        return f"lower({value})"
    if kind == "VARCHAR" and column.name.endswith("_id"):
        different = f"(SELECT DISTINCT {quote(FILE)}, {raw} FROM {relation})"  # noqa: S608
        return id_sql(value, different, con, quote(FILE))
    return value


def _parse_time(
    con: duckdb.DuckDBPyConnection,
    relation: str,
    raw: str,
    kind: str,
    present: str,
    shown: str,
    origin: str,
    settings: TableSettings,
    timezone: str,
) -> tuple[Parsed, str]:
    if kind == "TIMESTAMP WITH TIME ZONE":
        value, note = zoned_sql(raw, timezone), ""
    elif kind.startswith("TIMESTAMP") or kind == "DATE":
        value, note = f"CAST({raw} AS TIMESTAMP)", ""
    else:
        written = raw if kind == "VARCHAR" else f"CAST(TRY_CAST({raw} AS BIGINT) AS VARCHAR)"
        form = detect_times(
            con, relation, written, column=shown, where=origin, stated=settings.timestamp_format
        )
        value, note = time_sql(written, form, timezone), form.note
    # Beyond these years lie the infinities and slips of a digit.
    sane = f"({value}) BETWEEN TIMESTAMP '0001-01-01' AND TIMESTAMP '9000-01-01'"
    return Parsed(f"CASE WHEN {sane} THEN {value} END", present), note
