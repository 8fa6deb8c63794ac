"""Monitoring: what needs a person, how lists did, and how customers have changed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pandas as pd

from models.stability import WATCH
from serving.report.blocks import Block, Cell, Figure, Section, Table, Tile, Tiles
from serving.report.charts import ACCENT, lines, ranked
from serving.report.story import Story

if TYPE_CHECKING:
    from serving.advice import Advice
    from serving.findings import Finding
    from serving.monitor import Monitoring

__all__ = ["monitoring"]

_SHARES = ("churn_rate", "early_returns", "estimated_churn_rate", "estimated_precision", "ece",
           "gone_share", "clv_held", "missing_share", "new_levels")  # fmt: skip
_SIGNED = ("calibration_gap", "clv_bias", "spend_bias", "purchases_bias")
_MONEY = ("realised_profit", "estimated_profit")
_MOST = 25
_TWO_WEEKS = 14


def monitoring(story: Story) -> Section:
    """Advice, findings, cohorts, early returns and drift; a sentence where nothing was watched."""
    w, found = story.words, story.material.monitoring
    title = w.t("monitor.title")
    if found is None:
        return Section("monitoring", title, w.t("monitor.lead"), (), [w.t("monitor.not_watched")])
    urgent = sum(one.severity == "act" for one in found.findings)
    watched = sum(one.severity == "watch" for one in found.findings)
    key = "urgent" if urgent else "watched" if watched else "calm"
    lead = w.t(f"monitor.{key}", urgent=urgent, watched=watched, of=len(found.findings))
    blocks: list[Block | None] = [
        _advice(story, found),
        _open(story, found),
        _cohorts(story, found),
        _early(story, found),
        _drift(story, found),
    ]
    missing = [
        w.t(
            f"monitor.lacks_{lack.code}",
            subject=lack.subject,
            day="" if lack.day is None else w.date(lack.day),
        )
        for lack in found.lacks
    ]
    shown = [block for block in blocks if block is not None]
    return Section("monitoring", title, lead, shown, missing)


def _advice(story: Story, found: Monitoring) -> Tiles | None:
    w = story.words
    tiles = [
        Tile(
            one.name,
            w.t(f"monitor.do_{one.action}"),
            _because(story, one),
            "" if one.day is None else w.t("monitor.on", day=w.date(one.day)),
        )
        for one in found.advice
    ]
    return Tiles(tiles, w.t("monitor.advice")) if tiles else None


def _because(story: Story, one: Advice) -> str:
    w = story.words
    if w.language == "en":
        return one.reason
    chosen = "" if one.by_hand is None else w.t("monitor.by_hand", why=one.by_hand.why)
    return w.t(f"monitor.because_{one.code}") + chosen


def _open(story: Story, found: Monitoring) -> Table | None:
    """The findings that ask for something."""
    w = story.words
    # Groups of inputs have a chart of their own.
    asked = [
        one
        for one in found.findings
        if one.severity != "fine" and not one.subject.startswith("group:")
    ]
    if not asked:
        return None
    rows: list[list[str | Cell]] = [
        [
            Cell(w.t(f"monitor.severity_{one.severity}"), float(one.severity == "act")),
            Cell(
                w.t("tip", what=w.t(f"monitor.area_{one.area}"), value=one.subject),
                note=one.words if w.language == "en" else "",
            ),
            _measure(story, one),
            _figure(story, one, one.value),
            "" if one.area == "breaks" else _figure(story, one, one.limit),
            one.remedy if w.language == "en" else w.t(f"monitor.see_{one.area}"),
        ]
        for one in asked[:_MOST]
    ]
    headers = [w.t("monitor.severity"), w.t("monitor.what"), w.t("measure_word"),
               w.t("value_word"), w.t("monitor.limit"), w.t("monitor.to_do")]  # fmt: skip
    note = "" if len(asked) <= _MOST else w.t("monitor.more", n=len(asked) - _MOST)
    return Table(headers, rows, w.t("monitor.open"), note, frozenset({1, 2, 5}))


def _measure(story: Story, one: Finding) -> str:
    """A measure's name; one that the texts do not know is shown as it is."""
    name = story.words.name("monitor_measure", one.measure)
    return one.measure.replace("_", " ") if name == one.measure else name


def _figure(story: Story, one: Finding, value: float) -> str:
    w = story.words
    if not math.isfinite(value):
        return ""
    if one.measure in _SHARES:
        return w.percent(value, 1)
    if one.measure in _SIGNED:
        return w.signed(value, "share")
    if one.measure in _MONEY:
        return w.money(value)
    if value == int(value) or abs(value) >= 100:
        return w.count(value)
    return w.number(value, 3 if one.measure.endswith(("auc", "brier")) else 2)


def _cohorts(story: Story, found: Monitoring) -> Figure | None:
    """The share who left against the one foretold, list by list."""
    w = story.words
    if found.lookback is None or found.lookback.cohorts.empty:
        return None
    table = found.lookback.cohorts
    table = table[(table["kind"] == "churn") & table["judged"].astype(bool)]
    parts = {
        name: table[table["measure"] == name].drop_duplicates("as_of", keep="last")
        for name in ("churn_rate", "mean_p", "calibration_gap")
    }
    came = parts["churn_rate"].sort_values("as_of")
    if came.empty:
        return None
    told, gap = parts["mean_p"].set_index("as_of"), parts["calibration_gap"].set_index("as_of")
    expected, actual = w.t("expected"), w.t("actual")
    rows: list[dict[str, Any]] = []
    listed = []
    inside = 0
    for row in came.to_dict("records"):
        day = w.date(pd.Timestamp(row["as_of"]).date())
        foretold = float(told.loc[row["as_of"], "value"])
        between = w.between(row["low"], row["high"], "share")
        off = gap.loc[row["as_of"]]
        inside += bool(off["low"] <= 0 <= off["high"])
        tip = w.t("monitor.cohort_tip", day=day, told=w.percent(foretold, 1),
                  came=w.percent(row["value"], 1), between=between)  # fmt: skip
        rows.append({"x": day, "y": _plain(foretold), "s": expected, "tip": tip})
        rows.append(
            {"x": day, "y": _plain(row["value"]), "low": _plain(row["low"]),
             "high": _plain(row["high"]), "s": actual, "tip": tip}
        )  # fmt: skip
        listed.append([day, w.percent(foretold, 1), w.percent(row["value"], 1), between,
                       w.count(row["n"])])  # fmt: skip
    palette = {expected: "var(--soft)", actual: ACCENT}
    title = w.t("monitor.cohort_title", n=inside, of=len(came))
    headers = [w.t("monitor.list"), expected, actual, w.t("interval"), w.t("customers")]
    return Figure(
        "monitor_cohorts", title, w.t("monitor.cohort_note"), title,
        lines(w, rows, "share", palette, zero=False, points=True), Table(headers, listed),
        [(colour, name) for name, colour in palette.items()],
    )  # fmt: skip


def _early(story: Story, found: Monitoring) -> Figure | None:
    """Who of the newest list that tells something is back, against who should be."""
    w = story.words
    if found.lookback is None or found.lookback.early.empty:
        return None
    table = found.lookback.early
    # The newest list of which two weeks are over, or else the one that is furthest.
    ends = table.sort_values("day").drop_duplicates("list_id", keep="last")
    told = ends[ends["day"] >= _TWO_WEEKS]
    last = (told.sort_values("as_of", kind="stable") if len(told) else ends).iloc[-1]
    days = table[table["list_id"] == last["list_id"]].sort_values("day")
    expected, actual = w.t("expected"), w.t("actual")
    rows: list[dict[str, Any]] = []
    listed = []
    for row in days.to_dict("records"):
        between = w.between(row["low"], row["high"], "share")
        tip = w.t("monitor.early_tip", day=w.count(row["day"]), came=w.percent(row["observed"], 1),
                  told=w.percent(row["expected"], 1), between=between)  # fmt: skip
        x = int(row["day"])
        rows.append({"x": x, "y": _plain(row["expected"]), "low": _plain(row["low"]),
                     "high": _plain(row["high"]), "s": expected, "tip": tip})  # fmt: skip
        rows.append({"x": x, "y": _plain(row["observed"]), "s": actual, "tip": tip})
        listed.append([w.count(x), w.percent(row["observed"], 1), w.percent(row["expected"], 1),
                       between])  # fmt: skip
    inside = last["low"] <= last["observed"] <= last["high"]
    key = "early_inside" if inside else "early_fewer"
    if not inside and last["observed"] > last["expected"]:
        key = "early_more"
    title = w.t(f"monitor.{key}", came=w.percent(last["observed"], 1), days=w.count(last["day"]),
                told=w.percent(last["expected"], 1))  # fmt: skip
    palette = {expected: "var(--soft)", actual: ACCENT}
    note = w.t("monitor.early_note", day=w.date(pd.Timestamp(last["as_of"]).date()),
               n=w.count(last["n"]))  # fmt: skip
    thin = listed[:: max(1, len(listed) // 15)]
    return Figure(
        "monitor_early", title, note, title,
        lines(w, rows, "share", palette, numeric=True, title=w.t("monitor.early_axis")),
        Table([w.t("unit.days"), actual, expected, w.t("interval")], thin),
        [(colour, name) for name, colour in palette.items()],
    )  # fmt: skip


def _drift(story: Story, found: Monitoring) -> Figure | None:
    """How far each group of inputs has moved, by its column that moved most."""
    w = story.words
    tables = [each.table for each in found.drift.values() if len(each.table)]
    if not tables:
        return None
    table = pd.concat(tables, ignore_index=True)
    judged = ~table["verdict"].isin(["exempt", "unknown"]) & (table["reason_group"] != "")
    table = table[judged & (table["of"] == "input")]
    if table.empty:
        return None
    # What has not moved is as in training, as a year ago, or as on the day of the training: the
    # least of the three says so.
    ways = ["psi", "psi_year_ago", "psi_training_day"]
    has_moved = table["verdict"].isin(["watch", "act"])
    table = table.assign(least=table["psi"].where(has_moved, table[ways].min(axis=1)))
    order = table.sort_values(["least", "column"], ascending=[False, True], kind="stable")
    most = order.drop_duplicates("reason_group")
    moved = set(table.loc[has_moved, "reason_group"])
    rows, listed = [], []
    for row in most.to_dict("records"):
        name = w.name("monitor_group", str(row["reason_group"]))
        text = w.number(row["least"], 2)
        tip = w.t("monitor.drift_tip", name=name, column=row["column"], psi=text)
        rows.append({"x": name, "y": _plain(row["least"]), "text": text, "tip": tip,
                     "lead": row["reason_group"] in moved})  # fmt: skip
        values = (w.number(row[way], 2) if math.isfinite(row[way]) else "" for way in ways)
        listed.append([name, str(row["column"]), *values])
    title = w.t("monitor.drift_moved" if moved else "monitor.drift_still", n=len(moved),
                of=len(most))  # fmt: skip
    headers = [w.t("monitor.group"), w.t("monitor.column"), w.t("monitor.psi"),
               w.t("monitor.psi_year"), w.t("monitor.psi_day")]  # fmt: skip
    return Figure(
        "monitor_drift", title, w.t("monitor.drift_note", limit=w.number(WATCH, 2)), title,
        ranked(w, rows, "ratio", rule=WATCH), Table(headers, listed, texts=frozenset({1})),
    )  # fmt: skip


def _plain(value: float) -> float:
    return float(f"{value:.6g}")
