"""Pictures of a churn probability: level, order and spread."""

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from training import metrics
from training.figures.style import (
    CHURNED,
    FORECAST,
    FORECAST_LIGHT,
    INK,
    MUTED,
    compact_axis,
    page,
    percent_axis,
    plural,
    say,
    styled,
)

__all__ = ["calibration", "gain_and_lift", "levels", "scores"]


@styled
def calibration(
    y: npt.ArrayLike,
    p: npt.ArrayLike,
    *,
    title: str = "Does 70 % mean 70 %?",
    bins: int = 10,
) -> Figure:
    """Reliability diagram: forecast against what came, in bins of equal size, with counts.

    Dots carry the Wilson 95 % interval of the churn rate; the strip below shows where the
    forecasts lie.
    """
    table = metrics.reliability_table(y, p, bins)
    forecast = np.asarray(p, dtype=np.float64)
    gap = metrics.mean_p_minus_rate(y, p)
    figure = page(
        title,
        f"{plural(forecast.size, 'customer')}, calibration error {metrics.ece(y, p):.3f}, "
        f"mean forecast minus rate {gap:+.3f}",
    )
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(5, 1))
    upper.plot([0, 1], [0, 1], color=MUTED, linewidth=1.2, linestyle=(0, (4, 3)), zorder=1)
    upper.vlines(table["mean_p"], table["low"], table["high"], color=FORECAST_LIGHT, linewidth=3)
    upper.plot(
        table["mean_p"],
        table["churn_rate"],
        color=FORECAST,
        marker="o",
        markersize=6.5,
        markeredgecolor="white",
        linewidth=1.4,
        zorder=3,
    )
    upper.set(xlim=(-0.01, 1.01), ylim=(-0.02, 1.02), ylabel="churned")
    percent_axis(upper.yaxis)
    counts, edges = np.histogram(forecast, bins=40, range=(0.0, 1.0))
    lower.bar(edges[:-1], counts, width=np.diff(edges), align="edge", color=FORECAST_LIGHT)
    lower.set(xlabel="forecast churn probability")
    lower.text(0.012, 0.74, "customers", transform=lower.transAxes, color=MUTED, fontsize=10)
    lower.yaxis.set_major_locator(MaxNLocator(2, integer=True))
    lower.grid(visible=False)
    compact_axis(lower.yaxis)
    percent_axis(lower.xaxis)
    return figure


@styled
def gain_and_lift(
    y: npt.ArrayLike, p: npt.ArrayLike, *, title: str = "Churners found by contacting the top"
) -> Figure:
    """Cumulative gain (left) and lift (right) by share of customers contacted."""
    actual = np.asarray(y, dtype=np.float64)
    at, gain = metrics.cumulative_gain(y, p)
    rate = actual.mean()
    figure = page(title, f"{plural(actual.size, 'customer')}, {rate:.0%} churned")
    left, right = figure.subplots(1, 2)
    left.set(xlabel="share contacted", title="share of churners found")
    right.set(xlabel="share contacted", title="times better than random")
    if rate == 0:
        say(left, "nobody churned")
        say(right, "nobody churned")
        return figure
    left.plot([0, rate, 1], [0, 1, 1], color="#c3ccd5", linewidth=1.6)
    left.plot([0, 1], [0, 1], color=MUTED, linewidth=1.2, linestyle=(0, (4, 3)))
    left.fill_between(at, at, gain, color=FORECAST_LIGHT, alpha=0.35, linewidth=0)
    left.plot(at, gain, color=FORECAST)
    left.set(xlim=(0, 1), ylim=(0, 1.02))
    percent_axis(left.xaxis)
    percent_axis(left.yaxis)
    left.text(0.97, 0.06, "perfect: grey\nrandom: dashed", ha="right", color=MUTED, fontsize=10)
    shares = np.linspace(0.02, 1.0, 99)
    lift = np.interp(shares, at, gain) / shares
    right.axhline(1.0, color=MUTED, linewidth=1.2, linestyle=(0, (4, 3)))
    right.plot(shares, lift, color=FORECAST)
    top = metrics.lift_at(y, p)
    right.plot([0.1], [top], "o", color=FORECAST, markersize=8, markeredgecolor="white")
    right.annotate(
        f"top 10 %: {top:.2f}",
        (0.1, top),
        xytext=(14, 6),
        textcoords="offset points",
        color=FORECAST,
        fontweight="bold",
        fontsize=11,
    )
    span = max(lift.max(), top) - min(lift.min(), 1.0)
    right.set(xlim=(0, 1), ylim=(min(lift.min(), 1.0) - 0.08 * span - 0.02, None))
    right.margins(y=0.2)
    right.set_ylim(top=max(lift.max(), top) + 0.18 * span + 0.02)
    right.xaxis.set_major_locator(MaxNLocator(4))
    left.xaxis.set_major_locator(MaxNLocator(4))
    percent_axis(right.xaxis)
    return figure


@styled
def levels(table: pd.DataFrame, *, title: str = "The level, cutoff by cutoff") -> Figure:
    """Mean forecast against the churn rate at each cutoff, one-time and repeat buyers apart.

    Args:
        table: One row a cutoff and group, with the columns cutoff, group, churn_rate and mean_p.
        title: The headline.
    """
    figure = page(title, "mean churn probability, forecast at each cutoff, and what came")
    axes = figure.subplots()
    names = {"one_time": "bought once", "all": "all", "repeat": "bought again before"}
    cutoffs = sorted(table["cutoff"].astype(str).unique())
    for group, words in names.items():
        rows = table[table["group"] == group].set_index("cutoff").reindex(cutoffs)
        if rows["mean_p"].isna().all():
            continue
        at, main = np.arange(len(cutoffs)), group == "all"
        axes.plot(
            at,
            rows["mean_p"],
            color=FORECAST if main else FORECAST_LIGHT,
            marker="o",
            linewidth=2.2 if main else 1.4,
            label="forecast" if main else None,
        )
        axes.plot(
            at,
            rows["churn_rate"],
            color=INK if main else MUTED,
            marker="o",
            linestyle=(0, (4, 3)),
            linewidth=1.8 if main else 1.2,
            label="what came" if main else None,
        )
        axes.annotate(
            words,
            (at[-1], rows["churn_rate"].iloc[-1]),
            xytext=(10, 0),
            textcoords="offset points",
            va="center",
            fontsize=10,
            color=INK if main else MUTED,
        )
    axes.set_xticks(np.arange(len(cutoffs)), cutoffs)
    axes.set_xlim(-0.3, len(cutoffs) - 1 + max(0.12 * len(cutoffs), 0.5))
    axes.margins(y=0.15)
    percent_axis(axes.yaxis)
    axes.legend(loc="best")
    return figure


@styled
def scores(
    y: npt.ArrayLike, p: npt.ArrayLike, *, title: str = "Scores of those who left and stayed"
) -> Figure:
    """Histogram of the churn probability, apart for customers who churned and who did not."""
    actual, forecast = np.asarray(y, dtype=np.float64), np.asarray(p, dtype=np.float64)
    auc = metrics.roc_auc(y, p)
    figure = page(
        title,
        f"{plural(actual.sum(), 'churner')}, {plural((1 - actual).sum(), 'customer')} who bought "
        "again" + (f"; ROC-AUC {auc:.3f}" if np.isfinite(auc) else ""),
    )
    axes = figure.subplots()
    bins = np.linspace(0.0, 1.0, 41)
    for values, colour, label in (
        (forecast[actual == 0], FORECAST, "bought again"),
        (forecast[actual == 1], CHURNED, "churned"),
    ):
        counts, _ = np.histogram(values, bins=bins)
        axes.stairs(counts, bins, fill=True, color=colour, alpha=0.28)
        axes.stairs(counts, bins, color=colour, linewidth=1.8, label=label)
    axes.set(xlabel="forecast churn probability", ylabel="customers", xlim=(0, 1))
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    compact_axis(axes.yaxis)
    percent_axis(axes.xaxis)
    axes.legend(loc="upper left" if auc != auc or np.median(forecast) > 0.5 else "upper right")
    return figure
