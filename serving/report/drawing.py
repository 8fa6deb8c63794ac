"""How charts come to the page: their common look, the library, and drawings without a browser."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

__all__ = ["AUTOSIZE", "CONFIG", "HEIGHT", "library", "picture", "script_safe", "without_gaps"]

HEIGHT = 232
"""Of a chart that says nothing else, in pixels."""

_STATIC_WIDTH = {False: 470, True: 980}
_FONT = "Inter, 'Segoe UI', system-ui, -apple-system, 'Helvetica Neue', Arial, 'PingFang SC', "
_FONT += "'Microsoft YaHei', 'Noto Sans CJK SC', sans-serif"

CONFIG: dict[str, Any] = {
    "background": "transparent",
    "font": _FONT,
    "padding": {"left": 0, "right": 8, "top": 6, "bottom": 4},
    "view": {"stroke": None},
    "axis": {
        "labelColor": "var(--soft)",
        "labelFontSize": 11.5,
        "titleColor": "var(--soft)",
        "titleFontSize": 11.5,
        "titleFontWeight": "normal",
        "titlePadding": 10,
        "domain": False,
        "ticks": False,
        "labelPadding": 8,
        "grid": False,
        "gridColor": "var(--line)",
    },
    "axisQuantitative": {"grid": True, "tickCount": 5},
    "axisX": {"labelAngle": 0},
    "bar": {"color": "var(--accent)"},
    "line": {"strokeWidth": 2.25, "strokeCap": "round", "strokeJoin": "round"},
    "rule": {"color": "var(--soft)"},
    "text": {"font": _FONT, "fontSize": 11.5, "color": "var(--ink)"},
}
"""The look that all charts share."""


def picture(key: str, spec: Mapping[str, Any], *, wide: bool) -> str:
    """Draw a chart as SVG, for those who have no script, and for print before any has run.

    Args:
        key: Name of the chart, for the names within the drawing.
        spec: The chart.
        wide: Whether it takes the whole width of the page.
    """
    import vl_convert

    whole = {**spec, "config": CONFIG, "width": _STATIC_WIDTH[wide], "autosize": AUTOSIZE}
    whole.setdefault("height", HEIGHT)
    svg: str = vl_convert.vegalite_to_svg(whole)
    # The figure says in words what the drawing shows; its parts need not say it again.
    svg = re.sub(r' (aria-[a-z]+|role|pointer-events|xmlns:xlink)="[^"]*"', "", svg)
    # The names of clipping paths are counted up over all drawings of a process.
    marks = dict.fromkeys(re.findall(r'id="(\w+)"', svg))
    for i, mark in enumerate(marks):
        svg = re.sub(rf"(id=\"|url\(#){mark}\b", rf"\g<1>{key}-{i}", svg)
    return svg.replace("<svg ", '<svg aria-hidden="true" focusable="false" ', 1)


AUTOSIZE = {"type": "fit-x", "contains": "padding"}
"""Charts fill the width that they are given."""


@cache
def library() -> str:
    """The charting library as one script: Vega-Embed, which brings Vega-Lite and Vega."""
    import vl_convert

    script: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    return script.replace("</script", "<\\/script").replace("<!--", "<\\!--")


def without_gaps(value: Any) -> Any:
    """The same with None for every number that is none: JSON has no word for those.

    >>> without_gaps({"y": float("nan"), "rows": [1.5, float("inf")]})
    {'y': None, 'rows': [1.5, None]}
    """
    if isinstance(value, Mapping):
        return {key: without_gaps(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [without_gaps(inner) for inner in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return value


def script_safe(value: object) -> str:
    r"""JSON that may stand within a script element, whatever texts it holds.

    >>> script_safe({"id": "</script><b>"})
    '{"id":"\\u003c/script\\u003e\\u003cb\\u003e"}'
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for mark in "<>&\u2028\u2029":
        text = text.replace(mark, f"\\u{ord(mark):04x}")
    return text
