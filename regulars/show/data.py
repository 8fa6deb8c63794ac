"""What the tables hold, whether they suffice, and what the label comes to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .. import console

if TYPE_CHECKING:
    from features.breaks import Break
    from features.label_report import LabelReport
    from features.profile import Profile
    from features.quality import QualityReport

__all__ = ["show_breaks", "show_label", "show_profile", "show_quality"]

_CURVE_DAYS = (10, 20, 30, 60, 90, 120, 180, 270, 365)
"""Points of the D-curve on a screen; the JSON has them all."""


def show_quality(quality: QualityReport, quarantine: Path) -> None:
    """Say for each table what was read, recognised, accepted and set aside, and why."""
    console.show_table(
        "Rows",
        ["table", "source", "read", "accepted", "set aside", "left out"],
        [
            [name, t.source, t.read, t.accepted, t.read - t.accepted, t.left_out]
            for name, t in quality.tables.items()
        ],
    )
    reasons = [
        [name, reason, count]
        for name, t in quality.tables.items()
        for reason, count in t.quarantined.items()
        if count
    ]
    if reasons:
        console.show_table("Set aside", ["table", "reason", "rows"], reasons)
        console.say(f"The rows themselves, with file and row number: {quarantine}")
    for name, why in quality.skipped.items():
        console.say(f"{name} is not used: {why}")
    for name, table in quality.tables.items():
        for standard, raw in table.recognised.items():
            if standard != raw:
                console.say(f"{name}.{standard} is read from {raw}")
        for column, count in table.unreadable.items():
            console.say(f"{name}.{column}: {count:,} values could not be read and are empty now")
        for note in table.notes:
            console.say(f"{name}: {note}")


def show_profile(profile: Profile) -> None:
    """Print what the transactions hold, the churn rate by cutoff, and the data gate."""
    rows: list[list[object]] = [
        ["transactions", profile.rows],
        ["customers", profile.customers],
        ["  with a purchase", profile.buyers],
        ["  with one purchase only", f"{profile.one_time_share:.1%}"],
        ["purchases", profile.purchases],
        ["history", f"{profile.first_day} to {profile.last_day}, {_days(profile.history_days)}"],
        ["returns", f"{profile.returns:,} ({profile.returned_share:.1%} of sales)"],
        [
            "without a customer",
            f"{profile.without_customer:,} ({profile.without_customer_share:.1%})",
        ],
        ["exact duplicates set aside", profile.duplicates],
        ["exact duplicates kept", profile.duplicates_kept],
        ["closed weekdays", ", ".join(profile.closed_weekdays) or "none"],
        ["days without sales", profile.days_without_sales],
    ]
    console.show_table("Transactions", ["", ""], rows)
    if profile.gaps:
        console.show_table(
            "Gaps: no sales for longer than chance explains",
            ["from", "to", "days"],
            [[gap.first, gap.last, gap.days] for gap in profile.gaps],
        )
    if profile.churn:
        console.show_table(
            f"Base churn rate: no purchase in {profile.horizon_days} days",
            ["cutoff", "customers", "churned", "rate", "one-time", "repeat", "came back after"],
            [
                [
                    c.cutoff,
                    c.customers,
                    c.churned,
                    *map(
                        console.percent,
                        (c.rate, c.one_time_rate, c.repeat_rate, c.reactivation_rate),
                    ),
                ]
                for c in profile.churn
            ],
        )
    console.show_table(
        "Is it enough to learn from?",
        ["check", "met", "what it means"],
        [[check.check.replace("_", " "), check.ok, check.words] for check in profile.gate],
    )


def show_label(report: LabelReport) -> None:
    """Print what the label report comes to, points of the D-curve, and other horizons."""
    spec, curve = report.spec, report.curve
    gap = f", {_days(spec.gap_days)} after the cutoff" if spec.gap_days else ""
    console.say(f"The label: no purchase in {_days(spec.horizon_days)}{gap}")
    for line in report.words:
        console.say(f"  - {line}")
    console.say()
    if curve is not None:
        shown = {point.days: point for point in curve.points}
        marked = {curve.best_days, spec.horizon_days}
        days = sorted(day for day in {*marked, *_CURVE_DAYS} if day in shown)
        console.show_table(
            f"Silence: who came back within {_days(curve.follow_up_days)}, "
            f"{len(curve.cutoffs)} cutoffs",
            [
                "days without a purchase",
                "called churned",
                "of them came back",
                "back but called churned",
                "gone but called active",
                "",
            ],
            [
                [
                    day,
                    shown[day].called_churned,
                    console.percent(shown[day].false_churn),
                    console.percent(shown[day].type_1),
                    console.percent(shown[day].type_2),
                    _mark(day, curve.best_days, spec.horizon_days),
                ]
                for day in days
            ],
        )
    if report.sensitivity:
        gaps = sorted({each.gap_days for each in report.sensitivity})
        at = {(each.horizon_days, each.gap_days): each for each in report.sensitivity}
        horizons = sorted({each.horizon_days for each in report.sensitivity})
        count = len(report.sensitivity_cutoffs)
        console.show_table(
            f"Other horizons and gaps, {count} cutoff{'' if count == 1 else 's'}: "
            "churn rate / came back in the next horizon",
            ["horizon", *(f"gap {gap}" for gap in gaps)],
            [
                [
                    _days(horizon),
                    *(
                        f"{console.percent(at[horizon, gap].rate)} / "
                        f"{console.percent(at[horizon, gap].reactivation_rate)}"
                        for gap in gaps
                    ),
                ]
                for horizon in horizons
            ],
        )


def show_breaks(breaks: Sequence[Break]) -> None:
    """Print what in the ledger the customers did not do, or hardly can have done."""
    if not breaks:
        console.say("No breaks: nothing in the ledger that the customers cannot have done.")
        return
    console.show_table(
        "Breaks: what the customers hardly can have done",
        ["kind", "from", "to", "", "what"],
        [[b.kind, b.first, b.last, "grave" if b.grave else "", b.words] for b in breaks],
    )
    for remedy in dict.fromkeys(one.remedy for one in breaks if one.grave):
        console.say(remedy)


def _mark(day: int, best: int, horizon: int) -> str:
    return ", ".join(
        word for word, at in (("best", best), ("horizon in use", horizon)) if day == at
    )


def _days(count: int) -> str:
    return f"{count:,} day{'' if count == 1 else 's'}"
