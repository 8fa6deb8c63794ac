"""Every measure of one business: from its tables, its scored list, and what models estimate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from features.measures import MEASURES, Found, Missing, ask, gather, take
from features.measures.predictive import MEASURES as PREDICTIVE
from features.measures.predictive import predictive
from features.progress import task
from models.uplift.campaign import Worth
from serving.campaigns import CampaignSettings, measure_campaigns
from serving.loyalty import loyalty_effects

if TYPE_CHECKING:
    import pandas as pd

    from features.ledger import Ledger
    from features.measures.periods import By

__all__ = ["business_measures"]


def business_measures(
    ledger: Ledger,
    scored: pd.DataFrame | None = None,
    *,
    by: By = "month",
    segments: Sequence[str] = (),
    churn_days: int = 90,
    margin: float = 1.0,
    cuts: tuple[float, float] | None = None,
    without_scores: str = "There is no scored list.",
    campaigns: CampaignSettings | None = None,
) -> Found:
    """Take every measure that the tables, the scored list and the estimates allow.

    Args:
        ledger: The trusted tables.
        scored: A scored list of this ledger, None without one.
        by: Length of the periods.
        segments: Segment columns, as `features.measures.measure` takes them.
        churn_days: Days without a purchase after which a customer counts as lost.
        margin: Share of revenue that is profit.
        cuts: Of the value tiers, as for `features.measures.measure`.
        without_scores: Why there is no scored list.
        campaigns: How campaigns are measured; None: by `churn_days` and `margin`.

    Returns:
        The long table, one family after the other, what could not be measured and why, and
        notes.

    Raises:
        InputError: As for `features.measures.measure`.
    """
    with ask(ledger, by, segments, churn_days, margin, cuts) as asked:
        parts = [take(asked)]
        if scored is None:
            names = tuple(measure.name for measure in PREDICTIVE)
            parts.append(Found(missing=(Missing(names, without_scores),)))
        else:
            parts.append(predictive(asked, scored))
    with task("Estimating the effect of the loyalty programme"):
        parts.append(loyalty_effects(ledger, churn_days).found)
    usual = CampaignSettings(horizon_days=churn_days, worth=Worth(margin=margin))
    parts.append(measure_campaigns(ledger, campaigns or usual).found)
    return _all_told(gather(parts))


def _all_told(found: Found) -> Found:
    """Name the measures of which there is neither a figure nor a word why not."""
    told = {*found.frame["measure"], *(name for each in found.missing for name in each.measures)}
    silent = tuple(measure.name for measure in MEASURES if measure.name not in told)
    if not silent:
        return found
    nothing = Missing(silent, "Nothing in the data can be counted for it: see its definition.")
    return Found(found.frame, (*found.missing, nothing), found.notes)
