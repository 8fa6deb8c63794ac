"""Satisfaction: NPS, CSAT and CSI from survey answers, who answers, and whether it has changed.

One customer, one voice: of a customer's answers in a period the last one counts, and for the
period "all" the last one of all. So answers are those of different customers, as the intervals
suppose. Of two answers at one moment the worse counts.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import TYPE_CHECKING

import ibis
import numpy as np
import numpy.typing as npt
import pandas as pd
from ibis import _
from scipy import stats
from statsmodels.stats.multitest import multipletests

from features.measures.intervals import mean_interval, share_interval
from features.measures.periods import ALL
from features.measures.survey_answers import (
    ANSWER_DAYS,
    STEPS,
    beyond_csat_scale,
    csat_answers,
    invitations,
    nps_answers,
    on_nps_scale,
)
from features.measures.table import Found, Measure, Missing, gather, rows

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from features.measures.segments import Question

__all__ = ["FEWEST", "MEASURES", "nps_variance", "satisfaction"]

FEWEST = 10
"""A change is tested where both periods have as many answers: tests by the normal want that."""

_NPS = ("surveys.kind", "surveys.score")
_REICHHELD = 'Reichheld 2003, "The One Number You Need to Grow", Harvard Business Review 81(12)'
_VARIANCE = "variance of a difference of multinomial shares, (p + d - (p - d)^2) / n"
_NEWCOMBE = (
    'Newcombe 1998, "Interval Estimation for the Difference Between Independent Proportions", '
    "Statistics in Medicine 17, method 10; p by the pooled z test"
)
_HOLM = 'Holm 1979, "A Simple Sequentially Rejective Multiple Test Procedure"'

_LAST = "of each customer the last answer of the period"
_SATISFIED = (
    "satisfied: the two highest of the scale's boxes (4 and 5 of 5); the highest on a scale up to "
    "1; from 80 % of the top up on a scale beyond 10"
)

MEASURES: tuple[Measure, ...] = (
    Measure(
        "nps",
        "points",
        "Net promoter score",
        f"100 (promoters - detractors) / answers, from -100 to 100; {_LAST}",
        f"{_REICHHELD}; interval: {_VARIANCE}",
        _NPS,
        "answers",
    ),
    *(
        Measure(
            f"nps_{group}",
            "share",
            group.capitalize(),
            f"answers {span} / answers from 0 to 10; {_LAST}",
            f"{_REICHHELD}; interval: Wilson 1927",
            _NPS,
            "answers",
        )
        for group, span in (
            ("promoters", "of 9 and 10"),
            ("passives", "above 6 and below 9"),
            ("detractors", "of 0 to 6"),
        )
    ),
    Measure(
        "nps_change",
        "points",
        "Change of the net promoter score",
        f"nps - nps of the period before, where both have {FEWEST} answers; the two variances add "
        "up, which is cautious where customers answer in both",
        _VARIANCE,
        _NPS,
        "answers of both periods",
    ),
    Measure(
        "nps_change_p",
        "p_value",
        "Is the change of the net promoter score chance?",
        "p of the hypothesis of no change, two-sided, times the care that testing every period "
        "takes: adjusted over all periods of the segment",
        _HOLM,
        _NPS,
        "answers of both periods",
    ),
    Measure(
        "csat",
        "share",
        "Satisfied customers (CSAT)",
        f"satisfied / answers; {_SATISFIED}; {_LAST}",
        "interval: Wilson 1927",
        _NPS,
        "answers",
    ),
    Measure(
        "csi",
        "points",
        "Customer satisfaction index",
        "mean of 100 (score - lowest) / (top - lowest); the lowest is 1, or 0 where such a scale "
        f"has an answer below 1, a top of 1 or one beyond 10; {_LAST}",
        'scaled as in Fornell et al. 1996, "The American Customer Satisfaction Index"; '
        "interval: Student's t",
        _NPS,
        "answers",
    ),
    Measure(
        "csat_change",
        "share",
        "Change of the share of satisfied customers",
        f"csat - csat of the period before, where both have {FEWEST} answers",
        _NEWCOMBE,
        _NPS,
        "answers of both periods",
    ),
    Measure(
        "csat_change_p",
        "p_value",
        "Is the change of the share of satisfied customers chance?",
        "p of the hypothesis of no change, two-sided, adjusted over all periods of the segment",
        _HOLM,
        _NPS,
        "answers of both periods",
    ),
    Measure(
        "survey_asked",
        "count",
        "Customers asked",
        "customers with an invitation in the period: a contact whose campaign is named like a "
        f"survey, at least {ANSWER_DAYS} days before the end of the data",
        "",
        ("contacts.campaign",),
    ),
    Measure(
        "survey_response_rate",
        "share",
        "Response rate",
        f"customers who answered a survey within {ANSWER_DAYS} days of an invitation of the "
        "period / customers asked",
        "interval: Wilson 1927",
        ("contacts.campaign", *_NPS),
        "customers asked",
    ),
)

_ROW = {row.name: row for row in MEASURES}
_NPS_NAMES = tuple(name for name in _ROW if name.startswith("nps"))
_CSAT_NAMES = tuple(name for name in _ROW if name.startswith("cs"))
_ASKED_NAMES = tuple(name for name in _ROW if name.startswith("survey"))


def nps_variance(
    promoters: npt.ArrayLike, detractors: npt.ArrayLike, answers: npt.ArrayLike
) -> npt.NDArray[np.float64]:
    """Variance of a net promoter score given as a share (-1 to 1): multiply by 100^2 for points.

    With p and d the shares of promoters and detractors among n answers, the score is the mean of
    a variable that is 1, 0 or -1, so its variance is (p + d - (p - d)^2) / n.

    >>> float(nps_variance(5, 2, 10).round(3))
    0.061
    """
    n = np.asarray(answers, dtype=np.float64)
    p, d = np.asarray(promoters) / n, np.asarray(detractors) / n
    found: npt.NDArray[np.float64] = (p + d - (p - d) ** 2) / n
    return found


def satisfaction(asked: Question) -> Found:
    """NPS, CSAT, CSI, their changes, and who answers."""
    surveys = asked.ledger.tables.get("surveys")
    if surveys is None:
        names = (*_NPS_NAMES, *_CSAT_NAMES)
        found = Found(missing=(Missing(names, "There is no table of surveys."),))
        return gather([found, _response(asked)])
    return gather([_nps(asked, surveys), _csat(asked, surveys), _response(asked)])


def _last_of(asked: Question, answers: ir.Table, **sums: ir.Deferred) -> pd.DataFrame:
    """`asked.totals` over the last answer of each customer: of the period, and of all."""
    number = asked.periods.number(answers.timestamp)
    late = ibis.desc("timestamp")
    answers = answers.mutate(period_number=number)
    in_period = ibis.window(group_by=["customer_id", "period_number"], order_by=late)
    overall = ibis.window(group_by="customer_id", order_by=late)
    answers = answers.mutate(
        last_in_period=ibis.row_number().over(in_period) == 0,
        last_of_all=ibis.row_number().over(overall) == 0,
    )
    periods = asked.totals(answers.filter(answers.last_in_period), day="timestamp", **sums)
    whole = asked.totals(answers.filter(answers.last_of_all), day=None, **sums)
    return pd.concat([periods[periods["period"] != ALL], whole], ignore_index=True)


def _nps(asked: Question, surveys: ir.Table) -> Found:
    counted = surveys.agg(
        answers=surveys.count(where=surveys.kind == "nps"),
        fit=surveys.count(where=on_nps_scale(surveys)),
    )
    told = counted.to_pyarrow().to_pylist()[0]
    scale = (
        f"{told['answers'] - told['fit']:,} of {told['answers']:,} NPS answers are not on the "
        "scale from 0 to 10 that the net promoter score is defined on: left out."
    )
    if not told["fit"]:
        why = "There is no survey of kind nps." if not told["answers"] else scale
        return Found(missing=(Missing(_NPS_NAMES, why),))
    found = _last_of(
        asked,
        nps_answers(surveys),
        **{f"{group}s": (_.group == group).sum() for group in ("promoter", "passive", "detractor")},
        n=_.count(),
    )
    score = 100 * (found["promoters"] - found["detractors"]) / found["n"]
    low, high = _nps_interval(found)
    parts = [rows(_ROW["nps"], found, score, "n", low, high)]
    for group in ("promoters", "passives", "detractors"):
        share, least, most = share_interval(found[group], found["n"])
        parts.append(rows(_ROW[f"nps_{group}"], found, share, "n", least, most))
    variance = 1e4 * nps_variance(found["promoters"], found["detractors"], found["n"])
    parts += _changes("nps", _nps_change(asked, found.assign(value=score, variance=variance)))
    notes = (scale,) if told["fit"] < told["answers"] else ()
    return Found(pd.concat(parts, ignore_index=True), notes=notes)


def _nps_interval(found: pd.DataFrame) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """95 %, within -100 and 100; where all answers are of one group, by Wilson for its share."""
    p, d, n = (found[name].to_numpy(np.float64) for name in ("promoters", "detractors", "n"))
    score = (p - d) / n
    half = stats.norm.ppf(0.975) * np.sqrt(np.maximum(nps_variance(p, d, n), 0))
    low, high = score - half, score + half
    # A spread of nothing would be a claim that nobody could think otherwise.
    rest = 1 - share_interval(n, n)[1]
    low = np.where(p == n, 1 - 2 * rest, np.where(p + d == 0, -rest, low))
    high = np.where(d == n, 2 * rest - 1, np.where(p + d == 0, rest, high))
    return 100 * np.maximum(low, -1), 100 * np.minimum(high, 1)


def _csat(asked: Question, surveys: ir.Table) -> Found:
    counted = surveys.agg(
        answers=surveys.count(where=surveys.kind == "csat"),
        beyond=surveys.count(where=beyond_csat_scale(surveys)),
    )
    told = counted.to_pyarrow().to_pylist()[0]
    if not told["answers"]:
        return Found(missing=(Missing(_CSAT_NAMES, "There is no survey of kind csat."),))
    found = _last_of(
        asked,
        csat_answers(surveys),
        satisfied=_.satisfied.sum(),
        total=_["index"].sum(),
        squares=(_["index"] * _["index"]).sum(),
        n=_.count(),
    )
    share, low, high = share_interval(found["satisfied"], found["n"])
    unit = STEPS / 100
    mean, least, most = mean_interval(found["total"] / unit, found["squares"] / unit**2, found["n"])
    parts = [
        rows(_ROW["csat"], found, share, "n", low, high),
        rows(_ROW["csi"], found, mean, "n", np.maximum(least, 0), np.minimum(most, 100)),
    ]
    parts += _changes("csat", _csat_change(asked, found.assign(value=share, low=low, high=high)))
    beyond = (
        f"{told['beyond']:,} of {told['answers']:,} CSAT answers are below 0 or above their "
        "scale_max: they count as its end."
    )
    notes = (beyond,) if told["beyond"] else ()
    return Found(pd.concat(parts, ignore_index=True), notes=notes)


def _beside(asked: Question, found: pd.DataFrame) -> pd.DataFrame:
    """Each period of a segment beside the one before it, whose columns end in `_before`."""
    place = {period.label: i for i, period in enumerate(asked.periods.whole)}
    periods = found[found["period"] != ALL]
    periods = periods.assign(place=periods["period"].map(place).astype("int64"))
    before = periods.assign(place=periods["place"] + 1).drop(columns="period")
    both = periods.merge(before, on=["segment", "place"], suffixes=("", "_before"))
    both = both[(both["n"] >= FEWEST) & (both["n_before"] >= FEWEST)]
    both = both.sort_values(["place", "segment"], ignore_index=True)
    return both.assign(n=both["n"] + both["n_before"], change=both["value"] - both["value_before"])


def _nps_change(asked: Question, found: pd.DataFrame) -> pd.DataFrame:
    both = _beside(asked, found)
    error = np.sqrt((both["variance"] + both["variance_before"]).to_numpy(np.float64))
    half = stats.norm.ppf(0.975) * error
    apart = both["change"].to_numpy(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        p = 2 * stats.norm.sf(np.abs(apart) / error)
    # Two periods in which all agree say nothing of the spread.
    return both.assign(
        low=np.where(error > 0, apart - half, np.nan),
        high=np.where(error > 0, apart + half, np.nan),
        p=np.where(error > 0, p, np.nan),
    )


def _csat_change(asked: Question, found: pd.DataFrame) -> pd.DataFrame:
    both = _beside(asked, found)
    now, then = both["value"], both["value_before"]
    pooled = (both["satisfied"] + both["satisfied_before"]) / both["n"]
    n_now = both["n"] - both["n_before"]
    error = np.sqrt(pooled * (1 - pooled) * (1 / n_now + 1 / both["n_before"])).to_numpy(float)
    apart = both["change"].to_numpy(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        p = 2 * stats.norm.sf(np.abs(apart) / error)
    return both.assign(
        low=apart - np.hypot(now - both["low"], both["high_before"] - then),
        high=apart + np.hypot(both["high"] - now, then - both["low_before"]),
        p=np.where(error > 0, p, 1.0),
    )


def _changes(name: str, both: pd.DataFrame) -> list[pd.DataFrame]:
    tested = both.assign(adjusted=np.nan)
    for _segment, own in tested[tested["p"].notna()].groupby("segment"):
        tested.loc[own.index, "adjusted"] = multipletests(own["p"], method="holm")[1]
    return [
        rows(_ROW[f"{name}_change"], tested, "change", "n", "low", "high"),
        rows(_ROW[f"{name}_change_p"], tested, "adjusted", "n"),
    ]


def _response(asked: Question) -> Found:
    sent = invitations(asked)
    needs = (
        "There are no contacts whose campaign is named like a survey (such as 'survey', "
        "'nps-2024', 'feedback'), so nobody knows who was asked."
    )
    if sent is None:
        if "contacts" in asked.ledger.tables:
            needs = "There is no table of surveys."
        return Found(missing=(Missing(_ASKED_NAMES, needs),))
    closed = asked.end - dt.timedelta(days=ANSWER_DAYS + 1)
    limited = replace(asked, periods=asked.periods.limited(asked.periods.first, closed))
    found = limited.totals(
        sent,
        day="timestamp",
        asked=_.customer_id.nunique(where=~_.answered),
        answered=_.customer_id.nunique(where=_.answered),
    )
    if found.empty:
        return Found(missing=(Missing(_ASKED_NAMES, needs),))
    share, low, high = share_interval(found["answered"], found["asked"])
    return Found(
        pd.concat(
            [
                rows(_ROW["survey_asked"], found, "asked"),
                rows(_ROW["survey_response_rate"], found, share, "asked", low, high),
            ],
            ignore_index=True,
        )
    )
