"""Pictures of what a purchase model has learned."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from training.figures.style import FORECAST, FORECAST_LIGHT, INK, page, say, styled

__all__ = ["alive_matrix", "posterior"]

Vector = npt.NDArray[np.float64]

_BLUES = LinearSegmentedColormap.from_list(
    "alive", ["#f4f6f8", "#cfe0f1", "#86b3de", "#3f83c6", "#12487f"]
)


def _edges(centres: Vector) -> Vector:
    """Borders of cells round evenly spaced centres; one centre alone gets a cell of size one."""
    half = (centres[1] - centres[0]) / 2 if centres.size > 1 else 0.5
    return np.append(centres - half, centres[-1] + half)


@styled
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
    figure = page(title, subtitle)
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


@styled
def posterior(
    draws: Mapping[str, npt.ArrayLike],
    *,
    title: str = "What the data say about the parameters",
    subtitle: str = "posterior; bar: 90 % interval, dot: median",
) -> Figure:
    """Histogram of the posterior draws of each parameter, with median and 90 % interval."""
    figure = page(title, subtitle)
    names = list(draws)
    if not names:
        say(figure.subplots(), "no posterior: this candidate has no sampled parameters")
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
