"""Broken files from a seed: tables of the contract that are written, damaged and packed by lot."""

from __future__ import annotations

import csv
import datetime as dt
import decimal
import gzip
import io
import random
import re
from collections.abc import Callable
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.schema import TABLES, Column

__all__ = ["EXPRESSIONS", "NASTY", "Shop", "damaged_toml", "shop_of_csv", "shop_of_parquet"]

NASTY = (
    "", " ", "\u00a0", "\0", "a\0b", '"', '""', "'", "\\N", "NULL", "nan", "NaT", "inf", "-inf", "1e999",
    "1e-999", "-0", "0x1F", "1_000", "1,234", "1.234", "1.234,56", "1,234.56", "1,23,456.7", "(12.50)",
    "12.50-", "\u2212 5", "$ 5", "5 zł", "٣٤", "９９", "1" * 400, "9" * 38, "99999999999999.9999",
    "123456789012345678901234567890", "2024-02-30", "2024-02-29", "0000-00-00", "9999-12-31", "10000-01-01",
    "1900-01-01", "2200-01-01", "-4713-01-01", "31/12/2024", "12/31/2024", "03/04/2024", "20240101",
    "1704067200", "1704067200000", "99999999999999", "2024-01-01T25:61:61", "2024-01-01T00:00:00+99:99",
    "2024-01-01 10:00 PM", "1 Jan 2024", "Jan 1, 2024", "=1+1", "@SUM(A1)", "\t=1", "+cmd|' /C calc'!A0",
    "\u202eevil", "e\u0301", "é", "İ", "ß", "\U0001f469\u200d\U0001f469", "مرحبا", "\ud7ff", "\ufeff", "\ufffe",
    "x" * 200, "y" * 70_000, "sep=;", "a;b|c\td", "line\nbreak", "line\rbreak", "\x1b[31m", "[bold]", "{{7*7}}",
    "%s%n", "${HOME}", "../../etc/passwd", "'; DROP TABLE x; --", "true", "yes", "nps", "control",
)  # fmt: skip
"""Values that have broken readers of tables before."""

EXPRESSIONS = (
    "amount * 2", "abs(amount)", "CASE WHEN amount > 0 THEN amount ELSE 0 END", "amount / 0",
    "CAST(amount AS DECIMAL(38, 30))", "TRY_CAST(amount AS INT)", "exp(amount)", "ln(amount)",
    "regexp_replace(customer_id, '(a*)*b', '')", "customer_id || timestamp", "'x'", "1", "NULL",
    "substring(customer_id, -5, 99999999999)", "left(customer_id, 9999999999999999999)", "amount % 0",
    "date_trunc('nothing', timestamp)", "strptime(timestamp, '%')", "make_timestamp(1,2,3,4,5,6)",
    "timestamp + INTERVAL 9999999 YEAR", "nosuch", "(SELECT 1)", "read_text('/etc/passwd')", "amount;",
    "getenv('HOME')", "amount -- x", "amount /* x", "sum(amount)", "row_number() OVER ()", "'", '"', "((((",
    "(" * 500 + "1" + ")" * 500, "1" + "+1" * 3000, "CASE" * 50, "amount::DOUBLE", "amount AS x", "*", "COLUMNS(*)",
    "to_timestamp(amount)", "repeat('x', 1000000000)", "concat(customer_id, chr(0))", "not customer_id", "-customer_id",
    "sqrt(-1)", "round(amount, 999999999)", "round(amount, -999999999)", "split_part(customer_id, '', 1)",
)  # fmt: skip

_HEADERS = ("", " ", '"', "source file", "row number", "h", "reason", "Amount", "AMOUNT ", "customer_id", "名前", "a" * 300,
            "value amount", "number of amount", "\u202eid", "x\ny", "x\0y", "'", "select", "%", "unreadable")  # fmt: skip


@dataclass
class Shop:
    """A folder to read, and what is known of it.

    Attributes:
        files: Name -> content.
        config: Text of regulars.toml.
        table: The table that was damaged.
        rows: Number of records that a reader of it must account for; None where the damage makes
            that a matter of opinion.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    config: str = ""
    table: str = "transactions"
    rows: int | None = None


def _value(rng: random.Random, column: Column) -> str:
    if column.choices:
        return rng.choice(column.choices)
    if column.kind == "timestamp":
        day = dt.date(2023, 1, 1) + dt.timedelta(days=rng.randrange(500))
        return rng.choice([f"{day}", f"{day} 10:0{rng.randrange(10)}:00"])
    if column.kind in ("amount", "number"):
        return rng.choice([f"{rng.randrange(1, 90)}", f"{rng.randrange(1, 90)}.5"])
    if column.kind == "flag":
        return rng.choice(["true", "false"])
    return f"{column.name[0]}{rng.randrange(12)}"


def _records(rng: random.Random, table: str) -> list[list[str]]:
    columns = [c for c in TABLES[table].columns if c.required or rng.random() < 0.6]
    head = [column.name for column in columns]
    if TABLES[table].attributes:
        head += ["country", "Note"]
        columns += [Column("country"), Column("Note")]
    rows = [[_value(rng, column) for column in columns] for _ in range(rng.randint(1, 30))]
    return [head, *rows]


def _toml_text(text: str) -> str:
    escaped = "".join(
        c if c.isprintable() and c not in '"\\' and ord(c) < 0xD800 else f"\\U{ord(c):08X}" for c in text
    )  # fmt: skip
    return f'"{escaped}"'


def _config(rng: random.Random, table: str, name: str, *, more: bool) -> str:
    lines = ["[source]", 'url = "."']
    if rng.random() < 0.2:
        zone = rng.choice(["Europe/London", "Asia/Kolkata", "America/St_Johns", "UTC"])
        lines.append(f'timezone = "{zone}"')
    if table != "transactions":
        lines += ["[tables.transactions]", 'from = "sound.csv"']
    lines += [f"[tables.{table}]", f'from = "{name}"']
    options = {
        "encoding": ["utf-8", "cp1252", "utf-16", "utf-32", "utf-7", "rot13", "idna", "cp037", "hz", "gb18030", "base64"],
        "separator": [",", ";", "\t", "|", "a", "\0", "é", "😀", "whitespace", " ", "\\", "'"],
        "decimal": [".", ","],
        "timestamp_format": ["%d/%m/%Y", "%Y-%m-%d", "%", "%Q", "", "%z", "%s", "%Y" * 50, "'"],
        "where": [*EXPRESSIONS, "amount > 0", "customer_id LIKE 'c%'"],
        "amount": EXPRESSIONS,
        "customer_id": [*EXPRESSIONS, "lower(customer_id)"],
        "known_at": ["timestamp", "'2024-01-01'"],
    }  # fmt: skip
    chosen = [key for key in options if more and rng.random() < 0.15]
    for key in chosen:
        if key == "amount" and "amount" not in [c.name for c in TABLES[table].columns]:
            continue
        lines.append(f"{key} = {_toml_text(rng.choice(options[key]))}")
    if more and rng.random() < 0.1:
        names = ", ".join(f'"c{i}"' for i in range(rng.randint(1, 6)))
        lines += ["header = false", f"column_names = [{names}]"]
    lines.append("[policies]")
    policies = {
        "duplicates": ["auto", "drop", "keep"], "zero_amount": ["keep", "quarantine"],
        "negative_quantity": ["keep", "quarantine"], "isolated_future": ["keep", "quarantine"],
    }  # fmt: skip
    lines += [f'{k} = "{rng.choice(v)}"' for k, v in policies.items() if rng.random() < 0.3]
    if rng.random() < 0.1:
        lines.append(f"history_start = {rng.choice(['1600-01-01', '0001-01-01', '2023-06-01'])}")
    if rng.random() < 0.1:
        lines.append(f"history_end = {rng.choice(['9999-12-31', '2023-06-01', '1900-01-01'])}")
    return "\n".join(lines) + "\n"


def _sound(rng: random.Random) -> bytes:
    lines = ["customer_id,timestamp,amount"]
    lines += [f"c{rng.randrange(12)},2023-0{rng.randint(1, 9)}-11,{rng.randint(1, 90)}.5" for _ in range(20)]  # fmt: skip
    return "\n".join(lines).encode()


def shop_of_csv(seed: int) -> Shop:
    """A shop with one table as a damaged CSV file."""
    rng = random.Random(seed)
    table = rng.choice([*TABLES, "transactions", "transactions"])
    records = _records(rng, table)
    shop = Shop(table=table)
    # Damage to the values keeps the records: each must be accepted or set aside.
    for _ in range(rng.choice([0, 1, 1, 2, 5])):
        row = rng.choice(records[1:])
        row[rng.randrange(len(row))] = rng.choice(NASTY)
    if rng.random() < 0.1:
        records[0][rng.randrange(len(records[0]))] = rng.choice(_HEADERS)
    if rng.random() < 0.05:
        records.append(list(records[-1]))
    if rng.random() < 0.01:
        for row in records:
            row += [f"w{i}" for i in range(10_000)]
    separator = rng.choice([",", ",", ",", ";", "\t", "|"])
    out = io.StringIO()
    quoting = rng.choice([csv.QUOTE_MINIMAL, csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
    csv.writer(out, delimiter=separator, quoting=quoting, lineterminator="\n").writerows(records)
    text = out.getvalue()
    kept = not any(set("\n\r\0") & set(cell) for row in records for cell in row)
    kept &= all(any(cell.strip(" \u00a0") for cell in row) for row in records)
    shop.rows = len(records) - 1 if kept else None
    if rng.random() < 0.4:
        text, shop.rows = _damaged_text(rng, text), None
    ends = rng.choice(["\n", "\n", "\n", "\r\n", "\r"])
    text = text.replace("\n", ends)
    encoding = rng.choice(["utf-8"] * 6 + ["utf-8-sig", "utf-16", "utf-32", "utf-16-le", "cp1252"])
    data = text.encode(encoding, "replace")
    if encoding not in ("utf-8", "utf-8-sig"):
        shop.rows = None
    if rng.random() < 0.3:
        data, shop.rows = _damaged_bytes(rng, data), None
    name = "broken.csv"
    if rng.random() < 0.15:
        packed = rng.choice([".gz", ".zst"])
        name += packed
        data = gzip.compress(data) if packed == ".gz" else pa.compress(data, "zstd", asbytes=True)
        if rng.random() < 0.4:
            data, shop.rows = _damaged_bytes(rng, data), None
    more = rng.random() < 0.35
    if more:
        shop.rows = None
    shop.config = _config(rng, table, name, more=more)
    shop.files = {name: data, "sound.csv": _sound(rng)}
    return shop


def _damaged_text(rng: random.Random, text: str) -> str:
    lines = text.split("\n")
    for _ in range(rng.randint(1, 3)):
        i = rng.randrange(len(lines))
        match rng.randrange(9):
            case 0:
                lines[i] += rng.choice([",", ",,,,", ",x,y", ' "', '"'])
            case 1:
                lines[i] = lines[i].replace(",", "", 1)
            case 2:
                lines.insert(i, rng.choice(["", " ", "sep=;", ",,,", '"""', "# comment", "\0"]))
            case 3:
                lines[i] = lines[i][: rng.randrange(len(lines[i]) + 1)]
            case 4:
                lines[i] = '"' + lines[i]
            case 5:
                lines[i] = lines[i].replace(",", '","', 1)
            case 6:
                lines[i] += "\r"
            case 7:
                lines[i] = lines[i] * rng.choice([2, 40])
            case _:
                lines[i] = re.sub(r"\d", lambda _: rng.choice("0123456789٣x.-,"), lines[i])
    return "\n".join(lines)


def _damaged_bytes(rng: random.Random, data: bytes) -> bytes:
    """Bytes flipped, cut out, put in and doubled at random places."""
    out = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 8])):
        if not out:
            break
        at = rng.randrange(len(out))
        match rng.randrange(6):
            case 0:
                out[at] = rng.randrange(256)
            case 1:
                out[at] ^= 1 << rng.randrange(8)
            case 2:
                del out[at : at + rng.choice([1, 4, 60])]
            case 3:
                out[at:at] = rng.randbytes(rng.choice([1, 4, 60]))
            case 4:
                out[at:at] = out[: rng.randrange(200)]
            case _:
                del out[at:]
    return bytes(out)


def _odd(rng: random.Random, values: list[str], kind: str) -> pa.Array:
    """A column in one of the many types that Parquet can hold it in."""
    text = pa.array(values, pa.string())
    amounts = pa.array([float(v) if re.fullmatch(r"-?\d+(\.\d+)?", v) else None for v in values])
    days = pa.array([dt.date.fromisoformat(v[:10]) if re.match(r"\d{4}-\d\d-\d\d", v) else None for v in values])  # fmt: skip
    whole = pc.cast(amounts.fill_null(0), pa.int64(), safe=False)
    exact = pa.array([None if v is None else decimal.Decimal(str(v)) for v in amounts.to_pylist()])
    n = len(values)
    makers: list[Callable[[], pa.Array]] = [
        lambda: text,
        lambda: text.cast(pa.large_string()),
        lambda: text.cast(pa.string_view()),
        lambda: text.dictionary_encode(),
        lambda: text.cast(pa.binary()),
        lambda: pa.nulls(n),
        lambda: pa.nulls(n, pa.string()),
        lambda: amounts,
        lambda: amounts.cast(pa.float32(), safe=False),
        lambda: pa.array([rng.choice([float("nan"), float("inf"), -float("inf"), 1e308, 5e-324, 1.0]) for _ in values]),
        lambda: whole,
        lambda: whole.cast(pa.uint8(), safe=False),
        lambda: pa.array([rng.choice([0, 2**64 - 1, 2**63]) for _ in values], pa.uint64()),
        lambda: exact.cast(pa.decimal128(38, 10)),
        lambda: exact.cast(pa.decimal256(76, 20)),
        lambda: pa.array([decimal.Decimal("9" * 38)] * n, pa.decimal128(38, 0)),
        lambda: days,
        lambda: days.cast(pa.timestamp("ns")),
        lambda: days.cast(pa.timestamp("s")).cast(pa.timestamp("us", "Asia/Kolkata")),
        lambda: days.cast(pa.timestamp("ms")).cast(pa.timestamp("ms", "+05:30")),
        lambda: pa.array([rng.choice([0, 2**62, -(2**62), None]) for _ in values], pa.timestamp("us")),
        lambda: pa.array([dt.time(10, 30)] * n),
        lambda: pa.array([dt.timedelta(days=3)] * n),
        lambda: pa.array([rng.choice([True, False, None]) for _ in values]),
        lambda: pa.array([[1, 2]] * n),
        lambda: pa.array([{"a": 1, "b": [{"c": "x"}]}] * n),
        lambda: pa.array([[("k", 1)]] * n, pa.map_(pa.string(), pa.int64())),
        lambda: pa.array([b"0123456789abcdef"] * n, pa.binary(16)),
        lambda: pa.array([rng.randbytes(16) for _ in values], pa.uuid()),
        lambda: pa.array([rng.choice(NASTY).encode("utf-8", "replace").decode() for _ in values]),
    ]  # fmt: skip
    if rng.random() < 0.5:
        usual = {
            "timestamp": [0, 17, 18],
            "amount": [0, 7, 13],
            "number": [0, 7, 10],
            "flag": [0, 23],
        }
        return makers[rng.choice(usual.get(kind, [0, 1, 3]))]()
    return rng.choice(makers)()


def shop_of_parquet(seed: int) -> Shop:
    """A shop with one table as a Parquet file of odd types, in half of the cases damaged."""
    rng = random.Random(seed)
    table = rng.choice([*TABLES, "transactions", "transactions"])
    records = _records(rng, table)
    head, rows = records[0], records[1:]
    kinds = {column.name: column.kind for column in TABLES[table].columns}
    arrays = []
    for i, name in enumerate(head):
        values = [row[i] for row in rows]
        plain = pa.array(values, pa.string())
        try:
            arrays.append(_odd(rng, values, kinds.get(name, "text")) if rng.random() < 0.4 else plain)  # fmt: skip
        except (pa.ArrowException, OverflowError, ValueError):  # what Arrow itself cannot make
            arrays.append(plain)
    if rng.random() < 0.08:
        head[rng.randrange(len(head))] = rng.choice(_HEADERS)
    if rng.random() < 0.03:
        head += [f"w{i}" for i in range(300)]
        arrays += [pa.nulls(len(rows), pa.string())] * 300
    sink = io.BytesIO()
    options = {
        "compression": rng.choice(["snappy", "zstd", "gzip", "none", "brotli", "lz4"]),
        "version": rng.choice(["1.0", "2.4", "2.6"]),
        "data_page_version": rng.choice(["1.0", "2.0"]),
        "use_dictionary": rng.random() < 0.5,
        "row_group_size": rng.choice([1, 7, 1000]),
        "write_page_checksum": rng.random() < 0.3,
    }
    try:
        pq.write_table(pa.table(arrays, names=head), sink, **options)
    except (pa.ArrowException, OSError, UnicodeError, ValueError):
        sink = io.BytesIO()
        pq.write_table(pa.table([pa.array([r[0] for r in rows])], names=["customer_id"]), sink)
    shop = Shop(table=table, rows=len(rows))
    data = sink.getvalue()
    if rng.random() < 0.5:
        shop.rows = None
        data = _damaged_bytes(rng, data[:-8]) + data[-8:] if rng.random() < 0.5 else _damaged_bytes(rng, data)  # fmt: skip
    more = rng.random() < 0.2
    if more:
        shop.rows = None
    name = "broken.parquet"
    if rng.random() < 0.1:
        name, data = "broken.parquet.gz", gzip.compress(data)
    shop.config = _config(rng, table, name, more=more)
    shop.files = {name: data, "sound.csv": _sound(rng)}
    return shop


_WRONG = (
    "", "1", "-1", "0", "1.5", "nan", "inf", "-inf", "true", '"x"', '""', "[]", "[1]", '["a"]', "[[[]]]", "{}",
    '{ a = 1 }', "2024-01-01", "2024-01-01T00:00:00Z", "10:00:00", "9" * 400, "0xffffffffffffffffffff", "1e400",
    "'''\nx\n'''", '"\\u0000"', '"\\ud800"', "[1, 2, 3, 4]", "[4, 3, 2, 1]", "[1, 2, 3, nan]", '["a", "b", "c", "d"]',
    "[" * 2000 + "]" * 2000, "{ a = " * 200 + "1" + " }" * 200, "9223372036854775808", "-9223372036854775809",
    '"../../../etc/passwd"', '"/dev/zero"', '"${HOME}"', '"${"', '"postgresql://"', '"duckdb:///"', '"\\u001b[31m"',
)  # fmt: skip


def damaged_toml(seed: int, sound: str) -> bytes:
    """The text of a configuration with values, keys, sections and bytes changed by lot."""
    rng = random.Random(seed)
    lines = sound.split("\n")
    for _ in range(rng.randint(1, 3)):
        keys = [i for i, line in enumerate(lines) if re.match(r"[\w.]+ *=", line)]
        heads = [i for i, line in enumerate(lines) if line.startswith("[")]
        if not keys or not heads:
            break
        i = rng.choice(keys)
        match rng.randrange(9):
            case 0 | 1 | 2 | 3:
                lines[i] = lines[i].split("=")[0] + "= " + rng.choice(_WRONG)
            case 4:
                lines.insert(i, lines[i])
            case 5:
                lines[i] = (
                    rng.choice(["x", "é", '"a b"', "from", "a.b.c", '""', "__class__"]) + " = 1"
                )
            case 6:
                h = rng.choice(heads)
                lines.insert(h, rng.choice([lines[h], "[a]", "[[source]]", "[tables]", "[tables.x.y.z]", "[.]", "[" + "a." * 500 + "a]"]))  # fmt: skip
            case 7:
                lines[i] = lines[i].replace('"', "", 1)
            case _:
                del lines[rng.randrange(len(lines))]
    data = "\n".join(lines).encode()
    return _damaged_bytes(rng, data) if rng.random() < 0.25 else data
