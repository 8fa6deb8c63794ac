"""A database or an MLflow server that goes away in the middle: a message, and nothing is lost."""

from __future__ import annotations

import csv
import os
import random
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.torture.harness import (
    Process,
    command,
    inside,
    registry_is_whole,
    running,
    start,
)
from tests.torture.proxy import Proxy

pytestmark = pytest.mark.torture

SOCKET = ".s.PGSQL.5432"
TABLE = "crm.scores"


def by(proxy: Proxy, address: str, server: Path) -> str:
    """The address by way of the proxy."""
    return address.replace(quote(str(server), safe=""), quote(str(proxy.folder), safe=""))


def rows(address: str) -> list[tuple[str, int]]:
    """Day -> number of rows of the table of scores; none without a table."""
    import psycopg

    with psycopg.connect(address) as con:
        try:
            found = con.execute(
                f"SELECT CAST(as_of AS text), count(*) FROM {TABLE} GROUP BY 1 ORDER BY 1"
            )
        except psycopg.errors.UndefinedTable:
            return []
        return [(str(day), int(count)) for day, count in found.fetchall()]


def test_a_database_gone_while_scores_are_written(
    rounds, shop, postgres, postgres_server, monkeypatch
):
    monkeypatch.chdir(shop)
    old = (shop / "scores.csv").read_bytes()
    server = postgres_server.socket
    first = ["score", "--cutoff", "2023-07-01"]
    inside(*first, "--to", f"{postgres}&table={TABLE}").well()
    before = rows(postgres)
    with Proxy(server / SOCKET) as proxy:
        inside("score", "--to", f"{by(proxy, postgres, server)}&table=crm.others").well()
        passed = proxy.passed
    for seed in rounds(reduced=1, full=40):
        with rounds.told(seed):
            # Half of them close to the end, where it is committed.
            lot = random.Random(seed)
            most = lot.randrange(passed) if seed % 2 else passed - lot.randrange(600)
            with Proxy(server / SOCKET, most) as proxy:
                to = f"{by(proxy, postgres, server)}&table={TABLE}"
                done = inside("score", "-o", "scores.csv", "--to", to)
                assert proxy.cut or not done.code
            if done.code:
                assert "s3cret" not in done.refused()
            after = rows(postgres)
            assert after == before or len(after) == len(before) + 1
            if len(after) > len(before):  # cut when it had been committed: then all of it is there
                import psycopg

                with psycopg.connect(postgres) as con:
                    con.execute(f"DELETE FROM {TABLE} WHERE as_of > '2023-07-01'")
    (shop / "scores.csv").write_bytes(old)
    inside("score", "--to", f"{postgres}&table={TABLE}").well()
    assert [count for _, count in rows(postgres)] == [131, 150]


def test_a_database_gone_while_tables_are_read(
    rounds, shop, postgres, postgres_server, monkeypatch
):
    import psycopg

    monkeypatch.chdir(shop)
    lines = (shop / "data" / "orders.csv").read_text()
    header = next(csv.reader([lines.split("\n", 1)[0]]))
    with psycopg.connect(postgres) as con:
        columns = ", ".join(f'"{name}" text' for name in header)
        con.execute(f"CREATE TABLE orders ({columns})")
        with con.cursor().copy("COPY orders FROM STDIN (FORMAT csv, HEADER)") as copy:
            copy.write(lines)
    text = (shop / "regulars.toml").read_text()
    text = text.replace('"orders.csv"', '"orders"').replace('"data"', '"${SHOP}"')
    (shop / "regulars.toml").write_text(text)
    old = (shop / "scores.csv").read_bytes()
    server = postgres_server.socket
    with Proxy(server / SOCKET) as proxy:
        monkeypatch.setenv("SHOP", by(proxy, postgres, server))
        inside("check").well()
        passed = proxy.passed
    for seed in rounds(reduced=1, full=40):
        with rounds.told(seed):
            most = random.Random(seed).randrange(passed)
            with Proxy(server / SOCKET, most) as proxy:
                monkeypatch.setenv("SHOP", by(proxy, postgres, server))
                assert "s3cret" not in inside("score", "-o", "scores.csv").refused()
            assert (shop / "scores.csv").read_bytes() == old
    monkeypatch.setenv("SHOP", postgres)
    inside("score", "-o", "scores.csv").well()


@pytest.mark.slow
def test_a_database_stopped_at_once(rounds, shop, server_module, monkeypatch):
    """The server itself ends as in a power cut, and starts again."""
    import psycopg

    seeds = rounds(reduced=0, full=6)
    monkeypatch.chdir(shop)
    for name in [name for name in os.environ if name.startswith("PG")]:
        monkeypatch.delenv(name)
    with server_module.running_server() as server:
        with psycopg.connect(server.admin, autocommit=True) as con:
            con.execute("CREATE DATABASE shop OWNER shop")
        data = server.socket.parent / "data"
        options = f"-c unix_socket_directories='{server.socket}' -c listen_addresses=''"
        as_user = server_module._as_user(server.socket.parent)

        def control(*arguments: str) -> None:
            command = [server_module.binaries() / "pg_ctl", "-D", data, "-w", "-l", data / "log"]
            with (server.socket.parent / "control").open("w") as said:
                subprocess.run(
                    [*as_user, *map(str, command), *arguments],
                    cwd="/", check=True, stdout=said, stderr=said,
                )  # fmt: skip

        address = server.url()
        first = ["score", "--cutoff", "2023-07-01"]
        inside(*first, "--to", f"{address}&table={TABLE}").well()
        before = rows(address)
        with Proxy(server.socket / SOCKET) as proxy:
            other = f"{by(proxy, address, server.socket)}&table=crm.others"
            inside("score", "--to", other).well()
            passed = proxy.passed
        for seed in seeds:
            with rounds.told(seed):
                most = random.Random(seed).randrange(passed - 400)
                stop = partial(control, "-m", "immediate", "stop")
                with Proxy(server.socket / SOCKET, most, stop) as proxy:
                    to = f"{by(proxy, address, server.socket)}&table={TABLE}"
                    inside("score", "--to", to).refused()
                control("-o", options, "start")
                assert rows(address) == before
        inside("score", "--to", f"{address}&table={TABLE}").well()


@contextmanager
def tracking_server(shop: Path, port: int) -> Iterator[Process]:
    """An MLflow server on the shop's store."""
    said = shop.parent / f"server-{time.monotonic_ns()}"
    arguments = [
        *("-m", "mlflow", "server", "--port", str(port), "--workers", "1"),
        *("--backend-store-uri", f"sqlite:///{shop / 'mlflow.db'}"),
        *("--artifacts-destination", str(shop / "served")),
    ]
    with said.with_suffix(".out").open("wb") as out, said.with_suffix(".err").open("wb") as err:
        popen = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=shop,
            env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
            stdout=out,
            stderr=err,
            start_new_session=True,
        )
    process = Process(popen, said)

    def answers() -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2) as said:
                return bool(said.status == 200)
        except OSError:
            return False

    try:
        assert process.until(answers, 120), process.read(".err")
        yield process
    finally:
        process.kill()


@pytest.mark.slow
def test_an_mlflow_server_gone_while_training(rounds, shop, server_module):
    seeds = rounds(reduced=0, full=6)
    port = server_module._free_port()
    address = f"http://127.0.0.1:{port}"
    text = (shop / "regulars.toml").read_text()
    (shop / "regulars.toml").write_text(
        f'{text}\n[mlflow]\ntracking_uri = "{address}"\nexperiment = "served"\n'
    )
    train = ("train", "churn", "--quick")
    few = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10"}
    old = (shop / "scores.csv").read_bytes()
    with tracking_server(shop, port):
        usual = command(*train, folder=shop, **few).well()
    for seed in seeds:
        with rounds.told(seed):
            with tracking_server(shop, port) as server:
                process = start(train, shop, **few).ready()
                time.sleep(random.Random(seed).uniform(0.4, 1) * usual.work)
                server.kill()
                done = process.done()
            if done.code:
                assert address in done.refused() or "MLflow server" in done.refused()
            with tracking_server(shop, port):
                registry_is_whole(shop, address)
            assert (shop / "scores.csv").read_bytes() == old
    with tracking_server(shop, port):
        command(*train, folder=shop, **few).well()
        registry_is_whole(shop, address)
    assert running(shop) == []
