"""The jobs behind the commands: open the ledger, train, score, backtest.

What a notebook needs of `settings` can be had from here, too.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .settings import churn_settings, clv_settings, decision

if TYPE_CHECKING:
    import pandas as pd

    from features.ledger import Ledger
    from serving.blocks import Blocks
    from serving.offers import Decision
    from serving.registry import RegisteredModel
    from training.backtest import Backtest
    from training.churn_panel import Effort
    from training.result import TrainingResult
    from training.tracking import Tracking

    from .config import Config

__all__ = [
    "RECENT",
    "Scores",
    "Scoring",
    "backtest_models",
    "open_configured_ledger",
    "open_tracking",
    "score_customers",
    "scoring_customers",
    "train_models",
]


RECENT = 365
"""Days before a cutoff whose breaks are told when it is scored: features look back that far."""


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

    frame: pd.DataFrame
    churn: RegisteredModel
    clv: RegisteredModel
    plan: pd.DataFrame
    decision: Decision


@dataclass(frozen=True)
class Scoring:
    """A scored list in blocks; as `Scores`.

    Attributes:
        blocks: Of the scored list and of the plan.
        churn: The churn model.
        clv: The customer-lifetime-value model.
        decision: What the plan was made with.
    """

    blocks: Blocks
    churn: RegisteredModel
    clv: RegisteredModel
    decision: Decision


def open_configured_ledger(config: Config, memory: str | None = None) -> Ledger:
    """Read, check and materialise the tables that the configuration names.

    `memory` is how much the engine takes where the configuration does not say.
    """
    from features.ledger import open_ledger

    return open_ledger(
        config.source,
        config.tables,
        config.policies,
        config.purchases,
        base=config.base,
        quarantine=config.quarantine,
        memory=config.source.memory or memory,
    )


def open_tracking(config: Config) -> Tracking:
    """The tracking store, checked; what is logged to it carries the configuration as a tag."""
    from training.tracking import Tracking

    # Addresses may hold passwords, and say nothing of what a model was made from.
    said = config.model_dump_json(exclude={"mlflow": True, "source": {"url"}, "monitor": True})
    tracking = Tracking(config.mlflow.tracking_uri, config.mlflow.experiment, tags={"config": said})
    tracking.check()
    return tracking


def train_models(
    config: Config, ledger: Ledger, what: str, *, seed: int, effort: Effort = "usual"
) -> list[TrainingResult]:
    """Train `churn`, `clv`, `segments`, `next`, `uplift` or `all`, in that order.

    All leaves segments as they are where they are learned already, and leaves out what the data
    does not allow.
    """
    from features.breaks import note_breaks
    from training.churn import train_churn
    from training.clv import train_clv

    from .campaigns import train_uplift_model
    from .segments import train_next_purchase, train_segment_model

    tracking = open_tracking(config)
    note_breaks(ledger)
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
    config: Config,
    ledger: Ledger,
    cutoff: dt.date | None,
    ids: list[str] | None,
    *,
    language: str = "en",
    chosen: Decision | None = None,
) -> Scores:
    """Score with the champions and plan; `ids` None means everyone.

    `chosen` takes the place of what the configuration says of the decision.
    """
    from serving.scorer import together

    with scoring_customers(config, ledger, cutoff, ids, language=language, chosen=chosen) as found:
        frame, plan = together(found.blocks)
        return Scores(frame, found.churn, found.clv, plan, found.decision)


@contextmanager
def scoring_customers(
    config: Config,
    ledger: Ledger,
    cutoff: dt.date | None,
    ids: list[str] | None,
    *,
    language: str = "en",
    chosen: Decision | None = None,
    work: Path | None = None,
) -> Iterator[Scoring]:
    """As `score_customers`, with the list in blocks, to be gone through inside the context.

    `work` is where finished blocks are kept until the list stands; see `serving.scorer.scoring`.
    """
    from features.breaks import note_breaks
    from serving.registry import load, load_if_any
    from serving.scorer import scoring
    from serving.segments import NEXT

    note_breaks(ledger, cutoff, days=RECENT)
    uri = config.mlflow.tracking_uri
    churn, clv = load("regulars-churn", tracking_uri=uri), load("regulars-clv", tracking_uri=uri)
    what = decision(config) if chosen is None else chosen
    learned = {each.name: each.model for each in what.offers if each.effect == "uplift"}
    models = {name: load_if_any(name, tracking_uri=uri) for name in sorted(set(learned.values()))}
    uplift = {offer: model for offer, name in learned.items() if (model := models[name])}
    with scoring(
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
        work=work,
    ) as blocks:
        yield Scoring(blocks, churn, clv, what)


def backtest_models(config: Config, ledger: Ledger, *, seed: int) -> Backtest:
    """Measure every candidate at rolling cutoffs."""
    from training.backtest import backtest

    return backtest(ledger, churn_settings(config), clv_settings(config), seed=seed)
