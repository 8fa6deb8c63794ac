"""Clusters of customers who behave alike, or the finding that there are none.

K-means on standardised features of how a customer buys and looks around, for customers with a
purchase in the last year; of the others these features say little, and they have number 0. How many
clusters there are, and whether there are any, is decided in `cluster_search`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import special

from .base import ModelError
from .cluster_search import NoClustersError, find_clusters
from .messages.plays import ABSENT_TEXTS, AVERAGE_TEXTS, CLUSTER_TEXTS
from .order import canonical_order

__all__ = ["CLUSTER_FEATURES", "Clusters", "NoClustersError"]

CLUSTER_FEATURES = (
    "n_purchases_365",
    "days_since_last",
    "aov_365",
    "items_per_order_365",
    "n_categories_365",
    "discount_share_365",
    "sessions_90",
)
"""Features of the catalogue that clusters are looked for in."""

ENDS = (0.01, 0.99)
"""Quantiles within which values are held, so that a few customers do not make a cluster."""
MIN_CUSTOMERS = 200
KNOWN = 0.5
"""Share of the customers of whom a feature is known, at least."""
TELLING = 0.5
"""Standard deviations from the mean of all from which a feature describes a cluster."""

_SAME = 1e-9
_SAMPLE = 50_000  # customers that the transform is learned from

_ACTIVE = "n_purchases_365"
_SHORT = "n_purchases_all"  # in its place where the history is shorter than a year

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Clusters:
    """Centres of clusters, and how a customer's features are made comparable with them.

    Attributes:
        features: Names, of `CLUSTER_FEATURES`, (f,).
        power: Exponents of the Box-Cox transform of 1 + the value, which takes away skewness that
            would pass for a cluster (Box and Cox 1964, JRSS B 26:211-252), (f,).
        fill: What stands for a missing value: the median, in the units of the feature, (f,).
        low: Values are held within these ends after the transform: their `ENDS` quantiles, (f,).
        high: The upper ends, (f,).
        mean: Taken off after that, (f,).
        scale: And divided by, (f,).
        centres: Standardised, the cluster that buys most often first, (k, f).
        shares: Share of customers with number 0 and in each cluster, (k + 1,).
        silhouette: Mean over the customers.
        stability: Mean adjusted Rand index over the refits.
    """

    features: tuple[str, ...]
    fill: Floats
    power: Floats
    low: Floats
    high: Floats
    mean: Floats
    scale: Floats
    centres: Floats
    shares: Floats
    silhouette: float
    stability: float

    @property
    def input_columns(self) -> tuple[str, ...]:
        """What `assign` reads."""
        return tuple(dict.fromkeys((_ACTIVE, *self.features)))

    @classmethod
    def learn(cls, frame: pd.DataFrame, seed: int = 0) -> Self:
        """Look for clusters; the same customers give the same ones, in whatever order they come.

        Args:
            frame: Features by name; those of `CLUSTER_FEATURES` that are there, and known of at
                least half of the customers, are used, and n_purchases_365.
            seed: Of k-means, the draws of customers and the normal samples.

        Raises:
            NoClustersError: No number of clusters passes the rule, or there are too few customers.
        """
        active = frame[_is_active(frame)]
        if len(active) < MIN_CUSTOMERS:
            raise NoClustersError(
                f"clusters take at least {MIN_CUSTOMERS} customers who bought in the last year, "
                f"not {len(active)}"
            )
        known = active.columns[active.notna().mean() >= KNOWN]
        names = [name for name in CLUSTER_FEATURES if name in known]
        if _ACTIVE not in names and _SHORT in known:
            names.insert(0, _SHORT)
        values = active[names].to_numpy(np.float64)
        values = values[canonical_order(values, np.zeros(len(values)))][:_SAMPLE]
        fill = np.nanmedian(values, axis=0)
        power = _powers(values, fill)
        plain = _plain(values, fill, power)
        low, high = np.quantile(plain, ENDS, axis=0)
        held = np.clip(plain, low, high)
        mean, scale = held.mean(axis=0), held.std(axis=0)
        told = scale > _SAME  # a feature that is the same for everyone tells nobody apart
        if told.sum() < 2:
            raise NoClustersError(
                "clusters take two features at least that differ between customers"
            )
        x = ((held - mean) / np.where(told, scale, 1.0))[:, told]
        centres, silhouette, stability = find_clusters(x, seed)
        order = np.lexsort((*centres.T[1:], -centres[:, 0]))
        centres = centres[order]
        kept = [name for name, used in zip(names, told, strict=True) if used]
        found = cls(
            features=tuple(kept),
            fill=fill[told],
            power=power[told],
            low=low[told],
            high=high[told],
            mean=mean[told],
            scale=scale[told],
            centres=centres,
            shares=np.zeros(len(centres) + 1),
            silhouette=silhouette,
            stability=stability,
        )
        sizes = np.bincount(found.assign(frame), minlength=len(centres) + 1)
        return replace(found, shares=sizes / sizes.sum())

    def assign(self, frame: pd.DataFrame) -> npt.NDArray[np.int64]:
        """Return the number of each customer's cluster, that of the nearest centre, (n,).

        It is 1 to k, and 0 for customers without a purchase in the last year.

        Raises:
            ModelError: A feature is missing.
        """
        if missing := [name for name in self.input_columns if name not in frame.columns]:
            raise ModelError(f"clusters need the features {', '.join(missing)}, too")
        values = frame[list(self.features)].to_numpy(np.float64)
        plain = _plain(values, self.fill, self.power)
        x = (np.clip(plain, self.low, self.high) - self.mean) / self.scale
        distance = np.stack([((x - centre) ** 2).sum(axis=1) for centre in self.centres])
        nearest = 1 + distance.argmin(axis=0)
        return np.where(_is_active(frame), nearest, 0).astype(np.int64)

    def names(self, language: str = "en") -> tuple[str, ...]:
        """Return a name for number 0 and each cluster: up to three traits it stands out by.

        Raises:
            ModelError: There are no texts in the language.
        """
        if language not in CLUSTER_TEXTS:
            raise ModelError(
                f"there are no texts in the language {language!r}",
                f"Languages: {', '.join(CLUSTER_TEXTS)}.",
            )
        texts, comma = CLUSTER_TEXTS[language], "，" if language == "zh" else ", "  # noqa: RUF001
        named = [f"0: {ABSENT_TEXTS[language]}"]
        for number, centre in enumerate(self.centres, 1):
            strongest = np.argsort(-np.abs(centre), kind="stable")[:3]
            traits = [
                texts[self.features[i]][int(centre[i] > 0)]
                for i in strongest
                if abs(centre[i]) >= TELLING
            ]
            named.append(f"{number}: {comma.join(traits) or AVERAGE_TEXTS[language]}")
        return tuple(named)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able description; `from_dict` reads it back to the same bits."""
        arrays = {name: getattr(self, name).tolist() for name in _ARRAYS}
        plain = {"features": list(self.features)}
        return {**plain, **arrays, "silhouette": self.silhouette, "stability": self.stability}

    @classmethod
    def from_dict(cls, description: Mapping[str, Any]) -> Self:
        """Read back what `to_dict` returned."""
        arrays = {name: np.array(description[name], dtype=np.float64) for name in _ARRAYS}
        return cls(
            features=tuple(description["features"]),
            silhouette=float(description["silhouette"]),
            stability=float(description["stability"]),
            **arrays,
        )


_ARRAYS = ("fill", "power", "low", "high", "mean", "scale", "centres", "shares")


def _is_active(frame: pd.DataFrame) -> npt.NDArray[np.bool_]:
    # Not known is not none: the history is shorter than a year.
    return np.asarray(frame[_ACTIVE].to_numpy(np.float64) != 0.0)


def _powers(values: Floats, fill: Floats) -> Floats:
    """The likeliest exponents for normal features, held within -2 and 2."""
    from scipy.stats import boxcox_normmax

    found = []
    for column, middle in zip(values.T, fill, strict=True):
        known = 1.0 + np.maximum(np.where(np.isnan(column), middle, column), 0.0)
        same = known.max() - known.min() < _SAME
        found.append(1.0 if same else float(boxcox_normmax(known, brack=(-1.0, 1.0), method="mle")))
    return np.asarray(np.clip(found, -2.0, 2.0), dtype=np.float64)


def _plain(values: Floats, fill: Floats, power: Floats) -> Floats:
    known = np.maximum(np.where(np.isnan(values), fill, values), 0.0)
    return np.asarray(special.boxcox1p(known, power))
