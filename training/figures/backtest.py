"""Pictures of a backtest, and checks of a forecast: level, intervals, and its own past."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

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
    say,
    styled,
)

__all__ = ["backtest", "coverage", "predictive_check", "tracking_by_cutoff"]


@styled
def backtest(
    measured: Mapping[str, Mapping[str, Sequence[float]]],
    *,
    winner: str | None = None,
    title: str = "How the candidates would have done",
    subtitle: str = "a light dot a cutoff, the dark one their mean",
) -> Figure:
    """Candidates as rows, one panel a measure, a dot a cutoff.

    Args:
        measured: Panel title -> candidate -> its values, one a cutoff. Titles that begin with
            "bias" are drawn in per cent round zero; the others as they are.
        winner: Drawn in colour.
        title: The headline.
        subtitle: The line under it.
    """
    names = list(next(iter(measured.values()), {}))
    figure = page(title, subtitle)
    if not names:
        say(figure.subplots(), "no earlier cutoff to look at")
        return figure
    panels = figure.subplots(1, len(measured), sharey=True, squeeze=False)[0]
    rows = np.arange(len(names))[::-1]
    for axes, (what, found) in zip(panels, measured.items(), strict=True):
        shown = [np.asarray(found.get(name, ()), dtype=np.float64) for name in names]
        shown = [values[np.isfinite(values)] for values in shown]
        everything = np.concatenate([*shown, [0.0]]) if what.startswith("bias") else None
        for row, name, values in zip(rows, names, shown, strict=True):
            dark = FORECAST if name == winner else INK
            axes.plot(values, np.full(values.size, row), "o", color=FORECAST_LIGHT, markersize=5)
            if values.size:
                axes.plot([values.mean()], [row], "o", color=dark, markersize=8)
        if everything is not None:
            axes.axvline(0.0, color=MUTED, linewidth=1.0)
            reach = 1.1 * max(float(np.quantile(np.abs(everything), 0.9)), 0.05)
            axes.set_xlim(-reach, reach)
            percent_axis(axes.xaxis)
        axes.set_title(what, fontsize=11)
        axes.grid(visible=True, axis="both", color=RULE)
        axes.xaxis.set_major_locator(MaxNLocator(3))
    size = float(np.clip(160 / len(names), 6.5, 11.0))
    panels[0].set_yticks(rows, [name.replace("_", " ") for name in names], fontsize=size)
    return figure


@styled
def tracking_by_cutoff(
    weeks: Mapping[str, tuple[npt.ArrayLike, npt.ArrayLike]],
    *,
    title: str = "Repeat purchases after each cutoff, week by week",
    subtitle: str = "dark: happened; blue: forecast at the cutoff",
) -> Figure:
    """Purchases a week after each cutoff, real and expected, side by side.

    Args:
        weeks: Cutoff -> purchases that came and purchases expected, one number a week.
        title: The headline.
        subtitle: The line under it.
    """
    figure = page(title, subtitle)
    if not weeks:
        say(figure.subplots(), "no earlier cutoff to look at")
        return figure
    columns = min(3, len(weeks))
    rows = -(-len(weeks) // columns)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    top = max(float(np.max(values, initial=0.0)) for pair in weeks.values() for values in pair)
    for axes, (cutoff, (actual, expected)) in zip(panels, weeks.items(), strict=False):
        happened, forecast = (np.asarray(v, dtype=np.float64) for v in (actual, expected))
        week = np.arange(1, happened.size + 1)
        axes.plot(week, happened, color=INK, linewidth=1.6)
        axes.plot(week, forecast, color=FORECAST)
        total = happened.sum()
        off = f"{forecast.sum() / total - 1:+.0%}" if total > 0 else plural(total, "purchase")
        axes.set_title(f"{cutoff}: {off}", fontsize=11)
        axes.set_ylim(0.0, 1.08 * max(top, 1e-9))
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        compact_axis(axes.yaxis)
    for axes in panels[len(weeks) :]:
        axes.set_visible(False)
    return figure


@styled
def coverage(
    pit: Mapping[str, npt.ArrayLike],
    *,
    title: str = "Do the intervals hold?",
    subtitle: str = "share of outcomes inside the central interval of each level",
) -> Figure:
    """Nominal level against the share of outcomes inside, from randomised PIT values.

    Args:
        pit: What was foretold -> PIT values, one a customer.
        title: The headline.
        subtitle: The line under it.
    """
    figure = page(title, subtitle)
    axes = figure.subplots()
    if not pit:
        say(axes, "no intervals: this candidate gives one number a customer")
        return figure
    level = np.linspace(0.0, 1.0, 101)
    axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1.2)
    for (what, values), colour in zip(pit.items(), (FORECAST, INK), strict=False):
        off = 2.0 * np.abs(np.asarray(values, dtype=np.float64) - 0.5)
        inside = np.searchsorted(np.sort(off), level, side="right") / off.size
        at_90 = float((off <= 0.9).mean())
        axes.plot(level, inside, color=colour, label=f"{what}: {at_90:.1%} inside 90 %")
    axes.set(xlabel="level of the interval", ylabel="inside", xlim=(0, 1), ylim=(0, 1.02))
    percent_axis(axes.xaxis)
    percent_axis(axes.yaxis)
    axes.legend(loc="upper left")
    return figure


@styled
def predictive_check(
    table: Mapping[str, npt.ArrayLike],
    *,
    title: str = "Does the model know its own past?",
    subtitle: str = "customers by repeat purchases so far",
) -> Figure:
    """Customers by repeat purchases, counted and as expected by posterior and by prior.

    Args:
        table: Columns repeat_purchases, customers, posterior, prior; the last group is "or more".
        title: The headline.
        subtitle: The line under it.
    """
    at, counted, after, before = (
        np.asarray(table[name], dtype=np.float64)
        for name in ("repeat_purchases", "customers", "posterior", "prior")
    )
    figure = page(title, subtitle)
    axes = figure.subplots()
    axes.bar(at, counted, 0.72, color=RULE, label="counted")
    for values, label, colour in ((before, "prior", MUTED), (after, "posterior", FORECAST)):
        if np.isfinite(values).any():
            axes.plot(at, values, "o", color=colour, markersize=8, label=label)
    axes.set(xlabel="repeat purchases", ylabel="customers")
    axes.set_xticks(at, [f"{x:.0f}{'+' if x == at[-1] else ''}" for x in at])
    compact_axis(axes.yaxis)
    axes.legend(loc="upper right")
    return figure
