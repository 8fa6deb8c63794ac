"""Gather what the report is made from: measures, tables of the models' runs, plan, segments."""

from __future__ import annotations

from typing import TYPE_CHECKING

from features.errors import InputError
from features.measures import MEASURES
from features.progress import note, task
from serving.campaign_list import summarise
from serving.measures import business_measures
from serving.registry import CHURN, CLV, load_if_any, run_tables
from serving.report.material import Material
from serving.segments import SEGMENTS_MODEL, segment_customers, summarise_segments

if TYPE_CHECKING:
    import pandas as pd

    from features.ledger import Ledger
    from serving.campaigns import CampaignSettings
    from serving.offers import Decision
    from serving.registry import RegisteredModel

__all__ = ["UPLIFT", "gather"]

UPLIFT = "regulars-uplift"
"""Name of the registered uplift model."""

_CHURN_TABLES = ("calibration", "profit", "policies", "intervals")
_CLV_TABLES = ("deciles", "frequency", "tracking")


def gather(
    ledger: Ledger,
    scored: pd.DataFrame,
    churn: RegisteredModel,
    clv: RegisteredModel,
    tracking_uri: str,
    *,
    plan: pd.DataFrame | None = None,
    decision: Decision | None = None,
    campaigns: CampaignSettings | None = None,
) -> Material:
    """Return what the report is made from.

    Args:
        ledger: The trusted tables; only aggregates leave the engine.
        scored: The scored list of this ledger.
        churn: The churn model that made it.
        clv: The customer-lifetime-value model that made it.
        tracking_uri: Where MLflow keeps the runs of the models.
        plan: Of `serving.actions.plan`, None without one.
        decision: What the plan was made with.
        campaigns: How campaigns are measured.
    """
    with task("Gathering the report", total=3) as gathering:
        found = business_measures(
            ledger,
            scored,
            segments=_segments(ledger),
            churn_days=int(churn.card["horizon_days"]),
            margin=float(clv.card["extra"]["margin"]),
            campaigns=campaigns,
        )
        gathering.advance()
        evaluation = {
            CHURN: run_tables(churn.run_id, _CHURN_TABLES, tracking_uri),
            CLV: run_tables(clv.run_id, _CLV_TABLES, tracking_uri),
        }
        if (uplift := load_if_any(UPLIFT, tracking_uri=tracking_uri)) is not None:
            evaluation[UPLIFT] = run_tables(uplift.run_id, ("qini",), tracking_uri)
        gathering.advance()
        segments = _summed_segments(ledger, scored, tracking_uri)
        gathering.advance()
    return Material(
        scored=scored,
        churn=churn,
        clv=clv,
        quality=ledger.quality.to_dict(),
        measures=found.frame,
        missing=found.missing,
        notes=found.notes,
        catalogue=MEASURES,
        evaluation=evaluation,
        plan=plan,
        summary=None if plan is None or decision is None else summarise(plan, decision),
        segments=segments,
    )


def _segments(ledger: Ledger) -> tuple[str, ...]:
    """By the channel that won the customer, where it is known."""
    return ("channel",) if "acquisition" in ledger.tables else ()


def _summed_segments(
    ledger: Ledger, scored: pd.DataFrame, tracking_uri: str
) -> pd.DataFrame | None:
    model = load_if_any(SEGMENTS_MODEL, tracking_uri=tracking_uri)
    if model is None:
        return None
    try:
        return summarise_segments(segment_customers(ledger, scored, model), scored)
    except InputError as problem:
        note(f"The report has no segments: {problem.message}")
        return None
