import gzip

import duckdb
import pandas as pd
import pyarrow as pa
import pytest

from features.errors import InputError, SchemaError
from features.ledger import open_ledger
from features.settings import PolicySettings, PurchaseSettings, SourceSettings, TableSettings
from features.source import raw_columns

CSV = b"customer_id,timestamp,amount\na,2024-01-31,5\nb,2024-01-30,6.25\n"


def read(base, url="data", **tables):
    return open_ledger(
        SourceSettings(url=url),
        {name: TableSettings.model_validate(table) for name, table in tables.items()},
        PolicySettings(),
        PurchaseSettings(),
        base,
        None,
    )


@pytest.fixture
def data(tmp_path):
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


def frame():
    return pd.DataFrame(
        {
            "customer_id": ["a", "b"],
            "timestamp": pd.to_datetime(["2024-01-31", "2024-01-30"]),
            "amount": [5.0, 6.25],
        }
    )


def write(path):
    name = path.name
    if name.endswith(".parquet"):
        frame().to_parquet(path)
    elif name.endswith(".gz"):
        path.write_bytes(gzip.compress(CSV))
    elif name.endswith(".zst"):
        with pa.output_stream(str(path), compression="zstd") as stream:
            stream.write(CSV)
    else:
        path.write_bytes(CSV)


@pytest.mark.parametrize(
    "name",
    [
        "orders.csv",
        "orders.csv.gz",
        "orders.csv.zst",
        "orders.parquet",
        "orders[1]*.csv",
        "orders[1].parquet",
        "o'); DROP TABLE x;--.csv",
        "ordres d'été.csv",
    ],
)
def test_every_kind_and_name_of_file_gives_the_same_ledger(data, name):
    write(data / name)
    ledger = read(data.parent, transactions={"from": name})
    direct = read(data.parent)  # it is the only file
    assert ledger.fingerprint == direct.fingerprint
    assert ledger.quality.tables["transactions"].source == f"data/{name}"
    assert ledger.quality.tables["transactions"].accepted == 2
    write(data / "plain.csv")
    assert read(data.parent, transactions={"from": "plain.csv"}).fingerprint == ledger.fingerprint


def test_a_damaged_packed_file_is_one_clear_error(data):
    (data / "orders.csv.gz").write_bytes(gzip.compress(CSV * 1000)[:60])
    with pytest.raises(SchemaError, match=r"orders\.csv\.gz"):
        read(data.parent)


def test_a_glob_takes_several_files_and_rows_keep_their_file(data):
    (data / "orders_1.csv").write_bytes(b"customer_id,timestamp,amount\n13085.0,2024-01-31,5\n")
    (data / "orders_2.csv").write_bytes(
        b"customer_id;amount;timestamp;note\n13085;6,5;2024-02-01;x\n;1,5;2024-02-01;y\n"
    )
    ledger = open_ledger(
        SourceSettings(),
        {"transactions": TableSettings.model_validate({"from": "orders_*.csv", "decimal": ","})},
        PolicySettings(),
        PurchaseSettings(),
        data.parent,
        data.parent / "quarantine",
    )
    assert set(ledger.transactions.customer_id.to_pyarrow().to_pylist()) == {"13085"}
    quarantine = pd.read_parquet(data.parent / "quarantine" / "transactions.parquet")
    assert quarantine[["source_file", "row_number", "reason"]].to_numpy().tolist() == [
        ["data/orders_2.csv", 2, "no_customer"]
    ]


@pytest.mark.parametrize(
    ("files", "table", "words"),
    [
        ([], {}, "no CSV or Parquet files"),
        (["a.csv", "b.csv"], {}, "found a.csv, b.csv"),
        (["orders.csv", "sales.csv"], {}, "Several files"),
        (["orders.csv"], {"from": "order.csv"}, "Did you mean orders.csv"),
        (["orders.csv"], {"from": "*.parquet"}, "no such file"),
        (["orders.csv"], {"from": "../../etc/pass*"}, "no such file"),
        (["orders.csv", "orders.parquet"], {"from": "orders.*"}, "mixes CSV and Parquet"),
    ],
)
def test_a_source_that_leaves_open_what_to_read_is_an_error(data, files, table, words):
    for name in files:
        write(data / name)
    with pytest.raises(InputError) as caught:
        read(data.parent, transactions=table)
    assert words in str(caught.value)


def test_a_source_that_is_not_there_is_an_error(tmp_path):
    for url in ("nowhere", "duckdb:///nowhere.duckdb", "mysql://host/shop"):
        with pytest.raises(InputError, match=r"not there|not supported"):
            read(tmp_path, url=url)


@pytest.fixture
def shop(tmp_path):
    path = tmp_path / "shop.duckdb"
    with duckdb.connect(str(path)) as con:
        con.execute(
            "CREATE TABLE orders AS SELECT * FROM (VALUES "
            "(13085.0::DOUBLE, TIMESTAMPTZ '2024-07-01 23:30:00+00', 2, 2.5::DECIMAL(9,2)), "
            "(NULL, TIMESTAMPTZ '2024-07-01 12:00:00+00', 1, 1.0)) "
            "t(customer_id, ordered_at, quantity, price)"
        )
        con.execute("CREATE TABLE other AS SELECT 1 AS x")
        con.execute("CREATE SCHEMA crm")
        con.execute(
            "CREATE TABLE crm.tickets AS SELECT '13085' AS customer_id, DATE '2024-07-02' d"
        )
    return path


def test_a_duckdb_file_is_read_and_left_as_it_is(shop):
    before = shop.read_bytes()
    ledger = open_ledger(
        SourceSettings(url="duckdb:///shop.duckdb", timezone="Europe/London"),
        {"tickets": TableSettings.model_validate({"from": "crm.tickets", "opened_at": "d"})},
        PolicySettings(),
        PurchaseSettings(),
        shop.parent,
        None,
    )
    found = ledger.con.con.execute(
        "SELECT customer_id, CAST(timestamp AS VARCHAR), amount::DOUBLE FROM transactions"
    ).fetchall()
    assert found == [("13085", "2024-07-02 00:30:00", 5.0)]
    assert ledger.quality.tables["transactions"].quarantined == {"no_customer": 1}
    assert ledger.tables["tickets"].count().to_pyarrow().as_py() == 1
    assert shop.read_bytes() == before
    with duckdb.connect(str(shop)) as con:  # no lock is left behind
        con.execute("DROP TABLE other")


@pytest.mark.parametrize("name", ["ordres", "orders; DROP TABLE other", 'orders" --'])
def test_an_unknown_database_table_is_an_error(shop, name):
    with pytest.raises(InputError, match="no such table"):
        read(shop.parent, url="duckdb:///shop.duckdb", transactions={"from": name})


def test_a_file_that_is_no_database_is_an_error(tmp_path):
    (tmp_path / "shop.duckdb").write_bytes(b"no database at all" * 1000)
    with pytest.raises(InputError, match="cannot be opened"):
        read(tmp_path, url="duckdb:///shop.duckdb")


def test_tables_under_their_standard_names_are_found_and_unusable_ones_skipped(data):
    write(data / "transactions.csv")
    (data / "events.csv").write_text("user_id,time,event\na,2024-01-31T10:00:00Z,view\n")
    (data / "surveys.csv").write_text("who,score\na,9\n")
    (data / "products.csv").write_text("x,y\n1,2\n")
    ledger = read(data.parent)
    assert set(ledger.tables) == {"transactions", "events"}
    assert set(ledger.quality.skipped) == {"surveys"}
    with pytest.raises(SchemaError, match="customer_id"):
        read(data.parent, surveys={})
    with pytest.raises(SchemaError, match="Did you mean events"):
        read(data.parent, evnts={})


def test_raw_columns_are_the_names_in_the_file(data):
    for name in ("o.csv", "o.csv.gz", "o.csv.zst", "o.parquet"):
        write(data / name)
        assert raw_columns(data / name) == ["customer_id", "timestamp", "amount"]
    for wrong in ("nowhere.csv", "."):
        with pytest.raises(InputError):
            raw_columns(data / wrong)
