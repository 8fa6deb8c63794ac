"""What a panel of labelled snapshots must be before anything is learned from it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from .base import ModelError

__all__ = ["check_purged", "outcomes", "panel_facts"]


def check_purged(train: Sequence[date], calibration: Sequence[date], reach_days: int) -> None:
    """Refuse cutoffs whose label windows reach into the calibration.

    Raises:
        ModelError: `reach_days` (gap and horizon) after a training cutoff, the first calibration
            cutoff has passed.
    """
    if not train or not calibration:
        return
    label_end = max(train) + timedelta(days=reach_days)
    if label_end > min(calibration):
        raise ModelError(
            f"the label window of training cutoff {max(train)} ends on {label_end}, after the "
            f"first calibration cutoff {min(calibration)}",
            "Leave out the training cutoffs whose label windows reach into the calibration.",
        )


def outcomes(X: pd.DataFrame, y: pd.Series[float], panel: str) -> npt.NDArray[np.float64]:
    """Return the outcomes as doubles, shape (n,).

    Raises:
        ModelError: They are not those of the rows, or not 0 and 1.
    """
    out = np.asarray(y, dtype=np.float64)
    if len(X) != len(out) or not len(out):
        raise ModelError(f"the {panel} panel has {len(X)} rows and {len(out)} outcomes")
    if isinstance(y, pd.Series) and not y.index.equals(X.index):
        raise ModelError(f"rows and outcomes of the {panel} panel are not of the same customers")
    if not np.isin(out, (0.0, 1.0)).all():
        raise ModelError(f"outcomes of the {panel} panel must be 0 (stayed) or 1 (churned)")
    return out


def panel_facts(X: pd.DataFrame, y: npt.NDArray[np.float64]) -> dict[str, Any]:
    """Return rows, customers and churn rate."""
    return {"rows": len(X), "customers": X.index.nunique(), "churn_rate": float(y.sum() / len(y))}
