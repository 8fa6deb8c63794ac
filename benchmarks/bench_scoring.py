"""How long predictions take, and how much memory, against pymc-marketing at equal output.

    python benchmarks/bench_scoring.py [--customers N] [--draws D] [--skip-memory] [--skip-peer]

Simulated customers: T by the day over 1,000 days, the last purchase on any day. The posteriors
are drawn round known parameters: a prediction costs the same whatever they came from.

- all columns of `CustomerLifetimeValue.predict` for N customers (a million), with 90 %
  predictive intervals of purchases and CLV: seconds, and memory above the input
- the same at a hundred thousand, a million and ten million customers, each in a process of its
  own: memory above input and output
- expected purchases and discounted CLV, posterior means of each customer, against the same
  quantities of pymc-marketing (`pip install -e .[bench]`) on fewer customers, as it holds
  customers x draws in memory: nanoseconds a customer and draw, elapsed and of processor
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

# Run as a script from anywhere, against the tree that it lies in.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import pandas as pd

from models.btyd import BetaGeoNBD
from models.clv import CustomerLifetimeValue
from models.spend import GammaGamma

PURCHASES = {"r": 0.243, "alpha": 4.414, "a": 0.793, "b": 2.426}
SPEND = {"p": 6.25, "q": 3.74, "gamma": 15.44}
DAYS = 1000
PEER_CUSTOMERS = 10_000


def simulated(customers: int, seed: int = 0) -> pd.DataFrame:
    """Summaries of customers with unlike rates and lifetimes, in whole days, as weeks."""
    rng = np.random.default_rng(seed)
    T = rng.integers(1, DAYS + 1, customers).astype(float)
    lifetime = rng.exponential(1.0 / np.maximum(rng.gamma(0.6, 1 / 120.0, customers), 1e-12))
    active = np.minimum(T, lifetime)
    x = rng.poisson(rng.gamma(0.5, 1 / 60.0, customers) * active).astype(float)
    last = np.ceil(active * rng.random(customers) ** (1.0 / np.maximum(x, 1.0)))
    recency = np.where(x > 0, np.minimum(last, T), 0.0)
    value = np.round(rng.gamma(6.0, 15.0, customers) / rng.gamma(4.0, 1.0, customers), 2) + 0.01
    return pd.DataFrame(
        {
            "frequency": np.minimum(x, recency),
            "recency": recency / 7.0,
            "T": T / 7.0,
            "monetary_value": np.where(x > 0, value, 0.0),
        }
    )


def posterior(parameters: dict[str, float], draws: int, seed: int) -> dict[str, np.ndarray]:
    """Draws round known parameters."""
    rng = np.random.default_rng(seed)
    return {k: v * np.exp(0.05 * rng.standard_normal(draws)) for k, v in parameters.items()}


def model(draws: int) -> CustomerLifetimeValue:
    """A model with that many posterior draws."""
    return CustomerLifetimeValue(
        BetaGeoNBD.from_draws(posterior(PURCHASES, draws, 1), {"inference": "nuts"}),
        GammaGamma.from_draws(posterior(SPEND, draws, 2), {"inference": "nuts"}),
    )


def resident() -> int:
    """Bytes of memory that the process holds."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


@contextmanager
def peak() -> Iterator[list[int]]:
    """Most memory held within the block above what was held before, looked at 50 times a second."""
    found, before, done = [0], resident(), threading.Event()

    def watch() -> None:
        while not done.wait(0.02):
            found[0] = max(found[0], resident() - before)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield found
    finally:
        done.set()
        watcher.join()


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds elapsed and of processor."""
    begin, begin_cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - begin, time.process_time() - begin_cpu


def bench_all_columns(customers: int, draws: int) -> None:
    """All columns with intervals; prints seconds and memory."""
    rfm, clv = simulated(customers), model(draws)
    clv.predict(rfm.iloc[:100], n_draws=draws)
    with peak() as most:
        elapsed, cpu = timed(lambda: clv.predict(rfm, n_draws=draws))
    output = 8 * 10 * customers
    print(
        f"{customers:>12,}{elapsed:>10.1f} s{cpu:>10.1f} s{1e9 * elapsed / customers / draws:>9.1f}"
        f"{most[0] / 1e6:>12,.0f} MB{max(most[0] - output, 0) / 1e6:>12,.0f} MB",
        flush=True,
    )


def bench_peer(draws: int) -> None:
    """Posterior means of expected purchases and of discounted CLV, ours and the peer's."""
    rfm, clv = simulated(PEER_CUSTOMERS), model(draws)
    year = 365.25 / 7.0

    def ours_expected(frame: pd.DataFrame) -> np.ndarray:
        return clv.purchases.expected_purchases(frame, year)

    def ours_clv(frame: pd.DataFrame) -> pd.Series:
        return clv.predict(frame, 365.25, n_draws=draws)["clv"]

    rows: list[tuple[str, int, float, float]] = []
    big = simulated(100 * PEER_CUSTOMERS)
    for frame in (rfm, big):
        for name, work in (("expected purchases", ours_expected), ("CLV", ours_clv)):
            elapsed, cpu = timed(lambda work=work, frame=frame: work(frame))
            rows.append((f"ours, {name}", len(frame), elapsed, cpu))
    try:
        theirs = peer_functions(rfm, draws)
    except ImportError:
        print("\npymc-marketing is not installed: pip install -e .[bench]")
        theirs = {}
    ours = {"expected purchases": ours_expected(rfm), "CLV": ours_clv(rfm).to_numpy()}
    for name, function in theirs.items():
        function()
        found: list[np.ndarray] = []
        elapsed, cpu = timed(lambda function=function, found=found: found.append(function()))
        rows.append((f"pymc-marketing, {name}", len(rfm), elapsed, cpu))
        apart = np.median(np.abs(found[0] / ours[name] - 1.0))
        print(f"\n{name}: median difference to the peer {apart:.1e}")
    print(f"\n{'':<40}{'customers':>12}{'elapsed':>11}{'processor':>11}  ns a customer and draw")
    for title, size, elapsed, cpu in rows:
        cells = size * draws / 1e9
        print(
            f"{title:<40}{size:>12,}{elapsed:>9.2f} s{cpu:>9.2f} s{elapsed / cells:>9.1f} elapsed"
            f"{cpu / cells:>9.1f} processor"
        )


def peer_functions(rfm: pd.DataFrame, draws: int) -> dict[str, Callable[[], np.ndarray]]:
    """The peer's predictions with the same draws, as posterior means of each customer."""
    import arviz as az
    from pymc_marketing import clv as peer

    data = rfm.assign(customer_id=np.arange(len(rfm)))
    data.loc[data["frequency"] == 0, "monetary_value"] = 0.0

    def fitted(kind: type, frame: pd.DataFrame, seed: int, names: dict[str, str]) -> object:
        found = kind(data=frame)
        found.build_model()
        own = posterior(PURCHASES if seed == 1 else SPEND, draws, seed)
        found.idata = az.from_dict({new: own[old][None, :] for old, new in names.items()})
        return found

    purchases = fitted(peer.BetaGeoModel, data, 1, {name: name for name in PURCHASES})
    buyers = data[data["frequency"] > 0]
    spend = fitted(peer.GammaGammaModel, buyers, 2, {"p": "p", "q": "q", "gamma": "v"})
    year = 365.25 / 7.0

    def expected() -> np.ndarray:
        found = purchases.expected_purchases(data=data, future_t=year)
        return found.mean(("chain", "draw")).to_numpy()

    def value() -> np.ndarray:
        # Months are the peer's unit of the horizon, and of the discount rate.
        found = spend.expected_customer_lifetime_value(
            transaction_model=purchases,
            data=data.copy(),
            future_t=12,
            discount_rate=1.10 ** (1 / 12) - 1,
            time_unit="W",
        )
        return found.mean(("chain", "draw")).to_numpy()

    return {"expected purchases": expected, "CLV": value}


def main() -> None:
    """Run all and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--customers", type=int, default=1_000_000)
    parser.add_argument("--draws", type=int, default=400)
    parser.add_argument("--skip-memory", action="store_true")
    parser.add_argument("--skip-peer", action="store_true")
    parser.add_argument("--only", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        bench_all_columns(options.only, options.draws)
        return
    warnings.simplefilter("ignore")
    sizes = [options.customers]
    if not options.skip_memory:
        sizes = sorted({100_000, 1_000_000, 10_000_000, options.customers})
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {options.draws} draws")
    print("\nAll columns with 90 % intervals of purchases and CLV, one year")
    print(
        f"{'customers':>12}{'elapsed':>12}{'processor':>12}{'ns':>9}{'above input':>15}"
        f"{'and output':>15}",
        flush=True,
    )
    for size in sizes:
        command = [sys.executable, __file__, "--only", str(size), "--draws", str(options.draws)]
        subprocess.run(command, check=True)
    if not options.skip_peer:
        bench_peer(options.draws)


if __name__ == "__main__":
    main()
