"""Cohorts: who comes back after the first purchase, and for how long."""

from __future__ import annotations

import numpy as np

from serving.report.blocks import Block, Figure, Section, Table
from serving.report.charts import ACCENT, heat, lines
from serving.report.story import Story

__all__ = ["cohorts"]

_COHORTS, _AGES, _TABLE_AGES = 18, 18, 13


def cohorts(story: Story) -> Section:
    """The retention triangle and the survival curve."""
    w = story.words
    found = [_triangle(story), _survival(story)]
    blocks: list[Block] = [figure for figure in found if figure is not None]
    return Section(
        "cohorts", w.t("cohorts.title"), w.t("cohorts.lead"), blocks,
        story.lacking("retention_rate", "survival_rate"),
    )  # fmt: skip


def _triangle(story: Story) -> Figure | None:
    w = story.words
    found = story.long.by("retention_rate", "cohort", "age", period=None)
    if found.empty:
        return None
    found["age"] = found["age"].astype(int)
    found = found[found["age"] > 0]
    newest = sorted(set(found["cohort"]))[-_COHORTS:]
    found = found[found["cohort"].isin(newest) & (found["age"] <= _AGES)]
    found = found.sort_values(["cohort", "age"])
    if found.empty:
        return None
    values = found["value"].to_numpy(dtype=np.float64)
    cuts = _cuts(values)
    rows = [
        {
            "x": str(row["age"]),
            "y": w.short_period(row["cohort"]),
            "v": round(row["value"], 4),
            "text": f"{100 * row['value']:.0f}",
            "tip": w.t(
                "cohorts.tip", cohort=w.period(row["cohort"]), age=row["age"],
                share=w.percent(row["value"]), n=w.count(row["n"]),
            ),
        }
        for row in found.to_dict("records")
    ]  # fmt: skip
    wide = found.set_index(["cohort", "age"])["value"].unstack()
    sizes = found.groupby("cohort")["n"].max()
    ages = [age for age in sorted(set(found["age"])) if age < _TABLE_AGES]
    table = Table(
        [w.t("cohorts.cohort"), w.t("customers"), *(str(age) for age in ages)],
        [
            [
                w.period(cohort),
                w.count(sizes[cohort]),
                *("" if np.isnan(v) else w.percent(v) for v in wide.loc[cohort, ages]),
            ]
            for cohort in wide.index
        ],
    )
    weights = found[found["age"] == 3]
    third = np.average(weights["value"], weights=weights["n"]) if len(weights) else np.nan
    title = (
        w.t("cohorts.triangle_title", share=w.percent(float(third)))
        if np.isfinite(third)
        else w.t("cohorts.triangle")
    )
    return Figure(
        "retention", title, w.t("cohorts.triangle_note"),
        w.t("cohorts.triangle_alt", n=len(newest), first=w.period(newest[0]),
            last=w.period(newest[-1])),
        heat(w, rows, x_title=w.t("cohorts.age_axis"), y_title=w.t("cohorts.cohort"), cuts=cuts),
        table, wide=True,
    )  # fmt: skip


def _survival(story: Story) -> Figure | None:
    w = story.words
    found = story.long.by("survival_rate", "age")
    if found.empty:
        return None
    found["age"] = found["age"].astype(int)
    found = found.sort_values("age")
    name = story.title("survival_rate")
    rows = [
        {
            "x": row["age"], "y": round(row["value"], 4), "low": round(row["low"], 4),
            "high": round(row["high"], 4), "s": name,
            "tip": w.t("cohorts.survival_tip", age=row["age"], share=w.percent(row["value"]),
                       between=w.between(row["low"], row["high"], "share")),
        }
        for row in found.to_dict("records") if np.isfinite(row["low"])
    ]  # fmt: skip
    year = found[found["age"] == 12]
    title = (
        w.t("cohorts.survival_title", share=w.percent(float(year["value"].iloc[0])))
        if len(year)
        else w.t("cohorts.survival")
    )
    table = Table(
        [w.t("cohorts.age"), name, w.t("interval"), w.t("customers")],
        [[str(row["age"]), *story.cells(row)] for _, row in found.iterrows()],
    )
    spec = lines(w, rows, "share", {name: ACCENT}, numeric=True, title=w.t("cohorts.survival_axis"))
    return Figure("survival", title, w.t("cohorts.survival_note"), title, spec, table, wide=True)


def _cuts(values: np.ndarray) -> list[float]:
    """Six round values that split the field into seven colours; rates below the top 3 % decide."""
    top = max(float(np.quantile(values, 0.97)), 0.02)
    step = max(top / 6.5, 0.005)
    return [round(step * i, 4) for i in range(1, 7)]
