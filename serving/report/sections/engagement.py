"""Engagement: who looks around, how often, and how far they get."""

from __future__ import annotations

from serving.report.blocks import Block, Figure, Section, Tile, Tiles
from serving.report.figures import ranked_figure, time_figure, trail
from serving.report.story import Story

__all__ = ["engagement"]

_TILES = ("stickiness_dau_mau", "stickiness_wau_mau", "sessions_per_user", "session_minutes")


def engagement(story: Story) -> Section:
    """Active users, stickiness, and the funnel."""
    w = story.words
    blocks: list[Block] = []
    tiles = [tile for name in _TILES if (tile := _tile(story, name))]
    if tiles:
        blocks.append(Tiles(tiles))
    rows = story.long.series("mau")
    title = ""
    if len(rows):
        last = rows.iloc[-1]
        title = w.t(
            "engagement.users_title", n=w.count(last["value"]), period=w.period(last["period"])
        )
    users = time_figure(
        story, "users", ["mau", "wau", "dau"], title, w.t("engagement.users_note"),
        colours=("var(--accent)", "var(--second)", "var(--third)"),
    )  # fmt: skip
    blocks += [figure for figure in (users, _funnel(story)) if figure is not None]
    return Section(
        "engagement", w.t("engagement.title"), w.t("engagement.lead"), blocks,
        story.lacking("mau", "stickiness_dau_mau", "sessions", "funnel_rate"),
    )  # fmt: skip


def _funnel(story: Story) -> Figure | None:
    w = story.words
    found = story.long.by("funnel_rate", "step")
    if found.empty:
        return None
    names = [w.name("step", str(step)) for step in found["step"]]
    share = w.percent(float(found["value"].iloc[-1]), 1)
    return ranked_figure(
        story, "funnel", found, "step", w.t("engagement.funnel_title", share=share, step=names[-1]),
        w.t("engagement.funnel_note"), names=names, lead=len(names) - 1,
    )  # fmt: skip


def _tile(story: Story, measure: str) -> Tile | None:
    w = story.words
    rows = story.long.series(measure)
    if rows.empty:
        return None
    last = rows.iloc[-1]
    change = ""
    if len(rows) > 1:
        before = rows.iloc[-2]
        difference = w.change(float(last["value"]), float(before["value"]), str(last["unit"]))
        change = w.t(
            "headlines.against", change=difference, period=w.short_period(before["period"])
        )
    return Tile(
        story.title(measure), w.unit(float(last["value"]), str(last["unit"])),
        w.period(str(last["period"])), change, line=trail(list(rows["value"].tail(13))),
    )  # fmt: skip
