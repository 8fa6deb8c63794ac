"""How every training ends: who is champion now, written down wherever it is looked for."""

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd
from mlflow.entities.model_registry import ModelVersion

from training.dataset import Holdout
from training.promote import RULE, promote
from training.result import TrainingResult
from training.tracking import Tracking

__all__ = ["close_training"]


def close_training(
    tracking: Tracking,
    version: ModelVersion,
    *,
    metric: str,
    test: Holdout,
    score: Callable[[Any], float],
    training_id: str,
    run_ids: Mapping[str, str],
    results: pd.DataFrame,
    winner: str,
    story: str,
    dates: Mapping[str, Any],
    remark: str = "",
) -> TrainingResult:
    """Promote the new version by the rule, and say on runs, version and parent run what came of it.

    Args:
        tracking: The store.
        version: The challenger, as registered.
        metric: Measure that decides, a column of `results`; lower is better.
        test: What it was measured on.
        score: Measures a model, as loaded from its artifact, on the same test.
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
    decision = promote(
        tracking, version, metric=metric, measured=measured[metric], test=test, score=score
    )
    reason = decision.reason + remark
    tracking.explain(run_ids[winner], decision.promoted, reason, RULE.format(metric=metric))
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
    )
