"""Hold the lists of the score ledger against what is known by now.

A list whose horizon is over is a cohort, and is measured (`serving.cohorts`). Of one that still
runs it is said how good it is likely to be (`models.estimated_performance`), and whether as many
customers came back so far as should have (`serving.early_returns`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from features.progress import task
from models.estimated_performance import estimated_performance
from serving.cohorts import (
    MEASURE_COLUMNS,
    churn_measures,
    judged_part,
    planned_earnings,
    split,
    value_measures,
)
from serving.early_returns import EARLY_COLUMNS, Curves, early_returns
from serving.outcomes import (
    churned,
    first_messages,
    first_returns,
    is_over,
    known_customers,
    list_window,
    value_outcomes,
)
from serving.score_ledger import read_lists, read_scores

if TYPE_CHECKING:
    from features.ledger import Ledger
    from serving.score_ledger import ScoreLedger

__all__ = ["COHORT_COLUMNS", "Lookback", "MonitorSettings", "look_back"]

COHORT_COLUMNS = ("list_id", "as_of", "model", "kind", "judged", *MEASURE_COLUMNS)
"""Columns of `Lookback.cohorts` and `Lookback.estimates`: `kind` is "churn" or "clv"; `judged` is
true for the part of the list by which the model is judged."""

_CHURN = (
    "churn_probability", "arm", "offer", "effect", "value_if_kept",
)  # fmt: skip
_VALUE = ("expected_purchases", "expected_spend", "clv", "clv_low", "clv_high", "arm")


@dataclass(frozen=True)
class MonitorSettings:
    """When a list that did badly is a matter for a person; `[monitor]` of the configuration.

    Attributes:
        calibration_gap: How far the mean churn probability may be from the share who left.
        auc_drop: How far the AUC may be below that of the training's test.
        clv_bias: How far, as a share, the total of the value may be from the one that came.
        min_customers: Fewer customers say nothing.
        cohorts: Months back whose lists are looked at.
        replicates: Resampled sets of customers behind each interval.
    """

    calibration_gap: float = 0.05
    auc_drop: float = 0.05
    clv_bias: float = 0.30
    min_customers: int = 200
    cohorts: int = 12
    replicates: int = 300


@dataclass(frozen=True)
class Lookback:
    """What became of the lists.

    Attributes:
        lists: Those of the score ledger (`serving.score_ledger.LIST_TYPES`) with `churn_state` and
            `clv_state`: "closed" (the outcome is known), "open", "seen" (the model had learned
            from that time, so that its list says nothing) or "unknown" (no table reaches back to
            it); and `looked_at`.
        cohorts: Measures of closed lists, `COHORT_COLUMNS`.
        estimates: The same of open lists, as they are likely to come out: churn_rate, roc_auc,
            brier, precision (share of the planned list who leave) and profit.
        early: `EARLY_COLUMNS`.
    """

    lists: pd.DataFrame
    cohorts: pd.DataFrame
    estimates: pd.DataFrame
    early: pd.DataFrame


def look_back(
    ledger: Ledger, place: ScoreLedger, settings: MonitorSettings | None = None
) -> Lookback:
    """Measure the lists of the score ledger by the data of today.

    Of each month and churn model the last list is looked at (a list a night tells hardly more than
    one a month, as their horizons overlap), and before all those of everyone.

    Args:
        ledger: The trusted tables.
        place: The score ledger.
        settings: How far back, and how thoroughly.

    Raises:
        InputError: The score ledger cannot be read.
    """
    settings = settings or MonitorSettings()
    lists = _with_states(ledger, read_lists(place), settings.cohorts)
    here = known_customers(ledger) if lists["looked_at"].any() else pd.Index([], dtype="str")
    cohorts, estimates, early = [], [], []
    curves = Curves(ledger)
    chosen = _records(lists[lists["looked_at"]])
    with task("Looking back", total=len(chosen)) as looking:
        for row in chosen:
            if row["churn_state"] == "closed":
                cohorts.append(_churn_cohort(ledger, place, row, here, settings))
            if row["clv_state"] == "closed":
                cohorts.append(_value_cohort(ledger, place, row, here, settings))
            if row["churn_state"] == "open":
                estimates.append(_estimate(place, row, settings))
                if row["label"] == "purchases" and row["whole"]:
                    early.append(_early(ledger, place, row, here, settings, curves))
            looking.advance()
    return Lookback(
        lists,
        _together(cohorts, COHORT_COLUMNS),
        _together(estimates, COHORT_COLUMNS),
        _together(early, EARLY_COLUMNS),
    )


def _together(parts: Sequence[pd.DataFrame], columns: Sequence[str]) -> pd.DataFrame:
    full = [part for part in parts if len(part)]
    if not full:
        return pd.DataFrame(columns=list(columns))
    return pd.concat(full, ignore_index=True)[list(columns)]


def _with_states(ledger: Ledger, lists: pd.DataFrame, months: int) -> pd.DataFrame:
    rows = _records(lists)
    churn, value = ([_state(ledger, row, kind) for row in rows] for kind in ("churn", "clv"))
    lists = lists.assign(churn_state=churn, clv_state=value)
    # The last of each month, those of everyone before others.
    order = lists.assign(month=lists["as_of"].dt.to_period("M"), whole=lists["whole"].fillna(False))
    last = order.sort_values(["whole", "as_of", "scored_at"], kind="stable").index
    picked = order.loc[last].drop_duplicates(["month", "churn_model"], keep="last")
    recent = picked[picked["month"] >= picked["month"].max() - months - _reach(lists)]
    return lists.assign(looked_at=lists.index.isin(recent.index))


def _records(lists: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(key): value for key, value in row.items()} for row in lists.to_dict("records")]


def _state(ledger: Ledger, row: dict[str, Any], kind: str) -> str:
    window = list_window(ledger, row, kind)
    if window is None:
        return "unknown"
    learned = row[f"{kind}_trained_until"]
    if pd.notna(learned) and learned > row["as_of"]:
        return "seen"
    label = row["label"] if kind == "churn" else "purchases"
    return "closed" if is_over(ledger, window, label) else "open"


def _reach(lists: pd.DataFrame) -> int:
    """Months that a list needs to close: so far back it has to be looked, beside `cohorts`."""
    days = [float(each) for name in ("horizon_days", "clv_horizon_days")
            for each in lists[name].dropna()]  # fmt: skip
    return int(max(days, default=0.0) // 30)


def _known(scores: pd.DataFrame, here: pd.Index[str], needed: str) -> tuple[pd.DataFrame, float]:
    """The customers with a forecast whom some table still holds, and the share of those gone."""
    scores = scores[scores[needed].notna()]
    found = scores.index.isin(here)
    return scores[found], float(1.0 - found.mean()) if len(scores) else 0.0


def _churn_cohort(
    ledger: Ledger,
    place: ScoreLedger,
    row: dict[str, Any],
    here: pd.Index[str],
    settings: MonitorSettings,
) -> pd.DataFrame:
    scores = read_scores(place, row["list_id"], _CHURN)
    scores, gone = _known(scores, here, "churn_probability")
    window = list_window(ledger, row, "churn")
    if window is None or not len(scores):
        return pd.DataFrame()
    returns = first_returns(ledger, window) if row["label"] == "purchases" else None
    parts = split(scores, first_messages(ledger, window), returns)
    table = churn_measures(
        scores["churn_probability"].to_numpy(np.float64),
        churned(ledger, window, scores.index, row["label"]),
        parts,
        planned_earnings(scores, row["offers"]),
        replicates=settings.replicates,
    )
    told = judged_part(parts, settings.min_customers)
    more = [("gone_share", gone, "all"), ("represented", parts.represented, "untouched")]
    return _about(row, "churn", _also(table, more, len(scores)), told)


def _value_cohort(
    ledger: Ledger,
    place: ScoreLedger,
    row: dict[str, Any],
    here: pd.Index[str],
    settings: MonitorSettings,
) -> pd.DataFrame:
    scores, _ = _known(read_scores(place, row["list_id"], _VALUE), here, "expected_purchases")
    window = list_window(ledger, row, "clv")
    if window is None or not len(scores):
        return pd.DataFrame()
    outcomes = value_outcomes(ledger, window, scores.index, float(row["annual_discount_rate"]))
    table = value_measures(scores, outcomes, float(row["margin"]), replicates=settings.replicates)
    return _about(row, "clv", table, "all")


def _estimate(place: ScoreLedger, row: dict[str, Any], settings: MonitorSettings) -> pd.DataFrame:
    scores = read_scores(place, row["list_id"], _CHURN)
    scores = scores[scores["churn_probability"].notna()]
    if not len(scores):
        return pd.DataFrame()
    found = estimated_performance(
        scores["churn_probability"].to_numpy(np.float64),
        planned_earnings(scores, row["offers"]),
        replicates=settings.replicates,
    )
    table = pd.DataFrame(
        [
            {"part": "all", "measure": name, **each._asdict(), "n": len(scores)}
            for name, each in found.items()
        ]
    )
    return _about(row, "churn", table, "all")


def _early(
    ledger: Ledger,
    place: ScoreLedger,
    row: dict[str, Any],
    here: pd.Index[str],
    settings: MonitorSettings,
    curves: Curves,
) -> pd.DataFrame:
    scores, _ = _known(read_scores(place, row["list_id"], _CHURN), here, "churn_probability")
    window = list_window(ledger, row, "churn")
    if window is None or not len(scores):
        return pd.DataFrame()
    returns = first_returns(ledger, window)
    parts = split(scores, first_messages(ledger, window), returns)
    part = judged_part(parts, settings.min_customers)
    weight = pd.Series(parts.weight if part == "untouched" else 1.0, index=scores.index)
    table = early_returns(ledger, window, scores["churn_probability"], weight, returns, curves)
    return table.assign(
        list_id=row["list_id"], as_of=row["as_of"], model=row["churn_model"], part=part
    )


def _also(table: pd.DataFrame, more: Sequence[tuple[str, float, str]], n: int) -> pd.DataFrame:
    rows = [
        {"part": part, "measure": name, "value": value, "low": np.nan, "high": np.nan, "n": n}
        for name, value, part in more
    ]
    return pd.concat([table, pd.DataFrame(rows)], ignore_index=True)


def _about(row: dict[str, Any], kind: str, table: pd.DataFrame, judged: str) -> pd.DataFrame:
    return table.assign(
        list_id=row["list_id"],
        as_of=row["as_of"],
        model=row[f"{kind}_model"],
        kind=kind,
        judged=table["part"] == judged,
    )
