"""The catalogue: every feature, in the order of the columns of a snapshot.

A feature's row stands beside its code, in the `FEATURES` of its module; here they are put in
one order.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict

from features import (
    basket,
    categories,
    channels,
    engagement,
    frequency,
    habits,
    marketing,
    modelled,
    products,
    profile_attributes,
    recency,
    regularity,
    rhythm,
    spend,
    trend,
    voice,
)
from features.feature import REASON_GROUPS, Feature

__all__ = ["CATALOGUE", "REASON_GROUPS", "Feature", "catalogue_hash", "feature"]

CATALOGUE: tuple[Feature, ...] = (
    *recency.FEATURES,
    *frequency.FEATURES,
    *spend.FEATURES,
    *rhythm.FEATURES,
    *regularity.FEATURES,
    *trend.FEATURES,
    *basket.FEATURES,
    *products.FEATURES,
    *categories.FEATURES,
    *channels.FEATURES,
    *habits.FEATURES,
    *engagement.FEATURES,
    *voice.FEATURES,
    *marketing.FEATURES,
    *profile_attributes.FEATURES,
    *trend.SEASON_FEATURES,
    *modelled.FEATURES,
)
"""Every feature, in the order of the columns of a snapshot."""

_BY_NAME = {row.name: row for row in CATALOGUE}


def feature(name: str) -> Feature:
    """The row of the catalogue called `name`.

    >>> feature("gap_mean").null_class
    'U'
    """
    return _BY_NAME[name]


def catalogue_hash(rows: Sequence[Feature] = CATALOGUE, extra_source: str = "") -> str:
    """A hash over all rows: two models with the same hash mean the same by each name.

    Args:
        rows: The rows.
        extra_source: Text of the user's own features, as `features.extra.extra_source` gives.

    >>> len(catalogue_hash())
    16
    >>> catalogue_hash(extra_source="def features(tables, window): ...") == catalogue_hash()
    False
    """
    text = json.dumps([asdict(row) for row in rows], sort_keys=True)
    if extra_source:
        text += "\n" + extra_source
    return hashlib.sha256(text.encode()).hexdigest()[:16]
