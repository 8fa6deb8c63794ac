"""Measure every campaign of a ledger: reports one by one, and rows for the long table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd

from features.campaigns import Campaign, campaign_outcomes, campaigns
from features.ledger import Ledger
from features.measures.campaigns import MEASURES
from features.measures.table import COLUMNS, Found, Missing, no_rows, segment
from features.progress import task
from models.uplift.campaign import (
    CampaignReport,
    Worth,
    measure_campaign,
    measure_without_control,
)

__all__ = ["CampaignSettings", "Campaigns", "measure_campaigns"]

LONGEST = 31
"""Days between first and last contact up to which a campaign without control can be compared with
customers who were not contacted: beyond, no day is the one they were passed over on."""

_UNITS = {row.name: row.unit for row in MEASURES}


@dataclass(frozen=True)
class CampaignSettings:
    """How campaigns are measured.

    Attributes:
        window_days: Days after a contact in which its purchases and spend are counted.
        horizon_days: Days after a contact within which a purchase means that the customer stayed.
        treated_shares: Campaign, or kind of campaign -> the share that was planned to be treated.
        worth: How value is counted.
    """

    window_days: int = 30
    horizon_days: int = 90
    treated_shares: Mapping[str, float] = field(default_factory=dict)
    worth: Worth = field(default_factory=Worth)


@dataclass(frozen=True)
class Campaigns:
    """What the campaigns of a ledger did.

    Attributes:
        found: Rows of the long table, what could not be measured and why, and sentences that the
            reader has to know.
        reports: Campaign -> everything about it, in order of their first days.
    """

    found: Found
    reports: Mapping[str, CampaignReport]


def measure_campaigns(ledger: Ledger, settings: CampaignSettings | None = None) -> Campaigns:
    """Measure all campaigns of a ledger.

    A campaign with both arms is an experiment; one without a control arm is compared with
    customers who were not contacted, and its rows say `method=observational`. Rows adjusted for
    what was known before say `method=adjusted`; a row without a method is the plain difference.
    """
    settings = settings or CampaignSettings()
    names = tuple(row.name for row in MEASURES)
    known = campaigns(ledger)
    if not known:
        missing = Missing(names, "There is no table of contacts with the campaigns' names.")
        return Campaigns(Found(missing=(missing,)), {})
    reports: dict[str, CampaignReport] = {}
    with task("Measuring campaigns", total=len(known)) as progress:
        for campaign in known:
            reports[campaign.name] = _measure(ledger, campaign, settings)
            progress.advance()
    frames = [part for report in reports.values() if len(part := _rows(report))]
    notes = tuple(
        sentence
        for campaign in known
        for sentence in (*_crossed(campaign), *reports[campaign.name].sentences)
    )
    frame = pd.concat(frames, ignore_index=True) if frames else no_rows()
    silent = tuple(name for name in names if name not in set(frame["measure"]))
    if not frames:
        why = "No campaign has two arms, or others to be compared with."
    elif not any(campaign.randomised for campaign in known):
        why = "No campaign has a treatment and a control arm."
    else:
        why = "No campaign has what it takes: a cost, or days enough after it."
    gone = (Missing(silent, why),) if silent else ()
    return Campaigns(Found(frame, gone, notes), reports)


def _crossed(campaign: Campaign) -> tuple[str, ...]:
    if not campaign.crossed:
        return ()
    said = f"{campaign.crossed:,} customers have contacts in both arms and count in neither."
    return (f"{campaign.name}: {said}",)


def _measure(ledger: Ledger, campaign: Campaign, settings: CampaignSettings) -> CampaignReport:

    def outcomes(others: bool = False) -> pd.DataFrame:
        return campaign_outcomes(
            ledger,
            campaign.name,
            window_days=settings.window_days,
            horizon_days=settings.horizon_days,
            value_days=round(settings.worth.horizon_days),
            others=others,
        )

    if campaign.randomised:
        shares = settings.treated_shares
        return measure_campaign(
            campaign.name,
            outcomes(),
            worth=settings.worth,
            planned_share=shares.get(campaign.name, shares.get(campaign.kind)),
            has_cost=campaign.cost == campaign.cost,
        )
    if campaign.crossed and not campaign.treated + campaign.control + campaign.unassigned:
        return CampaignReport.refused(
            campaign.name, f"{campaign.name}: nobody is left to measure it by."
        )
    if campaign.control:
        return CampaignReport.refused(
            campaign.name, f"{campaign.name}: nobody is in the treatment arm."
        )
    if (campaign.last_day - campaign.first_day).days > LONGEST:
        return CampaignReport.refused(
            campaign.name,
            f"{campaign.name}: it has no control arm, and its contacts reach from "
            f"{campaign.first_day} to {campaign.last_day}, so there is no day on which others "
            "were passed over. Hold back a random share of the customers next time.",
        )
    return measure_without_control(campaign.name, outcomes(others=True), worth=settings.worth)


def _rows(report: CampaignReport) -> pd.DataFrame:
    own = segment(campaign=report.name)
    made: list[tuple[str, str, float, float, float, int]] = []
    for name, effect in report.effects.items():
        key = f"campaign_effect_{name}"
        made.append((key, own, effect.value, effect.low, effect.high, effect.n))
    for name, effect in report.adjusted.items():
        key, how = f"campaign_effect_{name}", f"{own}|method=adjusted"
        made.append((key, how, effect.value, effect.low, effect.high, effect.n))
    for name, estimate in report.observational.items():
        key, how = f"campaign_effect_{name}", f"{own}|method=observational"
        value = estimate.adjusted
        n = estimate.n_treated + estimate.n_control
        made.append((key, how, value.value, value.low, value.high, n))
    for part in report.segments.to_dict("records"):
        place, numbers = f"{own}|{part['segment']}", (part[name] for name in COLUMNS[3:7])
        made.append(("campaign_effect_purchase", place, *numbers))
    if (profit := report.profit) is not None:
        n = profit.n_treated
        made.append(("campaign_profit", own, profit.profit, profit.low, profit.high, n))
        made.append(("campaign_roi", own, profit.roi, profit.roi_low, profit.roi_high, n))
    if (balance := report.balance) is not None:
        n = sum(getattr(next(iter(report.effects.values())), f"n_{arm}") for arm in _ARMS)
        made.append(("campaign_balance_p", own, balance.p_value, _NAN, _NAN, n))
    frame = pd.DataFrame(made, columns=["measure", "segment", "value", "low", "high", "n"])
    frame = frame[frame["value"].notna()]
    units = frame["measure"].map(_UNITS)
    return frame.assign(period="all", unit=units)[list(COLUMNS)].reset_index(drop=True)


_ARMS = ("treated", "control")
_NAN = float("nan")
