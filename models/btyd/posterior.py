"""From a weighted log-likelihood to posterior draws. The one place that knows PyMC.

Every model hands over a `Target`: its log-likelihood and gradient as plain NumPy over weighted
nodes, in unconstrained coordinates (logarithms), and a normal prior there. Three ways on:

- `nuts`: the full posterior. A PyMC model whose likelihood is a weighted sum over the nodes is
  sampled by nutpie's No-U-Turn sampler in coordinates whitened round the mode, so that the
  posterior looks like a round normal and few steps a draw suffice. The log-density is NumPy
  code inside one operation, so that nothing is compiled and no C++ compiler is needed.
- `laplace`: draws from a wide normal at the mode, corrected by Pareto-smoothed importance
  sampling and refused when the correction is unreliable (k-hat above 0.7).
- `map`: the posterior mode alone, without any statement of uncertainty.

PyMC, PyTensor and nutpie are imported inside `_nuts` only: predictions never need them.
"""

from __future__ import annotations

import logging
import os
import shutil
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.special import logsumexp

from ..base import ModelError
from .formulas import FloatArray

__all__ = ["KEPT_DRAWS", "METHODS", "Mode", "Posterior", "Target", "find_mode", "infer"]

METHODS = ("nuts", "laplace", "map")

KEPT_DRAWS = 400
"""Posterior draws a fitted model keeps; the rest is thinned away evenly."""

_CHAINS = 4
# Chains share the interpreter, which they let go of only inside long array operations: below
# this many nodes they run faster one after another.
_PARALLEL_NODES = 20_000
_MAX_R_HAT = 1.01
_MIN_ESS = 400.0
_MAX_K_HAT = 0.7


@dataclass(frozen=True)
class Target:
    """A posterior to be explored.

    Attributes:
        names: Parameter names, in the order of the coordinates.
        log_likelihood: Unconstrained point (k,) -> weighted log-likelihood and gradient (k,).
        to_parameters: Unconstrained points (..., k) -> parameters (..., k).
        prior_mean: Mean of the normal prior of the unconstrained point, (k,).
        prior_sd: Its standard deviation; infinite entries mean a flat prior.
        start: Where the search for the mode begins.
        weight: Number of customers behind the likelihood.
        nodes: Number of weighted nodes it is computed on.
    """

    names: tuple[str, ...]
    log_likelihood: Callable[[FloatArray], tuple[float, FloatArray]]
    to_parameters: Callable[[FloatArray], FloatArray]
    prior_mean: FloatArray
    prior_sd: FloatArray
    start: FloatArray
    weight: float
    nodes: int

    def log_posterior(self, point: FloatArray) -> tuple[float, FloatArray]:
        """Log posterior density up to a constant, and its gradient."""
        value, gradient = self.log_likelihood(point)
        z = (point - self.prior_mean) / self.prior_sd
        return value - 0.5 * float(z @ z), gradient - z / self.prior_sd


@dataclass(frozen=True)
class Mode:
    """The highest point of a posterior and the normal that fits it there.

    Attributes:
        point: Unconstrained mode, (k,).
        scale: Lower triangle L with L L' = inverse of the negative Hessian, (k, k).
        log_posterior: Log posterior at the mode.
    """

    point: FloatArray
    scale: FloatArray
    log_posterior: float


@dataclass(frozen=True)
class Posterior:
    """Draws of the parameters and how they came about.

    Attributes:
        draws: Parameter name -> values, (draws,); one draw for `map`.
        diagnostics: JSON-able: inference, r_hat, ess, divergences, k_hat, seconds, nodes, ...
    """

    draws: dict[str, FloatArray]
    diagnostics: dict[str, Any]


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


def find_mode(target: Target) -> Mode:
    """Find the posterior mode: L-BFGS to come near, Newton with exact gradients to finish.

    Raises:
        ModelError: The posterior has no interior maximum, so the data cannot tell the
            parameters apart.
    """
    scale = max(target.weight, 1.0)
    low, high = target.start - 20.0, target.start + 20.0

    def loss(point: FloatArray) -> tuple[float, FloatArray]:
        value, gradient = target.log_posterior(point)
        return -value / scale, -gradient / scale

    found = minimize(
        loss,
        target.start,
        jac=True,
        method="L-BFGS-B",
        bounds=list(zip(low, high, strict=True)),
        options={"maxiter": 500, "ftol": 1e-13, "gtol": 1e-9},
    )
    point = np.asarray(found.x, dtype=float)
    value, gradient = target.log_posterior(point)
    curvature = -_hessian(lambda p: target.log_posterior(p)[1], point)
    for _ in range(50):
        eigenvalues, vectors = np.linalg.eigh(curvature)
        if eigenvalues.min() <= 0.0:  # not concave yet: bend it, which shortens the step
            eigenvalues = np.maximum(np.abs(eigenvalues), 1e-3)
        step = vectors @ ((vectors.T @ gradient) / eigenvalues)
        decrement = float(gradient @ step)
        if decrement < 1e-14 * max(1.0, abs(value)):
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
        raise ModelError(
            "The data do not determine the parameters"
            + (f": {names} run(s) off to an extreme." if names else "."),
            "Use priors='weak', a longer history, or more customers with repeat purchases.",
        )
    covariance = np.linalg.inv(curvature)
    scale_matrix = np.asarray(np.linalg.cholesky(0.5 * (covariance + covariance.T)), dtype=float)
    return Mode(point, scale_matrix, value)


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
    mode = find_mode(target)
    if method == "map":
        points, extra = mode.point[None, :], dict[str, Any]()
    elif method == "laplace":
        points, extra = _laplace(target, mode, seed)
    else:
        points, extra = _nuts(target, mode, seed)
    values = target.to_parameters(points)
    diagnostics: dict[str, Any] = {
        "inference": method,
        **extra,
        "mode": dict(zip(target.names, map(float, target.to_parameters(mode.point)), strict=True)),
        "log_likelihood_at_mode": float(target.log_likelihood(mode.point)[0]),
        "draws": len(points),
        "nodes": target.nodes,
        "customers": target.weight,
        "seconds": time.perf_counter() - began,
    }
    draws = {name: values[:, i].copy() for i, name in enumerate(target.names)}
    return Posterior(draws, diagnostics)


def _thin(points: FloatArray) -> FloatArray:
    keep = np.linspace(0, len(points) - 1, min(KEPT_DRAWS, len(points))).round().astype(int)
    out: FloatArray = points[keep]
    return out


# Laplace with importance sampling


def _laplace(target: Target, mode: Mode, seed: int) -> tuple[FloatArray, dict[str, Any]]:
    """Resampled draws of a Student t at the mode, weighted towards the posterior."""
    k, size, freedom = len(mode.point), 2000, 8.0
    rng = np.random.default_rng(seed)
    z = rng.standard_normal((size, k)) / np.sqrt(rng.chisquare(freedom, (size, 1)) / freedom)
    points = mode.point + z @ mode.scale.T
    log_proposal = -0.5 * (freedom + k) * np.log1p((z * z).sum(axis=1) / freedom)
    with np.errstate(all="ignore"):
        log_target = np.array([target.log_posterior(p)[0] for p in points])
    log_ratio = np.where(np.isfinite(log_target), log_target, -np.inf) - log_proposal
    log_weight, k_hat = _pareto_smooth(log_ratio - log_ratio.max())
    if not k_hat <= _MAX_K_HAT:
        raise ModelError(
            f"The normal approximation of the posterior is unreliable (k-hat {k_hat:.2f}, "
            f"at most {_MAX_K_HAT}).",
            "Fit with method='nuts'.",
        )
    weight = np.exp(log_weight - logsumexp(log_weight))
    # Systematic resampling: each point is kept in proportion to its weight.
    ticks = (np.arange(KEPT_DRAWS) + rng.random()) / KEPT_DRAWS
    chosen = np.searchsorted(np.cumsum(weight), ticks).clip(0, size - 1)
    return points[chosen], {"k_hat": float(k_hat), "ess": float(1.0 / np.sum(weight**2))}


def _pareto_smooth(log_ratio: FloatArray) -> tuple[FloatArray, float]:
    """Pareto-smoothed importance weights (Vehtari et al. 2024, JMLR 25(72)).

    The largest weights are replaced by the quantiles of a generalised Pareto distribution that
    is fitted to them by Zhang & Stephens (2009, Technometrics 51(3)); its shape is k-hat.
    """
    size = len(log_ratio)
    tail = int(np.ceil(min(0.2 * size, 3.0 * np.sqrt(size))))
    order = np.argsort(log_ratio)
    cut = log_ratio[order[-tail - 1]]
    excess = np.exp(log_ratio[order[-tail:]]) - np.exp(cut)
    if excess[-1] <= 0.0:
        return log_ratio, 0.0
    excess = np.maximum(excess, 1e-300)
    grid = 30 + int(np.sqrt(tail))
    quartile = excess[int(tail / 4 + 0.5) - 1]
    theta = 1.0 / excess[-1] + (1.0 - np.sqrt(grid / (np.arange(1, grid + 1) - 0.5))) / (
        3.0 * quartile
    )
    shape = np.log1p(-theta[:, None] * excess).mean(axis=1)
    profile = tail * (np.log(-theta / shape) - shape - 1.0)
    weight = np.exp(profile - logsumexp(profile))
    theta_hat = float(weight @ theta)
    k_hat = float(np.log1p(-theta_hat * excess).mean())
    sigma = -k_hat / theta_hat
    k_hat = (k_hat * tail + 5.0) / (tail + 10.0)  # weak prior that pulls k-hat to 0.5
    if not np.isfinite(k_hat):
        return log_ratio, float("inf")
    at = (np.arange(tail) + 0.5) / tail
    smooth = sigma * np.expm1(-k_hat * np.log1p(-at)) / k_hat + np.exp(cut)
    out = log_ratio.copy()
    out[order[-tail:]] = np.minimum(np.log(smooth), 0.0)
    return out, k_hat


# NUTS


def _nuts(target: Target, mode: Mode, seed: int) -> tuple[FloatArray, dict[str, Any]]:
    """Sample by NUTS; once more with smaller steps if the first run is not clean."""
    density = _compile(target)
    cores = min(_CHAINS, os.cpu_count() or 1) if target.nodes > _PARALLEL_NODES else 1
    report: dict[str, Any] = {}
    for attempt, (tune, draws, accept) in enumerate(((250, 500, 0.8), (500, 1000, 0.9))):
        points, report = _sample(density, mode, seed + attempt, tune, draws, accept, cores)
        report["target_accept"] = accept
        if (
            report["r_hat"] <= _MAX_R_HAT
            and report["ess"] >= _MIN_ESS
            and report["divergences"] == 0
        ):
            return _thin(points), report
    raise ModelError(
        f"The sampler did not converge: r_hat {report['r_hat']:.3f} (at most {_MAX_R_HAT}), "
        f"effective draws {report['ess']:.0f} (at least {_MIN_ESS:.0f}), "
        f"{report['divergences']} divergent transitions.",
        "The history is probably too short or has too few repeat buyers to tell the parameters "
        "apart. Use priors='weak', take a longer history, or leave out customers whose volume "
        "is of another kind (for example wholesale accounts).",
    )


def _import_pymc() -> tuple[Any, Any]:
    """Import PyMC and PyTensor without their messages; leaves the environment as it was."""
    flags = os.environ.get("PYTENSOR_FLAGS")
    silent = shutil.which("g++") is None and shutil.which("clang++") is None
    if silent:  # otherwise PyTensor warns that it cannot compile, which it does not need to
        os.environ["PYTENSOR_FLAGS"] = f"{flags},cxx=" if flags else "cxx="
    logger = logging.getLogger("pytensor")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import pymc
            import pytensor.tensor
    finally:
        logger.setLevel(level)
        if silent:
            if flags is None:
                os.environ.pop("PYTENSOR_FLAGS", None)
            else:
                os.environ["PYTENSOR_FLAGS"] = flags
    return pymc, pytensor


def pymc_model(target: Target) -> Any:
    """The PyMC model: a prior with named coordinates and the weighted log-likelihood.

    Returns:
        A `pymc.Model` with the vector `unconstrained` over the dimension `parameter`, one
        deterministic variable per parameter, and the potential `log_likelihood`.
    """
    pm, pytensor = _import_pymc()
    pt = pytensor.tensor
    from pytensor.graph.op import Op

    class LogLikelihood(Op):  # type: ignore[misc]
        """Weighted log-likelihood and its gradient, both from one pass of NumPy."""

        itypes = [pt.dvector]  # noqa: RUF012
        otypes = [pt.dscalar, pt.dvector]  # noqa: RUF012

        def perform(self, node: Any, inputs: Any, outputs: Any) -> None:
            with np.errstate(all="ignore"):
                value, gradient = target.log_likelihood(inputs[0])
            outputs[0][0] = np.asarray(value)
            outputs[1][0] = gradient

        def L_op(self, inputs: Any, outputs: Any, output_grads: Any) -> Any:  # noqa: N802
            return [output_grads[0] * outputs[1]]

    with pm.Model(coords={"parameter": list(target.names)}) as model:
        if np.isinf(target.prior_sd).all():
            point = pm.Flat("unconstrained", dims="parameter")
        else:
            point = pm.Normal("unconstrained", target.prior_mean, target.prior_sd, dims="parameter")
        pm.Potential("log_likelihood", LogLikelihood()(point)[0])
    return model


def _compile(target: Target) -> Any:
    """The model's log-density and gradient as a Python function of one vector; no C code."""
    model = pymc_model(target)
    from pytensor.compile.mode import Mode as CompileMode

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        function = model.logp_dlogp_function(
            mode=CompileMode(linker="py", optimizer="fast_compile"), ravel_inputs=True
        )
        function.set_extra_values({})
    compiled = function._pytensor_function
    compiled.trust_input = True
    return compiled


def _sample(
    density: Any, mode: Mode, seed: int, tune: int, draws: int, accept: float, cores: int
) -> tuple[FloatArray, dict[str, Any]]:
    """Run nutpie on the whitened density; returns unconstrained points and diagnostics."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import arviz
        import nutpie
        from nutpie.compiled_pyfunc import from_pyfunc

    k, scale = len(mode.point), mode.scale

    def make_density() -> Callable[[FloatArray], tuple[float, FloatArray]]:
        own = density.copy(share_memory=False)  # compiled functions are not thread-safe
        own.trust_input = True

        def whitened(z: FloatArray) -> tuple[float, FloatArray]:
            value, gradient = own(mode.point + scale @ z)
            return float(value) - mode.log_posterior, scale.T @ gradient

        return whitened

    def make_expand(*_: object) -> Callable[[FloatArray], dict[str, FloatArray]]:
        return lambda z: {"z": np.asarray(z, dtype=np.float64)}

    compiled = from_pyfunc(k, make_density, make_expand, [np.dtype(np.float64)], [(k,)], ["z"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trace = nutpie.sample(
            compiled,
            draws=draws,
            tune=tune,
            chains=_CHAINS,
            cores=cores,
            seed=seed,
            save_warmup=False,
            progress_bar=False,
            target_accept=accept,
        )
        z = np.asarray(trace.posterior["z"].values)
        if z.shape[:2] != (_CHAINS, draws) or not np.isfinite(z).all():
            # nutpie takes Ctrl-C for "enough" and returns the draws made so far.
            raise KeyboardInterrupt
        divergences = int(np.asarray(trace.sample_stats["diverging"].values).sum())
        steps = int(np.asarray(trace.sample_stats["n_steps"].values).sum())
        by_chain = {str(i): z[..., i] for i in range(k)}
        r_hat = float(max(np.asarray(v) for v in arviz.rhat(by_chain).values()))
        bulk = float(min(np.asarray(v) for v in arviz.ess(by_chain).values()))
        tail = float(min(np.asarray(v) for v in arviz.ess(by_chain, method="tail").values()))
    points = mode.point + z.reshape(-1, k) @ scale.T
    return points, {
        "r_hat": r_hat,
        "ess": min(bulk, tail),
        "divergences": divergences,
        "chains": _CHAINS,
        "steps": steps,
    }
