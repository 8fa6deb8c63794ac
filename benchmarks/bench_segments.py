"""How long segments take, and how often clusters are seen where there are none.

    python benchmarks/bench_segments.py assign
    python benchmarks/bench_segments.py clouds
    python benchmarks/bench_segments.py als -c regulars.toml

`assign` puts a million customers into RFM segments and clusters; `clouds` looks for clusters in
100 clouds without any; `als` compares forecasts of the next purchase on the data of a
configuration, with alternating least squares (`pip install implicit`) beside them.
"""

import argparse
import datetime as dt
import time
from pathlib import Path

import numpy as np
import pandas as pd

from models.clusters import Clusters, NoClustersError
from models.segmentation import CustomerSegments
from models.segments import RfmCuts, behaviour_of

NAMES = ("n_purchases_365", "days_since_last", "aov_365", "items_per_order_365", "sessions_90")


def clouds(many: int = 100) -> None:
    """Print in how many clouds of correlated, skewed features clusters are found."""
    rng = np.random.default_rng(0)
    found = 0
    for _ in range(many):
        z = rng.normal(size=(2000, 5)) @ rng.normal(size=(5, 5))
        frame = pd.DataFrame(np.exp(np.array([1.2, 3, 3, 1, 2]) + 0.5 * z), columns=list(NAMES))
        try:
            Clusters.learn(frame)
        except NoClustersError:
            continue
        found += 1
    print(f"clusters found in {found} of {many} clouds")


def assign(customers: int = 1_000_000) -> None:
    """Print how long it takes to learn from, and to assign, so many customers."""
    rng = np.random.default_rng(0)
    frequency = rng.geometric(0.4, customers) - 1.0
    age = rng.uniform(1, 150, customers)
    kind = rng.integers(0, 3, customers)
    middle = np.array([[24, 10, 20, 1.5, 30], [4, 60, 150, 12, 5], [3, 90, 25, 2, 1]])
    features = middle[kind] * np.exp(0.3 * rng.normal(size=(customers, 5)))
    frame = pd.DataFrame(features, columns=list(NAMES)).assign(
        frequency=frequency,
        T=age,
        recency=np.where(frequency > 0, age * rng.random(customers), 0.0),
        monetary_value=np.where(frequency > 0, rng.gamma(2, 30, customers), 0.0),
        first_value=rng.gamma(2, 30, customers),
    )
    start = time.perf_counter()
    model = CustomerSegments(RfmCuts.learn(behaviour_of(frame)), Clusters.learn(frame))
    learned = time.perf_counter()
    model.predict(frame)
    print(f"{customers:,} customers: learned in {learned - start:.1f} s, ", end="")
    print(f"assigned in {time.perf_counter() - learned:.1f} s")


def als(config: Path) -> None:
    """Print the comparison of a training, and alternating least squares beside it."""
    from implicit.als import AlternatingLeastSquares

    from features.baskets import item_column
    from features.window import ObservationWindow, last_closed_cutoff
    from regulars.config import load_config
    from regulars.jobs import open_configured_ledger
    from training.metrics.items import ranked_items
    from training.next_choice import compare, read_period

    said = load_config(config)
    ledger = open_configured_ledger(said)
    item = item_column(ledger, said.segments.item)
    horizon = said.churn.horizon_days
    test = last_closed_cutoff(ledger.last_day, horizon)
    periods = [
        read_period(ledger, ObservationWindow(ledger.first_day, cutoff, 0, horizon), item)
        for cutoff in (test - dt.timedelta(days=horizon), test)
    ]
    found = compare(periods[0], periods[1], item)
    shown = ["question", "method", "customers", "hit_rate", "recall", "ndcg", "ndcg_low"]
    print(found.table[[*shown, "ndcg_high", "chosen"]].round(4).to_string(index=False))
    later = periods[1]
    own = later.counts[later.judged].toarray()
    for factors in (16, 64):
        model = AlternatingLeastSquares(factors, alpha=5.0, random_state=0, num_threads=1)
        model.fit(later.counts.astype(np.float32), show_progress=False)
        scores = model.user_factors[later.judged] @ model.item_factors.T
        for question in ("next", "new"):
            order = np.argsort(-np.where((question == "new") & (own > 0), -np.inf, scores), axis=1)
            wanted = later.wanted(question)
            hits = np.array(
                [
                    [key in items for key in later.baskets.items[row[: found.k]]]
                    for row, items in zip(order, wanted, strict=True)
                ]
            )
            relevant = np.array([len(items) for items in wanted])
            measured = ranked_items(hits[relevant > 0], relevant[relevant > 0])
            print(f"{question} ALS {factors} factors", end=": ")
            print({name: round(float(values.mean()), 4) for name, values in measured.items()})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["assign", "clouds", "als"])
    parser.add_argument("-c", "--config", type=Path, default=Path("regulars.toml"))
    asked = parser.parse_args()
    if asked.what == "als":
        als(asked.config)
    else:
        {"assign": assign, "clouds": clouds}[asked.what]()
