"""An order of rows that depends on nothing but what is in them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["canonical_order"]


def canonical_order(
    X: npt.NDArray[np.floating[Any]], y: npt.NDArray[np.floating[Any]]
) -> npt.NDArray[np.int64]:
    """Return the positions that put rows into an order that depends on their content only.

    Rows are sorted by a 64-bit hash of their values (multiply and xor-shift, the constants of
    MurmurHash3's finaliser), which also shuffles them for bagging. Rows with equal hashes are
    taken as equal. Column by column, so that a large matrix is not copied.

    Args:
        X: Features, shape (n, f).
        y: Outcomes, shape (n,).
    """
    state = np.full(len(y), 0x9E3779B97F4A7C15, dtype=np.uint64)
    for column in (y, *X.T):
        # One bit pattern for each number: no negative zero, one kind of NaN.
        values = column.astype(np.float64) + 0.0
        values[np.isnan(values)] = np.nan
        state ^= values.view(np.uint64)
        state *= np.uint64(0xFF51AFD7ED558CCD)
        state ^= state >> np.uint64(33)
        state *= np.uint64(0xC4CEB9FE1A85EC53)
        state ^= state >> np.uint64(33)
    return np.argsort(state, kind="stable")
