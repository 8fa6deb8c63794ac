"""Measures of a forecast against what happened: plain functions of arrays.

`y` is what happened, `p` (or `predicted`) what was forecast, one entry a customer.
Every measure of ranking treats customers with the same score as one group, in expectation
over their random order, so no number depends on the order of rows.

A measure that is not defined for its input (one class only, nothing bought by anybody) is
`nan`: callers leave it out rather than invent a value.

Where to look: `ranking` (who comes first), `probability` (does 70 % mean 70 %), `profit` (what a
campaign earns), `policies` (against other campaigns), `amount` (how many, how much), `distribution`
(intervals and draws), `named`, which puts together what a run logs, `bootstrap` (how sure each
measure is), and `choice` (which forecast to take).
"""

from training.metrics.amount import bias, mae, nmae, rmse
from training.metrics.bootstrap import (
    Difference,
    Interval,
    Resampled,
    paired_difference,
    resample,
)
from training.metrics.choice import Simplest, simplest_not_worse
from training.metrics.distribution import coverage, crps, held, pit_ks, randomised_pit
from training.metrics.named import (
    churn_metrics,
    clv_metrics,
    distribution_metrics,
    purchase_metrics,
)
from training.metrics.policies import campaign_policies, profit_curve, stress
from training.metrics.probability import brier, ece, log_loss, mean_p_minus_rate, reliability_table
from training.metrics.profit import (
    CampaignProfit,
    ProfitMaximum,
    campaign_profit,
    customer_profit,
    empc,
    mpc,
)
from training.metrics.ranking import (
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
