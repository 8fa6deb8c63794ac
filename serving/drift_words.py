"""Drift in words: what the table of `serving.drift` comes to, one finding a fact."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from serving.drift_numbers import LIGHT
from serving.findings import Finding, Severity

__all__ = ["drift_findings"]

SILENT = 0.99
"""From this share of missing values on, a column that had values has fallen silent."""
MISSING_RISE = 0.10
"""A share of missing values that rises by this much is told."""
NEW_LEVELS = 0.05
"""A share of customers in levels that training did not know, from which on it is told."""
MEAN_TOLERANCE = 0.10
"""How far a mean may leave the range of the training cutoffs, as a share of that mean."""

_SCORES = {
    "churn_probability": "churn probability",
    "clv": "CLV",
    "expected_purchases": "number of expected purchases",
}


def drift_findings(
    table: pd.DataFrame, label: str, cutoff: dt.date, watch: float
) -> Iterator[Finding]:
    """Say what the table comes to.

    Args:
        table: Of `serving.drift.Drift`.
        label: Name and version of the model.
        cutoff: When the customers were looked at.
        watch: Index from which on a column has moved.

    Yields:
        Columns that fell silent, or have more missing values or new levels; columns and
        predictions that moved; and one finding a reason group, whether it moved or not.
    """
    inputs = [row for _, row in table[table["of"] == "input"].iterrows()]
    for row in inputs:
        yield from _missing(row, label)
        yield from _new_levels(row, label)
        if row["verdict"] not in ("same", "exempt", "unknown"):
            yield _moved(row, label, watch)
    yield from _groups(inputs, label, watch)
    for _, row in table[table["of"] == "score"].iterrows():
        yield _score(row, label, watch)
        if row["column"] in _SCORES:
            yield _mean(row, label, cutoff)


def _missing(row: Any, label: str) -> Iterator[Finding]:
    """A column that fell silent; more missing values where the index does not tell it already."""
    rise = row["missing"] - row["missing_before"]
    # Four standard errors: with a hundred columns every night, chance must not show.
    noise = 4 * np.sqrt(max(row["missing_before"], 0.01) / max(row["m"], 1))
    gone = row["m"] <= 1
    if not gone and rise <= max(MISSING_RISE, noise):
        return
    silent = gone or row["missing"] >= SILENT
    light = row["importance"] < LIGHT
    if not silent and (light or _rank(row["verdict"])):
        return
    told = "the data does not have it any more" if gone else f"{row['missing']:.0%} have none"
    yield Finding(
        "drift",
        row["column"],
        "missing_share",
        value=row["missing"],
        limit=row["missing_before"] + max(MISSING_RISE, noise),
        n=int(row["m"]) if not gone else 0,
        severity="act" if silent and (gone or not light) else "watch",
        words=f"{row['column']} is missing for more customers than ever: {told}, and at most "
        f"{row['missing_before']:.0%} had none in training and a year ago ({label}).",
        remedy="Look whether the table or column it comes from is still loaded; until it is, "
        "scores rest on a value that the model takes for unknown.",
    )


def _new_levels(row: Any, label: str) -> Iterator[Finding]:
    if row["new_levels"] > NEW_LEVELS:
        yield Finding(
            "drift",
            row["column"],
            "new_levels",
            value=row["new_levels"],
            limit=NEW_LEVELS,
            n=int(row["m"]),
            severity="watch",
            words=f"{row['new_levels']:.0%} more of the customers than ever have a {row['column']} "
            f"that {label} does not tell apart: new or rare names.",
            remedy="See whether names were changed or written in another way; if they are new "
            "kinds, train again.",
        )


def _moved(row: Any, label: str, watch: float) -> Finding:
    severity, remedy = _asked(row)
    return Finding(
        "drift",
        row["column"],
        "psi",
        value=row["psi"],
        limit=max(watch, row["critical"]),
        n=int(row["m"]),
        severity=severity,
        words=f"{row['column']} differs from what {label} learned from: PSI {row['psi']:.2f}"
        f"{_change(row)}; {_against(row)}.",
        remedy=remedy,
    )


def _asked(row: Any) -> tuple[Severity, str]:
    if row["verdict"] == "act":
        return "act", (
            "Look at the table it comes from first: a changed definition, unit or load shows like "
            "this. If the customers are really like that now, train again."
        )
    if row["verdict"] == "watch":
        return "watch", "Look again at the next cutoff; train again if it stays."
    return "fine", ""


def _against(row: Any) -> str:
    """What it was compared with beside the training, in words."""
    if row["verdict"] == "season":
        return f"as a year ago (PSI {row['psi_year_ago']:.2f}), so it is the season"
    if row["verdict"] == "ageing":
        return (
            f"it was so already on the day of the training (PSI {row['psi_training_day']:.2f} "
            "since), when the model was judged"
        )
    if row["rewritten"]:
        return (
            f"for the day of the training today's ledger gives other values than it did then (PSI "
            f"{row['psi_again']:.2f}): its history, a mapping or a definition has changed"
        )
    parts = [f"PSI {row['psi_training_day']:.2f} against the day of the training"]
    if not np.isnan(row["psi_year_ago"]):
        parts.append(f"{row['psi_year_ago']:.2f} against a year ago")
    light = row["importance"] < LIGHT
    return " and ".join(parts) + ("; it hardly weighs in the model" if light else "")


def _change(row: Any) -> str:
    parts = []
    if not np.isnan(row["mean"]) and not np.isnan(row["mean_before"]):
        parts.append(f"mean {row['mean_before']:.4g} in training, {row['mean']:.4g} now")
    if row["missing"] - row["missing_before"] > MISSING_RISE / 2:
        parts.append(
            f"missing for {row['missing']:.0%}, at most {row['missing_before']:.0%} before"
        )
    return f" ({'; '.join(parts)})" if parts else ""


def _groups(inputs: list[Any], label: str, watch: float) -> Iterator[Finding]:
    order: dict[str, list[Any]] = {}
    for row in inputs:
        if row["reason_group"] and row["verdict"] not in ("exempt", "unknown"):
            order.setdefault(row["reason_group"], []).append(row)
    for group, rows in order.items():
        most = max(rows, key=lambda row: (_rank(row["verdict"]), row["psi"]))
        moved = [row["column"] for row in rows if _rank(row["verdict"])]
        severity, remedy = _asked(most)
        words = (
            f"{len(moved)} of {len(rows)} columns about {group} have moved, {most['column']} most "
            f"(PSI {most['psi']:.2f}; {label})."
            if moved
            else f"None of {len(rows)} columns about {group} has moved (greatest PSI "
            f"{most['psi']:.2f}, {most['column']}; {label})."
        )
        yield Finding(
            "drift",
            f"group:{group}",
            "psi",
            value=most["psi"],
            limit=max(watch, most["critical"]),
            n=int(most["m"]),
            severity=severity,
            words=words,
            remedy=remedy,
        )


def _rank(verdict: str) -> int:
    return {"watch": 1, "act": 2}.get(verdict, 0)


def _score(row: Any, label: str, watch: float) -> Finding:
    moved = row["verdict"] in ("season", "ageing", "light", "watch", "act")
    severity, _ = _asked(row)
    what = _SCORES.get(row["column"], row["column"])
    words = (
        f"The distribution of the {what} differs from that of the customers {label} was made "
        f"from: PSI {row['psi']:.2f}{_change(row)}; {_against(row)}."
        if moved
        else f"The {what} is distributed as in training (PSI {row['psi']:.2f}; {label})."
    )
    return Finding(
        "score_drift",
        row["column"],
        "psi",
        value=row["psi"],
        limit=max(watch, row["critical"]),
        n=int(row["m"]),
        severity=severity,
        words=words,
        remedy="See which inputs have moved; train again if they are right."
        if severity != "fine"
        else "",
    )


def _mean(row: Any, label: str, cutoff: dt.date) -> Finding:
    """The mean prediction against its range over the training, and against a year ago."""
    low, high, now = row["mean_low"], row["mean_high"], row["mean"]
    slack = max(MEAN_TOLERANCE * abs(row["mean_before"]), 4 * row["mean_error"])
    ago = row["mean_year_ago"]
    between = f"{low:.4g} to {high:.4g}" if high > low else f"{low:.4g}"
    outside = not low - slack <= now <= high + slack
    seasonal = not np.isnan(ago) and abs(now - ago) <= slack
    severity: Severity = "watch" if outside and not seasonal else "fine"
    year = "" if np.isnan(ago) else f", {ago:.4g} a year before"
    what = _SCORES[row["column"]]
    return Finding(
        "score_drift",
        row["column"],
        "mean",
        value=now,
        low=low,
        high=high,
        limit=high + slack if now > high else low - slack,
        n=int(row["m"]),
        severity=severity,
        words=f"The mean {what} at {cutoff} is {now:.4g}; in training it was {between}{year} "
        f"({label}).",
        remedy="Compare with what came true of earlier lists before acting on the level."
        if severity != "fine"
        else "",
    )
