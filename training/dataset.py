"""The customers and outcomes that candidates are measured on, by name and digest only."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from features.window import ObservationWindow

__all__ = ["Holdout", "holdout"]


@dataclass(frozen=True)
class Holdout:
    """A dataset by name and digest only.

    Attributes:
        name: For instance `churn_test`.
        digest: 32 hexadecimal digits; equal for equal customers, outcomes and windows.
        facts: Aggregates that describe it: windows, counts, rates.
    """

    name: str
    digest: str
    facts: Mapping[str, Any] = field(default_factory=dict)


def holdout(name: str, window: ObservationWindow, labels: pd.DataFrame) -> Holdout:
    """Describe the customers and outcomes that candidates are measured on.

    The digest is the start of the SHA-256 of the label window, the customers and what they
    did. Features are not part of it: two models that see different features are compared
    fairly on the same outcomes. (MLflow's own digest reads the first 10,000 rows only.)

    Args:
        name: Name of the dataset.
        window: What was observed and what was to be foretold.
        labels: churned, future_purchases, future_spend on the index of customers.
    """
    ordered = labels.sort_index()
    said = json.dumps(
        [str(window.cutoff), str(window.label_start), str(window.label_end), *ordered.columns]
    )
    digest = hashlib.sha256(said.encode())
    for customer in ordered.index.astype(str):
        text = customer.encode()
        digest.update(len(text).to_bytes(4, "little") + text)
    digest.update(np.ascontiguousarray(ordered.to_numpy(np.float64)).tobytes())
    return Holdout(
        name,
        digest.hexdigest()[:32],
        {
            "cutoff": str(window.cutoff),
            "label_start": str(window.label_start),
            "label_end": str(window.label_end),
            "customers": len(ordered),
            "churned": int(ordered["churned"].sum()),
            "purchases": int(ordered["future_purchases"].sum()),
        },
    )
