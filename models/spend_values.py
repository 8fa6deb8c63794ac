"""Which purchases a spend model reads: of a customer, how many with a known value and their mean.

Fader & Hardie use the repeat purchases; where the summary has a column `first_value`, all
purchases are used, the first one included, and a customer who has bought once has an estimate of
their own as well. With `half_life_days` a purchase counts half as much for every so many days
that it lies before the last one. A customer is then one of a fractional number of purchases, the
effective number of Kish (1965), "Survey Sampling", section 11.7, with their weighted mean value: a
weighted mean of Gamma(p, rate nu) values has the mean and the variance of so many unweighted ones.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd

from .base import ModelError
from .btyd.formulas import FloatArray
from .btyd.rfm import check_all_spend, check_spend

__all__ = ["FIRST_VALUE", "SpendOf", "read_spend", "recent_columns", "settle"]

FIRST_VALUE = "first_value"
"""Column with the value of the first purchase; where it is, all purchases are used."""

SpendOf = Literal["all_purchases", "repeat_purchases", "recent_purchases"]


def recent_columns(half_life_days: int) -> tuple[str, str]:
    """Columns with the effective number of purchases and their weighted mean value.

    `features.recent_spend` computes them.

    >>> recent_columns(180)
    ('recent_weight_180', 'recent_value_180')
    """
    return f"recent_weight_{half_life_days}", f"recent_value_{half_life_days}"


def settle(rfm: pd.DataFrame, half_life: int | None) -> SpendOf:
    """Which purchases a model that is fitted on this summary reads."""
    if half_life is not None:
        return "recent_purchases"
    return "all_purchases" if FIRST_VALUE in rfm.columns else "repeat_purchases"


def read_spend(
    rfm: pd.DataFrame, spend_of: SpendOf, half_life: int | None
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Number and mean of the values, and weight, (n,) each.

    Raises:
        ModelError: A column is missing, or a purchase has no positive value.
    """
    if spend_of == "repeat_purchases":
        return check_spend(rfm)
    if half_life is not None:
        return _read_recent(rfm, half_life)
    if FIRST_VALUE not in rfm.columns:
        raise ModelError(
            f"The RFM summary has no column '{FIRST_VALUE}', and this model has learned spend from "
            "all purchases, the first one included.",
            "Add the value of each customer's first purchase, or fit on a summary without it.",
        )
    return check_all_spend(rfm)


def _read_recent(rfm: pd.DataFrame, half_life: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    number, value = recent_columns(half_life)
    for name in (number, value):
        if name not in rfm.columns:
            raise ModelError(
                f"The RFM summary has no column '{name}', and this model weighs purchases by age.",
                "Take the summary with these columns, or choose a model without half_life_days.",
            )
    x, money = (rfm[name].to_numpy(dtype=float, na_value=np.nan) for name in (number, value))
    bad = ~(np.isfinite(x) & (x >= 0)) | ((x > 0) & ~(np.isfinite(money) & (money > 0)))
    if bad.any():
        place = int(np.flatnonzero(bad)[0])
        raise ModelError(
            f"Row {rfm.index[place]!r}: {number}={x[place]}, {value}={money[place]}; "
            "the first must be at least 0, and the second a positive amount where it is above 0.",
            "Leave out purchases of zero or negative value when summarising.",
        )
    # The rest of the checks, of the weights too, are those of a customer with one purchase.
    checked = pd.DataFrame(
        {"frequency": (x > 0).astype(float), "monetary_value": money}, index=rfm.index
    )
    if "weight" in rfm.columns:
        checked["weight"] = rfm["weight"]
    _, money, weight = check_spend(checked)
    return x, money, weight
