"""How every training ends: who is champion now, written down wherever it is looked for."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
from mlflow.entities.model_registry import ModelVersion

from training.gate import RULE
from training.model_card import shortened
from training.promote import Contest, promote
from training.result import TrainingResult
from training.run import escaped
from training.tracking import Tracking

__all__ = ["close_training"]


def close_training(
    tracking: Tracking,
    version: ModelVersion,
    *,
    contest: Contest,
    training_id: str,
    run_ids: Mapping[str, str],
    results: pd.DataFrame,
    winner: str,
    story: str,
    dates: Mapping[str, Any],
    remark: str = "",
) -> TrainingResult:
    """Judge the new version at the gate, and say on runs, version and parent run what came of it.

    Args:
        tracking: The store.
        version: The challenger, as registered.
        contest: What it is judged by.
        training_id: Tag of this training's runs.
        run_ids: Candidate -> run.
        results: Candidates as rows, measures as columns.
        winner: The candidate that was registered.
        story: What was done, in Markdown.
        dates: The cutoffs of evaluation and of the final fit.
        remark: Added to the reason.
    """
    row = results.to_dict("index")[winner]
    measured = {str(name): float(value) for name, value in row.items() if pd.notna(value)}
    decision = promote(tracking, version, contest, training_id=training_id)
    reason = decision.reason + remark
    tracking.explain(run_ids[winner], decision.outcome, reason, RULE, decision.table)
    card = f"{version.description}\n\n## The gate\n\n{escaped(reason)}."
    tracking.client.update_model_version(version.name, version.version, shortened(card))
    for run_id in run_ids.values():
        tracking.client.set_tag(run_id, "winner", winner)
    tracking.summarise(
        {"training_id": training_id},
        measured,
        f"{story}\n\n**{version.name} version {version.version}**: {reason}.",
    )
    return TrainingResult(
        str(version.name),
        str(version.version),
        training_id,
        run_ids,
        results,
        winner,
        decision.promoted,
        reason,
        dates,
        decision.outcome,
    )
