"""The data behind the page: rows read and set aside, and what was missing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from serving.report.blocks import Block, Cell, Notes, Section, Table
from serving.report.story import Story

__all__ = ["data"]

_TABLES = ("transactions", "events", "surveys", "tickets", "contacts", "loyalty", "acquisition",
           "customers", "subscriptions")  # fmt: skip


def data(story: Story) -> Section:
    """Counts of rows by table, status of customers, and absent tables with what they would add."""
    w, m = story.words, story.material
    blocks: list[Block] = [_quality(story, m.quality)]
    blocks.append(_statuses(story))
    absent = [name for name in _TABLES if name not in m.quality]
    if absent:
        rows = [[name, w.t(f"data.adds_{name}")] for name in absent]
        headers = [w.t("data.table"), w.t("data.adds")]
        blocks.append(Table(headers, rows, w.t("data.absent"), texts=frozenset({1}), wide=False))
    if m.notes and w.language == "en":
        title = w.t("data.notes", n=len(m.notes))
        blocks.append(Notes(title, [note[:1].upper() + note[1:] for note in m.notes]))
    return Section("data", w.t("data.title"), w.t("data.lead"), blocks)


def _quality(story: Story, tables: Mapping[str, Mapping[str, Any]]) -> Table:
    w = story.words
    rows: list[list[str | Cell]] = []
    for name, found in tables.items():
        reasons = [
            w.t("tip", what=_reason(story, code), value=w.count(n))
            for code, n in found.get("quarantined", {}).items()
        ]
        if found.get("left_out"):
            reasons.append(w.t("data.left_out", n=w.count(found["left_out"])))
        aside = found["read"] - found["accepted"]
        rows.append(
            [
                Cell(name, note=w.join(reasons)),
                Cell(w.count(found["read"]), found["read"]),
                Cell(w.count(found["accepted"]), found["accepted"]),
                Cell(w.count(aside), aside),
            ]
        )
    headers = [w.t("data.table"), w.t("data.read"), w.t("data.accepted"), w.t("data.aside")]
    return Table(headers, rows, w.t("data.rows"), sortable=True)


def _statuses(story: Story) -> Table:
    w = story.words
    counts = story.material.scored["status"].value_counts()
    rows: list[list[str | Cell]] = [
        [w.t(f"status.{status}"), Cell(w.count(int(n)), int(n))] for status, n in counts.items()
    ]
    return Table([w.t("data.status"), w.t("customers")], rows, w.t("data.statuses"), wide=False)


def _reason(story: Story, code: str) -> str:
    """Why rows were set aside, in words."""
    w = story.words
    if w.has(f"reason.{code}"):
        return w.t(f"reason.{code}")
    kind, _, name = code.partition("_")
    if kind in ("bad", "no"):
        return w.t(f"reason.{kind}", name=name)
    return code.replace("_", " ")
