"""How long the snapshots that a training reads take, and how much memory, as a shop grows.

    python benchmarks/bench_panel.py [--transactions N] [--largest-only]

Twenty-four monthly snapshots, with all features of transactions, events, surveys, tickets,
contacts and loyalty, and labels, of three simulated shops, each ten times the one before. The
largest has N transactions (a million by default) and five times as many events. Each shop is
read and snapshotted in a process of its own, so that its peak memory is its own; the panel
stays in memory as one frame a cutoff. `reading` is the time to read and validate the files.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

# Run as a script from anywhere, against the tree that it lies in.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import pandas as pd

from features.ledger import open_ledger
from features.settings import PolicySettings, PurchaseSettings, SourceSettings
from features.snapshot import build_panel
from features.window import ObservationWindow, monthly_cutoffs

FIRST_DAY = dt.date(2021, 1, 1)
DAYS = 3 * 365
SNAPSHOTS = 24
EVENTS_A_TRANSACTION = 5
PRODUCTS = 3000


def write_shop(folder: Path, transactions: int, seed: int = 0) -> None:
    """Write the tables of a shop with unlike customers, as Parquet."""
    rng = np.random.default_rng(seed)
    customers = max(transactions // 17, 1)
    rates = rng.gamma(0.7, 1.0, customers)
    names = np.array([f"C{number:07d}" for number in range(customers)])

    def rows(n: int) -> dict[str, np.ndarray]:
        who = rng.choice(customers, n, p=rates / rates.sum())
        seconds = 86_400 * rng.integers(0, DAYS, n) + rng.integers(8 * 3600, 20 * 3600, n)
        return {"customer_id": names[who], "timestamp": moments(seconds)}

    def write(name: str, columns: dict[str, np.ndarray]) -> None:
        pd.DataFrame(columns).to_parquet(folder / f"{name}.parquet", index=False)

    n = transactions
    amounts = np.round(rng.gamma(2.0, 20.0, n), 2) + 0.01
    amounts[rng.random(n) < 0.04] *= -1
    products = np.array([f"P{number:04d}" for number in range(PRODUCTS)])
    categories = np.array([f"category {number}" for number in range(20)])
    product = rng.integers(0, PRODUCTS, n)
    write(
        "transactions",
        {
            **rows(n),
            "amount": amounts,
            "product_id": products[product],
            "category": categories[product % 20],
            "quantity": rng.integers(1, 4, n),
            "discount": np.where(rng.random(n) < 0.2, np.round(5 * rng.random(n), 2), 0),
            "channel": rng.choice(["web", "app", "store"], n),
        },
    )
    # Four events a session on average: views, and now and then a cart and a purchase.
    length = 1 + rng.poisson(3, EVENTS_A_TRANSACTION * n // 4)
    sessions = rows(len(length))
    place = np.arange(length.sum()) - np.repeat(np.cumsum(length) - length, length)
    seconds = 60 * place + rng.integers(0, 60, len(place))
    write(
        "events",
        {
            "customer_id": sessions["customer_id"].repeat(length),
            "timestamp": sessions["timestamp"].repeat(length) + seconds.astype("timedelta64[s]"),
            "event": np.where(
                place < 3, "view", rng.choice(["view", "cart", "purchase"], len(place))
            ),
            "product_id": products[rng.integers(0, PRODUCTS, len(place))],
        },
    )
    n = transactions // 20
    kind = rng.choice(["nps", "csat"], n)
    top = np.where(kind == "nps", 10, 5)
    score = np.ceil(rng.random(n) * top)
    write("surveys", {**rows(n), "kind": kind, "score": score, "scale_max": top})
    opened = rows(n)
    hours = rng.exponential(48, n).astype(np.int64).astype("timedelta64[h]")
    write(
        "tickets",
        {
            "customer_id": opened["customer_id"],
            "opened_at": opened["timestamp"],
            "resolved_at": opened["timestamp"] + hours,
            "sentiment": np.round(rng.uniform(-1, 1, n), 2),
        },
    )
    n = transactions
    seen = rng.random(n) < 0.4
    write(
        "contacts",
        {
            **rows(n),
            "campaign": rng.choice(["spring", "summer", "autumn", "winter"], n),
            "arm": rng.choice(["treatment", "control"], n, p=[0.9, 0.1]),
            "opened": seen,
            "clicked": seen & (rng.random(n) < 0.2),
            "redeemed": seen & (rng.random(n) < 0.05),
        },
    )
    n = transactions // 2
    write(
        "loyalty",
        {
            **rows(n),
            "points": rng.integers(-200, 300, n),
            "tier": rng.choice(["bronze", "silver", "gold"], n),
        },
    )


def moments(seconds: np.ndarray) -> np.ndarray:
    """Seconds since the first day as moments."""
    return np.datetime64(FIRST_DAY, "s") + seconds.astype("timedelta64[s]")


def measure(folder: Path) -> dict[str, float]:
    """Read the shop and take its panel; seconds, sizes and the peak memory of this process."""
    begin = time.perf_counter()
    source = SourceSettings(url=".")
    ledger = open_ledger(source, {}, PolicySettings(), PurchaseSettings(), folder, None)
    reading = time.perf_counter() - begin
    cutoffs = monthly_cutoffs(FIRST_DAY, ledger.last_day, 90)[-SNAPSHOTS:]
    windows = [ObservationWindow(FIRST_DAY, cutoff) for cutoff in cutoffs]
    begin, begin_cpu = time.perf_counter(), time.process_time()
    panel = build_panel(ledger, windows)
    seconds, cpu = time.perf_counter() - begin, time.process_time() - begin_cpu
    kibibytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "snapshots": len(panel),
        "features": panel[-1].features.shape[1],
        "customers": len(panel[-1].features),
        "rows": sum(len(snapshot.features) for snapshot in panel),
        "reading": reading,
        "seconds": seconds,
        "processor": cpu,
        "gigabytes": kibibytes * 1024 / 1e9,
    }


def main() -> None:
    """Run all sizes and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--transactions", type=int, default=1_000_000, help="of the largest shop")
    parser.add_argument("--largest-only", action="store_true", help="leave the smaller ones out")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    # Ibis calls functions by names that DuckDB 2.0 has renamed.
    warnings.simplefilter("ignore", DeprecationWarning)
    if options.measure:
        print(json.dumps(measure(options.measure)))
        return
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    print(
        f"{'transactions':>12}{'events':>11}{'customers':>11}{'rows':>11}{'features':>9}"
        f"{'reading':>10}{'panel':>10}{'processor':>11}{'rows/s':>9}{'peak':>9}"
    )
    for divisor in (1,) if options.largest_only else (100, 10, 1):
        transactions = options.transactions // divisor
        with tempfile.TemporaryDirectory() as folder:
            write_shop(Path(folder), transactions)
            run = subprocess.run(
                [sys.executable, __file__, "--measure", folder],
                check=True,
                capture_output=True,
                text=True,
            )
        m = json.loads(run.stdout)
        print(
            f"{transactions:>12,}{EVENTS_A_TRANSACTION * transactions:>11,}"
            f"{m['customers']:>11,}{m['rows']:>11,}{m['features']:>9}"
            f"{m['reading']:>8.1f} s{m['seconds']:>8.1f} s{m['processor']:>9.1f} s"
            f"{m['rows'] / m['seconds']:>9,.0f}{m['gigabytes']:>6.2f} GB",
            flush=True,
        )


if __name__ == "__main__":
    main()
