"""Charts of the report, by what they ask Vega-Lite for."""

import vl_convert

from serving.report.charts import ranked
from serving.report.words import Words


def test_a_limit_is_drawn_where_it_is_however_small_the_bars():
    rows = [{"x": name, "y": 0.0, "text": "0.00", "tip": "", "lead": False} for name in "ab"]
    spec = {"width": 400, **ranked(Words("en"), rows, "ratio", rule=0.1)}
    scene = vl_convert.vegalite_to_scenegraph(spec)["scenegraph"]
    rules = [
        item["x"]
        for group in _groups(scene)
        if group.get("marktype") == "rule" and group.get("role") == "mark"
        for item in group["items"]
    ]
    assert 300 < rules[0] < 400


def _groups(node):
    """All marks of a scene."""
    yield node
    for item in node.get("items", ()):
        yield from _groups(item)
