"""Do the right customers come first? Customers with one score count as one group."""

import numpy as np
import numpy.typing as npt
from scipy import stats

from .inputs import Array, labels, pair

__all__ = [
    "correlation",
    "cumulative_gain",
    "decile_table",
    "groups_by_score",
    "lift_at",
    "normalised_gini",
    "pr_auc",
    "roc_auc",
    "spearman",
    "top_share",
]


def roc_auc(y: npt.ArrayLike, p: npt.ArrayLike) -> float:
    """Chance that a churner is scored above a customer who stays; ties count half.

    The Mann-Whitney form: (sum of the churners' mid-ranks - n1 (n1 + 1) / 2) / (n1 n0)
    (Hanley and McNeil 1982, Radiology 143:29-36).

    Returns:
        Between 0 and 1; `nan` when only one class is present.

    >>> roc_auc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    0.75
    """
    actual, score = labels(y, p)
    positives = actual.sum()
    negatives = actual.size - positives
    if positives == 0 or negatives == 0:
        return float("nan")
    ranks = stats.rankdata(score)
    return float(
        (ranks[actual == 1].sum() - positives * (positives + 1) / 2) / (positives * negatives)
    )


def pr_auc(y: npt.ArrayLike, p: npt.ArrayLike) -> float:
    """Average precision: sum over thresholds of (R_k - R_(k-1)) P_k.

    R and P are recall and precision of "score at or above the threshold", one threshold a
    distinct score: the step-wise area, as scikit-learn's `average_precision_score`.

    Returns:
        Between 0 and 1; a random order gives the churn rate. `nan` without a churner.
    """
    actual, score = labels(y, p)
    positives = actual.sum()
    if positives == 0:
        return float("nan")
    counts, hits = groups_by_score(score, actual)
    caught = np.cumsum(hits)
    precision = caught / np.cumsum(counts)
    return float((hits / positives * precision).sum())


def groups_by_score(score: Array, value: Array) -> tuple[Array, Array]:
    """Size and sum of `value` of each distinct score, the highest score first."""
    _, inverse = np.unique(-score, return_inverse=True)
    counts = np.bincount(inverse).astype(np.float64)
    return counts, np.asarray(np.bincount(inverse, weights=value), dtype=np.float64)


def cumulative_gain(y: npt.ArrayLike, p: npt.ArrayLike) -> tuple[Array, Array]:
    """Share of all `y` found among the customers with the highest scores.

    `y` may be a label (share of churners caught) or money (share of value held). Between
    two distinct scores the curve is straight: tied customers come in random order.

    Returns:
        (share of customers, share of y), both from 0 to 1, one point a distinct score.
        The second is `nan` from the start when `y` sums to zero.
    """
    actual, score = pair(y, p)
    counts, sums = groups_by_score(score, actual)
    total = actual.sum()
    with np.errstate(invalid="ignore", divide="ignore"):
        gained = np.concatenate([[0.0], np.cumsum(sums)]) / (total if total != 0 else np.nan)
    return np.concatenate([[0.0], np.cumsum(counts)]) / actual.size, gained


def lift_at(y: npt.ArrayLike, p: npt.ArrayLike, share: float = 0.10) -> float:
    """Churn rate among the top `share` by score, over the churn rate of all.

    Top-decile lift at the default (Neslin et al. 2006, Journal of Marketing Research
    43:204-211). `share` times the number of customers need not be whole: the gain curve
    is read at exactly that share.
    """
    if not 0.0 < share <= 1.0:
        raise ValueError(f"expected a share above 0 and at most 1, got {share}")
    at, gain = cumulative_gain(y, p)
    return float(np.interp(share, at, gain) / share)


def decile_table(y: npt.ArrayLike, p: npt.ArrayLike, groups: int = 10) -> dict[str, Array]:
    """Customers in ten groups of one size by score, the highest first.

    A customer whose score is tied across a border is shared between the groups in
    proportion, so the table does not depend on the order of rows.

    Returns:
        Columns `decile` (1 = highest scores), `customers`, `mean_predicted`,
        `mean_actual`, `share_of_actual` (`nan` when nothing happened at all).
    """
    actual, score = pair(y, p)
    groups = min(groups, actual.size)
    counts, sums = groups_by_score(score, actual)
    _, predicted = groups_by_score(score, score)
    at = np.concatenate([[0.0], np.cumsum(counts)])
    edges = np.linspace(0.0, actual.size, groups + 1)
    size = np.diff(edges)

    def between(values: Array) -> Array:
        return np.diff(np.interp(edges, at, np.concatenate([[0.0], np.cumsum(values)])))

    total = actual.sum()
    found = between(sums)
    return {
        "decile": np.arange(1, groups + 1, dtype=np.float64),
        "customers": size,
        "mean_predicted": between(predicted) / size,
        "mean_actual": found / size,
        "share_of_actual": found / total if total != 0 else np.full(groups, np.nan),
    }


def correlation(y: npt.ArrayLike, predicted: npt.ArrayLike) -> float:
    """Pearson's correlation of forecast and outcome; `nan` when either side is constant."""
    actual, forecast = pair(y, predicted)
    if np.ptp(actual) == 0 or np.ptp(forecast) == 0:
        return float("nan")
    return float(np.corrcoef(actual, forecast)[0, 1])


def spearman(y: npt.ArrayLike, predicted: npt.ArrayLike) -> float:
    """Rank correlation with mid-ranks for ties; `nan` when either side is constant."""
    actual, forecast = pair(y, predicted)
    return correlation(stats.rankdata(actual), stats.rankdata(forecast))


def _gini(y: Array, score: Array) -> float:
    at, gain = cumulative_gain(y, score)
    return float(2 * np.trapezoid(gain, at) - 1)


def normalised_gini(y: npt.ArrayLike, predicted: npt.ArrayLike) -> float:
    """Gini of `y` ordered by forecast, over Gini of `y` ordered by itself.

    Twice the area between the gain curve and the diagonal, as a share of the best possible
    (Wang, Liu and Miao 2019, arXiv 1912.07753). 1: the right order; 0: a random one.
    `nan` when every customer is worth the same.
    """
    actual, forecast = pair(y, predicted)
    best = _gini(actual, actual)
    # Customers worth the same to the last digit leave a rounding error, not a spread.
    return _gini(actual, forecast) / best if best > 1e-12 else float("nan")


def top_share(y: npt.ArrayLike, predicted: npt.ArrayLike, share: float = 0.10) -> float:
    """Share of all `y` held by the top `share` of customers by forecast.

    At the default the top-decile share. `nan` when nothing came.
    """
    return lift_at(y, predicted, share) * share
