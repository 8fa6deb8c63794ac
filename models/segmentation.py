"""The registered model of segments: RFM cut points, and clusters where there are any."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd

from .clusters import Clusters
from .segments import SCORE_COLUMNS, RfmCuts, behaviour_of

__all__ = ["SEGMENT_OUTPUT", "CustomerSegments"]

SEGMENT_OUTPUT = (*SCORE_COLUMNS, "rfm_segment", "cluster")
"""Output of the model, in this order."""

_INPUT = ("frequency", "recency", "T", "monetary_value", "first_value")


@dataclass(frozen=True)
class CustomerSegments:
    """Cut points that are learned once, and clusters.

    Attributes:
        cuts: Of the recency, frequency and monetary scores.
        clusters: None where there are none.
        no_clusters: Why there are none; empty where there are.
    """

    kind: ClassVar[str] = "segments"
    text_columns: ClassVar[tuple[str, ...]] = ()

    cuts: RfmCuts
    clusters: Clusters | None = None
    no_clusters: str = ""

    @property
    def input_columns(self) -> tuple[str, ...]:
        """The RFM summary, and the features that clusters read."""
        read = self.clusters.input_columns if self.clusters else ()
        return (*_INPUT, *read)

    def predict(self, features: pd.DataFrame, language: str = "en") -> pd.DataFrame:
        """Return the scores, the RFM segment and the cluster of each customer.

        Args:
            features: `input_columns`, all numbers; features of clusters may be missing values.
            language: Of the names of clusters; segments keep the names of the field.

        Returns:
            `SEGMENT_OUTPUT` on its index: scores int64, and text; the cluster is empty where there
            are none.

        Raises:
            ModelError: A column is missing, a customer has no purchase, or the language no texts.
        """
        found = self.cuts.assign(behaviour_of(features))
        names: Any = np.full(len(features), "", dtype=object)
        if self.clusters is not None:
            known = np.array(self.clusters.names(language), dtype=object)
            names = known[self.clusters.assign(features)]
        return found.assign(cluster=pd.Series(names, index=features.index, dtype="str"))

    def to_folder(self, folder: Path) -> dict[str, Any]:
        """Return everything; no file is needed."""
        del folder
        return {
            "cuts": self.cuts.to_dict(),
            "clusters": None if self.clusters is None else self.clusters.to_dict(),
            "no_clusters": self.no_clusters,
            "input_columns": list(self.input_columns),
        }

    @classmethod
    def from_folder(cls, folder: Path, description: Mapping[str, Any]) -> Self:
        """Read back what `to_folder` returned."""
        del folder
        stored = description["clusters"]
        return cls(
            RfmCuts.from_dict(description["cuts"]),
            None if stored is None else Clusters.from_dict(stored),
            str(description["no_clusters"]),
        )
