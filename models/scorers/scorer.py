"""What every scorer can do."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt

__all__ = ["BLOCK", "THREADS", "Floats", "Matrix", "Read", "Scorer", "by_block", "log_odds"]

Floats = npt.NDArray[np.float64]
Matrix = npt.NDArray[np.float32]

Read = Callable[[str], str]
"""From the name of a file to its text."""


BLOCK = 16_384
"""Rows that are scored at a time."""
THREADS = min(4, os.cpu_count() or 1)
"""Blocks that are scored side by side."""


class Scorer(Protocol):
    """From the matrix of `Inputs` to log-odds of churn, before calibration."""

    @property
    def description(self) -> dict[str, Any]:
        """All that `from_parts` needs beside the files, JSON-able; `kind` names the class."""
        ...

    @property
    def rounds(self) -> int | None:
        """Number of trees; None where there are none."""
        ...

    def raw(self, X: Matrix) -> Floats:
        """Return the log-odds of each row, shape (n,)."""
        ...

    def contributions(self, X: Matrix) -> Floats:
        """Split each score into one part a column of X and last the base, shape (n, f + 1).

        The parts of a row add up to its score. The base is the score of the average training
        row, as far as the scorer knows it.
        """
        ...

    def to_parts(self) -> dict[str, str]:
        """Return the files that hold it: name -> text."""
        ...

    @classmethod
    def from_parts(cls, description: dict[str, Any], read: Read) -> Self:
        """Read back what `description` and `to_parts` gave."""
        ...


def log_odds(p: npt.ArrayLike, edge: float) -> Floats:
    """Return ln(p / (1 - p)), for p kept away from 0 and 1 by `edge`; NaN stays NaN."""
    inside = np.clip(np.asarray(p, dtype=np.float64), edge, 1.0 - edge)
    return np.asarray(np.log(inside) - np.log1p(-inside))


def by_block(work: Callable[[Matrix], Floats], X: Matrix) -> Floats:
    """Return what `work` gives for each block of rows, one below the other.

    Threads of ours around single-threaded calls: OpenMP's own threads spin while they wait,
    which costs a factor of a hundred on a busy machine.
    """
    if len(X) <= BLOCK:
        return work(X)
    blocks = [X[start : start + BLOCK] for start in range(0, len(X), BLOCK)]
    with ThreadPoolExecutor(THREADS) as pool:
        return np.concatenate(list(pool.map(work, blocks)))
