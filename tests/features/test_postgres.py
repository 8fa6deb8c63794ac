"""Tables are read from PostgreSQL as they are from files."""

import duckdb
import pandas as pd
import psycopg
import pytest

from features.errors import InputError
from features.ledger import open_ledger
from features.reading.postgres import connect, copy_table
from features.settings import PolicySettings, PurchaseSettings, SourceSettings, TableSettings


def read(url, base, quarantine=None, timezone="UTC", **tables):
    return open_ledger(
        SourceSettings(url=url, timezone=timezone),
        {name: TableSettings.model_validate(table) for name, table in tables.items()},
        PolicySettings(),
        PurchaseSettings(),
        base,
        quarantine,
    )


def run(url, *statements):
    with psycopg.connect(url) as con:
        for statement in statements:
            con.execute(statement)


ORDERS = (
    "CREATE SCHEMA sales",
    """CREATE TABLE sales.orders (
        buyer text, at timestamptz, quantity int, price numeric(9, 2), code text)""",
    """INSERT INTO sales.orders VALUES
        ('007', '2024-07-01 23:30+00', 3, 0.10, 'A'),
        (NULL, '2024-07-01 12:00+00', 1, 1.00, 'A'),
        ('8', '2024-07-02 12:00+00', 1, 9.99, 'POST'),
        ('9', 'infinity', 1, 1, 'A')""",
)
MAPPED = {
    "from": "sales.orders",
    "customer_id": "buyer",
    "timestamp": "at",
    "amount": "quantity * price",
    "where": "code <> 'POST'",
}


def test_expressions_where_and_quarantine_work_as_for_files(postgres, tmp_path):
    run(
        postgres,
        *ORDERS,
        "CREATE TABLE customers (customer_id text, city text)",
        "INSERT INTO customers VALUES ('007', 'Łódź, \"centre\"\nsecond line')",
    )
    ledger = read(postgres, tmp_path, tmp_path / "q", "Europe/London", transactions=MAPPED)
    found = ledger.con.con.execute(
        "SELECT customer_id, CAST(timestamp AS VARCHAR), CAST(amount AS VARCHAR) FROM transactions"
    ).fetchall()
    assert found == [("007", "2024-07-02 00:30:00", "0.3000")]
    table = ledger.quality.tables["transactions"]
    assert sum(table.quarantined.values()) == 2
    aside = pd.read_parquet(tmp_path / "q" / "transactions.parquet")
    assert sorted(aside.iloc[:, 1]) == [2, 4]
    assert set(aside.iloc[:, 0].str.rpartition(":")[2]) == {"sales.orders"}
    held = ledger.tables["customers"].to_pyarrow()
    assert held["city"].to_pylist() == ['Łódź, "centre"\nsecond line']


def test_values_of_every_kind_arrive_exactly(postgres):
    run(
        postgres,
        "CREATE TYPE mood AS ENUM ('glad', 'sad')",
        "CREATE TABLE kinds (a text, b numeric, c numeric(20, 6), d timestamp, e timestamptz, "
        "f date, g boolean, h bigint, i double precision, j mood, k uuid, l numeric, m date)",
        "INSERT INTO kinds VALUES "
        "('', 1.5, 12345678901234.567891, '2024-02-29 23:59:59.999999', "
        "'2024-03-31 02:30:00+02', '0001-01-01', true, 9223372036854775807, 0.1, 'glad', "
        "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 'NaN', '0044-03-15 BC'), "
        "(NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL), "
        "('x', -0.125, -1, 'infinity', 'epoch', '9999-12-31', false, -1, 'NaN', 'sad', NULL, 1, "
        "'2024-01-01')",
    )
    with duckdb.connect() as engine:
        engine.execute("SET TimeZone = 'UTC'")
        with connect(postgres) as con:
            copy_table(con, engine, ("public", "kinds"), "kinds", "here")
        kinds = {row[0]: row[1] for row in engine.execute("DESCRIBE kinds").fetchall()}
        rows = engine.execute("SELECT COLUMNS(*)::VARCHAR FROM kinds").fetchall()
    assert [kinds[name] for name in "abcdefghijklm"] == [
        "VARCHAR", "DECIMAL(18,3)", "DECIMAL(38,6)", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE",
        "DATE", "BOOLEAN", "BIGINT", "DOUBLE", "VARCHAR", "VARCHAR", "DOUBLE", "VARCHAR",
    ]  # fmt: skip
    assert rows[0][-13:] == (
        "", "1.500", "12345678901234.567891", "2024-02-29 23:59:59.999999",
        "2024-03-31 00:30:00+00", "0001-01-01", "true", "9223372036854775807", "0.1", "glad",
        "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "nan", "0044-03-15 BC",
    )  # fmt: skip
    assert set(rows[1][-13:]) == {None}
    assert rows[2][-13:-9] == ("x", "-0.125", "-1.000000", "infinity")


def test_the_same_table_gives_the_same_ledger_as_a_file(postgres, tmp_path):
    frame = pd.DataFrame(
        {
            "customer_id": ["1", "2", "2", 'x,"y"', "3"],
            "timestamp": ["2024-01-01", "2024-01-02 10:00:00", "2024-02-30", "2024-01-03", None],
            "amount": ["1.25", "-3", "4", "7.5", "1"],
        }
    )
    (tmp_path / "data").mkdir()
    frame.to_csv(tmp_path / "data" / "transactions.csv", index=False)
    with psycopg.connect(postgres) as con:
        con.execute("CREATE TABLE transactions (customer_id text, timestamp text, amount text)")
        rows = frame.astype(object).where(frame.notna(), None).to_numpy().tolist()
        con.cursor().executemany("INSERT INTO transactions VALUES (%s, %s, %s)", rows)
    file, server = read("data", tmp_path), read(postgres, tmp_path)
    assert file.fingerprint == server.fingerprint
    ours, theirs = (x.quality.tables["transactions"] for x in (server, file))
    assert ours.quarantined == theirs.quarantined


@pytest.mark.parametrize("name", ["sales.ordres", "orders; DROP TABLE x", 'sales.orders" --'])
def test_an_unknown_table_is_an_error(postgres, tmp_path, name):
    run(postgres, *ORDERS)
    with pytest.raises(InputError, match="no such table"):
        read(postgres, tmp_path, transactions={**MAPPED, "from": name})


def test_a_table_that_may_not_be_read_is_not_there(postgres, postgres_server, tmp_path):
    database = psycopg.conninfo.conninfo_to_dict(postgres)["dbname"]
    run(postgres_server.url(database, role="admin"), "CREATE TABLE public.transactions (x int)")
    with pytest.raises(InputError, match="clearly transactions"):
        read(postgres, tmp_path)


def test_the_password_comes_from_the_environment(postgres, tmp_path, monkeypatch):
    run(postgres, *ORDERS)
    secret = psycopg.conninfo.conninfo_to_dict(postgres)["password"]
    user, _, place = postgres.partition("@")
    bare = user.rpartition(":")[0]
    monkeypatch.setenv("SHOP_SECRET", secret)
    read(f"{bare}:${{SHOP_SECRET}}@{place}", tmp_path, transactions=MAPPED)
    monkeypatch.setenv("SHOP_URL", postgres)
    read("${SHOP_URL}", tmp_path, transactions=MAPPED)
    monkeypatch.setenv("PGPASSWORD", secret)
    read(f"{bare}@{place}", tmp_path, transactions=MAPPED)
    monkeypatch.setenv("PGPASSWORD", "wrong")
    with pytest.raises(InputError, match="password authentication failed"):
        read(f"{bare}@{place}", tmp_path, transactions=MAPPED)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://shop:hunter2@/shop?host=/nowhere",
        "postgresql://shop:hunter2@localhost:1/shop",
        "postgresql://shop:hunter2@local host:x/shop",
        "postgresql://shop:hunter2@/shop?nonsense=hunter2",
        "postgresql://shop:hun/ter2@localhost/shop",
        "mysql://shop:hunter2@host/shop",
    ],
)
def test_no_message_shows_a_password(url, tmp_path):
    with pytest.raises(InputError) as problem:
        read(url, tmp_path)
    assert "hunter2" not in str(problem.value)
    assert "ter2" not in str(problem.value)


def test_a_variable_that_is_not_set_is_an_error(tmp_path):
    with pytest.raises(InputError, match="needs the environment variable NO_SUCH_NAME"):
        read("postgresql://shop:${NO_SUCH_NAME}@db/shop", tmp_path)
