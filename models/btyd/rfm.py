"""What the purchase and spend models accept: the columns of an RFM summary, checked row by row.

An RFM summary has one row a customer: `frequency` (repeat purchases), `recency` (first to last
purchase) and `T` (first purchase to cutoff), both in weeks, and `monetary_value` (mean value of
a repeat purchase). An optional `first_value` is the value of the first purchase, an optional
`weight` says how many customers a row stands for.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..base import ModelError
from .formulas import FloatArray
from .histories import Histories

__all__ = ["check_all_spend", "check_histories", "check_spend"]

_SHOWN = ("frequency", "recency", "T", "monetary_value", "first_value")


def _column(rfm: pd.DataFrame, name: str) -> FloatArray:
    if name not in rfm.columns:
        have = ", ".join(map(str, rfm.columns)) or "none"
        raise ModelError(
            f"The RFM summary has no column '{name}' (columns: {have}).",
            "Give one row a customer with frequency, recency and T in weeks.",
        )
    try:
        return np.asarray(rfm[name].to_numpy(dtype=float, na_value=np.nan), dtype=float)
    except (TypeError, ValueError):
        raise ModelError(
            f"Column '{name}' of the RFM summary is not numeric (type {rfm[name].dtype}).",
            "Convert it to numbers first.",
        ) from None


def _refuse(rfm: pd.DataFrame, bad: npt.NDArray[np.bool_], what: str, hint: str) -> None:
    """Raise for the first row where `bad` is true, naming its label and values."""
    if bad.any():
        place = int(np.flatnonzero(bad)[0])
        shown = [c for c in _SHOWN if c in rfm.columns]
        values = ", ".join(f"{c}={rfm[c].iloc[place]}" for c in shown)
        more = f" ({int(bad.sum())} rows in all)" if bad.sum() > 1 else ""
        raise ModelError(f"Row {rfm.index[place]!r}: {what}; {values}{more}.", hint)


def _weight(rfm: pd.DataFrame) -> FloatArray:
    if "weight" not in rfm.columns:
        return np.ones(len(rfm))
    weight = _column(rfm, "weight")
    _refuse(rfm, ~(np.isfinite(weight) & (weight > 0)), "weight is not positive", "Drop such rows.")
    return weight


def check_histories(rfm: pd.DataFrame) -> Histories:
    """Read frequency, recency, T and weight from a frame, or say which row is impossible.

    Args:
        rfm: One row a customer; other columns are ignored. It is not changed.

    Returns:
        The histories in the order of the rows.

    Raises:
        ModelError: A column is missing or not numeric, or a row is impossible.
    """
    x, recency, T = (_column(rfm, name) for name in ("frequency", "recency", "T"))
    for name, values in (("frequency", x), ("recency", recency), ("T", T)):
        _refuse(
            rfm,
            ~np.isfinite(values),
            f"{name} is missing or not finite",
            "Drop the customer, or rebuild the summary from the transactions.",
        )
    _refuse(
        rfm,
        (x < 0) | (x != np.floor(x)),
        "frequency is not a whole number of at least 0",
        "frequency counts repeat purchases: purchases minus one.",
    )
    _refuse(
        rfm,
        recency < 0,
        "recency is negative",
        "recency is the time from the first to the last purchase.",
    )
    _refuse(rfm, T < 0, "T is negative", "T is the time from the first purchase to the cutoff.")
    _refuse(
        rfm,
        recency > T,
        "recency is longer than T",
        "recency is the time from the first to the last purchase, not the days since the last "
        "one; it and T must be in the same unit, weeks.",
    )
    _refuse(
        rfm,
        (recency > 0) & (x == 0),
        "recency is above 0 though frequency is 0",
        "A customer without repeat purchases has recency 0.",
    )
    return Histories(x, recency, T, _weight(rfm), np.zeros(len(rfm), dtype=np.intp))


def check_spend(rfm: pd.DataFrame) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Read frequency, monetary_value and weight, or say which row is impossible.

    Returns:
        frequency, monetary_value (0 where frequency is 0) and weight, in the order of the rows.

    Raises:
        ModelError: A column is missing or a repeat buyer has no positive mean value.
    """
    x, money = _column(rfm, "frequency"), _column(rfm, "monetary_value")
    _refuse(
        rfm,
        ~(np.isfinite(x) & (x >= 0) & (x == np.floor(x))),
        "frequency is not a whole number of at least 0",
        "frequency counts repeat purchases: purchases minus one.",
    )
    _refuse(
        rfm,
        (x > 0) & ~(np.isfinite(money) & (money > 0)),
        "monetary_value of a repeat buyer is not a positive amount",
        "monetary_value is the mean value of the repeat purchases, net of returns; leave out "
        "purchases of zero or negative value when summarising.",
    )
    return x, np.where(x > 0, money, 0.0), _weight(rfm)


def check_all_spend(rfm: pd.DataFrame) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Read what all purchases were worth, the first one included, or say which row is impossible.

    Returns:
        Number of purchases (frequency + 1), their mean value and weight, in the order of the rows.

    Raises:
        ModelError: As `check_spend`, or a first purchase without a positive value.
    """
    x, repeat, weight = check_spend(rfm)
    first = _column(rfm, "first_value")
    _refuse(
        rfm,
        ~(np.isfinite(first) & (first > 0)),
        "first_value is not a positive amount",
        "first_value is the value of the first purchase, net of returns; leave out purchases of "
        "zero or negative value when summarising, or the column to use repeat purchases only.",
    )
    return x + 1.0, (first + x * repeat) / (x + 1.0), weight
