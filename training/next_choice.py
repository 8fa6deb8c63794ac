"""Which forecast of the next purchase to use: chosen at one cutoff, judged at a later one."""

import datetime as dt
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

from features.baskets import Baskets, Item, bought_items, next_items
from features.errors import NotEnoughDataError
from features.ledger import Ledger
from features.window import ObservationWindow
from models.metrics.bootstrap import Difference, difference, resampled_means
from models.next_purchase import BASELINES, METHODS, QUESTIONS, NextPurchase
from training.metrics.items import ranked_items

__all__ = ["Comparison", "Period", "compare", "read_period"]

PENALTIES = (200.0, 1000.0)
"""Candidates for the penalty of the item-to-item weights."""
MIN_CUSTOMERS = 100
"""Customers with a purchase before and after a cutoff, below which nothing is compared."""
MAX_CUSTOMERS = 20_000
"""Customers that are compared at most: a sample by hash of the id."""
FEW_ITEMS = 30
"""Up to so many items lists of 3 are judged, above it lists of 10."""
REPLICATES = 1000

_NAMES = {
    "popularity": "the most popular items",
    "recent_popularity": "the most popular items of late",
    "repeat": "what they buy anyway",
    "repeat_ease": "what they buy anyway, and of equals what goes with it",
    "ease": "what goes with what they have bought",
}
_QUESTIONS = {"next": "the next item", "new": "the next item never bought before"}


@dataclass(frozen=True)
class Period:
    """Histories at a cutoff, and what came next.

    Attributes:
        window: What was known, and when the next purchase counts.
        baskets: What everyone had bought.
        counts: The same as a matrix, customers x items.
        lately: Of each stored entry, whether it was bought within the horizon before the cutoff.
        judged: Rows of customers with an item before and after the cutoff, (j,).
        following: Items that each of them bought next, by key.
    """

    window: ObservationWindow
    baskets: Baskets
    counts: sparse.csr_array
    lately: npt.NDArray[np.bool_]
    judged: npt.NDArray[np.int64]
    following: tuple[frozenset[str], ...]

    def fit(self, item: str, methods: Mapping[str, str], l2: float) -> NextPurchase:
        """Fit a model on the histories."""
        b = self.baskets
        return NextPurchase.fit(
            self.counts, self.lately, b.items, b.names, item=item, methods=methods, l2=l2
        )

    def measure(
        self, model: NextPurchase, question: str, k: int, method: str | None = None
    ) -> dict[str, npt.NDArray[np.float64]]:
        """Measures of `training.metrics.items.ranked_items`, one entry a customer judged.

        Customers of whom the question cannot be asked, as they bought nothing new, are NaN.
        """
        place = {key: i for i, key in enumerate(model.items)}
        to = np.array([place.get(key, -1) for key in self.baskets.items], dtype=np.int64)
        own = self.counts[self.judged].tocoo()
        known = to[own.col] >= 0
        entries = (own.data[known], (own.row[known], to[own.col[known]]))
        history = sparse.csr_array(entries, shape=(len(self.judged), len(model.items)))
        ranked = model.rank(history, question, k, method)
        keys = np.array([*model.items, ""], dtype=object)[ranked]
        wanted = self.wanted(question)
        hits = np.array(
            [[key in items for key in row] for row, items in zip(keys, wanted, strict=True)]
        )
        relevant = np.array([len(items) for items in wanted])
        asked = relevant > 0
        found = {name: np.full(len(wanted), np.nan) for name in ("hit_rate", "recall", "ndcg")}
        if asked.any():
            for name, values in ranked_items(hits[asked], relevant[asked]).items():
                found[name][asked] = values
        return found

    def wanted(self, question: str) -> list[frozenset[str]]:
        """Keys of the items that each customer judged bought next, as far as the question asks."""
        if question == "next":
            return list(self.following)
        own = self.counts[self.judged]
        items = self.baskets.items
        return [
            bought - set(items[own.indices[own.indptr[i] : own.indptr[i + 1]]])
            for i, bought in enumerate(self.following)
        ]


@dataclass(frozen=True)
class Comparison:
    """Which method answers each question, and how that was found.

    Attributes:
        methods: Question -> method.
        l2: Penalty of the weights.
        k: Length of the lists that were judged.
        table: One row a question and method, measured on the later period: question, method,
            baseline, chosen, customers, and hit_rate, recall and ndcg, each with `_low` and
            `_high`; ndcg_gain, gain_low and gain_high against the strongest baseline.
        reasons: One sentence a question.
    """

    methods: Mapping[str, str]
    l2: float
    k: int
    table: pd.DataFrame
    reasons: tuple[str, ...]


def read_period(ledger: Ledger, window: ObservationWindow, item: Item) -> Period:
    """Read histories and what came next from the engine."""
    baskets = bought_items(ledger, window.cutoff, item)
    shape = (len(baskets.customers), len(baskets.items))
    entries = (baskets.days.astype(np.float64), (baskets.row, baskets.column))
    counts = sparse.csr_array(entries, shape=shape)
    # Entries come sorted by customer and item, so the matrix keeps their order.
    since = np.datetime64(window.cutoff - dt.timedelta(days=window.horizon_days), "D")
    later = next_items(ledger, window, item)
    rows = pd.Index(baskets.customers).get_indexer(pd.Index(later.customers))
    bought: dict[int, set[str]] = {}
    for customer, key in zip(rows[later.row], later.items[later.column], strict=True):
        if customer >= 0:
            bought.setdefault(int(customer), set()).add(str(key))
    judged = sorted(bought)
    if len(judged) > MAX_CUSTOMERS:
        drawn = sorted(judged, key=lambda row: _lot(str(baskets.customers[row])))
        judged = sorted(drawn[:MAX_CUSTOMERS])
    return Period(
        window,
        baskets,
        counts,
        baskets.last_day >= since,
        np.array(judged, dtype=np.int64),
        tuple(frozenset(bought[row]) for row in judged),
    )


def compare(earlier: Period, later: Period, item: Item, seed: int = 0) -> Comparison:
    """Choose on the earlier period, judge on the later one; see the module's text.

    Raises:
        NotEnoughDataError: Fewer than `MIN_CUSTOMERS` bought before and after a cutoff.
    """
    for period in (earlier, later):
        if len(period.judged) < MIN_CUSTOMERS:
            raise NotEnoughDataError(
                f"Only {len(period.judged)} customers bought something both before and after "
                f"{period.window.cutoff}; at least {MIN_CUSTOMERS} are needed to compare "
                "forecasts of the next purchase.",
                "Use a longer history, or a longer horizon_days.",
            )
    start = dict.fromkeys(QUESTIONS, "popularity")
    k = 3 if len(later.baskets.items) <= FEW_ITEMS else 10
    fitted = {l2: earlier.fit(item, start, l2) for l2 in PENALTIES}
    l2 = max(PENALTIES, key=lambda l2: _mean(earlier.measure(fitted[l2], "new", k, "ease")))
    judged = later.fit(item, start, l2)
    methods, reasons, tables = {}, [], []
    for question in QUESTIONS:
        before = {m: _mean(earlier.measure(fitted[l2], question, k, m)) for m in METHODS[question]}
        after = {m: later.measure(judged, question, k, m) for m in METHODS[question]}
        asked = np.isfinite(after["popularity"]["ndcg"])
        if asked.sum() < MIN_CUSTOMERS or not np.isfinite(before["popularity"]):
            methods[question] = "popularity"
            reasons.append(f"{_QUESTIONS[question]}: the most popular, as too few bought any")
            continue
        baselines = BASELINES[question]
        models = [m for m in METHODS[question] if m not in baselines]
        model = max(models, key=before.__getitem__)
        baseline = max(baselines, key=before.__getitem__)
        table = _table(question, {m: after[m] for m in METHODS[question]}, asked, seed)
        against = [_gain(after[model], after[b], asked, seed) for b in baselines]
        least = min(against, key=lambda found: found.low)
        chosen = model if least.low > 0.0 else baseline
        table["chosen"] = table["method"] == chosen
        tables.append(table)
        methods[question] = chosen
        verdict = "used" if chosen == model else f"so {_NAMES[baseline]}"
        reasons.append(
            f"{_QUESTIONS[question]}: {_NAMES[model]} gains {least.value:+.4f} NDCG@{k} "
            f"({least.low:+.4f} to {least.high:+.4f}) over the strongest baseline, {verdict}"
        )
    return Comparison(
        methods, l2, k, pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(),
        tuple(reasons),
    )  # fmt: skip


def _mean(measured: Mapping[str, npt.NDArray[np.float64]]) -> float:
    values = measured["ndcg"]
    return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")


def _table(
    question: str,
    after: Mapping[str, Mapping[str, npt.NDArray[np.float64]]],
    asked: npt.NDArray[np.bool_],
    seed: int,
) -> pd.DataFrame:
    n = int(asked.sum())
    code = np.arange(n)
    rows = []
    for method, measured in after.items():
        stacked = np.stack([values[asked] for values in measured.values()])
        draws = resampled_means(stacked, code, n, REPLICATES, seed)
        low, high = np.quantile(draws, [0.025, 0.975], axis=0)
        row: dict[str, Any] = {
            "question": question,
            "method": method,
            "baseline": method in BASELINES[question],
            "customers": n,
        }
        for i, name in enumerate(measured):
            row |= {name: stacked[i].mean(), f"{name}_low": low[i], f"{name}_high": high[i]}
        gains = [_gain(measured, after[b], asked, seed) for b in BASELINES[question] if b != method]
        least = min(gains, key=lambda found: found.value)
        row |= {"ndcg_gain": least.value, "gain_low": least.low, "gain_high": least.high}
        rows.append(row)
    return pd.DataFrame(rows)


def _gain(
    ours: Mapping[str, npt.NDArray[np.float64]],
    theirs: Mapping[str, npt.NDArray[np.float64]],
    asked: npt.NDArray[np.bool_],
    seed: int,
) -> Difference:
    """NDCG gained over another method on the same customers, with its interval."""
    gain = ours["ndcg"][asked] - theirs["ndcg"][asked]
    draws = resampled_means(gain[None, :], np.arange(len(gain)), len(gain), REPLICATES, seed)
    return difference(float(gain.mean()), draws[:, 0])


def _lot(customer: str) -> bytes:
    """As good as drawn by lot, always the same."""
    return hashlib.blake2b(customer.encode(), digest_size=8).digest()
