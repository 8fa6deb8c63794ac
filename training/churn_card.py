"""The model card of a churn model, from its training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from features.gate import gate_problems
from features.ledger import Ledger
from models.metrics.probability import level_is_off
from training.churn_pictures import REFERENCES, Judged
from training.churn_stages import Training
from training.model_card import bullets, data_section, interval_text, model_card, table
from training.run import escaped

__all__ = ["churn_card", "level_words"]

_SHOWN = {
    "churn/roc_auc": "share of pairs put in the right order",
    "churn/brier": "mean squared error of the probability",
    "churn/ece": "mean distance of probability and rate, in bins",
    "churn/mean_p_minus_rate": "mean probability minus churn rate",
    "churn/lift_at_10": "churners among the riskiest tenth, to the average",
    "churn/realised_profit": "money a customer of the campaign at this score",
}
_SURE = 100  # customers of the rarer outcome below which intervals are wide
_GROUPS = 6  # groups of reasons named
_YEAR = 365


def churn_card(t: Training, ledger: Ledger, dates: Mapping[str, Any]) -> str:
    """Describe the chosen churn model of a training in Markdown.

    Args:
        t: The training, judged.
        ledger: What it was made from.
        dates: The cutoffs of the evaluation and of the final fit.
    """
    winner = t.judged[t.choice.winner]
    return model_card(
        f"Churn warning: {t.choice.winner}",
        {
            "Intended use": _use(t),
            "Measured out of time": _measures(t, winner),
            "Limits": bullets(_limits(t, ledger, winner)),
            "Data": data_section(ledger),
            "Label and cutoffs": _cutoffs(t, dates),
            "What it looks at": _importance(t),
            "How it was chosen": f"{t.choice.reason[0].upper()}{t.choice.reason[1:]}.",
            "How to use it": (
                "`regulars score -o scores.csv` scores everyone with the champion; "
                "`mlflow models serve -m models:/regulars-churn@champion` answers requests. "
                "Output: `churn_probability` with `churn_low` and `churn_high`, `risk_tier`, and "
                "three reasons."
            ),
        },
    )


def level_words(winner: Judged) -> str:
    """That the level of a candidate was off at the test; empty where it was not."""
    if not level_is_off(*winner.resampled.interval("churn/mean_p_minus_rate")):
        return ""
    return (
        f"at the test it said {winner.p.mean():.1%} on average where {winner.churned.mean():.1%} "
        "left: use its order, not its level"
    )


def _use(t: Training) -> str:
    settings = t.panel.settings
    after = "after the cutoff"
    if settings.gap_days:
        after = f"that begin {settings.gap_days} days after the cutoff"
    what = (
        f"that a customer buys nothing in the {settings.horizon_days} days {after}"
        if settings.label == "purchases"
        else f"that a contract which runs at the cutoff ends in the {settings.horizon_days} days "
        f"{after}"
    )
    return (
        f"Tells the probability {what}, so that a campaign reaches those who may leave while it "
        "pays. Not for prices, credit or anything that weighs on a person's rights, and it does "
        "not tell whom an offer would keep: that takes a randomised campaign "
        "(`regulars train uplift`)."
    )


def _measures(t: Training, winner: Judged) -> str:
    others = [name for name in REFERENCES if name in t.judged and name != winner.name]
    rows = []
    for key, meaning in _SHOWN.items():
        if key not in winner.measures:
            continue
        interval = winner.resampled.interval(key)
        figures = [f"{t.judged[name].measures[key]:.4g}" for name in others]
        rows.append([f"{key}: {meaning}", f"{interval.value:.4g}", interval_text(interval)])
        rows[-1] += figures
    at = t.panel.slices[t.plan.test].window
    head = (
        f"{len(winner.churned):,} customers at the cutoff {t.plan.test}, "
        f"{winner.churned.mean():.1%} of whom had churned by {at.label_end}; 95 % intervals, "
        "customers resampled. The same recipe, before it was moved forward to the newest data.\n\n"
    )
    groups = _by_group(winner.cutoffs, str(t.plan.test))
    return head + table(["measure", "value", "95 %", *others], rows) + groups


def _by_group(cutoffs: pd.DataFrame, test: str) -> str:
    """One-time and repeat buyers apart: what is right on average can be wrong for both."""
    here = cutoffs[(cutoffs["cutoff"] == test) & (cutoffs["group"] != "all")]
    if len(here) < 2:
        return ""
    names = {"one_time": "one-time buyers", "repeat": "repeat buyers"}
    rows = [
        [
            names[row["group"]],
            f"{row['customers']:,}",
            f"{row['churn_rate']:.1%}",
            f"{row['mean_p']:.1%}",
            "-" if np.isnan(row["roc_auc"]) else f"{row['roc_auc']:.3f}",
        ]
        for row in here.to_dict("records")
    ]
    header = ["group", "customers", "churn rate", "mean probability", "ROC-AUC"]
    return "\n\n" + table(header, rows)


def _limits(t: Training, ledger: Ledger, winner: Judged) -> list[str]:
    settings, found = t.panel.settings, []
    levels = winner.cutoffs[winner.cutoffs["group"] == "all"]
    off = (levels["mean_p"] - levels["churn_rate"]).to_numpy()
    found.append(
        f"The level moves: over {len(off)} cutoffs in time the mean probability was between "
        f"{off.min():+.1%} and {off.max():+.1%} off the churn rate. Trust the order more than the "
        "level."
    )
    if words := level_words(winner):
        found.append(f"{words[0].upper()}{words[1:]}.")
    rarer = int(min(winner.churned.sum(), len(winner.churned) - winner.churned.sum()))
    if rarer < _SURE:
        found.append(f"Only {rarer} customers had the rarer outcome: all measures are rough.")
    days = (ledger.last_day - ledger.first_day).days
    if days < 2 * _YEAR + settings.horizon_days:
        found.append(
            f"{days} days of history do not show the same season twice, so seasons are guessed."
        )
    if "contacts" in ledger.tables:
        found.append(
            "Customers who were contacted are in the data as they came: their outcomes are those "
            "of treated customers."
        )
    if settings.label == "purchases":
        found.append(
            f"Churn is silence of {settings.horizon_days} days, not a farewell: customers with "
            "long pauses come back."
        )
    found.append(
        "Money is the realised churn at an assumed save rate of "
        f"{settings.offer.save_rate:.0%}; no campaign was run for it."
    )
    return found + [problem.words for problem in gate_problems(ledger, settings.spec)]


def _cutoffs(t: Training, dates: Mapping[str, Any]) -> str:
    settings, final = t.panel.settings, dates["final"]
    at = t.panel.slices[t.plan.test].window
    calibration = t.some.calibration(t.choice.winner, t.plan.now)
    return bullets(
        [
            (
                f"Label window: `[cutoff + {settings.gap_days}, cutoff + "
                f"{settings.gap_days + settings.horizon_days})` days; trained on "
                f"{'everyone' if settings.eligibility == 'everyone' else 'customers due to buy'}."
            ),
            (
                f"Tested at {t.plan.test} on what came from {at.label_start} until {at.label_end}, "
                "which no fit, tuning, calibration or choice had seen."
            ),
            (
                f"Fitted for use on {len(final['train'])} monthly cutoffs, {final['train'][0]} to "
                f"{final['train'][-1]}; it has seen outcomes until "
                f"{t.model.card['trained_until']}."
            ),
            f"Calibration: {calibration.reason}.",
            f"Seed {t.seed}; {len(t.model.feature_names)} features.",
        ]
    )


def _importance(t: Training) -> str:
    groups = t.model.group_importance()
    total = groups.sum()
    if not total > 0:
        return ""
    shown = [f"{escaped(str(g))} {v / total:.0%}" for g, v in groups.head(_GROUPS).items()]
    return f"Share of the mean absolute contribution, by group of reasons: {', '.join(shown)}."
