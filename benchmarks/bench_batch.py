"""How long it takes to score a large shop, and with how much memory, up to 10 million customers.

    python benchmarks/bench_batch.py [--customers N ...] [--list N] [--memory 2GB] [--folder DIR]

A shop of transactions is simulated, ten a customer on average, rows in random order; the models
are trained once, on 3,000 customers. Then `regulars score` runs in a process of its own for each
size: everyone, with reasons, intervals and a plan, into a Parquet file. With `--list N` so many of
the largest shop's customers are asked for, in random order.

For each run: seconds elapsed and of processor (with other work on the machine the latter, divided
by the number of cores, is what to compare), the largest resident memory of the process, and the
size of the output. `--memory` is the limit of the engine (`[source] memory`); what it cannot hold
goes to temporary files.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

# Run as a script from anywhere, against the tree that it lies in.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

ROOT = Path(__file__).resolve().parents[1]
SIZES = (10_000, 100_000, 1_000_000)
ROWS = 10  # transactions a customer
CHUNK = 2_000_000
DAYS = 1095
TRAINED_ON = 3_000

Ids = npt.NDArray[np.uint64]


def lot(ids: Ids, salt: int) -> npt.NDArray[np.float64]:
    """A number from 0 to 1 for each customer, always the same (SplitMix64)."""
    x = ids * np.uint64(16) + np.uint64(salt) + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((x ^ (x >> np.uint64(31))) >> np.uint64(11)).astype(float) / 2.0**53


def name_of(ids: Ids) -> pa.Array:
    """Ids as text of nine characters."""
    return pa.array(np.char.add("C", np.char.zfill(ids.astype("U8"), 8)))


def simulate(path: Path, customers: int, seed: int = 0) -> None:
    """Transactions of customers with a start, a lifetime and a level of spend of their own."""
    kinds = [
        ("customer_id", pa.string()),
        ("timestamp", pa.timestamp("us")),
        ("amount", pa.float64()),
    ]
    rows = customers * ROWS
    with pq.ParquetWriter(path, pa.schema(kinds), compression="zstd") as writer:
        for start in range(0, rows, CHUNK):
            rng, size = np.random.default_rng([seed, start]), min(CHUNK, rows - start)
            # Everybody buys once at least; some of them far more often than others.
            once = np.arange(start // ROWS, (start + size) // ROWS, dtype=np.uint64)
            often = (customers * rng.random(size - len(once)) ** 1.7).astype(np.uint64)
            who = rng.permutation(np.concatenate([once, often]))
            begin = lot(who, 1) * (DAYS - 1)
            life = np.minimum(-400.0 * np.log1p(-lot(who, 2)), DAYS - 1 - begin)
            day = np.floor(begin + life * rng.random(size))
            seconds = day * 86_400 + rng.integers(8 * 3600, 20 * 3600, size)
            amount = np.round(np.exp(2.5 + lot(who, 3) + 0.5 * rng.standard_normal(size)), 2)
            amount[rng.random(size) < 0.03] *= -1.0
            at = np.datetime64("2021-01-01", "us") + (seconds * 1e6).astype("timedelta64[us]")
            writer.write_table(pa.table([name_of(who), at, amount], schema=pa.schema(kinds)))


def shop(folder: Path, customers: int, store: Path, memory: str) -> Path:
    """A folder with a shop and its configuration; the shop is kept from run to run."""
    place = folder / f"shop-{customers}"
    data = place / "data" / "transactions.parquet"
    if not data.exists():
        data.parent.mkdir(parents=True, exist_ok=True)
        simulate(data, customers)
    (place / "regulars.toml").write_text(
        f'[source]\nurl = "data"\nmemory = "{memory}"\n'
        f'[mlflow]\ntracking_uri = "sqlite:///{store}"\n[monitor]\nscore_ledger = ""\n'
    )
    return place


def run(place: Path, *arguments: str) -> tuple[float, float, float]:
    """Run `regulars`: seconds elapsed, seconds of processor, and MB at most."""
    command = [sys.executable, "-m", "regulars", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    begin = time.perf_counter()
    with (place / "log.txt").open("w") as log:
        process = subprocess.Popen(
            command, cwd=place, env=environment, stdout=log, stderr=subprocess.STDOUT
        )
        _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)} failed: see {place / 'log.txt'}")
    elapsed = time.perf_counter() - begin
    return elapsed, used.ru_utime + used.ru_stime, used.ru_maxrss / 1e3


def main() -> None:
    """Run all and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--customers", type=int, nargs="*", default=list(SIZES))
    parser.add_argument("--list", type=int, default=0, help="ask for so many, in random order")
    parser.add_argument("--memory", default="2GB")
    parser.add_argument("--folder", type=Path, help="where shops and models are kept")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = (options.folder or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        store = folder / "mlflow.db"
        first = shop(folder, TRAINED_ON, store, options.memory)
        if not store.exists():
            run(first, "train", "--quick")
        print(f"{os.cpu_count()} cores, engine limited to {options.memory}\n")
        print(
            f"{'customers':>12}{'asked':>12}{'elapsed':>11}{'processor':>12}{'a core':>9}"
            f"{'memory':>11}{'output':>10}{'load':>7}"
        )
        for size in sorted(options.customers):
            place = shop(folder, size, store, options.memory)
            asked: list[tuple[int, list[str]]] = [(size, [])]
            if options.list and size == max(options.customers):
                ids = np.random.default_rng(1).permutation(size)[: options.list]
                table = pa.table({"customer_id": name_of(ids.astype(np.uint64))})
                pq.write_table(table, place / "list.parquet")
                asked.append((len(ids), ["list.parquet"]))
            for count, listed in asked:
                output = place / "scores.parquet"
                elapsed, cpu, most = run(place, "score", *listed, "-o", str(output), "--json")
                print(
                    f"{size:>12,}{count:>12,}{elapsed:>9.0f} s{cpu:>10.0f} s"
                    f"{cpu / (os.cpu_count() or 1):>7.0f} s{most:>8,.0f} MB"
                    f"{output.stat().st_size / 1e6:>7,.0f} MB{os.getloadavg()[0]:>7.1f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
