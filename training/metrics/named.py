"""All measures of a family at once, under the names every run uses."""

import numpy as np
import numpy.typing as npt

from models.decision import Offer
from models.metrics.amount import bias, mae, nmae, rmse
from models.metrics.distribution import coverage, crps, held, pit_ks, randomised_pit
from models.metrics.probability import brier, ece, log_loss, mean_p_minus_rate
from models.metrics.profit import campaign_profit, empc
from models.metrics.ranking import (
    correlation,
    lift_at,
    normalised_gini,
    pr_auc,
    roc_auc,
    spearman,
    top_share,
)

__all__ = ["churn_metrics", "clv_metrics", "distribution_metrics", "purchase_metrics"]


def churn_metrics(
    y: npt.ArrayLike,
    p: npt.ArrayLike,
    prefix: str = "churn",
    value: npt.ArrayLike | None = None,
    offer: Offer | None = None,
) -> dict[str, float]:
    """All measures of a churn probability, under the names every run uses.

    Args:
        y: 1 where the customer made no purchase in the horizon.
        p: Forecast probability of that.
        prefix: First part of each name.
        value: Money that the customer brings who stays; one for all, or one each.
        offer: What is sent, and what it is believed to do; with it, `value` is needed.

    Returns:
        `<prefix>/roc_auc`, `pr_auc`, `brier`, `log_loss`, `ece`, `ece_mass`,
        `mean_p_minus_rate`, `lift_at_10`, `empc`; with an offer, `expected_profit` and
        `realised_profit`, in money per customer of the base. `empc` has the costs and the value
        of the literature, so that it compares between shops. Undefined ones are left out.

    Raises:
        ValueError: An offer without values, or the other way round.
    """
    if (offer is None) != (value is None):
        raise ValueError("expected an offer and values, or neither")
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
    if offer is not None and value is not None:
        campaign = campaign_profit(y, p, value, offer)
        found["expected_profit"] = campaign.expected
        found["realised_profit"] = campaign.realised
    return {f"{prefix}/{name}": each for name, each in found.items() if np.isfinite(each)}


def purchase_metrics(
    y: npt.ArrayLike,
    predicted: npt.ArrayLike,
    draws: npt.ArrayLike | None = None,
    seed: int = 0,
) -> dict[str, float]:
    """All measures of expected purchases, under the names every run uses.

    Args:
        y: Purchases in the holdout.
        predicted: Expected purchases.
        draws: (n, m) predictive draws of the count; without them no measures of the whole
            distribution.
        seed: Seed of the randomised PIT.

    Returns:
        `purchases/<measure>` for the measures of `clv_metrics`.
    """
    return _amount_metrics("purchases", y, predicted, draws, seed)


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
        draws: (n, m) predictive draws of the value; without them no measures of the whole
            distribution.
        seed: Seed of the randomised PIT.

    Returns:
        `clv/mae`, `nmae`, `rmse`, `bias`, `correlation`, `spearman`, `gini`,
        `top_decile_share` and, with draws, `crps`, `coverage_50`, `coverage_90`, `held_90`,
        `pit_ks`. Undefined ones are left out.
    """
    return _amount_metrics("clv", y, predicted, draws, seed)


def _amount_metrics(
    prefix: str,
    y: npt.ArrayLike,
    predicted: npt.ArrayLike,
    draws: npt.ArrayLike | None,
    seed: int,
) -> dict[str, float]:
    found = {
        "mae": mae(y, predicted),
        "nmae": nmae(y, predicted),
        "rmse": rmse(y, predicted),
        "bias": bias(y, predicted),
        "correlation": correlation(y, predicted),
        "spearman": spearman(y, predicted),
        "gini": normalised_gini(y, predicted),
        "top_decile_share": top_share(y, predicted),
    }
    if draws is not None:
        found |= distribution_metrics(y, draws, seed)
    return {f"{prefix}/{name}": value for name, value in found.items() if np.isfinite(value)}


def distribution_metrics(
    y: npt.ArrayLike, draws: npt.ArrayLike, seed: int, *, spaced: bool = False
) -> dict[str, float]:
    """Measures of a whole predictive distribution, from points of it.

    Args:
        y: n outcomes.
        draws: (n, m) predictive draws.
        seed: Seed of the randomised PIT.
        spaced: The points are the quantiles at the levels (i + 1/2) / m.

    Returns:
        `crps`, `coverage_50`, `coverage_90`, `held_90`, `pit_ks`.
    """
    sample = np.asarray(draws, dtype=np.float64)
    pit = randomised_pit(y, sample, np.random.default_rng(seed), spaced=spaced)
    low, high = np.quantile(sample, [0.05, 0.95], axis=1)
    return {
        "crps": crps(y, sample),
        "coverage_50": coverage(pit, 0.50),
        "coverage_90": coverage(pit, 0.90),
        "held_90": held(y, low, high),
        "pit_ks": pit_ks(pit),
    }
