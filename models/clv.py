"""Customer lifetime value: purchases x spend x margin, discounted, with intervals.

    clv = margin * E[spend per purchase] * integral over the horizon of
          exp(-delta s) d E[purchases until s],        delta = ln(1 + annual rate) a year

the finite-horizon form of Fader, Hardie & Lee (2005), "RFM and CLV: Using Iso-Value Curves for
Customer Base Analysis", Journal of Marketing Research 42(4), eq. 1 to 3. Purchases and spend per
purchase are independent given a customer's history, so the expectation of the product is the
product of the expectations. Where the summary has `first_value`, spend is learned from all
purchases and not from the repeat ones only (see `spend`).

Intervals are predictive: the range in which what the customer will really buy and spend lies
with the stated probability. They come from the exact distribution of the number of purchases
(a mixture over the posterior draws of "gone" and "alive and buying") and, given the number, the
exact distribution of their total value. Both are read off at one fixed low-discrepancy set of
points, the same for all customers: no random numbers, so a customer's figures depend on nobody
else, on no block size and on no order. (For the same reason the intervals of several customers
must not be added up.)
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar, Self
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt
import pandas as pd

from .base import CLV_COLUMNS, RFM_COLUMNS, ModelError
from .btyd import PURCHASE_MODELS, PurchaseModel
from .btyd.rfm import check_histories
from .predictive import Customers, Question, answer
from .spend import FIRST_VALUE, GammaGamma

__all__ = ["CustomerLifetimeValue"]

DRAWS_FILE = "draws.npz"


class CustomerLifetimeValue:
    """A purchase model and a spend model together.

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
    00021     0.71  37.8    142.81
    """

    kind: ClassVar[str] = "clv"
    """Name of the model family in `card.json`."""

    def __init__(
        self, purchases: PurchaseModel | None = None, spend: GammaGamma | None = None
    ) -> None:
        self.purchases = purchases
        self.spend = spend

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
            purchase_model: "mbg_nbd" or "bg_nbd".
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
        """Columns that `predict` needs: `RFM_COLUMNS`, and first_value if spend reads it."""
        _, spend = self._fitted()
        reads_first = spend.spend_of == "all_purchases"
        return (*RFM_COLUMNS, FIRST_VALUE) if reads_first else RFM_COLUMNS

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
        block_size: int = 2048,
    ) -> pd.DataFrame:
        """What each customer will do in the horizon after the cutoff.

        Memory beyond input and output is bounded by about 20 arrays of `block_size` x `n_draws`
        (or 1024, if more) numbers per processor, whatever the number of customers.

        Args:
            rfm: The `input_columns`: frequency, recency, T (weeks), monetary_value and, if it
                was fitted with it, first_value. Not changed.
            horizon_days: Days to look ahead, above 0.
            annual_discount_rate: For example 0.10; money a year away is worth 1 / 1.10.
            margin: Share of spend that is margin.
            interval: Probability that the predictive intervals hold, between 0 and 1.
            n_draws: Posterior draws to average over.
            block_size: Customers worked on at once; has no influence on the result.

        Returns:
            One row a customer on the index of `rfm`:

            - `p_alive`: probability of still being a customer at the cutoff.
            - `probability_no_purchase`: of buying nothing in the horizon.
            - `expected_purchases`, `purchases_low`, `purchases_high`: in the horizon, with the
              predictive interval of the number.
            - `expected_spend`: expected money in the horizon, undiscounted, before margin.
            - `clv`, `clv_low`, `clv_high`: discounted margin in the horizon, with its predictive
              interval (which takes the mean discount factor for the actual one).
            - `next_purchase_days`: median days until the next purchase of a customer who is
              alive; missing beyond ten years.

            A model fitted by "map" knows no uncertainty; its interval columns are missing.

        Raises:
            ModelError: An impossible row or argument, or a column is missing.
        """
        purchases, spend = self._fitted()
        h = check_histories(rfm)
        everybody = Customers(h.frequency, h.recency, h.T, *spend.values(rfm))
        question = Question.ask(
            purchases,
            spend,
            horizon_days=horizon_days,
            annual_discount_rate=annual_discount_rate,
            margin=margin,
            interval=interval,
            n_draws=n_draws,
        )
        if block_size < 1:
            raise ModelError(f"block_size is {block_size}.", "Use at least 1.")
        # Neighbours in this order share frequency and T, and so most of the work.
        order = np.lexsort((h.recency, h.T, h.frequency))
        blocks = [order[i : i + block_size] for i in range(0, len(order), block_size)]
        out = np.empty((len(h), len(CLV_COLUMNS)))

        def work(block: npt.NDArray[np.intp]) -> None:
            out[block] = answer(question, everybody.at(block))

        workers = min(4, os.cpu_count() or 1, max(1, len(blocks)))
        if workers == 1:
            for block in blocks:
                work(block)
        else:
            with ThreadPoolExecutor(workers) as pool:
                list(pool.map(work, blocks))
        return pd.DataFrame(out, columns=list(CLV_COLUMNS), index=rfm.index)

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
        return {
            "purchase_model": purchases.label,
            "spend_model": spend.label,
            "input_columns": list(self.input_columns),
            "time_unit": purchases.time_unit,
            "purchases": _without_time(purchases.diagnostics),
            "spend": _without_time(spend.diagnostics),
        }

    @classmethod
    def from_folder(cls, folder: Path, description: Mapping[str, Any]) -> Self:
        """Read back what `to_folder` wrote.

        Raises:
            ModelError: The file is missing or damaged, or the model is of a kind this version
                does not know.
        """
        label = description.get("purchase_model")
        if label not in PURCHASE_MODELS or description.get("time_unit") != "weeks":
            raise ModelError(
                f"This version cannot read a CLV model of kind {label!r} in "
                f"{description.get('time_unit')!r}.",
                "Load it with the version that wrote it, or train again.",
            )
        path = folder / DRAWS_FILE
        kind = PURCHASE_MODELS[label]
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as saved:
                first = {name: saved[f"purchases_{name}"] for name in kind.names}
                second = {name: saved[f"spend_{name}"] for name in GammaGamma.names}
        except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
            raise ModelError(f"{path} is missing or damaged: {error}.", "Train again.") from error
        purchases = kind.from_draws(first, description.get("purchases"))
        return cls(purchases, GammaGamma.from_draws(second, description.get("spend")))


def _without_time(diagnostics: dict[str, Any]) -> dict[str, Any]:
    """All but the run time, so that the same fit is saved as the same bytes."""
    return {name: value for name, value in diagnostics.items() if name != "seconds"}
