"""The list to act on: whom to turn to first, why, and with what."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd

from serving.report.blocks import Block, Cell, People, Section, Table, Tile, Tiles
from serving.report.story import Story

__all__ = ["actions"]

_REASONS = ("reason_1", "reason_2", "reason_3")
_SUGGEST = "suggest:"


def actions(story: Story) -> Section:
    """The plan in numbers, and its first customers."""
    w, m, o = story.words, story.material, story.options
    blocks: list[Block] = []
    missing = []
    if m.summary:
        blocks.append(_tiles(story, m.summary))
    if o.customers and o.top_n:
        rows = _people(story)
        if rows:
            headers = [
                w.t("customer"), w.t("leaving"), w.t("clv"), w.t("at_risk"), w.t("actions.what"),
                w.t("actions.why"),
            ]  # fmt: skip
            blocks.append(People(headers, rows))
        else:
            missing.append(w.t("actions.nobody"))
    if m.summary and len(m.summary["why"]):
        blocks.append(_left_out(story, m.summary))
    if m.plan is None:
        missing.append(w.t("actions.no_plan"))
    planned = m.plan is not None
    lead = w.t("actions.lead" if planned else "actions.lead_risk", n=o.top_n)
    if not o.customers:
        lead = w.t("actions.lead_hidden")
    return Section("actions", w.t("actions.title"), lead, blocks, missing)


def _tiles(story: Story, summary: Mapping[str, Any]) -> Tiles:
    w = story.words
    return Tiles(
        [
            Tile(w.t("actions.contacted"), w.count(summary["contacted"]),
                 w.t("actions.contacted_note", of=w.count(summary["customers"]))),
            Tile(w.t("actions.earns"), w.short_money(summary["expected_value"]),
                 w.t("actions.earns_note")),
            Tile(w.t("actions.cost"), w.short_money(summary["expected_cost"]),
                 w.t("actions.cost_note")),
            Tile(w.t("actions.control"), w.count(summary["control"]), w.t("actions.control_note")),
        ]
    )  # fmt: skip


def _chosen(story: Story) -> pd.DataFrame:
    """The scored rows to show, in order; with the columns of the plan where there is one."""
    m, top = story.material, story.options.top_n
    if m.plan is not None:
        extra = m.plan[["action", "offer", "arm", "expected_value", "rank"]]
        both = m.scored.drop(columns=["action", "expected_value"], errors="ignore")
        both = both.reset_index(drop=True).join(extra.reset_index(drop=True))
        return both[both["arm"] == "treatment"].sort_values("rank").head(top)
    known = m.known[m.known["risk_tier"] != "low"]
    risk = (known["churn_probability"] * known["clv"]).sort_values(ascending=False, kind="stable")
    return known.loc[risk.index[:top]]


def _people(story: Story) -> list[dict[str, Any]]:
    return [
        _person(story, row, i) for i, row in enumerate(_chosen(story).to_dict("records"), start=1)
    ]


def _person(story: Story, row: Mapping[Hashable, Any], number: int) -> dict[str, Any]:
    w = story.words
    risk = row["churn_probability"] * row["clv"]
    action = row.get("action")
    what = action if isinstance(action, str) and action not in ("", "none") else ""
    if what.startswith(_SUGGEST):
        what = w.t("actions.suggest", what=what.removeprefix(_SUGGEST))
    earns = row.get("expected_value")
    tiers = w.t("actions.tiers", value=w.t(f"value.{row['value_tier']}"),
                risk=w.t(f"risk.{row['risk_tier']}").lower())  # fmt: skip
    return {
        "customer": w.t("actions.hidden", n=number)
        if story.options.hide_ids
        else str(row["customer_id"]),
        "risk_tier": row["risk_tier"],
        "tiers": tiers,
        "churn": w.percent(row["churn_probability"]),
        "churn_sort": round(row["churn_probability"], 6),
        "churn_range": w.between(row["churn_low"], row["churn_high"], "share"),
        "clv": w.money(row["clv"]),
        "clv_sort": round(row["clv"], 4),
        "clv_range": w.between(row["clv_low"], row["clv_high"], "money"),
        "at_risk": w.money(risk),
        "at_risk_sort": round(risk, 4),
        "what": what,
        "earns": w.t("actions.worth", money=w.money(earns))
        if what and isinstance(earns, float) and earns == earns
        else "",
        "earns_sort": round(earns, 4) if isinstance(earns, float) and earns == earns else 0.0,
        "reasons": [row[name] for name in _REASONS if isinstance(row[name], str) and row[name]],
    }


def _left_out(story: Story, summary: Mapping[str, Any]) -> Table:
    w = story.words
    rows: list[list[str | Cell]] = [
        [w.name("why", str(why)), Cell(w.count(n), n)] for why, n in summary["why"].items()
    ]
    return Table(
        [w.t("actions.reason"), w.t("customers")], rows, w.t("actions.left_out"), wide=False
    )
