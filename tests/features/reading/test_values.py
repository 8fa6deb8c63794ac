import datetime as dt
from decimal import Decimal

import duckdb
import pytest

from features.errors import SchemaError
from features.reading.values import (
    TimeFormat,
    detect_decimal,
    detect_times,
    flag_sql,
    number_sql,
    text_sql,
    time_sql,
)


@pytest.fixture(scope="module")
def con():
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    yield connection
    connection.close()


def value(con, sql, text):
    return con.execute(f"SELECT {sql} FROM (SELECT $1 AS v)", [text]).fetchall()[0][0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("12", "12"),
        ("12.5", "12.5"),
        (" 12.5 ", "12.5"),
        ("1,234.50", "1234.5"),
        ("1,234,567", "1234567"),
        ("1,23,456.78", "123456.78"),
        ("€ 12.50", "12.5"),
        ("-$1,234.56", "-1234.56"),
        ("$-5", "-5"),
        ("(12.50)", "-12.5"),
        ("12.50-", "-12.5"),
        ("−5", "-5"),
        ("EUR 12.50", "12.5"),
        ("12.50 kr.", "12.5"),
        ("CHF 1'234.50", "1234.5"),
        ("1 234.50", "1234.5"),
        ("1\u00a0234.50", "1234.5"),
        ("1.5e-3", "0.0015"),
        (".5", "0.5"),
        ("12,5", None),
        ("1.2.3", None),
        ("12k", None),
        ("12abc", None),
        ("0x10", None),
        ("1_000", None),
        ("--5", None),
        ("5 or 6", None),
        ("NaN", None),
        ("", None),
    ],
)
def test_numbers_with_a_decimal_point(con, text, expected):
    found = value(con, number_sql("v", ".", "DECIMAL(18,4)"), text)
    assert found == (None if expected is None else Decimal(expected))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("12", "12"),
        ("12,5", "12.5"),
        ("1.234,50", "1234.5"),
        ("1.234.567", "1234567"),
        ("1 234,50 €", "1234.5"),
        ("1.234", "1234"),
        ("12.5", None),
        ("1,2,3", None),
    ],
)
def test_numbers_with_a_decimal_comma(con, text, expected):
    found = value(con, number_sql("v", ",", "DECIMAL(18,4)"), text)
    assert found == (None if expected is None else Decimal(expected))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["1", "2"], "."),
        (["1.5", "1,234.5"], "."),
        (["1,234", "2.5"], "."),
        (["1,5"], ","),
        (["1.234", "2,50"], ","),
        (["1.234.567"], ","),
        (["1,234,567"], "."),
        (["0.125"], "."),
        (["abc", "1.2.3.4"], "."),
    ],
)
def test_the_decimal_mark_follows_from_the_values(con, values, expected):
    con.execute("CREATE OR REPLACE TEMP TABLE t (a VARCHAR)")
    con.executemany("INSERT INTO t VALUES ($1)", [[v] for v in values])
    assert detect_decimal(con, "t", ["a"], where="f.csv")[0] == expected


@pytest.mark.parametrize("values", [["1,234"], ["1.234"], ["1.5", "1,5"]])
def test_an_open_or_contradictory_decimal_mark_is_an_error(con, values):
    con.execute("CREATE OR REPLACE TEMP TABLE t (a VARCHAR)")
    con.executemany("INSERT INTO t VALUES ($1)", [[v] for v in values])
    with pytest.raises(SchemaError, match="decimal = "):
        detect_decimal(con, "t", ["a"], where="f.csv")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2020-07-02", "2020-07-02"),
        ("2020-7-2 8:26", "2020-07-02 08:26"),
        ("2020-07-02T08:26:55.5", "2020-07-02 08:26:55.500"),
        ("2020-07-02T08:26:00Z", "2020-07-02 09:26"),
        ("2020-07-02 08:26:00+02:00", "2020-07-02 07:26"),
        ("2020-01-02 08:26:00 UTC", "2020-01-02 08:26"),
        ("2020-07-02T08:26:00-0500", "2020-07-02 14:26"),
        ("2020/07/02", "2020-07-02"),
        ("20200702", "2020-07-02"),
        ("20200702T082655", "2020-07-02 08:26:55"),
        ("1593678360", "2020-07-02 09:26"),
        ("1593678360000", "2020-07-02 09:26"),
        ("01-Dec-2009", "2009-12-01"),
        ("December 1, 2009 8:26 PM", "2009-12-01 20:26"),
        ("2009-12-01 8:26 p.m.", "2009-12-01 20:26"),
        ("25/12/2019", "2019-12-25"),
        ("25.12.2019 10:15", "2019-12-25 10:15"),
        ("5/12/19 8:26", "2019-12-05 08:26"),
        ("5/12/2019, 08:26:00 PM", "2019-12-05 20:26"),
        ("13/25/2019", None),
        ("2020-02-30", None),
        ("2020-01-02 25:00:00", None),
        ("epoch", None),
        ("infinity", None),
        ("yesterday", None),
        ("NULL", None),
    ],
)
def test_times_day_first_in_london(con, text, expected):
    found = value(con, time_sql("v", TimeFormat(day_first=True), "Europe/London"), text)
    assert found == (None if expected is None else dt.datetime.fromisoformat(expected))


@pytest.mark.parametrize(
    ("values", "day_first"),
    [
        (["2020-01-02", "20200102"], None),
        (["13/01/2020", "01/02/2020"], True),
        (["01/13/2020", "01/02/2020"], False),
        (["01.02.20 10:00", "31.12.20 10:00"], True),
    ],
)
def test_the_order_of_day_and_month_is_proven(con, values, day_first):
    con.execute("CREATE OR REPLACE TEMP TABLE t (a VARCHAR)")
    con.executemany("INSERT INTO t VALUES ($1)", [[v] for v in values])
    found = detect_times(con, "t", "a", column="a", where="f.csv", stated=None)
    assert found.day_first is day_first
    assert bool(found.note) == (day_first is not None)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (["01/02/2020", "03/04/2020"], "leaves open"),
        (["13/02/2020", "03/14/2020"], "contradicts itself"),
    ],
)
def test_an_order_that_is_not_proven_is_an_error(con, values, words):
    con.execute("CREATE OR REPLACE TEMP TABLE t (a VARCHAR)")
    con.executemany("INSERT INTO t VALUES ($1)", [[v] for v in values])
    with pytest.raises(SchemaError, match=rf"'when'.*{words}") as caught:
        detect_times(con, "t", "a", column="when", where="f.csv", stated=None)
    assert "timestamp_format" in caught.value.hint
    assert values[0] in caught.value.message


def test_a_stated_format_with_an_offset_is_an_instant(con):
    form = TimeFormat(stated="%d.%m.%Y %H:%M %z")
    found = value(con, time_sql("v", form, "Europe/Berlin"), "01.07.2020 12:00 +0000")
    assert found == dt.datetime(2020, 7, 1, 14, 0)


@pytest.mark.parametrize("text", ["", "  ", "NaN", "null", "None", "N/A", "\\N", "\u00a0"])
def test_texts_that_say_no_value(con, text):
    assert value(con, text_sql("v"), text) is None


@pytest.mark.parametrize(
    ("text", "expected"), [("Yes", True), ("0", False), ("TRUE", True), ("maybe", None)]
)
def test_flags(con, text, expected):
    assert value(con, flag_sql("v"), text) is expected
