"""One candidate's run: its measures, tables, figures and words."""

import html
import json
import re
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, RunTag
from mlflow.tracking import MlflowClient
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NOTE

from training.dataset import Holdout
from training.figures import pixels

__all__ = ["Run", "escaped", "plain_name", "text"]

_TEXT_LIMIT = 5000  # MLflow's limit on the length of a tag of a run or a model version


class Run:
    """One candidate's run. Made by `Tracking.run`."""

    def __init__(self, client: MlflowClient, run_id: str, model_id: str) -> None:
        self._client = client
        self.run_id = run_id
        self.model_id = model_id
        self.has_model_files = False

    def measure(
        self, metrics: Mapping[str, float], on: Holdout | None = None, step: int = 0
    ) -> None:
        """Log metrics; those measured on a holdout are tied to it and to the model."""
        now = int(time.time() * 1000)
        tie = {"model_id": self.model_id}
        if on is not None:
            tie |= {"dataset_name": on.name, "dataset_digest": on.digest}
        found = [
            Metric(plain_name(name), float(value), now, step, run_id=self.run_id, **tie)
            for name, value in metrics.items()
            if np.isfinite(value)
        ]
        for start in range(0, len(found), 500):
            self._client.log_batch(self.run_id, metrics=found[start : start + 500])

    def uses(self, dataset: Holdout, context: str) -> None:
        """Note that the run used a dataset, for instance in the context `test`."""
        self._client.log_inputs(
            self.run_id,
            [
                DatasetInput(
                    Dataset(
                        name=dataset.name,
                        digest=dataset.digest,
                        source_type="code",
                        source=json.dumps({"tags": {"mlflow.source.name": "regulars"}}),
                        profile=json.dumps(dict(dataset.facts)),
                    ),
                    [InputTag("mlflow.data.context", context)],
                )
            ],
        )

    def figure(self, name: str, figure: Figure) -> None:
        """Log a figure twice: as a file for the Compare page, as an image for the charts."""
        image = pixels(figure)
        name = plain_name(name).replace("/", "_")
        self._client.log_image(self.run_id, image, f"{name}.png")
        self._client.log_image(self.run_id, image, key=name, step=0)

    def table(self, name: str, table: pd.DataFrame | Mapping[str, Any]) -> None:
        """Log an aggregate table as `<name>.json`."""
        frame = pd.DataFrame(table)
        # Text of MLflow's tables is plain objects; NaN is not JSON.
        plain = frame.astype(object).where(frame.notna(), None)
        self._client.log_table(self.run_id, plain, f"{name}.json")

    def document(self, name: str, markdown: str) -> None:
        """Log a text as `<name>.md`."""
        self._client.log_text(self.run_id, markdown, f"{name}.md")

    def tag(self, tags: Mapping[str, Any]) -> None:
        """Set tags on the run."""
        self._client.log_batch(
            self.run_id, tags=[RunTag(key, text(value)) for key, value in tags.items()]
        )

    def describe(self, markdown: str) -> None:
        """Set the description that the run's page opens with."""
        self.tag({MLFLOW_RUN_NOTE: markdown})


def plain_name(name: str) -> str:
    """A name that MLflow takes for a metric or a file, whatever a campaign was called.

    >>> plain_name("uplift/voucher €5/auuc"), plain_name("qini_../../etc")
    ('uplift/voucher _5/auuc', 'qini_../_/etc')
    """
    parts = [re.sub(r"[^a-zA-Z0-9_. -]", "_", part)[:60].strip() for part in name.split("/")]
    return "/".join("_" if not part.strip(".") else part for part in parts)


def escaped(name: str) -> str:
    r"""A name from the shop's data as Markdown shows it: no link, image, HTML or table cell.

    >>> print(escaped("![x](http://y)|<b>"))
    \!\[x\]\(http://y\)\|&lt;b&gt;
    """
    shown = html.escape(" ".join(name.split()), quote=False)
    return re.sub(r"([\\`*_{}\[\]()#+!|~$])", r"\\\1", shown)


def text(value: Any) -> str:
    """Anything as a tag or parameter: JSON, cut off at MLflow's limit."""
    said = value if isinstance(value, str) else json.dumps(value, default=str, sort_keys=True)
    return said if len(said) <= _TEXT_LIMIT else said[: _TEXT_LIMIT - 3] + "..."
