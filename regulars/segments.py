"""Learn segments and what is bought next, and put the customers of a scored list into them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from features.errors import NotEnoughDataError
from features.progress import note

if TYPE_CHECKING:
    import pandas as pd

    from features.ledger import Ledger
    from serving.registry import RegisteredModel
    from training.result import TrainingResult
    from training.tracking import Tracking

    from .config import Config

__all__ = [
    "Segmented",
    "segment_scores",
    "train_next_purchase",
    "train_segment_model",
]


@dataclass(frozen=True)
class Segmented:
    """The table of segments, and the models that made it.

    Attributes:
        frame: As `serving.segments.segment_customers` gives it.
        segments: The model of segments.
        following: The model of the next purchase; None where there is none.
    """

    frame: pd.DataFrame
    segments: RegisteredModel
    following: RegisteredModel | None


def train_segment_model(
    config: Config, ledger: Ledger, tracking: Tracking, *, seed: int, asked: bool
) -> TrainingResult | None:
    """Learn cut points and clusters; None where they are learned already and nobody asked."""
    from training.segments import learned_already, train_segments

    given = config.segments.cuts
    if not asked and (version := learned_already(tracking, given)):
        note(
            f"Segments keep the cut points of regulars-segments/{version}; "
            "`regulars train segments` learns them anew."
        )
        return None
    return train_segments(
        ledger, given=given, settings=config.features, seed=seed, tracking=tracking
    )


def train_next_purchase(
    config: Config, ledger: Ledger, tracking: Tracking, *, seed: int, asked: bool
) -> TrainingResult | None:
    """Train what is bought next; None where the data does not allow it and nobody asked."""
    from training.next_purchase import NextSettings, train_next

    said, item = config.churn, config.segments.item
    known = {"category", "product_id"} & set(ledger.transactions.columns)
    if not (asked or item or known):
        note("No forecast of the next purchase: there is no category and no product_id.")
        return None
    settings = NextSettings(said.horizon_days, said.gap_days, item)
    try:
        return train_next(ledger, settings, seed=seed, tracking=tracking)
    except NotEnoughDataError as problem:
        if asked:
            raise
        note(f"No forecast of the next purchase. {problem.message}")
        return None


def segment_scores(
    config: Config, ledger: Ledger, scored: pd.DataFrame, *, language: str = "en"
) -> Segmented:
    """Put the customers of a scored list into segments, with the champions."""
    from serving.registry import load, load_if_any
    from serving.segments import NEXT, SEGMENTS_MODEL, segment_customers

    uri = config.mlflow.tracking_uri
    segments = load(SEGMENTS_MODEL, tracking_uri=uri)
    following = load_if_any(NEXT, tracking_uri=uri)
    if following is None:
        note(f"Without what is bought next: there is no model {NEXT}. Run `regulars train next`.")
    frame = segment_customers(
        ledger, scored, segments, following, settings=config.features, language=language
    )
    return Segmented(frame, segments, following)
