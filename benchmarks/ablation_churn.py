"""What each part of the churn model is worth out of time, on a shop of your own.

    python benchmarks/ablation_churn.py --config regulars.toml [--cutoffs 6]

Every variant is fitted and calibrated at each of the latest closed cutoffs on what had closed by
then, as in training but for the tuning, and measured on the customers of that cutoff:

- full: trees boosted from the purchase model's log-odds, calibrated
- without BTYD: the same trees without any feature of the purchase model
- without season: without the features that tell the time of the year
- without calibration: the full model's own probabilities
- days_since_last, btyd: the rules

The last rows are the differences to `full` at the last cutoff, with 95 % intervals (customers
resampled).
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import pandas as pd
from scipy.special import expit

from models.btyd.features import BTYD_FEATURES
from models.metrics.bootstrap import resample
from models.scorers import Recipe
from regulars.config import load_config
from regulars.jobs import open_configured_ledger
from regulars.settings import churn_settings
from training import metrics
from training.churn import THREADS, churn_plan, fit_all
from training.churn_panel import churn_panel
from training.churn_recipes import CANDIDATES, P_NONE
from training.churn_rolling import Rolling

RECIPES = {
    "days_since_last": CANDIDATES["days_since_last"],
    "btyd": CANDIDATES["btyd"],
    "without BTYD": Recipe("lightgbm", without=BTYD_FEATURES),
    "without season": Recipe("lightgbm", offset=P_NONE, without=("season",)),
    "full": CANDIDATES["lightgbm_offset"],
}
SHOWN = ("roc_auc", "brier", "log_loss", "ece", "mean_p_minus_rate", "realised_profit")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", type=Path, default=Path("regulars.toml"))
    parser.add_argument("--cutoffs", type=int, default=6)
    given = parser.parse_args()
    config = load_config(given.config)
    settings, ledger = churn_settings(config), open_configured_ledger(config)
    panel = churn_panel(ledger, settings, churn_plan(ledger, settings).cutoffs)
    rolling = Rolling(panel, RECIPES, threads=THREADS)
    days = [c for c in panel.slices if rolling.can_score(c)][-given.cutoffs :]
    fit_all(rolling, RECIPES, days)

    rows, last = [], {}
    for day in days:
        s = panel.slices[day]
        forecasts = {name: rolling.probability(name, day) for name in RECIPES}
        forecasts["without calibration"] = expit(rolling.scores("full", day))
        money = {"value": s.value, "offer": settings.offer}
        for name, p in forecasts.items():
            found = metrics.churn_metrics(s.churned, p, **money)
            rows.append({"variant": name, **{k: found[f"churn/{k}"] for k in SHOWN}})
            if day == days[-1]:
                last[name] = resample(s.churned, p, s.customers, **money, replicates=1000)
    table = pd.DataFrame(rows)
    pd.set_option("display.width", 200)
    print(f"Mean of {len(days)} cutoffs, {days[0]} to {days[-1]}")
    print(table.groupby("variant", sort=False)[list(SHOWN)].mean().round(4).to_string())
    print(f"\nAt {days[-1]}")
    print(table.tail(len(last)).set_index("variant").round(4).to_string())
    print("\nfull minus the variant, with 95 % intervals")
    for name, other in last.items():
        if name == "full":
            continue
        said = []
        for key in ("roc_auc", "brier", "realised_profit"):
            d = last["full"].minus(other, f"churn/{key}")
            said.append(f"{key} {d.value:+.4f} ({d.low:+.4f} to {d.high:+.4f})")
        print(f"  {name:<20}", "; ".join(said))


if __name__ == "__main__":
    main()
