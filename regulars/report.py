"""The page people look at: written to a file, and kept with the runs of a training."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import TYPE_CHECKING

from features.errors import InputError
from features.progress import note

if TYPE_CHECKING:
    from features.ledger import Ledger
    from serving.report import Material, Options
    from training.result import TrainingResult

    from .config import Config
    from .jobs import Scores

__all__ = ["keep_report", "material", "render_report"]


def material(
    config: Config,
    ledger: Ledger,
    scores: Scores,
    *,
    watch: bool = False,
    today: dt.date | None = None,
) -> Material:
    """Everything that a report of these scores is made from.

    Args:
        config: The configuration.
        ledger: The trusted tables.
        scores: The scored list.
        watch: Whether to add what monitoring finds.
        today: To tell then whether data still arrives; None: that is not asked, and the page says
            the same on whichever day it is made.
    """
    from dataclasses import replace

    from serving.report.gather import gather

    from .monitor import watch_business
    from .settings import campaign_settings

    found = gather(
        ledger,
        scores.frame,
        scores.churn,
        scores.clv,
        config.mlflow.tracking_uri,
        plan=scores.plan,
        decision=scores.decision,
        campaigns=campaign_settings(config),
    )
    if not watch:
        return found
    return replace(found, monitoring=watch_business(config, ledger, found.as_of, today=today))


def render_report(
    config: Config,
    ledger: Ledger,
    scores: Scores,
    options: Options | None = None,
    *,
    today: dt.date | None = None,
) -> str:
    """The report of a scored list as one HTML page; `today` as in `material`."""
    from serving.report import render

    return render(material(config, ledger, scores, watch=True, today=today), options)


def keep_report(
    config: Config,
    ledger: Ledger,
    results: Sequence[TrainingResult],
    found: Material | None = None,
) -> None:
    """Log the page, without any row of a customer, to the winning runs of churn and CLV.

    It is the page of the models in use. Where churn or CLV has no model yet there is none.

    Args:
        config: The configuration.
        ledger: The trusted tables.
        results: Of the training.
        found: What the page is made from, where it is at hand already.
    """
    from dataclasses import replace

    from serving.registry import CHURN, CLV
    from serving.report import Options, render

    from .jobs import open_tracking, score_customers

    judged = [result for result in results if result.name in (CHURN, CLV)]
    runs = [result.run_ids[result.winner] for result in judged if result.winner in result.run_ids]
    if not runs:
        return
    if found is None:
        try:
            found = material(config, ledger, score_customers(config, ledger, None, None))
        except InputError as problem:
            note(f"No report was kept with the training: {problem.message}")
            return
    # The sentences of texts found in the data may quote them.
    page = render(replace(found, notes=()), Options(hide_ids=True, customers=False))
    client = open_tracking(config).client
    for run in runs:
        client.log_text(run, page, "report.html")
