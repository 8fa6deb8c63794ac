"""Acquisition: what a customer costs, by channel, and whether and when that comes back."""

from __future__ import annotations

import math

from serving.report.blocks import Block, Figure, Section, Table
from serving.report.charts import lines
from serving.report.figures import ranked_figure, time_figure
from serving.report.story import Story

__all__ = ["acquisition"]

_COLUMNS = ("cac", "clv_predictive", "ltv_to_cac", "payback_months")
_PALETTE = ("var(--accent)", "var(--alarm)", "var(--second)", "var(--third)", "var(--soft)",
            "var(--quiet)")  # fmt: skip


def acquisition(story: Story) -> Section:
    """CAC, LTV:CAC and payback."""
    w = story.words
    found: list[Block | None] = [
        _ratio(story),
        _margin(story),
        time_figure(
            story, "cac", ["cac"], w.t("acquisition.cac_title"), w.t("acquisition.cac_note")
        ),
        _table(story),
    ]
    blocks = [block for block in found if block is not None]
    return Section(
        "acquisition", w.t("acquisition.title"), w.t("acquisition.lead"), blocks,
        story.lacking("cac", "ltv_to_cac", "payback_months"),
    )  # fmt: skip


def _ratio(story: Story) -> Figure | None:
    w = story.words
    found = story.long.newest("ltv_to_cac", "channel")
    found = found.sort_values("value", ascending=False, kind="stable").head(10)
    if found.empty:
        return None
    worst, best = found.iloc[-1], found.iloc[0]
    title = w.t(
        "acquisition.ratio_title", best=best["channel"], high=w.number(best["value"], 1),
        worst=worst["channel"], low=w.number(worst["value"], 1),
    )  # fmt: skip
    return ranked_figure(
        story,
        "ltv_to_cac",
        found,
        "channel",
        title,
        w.t("acquisition.ratio_note"),
        rule=1.0 if worst["value"] < 3 else None,
    )


def _margin(story: Story) -> Figure | None:
    """Margin a customer has brought by age, by channel."""
    w = story.words
    found = story.long.by("cumulative_margin", "channel", "age")
    if found.empty:
        found = story.long.by("cumulative_margin", "age").assign(channel=w.t("everyone"))
    if found.empty:
        return None
    found["age"] = found["age"].astype(int)
    found = found.sort_values(["channel", "age"], kind="stable")
    top = found.groupby("channel")["n"].max().nlargest(len(_PALETTE)).index
    found = found[found["channel"].isin(top)]
    last = found.groupby("channel").tail(1).sort_values("value", ascending=False)
    colours = {str(name): _PALETTE[i] for i, name in enumerate(last["channel"])}
    rows = [
        {
            "x": row["age"], "y": round(row["value"], 3), "s": row["channel"],
            "tip": w.t("acquisition.margin_tip", channel=row["channel"], age=row["age"],
                       money=w.money(row["value"])),
        }
        for row in found.to_dict("records")
    ]  # fmt: skip
    wide = found.set_index(["age", "channel"])["value"].unstack()[list(colours)]
    table = Table(
        [w.t("cohorts.age"), *colours],
        [
            [str(age), *("" if math.isnan(v) else w.money(v) for v in values)]
            for age, *values in wide.itertuples()
        ],
    )
    best = last.iloc[0]
    title = w.t(
        "acquisition.margin_title", channel=best["channel"], money=w.money(best["value"]),
        age=int(best["age"]),
    )  # fmt: skip
    spec = lines(w, rows, "money", colours, numeric=True, title=w.t("cohorts.survival_axis"))
    legend = [(colour, name) for name, colour in colours.items()]
    return Figure("margin", title, w.t("acquisition.margin_note"), title, spec, table, legend)


def _table(story: Story) -> Table | None:
    w = story.words
    parts = {name: story.long.newest(name, "channel") for name in _COLUMNS}
    parts = {name: found for name, found in parts.items() if len(found)}
    if "cac" not in parts:
        return None
    return Table(
        [w.t("channel"), w.t("customers"), *(story.title(name) for name in parts)],
        story.compared(parts, "channel"),
        w.t("acquisition.table"), w.t("acquisition.table_note"), sortable=True,
    )  # fmt: skip
