"""Remarks: what customers wrote in tickets and survey comments, with sentiment and topic.

Both come from the table's own columns where it has them, else from the text. Texts are read once
each, and no more than `MOST_TEXTS` different ones of a table: those whose MD5 comes first, which is
a sample that chance could have drawn, and the same one every time.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import ibis
import numpy as np
import pandas as pd
import pyarrow as pa

from features.measures.survey_answers import NPS_TOP, STEPS, csat_answers
from features.text import SENTIMENT_LANGUAGES, languages, sentiments
from features.topics import FEWEST_TEXTS, OTHER, find_topics

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from features.measures.segments import Question

__all__ = ["MOST_LABELS", "MOST_TEXTS", "SOURCES", "Remarks", "remarks"]

SOURCES = ("tickets", "comments")

MOST_TEXTS = 20_000
"""Different texts of a table that are read."""

MOST_LABELS = 20
"""Topics of a column that are kept apart; rarer ones are `OTHER`."""

_STEPS = 1_000
_COMMON = 0.05


@dataclass(frozen=True)
class Remarks:
    """What was written, as far as it is known.

    Attributes:
        table: One row a remark: customer_id, timestamp, source (of `SOURCES`), topic (text, missing
            where unknown) and mood (sentiment in thousandths, -1000 to 1000, missing where
            unknown).
        sources: Which sources have remarks at all.
        main: The source whose topics are named without it: the tickets, or the comments where
            tickets have no topics.
        notes: Where sentiment and topics come from, and what was left out.
    """

    table: ir.Table
    sources: tuple[str, ...]
    main: str
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Read:
    """Texts that were read: text, topic and mood (NaN where there is no model)."""

    frame: pd.DataFrame
    notes: tuple[str, ...]


def remarks(asked: Question) -> Remarks:
    """Gather the remarks of a ledger; they are held in the engine while the question is."""
    parts, notes = [], []
    for source, made in zip(SOURCES, (_tickets(asked), _comments(asked)), strict=True):
        if made is None:
            continue
        table, told = made
        parts.append(
            table.select(
                "customer_id",
                timestamp=table.timestamp.cast("timestamp"),
                source=ibis.literal(source),
                topic=table.topic.cast("string"),
                mood=table.mood.cast("int64"),
            )
        )
        notes += told
    if not parts:
        return Remarks(_nothing(), (), SOURCES[0], ())
    table = asked.held("remarks", lambda: ibis.union(*parts) if len(parts) > 1 else parts[0])
    told = table.group_by("source").agg(topics=table.topic.count()).to_pyarrow().to_pylist()
    topics = {row["source"]: row["topics"] for row in told}
    sources = tuple(name for name in SOURCES if name in topics)
    main = next((name for name in sources if topics[name]), SOURCES[0])
    return Remarks(table, sources, main, tuple(notes))


def _nothing() -> ir.Table:
    text, time, whole = pa.string(), pa.timestamp("us"), pa.int64()
    columns = {"customer_id": text, "timestamp": time, "source": text, "topic": text, "mood": whole}
    return ibis.memtable(pa.schema(columns).empty_table())


def _tickets(asked: Question) -> tuple[ir.Table, list[str]] | None:
    rows = asked.ledger.tables.get("tickets")
    if rows is None:
        return None
    has_topic, has_mood = (_has(rows, name) for name in ("topic", "sentiment"))
    text = rows.text if "text" in rows.columns else ibis.null("string")
    rows = rows.select(
        "customer_id",
        timestamp=rows.opened_at,
        words=_plain(text),
        label=_plain(rows.topic) if has_topic else ibis.null("string"),
        felt=rows.sentiment if has_mood else ibis.null("float64"),
    )
    notes = [
        f"Tickets: {name} is that of the column {column}."
        for name, column, has in (
            ("topic", "topic", has_topic),
            ("sentiment", "sentiment", has_mood),
        )
        if has
    ]
    mood = (rows.felt.clip(-1.0, 1.0) * _STEPS).round()
    if has_topic:
        named = rows.filter(rows.label != "").group_by("label").agg(n=ibis._.count())
        most = named.order_by(ibis.desc("n"), "label").limit(MOST_LABELS)  # of equals by name
        kept = most.to_pyarrow().to_pydict()["label"]
        label = rows.label.isin(kept).ifelse(rows.label, OTHER)
        rows = rows.mutate(label=(rows.label == "").ifelse(ibis.null("string"), label))
    if (has_topic and has_mood) or "text" not in asked.ledger.tables["tickets"].columns:
        return rows.select("customer_id", "timestamp", topic=rows.label, mood=mood), notes
    read = _read(rows, "Tickets", mood=not has_mood, topic=not has_topic)
    joined = _with_read(rows, read.frame)
    table = joined.select(
        "customer_id",
        "timestamp",
        topic=joined.label if has_topic else joined.read_topic,
        mood=(joined.felt.clip(-1.0, 1.0) * _STEPS).round() if has_mood else joined.read_mood,
    )
    return table, [*notes, *read.notes]


def _comments(asked: Question) -> tuple[ir.Table, list[str]] | None:
    surveys = asked.ledger.tables.get("surveys")
    if surveys is None or not _has(surveys, "comment"):
        return None
    index = csat_answers(surveys).rename(who="customer_id", at="timestamp")
    both = surveys.left_join(
        index,
        [
            surveys.customer_id == index.who,
            surveys.timestamp == index["at"],
            surveys.kind == "csat",
        ],
    )
    share = (both.kind == "nps").ifelse(both.score / NPS_TOP, both["index"] / STEPS)
    rows = both.select(
        "customer_id",
        "timestamp",
        words=_plain(both.comment),
        own=((2 * share.clip(0.0, 1.0) - 1) * _STEPS).round(),
    )
    rows = rows.filter(rows.words != "")
    read = _read(rows, "Comments", mood=True, topic=True)
    joined = _with_read(rows, read.frame)
    # A text that was read but has no model takes the score; one that was not read has nothing.
    mood = joined.read_mood.fill_null(joined.own)
    table = joined.select(
        "customer_id",
        "timestamp",
        topic=joined.read_topic,
        mood=joined.read_words.isnull().ifelse(ibis.null("float64"), mood),  # noqa: PD003
    )
    unserved = read.frame["mood"].isna()
    notes = list(read.notes)
    if unserved.any():
        notes.append(
            f"Comments: of {len(unserved):,} different ones {int(unserved.sum()):,} are in a "
            "language without a model of sentiment; the score of the answer stands in."
        )
    return table, notes


def _has(rows: ir.Table, column: str) -> bool:
    if column not in rows.columns:
        return False
    return bool(rows[column].count().to_pyarrow().as_py())


def _plain(text: ir.StringValue) -> ir.StringValue:
    return text.fill_null("").strip()


def _read(rows: ir.Table, name: str, mood: bool, topic: bool) -> _Read:
    """Read the different texts of rows, in the column words."""
    texts = rows.filter(rows.words != "").select("words").distinct()
    count = int(texts.count().to_pyarrow().as_py())
    ordered = texts.order_by(texts.words.hexdigest("md5"), texts.words).limit(MOST_TEXTS)
    words = sorted(ordered.to_pyarrow().to_pydict()["words"])
    notes = []
    if count > MOST_TEXTS:
        notes.append(
            f"{name}: {MOST_TEXTS:,} of {count:,} different texts were read, chosen as by chance."
        )
    language = languages(words)
    moods = sentiments(words, language) if mood else np.full(len(words), np.nan)
    served = np.isin(language, SENTIMENT_LANGUAGES)
    if mood:
        shares = ", ".join(
            f"{code or 'none'} {n:,}" for code, n in Counter(language).most_common(6)
        )
        notes.append(f"{name}: sentiment is read from the text (languages: {shares}).")
        if name == "Tickets" and not served.all():
            notes.append(
                f"{name}: {int((~served).sum()):,} different texts are in a language without a "
                "model of sentiment: left out of it."
            )
    labels = np.full(len(words), None, dtype=object)
    if topic:
        for code in sorted(set(language)):
            own = np.flatnonzero(language == code)
            # Short texts may be taken for a language close to their own; that one is rare.
            common = len(own) >= _COMMON * len(words)
            found = find_topics([words[i] for i in own.tolist()], str(code)) if common else None
            labels[own] = found.labels() if found else OTHER
            if found:
                notes.append(
                    f"{name}: {len(found.names)} topics were found in {len(own):,} texts in "
                    f"{code} (stability {found.stability:.2f})."
                )
        if (labels == OTHER).all():
            notes.append(
                f"{name}: no topics were found: that takes {FEWEST_TEXTS} different texts in one "
                "language."
            )
            labels[:] = None
    frame = pd.DataFrame({"words": words, "topic": labels, "mood": np.round(moods * _STEPS)})
    return _Read(frame.astype({"words": "str", "topic": "str", "mood": float}), tuple(notes))


def _with_read(rows: ir.Table, frame: pd.DataFrame) -> ir.Table:
    names = {name: f"read_{name}" for name in frame.columns}
    held = ibis.memtable(pa.Table.from_pandas(frame.rename(columns=names), preserve_index=False))
    return rows.left_join(held, rows.words == held.read_words)
