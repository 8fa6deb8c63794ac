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
    from serving.actions import Decision
    from serving.registry import RegisteredModel
    from training.backtest import Backtest
    from training.churn_panel import ChurnSettings, Effort
    from training.clv_fitting import ClvSettings
    from training.policy_backtest import Terms
    from training.result import TrainingResult
    from training.tracking import Tracking

    from .config import Config, OfferOptions

__all__ = [
    "Scores",
    "backtest_models",
    "churn_settings",
    "clv_settings",
    "decision",
    "label_spec",
    "open_configured_ledger",
    "open_tracking",
    "score_customers",
    "terms",
    "train_models",
    "write_figures",
    "write_label_figure",
]


@dataclass(frozen=True)
class Scores:
    """A scored list, the models that made it, and what is to be done.

    Attributes:
        frame: The scored list.
        churn: The churn model.
        clv: The customer-lifetime-value model.
        plan: Of `serving.actions.plan`, row for row as in the list.
        decision: What the plan was made with.
    """

    frame: "pd.DataFrame"
    churn: "RegisteredModel"
    clv: "RegisteredModel"
    plan: "pd.DataFrame"
    decision: "Decision"


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
        terms=terms(config),
        value=decision.value,
        margin=config.clv.margin,
        use_acquisition_cost=decision.use_acquisition_cost,
        effort=effort,
        trials=said.trials if effort == "usual" else None,
        minutes=said.minutes,
        candidates=said.candidates,
    )


def decision(config: "Config") -> "Decision":
    """What the configuration says may be sent, what it costs, and whom it is sent to."""
    from models.decision import Offer
    from serving.actions import Decision, PlannedOffer

    said = config.decision
    usual = {name: getattr(said, name) for name in Offer.__dataclass_fields__}

    def offer(each: "OfferOptions") -> PlannedOffer:
        own = {name: getattr(each, name) for name in usual if getattr(each, name) is not None}
        return PlannedOffer(
            each.name,
            Offer(**usual | own),
            each.effect,
            each.campaign or each.name,
            each.model,
            each.keeps_days,
            each.only,
            each.min_p_alive,
            each.earns,
        )

    return Decision(
        tuple(map(offer, said.offers)) or (PlannedOffer(offer=Offer(**usual)),),
        said.budget,
        said.list_size,
        said.max_contacts,
        said.contact_days,
        said.control_share,
        said.seed,
        said.value,
        config.clv.margin,
        said.use_acquisition_cost,
    )


def terms(config: "Config") -> "Terms":
    """The offers whose effect is assumed, and the limits of a list, for the plan's backtest.

    Where all effects are learned, it is the offer of `[decision]` itself.
    """
    from models.decision import Offer
    from serving.actions import YEAR_DAYS
    from training.policy_backtest import Terms

    said = config.decision
    offers = [each for each in decision(config).offers if each.effect == "assumed"]
    usual = Offer(said.contact_cost, said.offer_cost, said.save_rate, said.redemption)
    return Terms(
        tuple(each.offer for each in offers) or (usual,),
        tuple(each.keeps_days / YEAR_DAYS for each in offers),
        said.budget,
        said.list_size,
    )


def train_models(
    config: "Config", ledger: "Ledger", what: str, *, seed: int, effort: "Effort" = "usual"
) -> "list[TrainingResult]":
    """Train `churn`, `clv`, `segments`, `next`, `uplift` or `all`, in that order.

    All leaves segments as they are where they are learned already, and leaves out what the data
    does not allow.
    """
    from training.churn import train_churn
    from training.clv import train_clv

    from .campaigns import train_uplift_model
    from .segments import train_next_purchase, train_segment_model

    tracking = open_tracking(config)
    results = []
    if what in ("churn", "all"):
        churn = churn_settings(config, effort)
        results.append(train_churn(ledger, churn, seed=seed, tracking=tracking))
    if what in ("clv", "all"):
        results.append(train_clv(ledger, clv_settings(config), seed=seed, tracking=tracking))
    others = {
        "segments": train_segment_model,
        "next": train_next_purchase,
        "uplift": train_uplift_model,
    }
    for name, train_one in others.items():
        if what in (name, "all"):
            found = train_one(config, ledger, tracking, seed=seed, asked=what == name)
            results += [] if found is None else [found]
    return results


def score_customers(
    config: "Config",
    ledger: "Ledger",
    cutoff: dt.date | None,
    ids: list[str] | None,
    *,
    language: str = "en",
    chosen: "Decision | None" = None,
) -> Scores:
    """Score with the champions and plan; `ids` None means everyone.

    `chosen` takes the place of what the configuration says of the decision.
    """
    from serving.registry import load, load_if_any
    from serving.scorer import score_and_plan
    from serving.segments import NEXT

    uri = config.mlflow.tracking_uri
    churn, clv = load("regulars-churn", tracking_uri=uri), load("regulars-clv", tracking_uri=uri)
    what = decision(config) if chosen is None else chosen
    learned = {each.name: each.model for each in what.offers if each.effect == "uplift"}
    models = {name: load_if_any(name, tracking_uri=uri) for name in sorted(set(learned.values()))}
    uplift = {offer: model for offer, name in learned.items() if (model := models[name])}
    frame, plan = score_and_plan(
        ledger,
        cutoff,
        churn,
        clv,
        ids,
        settings=config.features,
        language=language,
        decision=what,
        uplift=uplift,
        following=load_if_any(NEXT, tracking_uri=uri),
    )
    return Scores(frame, churn, clv, plan, what)


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
