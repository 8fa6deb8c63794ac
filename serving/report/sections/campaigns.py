"""Campaigns: what they changed, what they earned, and whom they change most."""

from __future__ import annotations

import math

import pandas as pd

from serving.report.blocks import Block, Figure, Section, Table
from serving.report.charts import ACCENT, lines
from serving.report.figures import interval_figure
from serving.report.story import Story

__all__ = ["campaigns"]

_EFFECTS = ("campaign_effect_retention", "campaign_effect_spend")
_COLUMNS = ("campaign_effect_spend", "campaign_effect_clv", "campaign_profit", "campaign_roi",
            "campaign_balance_p")  # fmt: skip
_LAST = 12


def campaigns(story: Story) -> Section:
    """Effects with intervals, ROI, and the Qini curve."""
    w = story.words
    found: list[Block | None] = [
        *(_effects(story, measure) for measure in _EFFECTS),
        *_qini(story),
        _table(story),
    ]
    blocks = [block for block in found if block is not None]
    missing = story.lacking(*_EFFECTS, "campaign_roi")
    if story.material.table("regulars-uplift", "qini").empty:
        missing.append(w.t("campaigns.no_uplift"))
    return Section("campaigns", w.t("campaigns.title"), w.t("campaigns.lead"), blocks, missing)


def _chosen(story: Story, measure: str) -> pd.DataFrame:
    """The campaigns of a measure with the most customers, in order of their names."""
    found = story.long.by(measure, "campaign")
    return found.nlargest(_LAST, "n", keep="all").head(_LAST).sort_values("campaign")


def _effects(story: Story, measure: str) -> Figure | None:
    w = story.words
    found = _chosen(story, measure)
    if found.empty:
        return None
    up, down = int((found["low"] > 0).sum()), int((found["high"] < 0).sum())
    key = measure.rsplit("_", 1)[1]
    title = w.t(f"campaigns.{key}_title", up=up, down=down, of=len(found))
    return interval_figure(
        story, measure, found, found["campaign"], title, w.t(f"campaigns.{key}_note")
    )


def _table(story: Story) -> Table | None:
    w = story.words
    parts = {name: story.long.by(name, "campaign") for name in _COLUMNS}
    parts = {name: found for name, found in parts.items() if len(found)}
    if not parts:
        return None
    return Table(
        [w.t("campaign"), w.t("customers"), *(story.title(name) for name in parts)],
        story.compared(parts, "campaign"),
        w.t("campaigns.table"), w.t("campaigns.table_note"), sortable=True,
    )  # fmt: skip


def _qini(story: Story) -> list[Figure]:
    """One curve a kind of campaign that an effect was learned from."""
    w = story.words
    found = story.material.table("regulars-uplift", "qini")
    if found.empty:
        return []
    if "treatment" not in found:
        found = found.assign(treatment="")
    model, chance = w.t("campaigns.by_model"), w.t("campaigns.at_random")
    figures: list[Figure] = []
    for name, curve in found.groupby("treatment", sort=True):
        rows, table = [], []
        for row in curve.to_dict("records"):
            share = w.percent(row["share"])
            for series, value in ((chance, row["random"]), (model, row["gain"])):
                one = {"x": row["share"], "y": value, "s": series,
                       "tip": w.t("campaigns.qini_tip", share=share, what=series,
                                  value=w.signed(value, "share"))}  # fmt: skip
                low = row.get("low")
                if series == model and low is not None and math.isfinite(low):
                    one |= {"low": low, "high": row["high"]}
                rows.append(one)
            table.append([share, w.signed(row["gain"], "share"), w.signed(row["random"], "share")])
        colours = {chance: "var(--soft)", model: ACCENT}
        best = curve.sort_values("gain", kind="stable").iloc[-1]
        title = w.t(
            "campaigns.qini_title" if _earned(curve) else "campaigns.qini_none", name=name,
            share=w.percent(best["share"]), value=w.signed(best["gain"], "share"),
        )  # fmt: skip
        spec = lines(w, rows, "share", colours, numeric=True, x_unit="share",
                     title=w.t("churn.contacted"))  # fmt: skip
        thin = table[:: max(1, len(table) // 20)]
        figures.append(
            Figure(
                f"qini_{len(figures)}", title, w.t("campaigns.qini_note"), title, spec,
                Table([w.t("churn.contacted"), model, chance], thin),
                [(colour, series) for series, colour in colours.items()],
            )
        )  # fmt: skip
    return figures


def _earned(curve: pd.DataFrame) -> bool:
    """Whether the order was better than a random one, with its interval."""
    return "earned" not in curve or bool(curve["earned"].all())
