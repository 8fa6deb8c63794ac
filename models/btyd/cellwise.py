"""Covariates as coordinates of a posterior: one likelihood for customers with different parameters.

With v the logarithms of a model's k parameters, the coefficients and the offsets of the
segments, the logarithms of the parameters of all cells are one product A v. So every
model gets its gradient from its own one (A' times it) and its curvature from 2 k gradients,
however many coefficients and segments there are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from .formulas import FloatArray
from .target import Target

__all__ = ["Cellwise", "cellwise", "effects_target"]

_STEP = 1e-4
_DENSE = 50_000  # entries up to which a plain matrix is faster than a sparse one


@dataclass(frozen=True)
class Cellwise:
    """A log-likelihood by coordinates v, from one by the parameters of the cells.

    Attributes:
        likelihood: Parameters (k, cells) -> value and gradient (k, cells).
        design: A, (k * cells, coordinates), rows ordered by parameter, then cell.
        parameters: k.
    """

    likelihood: Callable[[FloatArray], tuple[float, FloatArray]]
    design: sparse.csr_array | FloatArray
    transposed: sparse.csr_array | FloatArray
    parameters: int

    def value(self, v: FloatArray) -> tuple[float, FloatArray]:
        """Log-likelihood and its gradient."""
        value, gradient = self._by_cell((self.design @ v).reshape(self.parameters, -1))
        return value, self.transposed @ gradient.ravel()

    def curvature(self, v: FloatArray) -> FloatArray:
        """Negative Hessian: exact gradients, differenced in each parameter for all cells at once.

        The cells do not touch one another, so 2 k gradients give the k x k block of each.
        """
        k = self.parameters
        log_parameters = (self.design @ v).reshape(k, -1)
        cells = log_parameters.shape[1]
        blocks = np.empty((k, k, cells))
        for j in range(k):
            step = np.zeros((k, 1))
            step[j] = _STEP
            up, down = self._by_cell(log_parameters + step), self._by_cell(log_parameters - step)
            blocks[j] = (down[1] - up[1]) / (2.0 * _STEP)
        blocks = 0.5 * (blocks + blocks.transpose(1, 0, 2))
        i, j, c = np.indices(blocks.shape)
        local = sparse.csr_array(
            (blocks.ravel(), ((i * cells + c).ravel(), (j * cells + c).ravel())),
            shape=(k * cells, k * cells),
        )
        out = self.transposed @ (local @ self.design)
        return out.toarray() if sparse.issparse(out) else np.asarray(out)

    def _by_cell(self, log_parameters: FloatArray) -> tuple[float, FloatArray]:
        parameters = np.exp(np.clip(log_parameters, -200.0, 200.0))
        value, gradient = self.likelihood(parameters)
        return value, gradient * parameters


def cellwise(
    likelihood: Callable[[FloatArray], tuple[float, FloatArray]],
    shares: dict[str, FloatArray],
    values: dict[str, FloatArray],
    segment: npt.NDArray[np.intp] | None,
    cells: int,
) -> Cellwise:
    """Lay out the coordinates: parameters, coefficients by effect, offsets by effect.

    Args:
        likelihood: See `Cellwise`.
        shares: Effect -> how the logarithm of each parameter moves with it, (k,).
        values: Effect -> columns of numbers, (cells, terms); effects without any are left out.
        segment: Segment of each cell, or None.
        cells: Number of cells.
    """
    k = len(next(iter(shares.values())))
    blocks = [sparse.kron(sparse.eye_array(k), np.ones((cells, 1)))]
    blocks += [sparse.kron(shares[e][:, None], sparse.csr_array(x)) for e, x in values.items()]
    if segment is not None:
        shape = (cells, int(segment.max()) + 1)
        members = sparse.csr_array((np.ones(cells), (np.arange(cells), segment)), shape=shape)
        blocks += [sparse.kron(share[:, None], members) for share in shares.values()]
    design = sparse.csr_array(sparse.hstack(blocks))
    if design.shape[0] * design.shape[1] <= _DENSE:
        dense = design.toarray()
        return Cellwise(likelihood, dense, dense.T, k)
    return Cellwise(likelihood, design, sparse.csr_array(design.T), k)


def effects_target(plain: Target, work: Cellwise, names: tuple[str, ...], sd: float) -> Target:
    """The posterior with coefficients beside the parameters; each has the prior Normal(0, sd)."""
    k, extra = work.parameters, len(names)

    def to_parameters(points: FloatArray) -> FloatArray:
        out = np.array(points)
        out[..., :k] = np.exp(out[..., :k])
        return out

    return Target(
        names=(*plain.names, *names),
        log_likelihood=work.value,
        to_parameters=to_parameters,
        prior_mean=np.concatenate([plain.prior_mean, np.zeros(extra)]),
        prior_sd=np.concatenate([plain.prior_sd, np.full(extra, sd)]),
        start=np.concatenate([plain.start, np.zeros(extra)]),
        weight=plain.weight,
        nodes=plain.nodes,
    )
