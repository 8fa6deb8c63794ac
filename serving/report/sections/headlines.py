"""Headline numbers: where the shop stands, against the period before and the year before."""

from __future__ import annotations

import math

import pandas as pd

from serving.report.blocks import Block, Section, Tile, Tiles
from serving.report.figures import time_figure, trail
from serving.report.story import Story

__all__ = ["findings", "headlines"]

_SHOWN = (
    "revenue", "active_customers", "new_customers", "average_purchase_value",
    "repeat_purchase_rate", "churn_rate", "reactivated_customers", "nps",
)  # fmt: skip
_MORE_IS_BETTER = {name: name != "churn_rate" for name in _SHOWN}
_LINE = 13
_PARTS = ("returning_customers", "new_customers")


def headlines(story: Story) -> Section:
    """The first thing that is read."""
    w = story.words
    now = [tile for name in _SHOWN if (tile := _tile(story, name))]
    periods = story.long.series("revenue")["period"]
    blocks: list[Block] = []
    if now:
        title = w.t("headlines.period", period=w.period(str(periods.iloc[-1])))
        blocks.append(Tiles(now[: len(now) // 4 * 4 or len(now)], title))
    blocks.append(Tiles(_ahead(story), w.t("headlines.ahead", date=w.date(story.material.as_of))))
    revenue = time_figure(
        story, "revenue", ["revenue"], _revenue_title(story), w.t("headlines.revenue_note")
    )
    customers = time_figure(
        story, "customers", _PARTS, _customers_title(story), w.t("headlines.customers_note"),
        colours=("var(--accent)", "var(--second)"), stacked=True,
    )  # fmt: skip
    blocks += [figure for figure in (revenue, customers) if figure is not None]
    return Section(
        "headlines", w.t("headlines.title"), w.t("headlines.lead"), blocks,
        story.lacking(*(name for name in _SHOWN if name != "nps")),
    )  # fmt: skip


def findings(story: Story) -> list[str]:
    """The few sentences that the page opens with."""
    w, known = story.words, story.material.known
    found = []
    if len(story.long.series("revenue")):
        found.append(w.t("sentence", text=_revenue_title(story)))
    if len(known):
        total = float(known["clv"].sum())
        at_risk = float((known["churn_probability"] * known["clv"]).sum())
        days = int(story.material.churn.card["horizon_days"])
        found.append(
            w.t(
                "finding.risk",
                share=w.percent(float(known["churn_probability"].mean())),
                n=w.count(len(known)),
                days=days,
                money=w.short_money(at_risk),
                of=w.percent(at_risk / total) if total else w.percent(0),
            )
        )
        top = known["clv"].nlargest(-(-len(known) // 10)).sum()
        if total > 0:
            found.append(w.t("finding.top", share=w.percent(float(top) / total)))
    summary = story.material.summary
    if summary and summary["contacted"]:
        found.append(
            w.t(
                "finding.act",
                n=w.count(summary["contacted"]),
                money=w.short_money(summary["expected_value"]),
                cost=w.short_money(summary["expected_cost"]),
            )
        )
    return found


def _tile(story: Story, measure: str) -> Tile | None:
    w = story.words
    rows = story.long.series(measure)
    if rows.empty:
        return None
    last = rows.iloc[-1]
    unit, value = str(last["unit"]), float(last["value"])
    change, good, second = "", None, ""
    if len(rows) > 1:
        before = rows.iloc[-2]
        change = w.change(value, float(before["value"]), unit)
        change = w.t("headlines.against", change=change, period=w.short_period(before["period"]))
        if value != before["value"]:
            good = (value > before["value"]) == _MORE_IS_BETTER[measure]
    year = story.long.year_before(measure, str(last["period"]))
    if math.isfinite(year):
        second = w.t("headlines.year", change=w.change(value, year, unit))
    between = ""
    if math.isfinite(last["low"]):
        between = w.t(
            "interval_of", between=w.between(float(last["low"]), float(last["high"]), unit)
        )
    shown = w.short_money(value) if unit == "money" and value >= 1e4 else w.unit(value, unit)
    return Tile(
        story.title(measure), shown, between, change, good, second,
        trail(list(rows["value"].tail(_LINE))),
    )  # fmt: skip


def _ahead(story: Story) -> list[Tile]:
    w, known, card = story.words, story.material.known, story.material.clv.card
    days = int(card["extra"]["horizon_days"])
    n, total = len(known), float(known["clv"].sum())
    leaving = float(known["churn_probability"].sum())
    at_risk = float((known["churn_probability"] * known["clv"]).sum())
    churn_days = int(story.material.churn.card["horizon_days"])
    none = "\u2013"
    return [
        Tile(
            w.t("ahead.leaving"), w.percent(leaving / n) if n else none,
            w.t("ahead.leaving_note", n=w.count(leaving), of=w.count(n), days=churn_days),
        ),
        Tile(w.t("ahead.clv"), w.short_money(total), w.t("ahead.clv_note", days=days)),
        Tile(
            w.t("ahead.at_risk"), w.short_money(at_risk),
            w.t("ahead.at_risk_note", share=w.percent(at_risk / total) if total else none),
        ),
        Tile(
            w.t("ahead.spend"), w.short_money(float(known["expected_spend"].sum())),
            w.t("ahead.spend_note", days=days),
        ),
    ]  # fmt: skip


def _revenue_title(story: Story) -> str:
    rows = story.long.series("revenue")
    if rows.empty:
        return ""
    last = rows.iloc[-1]
    return _against_year(story, "headlines.revenue", last, story.words.short_money(last["value"]))


def _customers_title(story: Story) -> str:
    rows = story.long.series("active_customers")
    if rows.empty:
        return story.words.t("headlines.customers")
    last = rows.iloc[-1]
    return _against_year(story, "headlines.active", last, story.words.count(last["value"]))


def _against_year(story: Story, key: str, last: pd.Series, value: str) -> str:
    w = story.words
    before = story.long.year_before(str(last["measure"]), str(last["period"]))
    said = w.t(key, value=value, period=w.period(str(last["period"])))
    if not math.isfinite(before) or not before:
        return said
    change = float(last["value"]) / before - 1
    word = "above" if change > 0.005 else "below" if change < -0.005 else "level"
    ending = w.t(f"headlines.{word}", share=w.percent(abs(change)))
    return f"{said}{ending}"
