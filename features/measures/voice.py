"""Voice of the customer: tickets, how long they take, and what remarks are about and sound like."""

from __future__ import annotations

import datetime as dt
import warnings
from typing import TYPE_CHECKING

import ibis
import numpy as np
import pandas as pd
from ibis import _

from features.measures.intervals import mean_interval, share_interval
from features.measures.periods import ALL
from features.measures.remarks import MOST_LABELS, MOST_TEXTS, Remarks, remarks
from features.measures.table import Found, Measure, Missing, gather, rows
from features.measures.topic_churn import MEASURES as CHURN_MEASURES
from features.measures.topic_churn import topic_churn

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from features.measures.segments import Question

__all__ = ["MEASURES", "voice"]

_TICKETS = ("tickets.opened_at",)
_RESOLVED = ("tickets.opened_at", "tickets.resolved_at")
_TEXTS = ("tickets.text", "surveys.comment")
_KAPLAN_MEIER = (
    'Kaplan & Meier 1958, "Nonparametric Estimation from Incomplete Observations"; a ticket that '
    "is not resolved counts as open at the end of the data, interval: complementary log-log"
)
_QUARTERS = {"resolution_hours_p25": 0.25, "resolution_hours": 0.5, "resolution_hours_p75": 0.75}
_PARTS_OF_HOUR = 10

MEASURES: tuple[Measure, ...] = (
    Measure("tickets", "count", "Tickets", "tickets opened", "", _TICKETS, "tickets"),
    Measure(
        "ticket_rate",
        "ratio",
        "Tickets per 100 purchases",
        "100 tickets opened / purchases of the period",
        "",
        (*_TICKETS, "transactions"),
        "purchases",
    ),
    *(
        Measure(
            name,
            "hours",
            f"Hours to resolve a ticket{title}",
            f"hours from opening within which {part} of the tickets opened in the period are "
            "resolved, to a tenth; none where fewer are by the end of the data",
            _KAPLAN_MEIER,
            _RESOLVED,
            "tickets",
        )
        for name, title, part in (
            ("resolution_hours", "", "half"),
            ("resolution_hours_p25", ": fastest quarter", "a quarter"),
            ("resolution_hours_p75", ": three quarters", "three quarters"),
        )
    ),
    Measure(
        "resolved_share",
        "share",
        "Resolved tickets",
        "tickets of the period that are resolved by the end of the data / tickets opened; recent "
        "ones have had less time",
        "interval: Wilson 1927",
        _RESOLVED,
        "tickets",
    ),
    Measure(
        "comments",
        "count",
        "Comments",
        "survey answers with words",
        "",
        ("surveys.comment",),
        "comments",
    ),
    Measure(
        "sentiment",
        "ratio",
        "Sentiment",
        "mean sentiment of what was written, from -1 (angry) to 1 (delighted): the column "
        "sentiment of the tickets, else read from the text (English by VADER, Chinese by a "
        "regression on labelled reviews), else the score of the survey from its lowest to its "
        f"top; at most {MOST_TEXTS:,} different texts of a table are read",
        'Hutto & Gilbert 2014, "VADER"; interval: Student\'s t',
        _TEXTS,
        "tickets and comments",
    ),
    Measure(
        "sentiment_negative",
        "share",
        "Negative remarks",
        "remarks with a sentiment below 0 / remarks with a sentiment",
        "interval: Wilson 1927",
        _TEXTS,
        "tickets and comments",
    ),
    Measure(
        "topic_share",
        "share",
        "Topics",
        "remarks about the topic / remarks of the same source whose topic is known: the column "
        f"topic of the tickets (the {MOST_LABELS} most frequent), else found in the text and named "
        "by its three weightiest words; source=comments where tickets have topics, too",
        "TF-IDF and non-negative matrix factorisation; interval: Wilson 1927",
        ("tickets.topic",),
        "tickets or comments",
    ),
    *CHURN_MEASURES,
)

_ROW = {row.name: row for row in MEASURES}
_TICKET_NAMES = ("tickets", "ticket_rate", *sorted(_QUARTERS), "resolved_share")


def voice(asked: Question) -> Found:
    """Volumes, resolution, sentiment, topics and what they go with."""
    parts = [_volumes(asked), _comments(asked)]
    written = remarks(asked)
    if not written.sources:
        names = (
            "sentiment",
            "sentiment_negative",
            "topic_share",
            *(r.name for r in CHURN_MEASURES),
        )
        why = "There are no tickets and no comments of surveys."
        return gather([*parts, Found(missing=(Missing(names, why),))])
    parts += [_moods(asked, written), _topics(asked, written), topic_churn(asked, written)]
    return gather([*parts, Found(notes=written.notes)])


def _volumes(asked: Question) -> Found:
    tickets = asked.ledger.tables.get("tickets")
    if tickets is None:
        return Found(missing=(Missing(_TICKET_NAMES, "There is no table of tickets."),))
    opened = asked.totals(tickets, day="opened_at", tickets=_.count())
    bought = asked.totals(asked.purchases, purchases=_.count())
    both = bought.merge(opened, on=["period", "segment"], how="outer")
    both = both.fillna({"tickets": 0, "purchases": 0}).astype({"tickets": "int64"})
    made = Found(
        pd.concat(
            [
                rows(_ROW["tickets"], both, "tickets"),
                rows(
                    _ROW["ticket_rate"],
                    both,
                    100 * both["tickets"] / both["purchases"].where(both["purchases"] > 0),
                    "purchases",
                ),
            ],
            ignore_index=True,
        )
    )
    if "resolved_at" not in tickets.columns:
        names = (*sorted(_QUARTERS), "resolved_share")
        return gather([made, Found(missing=(Missing(names, "Tickets have no resolved_at."),))])
    return gather([made, _resolution(asked, tickets)])


def _resolution(asked: Question, tickets: ir.Table) -> Found:
    last = tickets.agg(opened=tickets.opened_at.max(), resolved=tickets.resolved_at.max())
    seen = [time for time in last.to_pyarrow().to_pylist()[0].values() if time is not None]
    end = max([dt.datetime.combine(asked.end, dt.time()), *seen])
    until = tickets.resolved_at.fill_null(ibis.literal(end).cast("timestamp"))
    minutes = until.delta(tickets.opened_at, unit="minute")
    lasted = tickets.mutate(
        tenths=(minutes * _PARTS_OF_HOUR / 60).ceil().cast("int64"),
        done=tickets.resolved_at.notnull().cast("int64"),  # noqa: PD004 (of Ibis, not pandas)
    ).filter(minutes >= 0)
    counted = asked.totals(lasted, day="opened_at", by=("tenths", "done"), n=_.count())
    found = []
    for (period, segment), own in counted.groupby(["period", "segment"], sort=False):
        figures = {"period": period, "segment": segment, "n": own["n"].sum()}
        figures["done"] = (own["n"] * own["done"]).sum()
        found.append({**figures, **_quantiles(own)})
    frame = pd.DataFrame(found)
    if frame.empty:
        return Found()
    share, low, high = share_interval(frame["done"], frame["n"])
    parts = [
        rows(_ROW[name], frame, name, "n", f"{name}_low", f"{name}_high") for name in _QUARTERS
    ]
    parts.append(rows(_ROW["resolved_share"], frame, share, "n", low, high))
    return Found(pd.concat(parts, ignore_index=True))


def _quantiles(durations: pd.DataFrame) -> dict[str, float]:
    """Kaplan-Meier quantiles of tenths of hours, with intervals, in hours."""
    from statsmodels.duration.survfunc import SurvfuncRight

    found: dict[str, float] = {}
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # logarithms of the ends of the curve, 0 and 1
        # One entry a ticket: with weights, the library's standard errors are not of the curve.
        each = durations.loc[durations.index.repeat(durations["n"])]
        curve = SurvfuncRight(each["tenths"].to_numpy(), each["done"].to_numpy())
        for name, part in _QUARTERS.items():
            low, high = curve.quantile_ci(part) if len(curve.surv_times) else (np.nan, np.nan)
            value = curve.quantile(part) if len(curve.surv_times) else np.nan
            for key, tenths in ((name, value), (f"{name}_low", low), (f"{name}_high", high)):
                found[key] = float(tenths) / _PARTS_OF_HOUR if np.isfinite(tenths) else np.nan
    return found


def _comments(asked: Question) -> Found:
    surveys = asked.ledger.tables.get("surveys")
    if surveys is None or "comment" not in surveys.columns:
        why = "There is no table of surveys." if surveys is None else "Surveys have no comment."
        return Found(missing=(Missing(("comments",), why),))
    said = surveys.filter(surveys.comment.strip() != "")
    return Found(rows(_ROW["comments"], asked.totals(said, "timestamp", n=_.count()), "n"))


def _named(found: pd.DataFrame, *keys: str) -> pd.DataFrame:
    """Put columns into the segment, as in "topic=delivery"."""
    segment = found["segment"].where(found["segment"] != ALL, "")
    for key in keys:
        segment = segment + f"|{key}=" + found[key].str.replace("|", "/", regex=False)
    return found.assign(segment=segment.str.strip("|"))


def _moods(asked: Question, written: Remarks) -> Found:
    felt = written.table.filter(written.table.mood >= -1_000)
    sums = {
        "total": _.mood.sum(),
        "squares": (_.mood * _.mood).sum(),
        "negative": (_.mood < 0).sum(),
        "n": _.count(),
    }
    every = asked.totals(felt, "timestamp", **sums)
    if every.empty:
        why = (
            "No remark has a sentiment: it takes tickets.sentiment, or texts in English or Chinese."
        )
        return Found(missing=(Missing(("sentiment", "sentiment_negative"), why),))
    source = asked.totals(felt, "timestamp", by=("source",), **sums)
    about = asked.totals(felt.filter(felt.topic != ""), None, by=("source", "topic"), **sums)
    parts = [every, _named(source, "source")]
    if len(about):
        parts.append(_by_topic(about, written.main))
    found = pd.concat(parts, ignore_index=True)
    mean, low, high = mean_interval(found["total"] / 1e3, found["squares"] / 1e6, found["n"])
    made = [rows(_ROW["sentiment"], found, mean, "n", np.maximum(low, -1), np.minimum(high, 1))]
    share, low, high = share_interval(found["negative"], found["n"])
    made.append(rows(_ROW["sentiment_negative"], found, share, "n", low, high))
    return Found(pd.concat(made, ignore_index=True))


def _by_topic(found: pd.DataFrame, main: str) -> pd.DataFrame:
    """Segments "topic=..." for the main source, "source=...|topic=..." for the other."""
    own = found["source"] == main
    return pd.concat(
        [_named(found[own], "topic"), _named(found[~own], "source", "topic")], ignore_index=True
    )


def _topics(asked: Question, written: Remarks) -> Found:
    known = written.table.filter(written.table.topic != "")
    found = asked.totals(known, "timestamp", by=("source", "topic"), n=_.count())
    if found.empty:
        why = "No topics: that takes tickets.topic, or enough texts in one language."
        return Found(missing=(Missing(("topic_share",), why),))
    whole = found.groupby(["period", "segment", "source"])["n"].transform("sum")
    found = _by_topic(found.assign(whole=whole), written.main)
    share, low, high = share_interval(found["n"], found["whole"])
    return Found(rows(_ROW["topic_share"], found, share, "whole", low, high))
