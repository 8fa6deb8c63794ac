"""Loyalty programme: does the adjusted effect cover the truth, and does the raw one miss it?

Simulates shops whose truth is known and compares, for those who joined at a purchase, the
purchase days in the horizon that the estimate finds with what the hidden rates say: on day d a
customer of daily rate r buys with chance S(d) (1 - exp(-r)), where S is the chance to be a
customer still, and membership multiplies r by 1.2. Writes one line a seed and a summary.

    python benchmarks/recovery_loyalty.py --seeds 20 --customers 8000
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[1]))

from features.ledger import Ledger, open_ledger
from features.settings import PolicySettings, PurchaseSettings, SourceSettings, TableSettings
from features.simulate import FILES, MAPPING, simulate
from features.simulate.shop import Shop, season
from serving.loyalty import loyalty_effects

TABLES = ("transactions", "loyalty", "acquisition")


def ledger_of(folder: Path) -> Ledger:
    """The tables of a simulated shop that the effect needs."""
    tables = {name: TableSettings.model_validate(dict(MAPPING[name])) for name in TABLES}
    policies = PolicySettings()
    source = SourceSettings(url=str(folder))
    return open_ledger(source, tables, policies, PurchaseSettings(), folder, None)


def true_effect(folder: Path, joined: pd.DataFrame, shop: Shop, horizon: int) -> pd.DataFrame:
    """Expected purchase days in the horizon with and without membership, by customer.

    Args:
        folder: Of the simulation.
        joined: customer_id and day (since 1970) of those who joined.
        shop: Its calendar and campaigns.
        horizon: Days after the day of joining.

    Returns:
        with_it, without: expected purchase days, in the order of `joined`.
    """
    truth = pd.read_parquet(folder / FILES["truth"]).set_index("customer_id")
    truth = truth.loc[joined["customer_id"]]
    first = int(np.datetime64(shop.start, "D").astype(int))
    ahead = joined["day"].to_numpy()[:, None] + np.arange(1, horizon + 1)
    factor = season(ahead.ravel().astype("datetime64[D]")).reshape(ahead.shape)
    contacts = pd.read_parquet(folder / FILES["contact_truth"])
    contacts = contacts[contacts["arm"] == "treatment"]
    for campaign in shop.campaigns:
        treated = contacts[contacts["campaign"] == campaign.name].set_index("customer_id")
        boost = treated["effect"].reindex(joined["customer_id"]).fillna(0).to_numpy()
        begun = first + campaign.day
        on = (ahead >= begun) & (ahead < begun + campaign.window_days)
        factor *= 1 + on * boost[:, None]
    rate = truth["purchase_rate"].to_numpy()[:, None] / 7 * factor
    dropout = truth["dropout_rate"].to_numpy()[:, None] / 7
    alive = np.exp(-dropout * (np.arange(1, horizon + 1) - 0.5))
    member = 1 + truth["effect_loyalty"].to_numpy()[:, None]
    return pd.DataFrame(
        {
            "with_it": (alive * -np.expm1(-member * rate)).sum(axis=1),
            "without": (alive * -np.expm1(-rate)).sum(axis=1),
        }
    )


def one_seed(arguments: tuple[int, int, int]) -> dict[str, float]:
    """Estimates and truth of one simulated shop."""
    seed, customers, horizon = arguments
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        made = simulate(folder, customers=customers, seed=seed)
        effects = loyalty_effects(ledger_of(folder), horizon)
        assert effects.trials is not None
        assert effects.purchases is not None
        frame = effects.trials.frame
        joined = frame[frame["trial"] & frame["enrols"]]
        shop = Shop(made.first_day, (made.last_day - made.first_day).days + 1)
        truth = true_effect(folder, joined, shop, horizon).mean()
    rows = effects.found.frame
    raw = rows[(rows["measure"] == "loyalty_effect_raw") & (rows["unit"] == "purchases")].iloc[0]
    found = effects.purchases
    return {
        "seed": seed,
        "joined": len(joined),
        "truth": truth["with_it"] - truth["without"],
        "raw": raw["value"],
        "raw_low": raw["low"],
        "raw_high": raw["high"],
        "adjusted": found.adjusted.value,
        "low": found.adjusted.low,
        "high": found.adjusted.high,
        "true_change": truth["with_it"] / truth["without"] - 1,
        "change": found.relative.value,
        "change_low": found.relative.low,
        "change_high": found.relative.high,
    }


def covered(table: pd.DataFrame) -> pd.DataFrame:
    """By seed, whether each interval holds the truth."""
    truth, change = table["truth"], table["true_change"]
    return pd.DataFrame(
        {
            "raw": truth.between(table["raw_low"], table["raw_high"]),
            "adjusted": truth.between(table["low"], table["high"]),
            "change": change.between(table["change_low"], table["change_high"]),
        }
    )


def main() -> None:
    """Run the seeds and print what was covered."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--customers", type=int, default=8000)
    parser.add_argument("--horizon", type=int, default=90)
    parser.add_argument("--workers", type=int, default=1)
    chosen = parser.parse_args()
    seeds = range(chosen.first, chosen.first + chosen.seeds)
    work = [(seed, chosen.customers, chosen.horizon) for seed in seeds]
    with ProcessPoolExecutor(chosen.workers) as pool:
        table = pd.DataFrame(pool.map(one_seed, work))
    hits = covered(table).sum()
    print(table.round(3).to_string(index=False))
    print(
        f"\nmean truth {table['truth'].mean():.3f}, raw {table['raw'].mean():.3f}, adjusted "
        f"{table['adjusted'].mean():.3f}; true change {table['true_change'].mean():.3f}, adjusted "
        f"{table['change'].mean():.3f}\ncovered in {len(table)} seeds: raw {hits['raw']}, "
        f"adjusted {hits['adjusted']}, relative change {hits['change']}"
    )


if __name__ == "__main__":
    main()
