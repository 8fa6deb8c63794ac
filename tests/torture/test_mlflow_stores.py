"""A whole project on PostgreSQL: the orders, the scored list and MLflow, behind a server or not."""

import pandas as pd
import psycopg
import pytest
from psycopg import sql

from features.simulate import simulate
from regulars.cli import run

pytestmark = pytest.mark.torture

CONFIG = """
[source]
url = "{source}"

[tables.transactions]
from = "orders"
customer_id = "Customer ID"
timestamp = "InvoiceDate"
amount = "Quantity * Price"

[churn]
horizon_days = 60
candidates = ["logistic"]

[clv]
candidates = ["mbg_nbd"]
"""


def in_environment(url, secret):
    """The address with the password as a variable."""
    user, _, place = url.partition("@")
    return f"{user.rpartition(':')[0]}:${{SHOP_PASSWORD}}@{place}", secret


@pytest.fixture
def shop(postgres, tmp_path, monkeypatch, server_module):
    """A project folder whose orders are in PostgreSQL; the password is in the environment."""
    simulate(tmp_path / "files", customers=150, days=500, seed=3)
    orders = pd.read_csv(tmp_path / "files" / "orders.csv", dtype=str)
    with psycopg.connect(postgres) as con:
        columns = sql.SQL(", ").join(sql.SQL("{} text").format(sql.Identifier(c)) for c in orders)
        con.execute(sql.SQL("CREATE TABLE orders ({})").format(columns))
        with con.cursor().copy("COPY orders FROM STDIN") as copy:
            for row in orders.astype(object).where(orders.notna(), None).itertuples(index=False):
                copy.write_row(row)
    source, secret = in_environment(postgres, server_module.PASSWORD)
    monkeypatch.setenv("SHOP_PASSWORD", secret)
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "regulars.toml").write_text(CONFIG.format(source=source))
    monkeypatch.chdir(folder)
    return folder


def work(capfd, target):
    """Train, score and look back; what was printed."""
    for command in (
        ["train", "churn", "--quick"],
        ["train", "clv", "--quick"],
        ["score", "--output", "scores.csv", "--to", target],
        ["promote", "--history"],
    ):
        assert run(command) == 0, "".join(capfd.readouterr())
    printed = "".join(capfd.readouterr())
    assert len(pd.read_csv("scores.csv")) > 50
    assert "View run" not in printed  # MLflow's own lines would be in the JSON, too
    return printed


@pytest.mark.parametrize("way", ["a server with proxied artifacts", "the database itself"])
def test_the_chain_works_and_leaves_no_password(
    rounds, shop, postgres, mlflow_store, stores, server_module, tmp_path, monkeypatch, capfd, way
):
    if not len(rounds(reduced=0, full=1)):
        return
    log, artifacts = tmp_path / "server.log", tmp_path / "artifacts"
    target = f"{postgres}&table=crm.scores"
    said = []
    if way == "the database itself":
        with (shop / "regulars.toml").open("a") as config:
            address, _ = in_environment(mlflow_store, server_module.PASSWORD)
            config.write(f'\n[mlflow]\ntracking_uri = "{address}"\n')
        said.append(work(capfd, target))
    else:
        process, address = stores.start_server(mlflow_store, str(artifacts), log)
        try:
            monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
            said.append(work(capfd, target))
            assert list(artifacts.rglob("card.json"))
        finally:
            stores.stop(process)
        assert run(["score", "-o", "again.csv"]) == 2
        said += [*capfd.readouterr(), log.read_text()]
    kept = [stores.everything_in(url) for url in (mlflow_store, postgres)]
    stores.check_secrets(server_module.PASSWORD, [*said, *kept], [tmp_path])
