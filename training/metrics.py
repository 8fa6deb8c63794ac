"""Measures of a forecast against what happened: plain functions of arrays.

`y` is what happened, `p` (or `predicted`) what was forecast, one entry a customer.
Every measure of ranking treats customers with the same score as one group, in expectation
over their random order, so no number depends on the order of rows.

A measure that is not defined for its input (one class only, nothing bought by anybody) is
`nan`: callers leave it out rather than invent a value.
"""

from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import special, stats

__all__ = [
    "ProfitMaximum",
    "bias",
    "brier",
    "churn_metrics",
    "clv_metrics",
    "coverage",
    "crps",
    "cumulative_gain",
    "decile_table",
    "ece",
    "empc",
    "lift_at",
    "log_loss",
    "mae",
    "mean_p_minus_rate",
    "mpc",
    "nmae",
    "normalised_gini",
    "pit_ks",
    "pr_auc",
    "purchase_metrics",
    "randomised_pit",
    "reliability_table",
    "rmse",
    "roc_auc",
    "spearman",
    "top_share",
]

Array = npt.NDArray[np.float64]


def _pair(y: npt.ArrayLike, p: npt.ArrayLike) -> tuple[Array, Array]:
    actual = np.asarray(y, dtype=np.float64)
    forecast = np.asarray(p, dtype=np.float64)
    if actual.ndim != 1 or actual.shape != forecast.shape:
        raise ValueError(
            f"expected two vectors of one length, got shapes {actual.shape} and {forecast.shape}"
        )
    if actual.size == 0:
        raise ValueError("expected at least one customer, got none")
    if not (np.isfinite(actual).all() and np.isfinite(forecast).all()):
        raise ValueError("expected finite numbers, got nan or inf")
    return actual, forecast


def _labels(y: npt.ArrayLike, p: npt.ArrayLike) -> tuple[Array, Array]:
    actual, forecast = _pair(y, p)
    if not np.isin(actual, (0.0, 1.0)).all():
        raise ValueError("expected labels 0 and 1")
    return actual, forecast


def _probabilities(y: npt.ArrayLike, p: npt.ArrayLike) -> tuple[Array, Array]:
    actual, forecast = _labels(y, p)
    if forecast.min() < 0.0 or forecast.max() > 1.0:
        raise ValueError("expected probabilities between 0 and 1")
    return actual, forecast


# Churn: ranking ---------------------------------------------------------------------------


def roc_auc(y: npt.ArrayLike, p: npt.ArrayLike) -> float:
    """Chance that a churner is scored above a customer who stays; ties count half.

    The Mann-Whitney form: (sum of the churners' mid-ranks - n1 (n1 + 1) / 2) / (n1 n0)
    (Hanley and McNeil 1982, Radiology 143:29-36).

    Returns:
        Between 0 and 1; `nan` when only one class is present.

    >>> roc_auc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    0.75
    """
    actual, score = _labels(y, p)
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
    actual, score = _labels(y, p)
    positives = actual.sum()
    if positives == 0:
        return float("nan")
    counts, hits = _groups(score, actual)
    caught = np.cumsum(hits)
    precision = caught / np.cumsum(counts)
    return float((hits / positives * precision).sum())


def _groups(score: Array, value: Array) -> tuple[Array, Array]:
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
    actual, score = _pair(y, p)
    counts, sums = _groups(score, actual)
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


# Churn: level -----------------------------------------------------------------------------


def brier(y: npt.ArrayLike, p: npt.ArrayLike) -> float:
    """Mean squared error of the probability, mean (p - y)^2 (Brier 1950).

    >>> brier([0, 1], [0.5, 0.5])
    0.25
    """
    actual, forecast = _probabilities(y, p)
    return float(np.mean((forecast - actual) ** 2))


def log_loss(y: npt.ArrayLike, p: npt.ArrayLike) -> float:
    """Minus the mean log-likelihood: -mean[y ln p + (1 - y) ln(1 - p)].

    Probabilities are held within machine epsilon of 0 and 1, as scikit-learn does, so one
    confident mistake costs 36 nats and not infinity.
    """
    actual, forecast = _probabilities(y, p)
    eps = np.finfo(np.float64).eps
    inside = np.clip(forecast, eps, 1 - eps)
    return float(-np.mean(special.xlogy(actual, inside) + special.xlog1py(1 - actual, -inside)))


def mean_p_minus_rate(y: npt.ArrayLike, p: npt.ArrayLike) -> float:
    """Calibration in the large: mean forecast minus the rate that came.

    Above zero: churn was overstated. The first thing to look at when a season changes.
    """
    actual, forecast = _probabilities(y, p)
    return float(forecast.mean() - actual.mean())


def _bins(forecast: Array, bins: int, kind: Literal["width", "mass"]) -> npt.NDArray[np.int64]:
    """Bin of each forecast, 0 to bins - 1."""
    if bins < 1:
        raise ValueError(f"expected at least one bin, got {bins}")
    if kind == "width":
        return np.minimum((forecast * bins).astype(np.int64), bins - 1)
    # Equal mass by mid-rank: customers with the same forecast stay together.
    return np.minimum(
        ((stats.rankdata(forecast) - 0.5) / forecast.size * bins).astype(np.int64), bins - 1
    )


def ece(
    y: npt.ArrayLike,
    p: npt.ArrayLike,
    bins: int = 10,
    kind: Literal["width", "mass"] = "width",
) -> float:
    """Expected calibration error: sum over bins of (n_b / N) |mean p_b - mean y_b|.

    Naeini, Cooper and Hauskrecht 2015, AAAI. `width` cuts [0, 1] into equal steps, `mass`
    cuts the customers into groups of one size (forecasts that are equal stay together).
    """
    actual, forecast = _probabilities(y, p)
    place = _bins(forecast, bins, kind)
    return float(np.abs(np.bincount(place, weights=forecast - actual)).sum() / actual.size)


def reliability_table(y: npt.ArrayLike, p: npt.ArrayLike, bins: int = 10) -> dict[str, Array]:
    """What a reliability diagram shows: equal-mass bins of the forecast.

    Returns:
        Columns `bin` (from 1), `customers`, `mean_p`, `churn_rate`, and `low`, `high`: the
        Wilson 95 % interval of the churn rate (Wilson 1927). Empty bins are left out.
    """
    actual, forecast = _probabilities(y, p)
    place = _bins(forecast, bins, "mass")
    customers = np.bincount(place, minlength=bins).astype(np.float64)
    kept = customers > 0
    customers = customers[kept]
    mean_p = np.bincount(place, weights=forecast, minlength=bins)[kept] / customers
    rate = np.bincount(place, weights=actual, minlength=bins)[kept] / customers
    z2 = stats.norm.ppf(0.975) ** 2
    centre = (rate + z2 / (2 * customers)) / (1 + z2 / customers)
    half = (
        np.sqrt(z2 * (rate * (1 - rate) / customers + z2 / (4 * customers**2)))
        / (1 + z2 / customers)
    )  # fmt: skip
    return {
        "bin": np.flatnonzero(kept).astype(np.float64) + 1,
        "customers": customers,
        "mean_p": mean_p,
        "churn_rate": rate,
        # Rounding must not leave the rate of an all-or-none bin outside its own interval.
        "low": np.clip(np.minimum(centre - half, rate), 0.0, 1.0),
        "high": np.clip(np.maximum(centre + half, rate), 0.0, 1.0),
    }


def decile_table(y: npt.ArrayLike, p: npt.ArrayLike, groups: int = 10) -> dict[str, Array]:
    """Customers in ten groups of one size by score, the highest first.

    A customer whose score is tied across a border is shared between the groups in
    proportion, so the table does not depend on the order of rows.

    Returns:
        Columns `decile` (1 = highest scores), `customers`, `mean_predicted`,
        `mean_actual`, `share_of_actual` (`nan` when nothing happened at all).
    """
    actual, score = _pair(y, p)
    groups = min(groups, actual.size)
    counts, sums = _groups(score, actual)
    _, predicted = _groups(score, score)
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


# Churn: money -----------------------------------------------------------------------------


class ProfitMaximum(NamedTuple):
    """The best a retention campaign can do with a score.

    Attributes:
        profit: Per customer of the base, in the units of `clv`.
        share: Share of customers to contact at that optimum.
    """

    profit: float
    share: float


def _roc_hull(actual: Array, score: Array) -> tuple[Array, Array]:
    """Upper convex hull of the ROC curve: (false positive rate, true positive rate)."""
    counts, hits = _groups(score, actual)
    tp = np.concatenate([[0.0], np.cumsum(hits)]) / actual.sum()
    fp = np.concatenate([[0.0], np.cumsum(counts - hits)]) / (actual.size - actual.sum())
    hull: list[int] = []
    for i in range(tp.size):
        # Drop the last point while it lies on or below the line past it (Graham's scan).
        while len(hull) > 1 and (fp[hull[-1]] - fp[hull[-2]]) * (tp[i] - tp[hull[-2]]) >= (
            tp[hull[-1]] - tp[hull[-2]]
        ) * (fp[i] - fp[hull[-2]]):
            hull.pop()
        hull.append(i)
    return fp[hull], tp[hull]


def mpc(
    y: npt.ArrayLike,
    p: npt.ArrayLike,
    *,
    clv: float = 200.0,
    offer_cost: float = 10.0,
    contact_cost: float = 1.0,
    save_rate: float = 0.30,
) -> ProfitMaximum:
    """Maximum profit measure for churn: max over thresholds of P(T; gamma).

    P(T; gamma) = CLV (gamma (1 - delta) - phi) pi0 F0(T) - CLV (delta + phi) pi1 F1(T),
    delta = offer_cost / clv, phi = contact_cost / clv; pi0, F0 are the share of churners
    and the part of them contacted, pi1, F1 those of the others (Verbraken, Verbeke and
    Baesens 2013, IEEE TKDE 25:961-973). The defaults are theirs.
    """
    actual, score = _labels(y, p)
    churners = float(actual.mean())
    if churners in (0.0, 1.0):
        return ProfitMaximum(float("nan"), float("nan"))
    fp, tp = _roc_hull(actual, score)
    gain = (save_rate * (clv - offer_cost) - contact_cost) * churners
    cost = (offer_cost + contact_cost) * (1 - churners)
    profit = gain * tp - cost * fp
    best = int(np.argmax(profit))
    return ProfitMaximum(
        float(profit[best]), float(churners * tp[best] + (1 - churners) * fp[best])
    )


def empc(
    y: npt.ArrayLike,
    p: npt.ArrayLike,
    *,
    clv: float = 200.0,
    offer_cost: float = 10.0,
    contact_cost: float = 1.0,
    alpha: float = 6.0,
    beta: float = 14.0,
) -> ProfitMaximum:
    """Expected maximum profit measure for churn: MPC averaged over an unknown save rate.

    Integral over gamma of max_T P(T; gamma) times the Beta(alpha, beta) density of gamma
    (Verbraken, Verbeke and Baesens 2013; `mpc` has P). Each corner of the ROC hull is the
    best threshold on one interval of gamma, so the integral is a finite sum of incomplete
    beta functions. The defaults are theirs: a mean save rate of 0.30.
    """
    actual, score = _labels(y, p)
    churners = float(actual.mean())
    if churners in (0.0, 1.0):
        return ProfitMaximum(float("nan"), float("nan"))
    fp, tp = _roc_hull(actual, score)
    delta, phi = offer_cost / clv, contact_cost / clv
    steps_tp, steps_fp = np.diff(tp), np.diff(fp)
    with np.errstate(divide="ignore"):
        slope = np.where(steps_tp > 0, steps_fp / np.where(steps_tp > 0, steps_tp, 1.0), np.inf)
    # The save rate at which the next corner of the hull becomes the better one.
    switch = (slope * (delta + phi) * (1 - churners) / churners + phi) / (1 - delta)
    edges = np.concatenate([[0.0], np.clip(switch, 0.0, 1.0), [1.0]])
    mass = np.diff(special.betainc(alpha, beta, edges))
    mean = alpha / (alpha + beta) * np.diff(special.betainc(alpha + 1, beta, edges))
    gain = clv * ((1 - delta) * mean - phi * mass) * churners * tp
    cost = clv * (delta + phi) * (1 - churners) * fp * mass
    share = (churners * tp + (1 - churners) * fp) * mass
    return ProfitMaximum(float((gain - cost).sum()), float(share.sum()))


def churn_metrics(y: npt.ArrayLike, p: npt.ArrayLike, prefix: str = "churn") -> dict[str, float]:
    """All measures of a churn probability, under the names every run uses.

    Args:
        y: 1 where the customer made no purchase in the horizon.
        p: Forecast probability of that.
        prefix: First part of each name.

    Returns:
        `<prefix>/roc_auc`, `pr_auc`, `brier`, `log_loss`, `ece`, `ece_mass`,
        `mean_p_minus_rate`, `lift_at_10`, `empc`. Undefined ones are left out.
    """
    found = {
        "roc_auc": roc_auc(y, p),
        "pr_auc": pr_auc(y, p),
        "brier": brier(y, p),
        "log_loss": log_loss(y, p),
        "ece": ece(y, p),
        "ece_mass": ece(y, p, kind="mass"),
        "mean_p_minus_rate": mean_p_minus_rate(y, p),
        "lift_at_10": lift_at(y, p),
        "empc": empc(y, p).profit,
    }
    return {f"{prefix}/{name}": value for name, value in found.items() if np.isfinite(value)}


# Value: point -----------------------------------------------------------------------------


def mae(y: npt.ArrayLike, predicted: npt.ArrayLike) -> float:
    """Mean absolute error. Rewards the median: never read it without the bias beside it."""
    actual, forecast = _pair(y, predicted)
    return float(np.abs(forecast - actual).mean())


def nmae(y: npt.ArrayLike, predicted: npt.ArrayLike) -> float:
    """Sum of absolute errors over the sum of what came (also WAPE); `nan` if nothing came."""
    actual, forecast = _pair(y, predicted)
    total = actual.sum()
    return float(np.abs(forecast - actual).sum() / total) if total > 0 else float("nan")


def rmse(y: npt.ArrayLike, predicted: npt.ArrayLike) -> float:
    """Root of the mean squared error. Rewards the mean, and so the total."""
    actual, forecast = _pair(y, predicted)
    return float(np.sqrt(np.mean((forecast - actual) ** 2)))


def bias(y: npt.ArrayLike, predicted: npt.ArrayLike) -> float:
    """Relative error of the total: sum predicted / sum actual - 1; `nan` if nothing came.

    >>> bias([1.0, 3.0], [2.0, 3.0])
    0.25
    """
    actual, forecast = _pair(y, predicted)
    total = actual.sum()
    return float(forecast.sum() / total - 1) if total > 0 else float("nan")


def spearman(y: npt.ArrayLike, predicted: npt.ArrayLike) -> float:
    """Rank correlation with mid-ranks for ties; `nan` when either side is constant."""
    actual, forecast = _pair(y, predicted)
    a, b = stats.rankdata(actual), stats.rankdata(forecast)
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    return float(np.corrcoef(a, b)[0, 1])


def _gini(y: Array, score: Array) -> float:
    at, gain = cumulative_gain(y, score)
    return float(2 * np.trapezoid(gain, at) - 1)


def normalised_gini(y: npt.ArrayLike, predicted: npt.ArrayLike) -> float:
    """Gini of `y` ordered by forecast, over Gini of `y` ordered by itself.

    Twice the area between the gain curve and the diagonal, as a share of the best possible
    (Wang, Liu and Miao 2019, arXiv 1912.07753). 1: the right order; 0: a random one.
    `nan` when every customer is worth the same.
    """
    actual, forecast = _pair(y, predicted)
    best = _gini(actual, actual)
    # Customers worth the same to the last digit leave a rounding error, not a spread.
    return _gini(actual, forecast) / best if best > 1e-12 else float("nan")


def top_share(y: npt.ArrayLike, predicted: npt.ArrayLike, share: float = 0.10) -> float:
    """Share of all `y` held by the top `share` of customers by forecast.

    At the default the top-decile share. `nan` when nothing came.
    """
    return lift_at(y, predicted, share) * share


# Value: distribution ----------------------------------------------------------------------


def coverage(y: npt.ArrayLike, low: npt.ArrayLike, high: npt.ArrayLike) -> float:
    """Share of customers whose outcome lies in [low, high], ends included.

    With many zeros an interval that starts at zero holds all of them, so coverage above
    the nominal level is no fault by itself; `pit_ks` looks at the whole distribution.
    """
    actual, lower = _pair(y, low)
    _, upper = _pair(y, high)
    if (lower > upper).any():
        raise ValueError("expected low <= high")
    return float(((actual >= lower) & (actual <= upper)).mean())


def crps(y: npt.ArrayLike, draws: npt.ArrayLike) -> float:
    """Continuous ranked probability score of predictive draws, mean over customers.

    E|X - y| - E|X - X'| / 2 over the empirical distribution of the draws (Gneiting and
    Raftery 2007, JASA 102:359-378, eq. 21), by sorting: no pair is formed.

    Args:
        y: n outcomes.
        draws: (n, m) predictive draws, a row a customer.

    Returns:
        In the units of `y`; equals the absolute error when all draws agree.

    >>> crps([3.0], [[1.0, 1.0]])
    2.0
    """
    actual = np.asarray(y, dtype=np.float64)
    sample = np.sort(np.asarray(draws, dtype=np.float64), axis=1)
    if sample.shape[:1] != actual.shape:
        raise ValueError(f"expected one row of draws a customer, got shape {sample.shape}")
    m = sample.shape[1]
    off = np.abs(sample - actual[:, None]).mean(axis=1)
    weight = (2 * np.arange(1, m + 1) - m - 1) / m**2
    return float((off - sample @ weight).mean())


def randomised_pit(
    y: npt.ArrayLike, draws: npt.ArrayLike, rng: np.random.Generator
) -> npt.NDArray[np.float64]:
    """Where each outcome falls in its predictive distribution, uniform if that is right.

    F(y-) + U (F(y) - F(y-)): the jump at `y` (a count, or no spend at all) is spread evenly
    (Brockwell 2007; Czado, Gneiting and Held 2009, Biometrics 65:1254-1261). F is that of
    the draws with the outcome counted among them, (rank + U) / (m + 1), so that it is
    uniform for finitely many draws too.

    Args:
        y: n outcomes.
        draws: (n, m) predictive draws, a row a customer.
        rng: Source of U; the same seed gives the same answer.
    """
    actual = np.asarray(y, dtype=np.float64)[:, None]
    sample = np.asarray(draws, dtype=np.float64)
    below = (sample < actual).sum(axis=1)
    equal = (sample == actual).sum(axis=1)
    return np.asarray((below + rng.random(actual.size) * (equal + 1)) / (sample.shape[1] + 1))


def pit_ks(pit: npt.ArrayLike) -> float:
    """Largest gap between the distribution of the PIT values and the uniform one.

    The Kolmogorov-Smirnov statistic: 0 is perfect, about 1.36 / sqrt(n) is the 95 % point
    for a right forecast.
    """
    values = np.sort(np.asarray(pit, dtype=np.float64))
    n = values.size
    steps = np.arange(1, n + 1) / n
    return float(max((steps - values).max(), (values - (steps - 1 / n)).max()))


def purchase_metrics(
    y: npt.ArrayLike, predicted: npt.ArrayLike, draws: npt.ArrayLike | None = None
) -> dict[str, float]:
    """All measures of expected purchases, under the names every run uses.

    Args:
        y: Purchases in the holdout.
        predicted: Expected purchases.
        draws: (n, m) predictive draws of the count; without them no `crps`.

    Returns:
        `purchases/mae`, `rmse`, `bias` and, with draws, `crps`. Undefined ones are left out.
    """
    found = {"mae": mae(y, predicted), "rmse": rmse(y, predicted), "bias": bias(y, predicted)}
    if draws is not None:
        found["crps"] = crps(y, draws)
    return {f"purchases/{name}": value for name, value in found.items() if np.isfinite(value)}


def clv_metrics(
    y: npt.ArrayLike,
    predicted: npt.ArrayLike,
    draws: npt.ArrayLike | None = None,
    seed: int = 0,
) -> dict[str, float]:
    """All measures of value in the holdout, under the names every run uses.

    Args:
        y: Value that came.
        predicted: Expected value, same money.
        draws: (n, m) predictive draws of the value; without them no `coverage`, `pit_ks`.
        seed: Seed of the randomised PIT.

    Returns:
        `clv/mae`, `nmae`, `rmse`, `bias`, `spearman`, `gini`, `top_decile_share` and, with
        draws, `coverage_50`, `coverage_90`, `pit_ks`. Undefined ones are left out.
    """
    found = {
        "mae": mae(y, predicted),
        "nmae": nmae(y, predicted),
        "rmse": rmse(y, predicted),
        "bias": bias(y, predicted),
        "spearman": spearman(y, predicted),
        "gini": normalised_gini(y, predicted),
        "top_decile_share": top_share(y, predicted),
    }
    if draws is not None:
        sample = np.asarray(draws, dtype=np.float64)
        quantiles = np.quantile(sample, [0.05, 0.25, 0.75, 0.95], axis=1)
        found["coverage_50"] = coverage(y, quantiles[1], quantiles[2])
        found["coverage_90"] = coverage(y, quantiles[0], quantiles[3])
        found["pit_ks"] = pit_ks(randomised_pit(y, sample, np.random.default_rng(seed)))
    return {f"clv/{name}": value for name, value in found.items() if np.isfinite(value)}
