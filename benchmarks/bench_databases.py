"""Time and memory of PostgreSQL and DuckDB as a source and as a place for the scored list.

    PYTHONPATH=. python benchmarks/bench_databases.py [ROWS]

It starts a PostgreSQL server of its own and stops it again.
"""

import resource
import sys
import tempfile
import time
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from postgres import running_server

from features.ledger import open_ledger
from features.settings import PolicySettings, PurchaseSettings, SourceSettings
from serving.database import parse_target, write_scores
from serving.scorer import SCORED_DTYPES


def scores(n: int) -> pd.DataFrame:
    """A scored list of usual width."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"customer_id": [f"C{i:09d}" for i in range(n)]})
    for name, kind in SCORED_DTYPES.items():
        if kind == "float64":
            frame[name] = rng.lognormal(0, 3, n)
        elif name != "customer_id":
            usual = "a reason of the usual length" if kind == "str" else pd.Timestamp("2024-03-01")
            frame[name] = usual
    return frame.astype(dict(SCORED_DTYPES))


def peak() -> float:
    """The most memory that this process has held, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def write(address: str, n: int) -> None:
    """Write the list twice: new rows, then the same keys again."""
    frame, target = scores(n), parse_target(address)
    for what in ("new", "again"):
        before, start = peak(), time.perf_counter()
        write_scores(frame, target)
        seconds, more = time.perf_counter() - start, peak() - before
        print(f"write {target.url[:8]} {what:5}  {n:,} rows  {seconds:5.1f} s  +{more:,.0f} MB")


def read(address: str, n: int) -> None:
    """Read a ledger of that many rows."""
    before, start = peak(), time.perf_counter()
    open_ledger(SourceSettings(url=address), {}, PolicySettings(), PurchaseSettings(), Path(), None)
    seconds, more = time.perf_counter() - start, peak() - before
    print(f"read  postgres        {n:,} rows  {seconds:5.1f} s  +{more:,.0f} MB")


def apart(job: Callable[[str, int], None], address: str, n: int) -> None:
    """Run a job in a process of its own, so that its memory is its own."""
    process = get_context("spawn").Process(target=job, args=(address, n))
    process.start()
    process.join()


def main(n: int) -> None:
    """Measure everything at a number of rows."""
    import psycopg

    with running_server() as server, tempfile.TemporaryDirectory() as folder:
        with psycopg.connect(server.admin, autocommit=True) as con:
            con.execute("CREATE DATABASE shop OWNER shop")
        apart(write, f"{server.url()}&table=crm.scores", n)
        apart(write, f"duckdb:///{folder}/scores.duckdb?table=crm.scores", n)
        with psycopg.connect(server.url()) as con:
            con.execute(
                "CREATE TABLE transactions AS SELECT 'C' || (i % 200000) AS customer_id, "
                "timestamptz '2020-01-01' + (i % 1500) * interval '1 day' AS timestamp, "
                "((i % 10000) / 100.0)::numeric(12, 2) AS amount, 'P' || (i % 500) AS product_id "
                f"FROM generate_series(1, {n}) i"
            )
        apart(read, server.url(), n)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
