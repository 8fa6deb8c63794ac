"""The loyalty programme: who is in it, what becomes of points, and what it changes."""

from __future__ import annotations

import pandas as pd

from serving.report.blocks import Block, Cell, Figure, Section, Table
from serving.report.figures import interval_figure, time_figure
from serving.report.story import Story

__all__ = ["loyalty"]

_FACTS = ("loyalty_members", "loyalty_enrolment_rate", "redemption_rate", "breakage_rate")


def loyalty(story: Story) -> Section:
    """Members, points, and members against comparable others."""
    w = story.words
    rows = story.long.series("loyalty_members")
    title = ""
    if len(rows):
        last = rows.iloc[-1]
        rate = story.long.series("loyalty_enrolment_rate")
        share = w.percent(float(rate["value"].iloc[-1])) if len(rate) else "\u2013"
        title = w.t("loyalty.members_title", n=w.count(last["value"]), share=share)
    points = ("points_earned", "points_burnt", "points_expired")
    found: list[Block | None] = [
        time_figure(story, "members", ["loyalty_members"], title, w.t("loyalty.members_note")),
        time_figure(
            story, "points", points, w.t("loyalty.points_title"), w.t("loyalty.points_note"),
            colours=("var(--accent)", "var(--second)", "var(--third)"),
        ),
        *_effects(story),
        _facts(story),
    ]  # fmt: skip
    blocks = [block for block in found if block is not None]
    return Section(
        "loyalty", w.t("loyalty.title"), w.t("loyalty.lead"), blocks,
        story.lacking("loyalty_members", "redemption_rate", "breakage_rate",
                      "loyalty_effect_adjusted"),
    )  # fmt: skip


def _effects(story: Story) -> list[Figure | None]:
    """One figure an outcome: raw beside adjusted."""
    w = story.words
    both = []
    for measure in ("loyalty_effect_raw", "loyalty_effect_adjusted"):
        found = story.long.by(measure, "outcome")
        both.append(found.assign(label=w.t(f"loyalty.{measure.rsplit('_', 1)[1]}")))
    every = pd.concat(both)
    figures = []
    for outcome in ("purchases", "spend"):
        found = every[every["outcome"] == outcome]
        adjusted = found[found["measure"] == "loyalty_effect_adjusted"]
        if found.empty:
            continue
        title = w.t(f"loyalty.effect_{outcome}")
        if len(adjusted):
            row = adjusted.iloc[0]
            key = "up" if row["low"] > 0 else "down" if row["high"] < 0 else "open"
            title = w.t(
                f"loyalty.effect_{key}", what=w.t(f"loyalty.{outcome}"), value=story.said(row)
            )
        figures.append(
            interval_figure(
                story, f"loyalty_{outcome}", found, found["label"], title,
                w.t("loyalty.effect_note"), caution=w.t("loyalty.caution"),
            )
        )  # fmt: skip
    return figures


def _facts(story: Story) -> Table | None:
    w = story.words
    rows: list[list[str | Cell]] = []
    for name in _FACTS:
        found = story.long.series(name)
        if found.empty:
            continue
        last = found.iloc[-1]
        rows.append([Cell(story.title(name), note=w.period(str(last["period"]))),
                     *story.cells(last)])  # fmt: skip
    if not rows:
        return None
    headers = [w.t("measure_word"), w.t("value_word"), w.t("interval"), w.t("n_word")]
    return Table(headers, rows, w.t("loyalty.facts"), wide=False)
