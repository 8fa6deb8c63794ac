"""Pictures of an evaluation, in one quiet style that stays readable in a small chart.

Each function returns a `matplotlib.figure.Figure` made through the object interface: no
window, no global state, nothing to close. Dark line or dot: what happened. Blue: what was
forecast. Grey: the reference.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ParamSpec

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

from training import metrics

__all__ = [
    "alive_matrix",
    "calibration",
    "deciles",
    "frequency",
    "gain_and_lift",
    "pixels",
    "posterior",
    "scores",
    "tracking",
]

P = ParamSpec("P")
Vector = npt.NDArray[np.float64]

INK = "#1b2733"
TEXT = "#4a5763"
MUTED = "#8a96a3"
RULE = "#e3e8ed"
FORECAST = "#2a6fbb"
FORECAST_LIGHT = "#a9c8e8"
CHURNED = "#c8553d"

_SIZE = (7.2, 4.8)
_DPI = 150
_STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 12.0,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": TEXT,
    "axes.labelsize": 12.0,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.titlesize": 12.0,
    "axes.titlecolor": TEXT,
    "axes.titlelocation": "left",
    "grid.color": RULE,
    "grid.linewidth": 0.8,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": TEXT,
    "ytick.labelcolor": TEXT,
    "xtick.labelsize": 11.0,
    "ytick.labelsize": 11.0,
    "xtick.major.size": 3.0,
    "ytick.major.size": 0.0,
    "legend.frameon": False,
    "legend.fontsize": 11.0,
    "legend.labelcolor": TEXT,
    "legend.handlelength": 1.4,
    "text.color": INK,
    "lines.linewidth": 2.2,
    "lines.solid_capstyle": "round",
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "mathtext.default": "regular",
}


def _styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Draw under our style and leave the caller's matplotlib settings alone."""

    @functools.wraps(draw)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with mpl.rc_context():
            mpl.rcdefaults()
            mpl.rcParams.update(_STYLE)
            figure = draw(*args, **kwargs)
            # Laid out here, once: what is drawn later under other settings stays put.
            FigureCanvasAgg(figure).draw()  # type: ignore[no-untyped-call]
            figure.set_layout_engine("none")
            return figure

    return wrapper


def _page(title: str, subtitle: str) -> Figure:
    """An empty page with a headline and one line under it."""
    figure = Figure(figsize=_SIZE, dpi=_DPI, layout="constrained")
    figure.get_layout_engine().set(rect=(0.01, 0.01, 0.98, 0.84), w_pad=0.06)  # type: ignore[union-attr, call-arg]
    figure.text(0.025, 0.955, title, fontsize=15, fontweight="bold", color=INK, va="center")
    figure.text(0.025, 0.893, subtitle, fontsize=11, color=TEXT, va="center")
    return figure


def pixels(figure: Figure) -> npt.NDArray[np.uint8]:
    """One of our figures as an RGB image, shape (height, width, 3)."""
    canvas = figure.canvas
    if not isinstance(canvas, FigureCanvasAgg):
        raise TypeError("expected a figure made by this module")
    return np.asarray(canvas.buffer_rgba(), dtype=np.uint8)[..., :3].copy()  # type: ignore[no-untyped-call]


def _compact(value: float) -> str:
    """A number short enough for an axis: 950, 1.2k, 34k, 5.6M."""
    for size, suffix in ((1e9, "bn"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            short = f"{value / size:.3g}"
            return f"{short}{suffix}"
    return f"{value:.3g}"


def _percent(axis: Any) -> None:
    axis.set_major_formatter(PercentFormatter(1.0, decimals=0))


def _compact_axis(axis: Any) -> None:
    axis.set_major_formatter(FuncFormatter(lambda value, _: _compact(value)))


def _say(axes: Axes, text: str) -> None:
    """Say why there is nothing to see."""
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=MUTED)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    axes.set_xticks([])
    axes.set_yticks([])


def _plural(n: float, noun: str) -> str:
    return f"{n:,.0f} {noun}" + ("" if n == 1 else "s")


@_styled
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
    figure = _page(
        title,
        f"{_plural(forecast.size, 'customer')}, calibration error {metrics.ece(y, p):.3f}, "
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
    _percent(upper.yaxis)
    counts, edges = np.histogram(forecast, bins=40, range=(0.0, 1.0))
    lower.bar(edges[:-1], counts, width=np.diff(edges), align="edge", color=FORECAST_LIGHT)
    lower.set(xlabel="forecast churn probability")
    lower.text(0.012, 0.74, "customers", transform=lower.transAxes, color=MUTED, fontsize=10)
    lower.yaxis.set_major_locator(MaxNLocator(2, integer=True))
    lower.grid(visible=False)
    _compact_axis(lower.yaxis)
    _percent(lower.xaxis)
    return figure


@_styled
def gain_and_lift(
    y: npt.ArrayLike, p: npt.ArrayLike, *, title: str = "Churners found by contacting the top"
) -> Figure:
    """Cumulative gain (left) and lift (right) by share of customers contacted."""
    actual = np.asarray(y, dtype=np.float64)
    at, gain = metrics.cumulative_gain(y, p)
    rate = actual.mean()
    figure = _page(title, f"{_plural(actual.size, 'customer')}, {rate:.0%} churned")
    left, right = figure.subplots(1, 2)
    left.set(xlabel="share contacted", title="share of churners found")
    right.set(xlabel="share contacted", title="times better than random")
    if rate == 0:
        _say(left, "nobody churned")
        _say(right, "nobody churned")
        return figure
    left.plot([0, rate, 1], [0, 1, 1], color="#c3ccd5", linewidth=1.6)
    left.plot([0, 1], [0, 1], color=MUTED, linewidth=1.2, linestyle=(0, (4, 3)))
    left.fill_between(at, at, gain, color=FORECAST_LIGHT, alpha=0.35, linewidth=0)
    left.plot(at, gain, color=FORECAST)
    left.set(xlim=(0, 1), ylim=(0, 1.02))
    _percent(left.xaxis)
    _percent(left.yaxis)
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
    _percent(right.xaxis)
    return figure


@_styled
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
    figure = _page(title, f"{_plural(size, 'customer')} in groups of one size, highest first")
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
        _percent(axes.yaxis)
        axes.set_ylim(0, 1.02)
    else:
        _compact_axis(axes.yaxis)
    axes.legend(loc="upper right")
    return figure


@_styled
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
    figure = _page(
        title, "mean per customer in the holdout; customers in each group below the axis"
    )
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


@_styled
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
    figure = _page(title, note)
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
        _compact_axis(axes.yaxis)
    right.legend(loc="upper left")
    if ahead.any():
        left.text(
            0.98, 0.03, "holdout", transform=left.transAxes, ha="right", color=MUTED, fontsize=10
        )
    return figure


_BLUES = LinearSegmentedColormap.from_list(
    "alive", ["#f4f6f8", "#cfe0f1", "#86b3de", "#3f83c6", "#12487f"]
)


def _edges(centres: Vector) -> Vector:
    """Borders of cells round evenly spaced centres; one centre alone gets a cell of size one."""
    half = (centres[1] - centres[0]) / 2 if centres.size > 1 else 0.5
    return np.append(centres - half, centres[-1] + half)


@_styled
def alive_matrix(
    p_alive: npt.ArrayLike,
    frequencies: Sequence[float],
    days_since_last: Sequence[float],
    *,
    title: str = "Who is still a customer?",
    subtitle: str = "P(alive) by purchases so far and silence since the last one",
) -> Figure:
    """P(alive) over frequency (across) and days since the last purchase (up).

    Args:
        p_alive: Shape (days since last, frequency).
        frequencies: Repeat purchases, one a column.
        days_since_last: Days since the last purchase, one a row.
        title: The headline.
        subtitle: The line under it.
    """
    grid = np.asarray(p_alive, dtype=np.float64)
    figure = _page(title, subtitle)
    axes = figure.subplots()
    x, y = np.asarray(frequencies, dtype=np.float64), np.asarray(days_since_last, dtype=np.float64)
    image = axes.pcolormesh(_edges(x), _edges(y), grid, cmap=_BLUES, vmin=0.0, vmax=1.0)
    if min(grid.shape) > 1 and np.ptp(grid) > 0:
        levels = [v for v in (0.25, 0.5, 0.75) if grid.min() < v < grid.max()]
        if levels:
            lines = axes.contour(x, y, grid, levels=levels, colors=[INK], linewidths=1.1)
            axes.clabel(lines, fmt=lambda v: f"{v:.0%}", fontsize=10, inline_spacing=6)
    axes.set(xlabel="repeat purchases", ylabel="days since the last purchase")
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True, min_n_ticks=1))
    axes.grid(visible=False)
    bar = figure.colorbar(image, ax=axes, pad=0.02, aspect=28)
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0)
    bar.ax.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    return figure


@_styled
def posterior(
    draws: Mapping[str, npt.ArrayLike],
    *,
    title: str = "What the data say about the parameters",
    subtitle: str = "posterior; bar: 90 % interval, dot: median",
) -> Figure:
    """Histogram of the posterior draws of each parameter, with median and 90 % interval."""
    figure = _page(title, subtitle)
    names = list(draws)
    if not names:
        _say(figure.subplots(), "no posterior: this candidate has no sampled parameters")
        return figure
    columns = min(4, len(names))
    rows = -(-len(names) // columns)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, name in zip(panels, names, strict=False):
        values = np.asarray(draws[name], dtype=np.float64)
        low, middle, high = np.quantile(values, [0.05, 0.5, 0.95])
        # The last half per mille would stretch the axis and hide the shape.
        inner = values[
            (values >= np.quantile(values, 0.002)) & (values <= np.quantile(values, 0.998))
        ]
        bins = int(np.clip(np.sqrt(values.size), 8, 40))
        counts, edges = np.histogram(inner if inner.size else values, bins=bins)
        axes.stairs(counts, edges, fill=True, color=FORECAST_LIGHT)
        floor = -0.09 * counts.max()
        axes.plot([low, high], [floor, floor], color=FORECAST, linewidth=3)
        axes.plot([middle], [floor], "o", color=FORECAST, markersize=7, markeredgecolor="white")
        axes.set_title(f"{name}\n{middle:.3g}", loc="center", color=INK)
        axes.set_ylim(2.2 * floor, 1.05 * counts.max())
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        axes.grid(visible=False)
        axes.xaxis.set_major_locator(MaxNLocator(2, prune=None))
        axes.tick_params(axis="x", labelsize=10)
    for axes in panels[len(names) :]:
        axes.set_visible(False)
    return figure


@_styled
def scores(
    y: npt.ArrayLike, p: npt.ArrayLike, *, title: str = "Scores of those who left and stayed"
) -> Figure:
    """Histogram of the churn probability, apart for customers who churned and who did not."""
    actual, forecast = np.asarray(y, dtype=np.float64), np.asarray(p, dtype=np.float64)
    auc = metrics.roc_auc(y, p)
    figure = _page(
        title,
        f"{_plural(actual.sum(), 'churner')}, {_plural((1 - actual).sum(), 'customer')} who bought "
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
    _compact_axis(axes.yaxis)
    _percent(axes.xaxis)
    axes.legend(loc="upper left" if auc != auc or np.median(forecast) > 0.5 else "upper right")
    return figure
