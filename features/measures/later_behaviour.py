"""Later behaviour: do those who say that they are unhappy in fact buy less afterwards?

Each answer is followed for the churn horizon from the day after it; answers whose horizon is not
over are left out. All answers of a customer count, and intervals know that they are one customer's.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

import ibis
import numpy as np
import pandas as pd

from features.measures.association import STRATA, difference, group_means, with_past_and_future
from features.measures.periods import ALL
from features.measures.survey_answers import (
    ANSWER_DAYS,
    csat_answers,
    invitations,
    nps_answers,
)
from features.measures.table import Found, Measure, Missing, gather, rows, segment

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from features.measures.segments import Question

__all__ = ["GROUPS", "MEASURES", "later_behaviour"]

GROUPS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "nps": ("promoter", "passive", "detractor"),
        "csat": ("satisfied", "unsatisfied"),
        "survey": ("answered", "silent"),
    }
)
"""The groups of each question; the others are compared with the first."""

_WHOSE = {
    "nps": "answers of promoters, passives and detractors",
    "csat": "answers of satisfied and unsatisfied customers",
    "survey": f"invitations that were answered within {ANSWER_DAYS} days, and that were not",
}
_FROM = {
    "nps": "from the day after the answer",
    "csat": "from the day after the answer",
    "survey": f"from {ANSWER_DAYS + 1} days after the invitation",
}
_NEEDS = {
    "nps": ("surveys.kind", "surveys.score"),
    "csat": ("surveys.kind", "surveys.score"),
    "survey": ("surveys.score", "contacts.campaign"),
}
_COUNTED = {"nps": "answers", "csat": "answers", "survey": "invitations"}
_CLUSTERED = "intervals by customer: Binder 1983"
_OUTCOMES = {
    "purchase": ("bought", "share", "those followed by a purchase / all"),
    "spend": ("spend", "money", "mean of the net purchases that followed"),
}


def _measures() -> tuple[Measure, ...]:
    made = []
    for about, (first, *others) in GROUPS.items():
        for what, (_column, unit, formula) in _OUTCOMES.items():
            name = f"{about}_later_{what}"
            title = "Later purchase rate" if what == "purchase" else "Later spend"
            made.append(
                Measure(
                    f"{name}_rate" if what == "purchase" else name,
                    unit,  # type: ignore[arg-type]
                    f"{title} by group",
                    f"of {_WHOSE[about]}: {formula}, within the churn horizon {_FROM[about]}",
                    _CLUSTERED,
                    _NEEDS[about],
                    _COUNTED[about],
                )
            )
            against = f"{' or '.join(others)} against {first}"
            made.append(
                Measure(
                    f"{name}_difference",
                    unit,  # type: ignore[arg-type]
                    f"{title}: difference",
                    f"{against}, as it is: the groups may have been different before",
                    _CLUSTERED,
                    _NEEDS[about],
                    _COUNTED[about],
                )
            )
            made.append(
                Measure(
                    f"{name}_difference_adjusted",
                    unit,  # type: ignore[arg-type]
                    f"{title}: difference among those with the same past",
                    f"{against}, mean over the former of what they did less what the latter did on "
                    f"average in the same of the {STRATA}; an association, not an effect",
                    _CLUSTERED,
                    _NEEDS[about],
                    _COUNTED[about],
                )
            )
    return tuple(made)


MEASURES: tuple[Measure, ...] = _measures()

_ROW = {row.name: row for row in MEASURES}


def later_behaviour(asked: Question) -> Found:
    """What customers bought after they answered, or kept silent."""
    return gather(_followed(asked, about) for about in GROUPS)


def _followed(asked: Question, about: str) -> Found:
    names = tuple(name for name in _ROW if name.startswith(about))
    moments = _moments(asked, about)
    if moments is None:
        missing = [table.split(".")[0] for table in _NEEDS[about]]
        missing = [name for name in dict.fromkeys(missing) if name not in asked.ledger.tables]
        return Found(missing=(Missing(names, f"There is no table of {' or '.join(missing)}."),))
    closed = asked.end - dt.timedelta(days=asked.churn_days)
    moments = moments.filter(moments.start <= closed)
    followed = asked.held(
        f"later_{about}", lambda: with_past_and_future(moments, asked.purchases, asked.churn_days)
    )
    known = set(followed.group.topk(len(GROUPS[about])).to_pyarrow().to_pydict()["group"])
    if not known:
        why = (
            f"There are no such {_COUNTED[about]}, or none whose {asked.churn_days} days after it "
            "are over."
        )
        return Found(missing=(Missing(names, why),))
    parts = []
    for what, (column, _unit, _formula) in _OUTCOMES.items():
        name = f"{about}_later_{what}"
        means = group_means(followed, "group", column)
        order = means["group"].map(GROUPS[about].index)
        means = means.loc[order.sort_values().index].reset_index(drop=True)
        means = means.assign(period=ALL, segment=[segment(group=group) for group in means["group"]])
        row = _ROW[f"{name}_rate" if what == "purchase" else name]
        parts.append(rows(row, means, "mean", "n", "low", "high"))
        parts += _differences(followed, about, name, column)
    return Found(pd.concat(parts, ignore_index=True))


def _differences(followed: ir.Table, about: str, name: str, column: str) -> list[pd.DataFrame]:
    first, *others = GROUPS[about]
    parts = []
    for group in others:
        pair = followed.filter(followed.group.isin([first, group]))
        found = difference(pair.mutate(exposed=pair.group == group), column, ["stratum"])
        if found is None:
            continue
        place = pd.DataFrame({"period": [ALL], "segment": [segment(group=group)]})
        for suffix, ends, n in (
            ("", found.raw, found.n),
            ("_adjusted", found.adjusted, found.compared),
        ):
            value, low, high = (np.array([end]) for end in ends)
            parts.append(rows(_ROW[f"{name}_difference{suffix}"], place, value, [n], low, high))
    return parts


def _moments(asked: Question, about: str) -> ir.Table | None:
    """customer_id, start (the first day that is followed), at (tells rows apart) and group."""
    surveys = asked.ledger.tables.get("surveys")
    if about == "survey":
        sent = invitations(asked)
        if sent is None:
            return None
        told = sent.group_by("customer_id", at=sent.timestamp).agg(answered=sent.answered.max())
        return told.select(
            "customer_id",
            "at",
            start=(told["at"].date() + ibis.interval(days=ANSWER_DAYS + 1)).cast("date"),
            group=told.answered.ifelse("answered", "silent"),
        )
    if surveys is None:
        return None
    if about == "nps":
        answers = nps_answers(surveys)
        group = answers.group
    else:
        answers = csat_answers(surveys)
        group = answers.satisfied.ifelse("satisfied", "unsatisfied")
    return answers.select(
        "customer_id",
        at=answers.timestamp,
        start=(answers.timestamp.date() + ibis.interval(days=1)).cast("date"),
        group=group,
    )
