"""Latency, throughput and loss of a model server, and whether its numbers are batch scoring's.

    PYTHONPATH=. python benchmarks/bench_online.py SHOP [--clients 100] [--seconds 60]

SHOP is a folder with regulars.toml on which `regulars train` has run. Some of its customers are
scored in batch; what the models were asked and what they said is kept. Then each model is served,
by `mlflow models serve` and by `regulars serve`, and many clients ask for one customer a request,
over and over, each on a connection of its own. Every answer is compared with what batch said.
"""

import argparse
import asyncio
import json
import math
import os
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pandas as pd

from regulars.config import load_config
from regulars.jobs import open_configured_ledger
from serving.registry import RegisteredModel, load
from serving.scorer import score

Asked = tuple[bytes, dict[str, Any]]  # a request, and the answer that batch gave


def asked_in_batch(shop: Path, n: int) -> dict[str, list[Asked]]:
    """Registered name -> requests with their answers, for n customers of the shop."""
    config = load_config(shop)
    ledger = open_configured_ledger(config)
    ids = ledger.transactions.customer_id.to_pyarrow().unique().to_pylist()
    found: dict[str, list[Asked]] = {}
    predict = RegisteredModel.predict

    def recording(self: RegisteredModel, frame: pd.DataFrame, **params: Any) -> pd.DataFrame:
        said = predict(self, frame, **params)
        columns = [str(name) for name in self.pyfunc.metadata.signature.inputs.input_names()]
        pairs = found.setdefault(self.name, [])
        for row, answer in zip(
            plain(frame[columns].astype(object)), said.to_dict("records"), strict=True
        ):
            table = {"columns": columns, "data": [row]}
            body: dict[str, Any] = {"dataframe_split": table}
            if params:
                body["params"] = params
            pairs.append((json.dumps(body).encode(), answer))
        return said

    RegisteredModel.predict = recording  # type: ignore[method-assign]
    try:
        uri = config.mlflow.tracking_uri
        models = [load(name, tracking_uri=uri) for name in ("regulars-churn", "regulars-clv")]
        score(ledger, None, *models, sorted(map(str, ids))[:n], settings=config.features)
    finally:
        RegisteredModel.predict = predict  # type: ignore[method-assign]
    return found


def plain(frame: pd.DataFrame) -> list[list[Any]]:
    """Rows as JSON can say them."""
    return frame.where(frame.notna(), None).to_numpy().tolist()


def same(found: dict[str, Any], expected: dict[str, Any]) -> bool:
    """Whether an answer is what batch said; sums over other rows beside it differ by rounding."""
    if found.keys() != expected.keys():
        return False
    for name, value in found.items():
        other = expected[name]
        if isinstance(value, float) and not pd.isna(other):
            if not math.isclose(value, other, rel_tol=1e-10, abs_tol=1e-300):
                return False
        elif not (value == other or (pd.isna(value) and pd.isna(other))):
            return False
    return True


@contextmanager
def served(way: str, name: str, shop: Path, workers: int) -> Iterator[int]:
    """The port of a server that runs for as long as the block lasts."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    if way == "regulars":
        command = ["-m", "regulars", "serve", name, "-c", str(shop)]
    else:
        command = ["-m", "mlflow", "models", "serve", "--env-manager", "local"]
        command += ["-m", f"models:/{name}@champion"]
    uri = load_config(shop).mlflow.tracking_uri
    environment = os.environ | {"MLFLOW_TRACKING_URI": uri, "OMP_WAIT_POLICY": "passive"}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [sys.executable, *command, "--port", str(port), "--workers", str(workers)],
            env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        try:
            while True:
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/ping", timeout=5).close()
                    break
                except OSError:
                    if process.poll() is not None:
                        log.seek(0)
                        sys.exit(f"{shlex.join(command)} ended:\n{log.read().decode()}")
                    time.sleep(0.2)
            yield port
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(60)


async def load_test(port: int, asked: list[Asked], clients: int, seconds: float) -> None:
    """Ask for so long, and say what came of it."""
    times: list[float] = []
    lost: list[str] = []
    wrong = 0
    stop = time.monotonic() + seconds
    url = f"http://127.0.0.1:{port}/invocations"

    async def client(number: int) -> None:
        nonlocal wrong
        connector = aiohttp.TCPConnector(limit=1)
        patience = aiohttp.ClientTimeout(total=120)
        async with aiohttp.ClientSession(connector=connector, timeout=patience) as session:
            turn = number
            while time.monotonic() < stop:
                body, expected = asked[turn % len(asked)]
                turn += 1
                start = time.perf_counter()
                try:
                    kind = {"Content-Type": "application/json"}
                    async with session.post(url, data=body, headers=kind) as answer:
                        text = await answer.text()
                except (OSError, aiohttp.ClientError, TimeoutError) as error:
                    lost.append(repr(error))
                    continue
                times.append(time.perf_counter() - start)
                if answer.status != 200:
                    lost.append(text[:200])
                elif not same(json.loads(text)["predictions"][0], expected):
                    wrong += 1

    began = time.monotonic()
    await asyncio.gather(*(client(number) for number in range(clients)))
    took = time.monotonic() - began
    p50, p95, p99 = np.quantile(times, [0.5, 0.95, 0.99]) * 1000
    print(
        f"{len(times):7,} answers  {len(times) / took:6.1f} a second  p50 {p50:6.0f} ms  "
        f"p95 {p95:6.0f} ms  p99 {p99:6.0f} ms  lost {len(lost)}  unlike batch {wrong}",
        *lost[:1],
        flush=True,
    )


def main() -> None:
    """Measure both models behind both servers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("shop", type=Path)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 100])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--way", nargs="+", default=["mlflow", "regulars"])
    said = parser.parse_args()
    asked = asked_in_batch(said.shop.resolve(), 500)
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before")
    for name, requests in asked.items():
        if name not in ("regulars-churn", "regulars-clv"):
            continue
        for way in said.way:
            for workers in said.workers:
                with served(way, name, said.shop.resolve(), workers) as port:
                    for clients in said.clients:
                        print(f"{name:15} {way:8} workers {workers} clients {clients:4}", end="")
                        asyncio.run(load_test(port, requests, clients, said.seconds))


if __name__ == "__main__":
    main()
