"""How long training and scoring of the churn model take, and how much memory, as N grows.

    python benchmarks/bench_churn.py [--customers N ...] [--threads T]

Made-up customers with a value for every feature of the catalogue, one in ten of them missing,
and an outcome that depends on a few. Each number of customers runs in a process of its own:

- matrix: from the frame of features to the matrix, with the choice of features
- training: the trees of the default recipe, and early stopping on a tenth as many later rows
- scoring: probability, interval and tier; and the same with three reasons in words each

Customers per second, and the most memory held above what there was before (the frame and, but
for the first line, the matrix).
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

# Run as a script from anywhere, against the tree that it lies in.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # OpenMP's threads spin while they wait

import numpy as np
import pandas as pd
from scipy.special import expit

from features.catalogue import CATALOGUE
from models.calibration import Calibrator
from models.churn import LOW_RISK_AT_MOST, ChurnModel
from models.inputs import Inputs, Matrix
from models.scorers import Recipe, fit_scorer
from models.tiers import Tiers
from models.venn_abers import VennAbers

T = TypeVar("T")

CALIBRATION_ROWS = 50_000


def simulated(customers: int, seed: int = 0) -> tuple[pd.DataFrame, np.ndarray]:
    """Features of made-up customers, and who of them churned."""
    rng = np.random.default_rng(seed)
    columns: dict[str, object] = {}
    for feature in CATALOGUE:
        if feature.kind == "category":
            levels = np.array([f"level {k}" for k in range(12)])
            columns[feature.name] = pd.array(levels[rng.integers(0, 12, customers)], dtype="str")
            continue
        if feature.maximum is not None:
            low = -1.0 if feature.minimum is None else feature.minimum
            values = rng.uniform(low, feature.maximum, customers)
        else:
            values = rng.gamma(1.5, 30.0, customers).round(2)
        values[rng.random(customers) < 0.1] = np.nan
        columns[feature.name] = values
    index = pd.Index(np.arange(customers).astype(str), name="customer_id")
    frame = pd.DataFrame(columns, index=index).drop(columns="spend_percentile")
    late = frame["days_since_last"].fillna(45).to_numpy() / 30
    often = frame["n_purchases_365"].fillna(45).to_numpy() / 45
    churned = rng.random(customers) < expit(late - often - 0.5)
    return frame, churned.astype(np.float64)


def resident() -> int:
    """Bytes of memory that the process holds."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def measured(what: str, customers: int, work: Callable[[], T]) -> T:
    """Do it, and print customers per second and peak memory."""
    most, before, done = [0], resident(), threading.Event()

    def watch() -> None:
        while not done.wait(0.02):
            most[0] = max(most[0], resident() - before)

    watcher = threading.Thread(target=watch)
    watcher.start()
    began = time.perf_counter()
    try:
        found = work()
    finally:
        seconds = time.perf_counter() - began
        done.set()
        watcher.join()
    print(
        f"{what:<34}{customers:>12,}{seconds:>10.1f} s{customers / seconds:>14,.0f} a second"
        f"{most[0] / 1e6:>10,.0f} MB",
        flush=True,
    )
    return found


def bench(customers: int, threads: int) -> None:
    """All lines for one number of customers."""
    frame, y = simulated(customers)
    later, later_y = simulated(max(customers // 10, 1000), seed=1)
    size = frame.memory_usage().sum() / 1e6
    print(f"\n{customers:,} customers, {frame.shape[1]} features, {size:,.0f} MB")

    def to_matrix() -> tuple[Inputs, Matrix]:
        inputs, _ = Inputs.choose(frame, CATALOGUE)
        return inputs, inputs.matrix(frame)

    inputs, X = measured("matrix", customers, to_matrix)
    held = inputs.matrix(later)
    recipe = Recipe("lightgbm")
    scorer = measured(
        "training", customers, lambda: fit_scorer(recipe, inputs, X, y, num_threads=threads)
    )
    stopped = measured(
        "training, stopped by later rows",
        customers,
        lambda: fit_scorer(recipe, inputs, X, y, num_threads=threads, validation=(held, later_y)),
    )
    print(f"{'':<34}{scorer.rounds:>12,} rounds, stopped after {stopped.rounds:,}")
    raw = scorer.raw(held[:CALIBRATION_ROWS])
    outcome = later_y[:CALIBRATION_ROWS]
    calibrator = Calibrator.fit("platt", raw, outcome)
    model = ChurnModel.assemble(
        inputs=inputs,
        scorer=scorer,
        calibrator=calibrator,
        interval=VennAbers.fit(raw, outcome),
        tiers=Tiers.learn(calibrator(raw), low_at_most=LOW_RISK_AT_MOST),
        horizon_days=90,
        gap_days=0,
        sample=held,
        card={},
    )
    measured("scoring", customers, lambda: model.predict(frame, reasons=False))
    measured("scoring with reasons", customers, lambda: model.predict(frame))


def main() -> None:
    """Run all and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--customers", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--only", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        bench(options.only, options.threads)
        return
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {options.threads} threads")
    for size in sorted(options.customers):
        command = [sys.executable, __file__, "--only", str(size), "--threads", str(options.threads)]
        subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
