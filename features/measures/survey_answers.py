"""Survey answers: which make a net promoter score, who is satisfied, and who was asked."""

from __future__ import annotations

import datetime as dt
from functools import reduce
from typing import TYPE_CHECKING

import ibis

from features.expressions import at_least, at_most

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from features.measures.segments import Question

__all__ = [
    "ANSWER_DAYS",
    "INVITATION",
    "NPS_TOP",
    "STEPS",
    "beyond_csat_scale",
    "csat_answers",
    "invitations",
    "nps_answers",
    "on_nps_scale",
]

NPS_TOP = 10
"""The net promoter score is defined on answers from 0 to 10, and on no other scale."""

ANSWER_DAYS = 14
"""An answer within so many days of an invitation is an answer to it."""

INVITATION = r"survey|nps|csat|feedback|questionnaire|umfrage|问卷|调查"
"""A contact whose campaign has one of these in its name (in any case) invites to a survey."""

_SCALES = (1, 5, 7, 10, 100)
STEPS = 100_000
"""What the top of a scale is in `csat_answers`."""


def nps_answers(surveys: ir.Table) -> ir.Table:
    """The answers that a net promoter score is made of.

    Args:
        surveys: The standard table.

    Returns:
        One row a customer and moment: customer_id, timestamp, score (0 to 10) and group
        ("promoter", "passive" or "detractor"). Answers on another scale are left out.
    """
    kept = surveys.filter(on_nps_scale(surveys))
    answers = kept.group_by("customer_id", "timestamp").agg(score=kept.score.min())
    group = ibis.cases(
        (answers.score >= 9, "promoter"), (answers.score <= 6, "detractor"), else_="passive"
    )
    return answers.mutate(group=group)


def on_nps_scale(surveys: ir.Table) -> ir.BooleanValue:
    """Whether a row of the standard table is an NPS answer from 0 to 10."""
    fits = (surveys.kind == "nps") & (surveys.score >= 0) & (surveys.score <= NPS_TOP)
    if "scale_max" in surveys.columns:
        fits = fits & (surveys.scale_max.fill_null(NPS_TOP) == NPS_TOP)
    return fits


def csat_answers(surveys: ir.Table) -> ir.Table:
    """The answers about satisfaction, whatever their scale.

    Args:
        surveys: The standard table. Without a scale_max the scale is the smallest of 1, 5, 7, 10
            and 100 that holds all such answers.

    Returns:
        One row a customer and moment: customer_id, timestamp, satisfied (bool) and index (0 to
        100,000, whole): see `csat` and `csi` in the catalogue. Scores beyond the scale count as
        its end.
    """
    csat = surveys.filter(surveys.kind == "csat")
    given = csat.scale_max if "scale_max" in csat.columns else ibis.null("float64")
    csat = csat.select("customer_id", "timestamp", "score", given=(given > 0).ifelse(given, None))
    unsaid = csat.filter(csat.given.isnull())
    highest = unsaid.agg(highest=unsaid.score.max()).highest.as_scalar()
    guessed = reduce(
        lambda larger, top: (highest <= top).ifelse(float(top), larger),
        reversed(_SCALES[:-1]),
        ibis.literal(float(_SCALES[-1])),
    )
    csat = csat.mutate(top=csat.given.fill_null(guessed))
    lowest = csat.group_by("top").agg(lowest=csat.score.min())
    plain = (lowest["top"] <= 1) | (lowest["top"] > NPS_TOP) | (lowest.lowest < 1)
    lowest = lowest.select(scale=lowest["top"], bottom=plain.ifelse(0.0, 1.0))
    csat = csat.join(lowest, csat["top"] == lowest.scale)
    score = at_most(at_least(csat.score, csat.bottom), csat["top"])
    from_ = ibis.cases(
        (csat["top"] <= 1, csat["top"]),
        (csat["top"] <= NPS_TOP, csat["top"] - 1),
        else_=csat["top"] * 0.8,
    )
    part = (score - csat.bottom) / (csat["top"] - csat.bottom)
    made = csat.select(
        "customer_id",
        "timestamp",
        satisfied=score >= from_,
        index=(part * STEPS).round().cast("int64"),
    )
    return made.group_by("customer_id", "timestamp").agg(
        satisfied=made.satisfied.min(), index=made["index"].min()
    )


def beyond_csat_scale(surveys: ir.Table) -> ir.BooleanValue:
    """Whether a row of the standard table is an answer about satisfaction beyond its scale."""
    beyond = surveys.score < 0
    if "scale_max" in surveys.columns:
        above = (surveys.scale_max > 0) & (surveys.score > surveys.scale_max)
        beyond = beyond | above.fill_null(False)
    return (surveys.kind == "csat") & beyond


def invitations(asked: Question) -> ir.Table | None:
    """The contacts that invite to a survey, None where nothing is known of them.

    Returns:
        customer_id, timestamp and answered (whether an answer of any kind came within
        `ANSWER_DAYS`). An answered invitation has two rows, the first with False.
    """
    contacts, surveys = (asked.ledger.tables.get(name) for name in ("contacts", "surveys"))
    if contacts is None or surveys is None:
        return None
    named = contacts.campaign.lower().re_search(INVITATION)
    closed = dt.datetime.combine(asked.end, dt.time()) - dt.timedelta(days=ANSWER_DAYS)
    sent = contacts.filter(named & (contacts.timestamp < closed))
    sent = sent.select("customer_id", "timestamp")
    answers = surveys.select(who="customer_id", at="timestamp")
    answered = sent.semi_join(
        answers,
        [
            sent.customer_id == answers.who,
            answers["at"] >= sent.timestamp,
            answers["at"] < sent.timestamp + ibis.interval(days=ANSWER_DAYS),
        ],
    )
    return ibis.union(sent.mutate(answered=False), answered.mutate(answered=True))
