import datetime as dt
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from features.errors import SchemaError
from features.ledger import Ledger, open_ledger
from features.settings import PolicySettings, PurchaseSettings, SourceSettings, TableSettings


def frame(**columns):
    base = {
        "customer_id": ["a", "b", "a"],
        "timestamp": pd.to_datetime(["2024-01-01 10:00", "2024-01-02 00:00", "2024-02-29 23:59"]),
        "amount": [5.0, 0.1, -2.5],
    }
    return pd.DataFrame({**base, **columns})


def test_the_trusted_table_has_the_standard_types():
    ledger = Ledger.from_frames(frame(quantity=[1, 2, -1], order_id=[1.0, 2.0, np.nan]))
    types = {name: str(kind) for name, kind in ledger.transactions.schema().items()}
    assert types == {
        "customer_id": "string",
        "timestamp": "timestamp(6)",
        "amount": "decimal(18, 4)",
        "order_id": "string",
        "quantity": "float64",
    }
    assert ledger.transactions.order_id.to_pyarrow().to_pylist() == ["1", "2", None]
    assert (ledger.first_day, ledger.last_day) == (dt.date(2024, 1, 1), dt.date(2024, 2, 29))


def test_the_fingerprint_is_of_the_content_and_not_of_the_order():
    given = frame()
    first = Ledger.from_frames(given).fingerprint
    assert Ledger.from_frames(given.iloc[::-1]).fingerprint == first
    assert Ledger.from_frames(given[["amount", "timestamp", "customer_id"]]).fingerprint == first
    assert Ledger.from_frames(pd.concat([given, given])).fingerprint != first
    assert Ledger.from_frames(given.assign(amount=[5.0, 0.1001, -2.5])).fingerprint != first
    assert Ledger.from_frames(given.assign(quantity=[1, 1, 1])).fingerprint != first
    tickets = pd.DataFrame({"customer_id": ["a"], "opened_at": ["2024-01-01"]})
    assert Ledger.from_frames(given, tickets=tickets).fingerprint != first


def test_a_frame_is_not_written_to():
    given = frame(amount=["5", "0,1", "-2,5"])
    before = given.copy(deep=True)
    Ledger.from_frames(given)
    pd.testing.assert_frame_equal(given, before)


@pytest.mark.parametrize(
    ("column", "values", "expected"),
    [
        ("customer_id", [13085.0, 13086.0, np.nan], ["13085", "13086"]),
        ("customer_id", [13085, 13086, 7], ["13085", "13086", "7"]),
        ("customer_id", ["13085.0", "x", None], ["13085", "x"]),
        ("customer_id", [1.5, 2.0, 3.0], ["1.5", "2", "3"]),
        ("customer_id", pd.Categorical(["x", "y", None]), ["x", "y"]),
        ("amount", pd.array([1, 2, None], dtype="Int64"), [1.0, 2.0]),
        ("amount", [Decimal("1.25"), Decimal(2), None], [1.25, 2.0]),
        ("amount", [1.0, np.inf, np.nan], [1.0]),
        ("amount", [1, 2, 3], [1.0, 2.0, 3.0]),
        ("timestamp", ["2024-01-31", "2024-02-01", "never"], ["2024-01-31", "2024-02-01"]),
        ("timestamp", [20240131, 20240201, 1], ["2024-01-31", "2024-02-01"]),
        (
            "timestamp",
            pd.to_datetime(["2024-01-31T23:00Z", "2024-02-01T01:00Z", None], utc=True),
            ["2024-01-31", "2024-02-01"],
        ),
        ("timestamp", [dt.date(2024, 1, 31), dt.date(2024, 2, 1), None],
         ["2024-01-31", "2024-02-01"]),
    ],
)  # fmt: skip
def test_frames_of_any_type_are_read(column, values, expected):
    ledger = Ledger.from_frames(frame(**{column: values}))
    found = ledger.transactions[column].to_pyarrow().to_pylist()
    if column == "timestamp":
        found = [value.date().isoformat() for value in found]
    if column == "amount":
        found = [float(value) for value in found]
    assert sorted(found) == expected
    quality = ledger.quality.tables["transactions"]
    assert quality.accepted + sum(quality.quarantined.values()) == quality.read == 3


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (frame().drop(columns="amount"), "amount"),
        (frame().iloc[:0], "no rows"),
        (frame(amount=[np.nan] * 3), "no row can be used"),
        (frame(Amount=[1, 2, 3]), "repeat"),
        (frame(timestamp=[True, False, True]), "cannot be read as timestamp"),
        (frame(amount=[1, "x", [2]]), "one type"),
    ],
)
def test_a_frame_that_cannot_be_used_is_an_error(given, words):
    with pytest.raises(SchemaError) as caught:
        Ledger.from_frames(given)
    assert words in str(caught.value)


def test_an_unknown_table_is_an_error():
    with pytest.raises(SchemaError, match="Did you mean events"):
        Ledger.from_frames(frame(), evnts=frame())


TABLES = {
    "events": ("user_id,time,event,value\na,2024-01-31 10:00,view,1.5\n,2024-01-31,view,\n", 1),
    "surveys": (
        "customer_id,date,kind,score\na,2024-01-31,NPS,9\na,2024-01-31,stars,5\nb,2024-01-31,csat,4",
        2,
    ),
    "tickets": ("customer_id,opened_at,closed_at,subject\na,2024-01-31,2024-02-01,late\n", 1),
    "contacts": ("customer_id,sent_at,campaign,arm,opened\na,2024-01-31,may,Control,yes\n", 1),
    "loyalty": ("customer_id,date,points\na,2024-01-31,10\na,2024-01-31,10\n", 2),
    "acquisition": ("customer_id,channel,cost\na,search,1.5\na,mail,2.5\n", 1),
    "customers": ("customer_id,gender,postcode\na,f,01234\nb,,99999\n", 2),
    "subscriptions": ("customer_id,start_date,end_date,fee\na,2024-01-31,,9.99\n", 1),
}  # fmt: skip


def test_every_table_of_the_contract_is_read(tmp_path):
    (tmp_path / "data").mkdir()
    content = {"transactions": ("customer_id,date,amount\na,2024-01-31,5\n", 1), **TABLES}
    for name, (text, _) in content.items():
        (tmp_path / "data" / f"{name}.csv").write_text(text)
    ledger = open_ledger(
        SourceSettings(), {}, PolicySettings(), PurchaseSettings(unit="order"), tmp_path, None
    )
    assert {n: t.accepted for n, t in ledger.quality.tables.items()} == {
        name: accepted for name, (_, accepted) in content.items()
    }
    assert ledger.quality.skipped == {}
    assert ledger.purchase_unit == "order"
    first = {
        name: table.limit(1).to_pyarrow().to_pylist()[0] for name, table in ledger.tables.items()
    }
    assert first["surveys"]["kind"] == "nps"
    assert first["contacts"]["arm"] == "control"
    assert first["contacts"]["opened"] is True
    assert first["customers"]["postcode"] == "01234"
    assert first["acquisition"]["channel"] == "search"
    assert ledger.quality.tables["surveys"].quarantined == {"bad_kind": 1}
    assert ledger.quality.tables["acquisition"].quarantined == {"repeated_customer": 1}


@pytest.mark.parametrize(
    "expression",
    [
        "read_text('{0}')",
        "(SELECT content FROM read_text('{0}'))",
        "amount + (SELECT 1 FROM read_csv('{0}'))",
        "'x'; COPY transactions TO '{0}'",
        "\"amount\" FROM read_text('{0}') --",
    ],
)
@pytest.mark.parametrize("key", ["amount", "customer_id", "where"])
def test_a_configuration_cannot_reach_beyond_the_row(tmp_path, expression, key):
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "orders.csv").write_text("customer_id,date,amount\na,2024-01-31,5\n")
    table = TableSettings.model_validate({key: expression.format(secret)})
    with pytest.raises(SchemaError):
        open_ledger(
            SourceSettings(),
            {"transactions": table},
            PolicySettings(),
            PurchaseSettings(),
            tmp_path,
            None,
        )
    assert secret.read_text() == "secret"


def test_column_names_are_data(tmp_path):
    (tmp_path / "data").mkdir()
    odd = 'x"" FROM t; DROP TABLE y; --'
    (tmp_path / "data" / "orders.csv").write_text(f'customer_id,date,"{odd}"\na,2024-01-31,5\n')
    raw = odd.replace('""', '"')
    ledger = open_ledger(
        SourceSettings(),
        {"transactions": TableSettings(columns={"amount": raw})},
        PolicySettings(),
        PurchaseSettings(),
        tmp_path,
        tmp_path / "q",
    )
    assert ledger.quality.tables["transactions"].mapped == {"amount": raw}


def test_the_quarantine_is_replaced_whole_and_leaves_nothing_behind(tmp_path):
    (tmp_path / "data").mkdir()
    orders = tmp_path / "data" / "orders.csv"

    def read():
        return open_ledger(
            SourceSettings(), {}, PolicySettings(), PurchaseSettings(), tmp_path, tmp_path / "q"
        )

    orders.write_text("customer_id,date,amount\na,2024-01-31,5\n,2024-01-31,5\n")
    read()
    assert len(pd.read_parquet(tmp_path / "q" / "transactions.parquet")) == 1
    orders.write_text("customer_id,date,amount\na,2024-01-31,5\n")
    read()
    assert len(pd.read_parquet(tmp_path / "q" / "transactions.parquet")) == 0
    assert [path.name for path in (tmp_path / "q").iterdir()] == ["transactions.parquet"]


def open_data(folder, name, **table):
    return open_ledger(
        SourceSettings(url=str(folder)),
        {"transactions": TableSettings.model_validate({"from": name, **table})},
        PolicySettings(),
        PurchaseSettings(),
        folder,
        None,
    )


@pytest.mark.data
def test_online_retail_year(development_data):
    ledger = open_data(development_data, "online_retail_ii_2010.parquet")
    found = ledger.quality.tables["transactions"]
    assert (found.read, found.accepted) == (502_938, 396_280)
    assert found.quarantined == {"duplicate": 6_451, "no_customer": 100_207}
    assert (ledger.first_day, ledger.last_day) == (dt.date(2009, 12, 1), dt.date(2010, 11, 30))


@pytest.mark.data
def test_online_retail_as_users_have_it(development_data):
    ledger = open_data(development_data, "raw_online_retail_ii_head.csv")
    found = ledger.quality.tables["transactions"]
    assert (found.read, found.accepted) == (1_999, 1_784)
    assert found.recognised["amount"] == "Quantity * Price"
    one = ledger.transactions.limit(1).to_pyarrow().to_pylist()[0]
    assert (one["customer_id"], str(one["amount"])) == ("13085", "83.4000")


@pytest.mark.data
def test_cdnow_as_its_authors_publish_it(development_data):
    ledger = open_data(
        development_data,
        "raw_cdnow_sample_head.csv",
        separator="whitespace",
        header=False,
        column_names=["customer_id", "sample_id", "date", "quantity", "amount"],
    )
    assert ledger.quality.tables["transactions"].accepted == 2_000
    assert ledger.transactions.customer_id.to_pyarrow().to_pylist()[0] == "00004"


@pytest.mark.data
def test_telco_is_no_ledger(development_data):
    with pytest.raises(SchemaError, match="known to be timestamp"):
        open_data(development_data, "raw_telco_head.csv")


@pytest.mark.data
def test_retailrocket_events_are_in_the_shops_time(development_data):
    ledger = open_ledger(
        SourceSettings(url=str(development_data), timezone="America/New_York"),
        {
            "transactions": TableSettings.model_validate({"from": "cdnow_sample.parquet"}),
            "events": TableSettings.model_validate({"from": "retailrocket_sample.parquet"}),
        },
        PolicySettings(),
        PurchaseSettings(),
        development_data,
        None,
    )
    first = ledger.tables["events"].filter(lambda t: t.customer_id == "683727").timestamp.min()
    assert first.to_pyarrow().as_py() == dt.datetime(2015, 5, 2, 23, 2, 0, 563000)
