"""A picture of the label: how long a silence means that a customer is lost, and base rates."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from training.figures.style import (
    CHURNED,
    FORECAST,
    FORECAST_LIGHT,
    INK,
    MUTED,
    page,
    percent_axis,
    say,
    styled,
)

if TYPE_CHECKING:
    from features.label_report import LabelReport

__all__ = ["label"]

_DASHES = (0, (4, 3))


@styled
def label(report: LabelReport, *, title: str = "Does silence mean churned?") -> Figure:
    """The D-curve on the left, the base rate by cutoff on the right.

    Args:
        report: What is known of the label.
        title: The headline.
    """
    figure = page(title, _subtitle(report))
    left, right = figure.subplots(1, 2, width_ratios=(1.15, 1.0))
    _curve(left, report)
    _rates(right, report)
    return figure


def _subtitle(report: LabelReport) -> str:
    horizon = report.spec.horizon_days
    said = f"churned: no purchase in {horizon} days"
    if report.reactivation_rate is not None:
        said += f"; {report.reactivation_rate:.0%} of them came back in the {horizon} after"
    return said


def _curve(axes: Axes, report: LabelReport) -> None:
    curve, horizon = report.curve, report.spec.horizon_days
    if curve is None:
        say(axes, "too short a history\nto see who comes back")
        return
    days = np.array([point.days for point in curve.points])
    back = np.array([point.type_1 for point in curve.points])
    gone = np.array([point.type_2 for point in curve.points])
    low, high = curve.as_good
    axes.axvspan(low - 1, high + 1, color=FORECAST_LIGHT, alpha=0.45, linewidth=0)
    axes.plot(days, back, color=FORECAST, label="back, but called churned")
    axes.plot(days, gone, color=CHURNED, label="gone, but called active")
    axes.plot(days, back + gone, color=MUTED, linewidth=1.6, linestyle=_DASHES, label="sum")
    if horizon <= days[-1]:
        axes.axvline(horizon, color=INK, linewidth=1.2, linestyle=":", label="horizon in use")
    axes.set(
        xlim=(0, days[-1]),
        ylim=(0, 1.05),
        xlabel="days without a purchase",
        title=f"best told apart after {curve.best_days} days",
    )
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    percent_axis(axes.yaxis)
    _legend(axes)


def _legend(axes: Axes) -> None:
    axes.legend(loc="upper left", bbox_to_anchor=(-0.17, -0.19), fontsize=9.5, labelspacing=0.35)


def _rates(axes: Axes, report: LabelReport) -> None:
    rates = report.rates
    if not rates:
        say(axes, "no cutoff with its\nhorizon behind it")
        return
    cutoffs: Any = np.array([rate.cutoff for rate in rates], dtype="datetime64[D]")
    for name, text, colour, width in (
        ("one_time_rate", "bought once", MUTED, 1.6),
        ("rate", "all", INK, 2.2),
        ("repeat_rate", "repeat buyers", FORECAST, 1.6),
        ("reactivation_rate", "of the churned: back in the next horizon", CHURNED, 1.6),
    ):
        values = np.array([getattr(rate, name) for rate in rates], dtype=np.float64)
        seen = np.isfinite(values)
        if seen.any():
            axes.plot(
                cutoffs[seen],
                values[seen],
                color=colour,
                linewidth=width,
                marker="o",
                markersize=4,
                label=text,
            )
    axes.set(ylim=(0, 1.05), xlabel="cutoff", title="churned, by cutoff")
    if len(rates) == 1:
        month = dt.timedelta(days=31)
        axes.set_xlim(rates[0].cutoff - month, rates[0].cutoff + month)  # type: ignore[arg-type]
    dates: Any = AutoDateLocator(minticks=2, maxticks=5)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(dates)
    axes.xaxis.set_major_formatter(
        ConciseDateFormatter(dates, show_offset=False)  # type: ignore[no-untyped-call]
    )
    percent_axis(axes.yaxis)
    _legend(axes)
