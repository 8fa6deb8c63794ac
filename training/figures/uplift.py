"""The picture of a ranking by effect: the Qini curve."""

import pandas as pd
from matplotlib.figure import Figure

from training.figures.style import FORECAST, FORECAST_LIGHT, MUTED, page, percent_axis, styled

__all__ = ["qini"]


@styled
def qini(curve: pd.DataFrame, *, title: str, what: str = "purchases") -> Figure:
    """Gain by share of customers contacted, against a random choice.

    Args:
        curve: As `models.uplift.qini.qini_band` gives it.
        title: The headline.
        what: What is gained.
    """
    last = float(curve["gain"].iloc[-1])
    figure = page(title, f"treating everybody adds {last:+.3f} {what} a customer")
    axes = figure.subplots()
    axes.fill_between(curve["share"], curve["low"], curve["high"], color=FORECAST_LIGHT, alpha=0.5)
    axes.plot(curve["share"], curve["random"], color=MUTED, label="random choice")
    axes.plot(curve["share"], curve["gain"], color=FORECAST, label="highest effects first")
    axes.set_xlabel("share of customers contacted")
    axes.set_ylabel(f"{what} added, a customer of all")
    axes.set_xlim(0, 1)
    percent_axis(axes.xaxis)
    axes.legend(loc="upper left")
    return figure
