"""The posterior mode, and whether the nodes are fine enough for it.

L-BFGS comes near, Newton with exact gradients finishes. Where the nodes only stand for the
customers (`grid`), the target has the exact density as well: how far the mode would move is
computed, and a finer grid taken where it is too far.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.optimize import minimize

from ..base import ModelError
from .formulas import FloatArray
from .target import Mode, Target

__all__ = ["MAX_SHIFT", "checked_mode", "find_mode"]

MAX_SHIFT = 0.05
"""How far, in posterior standard deviations, nodes may move the mode from that of all customers."""


def find_mode(target: Target) -> Mode:
    """Find the posterior mode: L-BFGS to come near, Newton with exact gradients to finish.

    Where the search from the model's own start ends nowhere it is tried from the middle of the
    prior and from lower and higher values.

    Raises:
        ModelError: The posterior has no interior maximum, so the data cannot tell the
            parameters apart.
    """
    if target.mode is not None:
        return target.mode
    starts = [target.start, target.prior_mean]
    starts += [target.start + shift for shift in (-2.0, 2.0)]
    failed: ModelError | None = None
    for start in starts:
        try:
            with np.errstate(all="ignore"):
                return _climb(target, start)
        except ModelError as error:
            failed = failed or error
        except np.linalg.LinAlgError:  # not finite somewhere on the way
            continue
    raise failed or target.refusal(
        "The likelihood is not finite near any sensible value of the parameters.",
        "Check frequency, recency and T: all times must be in weeks.",
    )


def checked_mode(target: Target) -> tuple[Target, Mode, float, float]:
    """The mode on nodes that are fine enough, how far they move it, and the likelihood there.

    One Newton step with the gradient over all customers and the curvature over the nodes.
    """
    while True:
        mode = find_mode(target)
        value, gradient = target.log_likelihood(mode.point)
        if target.exact is None:
            return target, mode, 0.0, value
        value, exact = target.exact(mode.point)
        moved = exact - gradient
        covariance = mode.scale @ mode.scale.T
        shift = float(np.max(np.abs(covariance @ moved) / np.sqrt(np.diag(covariance))))
        if shift <= MAX_SHIFT:
            return target, mode, shift, value
        if target.finer is None:
            raise target.refusal(
                f"The grid that stands for {target.weight:,.0f} customers moves the mode by "
                f"{shift:.3f} posterior standard deviations (at most {MAX_SHIFT}).",
                "Fit on a random sample of the customers.",
            )
        target = target.finer()


def _climb(target: Target, start: FloatArray) -> Mode:
    scale = max(target.weight, 1.0)
    low, high = start - 20.0, start + 20.0

    def loss(point: FloatArray) -> tuple[float, FloatArray]:
        value, gradient = target.log_posterior(point)
        if not (np.isfinite(value) and np.isfinite(gradient).all()):
            return 1e30, np.zeros_like(point)
        return -value / scale, -gradient / scale

    found = minimize(
        loss,
        start,
        jac=True,
        method="L-BFGS-B",
        bounds=list(zip(low, high, strict=True)),
        options={"maxiter": 500, "ftol": 1e-13, "gtol": 1e-9},
    )
    point = np.asarray(found.x, dtype=float)
    value, gradient = target.log_posterior(point)
    if not (np.isfinite(value) and np.isfinite(gradient).all()):
        raise np.linalg.LinAlgError("not finite")
    curvature = -_hessian(lambda p: target.log_posterior(p)[1], point)
    for _ in range(50):
        eigenvalues, vectors = np.linalg.eigh(curvature)
        if eigenvalues.min() <= 0.0:  # not concave yet: bend it, which shortens the step
            eigenvalues = np.maximum(np.abs(eigenvalues), 1e-3)
        step = vectors @ ((vectors.T @ gradient) / eigenvalues)
        # The expected gain; 1e-10 is a hundred-thousandth of a posterior standard deviation.
        decrement = float(gradient @ step)
        if decrement < max(1e-10, 1e-15 * abs(value)):
            break
        step *= min(1.0, 2.0 / float(np.abs(step).max()))
        for _ in range(30):
            new_value, new_gradient = target.log_posterior(point + step)
            if new_value >= value - 1e-12 * abs(value):
                break
            step *= 0.5
        else:
            break
        point, value, gradient = point + step, new_value, new_gradient
        curvature = -_hessian(lambda p: target.log_posterior(p)[1], point)
    at_edge = (point < low + 0.5) | (point > high - 0.5)
    eigenvalues = np.linalg.eigvalsh(curvature)
    if at_edge.any() or eigenvalues.min() <= 1e-8 * max(1.0, eigenvalues.max() * 1e-6):
        names = ", ".join(n for n, e in zip(target.names, at_edge, strict=True) if e)
        raise target.refusal(
            "The data do not determine the parameters"
            + (f": {names} run(s) off to an extreme." if names else "."),
            "Use priors='weak', a longer history, or more customers with repeat purchases.",
        )
    covariance = np.linalg.inv(curvature)
    scale_matrix = np.asarray(np.linalg.cholesky(0.5 * (covariance + covariance.T)), dtype=float)
    return Mode(point, scale_matrix, value)


def _hessian(gradient: Callable[[FloatArray], FloatArray], point: FloatArray) -> FloatArray:
    """Hessian by central differences of an exact gradient, symmetrised."""
    k, step = len(point), 1e-4
    rows = np.empty((k, k))
    for i in range(k):
        e = np.zeros(k)
        e[i] = step
        rows[i] = (gradient(point + e) - gradient(point - e)) / (2.0 * step)
    out: FloatArray = 0.5 * (rows + rows.T)
    return out
