"""A whole shop from a database: every table, of one moment, over TLS, or a clear message."""

import subprocess
import sys

import duckdb
import pandas as pd
import psycopg
import pyarrow as pa
import pytest
from psycopg import sql

import features.ledger
from features.errors import InputError
from features.ledger import open_ledger
from features.schema import TABLES
from features.settings import PolicySettings, PurchaseSettings, SourceSettings, TableSettings
from features.simulate import FILES, MAPPING, simulate


def read(url, base, **tables):
    return open_ledger(
        SourceSettings(url=url),
        {name: TableSettings.model_validate(dict(table)) for name, table in tables.items()},
        PolicySettings(),
        PurchaseSettings(),
        base,
        None,
    )


def run(url, *statements):
    with psycopg.connect(url) as con:
        for statement in statements:
            con.execute(statement)


SHOP = (
    "CREATE TABLE transactions (customer_id text, timestamp timestamp, amount numeric)",
    "INSERT INTO transactions VALUES ('a', '2024-05-01', 10), ('b', '2024-05-02', 20)",
    "CREATE TABLE tickets (customer_id text, opened_at timestamp)",
    "INSERT INTO tickets VALUES ('a', '2024-05-01')",
    "CREATE TABLE customers (customer_id text, city text)",
    "INSERT INTO customers VALUES ('a', 'Ely'), ('b', 'Bath')",
)


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A folder of the files of a simulated shop, and the same tables as frames of text."""
    folder = tmp_path_factory.mktemp("files")
    simulate(folder, customers=60, days=400, seed=5)
    frames = {}
    for name in TABLES:
        path = folder / FILES[name]
        if path.suffix == ".parquet":
            frames[name] = pd.read_parquet(path)
        else:
            frames[name] = pd.read_csv(path, dtype=str, keep_default_na=False, na_values=[""])
    return folder, frames


def fill_postgres(url, frames):
    with psycopg.connect(url) as con:
        for name, frame in frames.items():
            columns = sql.SQL(", ").join(
                sql.SQL("{} {}").format(
                    sql.Identifier(column),
                    sql.SQL("timestamp" if frame[column].dtype.kind == "M" else "text"),
                )
                for column in frame
            )
            con.execute(sql.SQL("CREATE TABLE {} ({})").format(sql.Identifier(name), columns))
            rows = frame.astype(object).where(frame.notna(), None)
            with con.cursor().copy(sql.SQL("COPY {} FROM STDIN").format(sql.Identifier(name))) as c:
                for row in rows.itertuples(index=False):
                    c.write_row(row)


def test_every_table_of_the_contract_is_the_same_from_files_and_both_databases(
    shop, postgres, tmp_path
):
    folder, frames = shop
    mapping = {**MAPPING["transactions"], "from": "transactions"}
    fill_postgres(postgres, frames)
    with duckdb.connect(tmp_path / "shop.duckdb") as con:
        for name, frame in frames.items():
            con.register("frame", pa.Table.from_pandas(frame, preserve_index=False))
            con.execute(f'CREATE TABLE "{name}" AS SELECT * FROM frame')
    expected = read(str(folder), tmp_path, **MAPPING)
    assert set(expected.tables) == set(TABLES)
    for url in (postgres, "duckdb:///shop.duckdb"):
        found = read(url, tmp_path, transactions=mapping)
        assert found.quality.skipped == {}
        assert found.fingerprint == expected.fingerprint
        for name, table in expected.quality.tables.items():
            assert found.quality.tables[name].quarantined == table.quarantined


def after_each_table(monkeypatch, act):
    """Do something to the database each time that a table has been read."""
    validate = features.ledger.validate

    def then(con, raw, *rest):
        done = validate(con, raw, *rest)
        act(raw.name)
        return done

    monkeypatch.setattr(features.ledger, "validate", then)


def test_rows_that_arrive_between_two_tables_are_not_seen(postgres, tmp_path, monkeypatch):
    run(postgres, *SHOP)
    arrivals = (
        "INSERT INTO transactions VALUES ('new', now(), 5)",
        "INSERT INTO tickets VALUES ('new', now())",
        "INSERT INTO customers VALUES ('new', 'Rye')",
    )
    after_each_table(monkeypatch, lambda _: run(postgres, *arrivals))
    ledger = read(postgres, tmp_path)
    for table in ledger.tables.values():
        assert "new" not in table.customer_id.to_pyarrow().to_pylist()
    assert set(ledger.tables) == {"transactions", "tickets", "customers"}
    monkeypatch.undo()
    again = read(postgres, tmp_path)
    assert "new" in again.tables["customers"].customer_id.to_pyarrow().to_pylist()


def test_no_other_program_writes_to_a_duckdb_file_while_it_is_read(tmp_path, monkeypatch):
    path = tmp_path / "shop.duckdb"
    with duckdb.connect(path) as con:
        for statement in SHOP:
            con.execute(statement)
    write = f"import duckdb; duckdb.connect({str(path)!r}).execute('DELETE FROM customers')"
    tried = []

    def act(_):
        done = subprocess.run([sys.executable, "-c", write], capture_output=True, check=False)
        tried.append((done.returncode, b"lock" in done.stderr))

    after_each_table(monkeypatch, act)
    ledger = read("duckdb:///shop.duckdb", tmp_path)
    assert tried == [(1, True)] * 3
    assert ledger.tables["customers"].count().to_pyarrow().as_py() == 2
    duckdb.connect(path).close()  # afterwards anybody may


def test_a_table_that_cannot_be_read_does_not_keep_the_others_from_it(postgres, tmp_path):
    broken = "CREATE VIEW events AS SELECT (1 / 0)::text AS customer_id, now() AS timestamp"
    run(postgres, *SHOP, broken)
    ledger = read(postgres, tmp_path)
    assert set(ledger.tables) == {"transactions", "tickets", "customers"}
    assert "division by zero" in ledger.quality.skipped["events"]


@pytest.mark.parametrize("moment", ["between two tables", "in a table"])
def test_a_lost_connection_is_an_error_even_where_a_table_may_be_left_out(
    postgres, tmp_path, monkeypatch, moment
):
    run(postgres, *SHOP)
    cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s"

    def lose(name):
        if name == "transactions":
            with psycopg.connect(postgres) as con:
                con.execute(cut, ["regulars"])

    if moment == "in a table":
        dies = "CASE WHEN i > 5000 THEN pg_terminate_backend(pg_backend_pid())::text ELSE 'a' END"
        series = "generate_series(1, 9000) AS i"
        view = (
            f"CREATE VIEW events AS SELECT {dies} AS customer_id, now() AS timestamp FROM {series}"
        )
        run(postgres, view)
    else:
        after_each_table(monkeypatch, lose)
    with pytest.raises(InputError, match="The database postgresql:///shop") as problem:
        read(postgres, tmp_path)
    assert "server is up" in problem.value.hint
    assert "s3cret" not in str(problem.value)


@pytest.fixture(scope="module")
def tls_server(server_module):
    """A server that also listens on a port, where it insists on TLS."""
    with server_module.running_server(tls=True) as server:
        with psycopg.connect(server.admin, autocommit=True) as con:
            con.execute("CREATE DATABASE shop OWNER shop")
        run(server.url(), *SHOP)
        yield server


def over_tls(server, mode, certificate):
    user = server.url().partition("@")[0]
    return f"{user}@localhost:{server.port}/shop?sslmode={mode}&sslrootcert={certificate}"


@pytest.mark.parametrize("mode", ["require", "verify-full"])
def test_tables_are_read_over_tls(tls_server, tmp_path, mode):
    ledger = read(over_tls(tls_server, mode, tls_server.certificate), tmp_path)
    assert len(ledger.tables) == 3


def test_a_certificate_of_somebody_else_is_refused(tls_server, server_module, tmp_path):
    other = server_module.make_certificate(tmp_path, "other")
    with pytest.raises(InputError, match="certificate verify failed") as problem:
        read(over_tls(tls_server, "verify-full", other), tmp_path)
    assert "sslrootcert" in problem.value.hint
    assert "s3cret" not in str(problem.value)


def test_a_server_that_insists_on_tls_gets_no_password_without(tls_server, tmp_path):
    with pytest.raises(InputError, match="no encryption") as problem:
        read(over_tls(tls_server, "disable", ""), tmp_path)
    assert "s3cret" not in str(problem.value)
