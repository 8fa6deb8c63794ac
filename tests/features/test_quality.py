"""Messy input against what is accepted and what is set aside."""

import tempfile
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from features.errors import SchemaError
from features.ledger import open_ledger
from features.settings import PolicySettings, PurchaseSettings, SourceSettings, TableSettings

HEADER = "customer_id,timestamp,amount\n"


def read(folder, data, table=None, policies=None, name="orders.csv", timezone="UTC"):
    """Write one file of transactions, read it, and return the ledger and the quarantine."""
    (folder / "data").mkdir(exist_ok=True)
    content = data if isinstance(data, bytes) else data.encode()
    (folder / "data" / name).write_bytes(content)
    ledger = open_ledger(
        SourceSettings(timezone=timezone),
        {"transactions": TableSettings.model_validate(table or {})},
        PolicySettings.model_validate(policies or {}),
        PurchaseSettings(),
        folder,
        folder / "quarantine",
    )
    return ledger, pd.read_parquet(folder / "quarantine" / "transactions.parquet")


def rows(ledger):
    found = ledger.con.con.execute(
        "SELECT customer_id, strftime(timestamp, '%Y-%m-%d %H:%M'), CAST(amount AS DOUBLE) "
        "FROM transactions"
    ).fetchall()
    return [tuple(row) for row in found]


ONE = [("a", "2024-01-31 00:00", 5.0)]


@pytest.mark.parametrize(
    ("data", "table", "expected"),
    [
        (HEADER + "a,2024-01-31,5\n", {}, ONE),
        (HEADER + "a,2024-01-31,5", {}, ONE),
        (b"\xef\xbb\xbf" + (HEADER + "a,2024-01-31,5\n").encode(), {}, ONE),
        ((HEADER + "a,2024-01-31,5\n").replace("\n", "\r\n"), {}, ONE),
        ((HEADER + "a,2024-01-31,5\n").replace("\n", "\r"), {}, ONE),
        ((HEADER + "a,2024-01-31,5\n").encode("utf-16"), {}, ONE),
        ((HEADER + "a,2024-01-31,5\n").encode("utf-16-le"), {}, ONE),
        ((HEADER + "a,2024-01-31,5\n").replace(",", ";"), {}, ONE),
        ((HEADER + "a,2024-01-31,5\n").replace(",", "\t"), {}, ONE),
        ((HEADER + "a,2024-01-31,5\n").replace(",", "|"), {}, ONE),
        ((HEADER + "a,2024-01-31,5\n").replace(",", "^"), {"separator": "^"}, ONE),
        ("sep=;\n" + (HEADER + "a,2024-01-31,5\n").replace(",", ";"), {}, ONE),
        ("\n\n" + HEADER + "\na,2024-01-31,5\n\n", {}, ONE),
        ("User ID,Order Date,Total\na,2024-01-31,5\n", {}, ONE),
        ("Kunde;Datum;Betrag\nJosé;31.01.2024;1.234,50 €\n".encode("cp1252"),
         {"customer_id": "Kunde", "timestamp": "Datum", "amount": "Betrag"},
         [("José", "2024-01-31 00:00", 1234.5)]),
        ("customer_id,date,amount\nИванов,2024-01-31,5\nПетрова Мария,2024-01-31,6\n"
         .encode("cp1251"),
         {"encoding": "cp1251"},
         [("Иванов", "2024-01-31 00:00", 5.0), ("Петрова Мария", "2024-01-31 00:00", 6.0)]),
        (HEADER + '"a\nb",2024-01-31,5\n', {}, [("a\nb", "2024-01-31 00:00", 5.0)]),
        (HEADER + '"a ""x""",2024-01-31,5\n', {}, [('a "x"', "2024-01-31 00:00", 5.0)]),
        (HEADER + 'a,2024-01-31,"$1,234.50"\n', {}, [("a", "2024-01-31 00:00", 1234.5)]),
        (HEADER + 'a,2024-01-31,"1,234"\n', {"decimal": "."}, [("a", "2024-01-31 00:00", 1234.0)]),
        (HEADER + "a,01/02/2024 10:30,5\n", {"timestamp_format": "%d/%m/%Y %H:%M"},
         [("a", "2024-02-01 10:30", 5.0)]),
        (HEADER + "a,01/31/2024,5\n", {}, ONE),
        (HEADER + "a,20240131,5\n", {}, ONE),
        (HEADER + "13085.0,2024-01-31,5\n13086.0,2024-01-31,5\n", {},
         [("13085", "2024-01-31 00:00", 5.0), ("13086", "2024-01-31 00:00", 5.0)]),
        (HEADER + "13085.0,2024-01-31,5\nguest,2024-01-31,5\n", {},
         [("13085", "2024-01-31 00:00", 5.0), ("guest", "2024-01-31 00:00", 5.0)]),
        (HEADER + "1.0.3,2024-01-31,5\n2.0,2024-01-31,5\n007,2024-01-31,5\n", {},
         [("1.0.3", "2024-01-31 00:00", 5.0), ("2.0", "2024-01-31 00:00", 5.0),
          ("007", "2024-01-31 00:00", 5.0)]),
        ("a,2024-01-31,5\n",
         {"header": False, "column_names": ["customer_id", "timestamp", "amount"]}, ONE),
        (" 00004 0001 19970101  2   29.33\r\n 00021 0002 19970101  3   63.34\r\n",
         {"separator": "whitespace", "header": False,
          "column_names": ["customer_id", "sample", "date", "quantity", "amount"]},
         [("00004", "1997-01-01 00:00", 29.33), ("00021", "1997-01-01 00:00", 63.34)]),
        ("customer_id,amount,date,amount\na,1,2024-01-31,5\n", {"amount": "amount (2)"}, ONE),
        ("customer_id,d,t,amount\na,2024-01-31,10:15,5\n", {"timestamp": "d || ' ' || t"},
         [("a", "2024-01-31 10:15", 5.0)]),
        ("customer_id,date,Quantity,Price\na,2024-01-31,2,2.5\n", {}, ONE),
        ("customer_id;date;Quantity;Price\na;2024-01-31;2;2,5\n", {}, ONE),
        ("customer_id,date,kind,total\na,2024-01-31,sale,5\nb,2024-01-31,refund,5\n",
         {"amount": "CASE WHEN kind = 'refund' THEN -total ELSE total END"},
         [*ONE, ("b", "2024-01-31 00:00", -5.0)]),
    ],
)  # fmt: skip
def test_a_well_meant_file_is_read(tmp_path, data, table, expected):
    ledger, quarantine = read(tmp_path, data, table)
    assert rows(ledger) == expected
    assert quarantine.empty


GOOD = "".join(f"k{i},2024-01-{i:02d},{i}\n" for i in range(1, 21))


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (",2024-01-31,5", "no_customer"),
        ("null,2024-01-31,5", "no_customer"),
        ("b,,5", "no_timestamp"),
        ("b,yesterday,5", "bad_timestamp"),
        ("b,2024-02-30,5", "bad_timestamp"),
        ("b,1899-12-30,5", "too_early"),
        ("b,1970-01-01,5", "too_early"),
        ("b,0001-01-01,5", "too_early"),
        ("b,2999-01-01,5", "in_future"),
        ("b,2024-01-31,", "no_amount"),
        ("b,2024-01-31,NaN", "no_amount"),
        ("b,2024-01-31,five", "bad_amount"),
        ("b,2024-01-31,inf", "amount_not_finite"),
        ("b,2024-01-31,1e400", "amount_not_finite"),
        ("b,2024-01-31,1e15", "amount_too_large"),
        ("b,2024-01-31", "too_few_fields"),
        ("b,2024-01-31,5,6", "too_many_fields"),
        ('"b,2024-01-31,5', "bad_quotes"),
        ('"b"b,2024-01-31,5', "bad_quotes"),
        (b"caf\xff,2024-01-31,5", "bad_encoding"),
    ],
)
def test_a_bad_row_is_set_aside_with_its_place_and_reason(tmp_path, row, reason):
    bad = row if isinstance(row, bytes) else row.encode()
    data = (HEADER + GOOD).encode() + bad + b"\n" + "né,2024-02-01,1\nmü,2024-02-01,1\n".encode()
    ledger, quarantine = read(tmp_path, data)
    found = ledger.quality.tables["transactions"]
    assert (found.read, found.accepted) == (23, 22)
    assert found.quarantined == {reason: 1}
    assert quarantine[["source_file", "row_number", "reason"]].to_numpy().tolist() == [
        ["data/orders.csv", 21, reason]
    ]
    if "raw_line" in quarantine.columns:
        assert quarantine["raw_line"].item().encode().startswith(bad[:3])
    else:
        assert quarantine["customer_id"].fillna("").item() == bad.decode().split(",")[0]


def test_an_open_quote_costs_one_line_and_not_the_rest_of_the_file(tmp_path):
    ledger, quarantine = read(tmp_path, HEADER + '"a,2024-01-31,5\n' + GOOD * 100)
    assert ledger.quality.tables["transactions"].accepted == 2000
    assert quarantine["reason"].tolist() == ["bad_quotes"]


@pytest.mark.parametrize(
    ("data", "table", "words"),
    [
        ("", {}, "is empty"),
        (" \n\n", {}, "is empty"),
        (HEADER, {}, "no rows"),
        (bytes(range(256)) * 8, {}, "binary"),
        (b"PK\x03\x04rest", {}, "Excel"),
        (b"PAR1rest", {}, "Parquet"),
        ("a~b~c\n1~2~3\n", {}, "separator"),
        ("customer_id,amount\na,5\n", {}, "known to be timestamp"),
        ("gender,tenure\nf,5\n", {}, "known to be customer_id"),
        ("a,2024-01-31,5\nb,2024-01-31,6\n", {}, "looks like data"),
        (" 00004 0001 19970101 2 29.33\n 00021 0002 19970101 3 63.34\n", {}, "whitespace"),
        ("a,b\n", {"header": False, "column_names": ["x"]}, "column_names gives 1"),
        (HEADER + "a,01/02/2024,5\n", {}, "timestamp_format"),
        (HEADER + "a,13/02/2024,5\nb,02/13/2024,5\n", {}, "contradicts"),
        (HEADER + "a,2024-01-31,5\n", {"timestamp_format": "%d.%m.%Y"}, "reads no value"),
        (HEADER + "a,2024-01-31,5\n", {"timestamp_format": "%Q"}, "no time format"),
        (HEADER + 'a,2024-01-31,"1,234"\n', {}, "thousands"),
        (HEADER + "a,2024-01-31,much\n", {}, "cannot be read as amount, for example 'much'"),
        (HEADER + "a,never,5\n", {}, "cannot be read as timestamp"),
        (HEADER + ",2024-01-31,5\n", {}, "no row can be used"),
        (HEADER + "a,2024-01-31,5\n", {"where": "amount > 9"}, "leaves out every row"),
        (HEADER + "a,2024-01-31,5\n", {"where": "amount"}, "no condition"),
        (HEADER + "a,2024-01-31,5\n", {"amount": "amout"}, "Did you mean amount"),
        (HEADER + "a,2024-01-31,5\n", {"amonut": "amount"}, "Did you mean amount"),
        (HEADER + "a,2024-01-31,5\n", {"amount": "read_text('x')"}, "not allowed"),
        ("customer_id,amount,date,amount\na,1,2024-01-31,2\n", {}, "named alike"),
        ("customer_id,amount,date,amount\na,1,2024-01-31,2\n", {"amount": "amount"}, "2 times"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_used_is_one_clear_error(tmp_path, data, table, words):
    with pytest.raises(SchemaError) as caught:
        read(tmp_path, data, table)
    assert words in str(caught.value)


def test_where_leaves_rows_out_beside_the_sum(tmp_path):
    data = "customer_id,date,amount,code\na,2024-01-31,5,X\nb,2024-01-31,oops,X\nc,,1,POST\n"
    data += "d,2024-01-31,1,X\n"
    ledger, _ = read(tmp_path, data, {"where": "code NOT IN ('POST')"})
    found = ledger.quality.tables["transactions"]
    assert (found.read, found.accepted, found.left_out) == (3, 2, 1)
    assert found.quarantined == {"bad_amount": 1}


def test_a_product_of_an_unreadable_number_is_bad_and_of_a_missing_one_missing(tmp_path):
    data = "customer_id,date,Quantity,Price\na,2024-01-31,x,2\na,2024-01-31,,2\n"
    data += "".join(f"a,2024-01-31,{i},2\n" for i in range(1, 9))
    ledger, _ = read(tmp_path, data)
    assert ledger.quality.tables["transactions"].quarantined == {"bad_amount": 1, "no_amount": 1}


LINES = "customer_id,timestamp,amount,quantity,order_id,product_id\n"


@pytest.mark.parametrize(
    ("header", "body", "policies", "quarantined"),
    [
        (LINES, "a,2024-01-01,5,1,1,p\n" * 3, {}, {"duplicate": 2}),
        (LINES, "a,2024-01-01,5,1,1,p\n" * 3, {"duplicates": "keep"}, {}),
        (LINES, "a,2024-01-01,5,1,1,p\na,2024-01-01,5,1,1,q\n", {}, {}),
        # Customer, day and amount alone do not tell a repeated row from a second purchase.
        (HEADER, "a,2024-01-01,5\n" * 2, {}, {}),
        (HEADER, "a,2024-01-01,5\n" * 2, {"duplicates": "drop"}, {"duplicate": 1}),
        # One row an order: an exact repeat is the same order again.
        ("customer_id,timestamp,amount,order_id\n", "a,2024-01-01,5,1\n" * 2 + "a,2024-01-01,5,2\n",
         {}, {"duplicate": 1}),
        # Several lines an order without a product: equal lines may be two products.
        ("customer_id,timestamp,amount,order_id\n",
         "a,2024-01-01,5,1\n" * 2 + "a,2024-01-01,7,1\n", {}, {}),
        (LINES, "a,2024-01-01,0,1,1,p\na,2024-01-01,5,1,1,p\n", {}, {}),
        (LINES, "a,2024-01-01,0,1,1,p\na,2024-01-01,5,1,1,p\n", {"zero_amount": "quarantine"},
         {"zero_amount": 1}),
        (LINES, "a,2024-01-01,0,-9,1,p\na,2024-01-01,-5,-1,1,p\n", {}, {"negative_quantity": 1}),
        (LINES, "a,2024-01-01,0,-9,1,p\na,2024-01-01,-5,-1,1,p\n",
         {"negative_quantity": "keep"}, {}),
        (HEADER, "a,2024-01-01,5\na,2024-01-02 23:59,5\na,2024-01-03,5\n",
         {"history_end": "2024-01-02"}, {"in_future": 1}),
        (HEADER, "a,2024-01-01,5\na,2024-01-02,5\n", {"history_start": "2024-01-02"},
         {"too_early": 1}),
        (HEADER, "a,2024-01-01,5\n" * 1000 + "a,2026-01-01,5\n", {}, {"isolated_future": 1}),
        (HEADER, "a,2024-01-01,5\n" * 1000 + "a,2026-01-01,5\n", {"isolated_future": "keep"}, {}),
        (HEADER, "a,2024-01-01,5\n" * 100 + "a,2026-01-01,5\n", {}, {}),
    ],
)  # fmt: skip
def test_policies(tmp_path, header, body, policies, quarantined):
    ledger, quarantine = read(tmp_path, header + body, policies=policies)
    assert ledger.quality.tables["transactions"].quarantined == quarantined
    assert Counter(quarantine["reason"]) == quarantined


def test_what_a_policy_keeps_is_counted(tmp_path):
    ledger, _ = read(tmp_path, HEADER + "a,2024-01-01,0\n" * 2)
    found = ledger.quality.tables["transactions"].policies
    assert found == {"duplicates_kept": 1, "zero_amount_kept": 2}


def test_an_unreadable_optional_value_is_null_and_counted(tmp_path):
    data = "customer_id,date,amount,quantity,discount\na,2024-01-31,5,two,1\nb,2024-01-31,5,2,\n"
    ledger, _ = read(tmp_path, data)
    assert ledger.quality.tables["transactions"].unreadable == {"quantity": 1}
    assert ledger.transactions.quantity.to_pyarrow().to_pylist() == [None, 2.0]


def test_an_unreadable_known_at_sets_the_row_aside(tmp_path):
    data = "customer_id,date,amount,known_at\na,2024-01-31,5,soon\nb,2024-01-31,5,\n"
    ledger, _ = read(tmp_path, data)
    assert ledger.quality.tables["transactions"].quarantined == {"bad_known_at": 1}


def test_times_with_an_offset_become_the_shops_time(tmp_path):
    data = HEADER + "a,2024-07-01T23:30:00Z,5\nb,2024-07-01 23:30:00,5\n"
    ledger, _ = read(tmp_path, data, timezone="Europe/London")
    assert [row[1] for row in rows(ledger)] == ["2024-07-02 00:30", "2024-07-01 23:30"]


@pytest.mark.parametrize(
    "written",
    [
        "2024-07-01 23:30:00 +0100",  # as Shopify writes it
        "2024-07-01 23:30:00 +01:00",
        "2024-07-01 23:30 +01",
        "2024-07-01T23:30:00.250+0100",
        "2024-07-01 22:30:00 Z",
        "2024-07-01T22:30:00z",
        "2024-07-01 22:30:00UTC",
        "2024-07-01 22:30:00,250 gmt",
    ],
)
def test_offsets_are_read_however_they_are_set(tmp_path, written):
    ledger, _ = read(tmp_path, HEADER + f'a,"{written}",5\n', timezone="Europe/Berlin")
    assert [row[1] for row in rows(ledger)] == ["2024-07-02 00:30"]


@pytest.mark.parametrize("written", ["2024-07-31 10:30:15,250", "31/07/2024 10:30:15,250"])
def test_seconds_may_have_a_decimal_comma(tmp_path, written):
    ledger, _ = read(tmp_path, HEADER + f'a,"{written}",5\n')
    assert [row[1] for row in rows(ledger)] == ["2024-07-31 10:30"]


def test_an_order_total_on_every_line_is_pointed_out(tmp_path):
    head = "customer_id,date,amount,order_id,sku\n"
    orders = [(f"c{i},2024-01-{i:02d}", 10 + i, f"o{i}") for i in range(1, 26)]
    totals = [f"{who},{amount},{order},{sku}\n" for who, amount, order in orders for sku in "xy"]
    notes = read(tmp_path, head + "".join(totals))[0].quality.tables["transactions"].notes
    assert any("in 25 of 25 orders" in note and "total of the order" in note for note in notes)
    lines = [f"{who},{amount + (sku == 'x')},{order},{sku}\n" for who, amount, order in orders
             for sku in "xy"]  # fmt: skip
    notes = read(tmp_path, head + "".join(lines))[0].quality.tables["transactions"].notes
    assert not any("total of the order" in note for note in notes)


def test_raw_columns_named_like_the_quarantines_own_are_kept_apart(tmp_path):
    _, quarantine = read(
        tmp_path, "customer_id,date,amount,reason\na,2024-01-31,5,gift\nb,2024-01-31,,none\n"
    )
    assert quarantine["reason"].tolist() == ["no_amount"]
    assert quarantine["reason (raw)"].tolist() == ["none"]


CELL = st.sampled_from(
    ["", "a", "b", "13085.0", "2024-01-31", "2024-01-31 10:00", "31.12.2024", "5", "-5", "1.50",
     "inf", "NaN", "x\ny", 'q"q', "1e30", "2999-01-01", "0001-01-01", " ", "é", "'; --"]
)  # fmt: skip


@hypothesis_settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(CELL, min_size=0, max_size=5), max_size=12), st.randoms())
def test_accepted_and_quarantined_are_what_was_read(lines, random):
    def cell(text):
        clumsy = random.random() < 0.1  # now and then nobody quotes
        return text if clumsy else '"' + text.replace('"', '""') + '"'

    body = "".join(",".join(map(cell, line)) + "\n" for line in lines)
    data = HEADER + "good,2024-01-31,1.5\n" * 12 + body
    with tempfile.TemporaryDirectory() as folder:
        try:
            ledger, quarantine = read(Path(folder), data)
        except SchemaError:
            return  # most values of a column unreadable: said, not guessed
        found = ledger.quality.tables["transactions"]
        assert found.accepted + len(quarantine) == found.read
        assert found.accepted == len(rows(ledger))
        assert Counter(quarantine["reason"]) == found.quarantined
        assert found.accepted >= 12
        assert not quarantine.duplicated(["source_file", "row_number"]).any()
