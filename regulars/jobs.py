"""The jobs behind the commands: where the configuration meets training and serving."""

import datetime as dt
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from features.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from features.label_report import LabelReport
    from features.labels import LabelSpec
    from features.ledger import Ledger
    from serving.registry import RegisteredModel
    from training.backtest import Backtest
    from training.churn_panel import ChurnSettings, Effort
    from training.clv_fitting import ClvSettings
    from training.result import TrainingResult
    from training.tracking import Tracking

    from .config import Config

__all__ = [
    "Scores",
    "backtest_models",
    "churn_settings",
    "clv_settings",
    "label_spec",
    "open_configured_ledger",
    "open_tracking",
    "render_report",
    "score_customers",
    "train_models",
    "write_figures",
    "write_label_figure",
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


def label_spec(config: "Config") -> "LabelSpec":
    """What the configuration says that churned means."""
    from features.labels import LabelSpec

    said = config.churn
    return LabelSpec(said.horizon_days, said.gap_days, said.eligibility)


def open_tracking(config: "Config") -> "Tracking":
    """The tracking store, checked; what is logged to it carries the configuration as a tag."""
    from training.tracking import Tracking

    # Addresses may hold passwords, and say nothing of what a model was made from.
    said = config.model_dump_json(exclude={"mlflow": True, "source": {"url"}})
    tracking = Tracking(config.mlflow.tracking_uri, config.mlflow.experiment, tags={"config": said})
    tracking.check()
    return tracking


def churn_settings(config: "Config", effort: "Effort" = "usual") -> "ChurnSettings":
    """What the configuration says of the churn model, and how hard to try."""
    from models.decision import Offer
    from training.churn_panel import ChurnSettings

    said, decision = config.churn, config.decision
    return ChurnSettings(
        said.horizon_days,
        said.gap_days,
        said.eligibility,
        said.label,
        features=config.features,
        offer=Offer(
            decision.contact_cost, decision.offer_cost, decision.save_rate, decision.redemption
        ),
        value=decision.value,
        margin=config.clv.margin,
        use_acquisition_cost=decision.use_acquisition_cost,
        effort=effort,
        trials=said.trials if effort == "usual" else None,
        minutes=said.minutes,
        candidates=said.candidates,
    )


def train_models(
    config: "Config", ledger: "Ledger", what: str, *, seed: int, effort: "Effort" = "usual"
) -> "list[TrainingResult]":
    """Train `churn`, `clv` or `all`, in that order; one result each."""
    from training.churn import train_churn
    from training.clv import train_clv

    tracking = open_tracking(config)
    results = []
    if what in ("churn", "all"):
        churn = churn_settings(config, effort)
        results.append(train_churn(ledger, churn, seed=seed, tracking=tracking))
    if what in ("clv", "all"):
        results.append(train_clv(ledger, clv_settings(config), seed=seed, tracking=tracking))
    return results


def score_customers(
    config: "Config",
    ledger: "Ledger",
    cutoff: dt.date | None,
    ids: list[str] | None,
    *,
    language: str = "en",
) -> Scores:
    """Score with the champions; `ids` None means everyone."""
    from serving.registry import load
    from serving.scorer import score

    churn = load("regulars-churn", tracking_uri=config.mlflow.tracking_uri)
    clv = load("regulars-clv", tracking_uri=config.mlflow.tracking_uri)
    frame = score(ledger, cutoff, churn, clv, ids, settings=config.features, language=language)
    return Scores(frame, churn, clv)


def render_report(ledger: "Ledger", scores: Scores) -> str:
    """The report of a scored list as one HTML page."""
    from serving.report import render

    return render(ledger, scores.frame, [scores.churn, scores.clv])


def clv_settings(config: "Config") -> "ClvSettings":
    """What the configuration says of the CLV model."""
    from training.clv_fitting import ClvSettings

    said = config.clv
    covariates = {name: value for name, value in said.covariates.model_dump().items() if value}
    return ClvSettings(
        said.horizon_days,
        said.annual_discount_rate,
        said.margin,
        covariates=covariates,
        segment=said.segment,
        holidays=said.holidays,
        priors=said.priors,
        candidates=said.candidates,
    )


def backtest_models(config: "Config", ledger: "Ledger", *, seed: int) -> "Backtest":
    """Measure every candidate at rolling cutoffs."""
    from training.backtest import backtest

    return backtest(ledger, churn_settings(config), clv_settings(config), seed=seed)


def write_figures(result: "Backtest", folder: Path) -> list[Path]:
    """Write the pictures of a backtest to a folder as PNG files; it is made if need be."""
    from serving.batch import writing
    from training.clv_backtest import backtest_figures

    _make_folder(folder)
    written = []
    for name, figure in backtest_figures(result.clv).items():
        path = folder / f"{name}.png"
        with writing(path) as file:
            figure.savefig(file, format="png")
        written.append(path)
    return written


def write_label_figure(report: "LabelReport", folder: Path) -> Path:
    """Write the picture of a label report to a folder as a PNG file; it is made if need be."""
    from serving.batch import writing
    from training.figures.label import label

    _make_folder(folder)
    path = folder / "label.png"
    with writing(path) as file:
        label(report).savefig(file, format="png")
    return path


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise InputError(
            f"{folder} cannot be made: {problem.strerror}.", "Choose a folder you can write to."
        ) from None
