"""No customer is in MLflow: not an id, not a name, not a word that somebody wrote."""

from __future__ import annotations

import re
import zlib
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from features.simulate import simulate
from regulars.cli import run

pytestmark = pytest.mark.torture

CANARY = re.compile(rb"qzx[a-z]+\w{0,12}")
CONFIG = """
[source]
url = "data"
[tables.transactions]
from = "orders.csv"
customer_id = "Customer ID"
timestamp = "InvoiceDate"
amount = "Quantity * Price"
[features]
attributes = ["country", "full_name", "acquisition.campaign"]
[churn]
horizon_days = 60
candidates = ["lightgbm"]
[clv]
horizon_days = 90
candidates = ["mbg_nbd", "two_part"]
[segments]
item = "product_id"
"""


def found(folder: Path) -> set[bytes]:
    """Canaries in any file of a folder, compressed streams (as in PNG) unpacked."""
    seen: set[bytes] = set()
    for path in folder.rglob("*"):
        if not path.is_file():
            continue
        content = path.read_bytes()
        seen |= set(CANARY.findall(content))
        for start in re.finditer(rb"\x78[\x01\x9c\xda]", content):
            try:
                part = zlib.decompressobj().decompress(content[start.start() :])
            except zlib.error:
                continue
            seen |= set(CANARY.findall(part))
    return seen


def mark(data: Path) -> None:
    """Put a canary into every id, and into what one customer alone has or wrote."""
    for name in ("truth.parquet", "truth_contacts.parquet"):
        (data / name).unlink()
    events = pd.read_parquet(data / "events.parquet")
    events["customer_id"] = "qzxid" + events["customer_id"]
    events.to_parquet(data / "events.parquet")
    for path in data.glob("*.csv"):
        frame = pd.read_csv(path, dtype=str)
        key = "Customer ID" if "Customer ID" in frame else "customer_id"
        frame[key] = "qzxid" + frame[key]
        who = frame[key].str[-4:]
        for text in {"comment", "text"} & set(frame.columns):
            frame[text] = frame[text] + " Regards, qzxname" + who
        if path.name == "customers.csv":
            frame["full_name"] = "qzxperson" + who
        if path.name == "acquisition.csv":
            frame["campaign"] = frame["campaign"].where(frame.index % 9 > 0, "qzxreferrer" + who)
        if path.name == "orders.csv":
            few = frame.index % 40 == 0
            frame["Invoice"] = "qzxorder" + frame["Invoice"]
            for column, word in (
                ("StockCode", "product"),
                ("Category", "kind"),
                ("Channel", "rep"),
            ):
                frame.loc[few, column] = f"qzx{word}" + who[few]
        frame.to_csv(path, index=False)


def test_no_training_and_no_page_in_mlflow_holds_a_customer(
    rounds: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds(reduced=0, full=1)
    simulate(tmp_path / "data", customers=600, days=700, seed=4)
    mark(tmp_path / "data")
    (tmp_path / "regulars.toml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    assert run(["train", "--quick"]) == 0
    table = pd.DataFrame({"customer_id": [f"qzxid{i}" for i in range(800)]})
    table["name"] = [f"qzxperson{i // 2}" for i in range(800)]
    table["plan"] = ["a" if i * 7 % 3 else "b" for i in range(800)]
    table["visits"] = [i * 13 % 17 for i in range(800)]
    table["churned"] = ["yes" if i * 13 % 17 + i % 5 > 9 else "no" for i in range(800)]
    table.to_csv("customers.csv", index=False)
    assert run(["train", "--table", "customers.csv", "--label", "churned"]) == 0
    assert found(tmp_path / "data")
    (tmp_path / "store").mkdir()
    (tmp_path / "mlflow.db").rename(tmp_path / "store" / "mlflow.db")
    (tmp_path / "mlartifacts").rename(tmp_path / "store" / "mlartifacts")
    assert found(tmp_path / "store") == set()


def test_a_name_is_no_level_however_many_cutoffs_it_is_seen_at() -> None:
    from models.categories import learn_levels

    ids = [f"c{i}" for i in range(40)]
    column = pd.Series(["Anna Schmidt", *["York"] * 39], index=ids)
    assert learn_levels([column] * 50) == ("York",)
    assert learn_levels([pd.concat([column] * 50)]) == ("York",)


def test_no_id_of_the_shop_is_in_its_store(shop: Path) -> None:
    ids = set(pd.read_csv(shop / "data" / "orders.csv", dtype=str)["Customer ID"].dropna())
    pattern = re.compile(b"|".join(re.escape(i.encode()) for i in sorted(ids)))
    for path in [shop / "mlflow.db", *(shop / "mlartifacts").rglob("*")]:
        if path.is_file():
            assert not pattern.search(path.read_bytes()), path
