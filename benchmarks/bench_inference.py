"""How fast posteriors are found, and what it costs when customers grow tenfold.

    python benchmarks/bench_inference.py [--slow] [--only PART ...]

Each comparison is with `pymc_marketing.clv` (`pip install -e .[bench]`) in the same run, on one
machine, over the same simulated customers:

- `nuts`: BG/NBD by NUTS on as many customers as all of CDNOW has; effective samples a second of
  the whole call of `fit`, imports and our compilation done. Both by the bulk measure, the least
  over the parameters.
- `cold`: the same fit as a user meets it, from the start of a process to draws, with 24
  thousand customers and, with --slow, 240 thousand, for which the peer needs about a quarter of
  an hour. Once with an empty cache of compiled code and once with a full one.
- `scale`: ours alone from 10 thousand to 10 million customers, each in a process of its own,
  with the largest memory it held. The frame of customers is included.
- `pareto`: Pareto/NBD by NUTS on 24 thousand customers; the peer, with --slow, on 2.4 thousand.
- `spend`: Gamma-Gamma by NUTS, likewise from 10 thousand to 10 million customers.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

CDNOW = 23_570
"""Customers of the full CDNOW data."""


def customers(n: int, days: int, joining: int, seed: int = 1) -> pd.DataFrame:
    """BG/NBD customers at the estimates of CDNOW who joined in the first `joining` days."""
    rng = np.random.default_rng(seed)
    T = (days - rng.integers(0, joining, n)) / 7.0
    rate, p = rng.gamma(0.243, 1 / 4.414, n), rng.beta(0.793, 2.426, n)
    frequency, recency = np.zeros(n), np.zeros(n)
    here, now = np.arange(n), np.zeros(n)
    while len(here):
        now = now + rng.exponential(1.0, len(here)) / np.maximum(rate[here], 1e-12)
        bought = now < T[here]
        here, now = here[bought], now[bought]
        frequency[here] += 1
        recency[here] = np.minimum(np.ceil(now * 7) / 7, T[here])
        stays = rng.random(len(here)) > p[here]
        here, now = here[stays], now[stays]
    return pd.DataFrame({"frequency": frequency, "recency": recency, "T": T})


def spenders(n: int, seed: int = 1) -> pd.DataFrame:
    """Gamma-Gamma customers at the estimates of CDNOW."""
    rng = np.random.default_rng(seed)
    x = rng.geometric(0.4, n).astype(float)
    nu = rng.gamma(3.74, 1 / 15.44, n)
    return pd.DataFrame({"frequency": x, "monetary_value": rng.gamma(6.25 * x) / nu / x})


def peer_data(rfm: pd.DataFrame) -> pd.DataFrame:
    """The same with the column that the peer wants."""
    return rfm.assign(customer_id=np.arange(len(rfm)))


def ours(rfm: pd.DataFrame, model: str = "BetaGeoNBD") -> dict[str, Any]:
    """Fit and say how it went."""
    import models.btyd
    import models.spend

    kind = models.spend.GammaGamma if model == "GammaGamma" else getattr(models.btyd, model)
    begin = time.perf_counter()
    found = kind().fit(rfm, seed=1).diagnostics
    return {**found, "fit": time.perf_counter() - begin}


def peers(rfm: pd.DataFrame, model: str = "BetaGeoModel") -> dict[str, Any]:
    """Fit the peer's model by its NUTS and say how it went."""
    import arviz
    import pymc_marketing.clv

    peer = getattr(pymc_marketing.clv, model)(data=peer_data(rfm))
    begin = time.perf_counter()
    peer.fit(method="mcmc", random_seed=1, progressbar=False)
    seconds = time.perf_counter() - begin
    names = ["r", "alpha", *(("a", "b") if model == "BetaGeoModel" else ("s", "beta"))]
    least = min(float(arviz.ess(peer.idata, var_names=[name])[name]) for name in names)
    return {"fit": seconds, "ess": least}


def alone(code: str, cache: str | None = None) -> tuple[dict[str, Any], float]:
    """Run code that prints JSON in a fresh process; what it printed and the seconds it took."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    if cache is not None:
        environment["NUMBA_CACHE_DIR"] = cache
    begin = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-W", "ignore", __file__, "--child", code],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1]), time.perf_counter() - begin


def child(code: str) -> None:
    """What a fresh process does: `who model customers days joining`."""
    who, model, n, days, joining = code.split()
    spend = model == "GammaGamma"
    rfm = spenders(int(n)) if spend else customers(int(n), int(days), int(joining))
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    found = (ours if who == "ours" else peers)(rfm, model)
    keys = ("fit", "ess", "r_hat", "nodes", "sampling_seconds", "grid_shift_sd", "seconds")
    report = {key: found[key] for key in keys if key in found}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({**report, "held": held, "peak": peak}))


def has_peer() -> bool:
    """Whether the peer is installed; says so if not."""
    try:
        import pymc_marketing.clv  # noqa: F401
    except ImportError:
        print("pymc-marketing is not installed: pip install -e .[bench]")
        return False
    return True


def bench_nuts() -> None:
    """Effective samples a second in a warm process."""
    rfm = customers(CDNOW, 273, 84)
    ours(customers(CDNOW, 273, 84, seed=2))  # imports and compiles
    found = ours(rfm)
    rate = found["ess_bulk"] / found["fit"]
    print(f"\nBG/NBD by NUTS, {CDNOW:,} customers, {found['nodes']:,} nodes")
    print(f"  regulars        {found['fit']:8.2f} s   ESS {found['ess_bulk']:6.0f} {rate:10.1f}/s")
    print(f"    of which sampling {found['sampling_seconds']:.2f} s")
    if has_peer():
        peers(rfm.head(500))  # compiles
        other = peers(rfm)
        theirs = other["ess"] / other["fit"]
        print(f"  pymc-marketing  {other['fit']:8.2f} s   ESS {other['ess']:6.0f} {theirs:10.1f}")
        print(f"  ratio {rate / theirs:.0f}")


def bench_cold(slow: bool) -> None:
    """From the start of a process to draws."""
    for n in (24_000, 240_000) if slow else (24_000,):
        print(f"\nBG/NBD by NUTS from a cold process, {n:,} customers")
        with tempfile.TemporaryDirectory() as cache:
            first = alone(f"ours BetaGeoNBD {n} 273 84", cache)[1]
            second = alone(f"ours BetaGeoNBD {n} 273 84", cache)[1]
        print(f"  regulars, empty cache  {first:8.1f} s")
        print(f"  regulars, full cache   {second:8.1f} s")
        if has_peer():
            other = alone(f"peer BetaGeoModel {n} 273 84")[1]
            print(f"  pymc-marketing         {other:8.1f} s")
            print(f"  ratio {other / first:.1f} and {other / second:.1f}")


def bench_scale(model: str) -> None:
    """Ten thousand to ten million customers."""
    print(f"\n{model} by NUTS, customers who joined over three years")
    print("customers      nodes   fit s  sampling s   ESS  shift sd   peak MB  above the frame")
    for n in (10_000, 100_000, 1_000_000, 10_000_000):
        found, _ = alone(f"ours {model} {n} 1100 1095")
        print(
            f"{n:>10,}{found['nodes']:>10,}{found['fit']:>8.1f}{found['sampling_seconds']:>12.2f}"
            f"{found['ess']:>6.0f}{found['grid_shift_sd']:>10.1e}{found['peak']:>10,.0f}"
            f"{found['peak'] - found['held']:>10,.0f}"
        )


def bench_pareto(slow: bool) -> None:
    """Pareto/NBD."""
    print("\nPareto/NBD by NUTS from a cold process")
    found, seconds = alone("ours ParetoNBD 24000 273 84")
    print(f"  regulars, 24,000 customers       {seconds:8.1f} s   ESS {found['ess']:.0f}")
    if slow and has_peer():
        other, seconds = alone("peer ParetoNBDModel 2400 273 84")
        print(f"  pymc-marketing, 2,400 customers  {seconds:8.1f} s   ESS {other['ess']:.0f}")


def main() -> None:
    """Run all and print."""
    parts = ("nuts", "cold", "scale", "pareto", "spend")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--slow", action="store_true", help="also what takes the peer minutes")
    parser.add_argument("--only", nargs="+", choices=parts, default=parts)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    if options.child:
        child(options.child)
        return
    for part in options.only:
        print(f"\n== {part}: {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}", flush=True)
        if part == "nuts":
            bench_nuts()
        elif part == "cold":
            bench_cold(options.slow)
        elif part == "pareto":
            bench_pareto(options.slow)
        else:
            bench_scale("BetaGeoNBD" if part == "scale" else "GammaGamma")


if __name__ == "__main__":
    main()
