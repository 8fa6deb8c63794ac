"""What a look at the label found, and what it comes to in words that say what to do."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict, dataclass
from typing import Any

from features.base_rates import ChurnRate
from features.inactivity import InactivityCurve
from features.labels import LabelSpec

__all__ = ["LabelReport", "Sensitivity"]

MOSTLY_GONE = 0.1
"""Where fewer than this share of the churned come back in the next horizon, they are gone."""

SEEN_IN_FULL = 365
"""A follow-up of fewer days misses slow buyers, and draws the suggestion towards short ones."""


@dataclass(frozen=True)
class Sensitivity:
    """What another horizon and gap would make of the same cutoffs.

    Attributes:
        horizon_days: Length of the label window.
        gap_days: Days between the cutoff and the label window.
        customers: Customers known, summed over the report's `sensitivity_cutoffs`.
        churned: Those of them without a purchase in the label window.
        followed: Of these cutoffs, those whose next horizon is closed as well.
        followed_churned: The churned at these.
        came_back: Those of them who bought in the next horizon.
    """

    horizon_days: int
    gap_days: int
    customers: int
    churned: int
    followed: int
    followed_churned: int
    came_back: int

    @property
    def rate(self) -> float:
        """Share of churned customers."""
        return self.churned / self.customers

    @property
    def reactivation_rate(self) -> float | None:
        """Share of the churned who came back in the next horizon; None where unknown."""
        return self.came_back / self.followed_churned if self.followed_churned else None

    def to_dict(self) -> dict[str, Any]:
        """Counts and rates as plain values for JSON."""
        return {**asdict(self), "rate": self.rate, "reactivation_rate": self.reactivation_rate}


@dataclass(frozen=True)
class LabelReport:
    """What is to be known before a horizon is believed in.

    Attributes:
        spec: The label in use.
        as_of: The day after the data, where the next three are counted.
        customers: Customers with a purchase.
        one_time: Those with one purchase.
        due: Those who are eligible by their cadence (`features.labels.due_in_window`).
        rates: Base rates by cutoff, with reactivation where the next horizon is closed.
        curve: The D-curve; None where the history is too short, or has no returns in it.
        suggested_horizon_days: The curve's best days rounded to the nearest of `HORIZONS` (by
            ratio) that the history can train and test; None where there is none.
        wished_horizon_days: The same, whatever the history can train.
        sensitivity: One each horizon and gap that the history has room for.
        sensitivity_cutoffs: The cutoffs that all of them are counted at.
    """

    spec: LabelSpec
    as_of: dt.date
    customers: int
    one_time: int
    due: int
    rates: tuple[ChurnRate, ...]
    curve: InactivityCurve | None
    suggested_horizon_days: int | None
    wished_horizon_days: int | None
    sensitivity: tuple[Sensitivity, ...]
    sensitivity_cutoffs: tuple[dt.date, ...]

    @property
    def reactivation_rate(self) -> float | None:
        """Share of the churned who came back in the next horizon, pooled; None where unknown."""
        followed = [rate for rate in self.rates if rate.came_back is not None]
        churned = sum(rate.churned for rate in followed)
        return sum(rate.came_back or 0 for rate in followed) / churned if churned else None

    @property
    def words(self) -> tuple[str, ...]:
        """What it comes to, and what to do, one sentence or two a point."""
        return (*_how_often_wrong(self), *_about_the_horizon(self), *_about_customers(self))

    def to_dict(self) -> dict[str, Any]:
        """The same as plain values for JSON: dates in ISO form, an unknown rate as None."""
        return {
            "spec": self.spec.to_dict(),
            "words": list(self.words),
            "as_of": self.as_of.isoformat(),
            "customers": self.customers,
            "one_time": self.one_time,
            "one_time_share": self.one_time / self.customers if self.customers else None,
            "due": self.due,
            "due_share": self.due / self.customers if self.customers else None,
            "suggested_horizon_days": self.suggested_horizon_days,
            "wished_horizon_days": self.wished_horizon_days,
            "reactivation_rate": self.reactivation_rate,
            "cutoffs": [rate.to_dict() for rate in self.rates],
            "d_curve": self.curve.to_dict() if self.curve else None,
            "sensitivity_cutoffs": [day.isoformat() for day in self.sensitivity_cutoffs],
            "sensitivity": [each.to_dict() for each in self.sensitivity],
        }


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
