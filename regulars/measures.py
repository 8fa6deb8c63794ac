"""Every measure of the business, with the predictions of the models in use."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from features.errors import InputError

if TYPE_CHECKING:
    from features.ledger import Ledger
    from features.measures import Found
    from features.measures.periods import By

    from .config import Config

__all__ = ["measure_business"]


def measure_business(
    config: Config,
    ledger: Ledger,
    *,
    by: By = "month",
    segments: Sequence[str] = (),
    models: bool = True,
) -> Found:
    """Take every measure, with the scores of the champions where the store has them.

    Args:
        config: The configuration; its churn horizon and its margin are used.
        ledger: The trusted tables.
        by: Length of the periods.
        segments: Segment columns.
        models: Whether to look for models at all.

    Returns:
        As `serving.measures.business_measures`. Without models, what needs them is missing,
        with the reason.

    Raises:
        InputError: A segment column that does not exist, has too many values or changes with time.
    """
    from features.attributes import attribute_names
    from features.measures.segments import check_segments
    from serving.measures import business_measures
    from serving.segments import SEGMENT_DTYPES

    from .jobs import score_customers
    from .settings import campaign_settings

    # Before the long work of scoring.
    known = attribute_names(ledger)
    for name in segments:
        if name in [*SEGMENT_DTYPES][2:] and name not in known:  # without customer and day
            raise InputError(
                f"Measures are not taken by {name}: it is what a customer is today, and was "
                "another in the periods before.",
                "`regulars segments` counts the customers of each segment and their value.",
            )
    check_segments(ledger, segments)
    scored, why = None, "Models were left out by --no-models."
    if models:
        try:
            scored = score_customers(config, ledger, None, None).frame
        except InputError as problem:
            why = f"Nobody could be scored: {problem}"
    return business_measures(
        ledger,
        scored,
        by=by,
        segments=segments,
        churn_days=config.churn.horizon_days,
        margin=config.clv.margin,
        without_scores=why,
        campaigns=campaign_settings(config),
    )
