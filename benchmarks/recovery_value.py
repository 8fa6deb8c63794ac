"""Value: do CLV and LTV : CAC hold the truth of simulated shops within their intervals?

Each seed is a shop of its own. A purchase model and a spend model (MBG/NBD and Gamma-Gamma, as in
the first CLV candidate) are fitted to its history, everyone is scored, and `business_measures`
gives clv_predictive and ltv_to_cac for everyone and for each channel of acquisition. The truth of
the same customers is what they have brought and, knowing each one's hidden rates, what they are
expected to bring in the next year, less the share of goods that comes back. Nothing is discounted.

A model that does not know of channels draws them together. On large shops that is more than chance,
and more than the intervals hold; `--with-channel` makes the channel a covariate of both models.

    python benchmarks/recovery_value.py --seeds 20 --customers 1500
    python benchmarks/recovery_value.py --seeds 20 --customers 8000 --with-channel
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[1]))

from features.attributes import attributes
from features.ledger import Ledger, open_ledger
from features.measures import ask
from features.measures.predictive import predictive
from features.rfm import rfm_summary
from features.settings import PolicySettings, PurchaseSettings, SourceSettings, TableSettings
from features.simulate import MAPPING, simulate
from features.window import ObservationWindow
from models.btyd.modified_beta_geo import ModifiedBetaGeoNBD
from models.clv import CustomerLifetimeValue
from models.spend import GammaGamma

MEASURES = ("clv_predictive", "ltv_to_cac")


def ledger_of(folder: Path) -> Ledger:
    """Transactions and acquisitions of a simulated shop."""
    tables = {
        name: TableSettings.model_validate(dict(MAPPING.get(name, {})))
        for name in ("transactions", "acquisition")
    }
    source = SourceSettings(url=str(folder))
    return open_ledger(source, tables, PolicySettings(), PurchaseSettings(), folder, None)


def scored_list(ledger: Ledger, seed: int, with_channel: bool = False) -> pd.DataFrame:
    """Everyone with a purchase, with the columns of a scored list that value needs."""
    end = pd.Timestamp(ledger.last_day) + pd.Timedelta(days=1)
    rfm = rfm_summary(ledger.purchases(end.date()), end.date()).order_by("customer_id")
    frame = rfm.to_pyarrow().to_pandas().set_index("customer_id")
    if with_channel:
        window = ObservationWindow(ledger.first_day, end.date())
        frame = frame.join(attributes(ledger, window, ["channel"]))
        columns = ("channel",)
        purchases = ModifiedBetaGeoNBD(covariates={"rate": columns, "dropout": columns})
        purchases.fit(frame, seed=seed, method="laplace")
        spend = GammaGamma(covariates=columns).fit(frame, seed=seed, method="laplace")
        model = CustomerLifetimeValue(purchases, spend)
    else:
        model = CustomerLifetimeValue().fit(frame, seed=seed, method="laplace")
    value = model.predict(frame, annual_discount_rate=0.0)
    found = value[["clv", "clv_low", "clv_high"]].reset_index()
    nothing = dict.fromkeys(("churn_probability", "churn_low", "churn_high"), float("nan"))
    return found.assign(as_of=end, status="scored", risk_tier=None, **nothing)


def truth_of(folder: Path, ids: pd.Series) -> pd.DataFrame:
    """What is true of the customers scored: measure, segment, truth."""
    truth = pd.read_parquet(folder / "truth.parquet").set_index("customer_id").loc[ids]
    kept = truth["net_spend"].sum() / (truth["orders"] * truth["mean_spend"]).sum()
    truth["future"] = kept * truth["expected_spend_next_year"]
    truth["both"] = truth["net_spend"] + truth["future"]
    groups = [("all", truth)]
    groups += [(f"channel={name}", own) for name, own in truth.groupby("channel")]
    rows = []
    for segment, own in groups:
        rows.append(("clv_predictive", segment, own["future"].mean()))
        cost = own["acquisition_cost"].sum()
        if cost > 0:
            rows.append(("ltv_to_cac", segment, own["both"].sum() / cost))
    return pd.DataFrame(rows, columns=["measure", "segment", "truth"])


def recover(seed: int, customers: int, folder: Path, with_channel: bool = False) -> pd.DataFrame:
    """One shop: a row for each measure and segment, with the truth beside it."""
    simulate(folder, customers=customers, days=1095, seed=seed)
    ledger = ledger_of(folder)
    scored = scored_list(ledger, seed, with_channel)
    with ask(ledger) as asked:
        found = predictive(asked, scored).frame
    table = truth_of(folder, scored["customer_id"]).merge(found, on=["measure", "segment"])
    inside = (table["low"] <= table["truth"]) & (table["truth"] <= table["high"])
    return table.assign(seed=seed, inside=inside, off=table["value"] / table["truth"] - 1)


def _one(arguments: tuple[int, int, bool]) -> pd.DataFrame:
    seed, customers, with_channel = arguments
    with tempfile.TemporaryDirectory() as folder:
        return recover(seed, customers, Path(folder) / "shop", with_channel)


def main() -> None:
    """Run the seeds and print how often the truth is inside, and how far the figure is off."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--customers", type=int, default=1500)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--with-channel", action="store_true", help="as a covariate")
    given = parser.parse_args()
    work = [(seed, given.customers, given.with_channel) for seed in range(given.seeds)]
    with ProcessPoolExecutor(given.workers) as pool:
        table = pd.concat(pool.map(_one, work), ignore_index=True)
    width = (table["high"] - table["low"]) / (2 * table["truth"])
    by = table.assign(width=width).groupby(["measure", "segment"])
    shown = by.agg(
        seeds=("seed", "count"),
        inside=("inside", "sum"),
        mean_off=("off", "mean"),
        rmse_off=("off", lambda off: float((off**2).mean() ** 0.5)),
        half_width=("width", "mean"),
    )
    print(shown.round(3).to_string())
    print(f"inside: {table['inside'].sum()} of {len(table)}")


if __name__ == "__main__":
    main()
