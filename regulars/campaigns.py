"""What past campaigns teach, and how large the next one has to be to teach something."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from features.errors import InputError, NotEnoughDataError
from features.progress import note

if TYPE_CHECKING:
    from features.ledger import Ledger
    from training.result import TrainingResult
    from training.tracking import Tracking

    from .config import Config

__all__ = ["plan_experiment", "train_uplift_model"]

SHARES = (0.5, 0.8, 0.9)
"""Shares of treated customers that are planned for, where none is asked for."""


def train_uplift_model(
    config: Config, ledger: Ledger, tracking: Tracking, *, seed: int, asked: bool
) -> TrainingResult | None:
    """Learn effects from past campaigns; None where there are none and nobody asked."""
    from training.uplift import UpliftSettings, train_uplift

    settings = UpliftSettings(config.churn.horizon_days, config.features)
    try:
        return train_uplift(ledger, settings, seed=seed, tracking=tracking)
    except NotEnoughDataError as problem:
        if asked:
            raise
        if "contacts" in ledger.tables:
            note(f"No uplift model: {problem.message}")
        return None


def plan_experiment(
    config: Config,
    ledger: Ledger,
    *,
    effect: float | None = None,
    cost: float | None = None,
    value: float | None = None,
    base: float | None = None,
    treated_shares: Sequence[float] = (),
    power: float = 0.8,
) -> dict[str, Any]:
    """Plan an experiment from the ledger's own numbers.

    Args:
        config: Has the window, the costs and the margin.
        ledger: The trusted tables.
        effect: Rise of the share of customers who buy in the window; None: cost / value.
        cost: Expected cost of treating one customer; None: contact cost plus the offer's cost times
            the share of buyers who redeem it, all from `[decision]`.
        value: Money that one more buyer brings; None: that of `[decision]`, or the margin of a year
            of those who buy.
        base: Share of customers who buy in the window untreated; None: as counted.
        treated_shares: Shares of the customers that are treated; `SHARES` where empty.
        power: Chance to see the effect if it is there.

    Returns:
        JSON-able: the window, the base, cost, value and effect, and `plans`, one each share.

    Raises:
        InputError: There is no cost to break even with, and no effect is given.
    """
    from features.campaign_base import campaign_base
    from models.uplift.power import break_even_effect, customers_for_mean, plan

    decision, margin = config.decision, config.clv.margin
    window = config.campaigns.window_days
    counted = campaign_base(ledger, window)
    share = counted.share if base is None else base
    if cost is None:
        cost = decision.contact_cost + decision.offer_cost * decision.redemption * share
    if value is None:
        value = decision.value or counted.yearly_spend * margin
    if effect is None and cost == 0:
        raise InputError(
            "Treating a customer costs nothing, so any rise pays for it and none is the smallest.",
            "Say which rise the experiment is to see, such as --effect 0.02, or give its --cost.",
        )
    wanted = break_even_effect(cost, value) if effect is None else effect
    plans = []
    for treated in treated_shares or SHARES:
        found = plan(
            share,
            wanted,
            window_days=window,
            available=counted.customers,
            customers_a_day=counted.new_a_day,
            treated_share=treated,
            power=power,
        )
        spend = customers_for_mean(
            counted.deviation, cost / margin, treated_share=treated, power=power
        ) if cost > 0 else None  # fmt: skip
        plans.append(
            {
                "treated_share": treated,
                "customers": found.customers,
                "treated": found.treated,
                "control": found.control,
                "days": found.days,
                "detectable_effect": found.detectable,
                "customers_for_spend": None if spend is None else sum(spend),
            }
        )
    return {
        "window_days": window,
        "cutoff": counted.cutoff.isoformat(),
        "active_customers": counted.customers,
        "base": share,
        "cost": cost,
        "value": value,
        "effect": wanted,
        "power": power,
        "plans": plans,
    }
