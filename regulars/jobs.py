"""The jobs behind the commands: where the configuration meets training and serving."""

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from features.ledger import Ledger
    from serving.registry import RegisteredModel
    from training.result import TrainingResult
    from training.tracking import Tracking

    from .config import Config

__all__ = [
    "Scores",
    "backtest_models",
    "open_configured_ledger",
    "open_tracking",
    "render_report",
    "score_customers",
    "train_models",
]


@dataclass(frozen=True)
class Scores:
    """A scored list and the models that made it."""

    frame: "pd.DataFrame"
    churn: "RegisteredModel"
    clv: "RegisteredModel"


def open_configured_ledger(config: "Config") -> "Ledger":
    """Read, check and materialise the tables that the configuration names."""
    from features.ledger import open_ledger

    return open_ledger(
        config.source,
        config.tables,
        config.policies,
        config.purchases,
        base=config.base,
        quarantine=config.quarantine,
    )


def open_tracking(config: "Config") -> "Tracking":
    """The tracking store, checked; what is logged to it carries the configuration as a tag."""
    from training.tracking import Tracking

    # Addresses may hold passwords, and say nothing of what a model was made from.
    said = config.model_dump_json(exclude={"mlflow": True, "source": {"url"}})
    tracking = Tracking(config.mlflow.tracking_uri, config.mlflow.experiment, tags={"config": said})
    tracking.check()
    return tracking


def train_models(
    config: "Config", ledger: "Ledger", what: str, *, seed: int
) -> "list[TrainingResult]":
    """Train `churn`, `clv` or `all`, in that order; one result each."""
    from training.churn import ChurnSettings, train_churn
    from training.clv import ClvSettings, train_clv

    tracking = open_tracking(config)
    results = []
    if what in ("churn", "all"):
        churn = ChurnSettings(config.churn.horizon_days, config.churn.gap_days)
        results.append(train_churn(ledger, churn, seed=seed, tracking=tracking))
    if what in ("clv", "all"):
        clv = ClvSettings(
            config.clv.horizon_days, config.clv.annual_discount_rate, config.clv.margin
        )
        results.append(train_clv(ledger, clv, seed=seed, tracking=tracking))
    return results


def score_customers(
    config: "Config", ledger: "Ledger", cutoff: dt.date | None, ids: list[str] | None
) -> Scores:
    """Score with the champions; `ids` None means everyone."""
    from serving.registry import load
    from serving.scorer import score

    churn = load("regulars-churn", tracking_uri=config.mlflow.tracking_uri)
    clv = load("regulars-clv", tracking_uri=config.mlflow.tracking_uri)
    return Scores(score(ledger, cutoff, churn, clv, ids), churn, clv)


def render_report(ledger: "Ledger", scores: Scores) -> str:
    """The report of a scored list as one HTML page."""
    from serving.report import render

    return render(ledger, scores.frame, [scores.churn, scores.clv])


def backtest_models(config: "Config", ledger: "Ledger", *, seed: int) -> "pd.DataFrame":
    """Measure every candidate at rolling cutoffs: one long table."""
    from training.backtest import backtest
    from training.churn import ChurnSettings
    from training.clv import ClvSettings

    return backtest(
        ledger,
        ChurnSettings(config.churn.horizon_days, config.churn.gap_days),
        ClvSettings(config.clv.horizon_days, config.clv.annual_discount_rate, config.clv.margin),
        seed=seed,
    )
