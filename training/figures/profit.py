"""Pictures of what a campaign earns: by its length, by policy, and by the save rate."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from models.metrics.inputs import Array
from training.figures.style import (
    FORECAST,
    FORECAST_LIGHT,
    INK,
    MUTED,
    RULE,
    compact_axis,
    page,
    percent_axis,
    styled,
)

__all__ = ["off_policy", "policy_backtest", "profit_curve", "stress"]

_SAME_SIZE = "_same_size"


@styled
def profit_curve(
    curve: Mapping[str, Array],
    policies: pd.DataFrame,
    *,
    model: str = "model",
    title: str = "What the campaign earns",
) -> Figure:
    """Profit by share of customers contacted (left), and of each policy (right).

    Args:
        curve: Columns of `metrics.profit_curve`.
        policies: Table of `metrics.campaign_policies`. Policies of the model's size are left
            out, and stand in the table.
        model: The policy that the curve belongs to.
        title: The headline.
    """
    rows = policies.set_index("policy")
    chosen = {
        name: float(rows[name][model])
        for name in ("contacted", "expected_profit", "realised_profit")
    }
    figure = page(
        title,
        f"contacting {chosen['contacted']:.0%} earns {_money(chosen['realised_profit'])} per "
        f"customer of the base ({_money(chosen['expected_profit'])} expected)",
    )
    left, right = figure.subplots(1, 2, width_ratios=(1.15, 1))
    _draw_curve(left, curve, chosen)
    shown = [name for name in rows.index if not str(name).endswith(_SAME_SIZE)]
    _draw_policies(right, rows.loc[shown], model)
    return figure


def _draw_curve(axes: Axes, curve: Mapping[str, Array], chosen: Mapping[str, float]) -> None:
    share = curve["share"]
    axes.plot(
        [0, 1],
        [0, curve["realised"][-1]],
        color=MUTED,
        linewidth=1.2,
        linestyle=(0, (4, 3)),
        label="in random order",
    )
    axes.fill_between(share, curve["low"], curve["high"], color=RULE, linewidth=0)
    axes.plot(share, curve["expected"], color=FORECAST, linewidth=1.8, label="expected")
    axes.plot(share, curve["realised"], color=INK, linewidth=1.8, label="realised")
    axes.plot(
        [chosen["contacted"]],
        [chosen["realised_profit"]],
        "o",
        color=INK,
        markersize=8,
        markeredgecolor="white",
        zorder=4,
    )
    axes.axhline(0.0, color=MUTED, linewidth=0.8)
    axes.set(xlim=(0, 1), xlabel="share contacted", title="profit per customer")
    span = np.ptp([*curve["low"], *curve["high"], *curve["expected"]])
    low, high = axes.get_ylim()
    if span == 0.0:
        low, high = -1.0, 1.0
    # The legend stands below the curves, where none of them runs.
    axes.set_ylim(low - 0.33 * (high - low), high)
    axes.legend(loc="lower left", labelspacing=0.25)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    percent_axis(axes.xaxis)
    compact_axis(axes.yaxis)


def _draw_policies(axes: Axes, rows: pd.DataFrame, model: str) -> None:
    at = np.arange(len(rows))[::-1]
    own = rows.index == model
    for members, line, dot in ((~own, "#c3ccd5", INK), (own, FORECAST_LIGHT, FORECAST)):
        axes.hlines(
            at[members], rows["low"][members], rows["high"][members], color=line, linewidth=4
        )
        axes.plot(
            rows["realised_profit"][members],
            at[members],
            "o",
            color=dot,
            markersize=7,
            markeredgecolor="white",
        )
    axes.axvline(0.0, color=MUTED, linewidth=0.8)
    axes.set(ylim=(-0.6, len(rows) - 0.4), title="by policy, with interval")
    axes.set_yticks(at, [str(name).replace("_", " ") for name in rows.index])
    axes.grid(visible=False, axis="y")
    axes.grid(visible=True, axis="x")
    axes.margins(x=0.08)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    compact_axis(axes.xaxis)


@styled
def stress(table: pd.DataFrame, *, title: str = "If the save rate is another one") -> Figure:
    """Profit of lists built for an assumed save rate, by the one that turns out to be true.

    Left: what each list earns. Right: what it gives up against the list built for the true rate.

    Args:
        table: Table of `metrics.stress`.
        title: The headline.
    """
    figure = page(title, "realised profit per customer of lists built for one save rate")
    left, right = figure.subplots(1, 2)
    built = sorted(table["assumed"].unique())
    shades = [FORECAST_LIGHT, FORECAST, INK]
    for i, rate in enumerate(built):
        rows = table[table["assumed"] == rate]
        style = {
            "color": shades[i % len(shades)],
            "label": f"for {rate:.0%}, contacts {rows['contacted'].iloc[0]:.0%}",
        }
        left.plot(rows["true"], rows["realised_profit"], **style)
        right.plot(rows["true"], rows["realised_profit"] - rows["best_profit"], **style)
    left.set(title="profit per customer", xlabel="true save rate")
    right.set(title="against the list for the true rate", xlabel="true save rate")
    for axes in (left, right):
        axes.axhline(0.0, color=MUTED, linewidth=0.8, zorder=1)
        axes.margins(x=0.0)
        axes.xaxis.set_major_locator(MaxNLocator(4))
        percent_axis(axes.xaxis)
        compact_axis(axes.yaxis)
    left.legend(loc="upper left")
    return figure


def _money(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.2f}"


@styled
def policy_backtest(
    table: pd.DataFrame,
    *,
    model: str = "model",
    title: str = "What the plan would have earned",
) -> Figure:
    """Realised profit of each policy (left); expected against realised, by cutoff (right).

    Args:
        table: Table of `training.policy_backtest.policy_backtest`.
        model: The plan among its policies.
        title: The headline.
    """
    single = table[table["cutoff"] != "all"]
    cutoffs = list(dict.fromkeys(single["cutoff"]))
    whole = table[table["cutoff"] == table["cutoff"].iloc[0]].set_index("policy")
    chosen = {name: float(whole[name][model]) for name in ("expected_profit", "realised_profit")}
    figure = page(
        title,
        f"the plan earned {_money(chosen['realised_profit'])} per customer and cutoff "
        f"({_money(chosen['expected_profit'])} expected), {len(cutoffs)} "
        f"cutoff{'' if len(cutoffs) == 1 else 's'}",
    )
    left, right = figure.subplots(1, 2, width_ratios=(1.15, 1))
    _draw_policies(left, whole, model)
    rows = single[single["policy"] == model]
    at = np.arange(len(rows))
    right.vlines(at, rows["low"], rows["high"], color=RULE, linewidth=6)
    right.plot(at, rows["realised_profit"], "o", color=INK, markersize=7, label="realised")
    right.plot(
        at, rows["expected_profit"], "D", color=FORECAST, markersize=6, label="expected", zorder=3
    )
    right.axhline(0.0, color=MUTED, linewidth=0.8)
    right.set_xticks(at, [str(day) for day in rows["cutoff"]], rotation=30, ha="right")
    right.set(title="the plan, cutoff by cutoff")
    right.margins(x=0.2, y=0.15)
    low, high = right.get_ylim()
    right.set_ylim(low - 0.2 * (high - low), high)  # room for the legend below the points
    right.legend(loc="lower left", labelspacing=0.25, ncols=2)
    compact_axis(right.yaxis)
    return figure


@styled
def off_policy(
    table: pd.DataFrame,
    *,
    model: str = "model",
    title: str = "What lists would have earned in past campaigns",
) -> Figure:
    """Gain of each policy beyond contacting nobody, with its interval: no save rate is assumed.

    Args:
        table: Table of `training.off_policy.off_policy_backtest`, whose first campaign is drawn.
        model: The plan among its policies.
        title: The headline.
    """
    first = table["campaign"].iloc[0]
    rows = table[table["campaign"] == first].set_index("policy")
    rows = rows[rows["gain"].notna()].rename(columns={"gain": "realised_profit"})
    figure = page(
        title,
        f"{'campaigns together' if first == 'all' else first}: treated against held back, "
        "among those on each list",
    )
    axes = figure.subplots()
    _draw_policies(axes, rows, model)
    axes.set(title="", xlabel="money per customer of the base beyond contacting nobody")
    return figure
