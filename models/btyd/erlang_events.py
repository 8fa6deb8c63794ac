"""The events of regular buyers: how many there were since the last purchase, and will be.

The notation is that of `erlang`; phases come first in every array, (k, ...).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import numpy as np

from .formulas import FloatArray

__all__ = ["event_masses", "phase_masses", "phase_terms", "waves_of"]


def phase_terms(k: int, shape: FloatArray, silence: FloatArray) -> FloatArray:
    """How likely each phase is, up to a common factor.

    Args:
        k: Events a purchase.
        shape: r + k x, the shape of lambda before the silence is taken into account.
        silence: (T - recency) / (alpha + T), broadcast against `shape`.

    Returns:
        G(shape + j) / G(shape) silence^j / j! for j = 0 to k - 1, shape (k, ...). Their sum is
        the factor by which RPS differs from MBG/NBD.
    """
    size = np.broadcast_shapes(np.shape(shape), np.shape(silence))
    out = np.empty((k, *size))
    out[0] = 1.0
    for j in range(1, k):
        np.multiply(out[j - 1], (shape + (j - 1)) * silence / j, out=out[j])
    return out


def event_masses(k: int, r: FloatArray, z: FloatArray, start: FloatArray) -> Iterator[FloatArray]:
    """P(phase + events = v) for v = 0, 1, ...; `start` as in `phase_masses` times the weights."""
    for v, mass in enumerate(phase_masses(k, r, z, start)):
        yield mass[: min(v + 1, k)].sum(axis=0)


def phase_masses(k: int, r: FloatArray, z: FloatArray, start: FloatArray) -> Iterator[FloatArray]:
    """The same of each phase, (k, ...), of which those up to min(v, k - 1) have begun.

    `start` is (1 - z)^r; in phase j the first term is (1 - z)^(r + j), at v = j, and the next
    follows by the factor z (r + v) / (v - j + 1), the same for all phases but for its
    denominator.
    """
    mass = np.broadcast_to(start, (k, *np.broadcast_shapes(start.shape[1:], z.shape))).copy()
    for j in range(1, k):
        mass[j:] *= 1.0 - z
    behind = np.arange(k).reshape((k,) + (1,) * (mass.ndim - 1))
    for v in count():
        begun = min(v + 1, k)
        yield mass
        mass[:begun] *= z * (r + v)
        mass[:begun] /= v + 1.0 - behind[:begun]


def waves_of(k: int, r: FloatArray, tau: FloatArray, u: FloatArray) -> FloatArray:
    """What of the terms with l != 0 depends on t, for each phase: (k, cells).

    q^-k / k sum of y_l^(j+1) c_l^j f_l / (1 - y_l), c_l = 1 / (1 + (1 - y_l) tau), f_l of phase 0.
    """
    total = np.zeros((k, *tau.shape))
    q, scale = np.exp(-u), np.exp(u * (k - 1)) / k
    for turn in range(1, k // 2 + 1):
        root = np.exp(2j * np.pi * turn / k)
        y = q * root
        log_base = np.log(1.0 + tau * (1.0 - y))
        step = y * np.exp(-log_base)
        # Roots come in conjugate pairs, but for -1.
        part = scale * (1.0 if 2 * turn == k else 2.0) * root * np.exp(-r * log_base) / (1.0 - y)
        for j in range(k):
            total[j] += part.real
            part = part * step
    return total
