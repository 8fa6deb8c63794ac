"""How an experiment opens in the MLflow UI: its description, and saved views of its runs.

A saved view is what the menu Views of the page Runs offers: which runs, which columns, which
charts. MLflow keeps each as a tag of the experiment, `mlflow.sharedViewState.<key>`: JSON with the
state of the page as base64 of zlib-compressed JSON (`Save as new view` writes the same). Views are
written once; one that somebody has changed in the UI stays as it is.
"""

import base64
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["ABOUT", "KIND", "VIEWS", "View", "experiment_tags"]

KIND = "mlflow.experimentKind"
"""Tag that tells the UI to open on training runs, not on traces of language models."""
_NOTE = "mlflow.note.content"
_PREFIX = "mlflow.sharedViewState."

ABOUT = """\
**Regulars**: which customers will stay, and what each is worth.

- One run is one candidate; those of one training share the tag `training_id`, and `winner` names \
the one that was registered.
- All candidates of a training are measured on the same customers, whose outcome none of them had \
seen.
- **Views** (above the runs) opens the candidates side by side, with the charts that decide.
- The registered models are under **Model registry**: the alias `champion` is the version in use, \
and each version's description is its model card.
"""


@dataclass(frozen=True)
class View:
    """A saved view of the runs.

    Attributes:
        key: Its key among the tags, for good.
        name: What the menu shows.
        search: Which runs, as the search field takes it.
        sections: Section -> the metrics that are drawn as bars in it.
        pictures: Names of the figures that are shown side by side.
        params: Parameters among the columns of the list.
    """

    key: str
    name: str
    search: str
    sections: Mapping[str, Sequence[str]]
    pictures: Sequence[str] = ()
    params: Sequence[str] = ()

    def state(self) -> dict[str, Any]:
        """What the page is set to."""
        sections, charts = [], []
        for place, (section, metrics) in enumerate(self.sections.items()):
            uuid = f"{self.key}-{place}"
            sections.append(_section(uuid, section))
            charts += [
                _chart(f"{uuid}-{i}", "BAR", uuid, displayName=name, metricKey=name)
                for i, name in enumerate(metrics)
            ]
        if self.pictures:
            uuid = f"{self.key}-pictures"
            sections.append(_section(uuid, "Pictures"))
            charts += [
                _chart(
                    f"{uuid}-{i}", "IMAGE", uuid,
                    displayName=name, imageKeys=[name], step=0, showRunParams=False,
                )
                for i, name in enumerate(self.pictures)
            ]  # fmt: skip
        shown = [name for metrics in self.sections.values() for name in metrics]
        columns = [
            "tags.`training_id`",
            "tags.`winner`",
            *(f"metrics.`{name}`" for name in shown[:6]),
            *(f"params.`{name}`" for name in self.params),
        ]
        return {
            "searchFilter": self.search,
            "orderByKey": "attributes.start_time",
            "orderByAsc": False,
            "startTime": "ALL",
            "lifecycleFilter": "Active",
            "datasetsFilter": [],
            "modelVersionFilter": "All Runs",
            "selectedColumns": columns,
            "columnOrder": [],
            "columnWidths": {},
            "runsHiddenMode": "FIRST_20_RUNS",
            "compareRunCharts": charts,
            "compareRunSections": sections,
            "viewMaximized": False,
            "runListHidden": False,
            "isAccordionReordered": True,
            "useGroupedValuesInCharts": True,
            "hideEmptyCharts": True,
            "groupBy": None,
            "groupsExpanded": {},
            "globalLineChartConfig": {
                "xAxisKey": "step",
                "lineSmoothness": 0,
                "selectedXAxisMetricKey": "",
            },
        }

    def tag(self) -> tuple[str, str]:
        """The tag of the experiment that makes the view."""
        packed = zlib.compress(json.dumps(self.state()).encode(), 9)
        said = {
            "name": self.name,
            "createdAt": 0,
            "updatedAt": 0,
            "state": f"deflate;{base64.b64encode(packed).decode()}",
        }
        return f"{_PREFIX}{self.key}", json.dumps(said)


VIEWS = (
    View(
        "regulars-churn",
        "Churn: candidates",
        "tags.family = 'churn'",
        {
            "What a campaign earns": ["churn/realised_profit", "churn/expected_profit"],
            "Is 70 % really 70 %": ["churn/brier", "churn/ece", "churn/mean_p_minus_rate"],
            "Who comes first": ["churn/roc_auc", "churn/lift_at_10"],
            "One-time buyers": ["churn_one_time/roc_auc", "churn_one_time/mean_p_minus_rate"],
            "Repeat buyers": ["churn_repeat/roc_auc", "churn_repeat/mean_p_minus_rate"],
        },
        ["calibration", "levels", "profit", "gain_and_lift", "deciles"],
        ["kind", "calibration"],
    ),
    View(
        "regulars-clv",
        "Value: candidates",
        "tags.family = 'clv'",
        {
            "Value": ["clv/rmse", "clv/bias", "clv/gini", "clv/coverage_90"],
            "Purchases": ["purchases/rmse", "purchases/bias", "purchases/crps"],
            "Earlier cutoffs": ["backtest/loss", "backtest/wins"],
        },
        ["tracking", "frequency", "coverage", "backtest"],
        ["method"],
    ),
)
"""The views that every experiment is given."""


def experiment_tags(present: Mapping[str, str]) -> dict[str, str]:
    """The tags that an experiment lacks: its kind, its description, its views.

    Args:
        present: The tags it has; they are left as they are.
    """
    wanted = {KIND: "custom_model_development", _NOTE: ABOUT, **dict(v.tag() for v in VIEWS)}
    return {key: value for key, value in wanted.items() if key not in present}


def _section(uuid: str, name: str) -> dict[str, Any]:
    return {
        "uuid": uuid,
        "name": name,
        "display": True,
        "isReordered": True,
        "deleted": False,
        "isGenerated": False,
    }


def _chart(uuid: str, kind: str, section: str, **more: Any) -> dict[str, Any]:
    return {
        "uuid": uuid,
        "type": kind,
        "runsCountToCompare": 20,
        "metricSectionId": section,
        "deleted": False,
        "isGenerated": False,
        **more,
    }
