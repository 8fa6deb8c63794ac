"""Learn the cut points of RFM segments, and clusters where there are any; register them.

Cut points are learned once: a later training leaves them as they are unless it is asked for, so
that a customer changes segment because of itself.
"""

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from features.compatibility import feature_facts
from features.ledger import Ledger
from features.progress import note, task
from features.settings import FeatureSettings
from features.snapshot import build_snapshot
from features.window import ObservationWindow
from models.clusters import Clusters, NoClustersError
from models.segmentation import CustomerSegments
from models.segments import SEGMENTS, RfmCuts, behaviour_of
from training.model_card import model_card
from training.promote import APPOINTED, appoint
from training.result import TrainingResult
from training.signature import signature, usual_rows
from training.tracking import CHAMPION, Tracking, new_training_id, regulars_version

__all__ = ["REGISTERED_NAME", "learn_segments", "learned_already", "train_segments"]

REGISTERED_NAME = "regulars-segments"
"""Registered model."""


def learned_already(tracking: Tracking, given: Mapping[str, Sequence[float]]) -> str:
    """Return the version in use, if it was learned with the same given cut points; else nothing."""
    champion = tracking.alias(REGISTERED_NAME, CHAMPION)
    if champion is None or champion.tags.get("given_cuts") != _text(given):
        return ""
    return str(champion.version)


def train_segments(
    ledger: Ledger,
    *,
    given: Mapping[str, Sequence[float]] | None = None,
    settings: FeatureSettings | None = None,
    seed: int = 0,
    tracking: Tracking,
) -> TrainingResult:
    """Learn cut points and clusters from all that is known, register them and put them in use.

    There is nothing to compare them with: whoever asks for new ones gets them.

    Args:
        ledger: The trusted tables.
        given: Cut points set by hand, by the names of `models.segments.RfmCuts`.
        settings: Features beside the catalogue.
        seed: Of the search for clusters.
        tracking: Where runs and models are kept.

    Raises:
        ModelError: Given cut points are not four ascending numbers.
        NotEnoughDataError: Nobody has bought anything.
    """
    given = given or {}
    cutoff = ledger.last_day + dt.timedelta(days=1)
    window = ObservationWindow(ledger.first_day, cutoff)
    with task("Learning segments", total=2) as progress:
        snapshot = build_snapshot(ledger, window, labels=False, settings=settings)
        progress.advance()
        model = learn_segments(snapshot.rfm, snapshot.features, given, seed)
        progress.advance()
    note(_clusters_said(model))
    customers = snapshot.rfm.join(snapshot.features)
    return _log(model, customers, given, cutoff, seed, tracking, settings or FeatureSettings())


def learn_segments(
    rfm: pd.DataFrame,
    features: pd.DataFrame,
    given: Mapping[str, Sequence[float]] | None = None,
    seed: int = 0,
) -> CustomerSegments:
    """Learn from a snapshot; customers without a purchase are left out."""
    bought = rfm.dropna(subset=["frequency"])
    cuts = RfmCuts.learn(behaviour_of(bought), given)
    try:
        return CustomerSegments(cuts, Clusters.learn(features.loc[bought.index], seed))
    except NoClustersError as none:
        return CustomerSegments(cuts, None, none.message)


def _log(
    model: CustomerSegments,
    customers: pd.DataFrame,
    given: Mapping[str, Sequence[float]],
    cutoff: dt.date,
    seed: int,
    tracking: Tracking,
    settings: FeatureSettings,
) -> TrainingResult:
    training_id = new_training_id()
    inputs = customers.loc[customers["frequency"].notna(), list(model.input_columns)]
    sizes = model.predict(inputs)["rfm_segment"].value_counts().reindex(SEGMENTS, fill_value=0)
    measures = {"segments/customers": float(len(inputs)), "segments/clusters": 0.0}
    if model.clusters is not None:
        measures |= {
            "segments/clusters": float(len(model.clusters.centres)),
            "segments/silhouette": model.clusters.silhouette,
            "segments/stability": model.clusters.stability,
        }
    story = (
        f"**RFM segments and clusters** of {len(inputs):,} customers at {cutoff}.\n\n"
        + "".join(f"- {name}: {list(cuts)}\n" for name, cuts in model.cuts.to_dict().items())
        + f"\n{_clusters_said(model)}"
    )
    own = {"training_id": training_id, "trained_until": cutoff.isoformat()}
    tags = {"given_cuts": _text(given), "seed": seed, "regulars_version": regulars_version()}
    example = usual_rows(inputs, model.input_columns)
    with (
        task("Logging to MLflow", total=1) as progress,
        tracking.run(
            "segments",
            family="segments",
            training_id=training_id,
            tags=tags,
            params={"seed": seed, **model.cuts.to_dict()},
        ) as run,
    ):
        version = tracking.register(
            run,
            REGISTERED_NAME,
            model,
            signature=signature(example, model.predict(example), {"language": "en"}),
            input_example=example,
            card={**own, **feature_facts(settings)},
            tags={**tags, **own},
            description=model_card(
                "Segments",
                {
                    "Intended use": (
                        "Puts every customer into one RFM segment by recency, frequency and money, "
                        "for campaigns and reports that speak of groups. A segment describes what "
                        "was; it foretells nothing."
                    ),
                    "What was learned": story,
                    "How to use it": "`regulars segments -o segments.csv`; docs/segments.md.",
                },
            ),
        )
        run.measure(measures)
        run.table("segments", {"rfm_segment": list(SEGMENTS), "customers": sizes.tolist()})
        if model.clusters is not None:
            run.table("clusters", _cluster_table(model.clusters))
        run.describe(story)
        progress.advance()
    reason = "cut points are learned when asked for, and there is nothing to compare them with"
    decision = appoint(tracking, version, reason, training_id=training_id)
    tracking.explain(run.run_id, decision.outcome, reason, APPOINTED, decision.table)
    results = pd.DataFrame({"segments": measures}).T
    results.index.name = "candidate"
    return TrainingResult(
        REGISTERED_NAME,
        str(version.version),
        training_id,
        {"segments": run.run_id},
        results,
        "segments",
        True,
        reason,
        {"final": cutoff.isoformat()},
        decision.outcome,
    )


def _cluster_table(clusters: Clusters) -> dict[str, Any]:
    centres = {name: clusters.centres[:, i] for i, name in enumerate(clusters.features)}
    named = {"cluster": clusters.names()[1:], "share": clusters.shares[1:]}
    return named | {f"{name} (standardised)": values for name, values in centres.items()}


def _clusters_said(model: CustomerSegments) -> str:
    if model.clusters is None:
        return f"There are no clusters: {model.no_clusters}."
    named = "; ".join(model.clusters.names()[1:])
    return f"Clusters of customers with a purchase in the last year: {named}."


def _text(given: Mapping[str, Sequence[float]]) -> str:
    return json.dumps({name: [float(cut) for cut in cuts] for name, cuts in sorted(given.items())})
