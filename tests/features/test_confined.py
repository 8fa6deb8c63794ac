"""What a shop's owner writes in SQL computes on rows: it reads no file, and writes none."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from features.errors import InputError
from features.ledger import Ledger, open_ledger
from features.settings import PolicySettings, PurchaseSettings, SourceSettings, TableSettings

ROWS = "customer_id,timestamp,amount\nc1,2024-01-01,5\nc2,2024-01-02,6\n"


def shop(folder: Path, url: str = ".", **columns: str) -> Ledger:
    return open_ledger(
        SourceSettings(url=url),
        {"transactions": TableSettings.model_validate({"from": "orders.csv", **columns})}
        if url == "."
        else {},
        PolicySettings(),
        PurchaseSettings(),
        base=folder,
        quarantine=folder / "quarantine",
    )


@pytest.mark.parametrize(
    "expression",
    [
        "read_text('{secret}')",
        "(SELECT content FROM read_text('{secret}'))",
        "amount + (SELECT count(*) FROM '{secret}')",
        "amount IN (SELECT 1)",
        "EXISTS (FROM '{secret}')",
        "getenv('HOME')",
        "current_setting('home_directory')",
        "amount); COPY (SELECT 1) TO '{secret}.out' --",
        "amount; ATTACH '{secret}.db' AS x",
        "amount; INSTALL httpfs",
        "query('SELECT 1')",
        "query_table('transactions')",
        "parse_path('{secret}')",
        "list_transform([1], lambda x: x)",
        "COLUMNS('.*')",
        "pg_read_file('{secret}')",
        "lo_import('{secret}')",
        "amount FROM read_csv('{secret}')",
        "struct_extract(amount, 'x')",
        'amount AS "x"',
        "nextval('s')",
        "random()",
        "now()",
    ],
)
@pytest.mark.parametrize("key", ["amount", "where", "customer_id"])
def test_an_expression_that_reaches_beyond_its_row_is_refused(
    expression: str, key: str, tmp_path: Path
) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    (tmp_path / "orders.csv").write_text(ROWS)
    before = set(tmp_path.iterdir())
    with pytest.raises(InputError) as caught:
        shop(tmp_path, **{key: expression.format(secret=secret)})
    assert set(tmp_path.iterdir()) <= before | {tmp_path / "quarantine"}
    assert "Traceback" not in str(caught.value)


def test_a_view_of_a_database_reads_its_tables_and_no_file(tmp_path: Path) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text(ROWS)
    with duckdb.connect(str(tmp_path / "shop.duckdb")) as con:
        con.execute(
            "CREATE TABLE t AS SELECT 'c1' AS customer_id, "
            "TIMESTAMP '2024-01-01' AS timestamp, 5.0 AS amount"
        )
        con.execute("CREATE VIEW orders AS SELECT * FROM t")
    assert shop(tmp_path, "duckdb:///shop.duckdb").quality.tables["transactions"].accepted == 1
    with duckdb.connect(str(tmp_path / "shop.duckdb")) as con:
        con.execute(f"CREATE OR REPLACE VIEW orders AS SELECT * FROM read_csv('{secret}')")
    with pytest.raises(InputError, match="file system operations are disabled"):
        shop(tmp_path, "duckdb:///shop.duckdb")


def test_an_opened_ledger_reaches_nothing_outside(tmp_path: Path) -> None:
    (tmp_path / "orders.csv").write_text(ROWS)
    con = shop(tmp_path).con.con
    for statement in (
        f"SELECT * FROM read_csv('{tmp_path / 'orders.csv'}')",
        f"COPY (SELECT 1) TO '{tmp_path / 'out.csv'}'",
        f"ATTACH '{tmp_path / 'x.duckdb'}'",
        "INSTALL httpfs",
        "SET enable_external_access = true",
    ):
        with pytest.raises(duckdb.Error):
            con.execute(statement).fetchall()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["orders.csv", "quarantine"]


@pytest.mark.parametrize("name", ['"; DROP TABLE x; --', "../../orders", "x' OR '1'='1", "a\nb"])
def test_names_of_tables_and_files_are_looked_up_and_never_run(name: str, tmp_path: Path) -> None:
    (tmp_path / "orders.csv").write_text(ROWS)
    table = TableSettings.model_validate({"from": name})
    with duckdb.connect(str(tmp_path / "shop.duckdb")) as con:
        con.execute("CREATE TABLE x AS SELECT 1 AS a")
    for url in (".", "duckdb:///shop.duckdb"):
        with pytest.raises(InputError):
            open_ledger(
                SourceSettings(url=url),
                {"transactions": table},
                PolicySettings(),
                PurchaseSettings(),
                base=tmp_path,
                quarantine=None,
            )
    with duckdb.connect(str(tmp_path / "shop.duckdb"), read_only=True) as con:
        assert con.execute("SELECT a FROM x").fetchall() == [(1,)]


def test_ids_and_columns_named_like_statements_are_values(tmp_path: Path) -> None:
    evil = "x'); DROP TABLE transactions; --"
    (tmp_path / "orders.csv").write_text(
        f'customer_id,timestamp,amount,"a""b;--"\n"{evil}",2024-01-01,5,{evil}\n'
    )
    ledger = shop(tmp_path)
    assert ledger.transactions.to_pyarrow().column("customer_id").to_pylist() == [evil]
