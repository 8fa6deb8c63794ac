"""Two arms and an outcome: the arrays that everything about experiments reads, checked once."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..base import ModelError

__all__ = ["Arms", "checked_arms", "checked_scores"]

Floats = npt.NDArray[np.float64]

FEWEST = 2
"""Customers an arm needs: with fewer there is no variance."""


class Arms(NamedTuple):
    """An outcome and who was treated.

    Attributes:
        y: Outcome, shape (n,).
        treated: True in the treatment arm, shape (n,).
    """

    y: Floats
    treated: npt.NDArray[np.bool_]


def checked_arms(y: npt.ArrayLike, treated: npt.ArrayLike, fewest: int = FEWEST) -> Arms:
    """Return outcome and arms as arrays.

    Args:
        y: Outcome of each customer, finite.
        treated: 1 or True in the treatment arm, 0 or False in the control arm.
        fewest: Customers that each arm needs.

    Raises:
        ModelError: They do not fit together, an outcome is not finite, an arm is neither of the
            two or has too few customers.
    """
    outcome, arm = np.asarray(y, dtype=np.float64), np.asarray(treated, dtype=np.float64)
    if outcome.ndim != 1 or arm.shape != outcome.shape:
        raise ModelError(
            f"expected one outcome and one arm a customer, got {outcome.shape} and {arm.shape}"
        )
    if not np.isin(arm, (0.0, 1.0)).all():
        raise ModelError(
            "the arm of a customer must be 1 (treatment) or 0 (control).",
            "Leave out customers whose arm is not known.",
        )
    if not np.isfinite(outcome).all():
        raise ModelError("an outcome is missing or infinite.", "Leave out those customers.")
    one = arm == 1.0
    least = min(int(one.sum()), int((~one).sum()))
    if least < fewest:
        raise ModelError(
            f"{int(one.sum())} customers were treated and {int((~one).sum())} were not; each arm "
            f"needs at least {fewest}.",
            "An effect is a difference between two arms.",
        )
    return Arms(outcome, one)


def checked_scores(score: npt.ArrayLike, rows: int) -> Floats:
    """Return scores as an array of shape (rows,).

    Raises:
        ModelError: Not one finite score a customer.
    """
    found = np.asarray(score, dtype=np.float64)
    if found.shape != (rows,) or not np.isfinite(found).all():
        raise ModelError(f"expected {rows} finite scores, got {found.shape}")
    return found
