"""Figures of measures: over time, ranked, and as estimates with their intervals."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from serving.report.blocks import Figure, Table
from serving.report.charts import ACCENT, columns, intervals, lines, ranked
from serving.report.story import Story

__all__ = ["PERIODS_SHOWN", "interval_figure", "ranked_figure", "time_figure", "trail"]

PERIODS_SHOWN = 36
"""Periods that a course over time goes back."""


def time_figure(
    story: Story,
    key: str,
    measures: Sequence[str],
    title: str,
    note: str,
    *,
    colours: Sequence[str] = (ACCENT,),
    wide: bool = False,
    stacked: bool = False,
    zero: bool = True,
    rule: float | None = None,
    last: int = PERIODS_SHOWN,
) -> Figure | None:
    """Measures of one unit over time: lines with bands, or stacked bars; None without rows."""
    w = story.words
    parts = [(m, story.long.series(m, last=last)) for m in measures]
    parts = [(m, rows) for m, rows in parts if len(rows)]
    if not parts:
        return None
    unit = str(parts[0][1]["unit"].iloc[0])
    palette = {story.title(m): colours[i % len(colours)] for i, (m, _) in enumerate(parts)}
    rows: list[dict[str, Any]] = []
    periods = sorted({p for _, found in parts for p in found["period"]})
    for measure, found in parts:
        name = story.title(measure)
        for row in found.to_dict("records"):
            said = story.said(row)
            one: dict[str, Any] = {
                "x": w.short_period(row["period"]),
                "p": row["period"],
                "y": _plain(row["value"]),
                "s": name,
                "tip": w.t("tip", what=f"{name}, {w.period(row['period'])}", value=said),
            }
            if not stacked and math.isfinite(row["low"]):
                one |= {"low": _plain(row["low"]), "high": _plain(row["high"])}
            rows.append(one)
    rows.sort(key=lambda row: (str(row["p"]), list(palette).index(str(row["s"]))))
    for shown in rows:
        del shown["p"]
    if stacked:
        spec = columns(w, rows, unit, colours=palette)
    else:
        spec = lines(w, rows, unit, palette, zero=zero, rule=rule)
    values = {m: found.set_index("period") for m, found in parts}
    table = Table(
        [w.t("period"), *(story.title(m) for m, _ in parts)],
        [
            [
                w.period(p),
                *(story.said(v.loc[p]) if p in v.index else "" for v in values.values()),
            ]
            for p in periods
        ],
    )
    start, end = parts[0][1].iloc[0], parts[0][1].iloc[-1]
    alt = w.t(
        "alt.time",
        names=w.join(palette),
        first=w.period(start["period"]),
        last=w.period(end["period"]),
        start=w.unit(start["value"], unit),
        end=w.unit(end["value"], unit),
    )
    legend = [(colour, name) for name, colour in palette.items()] if len(palette) > 1 else []
    return Figure(key, title, note, alt, spec, table, legend, wide)


def ranked_figure(
    story: Story,
    key: str,
    found: pd.DataFrame,
    column: str,
    title: str,
    note: str,
    *,
    names: Sequence[str] | None = None,
    rule: float | None = None,
    lead: int = 0,
) -> Figure | None:
    """One bar a row of the long table, in its order; None without rows."""
    w = story.words
    if found.empty:
        return None
    labels = list(names if names is not None else map(str, found[column]))
    unit = str(found["unit"].iloc[0])
    rows = [
        {
            "x": label,
            "y": _plain(row["value"]),
            "text": w.unit(row["value"], unit),
            "lead": i == lead,
            "tip": w.t("tip", what=label, value=story.said(row)),
        }
        for i, (label, row) in enumerate(zip(labels, found.to_dict("records"), strict=True))
    ]
    table = Table(
        ["", story.title(str(found["measure"].iloc[0])), w.t("interval"), w.t("customers")],
        [[x, *story.cells(row)] for x, (_, row) in zip(labels, found.iterrows(), strict=True)],
    )  # fmt: skip
    alt = w.t("alt.bars", rows=w.join(f"{row['x']} {row['text']}" for row in rows))
    return Figure(key, title, note, alt, ranked(w, rows, unit, rule=rule), table)


def interval_figure(
    story: Story,
    key: str,
    found: pd.DataFrame,
    labels: Iterable[str],
    title: str,
    note: str,
    *,
    rule: float = 0.0,
    wide: bool = False,
    caution: str = "",
) -> Figure | None:
    """A point with its interval for each row of the long table; None without rows."""
    w = story.words
    if found.empty:
        return None
    unit = str(found["unit"].iloc[0])
    names = list(labels)
    rows = []
    for label, row in zip(names, found.to_dict("records"), strict=True):
        low = row["low"] if math.isfinite(row["low"]) else row["value"]
        high = row["high"] if math.isfinite(row["high"]) else row["value"]
        rows.append(
            {
                "x": label,
                "y": _plain(row["value"]),
                "low": _plain(low),
                "high": _plain(high),
                "lead": not low <= rule <= high,
                "tip": w.t("tip", what=label, value=story.said(row)),
            }
        )
    table = Table(
        ["", w.t("effect"), w.t("interval"), w.t("customers")],
        [[x, *story.cells(row)] for x, (_, row) in zip(names, found.iterrows(), strict=True)],
    )  # fmt: skip
    alt = w.t("alt.intervals", rows=w.join(str(row["tip"]) for row in rows))
    spec = intervals(w, rows, unit, rule=rule)
    return Figure(key, title, note, alt, spec, table, (), wide, caution)


def trail(values: Sequence[float]) -> str:
    """The course of a number as points of a line in a field of 100 x 28, "" for too few.

    >>> trail([1, 2, 3])
    '0,26 50,14 100,2'
    """
    known = np.asarray(values, dtype=np.float64)
    if len(known) < 3 or not np.isfinite(known).all():
        return ""
    low, high = known.min(), known.max()
    heights = 26 - 24 * (known - low) / (high - low) if high > low else np.full(len(known), 14.0)
    across = np.linspace(0, 100, len(known))
    return " ".join(f"{x:.4g},{y:.4g}" for x, y in zip(across, heights, strict=True))


def _plain(value: float) -> float:
    """Six significant figures are more than a screen shows."""
    return float(f"{value:.6g}")
