"""NUTS: the full posterior. The one place that knows PyMC and nutpie.

The model is stated in PyMC and sampled by nutpie's No-U-Turn sampler in coordinates whitened
round the mode, so that the posterior looks like a round normal and few steps a draw suffice. A
call through PyMC's graph takes 90 microseconds, more than the likelihood itself; so PyMC's density
is compared with the target's once for each form of prior, and the sampler calls the target.

PyMC, PyTensor and nutpie are imported inside functions only: predictions never need them.
"""

from __future__ import annotations

import logging
import os
import shutil
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from .formulas import FloatArray
from .target import KEPT_DRAWS, Mode, Target

__all__ = ["nuts", "pymc_model"]

_CHAINS = 4
_MAX_R_HAT = 1.01
_MIN_ESS = 400.0

_agreed: set[tuple[tuple[str, ...], bytes]] = set()
"""Names of the coordinates and which of them have a flat prior, where PyMC has agreed."""


def nuts(target: Target, mode: Mode, seed: int) -> tuple[FloatArray, dict[str, Any]]:
    """Sample by NUTS; with smaller steps, then in other coordinates, if a run is not clean."""
    _agree(target, mode)
    cores = target.threads(mode.point)
    report: dict[str, Any] = {}
    # A hierarchy bends more than a normal does, and needs smaller steps from the start.
    first = (200, 1000, 0.8) if target.mode is None else (300, 800, 0.9)
    plan = (first, (500, 1000, 0.95), (1000, 2000, 0.98))
    for attempt, (tune, draws, accept) in enumerate(plan):
        points, report = _sample(target, mode, seed + attempt, tune, draws, accept, cores)
        report["target_accept"] = accept
        if (
            report["r_hat"] <= _MAX_R_HAT
            and report["ess"] >= _MIN_ESS
            and report["divergences"] == 0
        ):
            return _thin(points), report
        mode = _from_draws(target, mode, points)
    raise target.refusal(
        f"The sampler did not converge: r_hat {report['r_hat']:.3f} (at most {_MAX_R_HAT}), "
        f"effective draws {report['ess']:.0f} (at least {_MIN_ESS:.0f}), "
        f"{report['divergences']} divergent transitions.",
        "The history is probably too short or has too few repeat buyers to tell the parameters "
        "apart. Use priors='weak', take a longer history, or leave out customers whose volume "
        "is of another kind (for example wholesale accounts).",
    )


def _thin(points: FloatArray) -> FloatArray:
    keep = np.linspace(0, len(points) - 1, min(KEPT_DRAWS, len(points))).round().astype(int)
    out: FloatArray = points[keep]
    return out


def _from_draws(target: Target, mode: Mode, points: FloatArray) -> Mode:
    """Centre and scale of the draws themselves, for a posterior unlike the normal at its mode."""
    centre = points.mean(axis=0)
    covariance = np.cov(points.T).reshape(len(centre), -1)
    try:
        scale = np.asarray(np.linalg.cholesky(covariance), dtype=float)
    except np.linalg.LinAlgError:  # chains that did not move
        return mode
    value = target.log_posterior(centre)[0]
    return Mode(centre, scale, value) if np.isfinite(value) else mode


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
        flat = np.isinf(target.prior_sd)
        if flat.any():
            point = pm.Flat("unconstrained", dims="parameter")
            z = (point - target.prior_mean)[~flat] / target.prior_sd[~flat]
            pm.Potential("prior", -0.5 * (z**2).sum())
        else:
            point = pm.Normal("unconstrained", target.prior_mean, target.prior_sd, dims="parameter")
        pm.Potential("log_likelihood", LogLikelihood()(point)[0])
    return model


def _agree(target: Target, mode: Mode) -> None:
    """Raise where the density that is sampled is not that of the PyMC model.

    The model states the prior in its own words and takes the likelihood from the target, so what
    may differ is the form of the prior; each form is compared once in a process.
    """
    form = (target.names, np.isinf(target.prior_sd).tobytes())
    if form in _agreed:
        return
    model = pymc_model(target)
    from pytensor.compile.mode import Mode as CompileMode

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        stated = model.compile_logp(mode=CompileMode(linker="py", optimizer="fast_compile"))
    points = (mode.point, mode.point + mode.scale.sum(axis=1))
    apart = [
        float(stated({"unconstrained": point})) - target.log_posterior(point)[0] for point in points
    ]
    if not abs(apart[1] - apart[0]) <= 1e-9 * max(1.0, abs(mode.log_posterior)):
        raise AssertionError(f"PyMC states another density: {apart}")
    _agreed.add(form)


def _sample(
    target: Target, mode: Mode, seed: int, tune: int, draws: int, accept: float, cores: int
) -> tuple[FloatArray, dict[str, Any]]:
    """Run nutpie on the whitened density; returns unconstrained points and diagnostics."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import arviz
        import nutpie
        from nutpie.compiled_pyfunc import from_pyfunc

    k, scale = len(mode.point), mode.scale

    def whitened(z: FloatArray) -> tuple[float, FloatArray]:
        with np.errstate(all="ignore"):
            value, gradient = target.log_posterior(mode.point + scale @ z)
            return value - mode.log_posterior, scale.T @ gradient

    def make_expand(*_: object) -> Callable[[FloatArray], dict[str, FloatArray]]:
        return lambda z: {"z": np.asarray(z, dtype=np.float64)}

    compiled = from_pyfunc(k, lambda: whitened, make_expand, [np.dtype(np.float64)], [(k,)], ["z"])
    began = time.perf_counter()
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
        seconds = time.perf_counter() - began
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
        "ess_bulk": bulk,
        "divergences": divergences,
        "chains": _CHAINS,
        "steps": steps,
        "sampling_seconds": seconds,
    }
