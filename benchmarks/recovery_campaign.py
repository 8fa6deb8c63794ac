"""How well campaigns are measured where the truth is known: simulated shops over many seeds.

    python benchmarks/recovery_campaign.py --seeds 20 --customers 8000
    python benchmarks/recovery_campaign.py --seeds 20 --customers 8000 --observable

For every campaign of every shop the true average effects are known (`truth_contacts.parquet`): what
both arms would do in the window, given the state at the contact. Counted is how often the 95 %
interval holds the truth, and how far off the estimate is in standard errors.

For every kind of treatment the uplift model is fitted on the campaigns that had closed before the
kind's last one. Its ranking is measured by the Qini area of the true effects, as a share of

- the oracle's, who ranks by each customer's true effect. It hangs on traits that no data shows,
  whether the customer has silently left above all;
- the best from what the features show: trees that were fitted to the true effects of the earlier
  campaigns, which no data would give.

With `--observable` there is no shop but a table of customers whose effect depends on what it shows,
and an experiment with a random half treated: what is left to the learner alone.

Writes one line a seed, then the summary.
"""

from __future__ import annotations

import argparse
import tempfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd

KINDS = ("voucher", "email", "call")
WINDOW = 42
"""Days that the effect of a simulated campaign lasts."""


def open_shop(folder: Path):
    """The ledger of a simulated shop."""
    from features.ledger import open_ledger
    from features.settings import PolicySettings, PurchaseSettings, SourceSettings

    source = SourceSettings(url=str(folder))
    return open_ledger(source, {}, PolicySettings(), PurchaseSettings(), folder, None)


def average_effects(ledger, truth: pd.DataFrame) -> pd.DataFrame:
    """Estimate and truth of each campaign, plain and adjusted."""
    from serving.campaigns import CampaignSettings, measure_campaigns

    reports = measure_campaigns(ledger, CampaignSettings(WINDOW, WINDOW)).reports
    rows = []
    for name, true in truth.groupby("campaign"):
        tau = true["purchase_probability_treatment"] - true["purchase_probability_control"]
        more = true["expected_orders_treatment"] - true["expected_orders_control"]
        wanted = {"purchase": tau.mean(), "spend": (more * true["mean_spend"]).mean()}
        for how in ("effects", "adjusted"):
            for effect, value in wanted.items():
                found = getattr(reports[name], how).get(effect)
                if found is None:
                    continue
                rows.append(
                    {
                        "campaign": name,
                        "effect": effect,
                        "how": "plain" if how == "effects" else how,
                        "truth": value,
                        "estimate": found.value,
                        "covered": found.low <= value <= found.high,
                        "z": (found.value - value) / found.se,
                        "se": found.se,
                        "random": reports[name].balance.random,
                    }
                )
    return pd.DataFrame(rows)


def rankings(ledger, truth: pd.DataFrame, learners: tuple[str, ...]) -> pd.DataFrame:
    """Qini area of the true effects by kind and learner, as a share of the oracle's."""
    from models.booster import raw_scores
    from models.uplift.examples import fit_base
    from models.uplift.learners import fit_effects
    from models.uplift.qini import true_qini
    from models.uplift.trees import effect_trees, scores
    from training.uplift_examples import Pool, trials

    found = trials(ledger, WINDOW)
    tau = truth["purchase_probability_treatment"] - truth["purchase_probability_control"]
    tau.index = pd.MultiIndex.from_frame(truth[["campaign", "customer_id"]])

    def true_effects(trial):
        return tau[trial.campaign.name].reindex(trial.features.index).to_numpy()

    rows = []
    for kind in KINDS:
        test = found.of(kind)[-1]
        earlier = found.before(test.campaign.first_day)
        pool = Pool.of(earlier, 0, 1)
        X, effect = pool.inputs.matrix(test.features), true_effects(test)
        base = raw_scores(fit_base(pool.inputs, pool.X, pool.y, seed=0), X)
        seen = np.concatenate([true_effects(trial) for trial in earlier.of(kind)])
        best = effect_trees(pool.examples[kind].X, seen, "regression", 500)
        oracle = true_qini(effect, effect)
        scored = {"best from features": scores(best, X)}
        for name in learners:
            scored[name] = fit_effects(name, pool.examples[kind], seed=0)(X, base)
        for name, score in scored.items():
            rows.append(
                {
                    "kind": kind,
                    "learner": name,
                    "customers": len(seen),
                    "of_oracle": true_qini(effect, score) / oracle,
                }
            )
    return pd.DataFrame(rows)


def one_seed(job: tuple[int, int, tuple[str, ...]]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Simulate, measure and rank one shop."""
    seed, customers, learners = job
    from features.simulate import simulate

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        simulate(folder, customers=customers, seed=seed)
        truth = pd.read_parquet(folder / "truth_contacts.parquet")
        ledger = open_shop(folder)
        average, ranked = average_effects(ledger, truth), rankings(ledger, truth, learners)
    return average.assign(seed=seed), ranked.assign(seed=seed)


def observable(arguments: tuple[int, int, tuple[str, ...]]) -> dict[str, float]:
    """Of the oracle's Qini area, what each learner reaches where features tell the effect."""
    from scipy.special import expit

    from models.uplift.examples import Examples
    from models.uplift.learners import cross_fitted_effects
    from models.uplift.qini import true_qini

    seed, customers, learners = arguments
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        rng.normal(size=(customers, 4)),
        index=[f"c{i:06d}" for i in range(customers)],
        columns=["activity", "taste", "tenure", "noise"],
    )
    untreated = -0.5 + 1.2 * frame["activity"]
    p0, p1 = expit(untreated), expit(untreated + 1.5 * (frame["taste"] > 0))
    treated = (rng.random(customers) < 0.5).astype(float)
    y = (rng.random(customers) < np.where(treated == 1, p1, p0)).astype(float)
    known, effect = Examples.of(frame, y, treated), (p1 - p0).to_numpy()
    best = true_qini(effect, effect)
    found = {name: cross_fitted_effects(name, known, seed=0) for name in learners}
    return {name: true_qini(effect, each) / best for name, each in found.items()}


def main() -> None:
    """Run all seeds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--customers", type=int, default=8000)
    parser.add_argument("--learners", nargs="*", default=["odds"])
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--observable", action="store_true")
    arguments = parser.parse_args()
    jobs = [
        (seed, arguments.customers, tuple(arguments.learners))
        for seed in range(100, 100 + arguments.seeds)
    ]
    if arguments.observable:
        shares = pd.DataFrame(map(observable, jobs))
        print(shares.agg(["mean", "min", "max"]).round(3).to_string())
        return
    averages, ranks = [], []
    with ProcessPoolExecutor(arguments.processes, mp_context=get_context("spawn")) as pool:
        for average, ranked in pool.map(one_seed, jobs):
            averages.append(average)
            ranks.append(ranked)
            plain = average[(average["how"] == "plain") & (average["effect"] == "purchase")]
            odds = ranked.pivot_table("of_oracle", "learner", "kind").round(2)
            print(
                f"seed {average['seed'].iloc[0]}: {plain['covered'].sum()} of {len(plain)} "
                f"intervals hold the effect on buying; of the oracle {odds.to_dict('index')}",
                flush=True,
            )
    average, ranked = pd.concat(averages), pd.concat(ranks)
    summary = average.groupby(["effect", "how"]).agg(
        campaigns=("covered", "size"),
        covered=("covered", "mean"),
        mean_z=("z", "mean"),
        mean_se=("se", "mean"),
    )
    print(summary.round(3).to_string())
    last = average[(average["how"] == "plain") & (average["effect"] == "purchase")]
    latest = last[last["campaign"].str.startswith("voucher")].groupby("seed").tail(1)
    print(f"last voucher campaign: {latest['covered'].sum()} of {len(latest)} seeds covered")
    print(f"assignments taken for random: {last['random'].mean():.1%}")
    table = ranked.pivot_table("of_oracle", ["kind", "seed"], "learner")
    print(table.groupby("kind").agg(["mean", "std"]).round(3).to_string())
    shares = table.div(table["best from features"], axis=0).groupby("kind").mean()
    print("as a share of the best from features:\n" + shares.round(3).to_string())


if __name__ == "__main__":
    main()
