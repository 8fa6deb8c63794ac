"""A posterior to be explored: what a model hands over, its prior, and the mode that is found.

A target is a weighted log-likelihood with gradient in unconstrained coordinates (logarithms),
and a normal prior there. Logarithms make the unit of time and of money a mere shift, so nothing
needs rescaling.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..base import ModelError
from .formulas import FloatArray

__all__ = ["KEPT_DRAWS", "PRIOR_SD", "Mode", "Priors", "Target", "prior"]

Priors = str | Mapping[str, tuple[float, float]]
"""What `fit` takes: "weak", "flat", or parameter -> (median, standard deviation of the logarithm)
for some of the parameters, the others being weak."""

PRIOR_SD = 1.5
"""Standard deviation of the logarithm of every parameter under the weak prior."""

KEPT_DRAWS = 400
"""Posterior draws a fitted model keeps; the rest is thinned away evenly."""

# Threads take turns in the interpreter, which a kernel lets go of: where one evaluation takes
# less than so many seconds, the turns cost more than is gained.
_PARALLEL_SECONDS = 250e-6
_MOST_THREADS = 4


@dataclass(frozen=True)
class Target:
    """A posterior to be explored.

    There may be more coordinates than the parameters of the model: coefficients of covariates,
    offsets of segments and their spread are coordinates with normal priors like any other.

    Attributes:
        names: Names of the coordinates, which are the names of the draws.
        log_likelihood: Unconstrained point (k,) -> weighted log-likelihood and gradient (k,).
        to_parameters: Unconstrained points (..., k) -> what the draws show (..., k).
        prior_mean: Mean of the normal prior of the unconstrained point, (k,).
        prior_sd: Its standard deviation; infinite entries mean a flat prior.
        start: Where the search for the mode begins.
        weight: Number of customers behind the likelihood.
        nodes: Number of weighted nodes it is computed on.
        mode: The point to start from, and its normal, where the highest point of the density is
            not the place; `find_mode` gives it back.
        exact: As `log_likelihood`, over all customers; None where the nodes are all customers.
        finer: Makes the same target with more nodes; None where there are no more to be had.
        suspects: Says what in the data may be at fault when inference fails.
    """

    names: tuple[str, ...]
    log_likelihood: Callable[[FloatArray], tuple[float, FloatArray]]
    to_parameters: Callable[[FloatArray], FloatArray]
    prior_mean: FloatArray
    prior_sd: FloatArray
    start: FloatArray
    weight: float
    nodes: int
    mode: Mode | None = None
    exact: Callable[[FloatArray], tuple[float, FloatArray]] | None = None
    finer: Callable[[], Target] | None = None
    suspects: Callable[[], str] | None = None

    def log_posterior(self, point: FloatArray) -> tuple[float, FloatArray]:
        """Log posterior density up to a constant, and its gradient."""
        value, gradient = self.log_likelihood(point)
        z = (point - self.prior_mean) / self.prior_sd
        return value - 0.5 * float(z @ z), gradient - z / self.prior_sd

    def threads(self, point: FloatArray) -> int:
        """On how many threads to evaluate it: a matter of speed only, by the time that one takes.

        The values do not depend on it.
        """
        took = []
        for _ in range(3):
            began = time.perf_counter()
            self.log_posterior(point)
            took.append(time.perf_counter() - began)
        return min(_MOST_THREADS, os.cpu_count() or 1) if min(took) > _PARALLEL_SECONDS else 1

    def refusal(self, message: str, hint: str) -> ModelError:
        """The error that says what went wrong and what in the data may be at fault."""
        found = self.suspects() if self.suspects is not None else ""
        return ModelError(f"{message} {found}".strip(), hint)


@dataclass(frozen=True)
class Mode:
    """The highest point of a posterior and the normal that fits it there.

    Attributes:
        point: Unconstrained mode, (k,).
        scale: Lower triangle L with L L' = inverse of the negative Hessian, (k, k).
        log_posterior: Log posterior at the mode.
        wide: A scale for `laplace` to propose from, where the posterior has longer tails than
            the normal; None: `scale`.
    """

    point: FloatArray
    scale: FloatArray
    log_posterior: float
    wide: FloatArray | None = None


def prior(priors: Priors, centre: Mapping[str, float]) -> tuple[FloatArray, FloatArray, Any]:
    """Read what a user asks for as the prior of some parameters.

    Args:
        priors: See `Priors`.
        centre: Parameter -> median of its weak prior.

    Returns:
        Mean and standard deviation of the logarithms, in the order of `centre`, and what to
        write into the diagnostics: "weak", "flat", or name -> [median, sd of the logarithm].

    Raises:
        ModelError: An unknown word or parameter, or numbers that are no prior.

    >>> mean, sd, _ = prior({"r": (0.3, 0.5)}, {"r": 1.0, "alpha": 10.0})
    >>> mean.round(2).tolist(), sd.tolist()
    ([-1.2, 2.3], [0.5, 1.5])
    """
    medians, sds = dict(centre), dict.fromkeys(centre, PRIOR_SD)
    if isinstance(priors, str):
        if priors not in ("weak", "flat"):
            raise ModelError(
                f"Unknown priors {priors!r}.",
                "Choose weak, flat, or give (median, sd of the logarithm) by parameter.",
            )
        sd = np.full(len(centre), PRIOR_SD if priors == "weak" else np.inf)
        return np.log(list(medians.values())), sd, priors
    example = f"for example priors={{'{next(iter(centre))}': (0.5, 1.0)}}"
    for name, given in priors.items():
        if name not in centre:
            raise ModelError(
                f"priors names {name!r}, which is not a parameter ({', '.join(centre)}).",
                f"Give (median, sd of the logarithm) by parameter, {example}.",
            )
        try:
            median, spread = (float(value) for value in given)
        except (TypeError, ValueError):
            median = spread = float("nan")
        if not (np.isfinite([median, spread]).all() and median > 0.0 and spread > 0.0):
            raise ModelError(
                f"The prior of {name} is {given!r}.",
                f"Give two positive numbers, median and sd of the logarithm, {example}.",
            )
        medians[name], sds[name] = median, spread
    written = {name: [float(medians[name]), float(sds[name])] for name in centre}
    return np.log(list(medians.values())), np.array(list(sds.values())), written
