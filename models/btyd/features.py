"""What a purchase model knows about each customer, as features for the churn model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..base import ModelError
from ..spend import GammaGamma
from .modified_beta_geo import ModifiedBetaGeoNBD

__all__ = ["BTYD_FEATURES", "MOST", "VALUE_DAYS", "BtydFeatures", "btyd_features"]

BTYD_FEATURES = (
    "p_alive",
    "probability_no_purchase",
    "expected_purchases",
    "aov_gg",
    "value_if_alive",
)

VALUE_DAYS = 365
"""Days that `value_if_alive` looks ahead, whatever the horizon."""

_FEWEST_BUYERS = 10
"""With fewer customers of known spend, the spread of their means is anybody's guess."""

_DIGITS = 9
"""Significant digits that are kept: sums may differ in the last bits from machine to machine."""


MOST = 1_000_000
"""Customers that the parameters are learned from at most: every k-th of more, in their order."""


@dataclass(frozen=True)
class BtydFeatures:
    """What was learned from the customers of a shop, to be said of any of them.

    Attributes:
        purchases: When they buy and leave.
        spend: What they spend; None where that cannot be learned.
        reason: Why not.
    """

    purchases: ModifiedBetaGeoNBD
    spend: GammaGamma | None
    reason: str = ""

    @classmethod
    def learn(cls, rfm: pd.DataFrame) -> Self:
        """Learn from the customers of an RFM summary, at most about `MOST` of them.

        Raises:
            ModelError: Impossible rows, or nobody has bought twice.
        """
        some = rfm.iloc[:: -(-len(rfm) // MOST)] if len(rfm) > MOST else rfm
        purchases = ModifiedBetaGeoNBD().fit(some, method="map")
        return cls(purchases, *_learned_spend(some))

    def of(self, rfm: pd.DataFrame, horizon_days: int) -> pd.DataFrame:
        """Say it of customers; as `btyd_features`, which learns from the very same ones."""
        alive = self.purchases.probability_alive(rfm)
        spend = np.full(len(rfm), np.nan) if self.spend is None else self.spend.predict(rfm)
        weeks = horizon_days / 7.0
        yearly = self.purchases.expected_purchases(rfm, VALUE_DAYS / 7.0)
        # Expected purchases are P(alive) times those of a living customer.
        living = np.divide(yearly, alive, out=np.full_like(yearly, np.nan), where=alive > 0)
        values = (
            alive,
            self.purchases.probability_no_purchase(rfm, weeks),
            self.purchases.expected_purchases(rfm, weeks),
            spend,
            living * spend,
        )
        rounded = (_rounded(column) for column in values)
        return pd.DataFrame(dict(zip(BTYD_FEATURES, rounded, strict=True)), index=rfm.index)


def btyd_features(rfm: pd.DataFrame, horizon_days: int) -> pd.DataFrame:
    """Fit MBG/NBD and Gamma-Gamma to these customers and say what they expect of each of them.

    The posterior mode under the weak prior: deterministic, and as good as the full posterior
    for a point feature. Only what happened before the cutoff of `rfm` enters.

    `value_if_alive` is what a customer who stays is worth: the purchases expected in the next
    365 days given that the customer is still one, times the expected value of a purchase. It is
    E[X] / P(alive) x E[M]: the chance that the customer has left already is taken out, so that
    a decision by churn probability x value does not count it twice. It is money that is spent;
    margin and discount are for whoever decides to apply.

    Args:
        rfm: Columns frequency, recency and T (weeks), monetary_value, and first_value where
            the spend at first purchases is to count. Not changed.
        horizon_days: Days after the cutoff to look ahead.

    Returns:
        A frame on the index of `rfm` with `p_alive`, `probability_no_purchase` (in the
        horizon), `expected_purchases` (in the horizon), `aov_gg` (expected value of the next
        purchase, in money) and `value_if_alive` (money in 365 days). Where spend cannot be
        learned, the last two are missing for everyone and `attrs["without"]` holds the reason.

    Raises:
        ModelError: Impossible rows, or nobody has bought twice.
    """
    learned = BtydFeatures.learn(rfm)
    out = learned.of(rfm, horizon_days)
    if learned.reason:
        out.attrs["without"] = {"aov_gg": learned.reason, "value_if_alive": learned.reason}
    return out


def _learned_spend(rfm: pd.DataFrame) -> tuple[GammaGamma | None, str]:
    """What customers spend at a purchase, or why it cannot be learned."""
    if "monetary_value" not in rfm.columns:
        return None, "the summary has no column monetary_value"
    buyers = int((rfm["frequency"] > 0).sum())
    if buyers < _FEWEST_BUYERS:
        return None, f"only {buyers} customers bought twice"
    try:
        return GammaGamma().fit(rfm, method="map"), ""
    except ModelError as error:
        return None, error.message


def _rounded(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Round to `_DIGITS` significant digits."""
    size = np.abs(values)
    known = np.isfinite(values) & (size > 0)
    scale = np.zeros_like(values)
    np.log10(size, out=scale, where=known)
    unit = 10.0 ** (_DIGITS - 1 - np.floor(scale))
    return np.where(known & np.isfinite(unit), np.round(values * unit) / unit, values)
