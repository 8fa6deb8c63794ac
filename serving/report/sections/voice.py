"""The voice of the customer: NPS, CSAT, tickets and what they are about."""

from __future__ import annotations

import pandas as pd

from serving.report.blocks import Block, Cell, Figure, Section, Table
from serving.report.figures import interval_figure, ranked_figure, time_figure
from serving.report.story import Story

__all__ = ["voice"]

_GROUPS = ("promoter", "passive", "detractor")
_LATER = (
    "nps_later_purchase_difference", "nps_later_purchase_difference_adjusted",
    "csat_later_purchase_difference", "csat_later_purchase_difference_adjusted",
)  # fmt: skip
_TOPICS = 8
_LAST = 13
"""Periods of a score: more of the ragged line says nothing more."""


def voice(story: Story) -> Section:
    """What customers say, and whether they do as they say."""
    w = story.words
    found: list[Block | None] = [
        _scores(story, "nps", w.t("voice.nps_note"), rule=0.0),
        _scores(story, "csat", w.t("voice.csat_note")),
        _later(story),
        _topics(story),
        _topic_churn(story),
        time_figure(
            story, "tickets", ["tickets"], w.t("voice.tickets_title"), w.t("voice.tickets_note")
        ),
        _service(story),
    ]
    blocks = [block for block in found if block is not None]
    return Section(
        "voice", w.t("voice.title"), w.t("voice.lead"), blocks,
        story.lacking("nps", "csat", "survey_response_rate", "tickets", "topic_share",
                      "topic_churn_difference", "sentiment"),
    )  # fmt: skip


def _scores(story: Story, measure: str, note: str, *, rule: float | None = None) -> Figure | None:
    w = story.words
    rows = story.long.series(measure)
    if rows.empty:
        return None
    overall = story.long.rows(measure)
    overall = overall[(overall["segment"] == "all") & (overall["period"] == "all")]
    row = overall.iloc[0] if len(overall) else rows.iloc[-1]
    title = w.t(
        "voice.score_title", name=story.title(measure), value=story.said(row), n=w.count(row["n"])
    )
    answered = story.long.value("survey_response_rate")
    if answered == answered:
        note = f"{note} {w.t('voice.response', share=w.percent(answered))}"
    return time_figure(story, measure, [measure], title, note, zero=False, rule=rule, last=_LAST)


def _later(story: Story) -> Figure | None:
    w = story.words
    found = story.long.by("nps_later_purchase_rate", "group")
    found = found[found["group"].isin(_GROUPS)]
    if found.empty:
        return None
    found = found.set_index("group").reindex([g for g in _GROUPS if g in set(found["group"])])
    found = found.reset_index()
    rates = found.set_index("group")["value"]
    title = w.t("voice.later")
    if {"promoter", "detractor"} <= set(rates.index):
        title = w.t(
            "voice.later_title",
            low=w.percent(float(rates["detractor"])),
            high=w.percent(float(rates["promoter"])),
        )
    note = w.t("voice.later_note")
    adjusted = story.long.by("nps_later_purchase_difference_adjusted", "group")
    adjusted = adjusted[adjusted["group"] == "detractor"]
    if len(adjusted):
        row = adjusted.iloc[0]
        between = w.t(
            "range", low=w.signed(row["low"], "share"), high=w.signed(row["high"], "share")
        )
        value = w.signed(row["value"], "share")
        note = f"{note} {w.t('voice.adjusted', value=value, between=between)}"
    names = [w.name("group", str(group)) for group in found["group"]]
    return ranked_figure(story, "later", found, "group", title, note, names=names)


def _plain_topics(story: Story, measure: str) -> pd.DataFrame:
    found = story.long.by(measure, "topic")
    return found.sort_values("value", ascending=False, kind="stable")


def _topics(story: Story) -> Figure | None:
    w = story.words
    found = _plain_topics(story, "topic_share").head(_TOPICS)
    if found.empty:
        return None
    names = [w.name("topic", str(topic)) for topic in found["topic"]]
    title = w.t(
        "voice.topics_title", topic=names[0], share=w.percent(float(found["value"].iloc[0]))
    )
    return ranked_figure(
        story, "topics", found, "topic", title, w.t("voice.topics_note"), names=names
    )


def _topic_churn(story: Story) -> Figure | None:
    w = story.words
    found = _plain_topics(story, "topic_churn_difference_adjusted")
    adjusted = bool(len(found))
    if not adjusted:
        found = _plain_topics(story, "topic_churn_difference")
    if found.empty:
        return None
    found = found.head(_TOPICS)
    names = [w.name("topic", str(topic)) for topic in found["topic"]]
    clear = [name for name, low in zip(names, found["low"], strict=True) if low > 0]
    title = w.t("voice.churn_title", topics=w.join(clear[:3])) if clear else w.t("voice.churn_none")
    note = w.t("voice.churn_adjusted" if adjusted else "voice.churn_raw")
    return interval_figure(story, "topic_churn", found, names, title, note)


def _service(story: Story) -> Table | None:
    w = story.words
    rows: list[list[str | Cell]] = []
    for name in ("survey_response_rate", "csi", "ticket_rate", "resolution_hours",
                 "resolved_share", "sentiment", "sentiment_negative"):  # fmt: skip
        found = story.long.rows(name)
        found = found[(found["segment"] == "all") & (found["period"] == "all")]
        if len(found):
            rows.append([story.title(name), *story.cells(found.iloc[0])])
    if not rows:
        return None
    headers = [w.t("measure_word"), w.t("value_word"), w.t("interval"), w.t("answers")]
    return Table(headers, rows, w.t("voice.service"), w.t("voice.service_note"), wide=False)
