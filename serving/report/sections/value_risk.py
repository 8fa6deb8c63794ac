"""Value and risk: the matrix with what each cell stands for, and the RFM segments."""

from __future__ import annotations

import pandas as pd

from models.base import TIERS
from models.messages.plays import SEGMENT_TEXTS
from models.playbook import matrix, play
from serving.report.blocks import Block, Cell, Figure, Matrix, Section, Table
from serving.report.charts import ranked
from serving.report.story import Story

__all__ = ["value_risk"]

_ACT = ("save", "protect", "win_back", "remind")
"""Where to act, best first."""


def value_risk(story: Story) -> Section:
    """Who is worth what and how likely to leave, and what that asks for."""
    w, known = story.words, story.material.known
    blocks: list[Block] = []
    missing = []
    if len(known):
        blocks.append(_matrix(story, known))
    if story.material.segments is not None and len(story.material.segments):
        blocks.append(_segments(story, story.material.segments))
    else:
        missing.append(w.t("value_risk.no_segments"))
    return Section("value_risk", w.t("value_risk.title"), w.t("value_risk.lead"), blocks, missing)


def _matrix(story: Story, known: pd.DataFrame) -> Matrix:
    w = story.words
    found = matrix(known)
    cells_of = {(r["value_tier"], r["risk_tier"]): r for r in found.to_dict("records")}
    most = max(float(found["clv"].max()), 1e-300)
    total = max(float(found["clv"].sum()), 1e-300)
    # A cell of a handful of customers is no place to start.
    least = max(1, 0.01 * len(known))
    by_play = found.set_index("playbook")["customers"]
    first = next((code for code in _ACT if by_play[code] >= least), None)
    rows = []
    for value in reversed(TIERS):
        cells = []
        for risk in TIERS:
            cell = cells_of[value, risk]
            said = play(value, risk, w.language)
            cells.append(
                {
                    "customers": w.count(cell["customers"]),
                    "money": w.short_money(cell["clv"]),
                    "share": w.percent(cell["clv"] / total),
                    "shade": round(max(float(cell["clv"]), 0.0) / most, 3),
                    "play": said.title,
                    "text": said.text,
                    "first": said.code == first,
                }
            )
        rows.append((w.t(f"value.{value}"), cells))
    busiest = found.sort_values("clv", kind="stable").iloc[-1]
    title = w.t(
        "value_risk.matrix_title",
        share=w.percent(float(found["clv"].max()) / total),
        value=w.t(f"value.{busiest['value_tier']}").lower(),
        risk=w.t(f"risk.{busiest['risk_tier']}").lower(),
    )
    return Matrix(
        title, w.t("value_risk.matrix_note"), [w.t(f"risk.{risk}") for risk in TIERS], rows
    )


def _segments(story: Story, segments: pd.DataFrame) -> Figure:
    w = story.words
    found = segments.sort_values("clv", ascending=False, kind="stable")
    texts = SEGMENT_TEXTS[w.language]
    total = max(float(found["clv"].sum()), 1e-300)
    rows, table = [], []
    for i, row in enumerate(found.to_dict("records")):
        name, meaning = texts.get(row["rfm_segment"], (row["rfm_segment"], ""))
        share = row["clv"] / total
        tip = w.t(
            "value_risk.segment_tip", name=name, n=w.count(row["customers"]),
            money=w.short_money(row["clv"]), share=w.percent(share),
        )  # fmt: skip
        rows.append({"x": name, "y": round(share, 5), "text": w.percent(share), "lead": i == 0,
                     "tip": tip})  # fmt: skip
        table.append(
            [
                Cell(name, note=meaning),
                Cell(w.count(row["customers"]), row["customers"]),
                Cell(w.short_money(row["clv"]), row["clv"]),
                Cell(w.percent(row["churn_probability"]), row["churn_probability"]),
                Cell(w.short_money(row["value_at_risk"]), row["value_at_risk"]),
            ]
        )
    best = found.iloc[0]
    title = w.t(
        "value_risk.segments_title",
        name=texts.get(best["rfm_segment"], (best["rfm_segment"], ""))[0],
        customers=w.percent(best["customers"] / max(float(found["customers"].sum()), 1.0)),
        share=w.percent(best["clv"] / total),
    )
    return Figure(
        "segments", title, w.t("value_risk.segments_note"),
        w.t("alt.bars", rows=w.join(f"{row['x']} {row['text']}" for row in rows)),
        ranked(w, rows, "share"),
        Table([w.t("segment"), w.t("customers"), w.t("clv"), w.t("leaving"), w.t("at_risk")],
              table, sortable=True),
        wide=True,
    )  # fmt: skip
