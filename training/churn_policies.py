"""What lists by the chosen churn model would have earned, and how a run shows it."""

import datetime as dt
from collections.abc import Sequence

from features.campaigns import campaigns
from features.ledger import Ledger
from training import figures
from training.churn_panel import ChurnSettings
from training.churn_pictures import REFERENCES
from training.churn_rolling import Rolling
from training.metrics.policies import MODEL
from training.off_policy import NEAR, off_policy_backtest
from training.policy_backtest import Moment, Terms, policy_backtest
from training.run import Run

__all__ = ["MOST_CAMPAIGNS", "log_policies", "policy_moments"]

MOST_CAMPAIGNS = 6
"""Latest campaigns that tell what lists would have earned."""


def policy_moments(
    rolling: Rolling, name: str, cutoffs: Sequence[dt.date], *, rules: bool = True
) -> list[Moment]:
    """What a candidate and the rules foretold at some cutoffs, and what came.

    Args:
        rolling: The candidates.
        name: The candidate that plans.
        cutoffs: Closed cutoffs.
        rules: Whether the recency rule and the purchase model plan as well.
    """
    found = []
    known = {label: each for each, label in REFERENCES.items() if each in rolling.recipes}
    for cutoff in cutoffs:
        s = rolling.panel.slices[cutoff]
        forecasts = {}
        if rules:
            forecasts = {label: rolling.probability(each, cutoff) for label, each in known.items()}
        forecasts[MODEL] = rolling.probability(name, cutoff)
        keep = s.eligible
        found.append(
            Moment(
                cutoff,
                s.churned[keep],
                {label: p[keep] for label, p in forecasts.items()},
                s.value[keep],
                s.customers[keep],
            )
        )
    return found


def log_policies(
    run: Run,
    ledger: Ledger,
    rolling: Rolling,
    name: str,
    cutoffs: Sequence[dt.date],
    settings: ChurnSettings,
    seed: int,
) -> None:
    """Log what the plan and simpler policies would have earned at some cutoffs.

    The tables `policy_backtest` and, where campaigns with a random control fall near a cutoff,
    `off_policy`, and a figure of each.

    Args:
        run: The run of the candidate.
        ledger: The trusted tables.
        rolling: The candidates.
        name: The candidate that plans.
        cutoffs: Closed cutoffs.
        settings: What may be sent, and what it costs.
        seed: Seed of the resampling.
    """
    terms = settings.terms or Terms((settings.offer,))
    moments = policy_moments(rolling, name, cutoffs)
    table = policy_backtest(moments, terms, seed=seed)
    run.table("policy_backtest", table)
    run.figure("policy_backtest", figures.policy_backtest(table))
    if settings.label != "purchases" or "contacts" not in ledger.tables:
        return
    before = _before_campaigns(ledger, rolling, cutoffs)
    past = off_policy_backtest(
        ledger,
        policy_moments(rolling, name, before, rules=False),
        terms,
        window_days=settings.horizon_days,
        margin=settings.margin,
        seed=seed,
    )
    if len(past):
        run.table("off_policy", past)
        run.figure("off_policy", figures.off_policy(past))


def _before_campaigns(
    ledger: Ledger, rolling: Rolling, cutoffs: Sequence[dt.date]
) -> list[dt.date]:
    """Cutoffs that stand just before the latest campaigns, of those that were looked at anyway."""
    known = sorted({*cutoffs, *(c for day in cutoffs for c in rolling.origins(day))})
    found = set()
    for campaign in campaigns(ledger):
        past = [c for c in known if c <= campaign.first_day <= c + NEAR]
        if campaign.randomised and past:
            found.add(past[-1])
    return sorted(found)[-MOST_CAMPAIGNS:]
