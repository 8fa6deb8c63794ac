"""What a purchase model knows about each customer, as features for the churn model."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..base import ModelError
from ..spend import GammaGamma
from .modified_beta_geo import ModifiedBetaGeoNBD

__all__ = ["BTYD_FEATURES", "VALUE_DAYS", "btyd_features"]

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
    model = ModifiedBetaGeoNBD().fit(rfm, method="map")
    weeks = horizon_days / 7.0
    alive = model.probability_alive(rfm)
    spend, reason = _expected_spend(rfm)
    yearly = model.expected_purchases(rfm, VALUE_DAYS / 7.0)
    # Expected purchases are P(alive) times those of a living customer.
    living = np.divide(yearly, alive, out=np.full_like(yearly, np.nan), where=alive > 0)
    values = (
        alive,
        model.probability_no_purchase(rfm, weeks),
        model.expected_purchases(rfm, weeks),
        spend,
        living * spend,
    )
    rounded = (_rounded(column) for column in values)
    out = pd.DataFrame(dict(zip(BTYD_FEATURES, rounded, strict=True)), index=rfm.index)
    if reason:
        out.attrs["without"] = {"aov_gg": reason, "value_if_alive": reason}
    return out


def _expected_spend(rfm: pd.DataFrame) -> tuple[npt.NDArray[np.float64], str]:
    """Expected value of each customer's next purchase, or why there is none."""
    nothing = np.full(len(rfm), np.nan)
    if "monetary_value" not in rfm.columns:
        return nothing, "the summary has no column monetary_value"
    buyers = int((rfm["frequency"] > 0).sum())
    if buyers < _FEWEST_BUYERS:
        return nothing, f"only {buyers} customers bought twice"
    try:
        return GammaGamma().fit(rfm, method="map").predict(rfm), ""
    except ModelError as error:
        return nothing, error.message


def _rounded(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Round to `_DIGITS` significant digits."""
    size = np.abs(values)
    known = np.isfinite(values) & (size > 0)
    scale = np.zeros_like(values)
    np.log10(size, out=scale, where=known)
    unit = 10.0 ** (_DIGITS - 1 - np.floor(scale))
    return np.where(known & np.isfinite(unit), np.round(values * unit) / unit, values)
