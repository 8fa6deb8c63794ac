"""One campaign, measured: arms, balance, effects, money, and who it worked for."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from ..base import RFM_COLUMNS, ModelError
from ..clv import CustomerLifetimeValue
from .balance import Balance, check_balance
from .experiment import Effect, Profit, adjusted_effect, campaign_profit, difference_in_means
from .observational import ObservationalEffect, observational_effect

__all__ = [
    "EXPERIMENT",
    "OUTCOMES",
    "REFUSED",
    "CampaignReport",
    "Worth",
    "measure_campaign",
    "measure_without_control",
    "value_after",
]

EXPERIMENT = "randomised experiment"
REFUSED = "not measured"

OUTCOMES: Mapping[str, str] = {
    "purchase": "purchased",
    "purchases": "purchases",
    "spend": "spend",
    "retention": "retained",
    "clv": "value_after",
}
"""Name of an effect -> column of the outcomes."""

COVARIATES = ("purchases_before", "spend_before", *RFM_COLUMNS)
"""Columns that were settled before the contact."""

FEWEST = 25
"""Customers an arm needs before anything is said of it."""


@dataclass(frozen=True)
class Worth:
    """How future value is counted.

    Attributes:
        margin: Share of spend that is profit.
        horizon_days: Days after the contact that count for the CLV.
        annual_discount_rate: 0.10 means that money a year from now counts for 1 / 1.10.
    """

    margin: float = 1.0
    horizon_days: float = 365
    annual_discount_rate: float = 0.10


@dataclass(frozen=True)
class CampaignReport:
    """What is known of a campaign's effect, and how.

    Attributes:
        name: Of the campaign.
        label: `randomised experiment`, `observational estimate` or `not measured`.
        effects: Effect (a key of `OUTCOMES`) -> the plain difference in means.
        adjusted: The same, adjusted for what was known before; absent where that is not possible.
        observational: Effect -> estimate against customers who were not contacted, where there
            was no control arm.
        profit: In money, None without costs or arms.
        balance: Whether the assignment looks random, None without arms.
        segments: The effect on buying by what was known before: `segment` (key=value), `value`,
            `low`, `high`, `n`; and `p_value`, that all segments of the key have the same effect.
        sentences: What a reader has to know, the most important first.
    """

    name: str
    label: str
    effects: Mapping[str, Effect] = field(default_factory=dict)
    adjusted: Mapping[str, Effect] = field(default_factory=dict)
    observational: Mapping[str, ObservationalEffect] = field(default_factory=dict)
    profit: Profit | None = None
    balance: Balance | None = None
    segments: pd.DataFrame = field(default_factory=pd.DataFrame)
    sentences: tuple[str, ...] = ()

    @classmethod
    def refused(cls, name: str, reason: str) -> CampaignReport:
        """A campaign of which nothing can be said, and why."""
        return cls(name, REFUSED, sentences=(reason,))


def measure_campaign(
    name: str,
    outcomes: pd.DataFrame,
    *,
    worth: Worth | None = None,
    planned_share: float | None = None,
    has_cost: bool = True,
    seed: int = 0,
) -> CampaignReport:
    """Measure a campaign with a control arm.

    Args:
        name: Of the campaign.
        outcomes: One row a customer, as `features.campaigns.campaign_outcomes` gives: treated,
            purchased, purchases, spend, retained, cost, `COVARIATES`, and for the CLV
            spend_so_far, days_so_far and the RFM summary at their end as `after_...`. Any table
            with these columns will do; an effect whose column is not there is left out, and so
            are customers without an arm.
        worth: How value is counted.
        planned_share: Share of customers that the plan treats; None: not known.
        has_cost: Whether costs are known.
        seed: Of the draws of the balance test.

    Returns:
        What was found. The plain differences stand under `effects` whatever else is found, and
        the sentences say when they are not to be believed.
    """
    worth = worth or Worth()
    frame = outcomes[outcomes["treated"].notna()].sort_index(kind="stable")
    arms = frame["treated"].to_numpy(np.float64)
    fewer = int(min(arms.sum(), len(arms) - arms.sum()))
    if fewer < FEWEST:
        return CampaignReport.refused(
            name,
            f"{name}: the smaller arm has {fewer} customers with a closed window; at least "
            f"{FEWEST} are needed.",
        )
    before = frame[[column for column in COVARIATES if column in frame.columns]]
    balance = check_balance(before, arms, planned_share=planned_share, seed=seed)
    said = [] if balance.random else [f"{name}: {balance.verdict}"]
    frame, without = _with_value(frame, worth)
    effects, adjusted = {}, {}
    for effect, column in OUTCOMES.items():
        if column not in frame.columns:
            continue
        y = frame[column].to_numpy(np.float64)
        known = np.isfinite(y)
        if min(arms[known].sum(), (1 - arms[known]).sum()) < FEWEST:
            said.append(f"{name}: the horizon of {effect} is not over for enough customers.")
            continue
        effects[effect] = difference_in_means(y[known], arms[known])
        try:
            adjusted[effect] = adjusted_effect(y[known], arms[known], before[known])
        except ModelError:
            continue  # fewer customers than it takes; the plain difference stands
    if without:
        said.append(f"{name}: {without}")
    profit = None
    if has_cost and {"spend", "cost"} <= set(frame.columns):
        profit = campaign_profit(frame["spend"], frame["cost"], arms, margin=worth.margin)
    if balance.random:
        said.append(f"{name}: {balance.verdict}")
    return CampaignReport(
        name,
        EXPERIMENT,
        effects,
        adjusted,
        profit=profit,
        balance=balance,
        segments=_by_segment(frame, arms),
        sentences=tuple(said),
    )


def measure_without_control(
    name: str, outcomes: pd.DataFrame, *, worth: Worth | None = None, seed: int = 0
) -> CampaignReport:
    """Estimate what a campaign without a control arm did, against customers not contacted.

    Args:
        name: Of the campaign.
        outcomes: As for `measure_campaign`, with the customers who were not contacted as
            untreated (`campaign_outcomes(..., others=True)`).
        worth: How value is counted.
        seed: Of the estimate's folds.

    Returns:
        Observational estimates, labelled so, with their sensitivity in the sentences; or a
        refusal with the reason, where contacted customers have nobody to be compared with.
    """
    frame, _ = _with_value(outcomes.sort_index(kind="stable"), worth or Worth())
    before = frame[[column for column in COVARIATES if column in frame.columns]]
    found: dict[str, ObservationalEffect] = {}
    for effect in ("purchase", "spend"):
        y = frame[OUTCOMES[effect]].to_numpy(np.float64)
        try:
            found[effect] = observational_effect(
                frame["treated"].to_numpy(np.float64), y, before, seed=seed
            )
        except ModelError as refusal:
            return CampaignReport.refused(name, f"{name}: {refusal.message} {refusal.hint}".strip())
    said = tuple(f"{name}: {sentence}" for sentence in found["purchase"].sentences)
    label = found["purchase"].label
    return CampaignReport(name, label, observational=found, sentences=said)


def value_after(outcomes: pd.DataFrame, worth: Worth) -> npt.NDArray[np.float64]:
    """Margin since the contact, so far and as expected up to the horizon, shape (n,).

    What a customer in fact left since the contact, as far as the data goes, plus what a model
    expects of the rest of the horizon: of a campaign of long ago it is all fact.

    One purchase model (MBG/NBD) and one spend model (Gamma-Gamma) are fitted, at the mode, on the
    customers of both arms as they were before the contact, and asked about each customer as they
    are at the end of the data. So both arms are valued by the same rule, which has seen no
    outcome. Money that came in counts in full, money to come is discounted to the end of the
    data. Of who has never bought nothing is expected.

    Raises:
        ModelError: The models cannot be fitted.
    """
    before = outcomes[list(RFM_COLUMNS)].dropna()
    model = CustomerLifetimeValue().fit(before, method="map")
    after = outcomes[[f"after_{name}" for name in RFM_COLUMNS]].set_axis(RFM_COLUMNS, axis=1)
    bought = after["frequency"].notna().to_numpy()
    value = worth.margin * outcomes["spend_so_far"].to_numpy(np.float64)
    left = worth.horizon_days - outcomes["days_so_far"].to_numpy(np.float64)
    for days in np.unique(left[bought & (left > 0)]):
        rows = bought & (left == days)
        future = model.predict(
            after[rows],
            horizon_days=float(days),
            annual_discount_rate=worth.annual_discount_rate,
            margin=worth.margin,
            intervals=False,
        )
        value[rows] += future["clv"].to_numpy(np.float64)
    return value


def _with_value(frame: pd.DataFrame, worth: Worth) -> tuple[pd.DataFrame, str]:
    """The outcomes with `value_after`, or the reason why it cannot be told."""
    needed = {
        "spend_so_far",
        "days_so_far",
        *RFM_COLUMNS,
        *(f"after_{name}" for name in RFM_COLUMNS),
    }
    if not needed <= set(frame.columns):
        return frame, "without the purchases up to the end of the data there is no effect on CLV."
    try:
        return frame.assign(value_after=value_after(frame, worth)), ""
    except ModelError as error:
        return frame, f"no effect on CLV: {error.message}"


def _by_segment(frame: pd.DataFrame, arms: npt.NDArray[np.float64]) -> pd.DataFrame:
    columns = ["segment", "value", "low", "high", "n", "p_value"]
    if not {"purchased", "frequency", "recency", "T"} <= set(frame.columns):
        return pd.DataFrame(columns=columns)
    silent = 7 * (frame["T"] - frame["recency"])
    cuts: Mapping[str, tuple[pd.Series[float], list[float], list[str]]] = {
        "frequency": (frame["frequency"], [-1, 0, 2, math.inf], ["0", "1-2", "3+"]),
        "days_since_last": (silent, [-1, 30, 90, math.inf], ["0-30", "31-90", "91+"]),
    }
    rows: list[tuple[str, float, float, float, int, float]] = []
    for key, (values, edges, names) in cuts.items():
        group = pd.cut(values, edges, labels=names)
        found: list[tuple[str, Effect]] = []
        for name in names:
            there = (group == name).to_numpy()
            if min(arms[there].sum(), (1 - arms[there]).sum()) >= FEWEST:
                effect = difference_in_means(frame["purchased"].to_numpy()[there], arms[there])
                found.append((f"{key}={name}", effect))
        p = _same([effect for _, effect in found])
        rows += [(name, e.value, e.low, e.high, e.n, p) for name, e in found]
    return pd.DataFrame(rows, columns=columns)


def _same(effects: list[Effect]) -> float:
    """Cochran's Q: the p-value of all effects being the same (1954, Biometrics 10:101-129)."""
    usable = [effect for effect in effects if effect.se > 0]
    if len(usable) < 2:
        return math.nan
    value = np.array([effect.value for effect in usable])
    weight = np.array([effect.se**-2 for effect in usable])
    mean = (weight * value).sum() / weight.sum()
    return float(stats.chi2.sf((weight * (value - mean) ** 2).sum(), len(usable) - 1))
