"""Decisions: does a plan earn what it promises, and does the past tell what lists earned?

Simulates shops whose truth is known. Two comparisons a seed:

- The plan at the end of the data by a purchase model and a spend model (MBG/NBD, Gamma-Gamma; an
  offer of 5 for 0.5 a contact that keeps 20 %): its expected value, against that of the same list
  by the true churn probabilities and the true values of customers who stay.
- Lists in past campaigns: the inverse-propensity estimate of what they earned in 42 days, against
  the hidden orders of both arms. Is the truth inside the 95 % interval?

    python benchmarks/recovery_decisions.py --seeds 20 --customers 8000
"""

from __future__ import annotations

import argparse
import datetime as dt
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[1]))

from features.campaigns import campaign_outcomes, campaigns
from features.ledger import Ledger, open_ledger
from features.rfm import rfm_summary
from features.settings import PolicySettings, PurchaseSettings, SourceSettings, TableSettings
from features.simulate import FILES, MAPPING, simulate
from features.simulate.process import window_truth
from features.simulate.shop import Shop
from models.btyd.features import btyd_features
from models.decision import Offer, expected_value
from models.worth import value_if_kept
from training.off_policy import off_policy_backtest
from training.policy_backtest import Moment, Terms, policy_lists

OFFER = Offer(0.5, 5.0, 0.20)
HORIZON, WINDOW = 90, 42


def ledger_of(folder: Path) -> Ledger:
    """Transactions and contacts of a simulated shop."""
    names = ("transactions", "contacts")
    tables = {name: TableSettings.model_validate(dict(MAPPING[name])) for name in names}
    source = SourceSettings(url=str(folder))
    return open_ledger(source, tables, PolicySettings(), PurchaseSettings(), folder, None)


def moment(ledger: Ledger, cutoff: dt.date) -> Moment:
    """What the purchase model says of everybody at a cutoff; outcomes are not looked at."""
    rfm = rfm_summary(ledger.purchases(cutoff), cutoff).order_by("customer_id").to_pyarrow()
    frame = rfm.to_pandas().set_index("customer_id")
    expected = btyd_features(frame, HORIZON)
    return Moment(
        cutoff,
        np.zeros(len(frame)),
        {"model": expected["probability_no_purchase"].to_numpy()},
        value_if_kept(expected["value_if_alive"]),
        frame.index.to_numpy(object),
    )


def true_plan(folder: Path, who: np.ndarray, shop: Shop) -> tuple[np.ndarray, np.ndarray]:
    """True churn probability at the end of the data, and true spend in a year of who stays."""
    truth = pd.read_parquet(folder / FILES["truth"]).set_index("customer_id").loc[who]
    member = np.where(truth["enrolled_at"].notna(), 1 + truth["effect_loyalty"], 1.0)
    rate = truth["purchase_rate"].to_numpy() / 7 * member
    dropout = truth["dropout_rate"].to_numpy() / 7
    alive = truth["is_alive"].to_numpy(float)
    some = alive * window_truth(rate, dropout, shop.season(shop.days, HORIZON))[1]
    orders = window_truth(rate, dropout, shop.season(shop.days, 365))[0]
    return 1.0 - some, orders * truth["mean_spend"].to_numpy()


def one_seed(arguments: tuple[int, int]) -> list[dict[str, object]]:
    """Promise and truth of one simulated shop."""
    seed, customers = arguments
    terms = Terms((OFFER,))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        made = simulate(folder, customers=customers, seed=seed)
        shop = Shop(made.first_day, (made.last_day - made.first_day).days + 1)
        ledger = ledger_of(folder)
        now = moment(ledger, made.last_day + dt.timedelta(days=1))
        p, value = true_plan(folder, now.customers, shop)
        earns = expected_value(now.forecasts["model"], now.value, OFFER)
        listed = earns > 0.0
        rows: list[dict[str, object]] = [
            {
                "seed": seed,
                "what": "plan",
                "contacted": float(listed.mean()),
                "estimate": float(earns[listed].sum() / len(listed)),
                "truth": float(expected_value(p, value, OFFER)[listed].sum() / len(listed)),
            }
        ]
        hidden = pd.read_parquet(folder / FILES["contact_truth"])
        past = [each for each in campaigns(ledger) if each.randomised][2:]
        for campaign in past:
            then = moment(ledger, campaign.first_day)
            found = off_policy_backtest(ledger, [then], terms, window_days=WINDOW, seed=seed)
            if found.empty:
                continue
            estimate = found.set_index("policy").loc["model"]
            told = hidden[hidden["campaign"] == campaign.name].set_index("customer_id")
            share = pd.Series(policy_lists(then, terms)["model"].share, index=then.customers)
            who = campaign_outcomes(ledger, campaign.name, window_days=WINDOW)
            who = who[who["treated"].notna() & who.index.isin(then.customers)]
            told, on = told.loc[who.index], share.loc[who.index]
            more = told["expected_orders_treatment"] - told["expected_orders_control"]
            cost = who.loc[(who["treated"] == 1) & (on > 0), "cost"].mean()
            rows.append(
                {
                    "seed": seed,
                    "what": campaign.kind,
                    "contacted": float(on.mean()),
                    "estimate": estimate["gain"],
                    "truth": float((on * (more * told["mean_spend"] - cost)).mean()),
                    "low": estimate["low"],
                    "high": estimate["high"],
                }
            )
    return rows


def main() -> None:
    """Run the seeds and print what was promised and what is true."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--customers", type=int, default=8000)
    parser.add_argument("--workers", type=int, default=1)
    chosen = parser.parse_args()
    work = [(s, chosen.customers) for s in range(chosen.first, chosen.first + chosen.seeds)]
    with ProcessPoolExecutor(chosen.workers) as pool:
        table = pd.DataFrame([row for rows in pool.map(one_seed, work) for row in rows])
    plans, past = table[table["what"] == "plan"], table[table["what"] != "plan"]
    print(plans.drop(columns=["low", "high"]).round(3).to_string(index=False))
    ratio = plans["estimate"] / plans["truth"]
    print(
        f"\nplan: promised / true {ratio.mean():.3f} (from {ratio.min():.3f} to {ratio.max():.3f})"
    )
    inside = past["truth"].between(past["low"], past["high"])
    summary = past.assign(inside=inside, error=past["estimate"] - past["truth"]).groupby("what")
    print(
        summary.agg(
            lists=("inside", "size"),
            inside=("inside", "mean"),
            truth=("truth", "mean"),
            estimate=("estimate", "mean"),
            error=("error", "mean"),
        ).round(3)
    )
    print(f"\npast lists: {inside.sum()} of {len(inside)} intervals hold the truth")


if __name__ == "__main__":
    main()
