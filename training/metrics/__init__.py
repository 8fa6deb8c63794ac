"""Measures that training chooses models by, and those of `models.metrics` that it uses.

Where to look beside `models.metrics`: `policies` (a campaign against other campaigns), `items` (was
the next item among those named), `named`, which puts together what a run logs, and `choice` (which
forecast to take).

A measure that is not defined for its input is `nan`: callers leave it out rather than invent a
value.
"""

from models.metrics.amount import bias, mae, nmae, rmse
from models.metrics.bootstrap import (
    Difference,
    Interval,
    Resampled,
    paired_difference,
    resample,
)
from models.metrics.distribution import coverage, crps, held, pit_ks, randomised_pit
from models.metrics.probability import brier, ece, log_loss, mean_p_minus_rate, reliability_table
from models.metrics.profit import (
    CampaignProfit,
    ProfitMaximum,
    campaign_profit,
    customer_profit,
    empc,
    mpc,
)
from models.metrics.ranking import (
    correlation,
    cumulative_gain,
    decile_table,
    lift_at,
    normalised_gini,
    pr_auc,
    roc_auc,
    spearman,
    top_share,
)
from training.metrics.choice import Simplest, simplest_not_worse
from training.metrics.named import (
    churn_metrics,
    clv_metrics,
    distribution_metrics,
    purchase_metrics,
)
from training.metrics.policies import campaign_policies, profit_curve, stress

__all__ = [
    "CampaignProfit",
    "Difference",
    "Interval",
    "ProfitMaximum",
    "Resampled",
    "Simplest",
    "bias",
    "brier",
    "campaign_policies",
    "campaign_profit",
    "churn_metrics",
    "clv_metrics",
    "correlation",
    "coverage",
    "crps",
    "cumulative_gain",
    "customer_profit",
    "decile_table",
    "distribution_metrics",
    "ece",
    "empc",
    "held",
    "lift_at",
    "log_loss",
    "mae",
    "mean_p_minus_rate",
    "mpc",
    "nmae",
    "normalised_gini",
    "paired_difference",
    "pit_ks",
    "pr_auc",
    "profit_curve",
    "purchase_metrics",
    "randomised_pit",
    "reliability_table",
    "resample",
    "rmse",
    "roc_auc",
    "simplest_not_worse",
    "spearman",
    "stress",
    "top_share",
]
