"""Voice: what a customer says in surveys, and the trouble that brought them to the support."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from typing import TYPE_CHECKING

import ibis

from features.expressions import at_least, at_most, days_before, ratio, unknown, when, within
from features.feature import Feature
from features.known_tables import (
    counted_from,
    has_source,
    smoothed,
    source_flag,
)
from features.window import ObservationWindow

if TYPE_CHECKING:
    import ibis.expr.types as ir

__all__ = ["FEATURES", "survey_features", "survey_sums", "ticket_features", "ticket_sums"]

_SCALES = (1, 5, 7, 10, 100)
_MILLION = 1_000_000
_SURVEY = ("surveys.timestamp", "surveys.kind", "surveys.score")
_TICKET = ("tickets.opened_at",)

SURVEY_FEATURES: tuple[Feature, ...] = (
    Feature(
        "last_nps",
        "the last answer to how likely one is to recommend the shop, 0 to 10 (scaled by "
        "scale_max); undefined without an answer",
        "all",
        "US",
        -1,
        "satisfaction",
        minimum=0,
        maximum=10,
        sources=_SURVEY,
    ),
    Feature(
        "nps_group",
        "promoter (last_nps of 9 or more), detractor (6 or less) or passive; undefined "
        "without an answer",
        "all",
        "US",
        0,
        "satisfaction",
        sources=_SURVEY,
        core=False,
        kind="category",
    ),
    Feature(
        "days_since_nps",
        "cutoff - day of the last such answer; undefined without one",
        "all",
        "US",
        0,
        "satisfaction",
        minimum=1,
        sources=_SURVEY,
        core=False,
    ),
    Feature(
        "nps_delta",
        "last_nps - the answer before it; undefined below 2 answers",
        "all",
        "US",
        -1,
        "satisfaction",
        minimum=-10,
        maximum=10,
        sources=_SURVEY,
        core=False,
    ),
    Feature(
        "has_nps",
        "1 when the customer has ever given such an answer, else 0; missing where no survey "
        "has been answered by anybody",
        "all",
        "ZCS",
        -1,
        "satisfaction",
        minimum=0,
        maximum=1,
        sources=_SURVEY,
        core=False,
    ),
    Feature(
        "csat_mean_365",
        "mean satisfaction in surveys as a share of the scale's top; without a scale_max the "
        "scale is the smallest of 1, 5, 7, 10 and 100 that holds all such answers known at the "
        "cutoff; undefined without an answer",
        "365",
        "US",
        -1,
        "satisfaction",
        minimum=0,
        maximum=1,
        sources=_SURVEY,
    ),
    Feature(
        "csat_answers_365",
        "answers about satisfaction in the last 365 days",
        "365",
        "ZCS",
        0,
        "satisfaction",
        minimum=0,
        sources=_SURVEY,
        core=False,
    ),
    source_flag("surveys"),
)
"""What surveys say."""

TICKET_FEATURES: tuple[Feature, ...] = (
    *(
        Feature(
            f"tickets_{days}",
            f"tickets opened in the last {days} days",
            str(days),
            "ZCS",
            0,
            "service",
            minimum=0,
            sources=_TICKET,
        )
        for days in (30, 90)
    ),
    Feature(
        "open_tickets",
        "tickets opened and not resolved before the cutoff; missing where no ticket has been "
        "opened by anybody",
        "all",
        "ZCS",
        1,
        "service",
        minimum=0,
        sources=(*_TICKET, "tickets.resolved_at"),
    ),
    Feature(
        "median_resolve_h_365",
        "median hours from opening to resolving, of the tickets resolved in the last 365 days; "
        "undefined without one",
        "365",
        "US",
        1,
        "service",
        minimum=0,
        sources=(*_TICKET, "tickets.resolved_at"),
        core=False,
    ),
    Feature(
        "neg_sentiment_share_180",
        "(tickets with a sentiment below 0 + 1) / (tickets with a sentiment + 2), of those "
        "opened in the last 180 days; undefined without one",
        "180",
        "US",
        1,
        "service",
        minimum=0,
        maximum=1,
        sources=(*_TICKET, "tickets.sentiment"),
    ),
    source_flag("tickets", "opened_at"),
)
"""What tickets say."""

FEATURES: tuple[Feature, ...] = (*SURVEY_FEATURES, *TICKET_FEATURES)
"""What surveys and tickets say."""


def survey_sums(
    rows: ir.Table, window: ObservationWindow, everybody: ir.Table | None = None
) -> tuple[ir.Table, ...]:
    """What is taken from a customer's answers.

    Args:
        rows: The standard table, as `features.known_tables.known_tables` gives it.
        window: What is observed.
        everybody: The table of all customers, where the rows are those of some: the scale of
            answers whose top is not said is seen from all of them.

    Returns:
        Tables for `features.known_tables.beside`.
    """
    answers = _nps_answers(rows)
    latest = answers.group_by(owner=answers.customer_id).agg(
        nps=answers.nps.max(where=answers.place == 0),
        nps_day=answers.timestamp.max().date(),
        nps_before=answers.nps.max(where=answers.place == 1),
    )
    asked = _csat_answers(rows, window, rows if everybody is None else everybody)
    satisfied = asked.group_by(owner=asked.customer_id).agg(
        csat_total=asked.millionths.sum(), csat_answers=asked.count()
    )
    starts = rows.agg(
        begun=rows.timestamp.min().date(),
        nps_begun=rows.timestamp.min(where=rows.kind == "nps").date(),
        csat_begun=rows.timestamp.min(where=rows.kind == "csat").date(),
    )
    return latest, satisfied, starts


def survey_features(c: Mapping[str, ir.Value], window: ObservationWindow) -> dict[str, ir.Value]:
    """Features of surveys from the sums; `nps_group` is text."""
    return {
        "last_nps": c["nps"],
        "nps_group": ibis.cases(
            (c["nps"].isnull(), ibis.null("string")),
            (c["nps"] >= 9, "promoter"),
            (c["nps"] <= 6, "detractor"),
            else_="passive",
        ),
        "days_since_nps": days_before(c["nps_day"], window),
        "nps_delta": c["nps"] - c["nps_before"],
        "has_nps": when(c["nps_begun"].notnull(), c["nps"].notnull()),
        "csat_mean_365": ratio(c["csat_total"], c["csat_answers"]) / float(_MILLION),
        "csat_answers_365": counted_from(c["csat_answers"], c["csat_begun"], window, 365),
        "has_surveys": has_source(c["begun"]),
    }


def _nps_answers(rows: ir.Table) -> ir.Table:
    """One row a customer and moment of an answer, on 0 to 10, with its place from the last."""
    nps = rows.filter(rows.kind == "nps")
    score = nps.score
    if "scale_max" in rows.columns:
        score = score * 10.0 / (nps.scale_max > 0).ifelse(nps.scale_max, 10.0)
    # Of two answers at one moment the worse counts, so that no order of rows matters.
    answers = nps.group_by("customer_id", "timestamp").agg(
        nps=at_most(at_least(score, 0.0), 10.0).min()
    )
    latest = ibis.window(group_by="customer_id", order_by=ibis.desc("timestamp"))
    return answers.mutate(place=ibis.row_number().over(latest))


def _csat_answers(rows: ir.Table, window: ObservationWindow, everybody: ir.Table) -> ir.Table:
    """Answers about satisfaction of the last 365 days, in millionths of the scale's top."""
    csat, others = _scored(rows), _scored(everybody)
    highest = others.agg(highest=others.score.max(where=others["top"].isnull()))
    scale = reduce(
        lambda larger, top: (highest.highest <= top).ifelse(float(top), larger),
        reversed(_SCALES[:-1]),
        ibis.literal(float(_SCALES[-1])),
    )
    csat = csat.filter(within(csat.timestamp.date(), window, 365))
    csat = csat.cross_join(highest.select(scale=scale))
    part = csat.score / csat["top"].fill_null(csat["scale"])
    part = at_most(at_least(part, 0.0), 1.0)
    return csat.select("customer_id", millionths=(part * _MILLION).round().cast("int64"))


def _scored(rows: ir.Table) -> ir.Table:
    """Answers about satisfaction, with the top of the scale where it is known."""
    csat = rows.filter(rows.kind == "csat")
    given = csat.scale_max if "scale_max" in rows.columns else unknown()
    return csat.select(
        "customer_id", "timestamp", "score", top=(given > 0).ifelse(given, unknown())
    )


def ticket_sums(rows: ir.Table, window: ObservationWindow) -> tuple[ir.Table, ...]:
    """What is added up over a customer's tickets.

    Args:
        rows: The standard table, as `features.known_tables.known_tables` gives it, so that a
            ticket resolved after the cutoff is open.
        window: What is observed.

    Returns:
        Tables for `features.known_tables.beside`.
    """
    day = rows.opened_at.date()
    sums: dict[str, ir.Value] = {
        f"tickets_{days}": rows.count(where=within(day, window, days)) for days in (30, 90)
    }
    if "resolved_at" in rows.columns:
        minutes = rows.resolved_at.delta(rows.opened_at, unit="minute")
        lasted = within(rows.resolved_at.date(), window, 365) & (minutes >= 0)
        sums["unresolved"] = rows.count(where=rows.resolved_at.isnull())
        sums["minutes"] = minutes.median(where=lasted)
    if "sentiment" in rows.columns:
        half = within(day, window, 180)
        sums["negative"] = rows.count(where=half & (rows.sentiment < 0))
        sums["felt"] = rows.count(where=half & rows.sentiment.notnull())
    return rows.group_by(owner=rows.customer_id).agg(**sums), rows.agg(begun=day.min())


def ticket_features(c: Mapping[str, ir.Value], window: ObservationWindow) -> dict[str, ir.Value]:
    """Features of tickets from the sums; those whose column is not there are left out."""
    features: dict[str, ir.Value] = {
        f"tickets_{days}": counted_from(c[f"tickets_{days}"], c["begun"], window, days)
        for days in (30, 90)
    }
    if "unresolved" in c:
        features["open_tickets"] = when(c["begun"].notnull(), c["unresolved"].fill_null(0))
        features["median_resolve_h_365"] = c["minutes"].cast("float64") / 60.0
    if "felt" in c:
        features["neg_sentiment_share_180"] = smoothed(c["negative"], c["felt"])
    return {**features, "has_tickets": has_source(c["begun"])}
