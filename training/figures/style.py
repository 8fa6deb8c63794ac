"""The look that all figures share, and their way to pixels."""

import functools
from collections.abc import Callable
from typing import Any, ParamSpec

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, PercentFormatter

__all__ = [
    "CHURNED",
    "FORECAST",
    "FORECAST_LIGHT",
    "INK",
    "MUTED",
    "RULE",
    "TEXT",
    "compact_axis",
    "page",
    "percent_axis",
    "pixels",
    "plural",
    "say",
    "styled",
]

P = ParamSpec("P")

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


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
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


def page(title: str, subtitle: str) -> Figure:
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


def percent_axis(axis: Any) -> None:
    """Write an axis in per cent."""
    axis.set_major_formatter(PercentFormatter(1.0, decimals=0))


def compact_axis(axis: Any) -> None:
    """Write an axis in short numbers, such as 34k."""
    axis.set_major_formatter(FuncFormatter(lambda value, _: _compact(value)))


def say(axes: Axes, text: str) -> None:
    """Say why there is nothing to see."""
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=MUTED)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    axes.set_xticks([])
    axes.set_yticks([])


def plural(n: float, noun: str) -> str:
    """A count with its noun: "1 customer", "1,200 customers"."""
    return f"{n:,.0f} {noun}" + ("" if n == 1 else "s")
