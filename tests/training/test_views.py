"""Tests of training.views."""

import base64
import json
import zlib

from training.views import ABOUT, KIND, VIEWS, experiment_tags


def _state(tag: str) -> dict[str, object]:
    said = json.loads(tag)
    kind, packed = said["state"].split(";", 1)
    assert kind == "deflate"
    state: dict[str, object] = json.loads(zlib.decompress(base64.b64decode(packed)))
    return state


def test_a_view_can_be_read_back_as_the_page_reads_it() -> None:
    tags = experiment_tags({})
    for view in VIEWS:
        state = _state(tags[f"mlflow.sharedViewState.{view.key}"])
        assert state["searchFilter"] == view.search
        charts, sections = state["compareRunCharts"], state["compareRunSections"]
        assert isinstance(charts, list)
        assert isinstance(sections, list)
        drawn = [chart["metricKey"] for chart in charts if chart["type"] == "BAR"]
        assert drawn == [name for names in view.sections.values() for name in names]
        # Every chart stands in a section that is there, under an id of its own.
        assert {chart["metricSectionId"] for chart in charts} == {s["uuid"] for s in sections}
        assert len({chart["uuid"] for chart in charts}) == len(charts)


def test_every_tag_fits_into_the_database() -> None:
    assert all(len(value) <= 5000 for value in experiment_tags({}).values())


def test_what_somebody_has_set_stays() -> None:
    own = {"mlflow.note.content": "Ours.", f"mlflow.sharedViewState.{VIEWS[0].key}": "{}"}
    tags = experiment_tags(own)
    assert not set(own) & set(tags)
    assert KIND in tags
    assert experiment_tags({**own, **tags}) == {}


def test_a_new_experiment_is_introduced() -> None:
    assert experiment_tags({})["mlflow.note.content"] == ABOUT
