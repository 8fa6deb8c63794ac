"""Customer lifetime value: purchases x spend x margin, discounted, with intervals.

    clv = margin * E[spend per purchase] * integral over the horizon of
          exp(-delta s) d E[purchases until s],        delta = ln(1 + annual rate) a year

the finite-horizon form of Fader, Hardie & Lee (2005), "RFM and CLV: Using Iso-Value Curves for
Customer Base Analysis", Journal of Marketing Research 42(4), eq. 1 to 3; with an endless horizon
it is their residual lifetime value. Purchases and spend per purchase are independent given a
customer's history, so the expectation of the product is the product of the expectations. Where
the summary has `first_value`, spend is learned from all purchases and not from the repeat ones
only (see `spend`). With a calendar, purchases go by its clock and discounting by the real one.

Intervals are predictive: the range in which what the customer will really buy and spend lies
with the stated probability. They come from the exact distribution of the number of purchases
(a mixture over the posterior draws of "gone" and "alive and buying") and, given the number, the
distribution of their total value, read off at one fixed low-discrepancy set of points, the same
for all customers: no random numbers, so a customer's figures depend on nobody else, on no block
size and on no order. (For the same reason the intervals of several customers must not be added
up: for a total, add up the columns of `draw`.)
"""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar, Self
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt
import pandas as pd

from .base import RFM_COLUMNS, ModelError
from .btyd import PURCHASE_MODELS, PurchaseModel
from .btyd.formulas import FloatArray
from .calendar import Calendar
from .predictive import (
    EXPECTATION_COLUMNS,
    NEXT_PURCHASE_COLUMNS,
    Customers,
    Question,
    answer,
    counts_by_draw,
    quantile_columns,
)
from .spend import GammaGamma, scale_by_draw

__all__ = [
    "EXPECTATION_COLUMNS",
    "HISTORY_COLUMNS",
    "NEXT_PURCHASE_COLUMNS",
    "CustomerLifetimeValue",
    "quantile_columns",
]

HISTORY_COLUMNS = ("historic_value", "total_value")
"""Margin so far, and that plus the CLV."""

DRAWS_FILE = "draws.npz"

_SLAB = 1 << 19  # customers read and sorted at once
_UNIT = 1 << 17  # customers a unit of work holds at most, and
_UNITS = 32  # how many units there are at least, if they do not get too small:
_SMALL = 1 << 12
_DRAW_CELLS = 1 << 21  # customers x draws drawn at once


class CustomerLifetimeValue:
    """A purchase model and a spend model together, and the calendar if there is one.

    Args:
        purchases: A fitted purchase model; with a calendar, fitted on its operational time.
        spend: A fitted spend model.
        calendar: How purchase rates change over the year; `predict` then needs the cutoff.

    >>> from models.btyd import ModifiedBetaGeoNBD
    >>> clv = CustomerLifetimeValue(
    ...     ModifiedBetaGeoNBD.from_parameters(r=0.525, alpha=6.183, a=0.891, b=1.614),
    ...     GammaGamma.from_parameters(p=6.25, q=3.74, gamma=15.44),
    ... )
    >>> rfm = pd.DataFrame(
    ...     {"frequency": [2.0], "recency": [30.43], "T": [38.86], "monetary_value": [22.35]},
    ...     index=["00021"],
    ... )
    >>> clv.predict(rfm, horizon_days=365)[["p_alive", "clv", "clv_high"]].round(2)
           p_alive   clv  clv_high
    00021     0.71  37.8     137.6
    """

    kind: ClassVar[str] = "clv"
    """Name of the model family in `card.json`."""

    def __init__(
        self,
        purchases: PurchaseModel | None = None,
        spend: GammaGamma | None = None,
        calendar: Calendar | None = None,
    ) -> None:
        if purchases is not None and purchases.time_unit != "weeks":
            raise ModelError(
                f"{type(purchases).__name__} counts time in {purchases.time_unit}; horizons in "
                "days and yearly discounting need a purchase model in weeks.",
                f"Choose one of {', '.join(PURCHASE_MODELS)}, or ask the model itself for expected "
                "and discounted purchases and multiply by the spend.",
            )
        self.purchases = purchases
        self.spend = spend
        self.calendar = calendar

    def fit(
        self,
        rfm: pd.DataFrame,
        seed: int = 0,
        method: str = "nuts",
        purchase_model: str = "mbg_nbd",
        priors: str = "weak",
    ) -> Self:
        """Learn both models from one RFM summary.

        Args:
            rfm: Columns frequency, recency, T (weeks), monetary_value and optionally
                first_value and weight. With first_value spend is learned from all purchases,
                and `predict` needs it too. Not changed.
            seed: Makes the draws repeatable.
            method: "nuts", "laplace" or "map".
            purchase_model: A name in `PURCHASE_MODELS`.
            priors: "weak" or "flat".

        Returns:
            The model itself.

        Raises:
            ModelError: From either fit, or an unknown purchase model.
        """
        if purchase_model not in PURCHASE_MODELS:
            raise ModelError(
                f"Unknown purchase model {purchase_model!r}.",
                f"Choose one of {', '.join(PURCHASE_MODELS)}.",
            )
        purchases = PURCHASE_MODELS[purchase_model]()
        self.purchases = purchases.fit(rfm, seed=seed, method=method, priors=priors)
        self.spend = GammaGamma().fit(rfm, seed=seed, method=method, priors=priors)
        return self

    def _fitted(self) -> tuple[PurchaseModel, GammaGamma]:
        if self.purchases is None or self.spend is None:
            raise ModelError("CustomerLifetimeValue is not fitted.", "Call fit first.")
        return self.purchases, self.spend

    @property
    def diagnostics(self) -> dict[str, Any]:
        """Diagnostics of both fits under "purchases" and "spend"."""
        purchases, spend = self._fitted()
        return {"purchases": purchases.diagnostics, "spend": spend.diagnostics}

    @property
    def input_columns(self) -> tuple[str, ...]:
        """Columns that `predict` reads: `RFM_COLUMNS` and whatever else the models need."""
        purchases, spend = self._fitted()
        return tuple(dict.fromkeys((*RFM_COLUMNS, *purchases.input_columns, *spend.input_columns)))

    @property
    def text_columns(self) -> tuple[str, ...]:
        """Those of the `input_columns` that are read as text: levels, and segments."""
        purchases, spend = self._fitted()
        found = []
        for design in (purchases.describe()["design"], spend.describe()["effects"]["columns"]):
            if design is not None:
                found += [column["name"] for column in design["columns"] if column["levels"]]
                found += [design["segment"]] if design["segment"] is not None else []
        return tuple(dict.fromkeys(found))

    def posterior_summary(self) -> pd.DataFrame:
        """One row a parameter: model, parameter, mean, sd, q05, median, q95."""
        rows = []
        for model in self._fitted():
            for name, values in model.posterior.items():
                q05, median, q95 = np.quantile(values, [0.05, 0.5, 0.95])
                rows.append((model.label, name, values.mean(), values.std(), q05, median, q95))
        columns = ["model", "parameter", "mean", "sd", "q05", "median", "q95"]
        return pd.DataFrame(rows, columns=columns)

    def predict(
        self,
        rfm: pd.DataFrame,
        horizon_days: float = 365,
        annual_discount_rate: float = 0.10,
        margin: float = 1.0,
        interval: float = 0.90,
        n_draws: int = 200,
        block_size: int | None = None,
        *,
        cutoff: dt.date | None = None,
        quantiles: Sequence[float] | None = None,
        intervals: bool = True,
        expectation_interval: bool = False,
        next_purchase_interval: bool = False,
        history: bool = False,
    ) -> pd.DataFrame:
        """What each customer will do in the horizon after the cutoff.

        The parameters hold for whoever bought, so customers whom the fit has not seen are
        predicted like all others.

        Memory beyond input and output does not grow with the number of customers: half a
        million are read at once, and each of at most four threads holds about 20 arrays of
        2048 x `n_draws` numbers (1024 at least).

        Args:
            rfm: The `input_columns`: frequency, recency, T (weeks), monetary_value and whatever
                else the models were fitted with, such as first_value. Not changed.
            horizon_days: Days to look ahead, above 0. With `np.inf` the CLV is the residual
                lifetime value, for which the discount rate must be positive; what is not
                discounted may then be endless, so `clv` has no interval and
                `probability_no_purchase` and the columns of purchases and spend are missing.
            annual_discount_rate: For example 0.10; money a year away is worth 1 / 1.10.
            margin: Share of spend that is margin.
            interval: Probability that the intervals hold, between 0 and 1.
            n_draws: Posterior draws to average over.
            block_size: Customers a unit of work holds; has no influence on the result.
            cutoff: The day that T was counted to; needed with a calendar, ignored without.
            quantiles: Levels, between 0 and 1, of further predictive quantiles of purchases and
                CLV; they come with the intervals in one pass.
            intervals: With False only expectations and probabilities are worked out, in a third
                of the time or less: the columns of intervals and `next_purchase_days` are
                missing, and nothing of what is asked for on request may be but `history`.
            expectation_interval: Whether to add `EXPECTATION_COLUMNS`.
            next_purchase_interval: Whether to add `NEXT_PURCHASE_COLUMNS`.
            history: Whether to add `HISTORY_COLUMNS`; needs the column first_value.

        Returns:
            One row a customer on the index of `rfm`:

            - `p_alive`: probability of still being a customer at the cutoff.
            - `probability_no_purchase`: of buying nothing in the horizon.
            - `expected_purchases`, `purchases_low`, `purchases_high`: in the horizon, with the
              predictive interval of the number.
            - `expected_spend`: expected money in the horizon, undiscounted, before margin.
            - `clv`, `clv_low`, `clv_high`: discounted margin in the horizon, with its predictive
              interval (which takes the mean discount factor for the actual one).
            - `next_purchase_days`: the days within which a customer who is alive at the cutoff
              buys again with probability 1/2; missing if that takes over ten years.
            - on request `next_purchase_low`, `next_purchase_high`: the same for the ends of the
              predictive interval (0.05 and 0.95 at an interval of 0.90).
            - on request `purchases_mean_low`, `purchases_mean_high`, `clv_mean_low`,
              `clv_mean_high`: posterior interval of `expected_purchases` and `clv`. It says how
              well these means are known and not what the customer will do, and gets ever
              narrower with more customers.
            - on request the `quantile_columns`, such as `purchases_q0.1` and `clv_q0.1` at the
              level 0.1: the number, and the margin, that the customer stays at or below with that
              probability. `purchases_low` is the one at 0.05 at an interval of 0.90.
            - on request `historic_value`: margin of all purchases so far, not discounted, and
              `total_value`: that plus `clv`.

            A model fitted by "map" knows no uncertainty; its interval columns are missing.

        Raises:
            ModelError: An impossible row or argument, or a column is missing.
        """
        settings = {
            "horizon_days": horizon_days,
            "annual_discount_rate": annual_discount_rate,
            "margin": margin,
            "interval": interval,
            "n_draws": n_draws,
            "quantiles": () if quantiles is None else tuple(quantiles),
            "light": not intervals,
            "means": expectation_interval,
            "wait_interval": next_purchase_interval,
            "calendar": self.calendar,
            "cutoff": cutoff,
        }
        table = self._table(rfm, settings, block_size=block_size)
        if history:
            table["historic_value"] = margin * _money_so_far(rfm)
            table["total_value"] = table["historic_value"] + table["clv"]
        return table

    def predict_new_customers(
        self,
        customers: pd.DataFrame,
        horizon_days: float = 365,
        annual_discount_rate: float = 0.10,
        margin: float = 1.0,
        interval: float = 0.90,
        n_draws: int = 200,
        *,
        cutoff: dt.date | None = None,
        quantiles: Sequence[float] | None = None,
    ) -> pd.DataFrame:
        """What to expect of customers of whom no purchase is known.

        The estimate for somebody who has just bought for the first time: frequency and T are 0
        and spend is the population's. It counts from that purchase on, without the purchase
        itself. Of somebody who has never bought it says what they are worth if they start
        today; whether they ever will is not for these models to say.

        Args:
            customers: One row each; the columns of covariates and segment if the models have
                any, else none: `pd.DataFrame(index=ids)`. Not changed.
            horizon_days: As for `predict`, like all that follow.
            annual_discount_rate: Likewise.
            margin: Likewise.
            interval: Likewise.
            n_draws: Likewise.
            cutoff: Likewise.
            quantiles: Likewise.

        Returns:
            `CLV_COLUMNS`, and those of `quantiles`, as `predict` gives them, on the index of
            `customers`.

        Raises:
            ModelError: An impossible argument, or a column is missing.
        """
        settings = {
            "horizon_days": horizon_days,
            "annual_discount_rate": annual_discount_rate,
            "margin": margin,
            "interval": interval,
            "n_draws": n_draws,
            "quantiles": () if quantiles is None else tuple(quantiles),
            "calendar": self.calendar,
            "cutoff": cutoff,
        }
        starting = customers.assign(frequency=0.0, recency=0.0, T=0.0)
        return self._table(starting, settings, unknown_spend=True)

    def _table(
        self,
        rfm: pd.DataFrame,
        settings: dict[str, Any],
        block_size: int | None = None,
        unknown_spend: bool = False,
    ) -> pd.DataFrame:
        """All columns of `Question`, waits in days."""
        question = Question.ask(*self._fitted(), **settings)
        if block_size is not None and block_size < 1:
            raise ModelError(f"block_size is {block_size}.", "Use at least 1.")
        out = np.empty((len(rfm), len(question.columns)))
        for slab, who in self._slabs(rfm, question, _SLAB, unknown_spend):
            _fill(out[slab], question, who, block_size)
        table = pd.DataFrame(out, columns=list(question.columns), index=rfm.index, copy=False)
        for name in ("next_purchase_days", *NEXT_PURCHASE_COLUMNS):
            if name not in table:
                continue
            weeks = table[name].to_numpy()
            if question.calendar is None or question.cutoff is None:
                table[name] = 7.0 * weeks
            else:
                table[name] = question.calendar.days(question.cutoff, weeks)
        return table

    def draw(
        self,
        rfm: pd.DataFrame,
        horizon_days: float,
        n: int = 200,
        seed: int = 0,
        *,
        cutoff: dt.date | None = None,
    ) -> tuple[FloatArray, FloatArray]:
        """Draws of what each customer will buy and spend: the whole distribution, not its mean.

        Column j takes draw j of the posterior for all customers: whether each is still there,
        how many purchases follow, the customer's own level of spend and the value of these
        purchases. So the sum of a column over customers is a draw of their total, and the
        spread of these sums holds the uncertainty of the parameters. (A calendar, if any, is
        taken as known.)

        Given k purchases and a draw (p, q, gamma) of the spend parameters, the rate of a customer
        whose x known purchases have the mean value z is nu ~ Gamma(q + p x, rate gamma + x z),
        and the money is Gamma(p k, rate nu) (Fader & Hardie 2013, "The Gamma-Gamma Model of
        Monetary Value", section 2).

        Args:
            rfm: As for `predict`, m customers.
            horizon_days: Days to look ahead, above 0 and finite.
            n: Draws a customer. More than the posterior has use its draws again.
            seed: The same rows and seed give the same draws.
            cutoff: As for `predict`.

        Returns:
            Number of purchases, and their value (not discounted, before margin), (m, n) each.

        Raises:
            ModelError: An impossible row or argument, or a model without a posterior ("map").
        """
        purchases, spend = self._fitted()
        if n < 1:
            raise ModelError(f"n is {n}.", "Use at least 1.")
        if not np.isfinite(horizon_days):
            raise ModelError(f"horizon_days is {horizon_days}.", "Use a finite number of days.")
        question = Question.ask(
            purchases,
            spend,
            horizon_days=horizon_days,
            annual_discount_rate=0.0,
            margin=1.0,
            interval=0.5,
            n_draws=n,
            calendar=self.calendar,
            cutoff=cutoff,
        )
        if not question.intervals:
            raise ModelError(
                "Draws need a posterior, and this model has its mode only (map).",
                "Fit with method='nuts'.",
            )
        question = question.with_draws(n)
        rng = np.random.default_rng(seed)
        counts, money = np.empty((len(rfm), n)), np.empty((len(rfm), n))
        p, q, gamma = (question.spend[name] for name in GammaGamma.names)
        for slab, who in self._slabs(rfm, question, max(1, _DRAW_CELLS // n)):
            order = who.order()
            who = who.at(order)
            uniform = rng.random((len(who), n))
            bought = counts_by_draw(question, who, uniform)
            scale = scale_by_draw(question.spend, who.effects) * gamma
            known, mean = who.known[:, None], who.mean_value[:, None]
            total = rng.standard_gamma(p * np.maximum(bought, 1.0)) * (scale + known * mean)
            total /= rng.standard_gamma(q + p * known)
            counts[slab][order], money[slab][order] = bought, np.where(bought > 0, total, 0.0)
        return counts, money

    def _slabs(
        self, rfm: pd.DataFrame, question: Question, size: int, unknown_spend: bool = False
    ) -> Iterator[tuple[slice, Customers]]:
        """The customers, some at a time."""
        purchases, spend = self._fitted()
        for start in range(0, max(len(rfm), 1), size):
            slab = slice(start, start + size)
            rows = rfm.iloc[slab]
            h, cells = purchases.read(rows)
            if question.calendar is not None and question.cutoff is not None:
                h, cells = purchases.read(question.calendar.operational(rows, question.cutoff))
            group = purchases.groups(cells) if question.by_history else np.arange(len(cells))
            known = mean_value = np.zeros(len(rows))
            if not unknown_spend:
                known, mean_value = spend.values(rows)
            yield (
                slab,
                Customers(
                    h.frequency,
                    h.recency,
                    h.T,
                    cells.place,
                    known,
                    mean_value,
                    spend.effects(rows),
                    cells,
                    group,
                ),
            )

    # saving

    def to_folder(self, folder: Path) -> dict[str, Any]:
        """Write the posterior draws to `folder`/draws.npz.

        Returns:
            A JSON-able description for `from_folder`; it holds no customer.
        """
        purchases, spend = self._fitted()
        arrays = {f"purchases_{name}": values for name, values in purchases.posterior.items()}
        arrays |= {f"spend_{name}": values for name, values in spend.posterior.items()}
        np.savez_compressed(folder / DRAWS_FILE, **arrays)  # type: ignore[arg-type]
        found = {
            "purchase_model": purchases.label,
            "spend_model": spend.label,
            "input_columns": list(self.input_columns),
            "time_unit": purchases.time_unit,
            "purchases": _without_time(purchases.diagnostics),
            "spend": _without_time(spend.diagnostics),
            "purchases_design": purchases.describe(),
            "spend_design": spend.describe(),
        }
        if self.calendar is not None:
            found["calendar"] = self.calendar.to_dict()
        return found

    @classmethod
    def from_folder(cls, folder: Path, description: Mapping[str, Any]) -> Self:
        """Read back what `to_folder` wrote.

        Raises:
            ModelError: The file is missing or damaged, or the model is of a kind this version
                does not know.
        """
        label, spend_label = description.get("purchase_model"), description.get("spend_model")
        unit = description.get("time_unit")
        known = label in PURCHASE_MODELS and str(spend_label).startswith("gamma_gamma")
        if not known or unit != "weeks":
            raise ModelError(
                f"This version cannot read a CLV model of kind {label!r} with spend "
                f"{spend_label!r} in {unit!r}.",
                "Load it with the version that wrote it, or train again.",
            )
        path = folder / DRAWS_FILE
        draws: dict[str, dict[str, FloatArray]] = {"purchases": {}, "spend": {}}
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as saved:
                for key in saved.files:
                    part, name = key.split("_", 1)
                    draws[part][name] = saved[key]
        except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
            raise ModelError(f"{path} is missing or damaged: {error}.", "Train again.") from error
        # Models that were saved before there were designs have none.
        purchases = PURCHASE_MODELS[str(label)].from_draws(
            draws["purchases"], description.get("purchases"), description.get("purchases_design")
        )
        spend = GammaGamma.from_draws(
            draws["spend"], description.get("spend"), description.get("spend_design")
        )
        calendar = description.get("calendar")
        return cls(purchases, spend, None if calendar is None else Calendar.from_dict(calendar))


def _fill(out: FloatArray, question: Question, who: Customers, unit: int | None) -> None:
    """Work out the customers of a slab, on up to four threads."""
    order = who.order()
    size = int(np.clip(len(who) // _UNITS, _SMALL, _UNIT))
    size = unit or -(-len(who) // max(1, -(-len(who) // size))) or 1
    blocks = [order[start : start + size] for start in range(0, len(order), size)]

    def work(block: npt.NDArray[np.intp]) -> None:
        out[block] = answer(question, who.at(block))

    workers = min(4, os.cpu_count() or 1, max(1, len(blocks)))
    if workers == 1:
        for block in blocks:
            work(block)
    else:
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(work, blocks))


def _money_so_far(rfm: pd.DataFrame) -> FloatArray:
    """Money of all purchases up to the cutoff, (n,)."""
    known, mean = GammaGamma.from_parameters(1.0, 2.0, 1.0, "all_purchases").values(rfm)
    return known * mean


def _without_time(diagnostics: dict[str, Any]) -> dict[str, Any]:
    """All but the run time, so that the same fit is saved as the same bytes."""
    return {name: value for name, value in diagnostics.items() if name != "seconds"}
