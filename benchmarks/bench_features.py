"""How long the RFM summary and a snapshot take at a million transactions.

    python benchmarks/bench_features.py [--transactions N] [--repeats R]

Each line is a ratio within one run, on one machine, over the same simulated transactions:

- the RFM summary against `pymc_marketing.clv.utils.rfm_summary` (`pip install -e .[bench]`)
- a snapshot (features and RFM summary of every customer) against the same features in SQL
  written by hand for DuckDB; both leave as a pandas frame, and are checked to be equal

A ledger nets its customer-days once, when they are first asked for, and every cutoff reads
them. So three times are given: from a ledger that has them, from one that must net them
first, and from a pandas frame, with the validation of every row.

Order lines are simulated once one to an order, where nothing can be saved by summing days,
and once five to an order, as a shop has them.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import statistics
import time
import warnings
from collections.abc import Callable, Mapping

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa

from features.behaviour import RFM_COLUMNS
from features.ledger import Ledger
from features.rfm import rfm_counts, rfm_summary
from features.snapshot import build_panel, build_snapshot
from features.window import ObservationWindow, monthly_cutoffs

FIRST_DAY = dt.date(2021, 1, 1)
DAYS = 3 * 365
CUTOFF = dt.date(2023, 9, 1)


def simulated(transactions: int, lines: int = 1, seed: int = 0) -> pd.DataFrame:
    """Transactions of customers with unlike rates, `lines` of them an order, 4 % returns."""
    rng = np.random.default_rng(seed)
    orders = transactions // lines
    customers = max(orders // 17, 1)
    rates = rng.gamma(0.7, 1.0, customers)
    buyers = rng.choice(customers, orders, p=rates / rates.sum()).repeat(lines)
    days = rng.integers(0, DAYS, orders)
    seconds = (86_400 * days + rng.integers(8 * 3600, 20 * 3600, orders)).repeat(lines)
    transactions = len(buyers)
    amounts = np.round(rng.gamma(2.0, 20.0, transactions), 2) + 0.01
    amounts[rng.random(transactions) < 0.04] *= -1
    discounts = np.where(
        rng.random(transactions) < 0.2, np.round(5 * rng.random(transactions), 2), 0
    )
    names = np.array([f"C{number:07d}" for number in range(customers)])
    products = np.array([f"P{number:04d}" for number in range(3000)])
    return pd.DataFrame(
        {
            "customer_id": names[buyers],
            "timestamp": pd.Timestamp(FIRST_DAY) + pd.to_timedelta(seconds, "s"),
            "amount": amounts,
            "product_id": products[rng.integers(0, 3000, transactions)],
            "discount": discounts,
        }
    ).astype({"timestamp": "datetime64[us]"})


def compare(title: str, contenders: Mapping[str, Callable[[], object]], repeats: int) -> None:
    """Print the median of each contender and its ratio to the first, which is ours.

    They take turns after one unmeasured round. Processor time counts all threads: where other
    work keeps the machine busy, its ratio is the one to trust.
    """
    wall: dict[str, list[float]] = {name: [] for name in contenders}
    cpu: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(repeats + 1):
        for name, contender in contenders.items():
            begin, begin_cpu = time.perf_counter(), time.process_time()
            contender()
            if turn:
                wall[name].append(time.perf_counter() - begin)
                cpu[name].append(time.process_time() - begin_cpu)
    print(f"\n{title:<52}{'elapsed':>12}{'ratio':>8}{'processor':>12}{'ratio':>8}")
    first = next(iter(contenders))
    for name in contenders:
        line = f"  {name:<50}"
        for seconds in (wall, cpu):
            median = statistics.median(seconds[name])
            line += f"{median:>10.3f} s{median / statistics.median(seconds[first]):>8.2f}"
        print(line)


def afresh(ledger: Ledger, build: Callable[[Ledger], object]) -> None:
    """Build something from a ledger of the same tables that has not netted its days yet."""
    other = Ledger(ledger.con, ledger.tables, ledger.quality)
    build(other)
    if other.days is not None:
        ledger.con.con.execute(f"DROP TABLE {other.days.op().name}")


def bench_rfm(frame: pd.DataFrame, ledger: Ledger, repeats: int) -> None:
    """The RFM summary, against the function that the field uses."""
    frame = frame[frame["amount"] > 0]  # the peer counts returns as purchases
    before = frame[frame["timestamp"] < pd.Timestamp(CUTOFF)]

    def summary(of: Ledger) -> pd.DataFrame:
        return rfm_summary(of.purchases(CUTOFF), CUTOFF).to_pyarrow().to_pandas()

    def from_frame() -> pd.DataFrame:
        return summary(Ledger.from_frames(frame[["customer_id", "timestamp", "amount"]]))

    def counts() -> pd.DataFrame:
        return rfm_counts(ledger.purchases(CUTOFF), CUTOFF).to_pyarrow().to_pandas()

    contenders: dict[str, Callable[[], object]] = {
        "regulars, from a ledger": lambda: summary(ledger),
        "regulars, from a ledger, days netted first": lambda: afresh(ledger, summary),
        "regulars, from a pandas frame, validated": from_frame,
        "regulars, counts for the sampler": counts,
    }
    try:
        from pymc_marketing.clv.utils import rfm_summary as peer
    except ImportError:
        print("\npymc-marketing is not installed: pip install -e .[bench]")
    else:

        def theirs() -> pd.DataFrame:
            end = pd.Timestamp(CUTOFF)
            return peer(before, "customer_id", "timestamp", "amount", observation_period_end=end)

        found, known = from_frame().set_index("customer_id"), theirs().set_index("customer_id")
        found = found.loc[known.index]
        for column, unit in (("frequency", 1), ("recency", 7), ("T", 7), ("monetary_value", 1)):
            np.testing.assert_allclose(found[column] * unit, known[column], rtol=1e-9)
        contenders["pymc-marketing rfm_summary, from a pandas frame"] = theirs
    compare("RFM summary", contenders, repeats)


HAND_WRITTEN = """
WITH known AS (
  SELECT customer_id, CAST(timestamp AS DATE) AS day, amount, product_id, discount
  FROM transactions WHERE timestamp < TIMESTAMP '{cutoff}'
), bought AS (
  SELECT customer_id, day, sum(amount) AS value FROM known GROUP BY ALL HAVING sum(amount) > 0
), lagged AS (
  SELECT *, day - lag(day) OVER (PARTITION BY customer_id ORDER BY day) AS gap,
    DATE '{cutoff}' - max(day) OVER (PARTITION BY customer_id) AS since
  FROM bought
), visits AS (
  SELECT customer_id, count(*) AS n, min(day) AS first_day, max(day) AS last_day,
    sum(value) AS value, sum(value) FILTER (gap IS NULL) AS first_value,
    max(value) FILTER (day >= DATE '{cutoff}' - 365) AS largest,
    count(*) FILTER (day >= DATE '{cutoff}' - 30) AS n30,
    count(*) FILTER (day >= DATE '{cutoff}' - 90) AS n90,
    count(*) FILTER (day >= DATE '{cutoff}' - 180) AS n180,
    count(*) FILTER (day >= DATE '{cutoff}' - 365) AS n365,
    count(*) FILTER (day >= DATE '{cutoff}' - 365 AND day < DATE '{cutoff}' - 275) AS n_year_ago,
    sum(gap * gap) AS squares, max(gap) AS gap_max, count(*) FILTER (gap > 90) AS lapses,
    count(*) FILTER (gap <= since) AS passed, arg_max(gap, day) AS gap_last, min(since) AS since
  FROM lagged GROUP BY customer_id
), money AS (
  SELECT customer_id, max(day) FILTER (amount < 0) AS last_return,
    sum(amount) FILTER (day >= DATE '{cutoff}' - 30) AS s30,
    sum(amount) FILTER (day >= DATE '{cutoff}' - 90) AS s90,
    sum(amount) FILTER (day >= DATE '{cutoff}' - 180) AS s180,
    sum(amount) FILTER (day >= DATE '{cutoff}' - 365) AS s365,
    sum(amount) FILTER (amount > 0 AND day >= DATE '{cutoff}' - 365) AS sold,
    -sum(amount) FILTER (amount < 0 AND day >= DATE '{cutoff}' - 365) AS returned,
    sum(discount) FILTER (amount >= 0 AND day >= DATE '{cutoff}' - 365) AS discount
  FROM known GROUP BY customer_id
), products AS (
  SELECT customer_id, count(DISTINCT product_id) AS products
  FROM known WHERE amount > 0 AND day >= DATE '{cutoff}' - 365 GROUP BY customer_id
), steps AS (
  SELECT days, sum(sum(gaps)) OVER (ORDER BY days) / sum(sum(gaps)) OVER () AS share
  FROM (SELECT gap AS days, count(*) AS gaps FROM lagged WHERE gap IS NOT NULL GROUP BY ALL
        UNION ALL SELECT DISTINCT since, 0 FROM visits)
  GROUP BY days
)
SELECT customer_id, (n - 1)::DOUBLE AS frequency, (last_day - first_day) / 7 AS recency,
  (DATE '{cutoff}' - first_day) / 7 AS "T",
  CASE WHEN n > 1 THEN (value - first_value)::DOUBLE / (n - 1) ELSE 0 END AS monetary_value,
  first_value::DOUBLE AS first_value, since::DOUBLE AS days_since_last,
  (DATE '{cutoff}' - first_day)::DOUBLE AS tenure_days,
  (DATE '{cutoff}' - last_return)::DOUBLE AS days_since_last_return,
  n30::DOUBLE AS n_purchases_30, n90::DOUBLE AS n_purchases_90, n180::DOUBLE AS n_purchases_180,
  n365::DOUBLE AS n_purchases_365, n::DOUBLE AS n_purchases_all,
  CASE WHEN DATE '{cutoff}' - first_day >= 30
    THEN n365 * 365 / least(365, DATE '{cutoff}' - first_day) END AS purchase_rate_12m,
  (n = 1)::DOUBLE AS is_one_time,
  coalesce(s30, 0)::DOUBLE AS net_spend_30, coalesce(s90, 0)::DOUBLE AS net_spend_90,
  coalesce(s180, 0)::DOUBLE AS net_spend_180, coalesce(s365, 0)::DOUBLE AS net_spend_365,
  s365::DOUBLE / nullif(n365, 0) AS aov_365, largest::DOUBLE AS max_order_365,
  first_value::DOUBLE AS first_order_value,
  greatest((last_day - first_day) / nullif(n - 1, 0), CASE WHEN n > 1 THEN 1 END) AS gap_mean,
  CASE WHEN n > 2 THEN sqrt(((n - 1) * squares - (last_day - first_day) ** 2)
    / ((n - 1) * (n - 2))) / ((last_day - first_day) / (n - 1)) END AS gap_cv,
  gap_last::DOUBLE AS gap_last, gap_max::DOUBLE AS gap_max,
  since * (n - 1) / nullif(last_day - first_day, 0) AS overdue_ratio,
  (3 * share + passed) / (n + 2) AS overdue_percentile, lapses::DOUBLE AS n_prior_lapses,
  ln((n90 + 1) / (n180 - n90 + 1)) AS purchase_change_90,
  ln((greatest(coalesce(s90, 0), 0)::DOUBLE + 1)
    / (greatest(coalesce(s180, 0) - coalesce(s90, 0), 0)::DOUBLE + 1)) AS spend_change_90,
  n90 / nullif(n365, 0) AS share_recent, n_year_ago::DOUBLE AS yoy_same_window,
  coalesce(products, 0)::DOUBLE AS n_products_365,
  CASE WHEN sold > 0 THEN least(coalesce(returned, 0)::DOUBLE / sold, 1) END AS return_rate_365,
  discount::DOUBLE / nullif(sold + discount, 0) AS discount_share_365,
  {month_sin} AS month_sin, {month_cos} AS month_cos
FROM visits JOIN money USING (customer_id) LEFT JOIN products USING (customer_id)
  LEFT JOIN steps ON steps.days = since
ORDER BY customer_id
"""


def bench_snapshot(frame: pd.DataFrame, ledger: Ledger, repeats: int) -> None:
    """A snapshot without labels, against SQL written by hand."""
    window = ObservationWindow(FIRST_DAY, CUTOFF)

    def ours(of: Ledger) -> pd.DataFrame:
        snapshot = build_snapshot(of, window, labels=False)
        return pd.concat([snapshot.rfm, snapshot.features], axis=1)

    reference = ours(ledger)
    month = reference.iloc[0]
    sql = HAND_WRITTEN.format(
        cutoff=CUTOFF, month_sin=month["month_sin"], month_cos=month["month_cos"]
    )

    def by_hand(con: duckdb.DuckDBPyConnection) -> pd.DataFrame:
        return con.sql(sql).to_arrow_table().to_pandas().set_index("customer_id")

    def by_hand_from_frame() -> pd.DataFrame:
        con = duckdb.connect()
        con.register("frame", pa.Table.from_pandas(frame))
        con.execute(
            "CREATE TABLE transactions AS SELECT * REPLACE (CAST(amount AS DECIMAL(18,4)) AS "
            "amount, CAST(discount AS DECIMAL(18,4)) AS discount) FROM frame"
        )
        return by_hand(con)

    known = by_hand(ledger.con.con)[list(reference.columns)].astype(float)
    assert known.index.equals(reference.index)
    for name in reference.columns:
        np.testing.assert_allclose(reference[name], known[name], 1e-11, 1e-11, err_msg=name)
    features = len(reference.columns) - len(RFM_COLUMNS)
    title = f"Snapshot, {features} features and RFM, {len(known):,} customers"
    contenders: dict[str, Callable[[], object]] = {
        "regulars, from a ledger": lambda: ours(ledger),
        "regulars, from a ledger, days netted first": lambda: afresh(ledger, ours),
        "regulars, from a pandas frame, validated": lambda: ours(Ledger.from_frames(frame)),
        "SQL by hand, from its table": lambda: by_hand(ledger.con.con),
        "SQL by hand, from a pandas frame, not validated": by_hand_from_frame,
    }
    compare(title, contenders, repeats)


def bench_panel(frame: pd.DataFrame) -> None:
    """All the monthly snapshots that a training reads, from a pandas frame."""
    begin, begin_cpu = time.perf_counter(), time.process_time()
    ledger = Ledger.from_frames(frame)
    cutoffs = monthly_cutoffs(FIRST_DAY, ledger.last_day, 90)[-24:]
    panel = build_panel(ledger, [ObservationWindow(FIRST_DAY, cutoff) for cutoff in cutoffs])
    seconds, cpu = time.perf_counter() - begin, time.process_time() - begin_cpu
    rows = sum(len(snapshot.features) for snapshot in panel)
    print(f"\nPanel of {len(panel)} monthly snapshots with labels, {rows:,} rows,")
    print(f"  from a pandas frame, validated: {seconds:.1f} s elapsed, {cpu:.1f} s processor")


def main() -> None:
    """Run all and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--transactions", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    # Ibis calls functions by names that DuckDB 2.0 has renamed.
    warnings.simplefilter("ignore", DeprecationWarning)
    print(f"{options.transactions:,} transactions, {os.cpu_count()} cores")
    for lines in (1, 5):
        print(f"\n== {lines} line{'s' * (lines > 1)} an order, load {os.getloadavg()[0]:.1f}")
        frame = simulated(options.transactions, lines)
        ledger = Ledger.from_frames(frame)
        bench_snapshot(frame, ledger, options.repeats)
        bench_rfm(frame, ledger, options.repeats)
        bench_panel(frame)


if __name__ == "__main__":
    main()
