"""An MLflow server of the tests' own, and a search for a password in all that it keeps."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import sql


def start_server(store, artifacts, log, **environment):
    """An MLflow server on a free port; its process and address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        *("-m", "mlflow", "server", "--port", str(port), "--workers", "1"),
        *("--backend-store-uri", store.replace("postgresql:", "postgresql+psycopg:")),
        *("--artifacts-destination", artifacts),
        *("--allowed-hosts", f"mlflow:5000,127.0.0.1:{port}"),
    ]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, *command],
            stdout=out,
            stderr=subprocess.STDOUT,
            env={
                **os.environ,
                "PATH": path,
                "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
                **environment,
            },
            start_new_session=True,
        )
    for _ in range(600):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).close()
            return process, f"http://127.0.0.1:{port}"
        except OSError:
            assert process.poll() is None, log.read_text()
            time.sleep(0.2)
    raise AssertionError(log.read_text())


def stop(process):
    os.killpg(process.pid, signal.SIGTERM)
    process.wait(30)


def everything_in(url):
    """All values of all tables of a database, as one text."""
    found = []
    with psycopg.connect(url) as con:
        names = con.execute(
            "SELECT schemaname, tablename FROM pg_tables WHERE schemaname NOT IN "
            "('pg_catalog', 'information_schema')"
        ).fetchall()
        for name in names:
            rows = con.execute(sql.SQL("SELECT t::text FROM {} t").format(sql.Identifier(*name)))
            found += [row[0] for row in rows]
    return "\n".join(found)


def check_secrets(password, texts, folders):
    """The password is nowhere, neither plain nor percent-encoded."""
    secrets = (password, quote(password, safe=""))
    for text in texts:
        assert not any(secret in text for secret in secrets)
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    assert files
    for path in files:
        content = path.read_bytes()
        assert not any(secret.encode() in content for secret in secrets), path
