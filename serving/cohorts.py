"""How a scored list did: its forecasts against what its customers did, with intervals.

A cohort is a list whose horizon is over. A message may have changed what a customer did, so that
what followed is the work of forecast and message together. Therefore a cohort has parts:

- `contacted`: customers who were sent something before they came back, if they did;
- `control`: customers whom the plan of this list held back by lot, and who were sent nothing;
- `untouched`: all who were not contacted, weighed so that they stand for the whole list as it would
  have been without messages. A message ends what can be seen of a customer (censoring), so each of
  the others weighs one over the chance to have got so far without one: 1 / G (inverse probability
  of censoring weights: Robins and Finkelstein 2000, Biometrics 56:779-788; for the Brier score Graf
  et al. 1999, Statistics in Medicine 18:2529-2545). G is a Kaplan-Meier curve of the messages,
  among customers of about the same churn probability and apart for those whom the plan had listed:
  there the lot of the control group makes it exact;
- `all`: everybody.

Customers who came back before a message, such as a survey about that very purchase, are untouched:
it changed nothing. Just to leave out who got a message would leave out those who bought.

`judged_part` says which part tells whether the model is right.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from models.decision import Offer, effect_value
from models.estimated_performance import Earnings
from models.metrics.bootstrap import Interval, customer_draws, resample
from serving.offers import YEAR_DAYS

__all__ = [
    "MEASURE_COLUMNS",
    "PARTS",
    "Parts",
    "churn_measures",
    "judged_part",
    "planned_earnings",
    "split",
    "value_measures",
]

PARTS = ("untouched", "contacted", "control", "all")
"""The parts of a cohort."""

MEASURE_COLUMNS = ("part", "measure", "value", "low", "high", "n")
"""Columns of measures: one row a part and measure; `n` customers with an outcome."""

_MOST = 20_000  # customers drawn from again; the intervals of more follow from theirs
_LEAST_CLASS = 10  # churners, and customers who stayed, from which their order can be judged
_STRATA = 10  # groups of equal churn probability among which the chance of a message is read
_STANDS_FOR = 0.90

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


class Parts(NamedTuple):
    """Which customers of a list belong to which part.

    Attributes:
        masks: Part -> its customers.
        weight: How many customers each of the untouched stands for.
        represented: Share of the list that the untouched stand for.
    """

    masks: Mapping[str, Mask]
    weight: Array
    represented: float


def split(
    scores: pd.DataFrame,
    messages: pd.Series[float] | None,
    returns: pd.Series[float] | None = None,
) -> Parts:
    """Divide the customers of a list by what was sent to them.

    Args:
        scores: The list, with churn_probability and arm.
        messages: Of `serving.outcomes.first_messages`; None: nothing is known of messages.
        returns: Of `serving.outcomes.first_returns`; None where what customers did has no one
            moment: then a message counts whenever it came.
    """
    n = len(scores)
    never = pd.Series(dtype="float64")
    sent = (never if messages is None else messages).reindex(scores.index).to_numpy(np.float64)
    back = (never if returns is None else returns).reindex(scores.index).to_numpy(np.float64)
    sent, back = (np.where(np.isnan(each), np.inf, each) for each in (sent, back))
    contacted = np.isfinite(sent) & (sent <= back)
    arm = scores["arm"].fillna("").to_numpy(object)
    listed = np.isin(arm, ["treatment", "control"])
    weight = np.where(contacted, 0.0, 1.0)
    if contacted.any():
        p = scores["churn_probability"].to_numpy(np.float64)
        edges = np.quantile(p, np.linspace(0.0, 1.0, _STRATA + 1)[1:-1])
        stratum = 2 * np.searchsorted(edges, p) + listed
        for each in np.unique(stratum):
            here = stratum == each
            weight[here] = _uncensored(sent[here], back[here], contacted[here])
    masks = {
        "untouched": ~contacted,
        "contacted": contacted,
        "control": ~contacted & (arm == "control"),
        "all": np.ones(n, dtype=bool),
    }
    return Parts(masks, weight, float(weight.sum() / n) if n else 0.0)


def _uncensored(sent: Array, back: Array, contacted: Mask) -> Array:
    """One over the chance not to be sent something before one's return, or by the end."""
    seen = np.where(contacted, sent, back)
    times, messages = np.unique(sent[contacted], return_counts=True)
    at_risk = len(seen) - np.searchsorted(np.sort(seen), times, side="left")
    left = np.cumprod(1.0 - messages / at_risk)
    reached = np.concatenate([[1.0], left])[np.searchsorted(times, back, side="right")]
    with np.errstate(divide="ignore"):
        return np.where(contacted | (reached <= 0.0), 0.0, 1.0 / reached)


def judged_part(parts: Parts, least: int) -> str:
    """The part that tells whether the model is right: `untouched`, or `all`.

    All, where the untouched cannot stand for the list: there are too few of them, or their weights
    come to less than nine tenths of it or are as good as fewer than `least` customers (Kish's
    effective size). Then messages to nearly everyone are a part of how the shop is run, and of what
    the model has learned from.
    """
    total, squares = float(parts.weight.sum()), float((parts.weight**2).sum())
    effective = total**2 / squares if squares > 0.0 else 0.0
    whole = effective >= min(least, 0.9 * len(parts.weight)) and parts.represented >= _STANDS_FOR
    return "untouched" if whole else "all"


def planned_earnings(scores: pd.DataFrame, offers: str) -> Earnings | None:
    """What the list that was planned earns from each customer, sent or held back.

    Of the customers who would leave, an offer keeps the share that the plan assumed: effect / p, so
    that the mean over customers who leave with probability p is what the plan expected
    (`models.decision.effect_value`, as in the training's policies).

    Args:
        scores: The list, with churn_probability, offer, arm, effect and value_if_kept.
        offers: JSON of the terms (`serving.score_ledger.LIST_TYPES`).

    Returns:
        The earnings; None where no offer with an assumed effect was planned for anybody. Offers
        whose effect is learned are measured by their campaigns.
    """
    listed = np.zeros(len(scores), dtype=bool)
    leaves, stays = np.zeros(len(scores)), np.zeros(len(scores))
    p = scores["churn_probability"].to_numpy(np.float64)
    chosen = scores["offer"].where(scores["arm"].isin(["treatment", "control"]))
    for name, terms in json.loads(offers or "{}").items():
        if terms["effect"] != "assumed":
            continue
        here = (chosen == name).fillna(False).to_numpy(bool) & (p > 0.0)
        offer = Offer(terms["contact_cost"], terms["offer_cost"], 0.0, terms["redemption"])
        worth = scores["value_if_kept"].to_numpy(np.float64)[here] * terms["keeps_days"] / YEAR_DAYS
        # Nobody is kept who would not leave.
        kept = np.clip(scores["effect"].to_numpy(np.float64)[here] / p[here], 0.0, 1.0)
        leaves[here] = effect_value(kept, np.ones(here.sum()), worth, offer)
        stays[here] = effect_value(np.zeros(here.sum()), np.zeros(here.sum()), worth, offer)
        listed |= here
    return Earnings(listed, leaves, stays) if listed.any() else None


def churn_measures(
    p: Array,
    churned: Array,
    parts: Parts,
    earnings: Earnings | None = None,
    *,
    replicates: int = 300,
    seed: int = 0,
) -> pd.DataFrame:
    """Measures of a churn probability on each part of a cohort.

    Args:
        p: The probabilities that were foretold, in the order of the customers' ids.
        churned: 1 who left, 0 who stayed.
        parts: Which customers belong to which part.
        earnings: What the planned list earns.
        replicates: Resampled sets of customers behind the intervals.
        seed: Of the resampling.

    Returns:
        `MEASURE_COLUMNS`: churn_rate, mean_p, calibration_gap (mean p minus rate), brier, ece and,
        with ten customers of each kind, roc_auc; with earnings expected_profit and realised_profit,
        money per customer of the base. The interval is of 95 %.
    """
    rows: list[dict[str, Any]] = []
    alike = bool((parts.weight == 1.0).all())
    for part, mask in parts.masks.items():
        n = int(mask.sum())
        if not n or (part == "untouched" and not parts.weight.any()):
            continue
        if part == "all" and alike:  # nobody was contacted
            rows += [{**row, "part": part} for row in rows if row["part"] == "untouched"]
            continue
        weight = parts.weight[mask] if part == "untouched" else np.ones(n)
        y, forecast = churned[mask], p[mask]
        drawn = resample(
            y,
            forecast,
            weights=weight,
            prefix="churn",
            replicates=replicates,
            seed=seed,
            most=_MOST,
        )
        found = {
            name: drawn.interval(f"churn/{key}")
            for name, key in (
                ("calibration_gap", "mean_p_minus_rate"),
                ("roc_auc", "roc_auc"),
                ("brier", "brier"),
                ("ece", "ece"),
            )
            if f"churn/{key}" in drawn.sample
        }
        if min(y.sum(), n - y.sum()) < _LEAST_CLASS:
            found.pop("roc_auc", None)
        means = {"churn_rate": y, "mean_p": forecast}
        if earnings is not None:
            means["expected_profit"] = earnings.earned(p)[mask]
            means["realised_profit"] = earnings.earned(churned)[mask]
        found |= _ratios(
            {name: (each, np.ones(n)) for name, each in means.items()}, weight, replicates, seed
        )
        rows += _rows(part, found, n)
    return pd.DataFrame(rows, columns=list(MEASURE_COLUMNS))


def value_measures(
    scores: pd.DataFrame,
    outcomes: pd.DataFrame,
    margin: float,
    *,
    replicates: int = 300,
    seed: int = 0,
) -> pd.DataFrame:
    """Measures of a value forecast: of all customers, and of those whom the plan held back.

    What is bought in a year is bought with the messages of that year, in the past that the model
    has learned from as in the time it foretells. So a forecast of value is judged on everybody.

    Args:
        scores: expected_purchases, expected_spend, clv, clv_low, clv_high and arm, by customer id.
        outcomes: Of `serving.outcomes.value_outcomes`, row for row.
        margin: Share of spend that is profit, as the forecast had it.
        replicates: Resampled sets of customers behind the intervals.
        seed: Of the resampling.

    Returns:
        `MEASURE_COLUMNS`: purchases_bias, spend_bias and clv_bias (the total that was foretold over
        the one that came, minus 1; not where nothing came), and clv_held, the share of customers
        whose value lies in the stated interval. The interval is of 95 %.
    """
    came = {
        "purchases_bias": ("expected_purchases", outcomes["purchases"]),
        "spend_bias": ("expected_spend", outcomes["spend"]),
        "clv_bias": ("clv", margin * outcomes["discounted"]),
    }
    earned = (margin * outcomes["discounted"]).to_numpy(np.float64)
    low, high = (scores[name].to_numpy(np.float64) for name in ("clv_low", "clv_high"))
    held = ((low <= earned) & (earned <= high)).astype(np.float64)
    rows: list[dict[str, Any]] = []
    masks = {"all": np.ones(len(scores), dtype=bool)}
    masks["control"] = (scores["arm"] == "control").fillna(False).to_numpy(bool)
    for part, mask in masks.items():
        n = int(mask.sum())
        if not n:
            continue
        pairs = {}
        for name, (column, real) in came.items():
            told = scores[column].to_numpy(np.float64)[mask]
            here = real.to_numpy(np.float64)[mask]
            if np.isfinite(told).all() and here.sum() > 0.0:
                pairs[name] = (told - here, here)
        if np.isfinite(low[mask]).all() and np.isfinite(high[mask]).all():
            pairs["clv_held"] = (held[mask], np.ones(n))
        rows += _rows(part, _ratios(pairs, np.ones(n), replicates, seed), n)
    return pd.DataFrame(rows, columns=list(MEASURE_COLUMNS))


def _ratios(
    pairs: Mapping[str, tuple[Array, Array]], weight: Array, replicates: int, seed: int
) -> dict[str, Interval]:
    """Sum of one quantity over the sum of another, on resampled customers.

    Of more customers than `_MOST` as in `models.metrics.bootstrap.resample`.
    """
    if not pairs:
        return {}
    both = np.stack([weight * each for pair in pairs.values() for each in pair])
    n = both.shape[1]
    some = both
    if n > _MOST:
        some = both[:, np.sort(np.random.default_rng(seed).choice(n, _MOST, replace=False))]
    shrink = np.sqrt(some.shape[1] / n)
    drawn = np.stack(
        [
            np.einsum("kc,c->k", some, times)
            for times in customer_draws(some.shape[1], replicates, seed)
        ]
    )
    found = {}
    with np.errstate(divide="ignore", invalid="ignore"):
        for i, name in enumerate(pairs):
            value = float(both[2 * i].sum() / both[2 * i + 1].sum())
            base = some[2 * i].sum() / some[2 * i + 1].sum()
            draws = value + shrink * (drawn[:, 2 * i] / drawn[:, 2 * i + 1] - base)
            draws = draws[np.isfinite(draws)]
            ends = np.quantile(draws, [0.025, 0.975]) if draws.size else (np.nan, np.nan)
            found[name] = Interval(value, float(ends[0]), float(ends[1]))
    return found


def _rows(part: str, found: Mapping[str, Interval], n: int) -> list[dict[str, Any]]:
    return [
        {"part": part, "measure": name, **each._asdict(), "n": n} for name, each in found.items()
    ]
