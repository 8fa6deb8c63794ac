"""The numerics of regular buyers: a purchase is every k-th event of a Poisson process.

Events arrive at a rate lambda ~ Gamma(r, rate alpha); every k-th of them is a purchase, so the
time between purchases is Erlang-k; after each purchase the customer leaves with probability
p ~ Beta(a, b). This is the process of Reutterer, Platzer & Schroeder (2021), "Leveraging purchase
regularity for predicting customer behavior the easy way", International Journal of Research in
Marketing 38(1), cited here as RPS. RPS approximate the future of a customer; here it is exact.

A customer who is alive has seen j < k events since the last purchase, the phase. It is not known,
but its weights w_j are, and given the phase lambda ~ Gamma(r + j, alpha). With N events in (0, t]
nobody who stays makes other than M = floor((j + N) / k) purchases, hence

    P(X(t) >= m) = B(a, b+m-1) / B(a, b) * sum_j w_j P(N_j >= m k - j),
    E[X(t)]      = E_p[(1 - E[(1 - p)^M]) / p].

Where few events are expected, both are sums of positive terms over v = j + N, the events since
the last purchase. Where many are, the sum is closed by roots of unity: with q = (1 - p)^(1/k),
y_l = q exp(2 pi i l / k) and f_l = (1 + (1 - y_l) t / alpha)^-(r + j),

    E[X(t)] = E_p[ q^-k / k * sum_l y_l^(j+1) (1 - f_l) / (1 - y_l) ],

in which l = 0 is the growth, and the rest an oscillation that dies out. k = 1 is `formulas`.

All functions are elementwise and broadcast. Times are in one unit, the model's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from itertools import count, islice
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import betainc, betaln

from . import formulas
from .erlang_events import event_masses, phase_masses, phase_terms, waves_of
from .formulas import FloatArray
from .future import Future

__all__ = ["ErlangFuture"]

# Expected events, and horizon in units of alpha, up to which the expectation is summed by events.
_FEW_EVENTS, _SHORT = 60.0, 16.0
# Horizon in units of alpha below which, with fewer events than a purchase, it always is.
_NEAR = 1.0
# Terms of a series that stands for many customers.
_FIRST_TERMS, _MOST_TERMS = 24, 384
# Cells worked on at once, so that the arrays stay in the processor's cache.
_CELLS = 1 << 13
# exp(-40) is 4e-18: an oscillation smaller than this is left out.
_GONE = 40.0
# The largest double below 1; beyond it 1 - p is 0 and its logarithm infinite.
_ALMOST_ONE = 1.0 - 2.0**-53


class ErlangFuture(Future):
    """Purchases at every k-th event until a Beta(a, b) coin ends it.

    Args:
        k: Events a purchase.
        r: Shape of lambda in phase 0; it is r + j in phase j.
        alpha: Rate of lambda.
        a: First shape of the dropout probability.
        b: Second shape of the dropout probability, at least 1.
        weight: Weights of the phases, (k, ...), adding up to one.
        nodes: Nodes of the average over p.
    """

    def __init__(
        self,
        k: int,
        r: FloatArray,
        alpha: FloatArray,
        a: FloatArray,
        b: FloatArray,
        weight: FloatArray,
        nodes: int,
    ) -> None:
        self.k, self.r, self.alpha, self.a, self.b, self.weight = k, r, alpha, a, b, weight
        self._nodes = nodes

    @cached_property
    def rule(self) -> formulas.BetaRule:
        """The average over the dropout probability."""
        return formulas.beta_rule(self.a, self.b, self._nodes)

    def _reach(self, t: FloatArray | float) -> FloatArray:
        """Horizon over alpha in the full shape of the result."""
        tau = np.asarray(t) / self.alpha
        size = np.broadcast_shapes(tau.shape, np.shape(self.r), self.weight.shape[1:])
        return np.broadcast_to(tau, size)

    def _weights(self, tau: FloatArray) -> FloatArray:
        """Weights of the phases, each in the shape of `tau`; a newcomer's are one a draw."""
        missing = (1,) * (tau.ndim + 1 - self.weight.ndim)
        weight = self.weight.reshape(self.k, *missing, *self.weight.shape[1:])
        return np.broadcast_to(weight, (self.k, *tau.shape))

    def _by_event(self, tau: FloatArray) -> Iterator[FloatArray]:
        """P(phase + events = v) for v = 0, 1, 2, ..."""
        k, z = self.k, tau / (1.0 + tau)
        mass = self._weights(tau) * np.exp(-self.r * np.log1p(tau))
        return event_masses(k, self.r, z, mass)

    def expected(self, t: FloatArray | float) -> FloatArray:
        """Expected purchases in the next `t` weeks; see `Future`."""
        tau = self._reach(t)
        return self._expectation(tau, often=False)(tau)

    def _expectation(self, top: FloatArray, often: bool) -> Callable[[FloatArray], FloatArray]:
        """Expected purchases by t / alpha up to `top`; to be asked for once or often."""
        series = None
        if top.ndim == 2 and max(np.ndim(self.r), np.ndim(self.a), np.ndim(self.b)) == 1:
            # One function a phase and draw for all customers.
            highest = top.max(axis=0)
            size = _FIRST_TERMS
            most = _MOST_TERMS if often else min(_MOST_TERMS, len(top) // 2)
            while series is None and size <= most:
                series = _Series.build(self, highest, size)
                size *= 2

        def at(tau: FloatArray) -> FloatArray:
            out = np.empty(tau.shape)
            events = (self.r + (self.k - 1)) * tau
            few = (tau <= _SHORT) & (events <= _FEW_EVENTS)
            if series is None:
                self._fill(out, few, tau, self._few)
                self._fill(out, ~few, tau, self._many)
                return out
            # Near 0 the phases differ by powers of tau, which a series would lose.
            near = (tau <= _NEAR) & (events <= self.k)
            self._fill(out, near, tau, self._few)
            rows = np.flatnonzero(~near.all(axis=1))
            step = max(1, _CELLS // tau.shape[1])
            for start in range(0, len(rows), step):
                some = rows[start : start + step]
                weight = self._weights(tau)[:, some]
                out[some] = np.where(near[some], out[some], series.at(tau[some], weight))
            return out

        return at

    def _fill(
        self,
        out: FloatArray,
        mask: npt.NDArray[np.bool_],
        tau: FloatArray,
        work: Callable[[FloatArray, Callable[[FloatArray], FloatArray]], FloatArray],
    ) -> None:
        """Set the cells of `out` where `mask` is true, some thousands of them at a time."""
        cells = np.flatnonzero(mask)
        for start in range(0, len(cells), _CELLS):
            at = np.unravel_index(cells[start : start + _CELLS], out.shape)

            def take(values: FloatArray, at: tuple[npt.NDArray[np.intp], ...] = at) -> FloatArray:
                return np.broadcast_to(values, out.shape)[at]

            by_phase = work(take(tau), take)
            out[at] = sum(take(w) * e for w, e in zip(self.weight, by_phase, strict=True))

    def _few(self, tau: FloatArray, take: Callable[[FloatArray], FloatArray]) -> FloatArray:
        """Expected purchases of each phase, (k, cells), by the number of events.

        E[X] = sum over v of P(v) times what one expects who would make floor(v / k).
        """
        k, r, a, b = self.k, take(self.r), take(self.a), take(self.b)
        z = tau / (1.0 + tau)
        start = np.exp(-r * np.log1p(tau))
        total, block = np.zeros((k, *tau.shape)), np.empty((k, *tau.shape))
        made, survive = np.zeros(tau.shape), np.ones(tau.shape)
        masses = phase_masses(k, r, z, np.broadcast_to(start, total.shape))
        for _ in range(k):
            next(masses)
        for m in count(1):
            made += survive
            survive *= (b + (m - 1)) / (a + b + (m - 1))
            block[:] = next(masses)
            for _ in range(k - 1):
                block += next(masses)
            block *= made
            total += block
            # Once terms fall and no longer change the total, none of the later ones does.
            falling = z * (r + m * k) < (m - 1) * k
            if (falling & (block <= 1e-17 * total).all(axis=0)).all():
                break
        return total

    def _many(self, tau: FloatArray, take: Callable[[FloatArray], FloatArray]) -> FloatArray:
        """The same by roots of unity."""
        k, r = self.k, take(self.r)
        slow = 1.0 - np.cos(2.0 * np.pi / k)
        waves = np.flatnonzero(r * np.log1p(tau * slow) < _GONE) if k > 1 else np.empty(0, int)
        total = np.zeros((k, *tau.shape))
        for p_node, p_weight in zip(self.rule.p, self.rule.weight, strict=True):
            p, weight = np.minimum(take(p_node), _ALMOST_ONE), take(p_weight)
            u = -np.log1p(-p) / k
            gap = -np.expm1(-u)  # 1 - q
            log_base = np.log1p(tau * gap)
            f, c, lift = np.exp(-r * log_base), np.exp(-log_base), np.exp(u)
            first, second = -np.expm1(-r * log_base) / gap, f * tau * c
            # 1 - f c^j = (1 - f) + f (1 - c) (1 + c + ... + c^(j-1)), and what l != 0 leaves for
            # good, (1/k) sum of 1 - q^-s over s from -j to k - 1 - j, divided by p.
            powers, power = np.zeros(tau.shape), np.ones(tau.shape)
            scale = weight * np.exp(u * (k - 1)) / k
            lasting = sum((np.expm1(u * s) for s in range(1, k)), np.zeros(tau.shape))
            share = weight / (k * p)
            for j in range(k):
                total[j] += scale * (first + second * powers) - share * lasting
                powers += power
                power *= c
                scale /= lift
                lasting += np.expm1(-u * (j + 1)) - np.expm1(u * (k - 1 - j))
            if len(waves):
                wave = waves_of(k, r[waves], tau[waves], u[waves])
                total[:, waves] -= weight[waves] * wave
        return total

    def discounted(self, t: float, rate: float) -> FloatArray:
        """The same, each purchase times exp(-rate * its time)."""
        # As formulas.discounted_purchases, in two panels: the early one resolves the regular
        # beat of the purchases, the late one is smooth in log(1 + s / alpha).
        if rate == 0.0:
            return self.expected(t)
        t = min(t, 40.0 / rate)
        full = self._reach(t)
        events = self.r + (self.k - 1)
        early = np.minimum(full, np.minimum(_SHORT, _FEW_EVENTS / events))
        expected = self._expectation(full, often=True)
        total = np.exp(-rate * t) * expected(full)
        beats = float((early * events).max(initial=0.0))
        for low, high, size in (
            (np.zeros(full.shape), early, 8.0 + 0.3 * beats),
            (early, full, 10.0 + 3.5 * np.sqrt(rate * t)),
        ):
            start, half = np.log1p(low), 0.5 * np.log1p((high - low) / (1.0 + low))
            if not half.any():
                continue
            size += 2.6 * float(half.max())
            for node, weight in zip(*np.polynomial.legendre.leggauss(int(size)), strict=True):
                tau = np.expm1(start + half * (1.0 + node))
                # ds = (alpha + s) dw
                jacobian = (rate * weight) * half * self.alpha * (1.0 + tau)
                total = total + jacobian * np.exp(-rate * self.alpha * tau) * expected(tau)
        out: FloatArray = total
        return out

    def none(self, t: FloatArray | float) -> FloatArray:
        """Probability of no purchase in the next `t` weeks."""
        tau = self._reach(t)
        events = self._by_event(tau)
        out = next(events)
        for _ in range(self.k - 1):
            out = out + next(events)
        return out

    def _most(self, t: FloatArray | float) -> FloatArray:
        return (self.r + self.k) * self._reach(t)  # events

    def _tails(self, t: FloatArray | float) -> Iterator[FloatArray]:
        tau = self._reach(t)
        events = self._by_event(tau)
        reached, survive = np.ones(tau.shape), np.ones(np.shape(self.a + self.b))
        for m in count(1):
            for _ in range(self.k):
                reached = reached - next(events)
            yield survive * np.maximum(reached, 0.0)
            survive = survive * ((self.b + (m - 1)) / (self.a + self.b + (m - 1)))

    def tail(self, k: FloatArray, t: FloatArray | float) -> FloatArray:
        """The same for given m = `k`."""
        tau = self._reach(t)
        z = tau / (1.0 + tau)
        survive = np.exp(betaln(self.a, self.b + k - 1.0) - betaln(self.a, self.b))
        out = np.zeros(np.broadcast_shapes(np.shape(k), tau.shape))
        for j, weight in enumerate(self.weight):
            out = out + weight * betainc(k * self.k - j, self.r + j, z)
        return survive * out

    def next_purchase(self) -> FloatArray:
        """Median weeks to the next purchase."""
        # Nobody leaves between purchases, so the median solves none(t) = 1/2. In v = log(1 + t /
        # alpha), log none falls at a rate between 0 and r + k - 1, and at last at r or more.
        k, r = self.k, self.r
        size = np.broadcast_shapes(np.shape(r), self.weight.shape[1:], np.shape(self.alpha))
        r = np.broadcast_to(r, size)
        most = phase_terms(k, r + (k - 1), np.ones(1)).sum(axis=0)
        low, high = np.zeros(size), np.log(2.0 * most) / r
        v = high
        for _ in range(200):
            events = list(
                islice(event_masses(k, r, -np.expm1(-v), self.weight * np.exp(-r * v)), k)
            )
            none = sum(events)
            waiting = none > 0.5
            low, high = np.where(waiting, v, low), np.where(waiting, high, v)
            # Newton's step for log none, whose slope is -(r + k - 1) P(v = k - 1) / none.
            with np.errstate(divide="ignore", invalid="ignore"):
                step = np.log(2.0 * none) * none / ((r + (k - 1)) * events[-1])
                new = v + step
            inside = (new > low) & (new < high)
            new = np.where(inside, new, 0.5 * (low + high))
            done = np.abs(new - v) <= 1e-14 * v
            v = np.where(done, v, new)
            if done.all():
                break
        with np.errstate(over="ignore"):
            out: FloatArray = self.alpha * np.expm1(v)
        return out


class _Series:
    """Expected purchases of each phase and draw, a Chebyshev series in v = log(1 + t / alpha).

    Args:
        low: Where it begins, (draws,).
        high: Where it ends, (draws,).
        terms: (terms, phases, draws).
    """

    def __init__(self, low: FloatArray, high: FloatArray, terms: FloatArray) -> None:
        self.low, self.high, self.terms = low, high, terms

    @classmethod
    def build(cls, future: ErlangFuture, top: FloatArray, size: int) -> _Series | None:
        """A series of `size` terms up to t / alpha = `top`, (draws,); None if that is too few."""
        k = future.k
        low = np.log1p(np.minimum(_NEAR, k / (future.r + (k - 1))))
        low = np.broadcast_to(low, top.shape)
        high = np.maximum(np.log1p(top), low * 1.0000001)
        angles = (2 * np.arange(size) + 1) * np.pi / (2 * size)
        tau = np.expm1(low + 0.5 * (high - low) * (1.0 + np.cos(angles)[:, None]))
        values = np.empty((k, *tau.shape))
        few = (tau <= _SHORT) & ((future.r + (k - 1)) * tau <= _FEW_EVENTS)
        for mask, work in ((few, future._few), (~few, future._many)):
            at = np.nonzero(mask)
            if len(at[0]):

                def take(
                    values: FloatArray, at: tuple[npt.NDArray[np.intp], ...] = at
                ) -> FloatArray:
                    return np.broadcast_to(values, tau.shape)[at]

                index: Any = (slice(None), *at)
                values[index] = work(take(tau), take)
        cosines = np.cos(np.arange(size)[:, None] * angles) * (2.0 / size)
        terms = np.einsum("ci,jid->cjd", cosines, values)
        terms[0] *= 0.5
        rest = np.abs(terms[-3:]).max(axis=0)
        if (rest > 1e-13 * np.abs(terms).max(axis=0)).any():
            return None
        return cls(low, high, terms)

    def at(self, tau: FloatArray, weight: FloatArray) -> FloatArray:
        """Weighted sum over the phases at t / alpha, (n, draws), by Clenshaw's recurrence."""
        width = np.maximum(self.high - self.low, 1e-300)
        x = np.clip(2.0 * (np.log1p(tau) - self.low) / width - 1.0, -1.0, 1.0)
        # The series is linear in the phases, so they are weighted first and summed at once.
        last, before = np.zeros(tau.shape), np.zeros(tau.shape)
        for term in self.terms[:0:-1]:
            now = 2.0 * x
            now *= last
            now -= before
            for w, part in zip(weight, term, strict=True):
                now += w * part
            last, before = now, last
        out = x * last - before
        for w, part in zip(weight, self.terms[0], strict=True):
            out += w * part
        return out
