"""What a label report comes to, in words that say what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from features.label_report import LabelReport

__all__ = ["label_words"]

MOSTLY_GONE = 0.1
"""Where fewer than this share of the churned come back in the next horizon, they are gone."""

SEEN_IN_FULL = 365
"""A follow-up of fewer days misses slow buyers, and draws the suggestion towards short ones."""


def label_words(report: LabelReport) -> tuple[str, ...]:
    """Say what the report comes to, one or two sentences a point."""
    return (*_how_often_wrong(report), *_about_the_horizon(report), *_about_customers(report))


def _how_often_wrong(report: LabelReport) -> list[str]:
    spec, back = report.spec, report.reactivation_rate
    said = []
    if report.rates:
        low, high = (f(rate.rate for rate in report.rates) for f in (min, max))
        at = "the cutoff" if len(report.rates) == 1 else f"{len(report.rates)} cutoffs"
        said.append(
            f"With {_days(spec.horizon_days)}, {_between(low, high)} of the customers known at "
            f"{at} are called churned."
        )
    if back is not None:
        advice = (
            'Read the score as "does not buy in that time", not as "is gone".'
            if back >= MOSTLY_GONE
            else "Churned mostly means gone."
        )
        said.append(
            f"{back:.0%} of those called churned came back in the {_days(spec.horizon_days)} "
            f"after. {advice}"
        )
    elif report.rates:
        said.append(
            "How many of those called churned come back is not known yet: that takes another "
            f"{_days(spec.horizon_days)} of data after a label window."
        )
    return said


def _about_the_horizon(report: LabelReport) -> list[str]:
    curve, horizon = report.curve, report.spec.horizon_days
    suggested, wished = report.suggested_horizon_days, report.wished_horizon_days
    if curve is None:
        return [
            "No horizon can be suggested: too short a history, or nobody, or everybody, returns."
        ]
    point = curve.at(curve.best_days)
    low, high = curve.as_good
    first = (
        f"Who comes back within {_days(curve.follow_up_days)} and who does not is best told "
        f"apart after {_days(curve.best_days)} of silence ({low} to {high} do as well): "
        f"{point.type_1:.0%} of those who come back have then been called churned, and "
        f"{point.type_2:.0%} of those who do not are still called active."
    )
    if suggested is None:
        return [first, "No horizon leaves enough history to train with; export more of it."]
    if suggested == horizon:
        advice = f"{_days(horizon)}, the horizon in use, is the one suggested."
    else:
        advice = (
            f"Suggested: horizon_days = {suggested} under [churn] instead of {horizon}, unless "
            "your campaigns have a rhythm of their own."
        )
    if wished is not None and wished != suggested:
        advice += f" {_days(wished)} would fit better, but leave too little history to train with."
    elif curve.follow_up_days < SEEN_IN_FULL:
        advice += (
            f" Mind that returns after more than {_days(curve.follow_up_days)} cannot be seen in "
            "so short a history, which draws the suggestion down."
        )
    return [first, advice]


def _about_customers(report: LabelReport) -> list[str]:
    if not report.customers:
        return []
    who = (
        "only they train the model."
        if report.spec.eligibility == "cadence"
        else 'eligibility = "cadence" would train on them alone.'
    )
    one_time, due = (n / report.customers for n in (report.one_time, report.due))
    return [
        f"{one_time:.0%} of the customers have bought once; they are scored, and measured apart.",
        f"{due:.0%} of the customers are due about the label window by their own rhythm; {who}",
    ]


def _days(count: int) -> str:
    return f"{count:,} day{'' if count == 1 else 's'}"


def _between(low: float, high: float) -> str:
    first, last = f"{low:.0%}", f"{high:.0%}"
    return first if first == last else f"{first} to {last}"
