"""What is asked of LightGBM's trees: a text that is always the same, scores, contributions."""

from __future__ import annotations

import re

import lightgbm
import numpy as np
import numpy.typing as npt

__all__ = ["booster_text", "contributions", "raw_scores"]

Floats = npt.NDArray[np.float64]


def booster_text(booster: lightgbm.Booster, rounds: int | None = None) -> str:
    """Return LightGBM's text of the first trees (all when `rounds` is left out).

    The number of threads, which changes nothing else in it, is written as 0.
    """
    text = booster.model_to_string(num_iteration=rounds or -1)
    return re.sub(r"^\[num_threads: \d+\]$", "[num_threads: 0]", text, flags=re.MULTILINE)


def raw_scores(booster: lightgbm.Booster, X: Floats) -> Floats:
    """Return the log-odds of each row, shape (n,)."""
    if not len(X):
        return np.empty(0)
    return np.asarray(booster.predict(X, raw_score=True, num_threads=1), dtype=np.float64)


def contributions(booster: lightgbm.Booster, X: Floats) -> Floats:
    """Split each raw score into one part a feature and last the base, shape (n, f + 1)."""
    if not len(X):
        return np.empty((0, X.shape[1] + 1))
    return np.asarray(booster.predict(X, pred_contrib=True, num_threads=1), dtype=np.float64)
