"""Pictures of expected purchases and money, by group and week by week."""

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from training import metrics
from training.figures.style import (
    FORECAST,
    FORECAST_LIGHT,
    INK,
    MUTED,
    RULE,
    compact_axis,
    page,
    percent_axis,
    plural,
    styled,
)

__all__ = ["deciles", "frequency", "tracking"]


@styled
def deciles(
    y: npt.ArrayLike,
    predicted: npt.ArrayLike,
    *,
    title: str = "Forecast and outcome by decile",
    what: str = "value per customer",
    percent: bool = False,
) -> Figure:
    """Mean forecast and mean outcome of ten groups of customers, the highest forecast first."""
    table = metrics.decile_table(y, predicted)
    size = np.asarray(y).size
    figure = page(title, f"{plural(size, 'customer')} in groups of one size, highest first")
    axes = figure.subplots()
    at = table["decile"]
    axes.bar(at, table["mean_predicted"], 0.72, color=FORECAST_LIGHT, label="forecast")
    axes.plot(
        at,
        table["mean_actual"],
        color=INK,
        marker="o",
        markersize=7,
        markeredgecolor="white",
        linewidth=0,
        label="happened",
    )
    axes.set(xlabel="decile by forecast", ylabel=what)
    axes.set_xticks(at, [f"{d:.0f}" for d in at])
    axes.set_xlim(0.4, max(at.size, 5) + 0.6)
    axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
    if percent:
        percent_axis(axes.yaxis)
        axes.set_ylim(0, 1.02)
    else:
        compact_axis(axes.yaxis)
    axes.legend(loc="upper right")
    return figure


@styled
def frequency(
    observed: npt.ArrayLike,
    actual: npt.ArrayLike,
    expected: npt.ArrayLike,
    *,
    title: str = "Purchases ahead, by purchases so far",
    last: int = 7,
) -> Figure:
    """Mean purchases in the holdout, forecast and real, by frequency before the cutoff.

    The conditional-expectation plot of Fader, Hardie and Lee 2005 (Marketing Science
    24:275-284): customers with `last` or more repeat purchases are one group. The bars of
    the outcome carry plus and minus two standard errors.
    """
    group = np.minimum(np.asarray(observed, dtype=np.float64), last).astype(np.int64)
    happened = np.asarray(actual, dtype=np.float64)
    forecast = np.asarray(expected, dtype=np.float64)
    figure = page(title, "mean per customer in the holdout; customers in each group below the axis")
    axes = figure.subplots()
    present = np.unique(group)
    mean_actual = np.array([happened[group == g].mean() for g in present])
    mean_forecast = np.array([forecast[group == g].mean() for g in present])
    count = np.array([(group == g).sum() for g in present])
    error = np.array([happened[group == g].std() for g in present]) / np.sqrt(count)
    axes.plot(
        present,
        mean_forecast,
        color=FORECAST,
        marker="o",
        markeredgecolor="white",
        label="forecast",
    )
    axes.vlines(
        present,
        np.maximum(mean_actual - 2 * error, 0.0),
        mean_actual + 2 * error,
        color=INK,
        linewidth=1.4,
        alpha=0.45,
    )
    axes.plot(
        present,
        mean_actual,
        color=INK,
        marker="o",
        markersize=7,
        markeredgecolor="white",
        linewidth=0,
        label="happened",
    )
    axes.set(xlabel="repeat purchases before the cutoff", ylabel="purchases in the holdout")
    axes.set_xticks(
        present,
        [
            f"{g}{'+' if g == last else ''}\n{n:,}"
            for g, n in zip(present.tolist(), count.tolist(), strict=True)
        ],
    )
    axes.set_xlim(present.min() - 0.4, present.max() + 0.4)
    axes.set_ylim(bottom=0.0)
    axes.legend(loc="upper left")
    return figure


@styled
def tracking(
    actual: npt.ArrayLike,
    expected: npt.ArrayLike,
    cutoff_week: int,
    *,
    title: str = "Repeat purchases, week by week",
) -> Figure:
    """Repeat purchases of all customers, real and expected: by week and summed up.

    Args:
        actual: Purchases in each week from the first one on.
        expected: What the model expects in the same weeks; `nan` where it says nothing, which
            counts as what happened in the sum.
        cutoff_week: The model saw this many weeks.
        title: The headline.
    """
    happened = np.asarray(actual, dtype=np.float64)
    forecast = np.asarray(expected, dtype=np.float64)
    week = np.arange(1, happened.size + 1)
    ahead = week > cutoff_week
    note = "the model saw the weeks before the shaded ones"
    if ahead.any() and happened[ahead].sum() > 0:
        off = forecast[ahead].sum() / happened[ahead].sum() - 1
        note = f"after the cutoff {happened[ahead].sum():,.0f} came; forecast {off:+.1%}"
    figure = page(title, note)
    left, right = figure.subplots(1, 2)
    silent = np.isnan(forecast)
    summed = np.where(silent, np.nan, np.cumsum(np.where(silent, happened, forecast)))
    mark = "o" if week.size < 3 else None
    for axes, a, e, name in (
        (left, happened, forecast, "per week"),
        (right, np.cumsum(happened), summed, "in total"),
    ):
        if ahead.any():
            axes.axvspan(cutoff_week + 0.5, week.size + 0.5, color=RULE, alpha=0.5, linewidth=0)
        axes.plot(week, a, color=INK, linewidth=1.6, marker=mark, label="happened")
        axes.plot(week, e, color=FORECAST, marker=mark, label="forecast")
        axes.set(title=name, xlabel="week", xlim=(0.5, week.size + 0.5))
        axes.set_ylim(0, 1.08 * max(a.max(), np.nanmax(e, initial=0.0), 1e-9))
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True, min_n_ticks=1))
        compact_axis(axes.yaxis)
    right.legend(loc="upper left")
    if ahead.any():
        left.text(
            0.98, 0.03, "holdout", transform=left.transAxes, ha="right", color=MUTED, fontsize=10
        )
    return figure
