"""MBG/CNBD-k: as MBG/NBD, for customers who buy at regular intervals.

Reutterer, Platzer & Schroeder (2021), "Leveraging purchase regularity for predicting customer
behavior the easy way", International Journal of Research in Marketing 38(1), 194-215; cited as
RPS. After Platzer & Reutterer (2016), "Ticking Away the Moments: Timing Regularity Helps to
Better Predict Customer Activity", Marketing Science 35(5), 779-799: who buys like clockwork and is
late has probably left, who buys at random and is as late has not.

The time between purchases is Erlang-k: a purchase is every k-th event of a Poisson process whose
rate lambda is Gamma(r, alpha), so lambda / k purchases a week. k = 1 is MBG/NBD. With
s = r + k x and u = (T - tx) / (alpha + T) the likelihood is

    prod(gap)^(k-1) / (k-1)!^x  G(s)/G(r) alpha^r (alpha+T)^-s  B(a, b+x+1)/B(a, b)
    * { a/(b+x) ((alpha+T)/(alpha+tx))^s + sum_{j<k} G(s+j)/G(s) u^j / j! }.

The gaps between purchases enter only through the sum of their logarithms, the column `log_gaps`;
given k that is a constant, so it is needed only to choose k. The future is exact, see `erlang`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import digamma, expit, gammaln

from ..base import ModelError
from . import formulas
from .erlang import ErlangFuture
from .erlang_events import phase_terms
from .formulas import FloatArray
from .future import Future
from .histories import Histories
from .model import PurchaseModel
from .rfm import check_histories
from .target import Priors

__all__ = ["LOG_GAPS", "MAX_K", "ModifiedBetaGeoCNBD", "wheat_morrison"]

LOG_GAPS = "log_gaps"
"""Column: sum of the natural logarithms of a customer's gaps between purchases in weeks."""

MAX_K = 8
"""The most regular timing that is tried; the gaps' coefficient of variation is 1 / sqrt(k)."""


def wheat_morrison(first: npt.ArrayLike, second: npt.ArrayLike) -> float:
    """How regular purchases are, from two gaps in a row of each customer: the k of Erlang-k.

    Wheat & Morrison (1990), "Estimating Purchase Regularity with Two Interpurchase Times",
    Journal of Marketing Research 27(1), 87-93: first / (first + second) is Beta(k, k) whatever
    the customer's own rate, and its variance v gives k = (1 - 4 v) / (8 v). 1 is random, 2 and
    more regular, below 1 in bursts.

    Args:
        first: A gap of each customer, (n,); gaps of one day and of several round alike.
        second: The gap after it, (n,).

    Returns:
        The estimate of k; infinite if all gaps of a customer are equal.

    Raises:
        ModelError: Fewer than two customers, or a gap that is not positive.

    >>> round(wheat_morrison([1.0, 2.0, 4.0, 3.0], [3.0, 1.0, 5.0, 2.0]), 3)
    3.141
    """
    one, two = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    if one.shape != two.shape or one.ndim != 1 or len(one) < 2:
        raise ModelError("Two gaps of each of at least two customers are needed.")
    if not ((one > 0) & (two > 0) & np.isfinite(one + two)).all():
        raise ModelError("A gap is not positive and finite.", "Count purchases by day.")
    variance = float(np.var(one / (one + two), ddof=1))
    return (1.0 - 4.0 * variance) / (8.0 * variance) if variance > 0.0 else np.inf


class ModifiedBetaGeoCNBD(PurchaseModel):
    """MBG/CNBD-k with parameters r, alpha (rate of events), a, b (dropout) and whole k.

    Args:
        k: Events a purchase: how regular customers buy. None chooses from 1 to `MAX_K` in `fit`:
            the one of greatest likelihood at its mode, for which `fit` needs the column
            `log_gaps`. The draws are those given k.
        covariates: As in `PurchaseModel`.
        segment: As in `PurchaseModel`.
        coefficient_sd: As in `PurchaseModel`.
        segment_sd: As in `PurchaseModel`.

    >>> m = ModifiedBetaGeoCNBD.from_parameters(k=3, r=0.85, alpha=1.45, a=0.79, b=2.42)
    >>> rfm = pd.DataFrame({"frequency": 3, "recency": [12.0, 30.0], "T": 32.0})
    >>> m.probability_alive(rfm).round(3).tolist()
    [0.022, 0.869]
    >>> m.expected_purchases(rfm, 32.0).round(2).tolist()
    [0.07, 2.38]
    """

    names: ClassVar[tuple[str, ...]] = ("r", "alpha", "a", "b")
    label: ClassVar[str] = "mbg_cnbd_k"
    effects: ClassVar[Mapping[str, Mapping[str, float]]] = {
        "rate": {"alpha": -1.0},
        "dropout": {"a": 0.5, "b": -0.5},
    }
    future_needs_recency: ClassVar[bool] = True

    def __init__(
        self,
        k: int | None = None,
        *,
        covariates: Mapping[str, Sequence[str]] | None = None,
        segment: str | None = None,
        coefficient_sd: float = 1.0,
        segment_sd: float = 0.25,
    ) -> None:
        super().__init__(
            covariates=covariates,
            segment=segment,
            coefficient_sd=coefficient_sd,
            segment_sd=segment_sd,
        )
        self._given = None if k is None else _checked(k)
        self._k = self._given

    @property
    def k(self) -> int:
        """Events a purchase: 1 is random timing, more is more regular.

        Raises:
            ModelError: It is to be chosen, and the model is not fitted.
        """
        if self._k is None:
            raise ModelError(f"{type(self).__name__} is not fitted.", "Call fit first.")
        return self._k

    @classmethod
    def from_parameters(cls, **parameters: float) -> Self:
        """A model at known values of k, r, alpha, a and b."""
        if set(parameters) != {"k", *cls.names}:
            raise ModelError(
                f"{cls.__name__} has the parameters k, {', '.join(cls.names)}; "
                f"got {', '.join(sorted(parameters)) or 'none'}."
            )
        draws = {name: np.array([float(parameters[name])]) for name in cls.names}
        k = _checked(parameters["k"])
        return cls.from_draws(draws, {"inference": "given", "k": k})

    @classmethod
    def from_draws(
        cls,
        draws: Mapping[str, npt.ArrayLike],
        diagnostics: Mapping[str, Any] | None = None,
        description: Mapping[str, Any] | None = None,
    ) -> Self:
        """As `PurchaseModel.from_draws`; k is in `description` or `diagnostics`.

        Raises:
            ModelError: As there, or neither says what k is.
        """
        model = super().from_draws(draws, diagnostics, description)
        k = {**(diagnostics or {}), **(description or {})}.get("k")
        if k is None:
            raise ModelError(
                f"{cls.__name__} needs k beside its draws.",
                "Give what describe() gave, or diagnostics with 'k'.",
            )
        model._given = model._k = _checked(k)
        return model

    def describe(self) -> dict[str, Any]:
        """As `PurchaseModel.describe`, with "k"."""
        return {**super().describe(), "k": self._k}

    def fit(
        self, rfm: pd.DataFrame, seed: int = 0, method: str = "nuts", priors: Priors = "weak"
    ) -> Self:
        """Learn the parameters, and k unless it is given; see `PurchaseModel.fit`.

        Args:
            rfm: As there, and `log_gaps` if k is to be chosen. Not changed.
            seed: As there.
            method: As there.
            priors: As there.

        Returns:
            The model itself. Its diagnostics have "k" and, if k was chosen,
            "log_likelihood_by_k", the log-likelihood at the mode of each k that was tried;
            "log_likelihood_at_mode" is left out for k above 1 without `log_gaps`.

        Raises:
            ModelError: As there, or k is to be chosen and there is no column `log_gaps`.
        """
        began = time.perf_counter()
        found: dict[str, float] = {}
        if self._given is None:
            found = self._compare(rfm, priors)
            self._k = int(max(found, key=lambda k: found[k]))
        super().fit(rfm, seed=seed, method=method, priors=priors)
        self._diagnostics["k"] = self._k
        if self.k > 1:
            # Without the gaps it could not be compared with that of other models.
            at_mode = self._diagnostics.pop("log_likelihood_at_mode")
            if LOG_GAPS in rfm.columns:
                self._diagnostics["log_likelihood_at_mode"] = at_mode + self._of_gaps(rfm)
        if found:
            self._diagnostics["log_likelihood_by_k"] = found
        self._diagnostics["seconds"] = time.perf_counter() - began
        return self

    def _compare(self, rfm: pd.DataFrame, priors: Priors) -> dict[str, float]:
        """Log-likelihood at the mode by k; stops where two in a row are worse than the best."""
        _log_gaps(rfm, check_histories(rfm))  # complains before any work is done
        found: dict[str, float] = {}
        for k in range(1, MAX_K + 1):
            model = type(self)(
                k,
                covariates=self.covariates,
                segment=self.segment,
                coefficient_sd=self.coefficient_sd,
                segment_sd=self.segment_sd,
            )
            found[str(k)] = model.fit(rfm, method="map", priors=priors).log_likelihood(rfm)
            best = max(found.values())
            if k > 2 and all(found[str(k - i)] < best for i in (0, 1)):
                break
        return found

    def log_likelihood(self, rfm: pd.DataFrame) -> float:
        """As `PurchaseModel.log_likelihood`; for k above 1 it needs the column `log_gaps`."""
        value = super().log_likelihood(rfm)
        return value if self.k == 1 else value + self._of_gaps(rfm)

    def _of_gaps(self, rfm: pd.DataFrame) -> float:
        """What the gaps contribute to the log-likelihood, a constant."""
        histories = check_histories(rfm)
        return (self.k - 1) * float(histories.weight @ _log_gaps(rfm, histories))

    def _prior_centre(self, mean_T: float) -> dict[str, float]:
        # As MBG/NBD, with k events to a purchase.
        return {"r": 1.0, "alpha": mean_T / self.k, "a": 1.0, "b": 2.0}

    def _start(self, nodes: Histories) -> dict[str, float]:
        purchases = float(nodes.weight @ nodes.frequency)
        exposure = float(nodes.weight @ nodes.T)
        return {"r": 0.5, "alpha": 0.5 * exposure / (self.k * purchases), "a": 1.0, "b": 3.0}

    def _log_likelihood(self, parameters: FloatArray, nodes: Histories) -> tuple[float, FloatArray]:
        # RPS in logarithms, without (k - 1) log_gaps, a constant; n = x + 1 chances to leave.
        from .erlang_kernel import phase_sums

        level, plan, cells, k = nodes.levels, nodes.plan, parameters.shape[1], self.k
        r, alpha, a, b = parameters
        at, x, weight = level.cell, level.frequency, level.weight
        once = np.stack([r, b, a + b])
        often = once[:, at] + np.stack([k * x, x + 1.0, x + 1.0])
        base = b[at] + x
        alpha_at = alpha[plan.cell] + plan.time
        terms, by_shape, by_alpha, by_odds = phase_sums(
            k,
            np.log(a[at] / base),
            often[0],
            plan.start,
            plan.at_T,
            plan.at_recency,
            plan.time,
            np.log(alpha_at),
            1.0 / alpha_at,
            plan.weight,
        )
        buy, stay, both = gammaln(often) - gammaln(once)[:, at]
        level_value = buy + (r * np.log(alpha))[at] + stay - both - x * gammaln(float(k))
        value = float(weight @ level_value + terms.sum())
        buy, stay, both = digamma(often) - digamma(once)[:, at]
        by_level = (
            weight * (buy + np.log(alpha)[at]) + by_shape,
            weight * (r / alpha)[at] + by_alpha,
            by_odds / a[at] - weight * both,
            weight * (stay - both) - by_odds / base,
        )
        return value, np.stack([np.bincount(at, part, minlength=cells) for part in by_level])

    def _phases(
        self, draws: Mapping[str, FloatArray], x: FloatArray, recency: FloatArray, T: FloatArray
    ) -> FloatArray:
        """Likelihood of each phase of a customer who is alive, to a common factor, (k, n, d)."""
        return phase_terms(self.k, draws["r"] + self.k * x, (T - recency) / (draws["alpha"] + T))

    def _alive(
        self, draws: Mapping[str, FloatArray], x: FloatArray, recency: FloatArray, T: FloatArray
    ) -> FloatArray:
        odds = formulas.log_odds_dropped(
            draws["alpha"], draws["a"], draws["b"], x + 1.0, draws["r"] + self.k * x, recency, T
        )
        phases = self._phases(draws, x, recency, T).sum(axis=0)
        out: FloatArray = expit(np.log(phases) - odds)
        return out

    def _future(
        self,
        draws: Mapping[str, FloatArray],
        x: float,
        T: FloatArray,
        recency: FloatArray | None = None,
    ) -> Future:
        if recency is None:
            raise TypeError("the future of regular buyers needs their recency")
        weight = self._phases(draws, np.asarray(x), recency[:, None], T[:, None])
        return ErlangFuture(
            self.k,
            draws["r"] + self.k * x,
            draws["alpha"] + T[:, None],
            draws["a"],
            draws["b"] + (x + 1.0),
            weight / weight.sum(axis=0),
            self._rule_nodes(draws),
        )

    def _newcomer(self, draws: Mapping[str, FloatArray]) -> tuple[FloatArray, Future]:
        a, b = draws["a"], draws["b"]
        size = np.broadcast_shapes(*(np.shape(values) for values in draws.values()))
        weight = np.zeros((self.k, *size))
        weight[0] = 1.0
        future = ErlangFuture(
            self.k, draws["r"], draws["alpha"], a, b + 1.0, weight, self._rule_nodes(draws)
        )
        return b / (a + b), future

    def _rule_nodes(self, draws: Mapping[str, FloatArray]) -> int:
        # One number for all customers, so that a customer's result depends on nobody else.
        return formulas.beta_nodes(draws["a"], draws["b"] + 1.0)


def _checked(k: float) -> int:
    if isinstance(k, bool) or k != int(k) or k < 1:
        raise ModelError(f"k is {k}.", "k is a whole number of at least 1, such as 2.")
    return int(k)


def _log_gaps(rfm: pd.DataFrame, histories: Histories) -> FloatArray:
    """The column `log_gaps`, 0 where there is no gap; it must be possible in weeks."""
    if LOG_GAPS not in rfm.columns:
        raise ModelError(
            f"The RFM summary has no column '{LOG_GAPS}', which tells how regular customers buy.",
            "Add the sum of the logarithms of each customer's gaps between purchases in weeks, "
            "or fix the regularity, for example ModifiedBetaGeoCNBD(k=2).",
        )
    values = rfm[LOG_GAPS].to_numpy(dtype=float, na_value=np.nan)
    x = histories.frequency
    found = np.where(x > 0, values, 0.0)
    # Gaps that add up to recency have the greatest sum of logarithms when they are equal. Orders
    # of the same day are half a day apart there, though recency does not count it.
    most = x * np.log(np.maximum(histories.recency / np.maximum(x, 1.0) + 0.5 / 7.0, 1e-300))
    bad = ~np.isfinite(found) | ((x > 0) & (found > most + 1e-6 * (1.0 + np.abs(most))))
    if bad.any():
        place = int(np.flatnonzero(bad)[0])
        raise ModelError(
            f"Row {rfm.index[place]!r}: {LOG_GAPS} is {values[place]}, which frequency "
            f"{x[place]:g} and recency {histories.recency[place]:g} do not allow.",
            "It is the sum of the natural logarithms of the gaps between purchases in weeks.",
        )
    return found
