"""From a target to posterior draws, in one of three ways.

- `nuts`: the full posterior, by PyMC and nutpie (`sampler`).
- `laplace`: Newton with exact gradients, then draws from a wide normal at the mode, corrected by
  Pareto-smoothed importance sampling and refused when the correction is unreliable (`laplace`).
- `map`: the posterior mode alone, without any statement of uncertainty (`mode`).

Draws that cannot be trusted are refused.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from ..base import ModelError
from .formulas import FloatArray
from .laplace import laplace
from .mode import checked_mode
from .sampler import nuts
from .target import Target

__all__ = ["METHODS", "Posterior", "infer"]

METHODS = ("nuts", "laplace", "map")


@dataclass(frozen=True)
class Posterior:
    """Draws of the parameters and how they came about.

    Attributes:
        draws: Parameter name -> values, (draws,); one draw for `map`.
        diagnostics: JSON-able: inference, r_hat, ess, divergences, k_hat, seconds, nodes, ...
    """

    draws: dict[str, FloatArray]
    diagnostics: dict[str, Any]


def infer(target: Target, seed: int, method: str) -> Posterior:
    """Explore a posterior.

    Args:
        target: What to explore.
        seed: Makes the draws repeatable.
        method: "nuts", "laplace" or "map".

    Returns:
        The draws (thinned to `KEPT_DRAWS`) with diagnostics.

    Raises:
        ModelError: Unknown method, no mode, or draws that cannot be trusted.
    """
    if method not in METHODS:
        raise ModelError(
            f"Unknown inference method {method!r}.", f"Choose one of {', '.join(METHODS)}."
        )
    began = time.perf_counter()
    target, mode, shift, at_mode = checked_mode(target)
    if method == "map":
        points, extra = mode.point[None, :], dict[str, Any]()
    elif method == "laplace":
        points, extra = laplace(target, mode, seed)
    else:
        points, extra = nuts(target, mode, seed)
    values = target.to_parameters(points)
    diagnostics: dict[str, Any] = {
        "inference": method,
        **extra,
        "mode": dict(zip(target.names, map(float, target.to_parameters(mode.point)), strict=True)),
        "log_likelihood_at_mode": float(at_mode),
        "draws": len(points),
        "nodes": target.nodes,
        "customers": target.weight,
        "grid_shift_sd": shift,
        "seconds": time.perf_counter() - began,
    }
    draws = {name: values[:, i].copy() for i, name in enumerate(target.names)}
    return Posterior(draws, diagnostics)
