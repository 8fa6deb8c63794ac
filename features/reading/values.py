"""Read numbers, times and ids that are written as text, without guessing.

Each function returns SQL that turns a text expression into a value, null where it cannot
be read. How a column is written (decimal mark, order of day and month) is taken from the
whole column: what the values prove is used and said, what they leave open is an error
that asks.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import duckdb

from features.errors import SchemaError
from features.schema import quote

__all__ = [
    "MISSING",
    "TimeFormat",
    "detect_decimal",
    "detect_times",
    "flag_sql",
    "id_sql",
    "literal",
    "number_sql",
    "text_sql",
    "time_sql",
    "zoned_sql",
]

MISSING = ("", "nan", "nat", "none", "null", "na", "n/a", "#n/a", "<na>", "\\n", "nil")
"""Texts that mean "no value", in lower case."""

Decimal = Literal[".", ","]

_CODES = (
    "usd|eur|gbp|jpy|cny|chf|cad|aud|nzd|sek|nok|dkk|isk|pln|czk|huf|ron|bgn|try|rub|uah|brl|mxn"
    "|ars|clp|cop|pen|zar|ngn|kes|egp|ils|aed|sar|inr|idr|myr|php|sgd|thb|twd|vnd|krw|hkd"
    "|us|ca|au|nz|hk|nt|a|c|r|s|kr|zł|zl|kč|kc|ft|lei|lv|fr|rs|rp|rm|tl"
)
_EXACT_NUMBER = r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?"
_INFINITE = r"[+-]?inf(inity)?"
_CLOCK = r"(,?[ T]\s*\d{1,2}:\d{2}(:\d{2}([.,]\d+)?)?( ?[ap]\.?m\.?)?)?"
_OFFSET = r"( ?(z|utc|gmt|[+-]\d{2}(:?\d{2})?))"
_ISO = r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}" + _CLOCK
_COMPACT = r"\d{8}([ T]?\d{2}:?\d{2}(:?\d{2})?)?"
_SECONDS = r"\d{10}(\.\d+)?"
_MILLISECONDS = r"\d{13}"
_PARTS = r"(\d{1,2})[/.-](\d{1,2})[/.-](\d{4})" + _CLOCK
_SHORT_PARTS = r"(\d{1,2})[/.](\d{1,2})[/.](\d{2})" + _CLOCK
_MONTH_NAME = r"(\d{1,2}[ .-]+[a-z]{3,9}\.?[ ,-]+\d{4}|[a-z]{3,9}\.? \d{1,2},? \d{4})" + _CLOCK


class Engine(Protocol):
    """What is needed of a DuckDB connection."""

    def execute(self, query: str) -> duckdb.DuckDBPyConnection:
        """Run a query."""


def literal(text: str) -> str:
    """A text as an SQL literal.

    >>> literal("it's")
    "'it''s'"
    """
    return "'" + text.replace("'", "''") + "'"


def _matches(sql: str, pattern: str) -> str:
    return f"regexp_full_match({sql}, {literal('(?i)' + pattern)})"


def _let(sql: str, name: str, body: str) -> str:
    """SQL: `body`, in which `name` stands for the value of `sql`, computed once a row.

    Without it the nested rewrites below grow to megabytes of SQL.
    """
    return f"list_transform([{sql}], lambda {name}: {body})[1]"


def text_sql(sql: str) -> str:
    """SQL: text without blanks around it; null where it is empty or says "no value"."""
    missing = ", ".join(map(literal, MISSING))
    blanks = " \t\r\n\xa0"
    # The engine is slow at trimming anything but spaces, and few texts need it.
    needed = f"regexp_matches({sql}, {literal(f'^[{blanks}]|[{blanks}]$')})"
    trimmed = f"CASE WHEN {needed} THEN trim({sql}, {literal(blanks)}) ELSE {sql} END"
    return _let(trimmed, "t", f"CASE WHEN lower(t) IN ({missing}) THEN NULL ELSE t END")


def id_sql(sql: str, relation: str, con: Engine, source: str) -> str:
    """SQL: an id as text, without the `.0` that a detour through floating point left on it.

    A file's ids lose `.0` only when they are numbers that all end in it: `13085.0` becomes
    `13085`. Where one id of the file is a number written otherwise (`13085`, `1.0.3`,
    `12.5`), all its ids stay as they are. `007` keeps its zeros; ids with letters neither
    decide nor change. `sql` is cleaned text, `source` the SQL of the row's file.
    """
    rows = con.execute(
        f"SELECT file FROM (SELECT {source} AS file, {sql} AS id FROM {relation}) "  # noqa: S608
        f"WHERE {_matches('id', '[0-9.]+')} GROUP BY file "
        f"HAVING bool_and({_matches('id', '[0-9]+[.]0+')})"
    ).fetchall()
    if not rows:
        return sql
    files = ", ".join(literal(str(row[0])) for row in rows)
    shorter = f"regexp_replace({sql}, {literal('^([0-9]+)[.]0+$')}, {literal(chr(92) + '1')})"
    return f"CASE WHEN CAST({source} AS VARCHAR) IN ({files}) THEN {shorter} ELSE {sql} END"


def _bare_number(sql: str) -> str:
    """SQL: a written number without blanks, currency and apostrophes; sign in front."""
    keep, keep_both = literal(r"\1"), literal(r"\1\2")
    blanks = literal(r"[\s\x{00a0}\x{202f}\x{2009}\p{Sc}'\x{2019}]")
    before = literal(rf"^([+-]?)(?:{_CODES})[.]?([+-]?[0-9.,]+-?)$")
    behind = literal(rf"([0-9.,-])(?:{_CODES})[.]?$")
    bare = f"regexp_replace(lower({text_sql(sql)}), {blanks}, '', 'g')"
    bare = f"replace({bare}, chr(8722), '-')"  # the typographic minus
    bare = f"regexp_replace({bare}, {before}, {keep_both})"
    bare = f"regexp_replace({bare}, {behind}, {keep})"
    negative = literal(r"-\1")
    bare = f"regexp_replace({bare}, {literal(r'^[(](.*)[)]$')}, {negative})"
    return f"regexp_replace({bare}, {literal(r'^([0-9.,]+)-$')}, {negative})"


def detect_decimal(
    con: Engine, relation: str, columns: Sequence[str], *, where: str
) -> tuple[Decimal, str]:
    """The decimal mark that the text columns of a table use, with a sentence on how it is known.

    One convention holds for a whole table. `1.234` and `1,234` alone prove nothing: the
    mark may group thousands.

    Raises:
        SchemaError: The values contradict each other, or leave it open.
    """
    if not columns:
        return ".", ""
    unsigned = {c: f"ltrim({_bare_number(quote(c))}, '+-')" for c in columns}
    tests = {
        ".": r"\d*\.(\d{0,2}|\d{4,})|\d{1,3}(,\d{2,3})+\.\d*|\d{1,3}(,\d{2,3}){2,}|0\.\d+",
        ",": r"\d*,(\d{0,2}|\d{4,})|\d{1,3}(\.\d{3})+,\d*|\d{1,3}(\.\d{3}){2,}|0,\d+",
        "open": r"\d{1,3}[.,]\d{3}",
    }
    union = " UNION ALL ".join(
        f"SELECT {literal(c)} AS name, {quote(c)} AS written, {sql} AS v FROM {relation} "  # noqa: S608
        f"WHERE {quote(c)} IS NOT NULL AND ({quote(c)} LIKE '%.%' OR {quote(c)} LIKE '%,%')"
        for c, sql in unsigned.items()
    )
    found = {
        mark: (count, column, example)
        for mark, count, column, example in con.execute(
            "SELECT kind, count(*), min_by(name, written), min(written) FROM (SELECT name, "  # noqa: S608
            f"written, CASE WHEN {_matches('v', tests['open'])} AND NOT starts_with(v, '0') "
            f"THEN 'open' WHEN {_matches('v', tests['.'])} THEN '.' "
            f"WHEN {_matches('v', tests[','])} THEN ',' END AS kind FROM ({union})) "
            "WHERE kind IS NOT NULL GROUP BY kind"
        ).fetchall()
    }
    if "." in found and "," in found:
        raise SchemaError(
            f"{where}: some numbers use a decimal point ({found['.'][2]!r} in column "
            f"{found['.'][1]!r}), others a decimal comma ({found[','][2]!r} in column "
            f"{found[','][1]!r}).",
            'Say which one holds: decimal = "." or decimal = ","; the other numbers are set aside.',
        )
    if "." in found:
        return ".", ""
    if "," in found:
        return ",", f"numbers use a decimal comma (as in {found[','][2]!r})"
    if "open" in found:
        raise SchemaError(
            f"{where}: {found['open'][2]!r} in column {found['open'][1]!r} can mean thousands "
            "or a fraction, and no other number tells.",
            'Say which mark is the decimal one: decimal = "." or decimal = ",".',
        )
    return ".", ""


def number_sql(sql: str, decimal: Decimal, kind: str = "DOUBLE") -> str:
    """SQL: a number written as text, as DOUBLE or exactly as `DECIMAL(..)`.

    Takes currency signs and codes, thousands separators in proper groups, blanks inside
    numbers, `(12.50)` and `12.50-` for negative numbers. Anything else is null.
    """
    group, mark = (",", ".") if decimal == "." else (".", ",")
    groups = rf"[+-]?\d{{1,3}}([{group}]\d{{2,3}})*[{group}]\d{{3}}([{mark}]\d*)?"
    if mark == ".":
        simple = r"[+-]?\d+(\.\d+)?"
        swapped, ungrouped = "b", "replace(b, ',', '')"
    else:
        simple = r"[+-]?\d+"
        swapped = "CASE WHEN b LIKE '%.%' THEN NULL ELSE replace(b, ',', '.') END"
        ungrouped = "replace(replace(b, '.', ''), ',', '.')"
    allowed = _EXACT_NUMBER if kind != "DOUBLE" else f"({_EXACT_NUMBER}|{_INFINITE})"
    plain = f"CASE WHEN {_matches('b', groups)} THEN {ungrouped} ELSE {swapped} END"
    checked = _let(plain, "n", f"CASE WHEN {_matches('n', allowed)} THEN n END")
    # Most numbers are plain digits; the rest takes the long way.
    read = f"CASE WHEN {_matches(sql, simple)} THEN {sql} ELSE "
    return f"TRY_CAST({read}{_let(_bare_number(sql), 'b', checked)} END AS {kind})"


def flag_sql(sql: str) -> str:
    """SQL: yes or no written as text."""
    clean = f"lower({text_sql(sql)})"
    return (
        f"CASE WHEN {clean} IN ('true', 't', 'yes', 'y', '1', '1.0') THEN true "
        f"WHEN {clean} IN ('false', 'f', 'no', 'n', '0', '0.0') THEN false END"
    )


@dataclass(frozen=True)
class TimeFormat:
    """How the times of a text column are written.

    Attributes:
        day_first: Whether `d/m/y` (True) or `m/d/y` (False) was proven; None: not needed.
        stated: The strptime format that the user stated.
        note: How it is known, in words.
    """

    day_first: bool | None = None
    stated: str | None = None
    note: str = ""


def detect_times(
    con: Engine, relation: str, sql: str, *, column: str, where: str, stated: str | None
) -> TimeFormat:
    """How a text column writes times: a stated format, or what its values prove.

    Year first, `YYYYMMDD`, seconds since 1970 and month names leave nothing open. Where day
    and month are both numbers in front of the year, a value past 12 proves the order.

    Raises:
        SchemaError: The order of day and month is open or contradictory, the stated format
            is none, or it reads no value at all.
    """
    if stated is not None:
        return _check_stated(con, relation, sql, stated, column, where)
    pattern = literal(f"(?i)^({_PARTS}|{_SHORT_PARTS})$")
    part = literal(r"^(\d{1,2})[/.-](\d{1,2})[/.-]")
    row = con.execute(
        "SELECT count(*), count(*) FILTER (a > 12 AND b <= 12), min(v) FILTER (a > 12 AND b <= 12),"  # noqa: S608
        " count(*) FILTER (b > 12 AND a <= 12), min(v) FILTER (b > 12 AND a <= 12), min(v), max(v)"
        f" FROM (SELECT v, CAST(regexp_extract(v, {part}, 1) AS INT) AS a,"
        f" CAST(regexp_extract(v, {part}, 2) AS INT) AS b"
        f" FROM (SELECT {text_sql(sql)} AS v FROM {relation}) WHERE regexp_matches(v, {pattern}))"
    ).fetchall()[0]
    count, day_first, day_example, month_first, month_example, low, high = row
    if count == 0:
        return TimeFormat()
    hint = (
        'State it, for example timestamp_format = "%d/%m/%Y %H:%M" (day first) or '
        '"%m/%d/%Y %H:%M" (month first).'
    )
    if day_first and month_first:
        raise SchemaError(
            f"{where}: column {column!r} contradicts itself on the order of day and month: "
            f"{day_example!r} has the day first, {month_example!r} the month.",
            hint + " Rows written the other way are set aside.",
        )
    if not day_first and not month_first:
        shown = repr(low) if low == high else f"{low!r} and {high!r}"
        raise SchemaError(
            f"{where}: column {column!r} leaves open whether the day or the month comes first: "
            f"no value has a number past 12 ({shown}).",
            hint,
        )
    order, example = ("day", day_example) if day_first else ("month", month_example)
    return TimeFormat(
        bool(day_first), note=f"{column}: the {order} comes first, as {example!r} proves"
    )


def _check_stated(
    con: Engine, relation: str, sql: str, stated: str, column: str, where: str
) -> TimeFormat:
    try:
        con.execute(f"SELECT try_strptime('', {literal(stated)})").fetchall()[0]
    except duckdb.Error as error:
        reason = str(error).splitlines()[0].removeprefix("Invalid Input Error: ")
        raise SchemaError(
            f"{where}: timestamp_format {stated!r} is no time format ({reason}).",
            'Write it with strptime codes, for example "%d/%m/%Y %H:%M".',
        ) from None
    form = TimeFormat(stated=stated)
    row = con.execute(
        f"SELECT count(v), count({time_sql('v', form, 'UTC')}), min(v) "  # noqa: S608
        f"FROM (SELECT {text_sql(sql)} AS v FROM {relation})"
    ).fetchall()[0]
    if row[0] and not row[1]:
        raise SchemaError(
            f"{where}: timestamp_format {stated!r} reads no value of column {column!r}, "
            f"for example {row[2]!r}.",
            "Change timestamp_format so that it describes these values.",
        )
    return form


def zoned_sql(sql: str, timezone: str) -> str:
    """SQL: an instant as the shop's local time."""
    return f"timezone({literal(timezone)}, {sql})"


def time_sql(sql: str, form: TimeFormat, timezone: str) -> str:
    """SQL: a time written as text, as the shop's local time; null where it cannot be read.

    Times with an offset and seconds since 1970 are instants and are converted to the
    shop's zone; times without one are local already.
    """
    return _let(text_sql(sql), "v", _time_of_text(form, timezone))


def _time_of_text(form: TimeFormat, timezone: str) -> str:
    """SQL: the time that the cleaned text `v` says."""
    if form.stated is not None:
        parsed = f"try_strptime(v, {literal(form.stated)})"
        codes = form.stated.replace("%%", "")
        return zoned_sql(parsed, timezone) if "%z" in codes or "%Z" in codes else parsed
    noon, spaced = literal(r"(?i)[ ]*([ap])\.?m\.?$"), literal(r" \1m")
    fraction, point = literal(r"(:\d{2}),(\d)"), literal(r"\1.\2")
    noted = f"regexp_replace(regexp_replace(v, {noon}, {spaced}), {fraction}, {point})"
    iso, dashes = literal(r"^(\d{4})[/.](\d{1,2})[/.]"), literal(r"\1-\2-")
    tidy = f"regexp_replace(regexp_replace({noted}, {iso}, {dashes}), {literal(',[ ]*')}, ' ')"
    # The engine wants the offset close to the time and takes Z only as a capital.
    utc, blank, kept = literal(r" ?(Z|UTC|GMT)$"), literal(r" ([+-][0-9:]+)$"), literal(r"\1")
    instant = f"regexp_replace(upper({tidy}), {utc}, '+00')"
    instant = f"TRY_CAST(regexp_replace({instant}, {blank}, {kept}) AS TIMESTAMPTZ)"
    digits = "rpad(regexp_replace(v, '[^0-9]', '', 'g'), 14, '0')"
    clocks = ["", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f", " %I:%M %p", " %I:%M:%S %p"]
    named = [
        date + clock
        for date in ("%d %b %Y", "%d %B %Y", "%b %d %Y", "%B %d %Y")
        for clock in clocks
    ]
    branches = [
        (r"\d{4}-\d{2}-\d{2}([ T]\d{2}:\d{2}:\d{2}(\.\d+)?)?", "TRY_CAST(v AS TIMESTAMP)"),
        (_ISO + _OFFSET, zoned_sql(instant, timezone)),
        (r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}.*m\.?", _strptime(tidy, ["%Y-%m-%d" + c for c in clocks])),
        (_ISO, f"TRY_CAST({tidy} AS TIMESTAMP)"),
        (_COMPACT, f"try_strptime({digits}, '%Y%m%d%H%M%S')"),
        (_SECONDS, zoned_sql("to_timestamp(TRY_CAST(v AS DOUBLE))", timezone)),
        (_MILLISECONDS, zoned_sql("to_timestamp(TRY_CAST(v AS DOUBLE) / 1000)", timezone)),
        (_MONTH_NAME, _strptime(f"regexp_replace({noted}, '[ .,-]+', ' ', 'g')", named)),
    ]
    if form.day_first is not None:
        date = "%d/%m/" if form.day_first else "%m/%d/"
        slashes = literal(r"^(\d{1,2})[/.-](\d{1,2})[/.-]")
        parts = f"regexp_replace({noted}, {slashes}, {literal(chr(92) + '1/' + chr(92) + '2/')})"
        parts = f"regexp_replace({parts}, {literal('(,[ ]*|T)')}, ' ')"
        for pattern, year in ((_PARTS, "%Y"), (_SHORT_PARTS, "%y")):
            branches.append((pattern, _strptime(parts, [date + year + clock for clock in clocks])))
    cases = " ".join(f"WHEN {_matches('v', pattern)} THEN {then}" for pattern, then in branches)
    return f"CASE {cases} END"


def _strptime(sql: str, formats: Sequence[str]) -> str:
    return f"try_strptime({sql}, [{', '.join(map(literal, formats))}])"
