"""Customer lifetime value: what was expected, and what came."""

from __future__ import annotations

import numpy as np
import pandas as pd

from serving.report.blocks import Block, Figure, Section, Table
from serving.report.charts import ACCENT, QUIET, lines
from serving.report.sections.churn import model_table
from serving.report.story import Story

__all__ = ["clv"]

_MEASURES = {
    "clv/spearman": "rank",
    "clv/gini": "rank",
    "clv/bias": "relative",
    "clv/nmae": "rank",
    "clv/coverage_90": "share",
}
_KINDS = ("clv_historical", "clv_classic", "clv_predictive")


def clv(story: Story) -> Section:
    """Deciles and weeks of the champion against what happened, and three kinds of CLV."""
    w, model = story.words, story.material.clv
    found = [_deciles(story), _frequency(story), _tracking(story)]
    blocks: list[Block] = [figure for figure in found if figure is not None]
    kinds = _three_kinds(story)
    measures = model_table(story, "regulars-clv", _MEASURES)
    blocks += [table for table in (measures, kinds) if table is not None]
    missing = [] if any(found) else [w.t("churn.no_run", model=model.label)]
    return Section(
        "clv", w.t("clv_section.title"), w.t("clv_section.lead"), blocks,
        [*missing, *story.lacking(*_KINDS)],
    )  # fmt: skip


def _deciles(story: Story) -> Figure | None:
    found = story.material.table("regulars-clv", "deciles")
    if found.empty:
        return None
    w = story.words
    bias = found["mean_predicted"].sum() / max(float(found["mean_actual"].sum()), 1e-300) - 1
    title = w.t(f"clv_section.deciles_{_miss(float(bias))}", share=w.percent(abs(float(bias))))
    names = [str(int(decile)) for decile in found["decile"]]
    return _pair(
        story, "deciles", names, found["mean_predicted"], found["mean_actual"], "money", title,
        w.t("clv_section.deciles_note"), w.t("clv_section.decile"),
    )  # fmt: skip


def _frequency(story: Story) -> Figure | None:
    found = story.material.table("regulars-clv", "frequency")
    if found.empty:
        return None
    w = story.words
    names = [f"{int(x)}" for x in found["repeat_purchases"]]
    names[-1] += "+"
    return _pair(
        story, "frequency", names, found["expected"], found["actual"], "number",
        w.t("clv_section.frequency_title"), w.t("clv_section.frequency_note"),
        w.t("clv_section.repeats"),
    )  # fmt: skip


def _pair(
    story: Story,
    key: str,
    names: list[str],
    expected: pd.Series[float],
    actual: pd.Series[float],
    unit: str,
    title: str,
    note: str,
    axis: str,
) -> Figure:
    """Expected and actual, a point for each group."""
    w = story.words
    said, came = w.t("expected"), w.t("actual")
    write = w.money if unit == "money" else w.number
    rows, table = [], []
    for name, want, got in zip(names, expected, actual, strict=True):
        for series, value in ((said, want), (came, got)):
            tip = w.t("tip", what=f"{axis} {name}, {series}", value=write(float(value)))
            rows.append({"x": name, "y": round(float(value), 4), "s": series, "tip": tip})
        table.append([name, write(float(want)), write(float(got))])
    colours = {came: QUIET, said: ACCENT}
    spec = lines(w, rows, unit, colours, points=True, title=axis)
    alt = w.t("clv_section.pair_alt", axis=axis, rows=w.join(" / ".join(row) for row in table))
    return Figure(
        key, title, note, alt, spec, Table([axis, said, came], table),
        [(colours[said], said), (colours[came], came)],
    )  # fmt: skip


def _tracking(story: Story) -> Figure | None:
    found = story.material.table("regulars-clv", "tracking")
    if found.empty:
        return None
    w = story.words
    said, came = w.t("expected"), w.t("actual")
    weeks = len(found)
    # Four weeks together: single weeks are noise.
    four = found.assign(block=(found["week"].astype(int) - 1) // 4).groupby("block")
    sums = four.agg(week=("week", "max"), actual=("actual", "sum"), size=("week", "size"))
    sums["expected"] = four["expected"].sum(min_count=4)
    sums = sums[sums["size"] == 4]
    rows, table = [], []
    for row in sums.to_dict("records"):
        for series, value in ((came, row["actual"]), (said, row["expected"])):
            if np.isfinite(value):
                tip = w.t("clv_section.tracking_tip", week=int(row["week"]), what=series,
                          n=w.count(value))  # fmt: skip
                rows.append({"x": int(row["week"]), "y": round(value, 2), "s": series, "tip": tip})
        want = w.count(row["expected"]) if np.isfinite(row["expected"]) else ""
        table.append([str(int(row["week"])), want, w.count(row["actual"])])
    later = found[found["stage"] == "holdout"]
    cutoff = int(later["week"].min()) if len(later) else weeks
    bias = later["expected"].sum() / max(float(later["actual"].sum()), 1e-300) - 1
    colours = {came: QUIET, said: ACCENT}
    spec = lines(
        w, rows, "count", colours, numeric=True, title=w.t("clv_section.week"), y_title=None
    )
    spec["layer"].insert(
        0,
        {
            "data": {"values": [{"x": cutoff - 0.5}]},
            "mark": {"type": "rule", "strokeDash": [3, 3], "color": "var(--soft)"},
            "encoding": {"x": {"field": "x", "type": "quantitative"}},
        },
    )
    title = w.t(f"clv_section.tracking_{_miss(float(bias))}", share=w.percent(abs(float(bias))))
    return Figure(
        "tracking", title, w.t("clv_section.tracking_note", week=cutoff), title, spec,
        Table([w.t("clv_section.week"), said, came], table),
        [(colours[said], said), (colours[came], came)], wide=True,
    )  # fmt: skip


def _miss(bias: float) -> str:
    return "over" if bias > 0.005 else "under" if bias < -0.005 else "exact"


def _three_kinds(story: Story) -> Table | None:
    w = story.words
    rows = []
    for name in _KINDS:
        found = story.long.rows(name)
        found = found[found["segment"] == "all"]
        if len(found):
            row = found[found["period"] == "all"].iloc[-1:]
            row = found.tail(1) if row.empty else row
            rows.append([story.title(name), story.words.unit(float(row["value"].iloc[0]), "money"),
                         w.t(f"clv_section.{name}")])  # fmt: skip
    if not rows:
        return None
    return Table(
        [w.t("clv_section.kind"), w.t("clv_section.a_customer"), w.t("clv_section.what")],
        rows, w.t("clv_section.kinds"), w.t("clv_section.kinds_note"), frozenset({2}),
    )  # fmt: skip
