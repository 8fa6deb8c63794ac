"""Charts as Vega-Lite: the few kinds that the report needs.

Colours are the names of the page's CSS variables, so light, dark and print need no second drawing.
What a chart says on hovering is made here as text, so the browser formats axis ticks only.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from serving.report.words import Words

__all__ = ["ACCENT", "ALARM", "QUIET", "columns", "heat", "intervals", "lines", "ranked"]

Row = Mapping[str, Any]
Spec = dict[str, Any]

ACCENT, QUIET, ALARM = "var(--accent)", "var(--quiet)", "var(--alarm)"


def columns(
    words: Words,
    rows: Sequence[Row],
    unit: str,
    *,
    colours: Mapping[str, str] | None = None,
    title: str | None = None,
) -> Spec:
    """Standing bars, stacked where `colours` names series.

    Args:
        words: Of the page.
        rows: x (text), y, tip; s, the series; pale, for a bar that is not whole.
        unit: Of y, as in the long table.
        colours: Series -> colour, from the bottom up; None: one series.
        title: Below the axis.
    """
    encoding: Spec = {
        "x": _names_axis(title),
        "y": {"field": "y", "type": "quantitative", "axis": _ticks(words, unit), "title": None},
        "tooltip": {"field": "tip"},
    }
    if colours:
        encoding["color"] = _series(colours)
        encoding["order"] = {"field": "order", "type": "quantitative"}
        order = {name: i for i, name in enumerate(colours)}
        rows = [{**row, "order": order[str(row["s"])]} for row in rows]
    else:
        lead = {"test": "datum.lead", "value": ACCENT}
        encoding["color"] = {"condition": lead, "value": QUIET}
    mark: Spec = {"type": "bar", "width": {"band": 0.78}}
    return {
        "data": {"values": list(rows)},
        "mark": mark if colours else {**mark, "cornerRadiusEnd": 2},
        "encoding": encoding,
    }


def lines(
    words: Words,
    rows: Sequence[Row],
    unit: str,
    colours: Mapping[str, str],
    *,
    numeric: bool = False,
    x_unit: str = "number",
    title: str | None = None,
    zero: bool = True,
    y_title: str | None = None,
    rule: float | None = None,
    diagonal: bool = False,
    points: bool = False,
) -> Spec:
    """Lines over time or over a number, with bands where rows have low and high.

    Args:
        words: Of the page.
        rows: x, y, s, tip; low and high where there is an interval.
        unit: Of y.
        colours: Series -> colour.
        numeric: Whether x is a number.
        x_unit: Of a number x.
        title: Below the axis.
        zero: Whether the axis starts at 0.
        y_title: Beside the axis.
        rule: Where to draw a line across.
        diagonal: Whether to draw where y equals x, from 0 to 1.
        points: Whether to mark the points themselves.
    """
    x: Spec = _names_axis(title)
    if numeric:
        axis = {**_ticks(words, x_unit), "grid": False, "tickCount": 6}
        x = {
            "field": "x", "type": "quantitative", "title": title, "axis": axis,
            "scale": {"nice": False, "zero": False},
        }  # fmt: skip
    y = {
        "field": "y", "type": "quantitative", "title": y_title, "axis": _ticks(words, unit),
        "scale": {"zero": zero},
    }  # fmt: skip
    layers: list[Spec] = []
    if diagonal:
        corner = [{"x": 0, "y": 0}, {"x": 1, "y": 1}]
        layers.append(
            {
                "data": {"values": corner},
                "mark": {"type": "line", "color": "var(--faint)", "strokeWidth": 1,
                         "strokeDash": [4, 4]},
                "encoding": {"x": x, "y": y},
            }
        )  # fmt: skip
    if rule is not None:
        layers.append(_rule(rule, "y"))
    if any("low" in row for row in rows):
        mark: Spec = {"type": "area", "opacity": 0.16}
        span: Spec = {"x": x, "y": {**y, "field": "low"}, "y2": {"field": "high"}}
        if points:
            mark = {"type": "rule", "strokeWidth": 1.5, "opacity": 0.55}
        layers.append(
            {
                "transform": [{"filter": "isValid(datum.low)"}],
                "mark": mark,
                "encoding": {**span, "color": _series(colours)},
            }
        )
    layers.append(
        {"mark": {"type": "line"}, "encoding": {"x": x, "y": y, "color": _series(colours)}}
    )
    near = {"type": "point", "on": "pointerover", "nearest": True, "clear": "pointerout"}
    seen = {"condition": {"param": "near", "empty": False, "value": 1}, "value": int(points)}
    layers.append(
        {
            "params": [{"name": "near", "select": near}],
            "mark": {"type": "point", "filled": True, "size": 56, "stroke": "var(--card)",
                     "strokeWidth": 1.5},
            "encoding": {
                "x": x, "y": y, "color": _series(colours), "opacity": seen,
                "tooltip": {"field": "tip"},
            },
        }
    )  # fmt: skip
    return {"data": {"values": list(rows)}, "layer": layers}


def ranked(
    words: Words,
    rows: Sequence[Row],
    unit: str,
    *,
    rule: float | None = None,
    title: str | None = None,
) -> Spec:
    """Lying bars, each with its value at the end.

    Args:
        words: Of the page.
        rows: x (text), y, tip, text (what stands at the end of the bar), lead.
        unit: Of y.
        rule: Where to draw a line across.
        title: Below the axis.
    """
    y = {
        "field": "x", "type": "nominal", "sort": None, "title": None,
        "axis": {"labelLimit": 150, "labelColor": "var(--ink)"},
    }  # fmt: skip
    ends = [float(row["y"]) for row in rows] or [0.0]
    reach: Spec = {"zero": True, "nice": False, "padding": 44}
    if min(ends) >= 0:  # room for the figure at the end, on a phone as well
        most = max(*ends, rule or 0.0, 1e-9)
        room = {"expr": f"{most} * max(width, 120) / max(width - 58, 60)"}
        reach = {"domainMin": 0, "domainMax": room, "nice": False}
    x = {
        "field": "y", "type": "quantitative", "title": title, "scale": reach,
        "axis": None if title is None else _ticks(words, unit),
    }  # fmt: skip
    lead = {"condition": {"test": "datum.lead", "value": ACCENT}, "value": QUIET}
    at_end: Spec = {"align": "left", "dx": 6}
    if min(ends) < 0:
        at_end = {
            "align": {"expr": "datum.y < 0 ? 'right' : 'left'"},
            "dx": {"expr": "datum.y < 0 ? -6 : 6"},
        }
    layers: list[Spec] = [
        {
            "mark": {"type": "bar", "cornerRadiusEnd": 2, "height": {"band": 0.66}},
            "encoding": {"color": lead, "tooltip": {"field": "tip"}},
        },
        {"mark": {"type": "text", **at_end}, "encoding": {"text": {"field": "text"}}},
    ]
    if rule is not None:
        across = _rule(rule, "x")
        # Without the rows' own places it goes through all of them.
        layers.append({**across, "encoding": {**across["encoding"], "y": None}})
    return {
        "data": {"values": list(rows)},
        "encoding": {"y": y, "x": x},
        "layer": layers,
        "height": 30 * max(len(rows), 1),
    }


def intervals(
    words: Words, rows: Sequence[Row], unit: str, *, rule: float = 0.0, title: str | None = None
) -> Spec:
    """A point and its interval a row, with a line where there is no effect.

    Args:
        words: Of the page.
        rows: x (text), y, low, high, tip; lead: whether the interval leaves out `rule`.
        unit: Of y.
        rule: No effect.
        title: Below the axis.
    """
    y = {
        "field": "x", "type": "nominal", "sort": None, "title": None,
        "axis": {"labelLimit": 170, "labelColor": "var(--ink)", "grid": False},
    }  # fmt: skip
    scale = {"zero": True, "nice": True}
    x = {
        "field": "y", "type": "quantitative", "title": title, "axis": _ticks(words, unit),
        "scale": scale,
    }  # fmt: skip
    lead = {"condition": {"test": "datum.lead", "value": ACCENT}, "value": "var(--faint)"}
    return {
        "data": {"values": list(rows)},
        "height": 30 * max(len(rows), 1),
        "layer": [
            _rule(rule, "x"),
            {
                "mark": {"type": "rule", "strokeWidth": 2.5, "strokeCap": "round"},
                "encoding": {"y": y, "x": {**x, "field": "low"}, "x2": {"field": "high"},
                             "color": lead, "tooltip": {"field": "tip"}},
            },
            {
                "mark": {"type": "point", "filled": True, "size": 78, "opacity": 1,
                         "stroke": "var(--card)", "strokeWidth": 1.5},
                "encoding": {"y": y, "x": x, "color": lead, "tooltip": {"field": "tip"}},
            },
        ],
    }  # fmt: skip


def heat(
    words: Words,
    rows: Sequence[Row],
    *,
    x_title: str,
    y_title: str,
    cuts: Sequence[float],
    text_from: int = 640,
) -> Spec:
    """A field of cells, the fuller the colour the higher the value.

    Args:
        words: Of the page.
        rows: x and y (texts), v, text, tip.
        x_title: Above the columns.
        y_title: Before the rows.
        cuts: Values at which the colour changes, at most six, rising.
        text_from: Width in pixels from which the cells bear their numbers.
    """
    steps = [f"var(--q{i})" for i in range(len(cuts) + 1)]
    top = {"labelAngle": 0, "orient": "top", "labelPadding": 4, "titlePadding": 6,
           "labelOverlap": "parity"}  # fmt: skip
    return {
        "data": {"values": list(rows)},
        "height": 22 * len({row["y"] for row in rows}),
        "encoding": {
            "x": {"field": "x", "type": "ordinal", "sort": None, "title": x_title, "axis": top},
            "y": {"field": "y", "type": "ordinal", "sort": None, "title": None,
                  "axis": {"labelPadding": 6}},
        },
        "layer": [
            {
                "mark": {"type": "rect", "stroke": "var(--card)", "strokeWidth": 1.5},
                "encoding": {
                    "color": {
                        "field": "v", "type": "quantitative", "legend": None,
                        "scale": {"type": "threshold", "domain": list(cuts), "range": steps},
                    },
                    "tooltip": {"field": "tip"},
                },
            },
            {
                "mark": {"type": "text", "fontSize": 10.5, "tooltip": None,
                         "opacity": {"expr": f"width > {text_from} ? 1 : 0"}},
                "encoding": {
                    "text": {"field": "text"},
                    "color": {"condition": {"test": f"datum.v >= {cuts[-2]}",
                                            "value": "var(--on-full)"},
                              "value": "var(--ink)"},
                },
            },
        ],
    }  # fmt: skip


def _names_axis(title: str | None) -> Spec:
    axis = {"labelOverlap": "parity", "labelSeparation": 6}
    return {"field": "x", "type": "ordinal", "sort": None, "title": title, "axis": axis}


def _series(colours: Mapping[str, str]) -> Spec:
    scale = {"domain": list(colours), "range": list(colours.values())}
    return {"field": "s", "type": "nominal", "legend": None, "scale": scale}


def _rule(at: float, channel: str) -> Spec:
    return {
        "mark": {"type": "rule", "color": "var(--soft)", "strokeWidth": 1, "strokeDash": [3, 3]},
        "encoding": {channel: {"datum": at, "type": "quantitative"}},
    }


def _ticks(words: Words, unit: str) -> Spec:
    """How the ticks of an axis are written."""
    value = "datum.value"
    if unit == "share":
        return {"labelExpr": f"format({value} * 100, '~r') + '%'"}
    before = json.dumps(words.currency) if unit == "money" else "''"
    sizes: Iterable[tuple[float, str]] = ((1e9, " bn"), (1e6, " M"), (1e3, " k"))
    if words.language == "zh":
        sizes = ((1e8, " 亿"), (1e4, " 万"))
    number = f"format(abs({value}), '~r')"
    for size, name in reversed(tuple(sizes)):
        short = f"format(abs({value}) / {size:.0f}, '~r') + {json.dumps(name)}"
        number = f"abs({value}) >= {size:.0f} ? {short} : {number}"
    sign = f"({value} < 0 ? '\u2212' : '')"
    return {"labelExpr": f"{sign} + {before} + ({number})"}
