"""The catalogue of measures: every one, in the order of the long table.

A measure's row stands beside its code, in the `MEASURES` of its module; here they are put in one
order.
"""

from __future__ import annotations

from collections.abc import Callable

from features.measures import (
    acquisition,
    campaigns,
    engagement,
    later_behaviour,
    lifetime_value,
    portfolio,
    predictive,
    programme,
    purchasing,
    retention,
    satisfaction,
    voice,
)
from features.measures.segments import Question
from features.measures.table import Found, Measure

__all__ = ["FAMILIES", "MEASURES", "find"]

FAMILIES: tuple[Callable[[Question], Found], ...] = (
    purchasing.purchasing,
    retention.retention,
    lifetime_value.lifetime_value,
    acquisition.acquisition,
    portfolio.portfolio,
    programme.programme,
    satisfaction.satisfaction,
    later_behaviour.later_behaviour,
    engagement.engagement,
    voice.voice,
)
"""What each family of measures finds, in order."""

MEASURES: tuple[Measure, ...] = (
    *purchasing.MEASURES,
    *retention.MEASURES,
    *lifetime_value.MEASURES,
    *acquisition.MEASURES,
    *portfolio.MEASURES,
    *predictive.MEASURES,
    *programme.MEASURES,
    *campaigns.MEASURES,
    *satisfaction.MEASURES,
    *later_behaviour.MEASURES,
    *engagement.MEASURES,
    *voice.MEASURES,
)
"""Every measure, in order."""

_BY_NAME = {row.name: row for row in MEASURES}


def find(name: str) -> Measure:
    """The row of the catalogue called `name`.

    >>> find("repeat_purchase_rate").unit
    'share'
    """
    return _BY_NAME[name]
