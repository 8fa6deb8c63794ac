"""How many clusters there are, if any: stable ones, that are more than a cut through one cloud.

The number of clusters is the one with the highest mean silhouette (Rousseeuw 1987, J Comput Appl
Math 20:53-65) among those that are

- stable: refitted on customers drawn again with replacement, the clusters agree with the original
  ones by an adjusted Rand index of at least 0.8 on average, "good" by Steinley (2004, Psychological
  Methods 9:386-396);
- more than a cut through a cloud: the silhouette is at least 0.25, below which Kaufman and
  Rousseeuw (1990, Finding Groups in Data, table 4) see no substantial structure, and higher than in
  every one of 19 clouds without clusters, at the 5 % level: each feature as it is distributed here
  but with a single mode (Silverman 1981), and tied to the others by their correlations only (a
  normal copula). The test is that of Liu et al. (2008, JASA 103:1281-1293), with a null hypothesis
  that allows for skewed features;
- of some size: every cluster holds at least 2 % of the customers.

Where no number of clusters passes, there are none, and `NoClustersError` says why.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special

from .base import ModelError

__all__ = ["NoClustersError", "find_clusters"]

MOST = 8
"""Clusters at most."""
STABLE = 0.8
"""Mean adjusted Rand index of the refits, at least."""
STRUCTURE = 0.25
"""Mean silhouette, at least."""
SMALLEST = 0.02
"""Share of the customers in a cluster, at least."""
CLOUDS = 19
REFITS = 20

_ROWS = 3000  # customers that clusters are looked for in
_SILHOUETTE_ROWS = 1500
_BINS = 512
_SAME = 1e-9

Floats = npt.NDArray[np.float64]


class NoClustersError(ModelError):
    """The customers do not fall into clusters that would be found again."""


def find_clusters(x: Floats, seed: int) -> tuple[Floats, float, float]:
    """Look for clusters by k-means.

    Args:
        x: Standardised features of customers in an order that depends on nothing but what is in
            them; the first 3,000 are used, (n, f).
        seed: Of k-means, the draws of customers and the clouds.

    Returns:
        Centres (k, f), in no particular order, their mean silhouette, and how well refits agree.

    Raises:
        NoClustersError: No number of clusters passes.
    """
    sample = x[:_ROWS]
    labels, silhouette, stability = _best(sample, seed)
    # From the labels, summed in one order: k-means itself adds up in parallel.
    centres = np.stack([sample[labels == c].mean(axis=0) for c in range(labels.max() + 1)])
    return centres, silhouette, stability


def _best(x: Floats, seed: int) -> tuple[npt.NDArray[np.int64], float, float]:
    """Labels, silhouette and stability of the best number of clusters."""
    from sklearn.metrics import silhouette_score
    from threadpoolctl import threadpool_limits

    rng = np.random.default_rng(seed)
    shown = slice(_SILHOUETTE_ROWS)
    with threadpool_limits(1):  # the data is small, and threads add up in any order
        found, why = [], []
        for k in range(2, MOST + 1):
            labels = _kmeans(x, k, seed).labels_
            width = float(silhouette_score(x[shown], labels[shown]))
            if np.bincount(labels, minlength=k).min() < SMALLEST * len(x):
                why.append(f"{k}: one holds less than {SMALLEST:.0%} of the customers")
            elif width < STRUCTURE:
                why.append(f"{k}: silhouette {width:.3f} is below {STRUCTURE}")
            else:
                found.append((width, k, labels))
        stable = []
        for width, k, labels in found:
            stability = _stability(x, k, labels, seed, rng)
            if stability < STABLE:
                why.append(f"{k}: refits agree by {stability:.2f}, less than {STABLE}")
            else:
                stable.append((width, k, labels, stability))
        if stable:
            # Only the best is tested: of seven tests one would pass by chance soon enough.
            width, k, labels, stability = max(stable, key=lambda one: one[0])
            cloud = _cloud_silhouette(x, k, seed, rng)
            if width > cloud:
                return labels.astype(np.int64), width, stability
            why.append(f"{k}: silhouette {width:.2f} is no higher than {cloud:.2f} of one cloud")
    raise NoClustersError("no number of clusters passes: " + "; ".join(sorted(why)))


def _kmeans(x: Floats, k: int, seed: int, starts: int = 5) -> Any:
    from sklearn.cluster import KMeans

    return KMeans(k, n_init=starts, random_state=seed).fit(x)


def _stability(
    x: Floats, k: int, labels: npt.NDArray[np.int32], seed: int, rng: np.random.Generator
) -> float:
    from sklearn.metrics import adjusted_rand_score

    agreed = []
    for _ in range(REFITS):
        again = _kmeans(x[rng.integers(0, len(x), len(x))], k, seed, starts=2)
        agreed.append(adjusted_rand_score(labels, again.predict(x)))
    return float(np.mean(agreed))


def _cloud_silhouette(x: Floats, k: int, seed: int, rng: np.random.Generator) -> float:
    """The highest mean silhouette of k clusters in clouds like x."""
    from sklearn.metrics import silhouette_score

    n, shown = len(x), slice(_SILHOUETTE_ROWS)
    ordered = np.stack([_one_mode(column) for column in x.T], axis=1)
    scores = special.ndtri((_ranks(x) + 0.5) / n)
    root = np.linalg.cholesky(np.corrcoef(scores, rowvar=False) + 1e-6 * np.eye(x.shape[1]))
    highest = -1.0
    for _ in range(CLOUDS):
        # A normal copula: the features are tied to each other by their correlations only.
        cloud = np.take_along_axis(ordered, _ranks(rng.standard_normal(x.shape) @ root.T), axis=0)
        labels = _kmeans(cloud, k, seed).labels_
        highest = max(highest, float(silhouette_score(cloud[shown], labels[shown])))
    return highest


def _one_mode(x: Floats) -> Floats:
    """Values, ascending, spread like `x` but with a single mode, (n,).

    The normal kernel density of x with the least bandwidth that leaves one mode (Silverman 1981,
    JRSS B 43:97-99), scaled to the variance of x.
    """
    from scipy.ndimage import gaussian_filter1d

    room = 3.0 * x.std()
    edges = np.linspace(x.min() - room, x.max() + room, _BINS + 1)
    counts = np.histogram(x, edges)[0].astype(np.float64)

    def density(width: float) -> Floats:
        return np.asarray(gaussian_filter1d(counts, width, mode="constant"))

    narrow, wide = 0.5, _BINS / 6.0
    for _ in range(20):  # halvings: the more is smoothed, the fewer modes
        middle = 0.5 * (narrow + wide)
        slope = np.sign(np.round(np.diff(density(middle)), 9))
        turns = np.diff(slope[slope != 0.0])
        narrow, wide = (narrow, middle) if (turns < 0.0).sum() <= 1 else (middle, wide)
    reached = np.cumsum(density(wide))
    at = (np.arange(len(x)) + 0.5) / len(x) * reached[-1]
    y = np.interp(at, reached, 0.5 * (edges[1:] + edges[:-1]))
    return np.asarray((y - y.mean()) / max(y.std(), _SAME) * x.std() + x.mean())


def _ranks(x: Floats) -> npt.NDArray[np.int64]:
    return np.argsort(np.argsort(x, axis=0, kind="stable"), axis=0, kind="stable")
