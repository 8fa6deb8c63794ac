"""The whole job on a simulated shop, as a newcomer would run it by hand."""

from pathlib import Path

from features.errors import InputError
from features.label_report import label_report
from features.profile import profile
from features.simulate import simulate
from serving.batch import write_list, write_text
from serving.campaign_list import campaign_list
from serving.report import render

from . import console
from .config import load_config
from .init import write_config
from .jobs import open_configured_ledger, score_customers, train_models
from .promotion import champion_now
from .report import keep_report, material
from .settings import label_spec
from .show.data import show_label, show_profile, show_quality
from .show.scores import ScoredSummary, show_scored
from .show.training import show_training, show_where_to_look

__all__ = ["run_demo"]

_WINDOW_DAYS = 42  # as long as the campaigns of the simulated shop work


def run_demo(folder: Path, *, customers: int, seed: int) -> None:
    """Simulate a shop in `folder/data`, then check, train, score and report.

    Writes `regulars.toml`, `mlflow.db` with its artifacts, `scores.csv`, `campaign.csv` and
    `report.html` to `folder`. Running it again replaces all of them but the tracked runs, which
    add up.

    Raises:
        InputError: The folder holds a `regulars.toml` that the demo did not write.
    """
    marker = folder / "data" / "truth.parquet"
    if (folder / "regulars.toml").exists() and not marker.exists():
        raise InputError(
            f"{folder} holds a regulars.toml of your own.", "Name another folder for the demo."
        )
    console.say(f"1. A simulated shop of {customers:,} customers, in {folder / 'data'}")
    simulate(folder / "data", customers=customers, seed=seed)
    write_config(folder, None, force=True, window_days=_WINDOW_DAYS)

    config = load_config(folder)
    console.say("2. What the data says of itself")
    ledger = open_configured_ledger(config)
    show_quality(ledger.quality, config.quarantine)
    spec = label_spec(config)
    found = profile(ledger, spec.horizon_days, spec.gap_days, spec.eligibility)
    show_profile(found)
    show_label(label_report(ledger, spec, found.churn))

    console.say("3. Training, out of time, tracked in MLflow")
    results = train_models(config, ledger, "all", seed=seed)
    for result in results:
        show_training(result, champion_now(config, result.name))

    console.say("4. Scoring everyone with the registered champions")
    scores = score_customers(config, ledger, None, None)
    scored_list = write_list(scores.frame, folder / "scores.csv")
    campaign = write_list(campaign_list(scores.plan, scores.frame), folder / "campaign.csv")
    told = material(config, ledger, scores, watch=True)
    report = write_text(render(told), folder / "report.html")
    keep_report(config, ledger, results, told)
    summary = ScoredSummary()
    summary.add(scores.frame)
    show_scored(summary)

    console.say()
    console.say(f"The scored list:  {scored_list}")
    console.say(f"Whom to contact:  {campaign}")
    console.say(f"The report:       {report}")
    show_where_to_look(config)
