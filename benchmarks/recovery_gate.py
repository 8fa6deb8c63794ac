"""How often the gate is right, on shops whose true churn probabilities are known.

    python benchmarks/recovery_gate.py [--shops 100]

In each shop the champion and the newer challenger know the true log-odds but for noise of their
own: with the same noise they are equally good, with more one is worse. Printed is how often the
challenger was promoted, kept waiting and refused.
"""

from __future__ import annotations

import argparse
from collections import Counter

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit

from models.decision import Offer
from models.metrics.bootstrap import Resampled, resample
from training.churn_contest import YARDSTICKS, with_level
from training.gate import judge

CASES = {"equally good": (0.3, 0.3), "challenger worse": (0.8, 0.3), "champion worse": (0.3, 0.8)}
"""Noise of the challenger and of the champion, in log-odds."""


def outcome(customers: int, noise: tuple[float, float], seed: int) -> str:
    """What the gate says in one shop."""
    rng = np.random.default_rng(seed)
    truth = rng.beta(1.2, 2.0, customers)
    came = (rng.random(customers) < truth).astype(np.float64)
    value = rng.gamma(2.0, 60.0, customers)

    def measured(spread: float) -> Resampled:
        p: npt.NDArray[np.float64] = expit(logit(truth) + rng.normal(0.0, spread, customers))
        found = resample(came, p, value=value, offer=Offer(), replicates=100, seed=1)
        return with_level(found)

    return judge(measured(noise[0]), measured(noise[1]), YARDSTICKS, newer=True).outcome


def main() -> None:
    """Print one line a case."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shops", type=int, default=100)
    shops = parser.parse_args().shops
    print("customers  case               promoted  kept  refused")
    for customers in (500, 3000):
        for case, noise in CASES.items():
            found = Counter(outcome(customers, noise, seed) for seed in range(shops))
            counts = [found[name] for name in ("promoted", "kept", "refused")]
            print(f"{customers:9,}  {case:17}{counts[0]:10}{counts[1]:6}{counts[2]:9}", flush=True)


if __name__ == "__main__":
    main()
