"""Customers taken out of tables: the rows and, of a file, the bytes."""

from __future__ import annotations

from pathlib import Path

import duckdb
import psycopg
import pytest

from features.errors import InputError
from serving.forget.databases import from_duckdb, from_postgres, tables_of

SCORES = ("crm", "scores")


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    path = tmp_path / "shop's.duckdb"
    with duckdb.connect(str(path)) as con:
        con.execute("CREATE SCHEMA crm")
        con.execute(
            "CREATE TABLE crm.scores (customer_id TEXT NOT NULL, as_of DATE, p DOUBLE, "
            "PRIMARY KEY (customer_id, as_of))"
        )
        con.execute(
            "INSERT INTO crm.scores SELECT 'CUST-' || i, DATE '2024-01-01' + d::INT, i / 7 "
            "FROM range(100000, 103000) a(i), range(3) b(d)"
        )
        con.execute("CREATE TABLE orders AS SELECT 'CUST-100001' AS customer_id, 5 AS amount")
        con.execute("CREATE TABLE notes AS SELECT 'other' AS text")
        con.execute("CREATE VIEW latest AS SELECT max(as_of) AS day FROM crm.scores")
        con.execute("CREATE INDEX by_day ON crm.scores (as_of)")
    path.chmod(0o640)
    return path


def test_rows_and_bytes_are_gone_and_all_else_is_as_it_was(shop: Path) -> None:
    assert b"CUST-100500" in shop.read_bytes()
    who = {"CUST-100500", "CUST-102999", "nobody"}
    assert from_duckdb(shop, [SCORES], who, apply=False)[1] == 6
    assert from_duckdb(shop, [SCORES], who, apply=True) == (who - {"nobody"}, 6)
    assert not any(each.encode() in shop.read_bytes() for each in who)
    assert [path.name for path in shop.parent.iterdir()] == [shop.name]
    assert shop.stat().st_mode & 0o777 == 0o640
    with duckdb.connect(str(shop)) as con:
        assert con.execute("SELECT count(*), sum(p) > 0 FROM crm.scores").fetchall() == [
            (8994, True)
        ]
        assert con.execute("SELECT index_name FROM duckdb_indexes()").fetchall() == [("by_day",)]
        assert con.execute("SELECT amount, text FROM orders, notes").fetchall() == [(5, "other")]
        assert len(con.execute("FROM latest").fetchall()) == 1
        with pytest.raises(duckdb.ConstraintException):
            con.execute("INSERT INTO crm.scores VALUES ('CUST-100001', '2024-01-01', 0)")


def test_only_the_tables_that_are_named_are_touched(shop: Path) -> None:
    assert tables_of(shop, ["customer_id"]) == [SCORES, ("main", "orders")]
    assert tables_of(shop, ["customer_id", "as_of"]) == [SCORES]
    from_duckdb(shop, [SCORES], {"CUST-100001"}, apply=True)
    with duckdb.connect(str(shop)) as con:
        assert con.execute("SELECT count(*) FROM orders").fetchall() == [(1,)]


def test_what_was_deleted_before_leaves_the_file_too(shop: Path) -> None:
    with duckdb.connect(str(shop)) as con:
        con.execute("DELETE FROM crm.scores WHERE customer_id = 'CUST-100500'")
    assert b"CUST-100500" in shop.read_bytes()
    assert from_duckdb(shop, [SCORES], {"CUST-100500"}, apply=True) == (set(), 0)
    assert b"CUST-100500" not in shop.read_bytes()


def test_a_run_that_was_stopped_is_cleaned_up_by_the_next(shop: Path) -> None:
    half = shop.with_name(f".{shop.name}.forget")
    half.write_bytes(b"half")
    from_duckdb(shop, [SCORES], {"CUST-100500"}, apply=True)
    assert not half.exists()


def test_a_file_that_cannot_be_written_anew_stays(shop: Path) -> None:
    with duckdb.connect(str(shop)) as con:
        con.execute("CREATE TABLE bb (id INT PRIMARY KEY)")
        con.execute("CREATE TABLE aa (id INT REFERENCES bb (id))")
        con.execute("INSERT INTO bb VALUES (1)")
        con.execute("INSERT INTO aa VALUES (1)")
    before = shop.read_bytes()
    with pytest.raises(InputError, match="cannot be written anew"):
        from_duckdb(shop, [SCORES], {"CUST-100500"}, apply=True)
    assert shop.read_bytes() == before
    assert [path.name for path in shop.parent.iterdir()] == [shop.name]


def test_what_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "no.duckdb"
    path.write_text("no database at all")
    with pytest.raises(InputError, match="cannot be opened"):
        tables_of(path, [])
    with pytest.raises(InputError, match="no file"):
        tables_of(tmp_path / "absent.duckdb", [])


def test_rows_leave_a_table_of_postgresql(postgres: str) -> None:
    odd = "'; DROP TABLE scores; --"
    with psycopg.connect(postgres) as con:
        con.execute("CREATE TABLE scores (customer_id text, p float)")
        con.execute("INSERT INTO scores VALUES ('a', 1), ('a', 2), ('b', 3), (%s, 4)", (odd,))
    table = ("public", "scores")
    assert from_postgres(postgres, table, {"a", odd, "c"}, apply=False) == ({"a", odd}, 3)
    assert from_postgres(postgres, table, {"a", odd, "c"}, apply=True) == ({"a", odd}, 3)
    with psycopg.connect(postgres) as con:
        assert con.execute("SELECT customer_id FROM scores").fetchall() == [("b",)]
    with pytest.raises(InputError, match="no table"):
        from_postgres(postgres, ("public", "other"), {"a"}, apply=True)
