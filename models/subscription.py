"""Shifted beta-geometric: how long contracts last and what they are still worth.

Fader & Hardie (2007), "How to Project Customer Retention", Journal of Interactive Marketing
21(1), 76-90; cited as FH07. At each renewal a customer leaves with a probability theta of their
own, and theta ~ Beta(alpha, beta) differs between customers. Retention rises with tenure though
nobody changes: those likely to leave leave first.

Fader & Hardie (2010), "Customer-Base Valuation in a Contractual Setting: The Perils of Ignoring
Heterogeneity", Marketing Science 29(1), 85-93; cited as FH10: what the rest of a contract is
worth.

Time is counted in contract periods (months, years). A customer who has signed and not yet come
to a renewal has 0 renewals behind them.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import betaln, digamma

from .base import ModelError
from .btyd.formulas import FloatArray, beta_nodes, beta_rule
from .btyd.posterior import infer
from .btyd.target import Priors, Target, prior

__all__ = ["PERIODS_A_YEAR", "Period", "ShiftedBetaGeometric", "lifetimes_from_survivors"]

Period = Literal["month", "quarter", "year"] | int
"""A contract period: by its name, or a number of days."""

PERIODS_A_YEAR: Mapping[str | int, float] = {"month": 12.0, "quarter": 4.0, "year": 1.0}


def lifetimes_from_survivors(survivors: Sequence[float] | FloatArray) -> pd.DataFrame:
    """The contracts behind a table of survivors.

    Args:
        survivors: Customers at the start and after each renewal, not rising.

    Returns:
        periods, ended and weight, one row for those lost at each renewal and one for those who
        are left.

    Raises:
        ModelError: Fewer than two numbers, a number that rises, or one that is not finite.

    >>> lifetimes_from_survivors([1000, 869, 743])
       periods  ended  weight
    0        1   True   131.0
    1        2   True   126.0
    2        2  False   743.0
    """
    left = np.asarray(survivors, dtype=float)
    if left.ndim != 1 or len(left) < 2:
        raise ModelError(
            "A table of survivors needs the customers at the start and after one renewal at least.",
            "Give for example [1000, 869, 743].",
        )
    bad = ~np.isfinite(left) | (left < 0)
    bad[1:] |= left[1:] > left[:-1]
    if bad.any():
        place = int(np.flatnonzero(bad)[0])
        raise ModelError(
            f"Survivors at period {place}: {left[place]:g}; the numbers of one cohort must be "
            "finite, at least 0, and must not rise.",
            "Follow the customers of one start; new ones make a table of their own.",
        )
    end = len(left) - 1
    frame = pd.DataFrame(
        {
            "periods": np.append(np.arange(1, end + 1), end),
            "ended": np.append(np.ones(end, dtype=bool), False),
            "weight": np.append(left[:-1] - left[1:], left[-1]),
        }
    )
    return frame[frame["weight"] > 0].reset_index(drop=True)


class ShiftedBetaGeometric:
    """sBG with parameters alpha and beta: the chance to leave at a renewal is Beta(alpha, beta).

    Args:
        period: Length of a contract period: "month", "quarter", "year" or a number of days.
            Only a yearly discount rate depends on it.

    >>> m = ShiftedBetaGeometric.from_parameters(alpha=0.668, beta=3.806, period="year")
    >>> (100.0 * m.survival([1, 7, 12])).round(1).tolist()
    [85.1, 48.9, 37.8]
    >>> m.retention_rate([1, 2, 7]).round(3).tolist()
    [0.851, 0.878, 0.936]
    """

    names: ClassVar[tuple[str, ...]] = ("alpha", "beta")
    label: ClassVar[str] = "sbg"

    def __init__(self, period: Period = "month") -> None:
        if not (period in PERIODS_A_YEAR or (isinstance(period, int) and period >= 1)):
            raise ModelError(
                f"Unknown period {period!r}.",
                f"Choose one of {', '.join(map(str, PERIODS_A_YEAR))}, or a number of days.",
            )
        self.period: Period = period
        self._draws: dict[str, FloatArray] | None = None
        self._diagnostics: dict[str, Any] = {}

    # making one

    @classmethod
    def from_parameters(cls, alpha: float, beta: float, period: Period = "month") -> Self:
        """A model at known parameter values.

        Raises:
            ModelError: A parameter is not positive and finite.
        """
        draws = {"alpha": np.array([alpha]), "beta": np.array([beta])}
        return cls.from_draws(draws, {"inference": "given"}, {"period": period})

    @classmethod
    def from_draws(
        cls,
        draws: Mapping[str, npt.ArrayLike],
        diagnostics: Mapping[str, Any] | None = None,
        description: Mapping[str, Any] | None = None,
    ) -> Self:
        """A model with posterior draws from elsewhere.

        Args:
            draws: What `posterior` gave: alpha and beta, (draws,) each.
            diagnostics: What `diagnostics` gave.
            description: What `describe` gave; monthly contracts without it.
        """
        arrays = {name: np.array(draws[name], dtype=float) for name in cls.names}
        for name, values in arrays.items():
            if (
                values.ndim != 1
                or not len(values)
                or not (np.isfinite(values) & (values > 0)).all()
            ):
                raise ModelError(
                    f"Parameter {name} of {cls.__name__} is not positive and finite: {values}."
                )
        model = cls((description or {}).get("period", "month"))
        model._draws = arrays
        model._diagnostics = dict(diagnostics or {"inference": "given"})
        return model

    def describe(self) -> dict[str, Any]:
        """What `from_draws` needs beside the draws, as plain JSON; it holds no customer."""
        return {"label": self.label, "period": self.period}

    def fit(
        self,
        contracts: pd.DataFrame | Sequence[float] | FloatArray,
        seed: int = 0,
        method: str = "nuts",
        priors: Priors = "weak",
    ) -> Self:
        """Learn the parameters.

        The weak prior is log-normal and independent for alpha (median 1) and beta (median: what
        gives the observed share of renewals at alpha 1), each with standard deviation 1.5 of the
        logarithm.

        Args:
            contracts: Either a table of survivors, such as [1000, 869, 743] (see
                `lifetimes_from_survivors`), or a frame of contracts with the columns `periods`,
                `ended` and optionally `weight`. A contract that has ended lasted `periods`
                periods: it was renewed periods - 1 times, and not the last time. One that has
                not ended was renewed `periods` times so far. Not changed.
            seed: Makes the draws repeatable.
            method: "nuts" (full posterior), "laplace" (fast, checked by k-hat), or "map" (the
                mode only; no quantiles).
            priors: "weak", "flat" (flat in the logarithms; its mode is the maximum likelihood),
                or (median, standard deviation of the logarithm) for alpha, beta or both.

        Returns:
            The model itself.

        Raises:
            ModelError: Impossible rows, no contract that has ended or none that was renewed, or
                draws that cannot be trusted.
        """
        began = time.perf_counter()
        nodes = _Contracts.read(contracts)
        left, stayed = nodes.losses(), nodes.renewals()
        if left <= 0.0 or stayed <= 0.0:
            what = "has ended" if left <= 0.0 else "was ever renewed"
            raise ModelError(
                f"No contract {what}, so retention cannot be learned.", "Take a longer history."
            )
        centre = {"alpha": 1.0, "beta": stayed / left}
        prior_mean, prior_sd, written = prior(priors, centre)

        def log_likelihood(point: FloatArray) -> tuple[float, FloatArray]:
            alpha, beta = np.exp(np.clip(point, -200.0, 200.0))
            value, gradient = nodes.log_likelihood(float(alpha), float(beta))
            return value, gradient * np.array([alpha, beta])

        target = Target(
            names=self.names,
            log_likelihood=log_likelihood,
            to_parameters=np.exp,
            prior_mean=prior_mean,
            prior_sd=prior_sd,
            start=np.log(list(centre.values())),
            weight=float(nodes.weight.sum()),
            nodes=len(nodes.weight),
        )
        fitted = infer(target, seed, method)
        self._draws = fitted.draws
        self._diagnostics = {"model": self.label, "priors": written, **fitted.diagnostics}
        self._diagnostics["seconds"] = time.perf_counter() - began
        return self

    # what is known about it

    @property
    def posterior(self) -> dict[str, FloatArray]:
        """Posterior draws, parameter name -> (draws,); a copy."""
        return {name: values.copy() for name, values in self._fitted().items()}

    @property
    def diagnostics(self) -> dict[str, Any]:
        """How the fit went: inference, r_hat, ess, divergences, seconds, nodes, mode, ..."""
        return dict(self._diagnostics)

    @property
    def parameters(self) -> dict[str, float]:
        """Posterior mean of each parameter, or the point itself."""
        return {name: float(values.mean()) for name, values in self._fitted().items()}

    def _fitted(self) -> dict[str, FloatArray]:
        if self._draws is None:
            raise ModelError("ShiftedBetaGeometric is not fitted.", "Call fit first.")
        return self._draws

    def log_likelihood(self, contracts: pd.DataFrame | Sequence[float] | FloatArray) -> float:
        """Weighted log-likelihood of the contracts at the posterior mean of the parameters."""
        at = self.parameters
        return _Contracts.read(contracts).log_likelihood(at["alpha"], at["beta"])[0]

    # predictions

    def retention_rate(
        self, renewal: npt.ArrayLike, quantiles: Sequence[float] | None = None
    ) -> FloatArray:
        """Share of those who come to a renewal that renew: FH07.

        Args:
            renewal: Which renewal, 1 for the first, (n,).
            quantiles: Posterior quantiles wanted beside the mean.

        Returns:
            (n,), or (n, 1 + quantiles) with the mean first.
        """
        t = _whole(renewal, "renewal", 1)
        return self.probability_renews(t - 1.0, 1, quantiles)

    def survival(
        self, periods: npt.ArrayLike, quantiles: Sequence[float] | None = None
    ) -> FloatArray:
        """Share of new customers who renew at least so many times; FH07.

        Arguments and result as in `retention_rate`; 1 at 0 periods.
        """
        return self.probability_renews(0, periods, quantiles)

    def probability_renews(
        self,
        renewals: npt.ArrayLike,
        times: npt.ArrayLike = 1,
        quantiles: Sequence[float] | None = None,
    ) -> FloatArray:
        """Probability that a customer renews so many times more.

        Given m renewals theta is Beta(alpha, beta + m), so that this is
        B(alpha, beta + m + k) / B(alpha, beta + m).

        Args:
            renewals: Renewals behind each customer, (n,).
            times: Renewals ahead of them, one number or (n,).
            quantiles: Posterior quantiles wanted beside the mean.

        Returns:
            (n,), or (n, 1 + quantiles) with the mean first.
        """
        m, k = _whole(renewals, "renewals", 0), _whole(times, "times", 0)
        m, k = (values[:, None] for values in np.broadcast_arrays(m, k))
        alpha, beta = self._fitted()["alpha"], self._fitted()["beta"]
        values = np.exp(betaln(alpha, beta + m + k) - betaln(alpha, beta + m))
        return self._summary(values, quantiles)

    def expected_lifetime(
        self,
        renewals: npt.ArrayLike = 0,
        within: int | None = None,
        quantiles: Sequence[float] | None = None,
    ) -> FloatArray:
        """Expected periods from now on, the one that has begun included.

        The sum of `probability_renews` over 0, 1, 2, ... renewals. Without `within` it is
        (alpha + beta + m - 1) / (alpha - 1), and infinite at alpha <= 1: so many customers stay
        for good that the mean does not exist. The discounted lifetime always does.

        Args:
            renewals: Renewals behind each customer, (n,).
            within: Periods to count at most.
            quantiles: Posterior quantiles wanted beside the mean.

        Returns:
            (n,), or (n, 1 + quantiles) with the mean first.
        """
        m = _whole(renewals, "renewals", 0)[:, None]
        alpha, beta = self._fitted()["alpha"], self._fitted()["beta"] + m
        if within is None:
            above_one = np.maximum(alpha - 1.0, 1e-300)
            values = np.where(alpha > 1.0, (alpha + beta - 1.0) / above_one, np.inf)
        else:
            if within < 1:
                raise ModelError(f"within is {within}.", "Use at least one period.")
            still = np.ones(np.broadcast_shapes(alpha.shape, beta.shape))
            values = np.zeros_like(still)
            for t in range(within):
                values += still
                still *= (beta + t) / (alpha + beta + t)
        return self._summary(values, quantiles)

    def discounted_expected_residual_lifetime(
        self,
        renewals: npt.ArrayLike,
        annual_discount_rate: float | None = None,
        *,
        period_discount_rate: float | None = None,
        due: Literal["now", "next"] = "now",
        quantiles: Sequence[float] | None = None,
    ) -> FloatArray:
        """DERL: the payments still to come, in payments, each discounted to now.

        Times the fee (and margin) it is the residual value of the contract. FH10 with
        n = renewals + 1, there a hypergeometric function; here the mean of
        (1 - theta) (1 + d) / (d + theta) over theta ~ Beta(alpha, beta + renewals), which is the
        same and has only positive terms.

        Args:
            renewals: Renewals behind each customer, (n,).
            annual_discount_rate: For example 0.10; it is turned into a rate a period.
            period_discount_rate: A rate a period instead.
            due: "now": the next renewal is imminent and its payment counts in full. "next": the
                customer has just renewed and paid, and the next payment is a period away.
            quantiles: Posterior quantiles wanted beside the mean.

        Returns:
            (n,), or (n, 1 + quantiles) with the mean first.

        Raises:
            ModelError: Impossible renewals, or not exactly one positive discount rate.

        >>> m = ShiftedBetaGeometric.from_parameters(alpha=3.8, beta=15.2, period="year")
        >>> m.discounted_expected_residual_lifetime([0, 4], 0.10).round(2).tolist()
        [3.31, 3.84]
        """
        rate = self._period_rate(annual_discount_rate, period_discount_rate)
        if due not in ("now", "next"):
            raise ModelError(f"Unknown due {due!r}.", "Choose now or next.")
        first = 1.0 + rate if due == "now" else 1.0
        found, place = np.unique(_whole(renewals, "renewals", 0), return_inverse=True)
        alpha, beta = self._fitted()["alpha"], self._fitted()["beta"]
        # One number of nodes for all, so that a customer's result depends on nobody else.
        count = beta_nodes(alpha, beta)
        values = np.empty((len(found), len(alpha)))
        for row, m in enumerate(found):
            rule = beta_rule(alpha, beta + m, count)
            stream = first * (1.0 - rule.p) / (rate + rule.p)
            values[row] = (rule.weight * stream).sum(axis=0)
        return self._summary(values, quantiles)[place]

    def _period_rate(self, annual: float | None, period: float | None) -> float:
        if (annual is None) == (period is None):
            raise ModelError(
                "Give either annual_discount_rate or period_discount_rate.",
                "For example annual_discount_rate=0.10.",
            )
        given = annual if annual is not None else period
        assert given is not None
        if not (np.isfinite(given) and given > 0):
            raise ModelError(
                f"The discount rate is {given}; without one a lifetime may be infinite.",
                "Use for example 0.10 for 10 %.",
            )
        if annual is None:
            return float(given)
        days = self.period
        periods = 365.25 / days if isinstance(days, int) else PERIODS_A_YEAR[days]
        return float(np.expm1(np.log1p(given) / periods))

    def _summary(self, values: FloatArray, quantiles: Sequence[float] | None) -> FloatArray:
        mean: FloatArray = values.mean(axis=1)
        if quantiles is None:
            return mean
        if len(self._fitted()["alpha"]) < 2:
            raise ModelError(
                "Quantiles need posterior draws; this model has a single point "
                f"({self._diagnostics.get('inference')}).",
                "Fit with method='nuts'.",
            )
        return np.column_stack([mean, *np.quantile(values, list(quantiles), axis=1)])


class _Contracts:
    """Checked contracts, merged by periods: how many ended, how many went on."""

    def __init__(self, periods: FloatArray, ended: npt.NDArray[np.bool_], weight: FloatArray):
        keys = 2.0 * periods + ended
        found, place = np.unique(keys, return_inverse=True)
        self.weight = np.bincount(place, weight, minlength=len(found)).astype(float)
        self.periods, self.ended = np.floor(found / 2.0), found % 2.0

    @classmethod
    def read(cls, contracts: pd.DataFrame | Sequence[float] | FloatArray) -> _Contracts:
        frame = contracts
        if not isinstance(frame, pd.DataFrame):
            frame = lifetimes_from_survivors(frame)
        for name in ("periods", "ended"):
            if name not in frame.columns:
                have = ", ".join(map(str, frame.columns)) or "none"
                raise ModelError(
                    f"The contracts have no column '{name}' (columns: {have}).",
                    "Give one row a contract with periods and ended, or a list of survivors.",
                )
        if not len(frame):
            raise ModelError("There are no contracts.", "Give one row a contract.")
        try:
            periods, ended = (
                frame[name].to_numpy(dtype=float, na_value=np.nan) for name in ("periods", "ended")
            )
            weight = np.ones(len(frame))
            if "weight" in frame.columns:
                weight = frame["weight"].to_numpy(dtype=float, na_value=np.nan)
        except (TypeError, ValueError):
            raise ModelError(
                "periods, ended or weight is not numeric.",
                "periods and weight are numbers; ended is true or false.",
            ) from None
        checks = (
            (
                ~np.isfinite(periods) | (periods < 0) | (periods != np.floor(periods)),
                "periods is not a whole number of at least 0",
            ),
            (~np.isin(ended, (0.0, 1.0)), "ended is not true or false"),
            ((ended == 1.0) & (periods == 0.0), "a contract that has ended lasted one period"),
            (~(np.isfinite(weight) & (weight > 0)), "weight is not positive"),
        )
        for bad, what in checks:
            if bad.any():
                place = int(np.flatnonzero(bad)[0])
                row = frame.iloc[place]
                raise ModelError(
                    f"Row {frame.index[place]!r}: {what}; periods={row['periods']}, "
                    f"ended={row['ended']}.",
                    "An ended contract was renewed periods - 1 times, a running one periods times.",
                )
        return cls(periods, ended == 1.0, weight)

    def losses(self) -> float:
        """Contracts that were not renewed."""
        return float(self.weight @ self.ended)

    def renewals(self) -> float:
        """Renewals of all contracts."""
        return float(self.weight @ (self.periods - self.ended))

    def log_likelihood(self, alpha: float, beta: float) -> tuple[float, FloatArray]:
        """Weighted log-likelihood and its gradient by alpha and beta.

        FH07: P(T = t) = B(alpha + 1, beta + t - 1) / B(alpha, beta) and
        S(t) = B(alpha, beta + t) / B(alpha, beta).
        """
        a, b = alpha + self.ended, beta + self.periods - self.ended
        value = float(self.weight @ (betaln(a, b) - betaln(alpha, beta)))
        both = digamma(alpha + beta) - digamma(a + b)
        by_alpha = both + digamma(a) - digamma(alpha)
        by_beta = both + digamma(b) - digamma(beta)
        return value, np.array([self.weight @ by_alpha, self.weight @ by_beta])


def _whole(values: npt.ArrayLike, name: str, low: int) -> FloatArray:
    out = np.atleast_1d(np.asarray(values, dtype=float))
    if not (np.isfinite(out) & (out >= low) & (out == np.floor(out))).all():
        raise ModelError(f"{name} is {values!r}.", f"Give whole numbers of at least {low}.")
    return out
