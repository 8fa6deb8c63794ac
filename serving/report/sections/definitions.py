"""What the words mean: the terms of the list, and the measures' own catalogue."""

from __future__ import annotations

from serving.report.blocks import Block, Cell, Section, Table
from serving.report.story import Story

__all__ = ["definitions"]

_TERMS = ("purchase", "leaving", "clv", "at_risk", "spend", "tiers", "interval")


def definitions(story: Story) -> Section:
    """Terms first, then each measure that the page or the long table shows."""
    w, m = story.words, story.material
    extra = m.clv.card["extra"]
    said = {
        "days": int(m.churn.card["horizon_days"]),
        "gap": int(m.churn.card.get("gap_days", 0)),
        "clv_days": int(extra["horizon_days"]),
        "margin": w.percent(float(extra["margin"])),
        "discount": w.percent(float(extra["annual_discount_rate"])),
    }
    terms = [[w.t(f"term.{name}"), w.t(f"term.{name}_means", **said)] for name in _TERMS]
    words = frozenset({1})
    blocks: list[Block] = [Table([w.t("term.word"), w.t("term.meaning")], terms, texts=words)]
    shown = [row for row in m.catalogue if row.name in story.long]
    if shown:
        rows: list[list[str | Cell]] = [
            [
                Cell(story.title(row.name), note=row.name),
                Cell(w.definition(row), note=row.source),
            ]
            for row in shown
        ]
        blocks.append(
            Table(
                [w.t("measure_word"), w.t("term.meaning")],
                rows,
                w.t("definitions.measures", n=len(rows)),
                texts=words,
                folded=True,
            )
        )
    return Section("definitions", w.t("definitions.title"), w.t("definitions.lead"), blocks)
