"""What the configuration says, in the terms of training and serving."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from features.errors import InputError
from features.schema import nearest

if TYPE_CHECKING:
    from features.labels import LabelSpec
    from serving.campaigns import CampaignSettings
    from serving.look_back import MonitorSettings
    from serving.offers import Decision
    from serving.score_ledger import ScoreLedger
    from training.churn_panel import ChurnSettings, Effort
    from training.clv_fitting import ClvSettings
    from training.policy_backtest import Terms

    from .config import Config, OfferOptions

__all__ = [
    "campaign_settings",
    "changed",
    "churn_settings",
    "clv_settings",
    "decision",
    "label_spec",
    "monitor_settings",
    "score_ledger",
    "terms",
]


def label_spec(config: Config) -> LabelSpec:
    """What the configuration says that churned means."""
    from features.labels import LabelSpec

    said = config.churn
    return LabelSpec(said.horizon_days, said.gap_days, said.eligibility)


def churn_settings(config: Config, effort: Effort = "usual") -> ChurnSettings:
    """What the configuration says of the churn model, and how hard to try."""
    from models.decision import Offer
    from training.churn_panel import ChurnSettings

    said, decision = config.churn, config.decision
    return ChurnSettings(
        said.horizon_days,
        said.gap_days,
        said.eligibility,
        said.label,
        features=config.features,
        offer=Offer(
            decision.contact_cost, decision.offer_cost, decision.save_rate, decision.redemption
        ),
        terms=terms(config),
        value=decision.value,
        margin=config.clv.margin,
        use_acquisition_cost=decision.use_acquisition_cost,
        effort=effort,
        trials=said.trials if effort == "usual" else None,
        minutes=said.minutes,
        candidates=said.candidates,
    )


def clv_settings(config: Config) -> ClvSettings:
    """What the configuration says of the CLV model."""
    from training.clv_fitting import ClvSettings

    said = config.clv
    covariates = {name: value for name, value in said.covariates.model_dump().items() if value}
    return ClvSettings(
        said.horizon_days,
        said.annual_discount_rate,
        said.margin,
        covariates=covariates,
        segment=said.segment,
        holidays=said.holidays,
        priors=said.priors,
        candidates=said.candidates,
    )


def campaign_settings(config: Config) -> CampaignSettings:
    """What the configuration says of how campaigns are measured."""
    from models.uplift.campaign import Worth
    from serving.campaigns import CampaignSettings

    said, clv = config.campaigns, config.clv
    worth = Worth(clv.margin, clv.horizon_days, clv.annual_discount_rate)
    return CampaignSettings(
        said.window_days, config.churn.horizon_days, dict(said.treated_share), worth
    )


def decision(config: Config) -> Decision:
    """What the configuration says may be sent, what it costs, and whom it is sent to."""
    from models.decision import Offer
    from serving.offers import Decision, PlannedOffer

    said = config.decision
    usual = {name: getattr(said, name) for name in Offer.__dataclass_fields__}

    def offer(each: OfferOptions) -> PlannedOffer:
        own = {name: getattr(each, name) for name in usual if getattr(each, name) is not None}
        return PlannedOffer(
            each.name,
            Offer(**usual | own),
            each.effect,
            each.campaign or each.name,
            each.model,
            each.keeps_days,
            each.only,
            each.min_p_alive,
            each.earns,
        )

    return Decision(
        tuple(map(offer, said.offers)) or (PlannedOffer(offer=Offer(**usual)),),
        said.budget,
        said.list_size,
        said.max_contacts,
        said.contact_days,
        said.control_share,
        said.seed,
        said.value,
        config.clv.margin,
        said.use_acquisition_cost,
    )


def changed(
    decision: Decision,
    *,
    offers: tuple[str, ...] = (),
    budget: float | None = None,
    list_size: int | None = None,
    control_share: float | None = None,
) -> Decision:
    """The decision with what was said on the command line in the place of the configuration.

    Args:
        decision: Of the configuration.
        offers: Names of the offers to choose from; none: all.
        budget: Most that the list may cost.
        list_size: Most customers who are sent something.
        control_share: Share to hold back.

    Raises:
        InputError: There is no offer of that name.
    """
    known = {each.name: each for each in decision.offers}
    for name in offers:
        if name not in known:
            raise InputError(
                f"There is no offer called {name}.",
                f"{nearest(name, known)} There is: {', '.join(known)}. "
                "Offers stand in [[decision.offers]].".strip(),
            )
    return replace(
        decision,
        offers=tuple(known[name] for name in dict.fromkeys(offers)) or decision.offers,
        budget=decision.budget if budget is None else budget,
        list_size=decision.list_size if list_size is None else list_size,
        control_share=decision.control_share if control_share is None else control_share,
    )


def monitor_settings(config: Config) -> MonitorSettings:
    """What the configuration says of when a list that did badly needs a person."""
    from serving.look_back import MonitorSettings

    said = config.monitor
    return MonitorSettings(
        said.calibration_gap, said.auc_drop, said.clv_bias, said.min_customers, said.cohorts
    )


def score_ledger(config: Config) -> ScoreLedger | None:
    """Where scored lists are recorded; None where nowhere."""
    from serving.score_ledger import parse_score_ledger

    return parse_score_ledger(config.monitor.score_ledger, config.base)


def terms(config: Config) -> Terms:
    """The offers whose effect is assumed, and the limits of a list, for the plan's backtest.

    Where all effects are learned, it is the offer of `[decision]` itself.
    """
    from models.decision import Offer
    from serving.offers import YEAR_DAYS
    from training.policy_backtest import Terms

    said = config.decision
    offers = [each for each in decision(config).offers if each.effect == "assumed"]
    usual = Offer(said.contact_cost, said.offer_cost, said.save_rate, said.redemption)
    return Terms(
        tuple(each.offer for each in offers) or (usual,),
        tuple(each.keeps_days / YEAR_DAYS for each in offers),
        said.budget,
        said.list_size,
    )
