"""The scored list: its columns, their types, and what can become of a customer."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

__all__ = [
    "CHURN_COLUMNS",
    "CLV_COLUMNS",
    "NEW_COLUMNS",
    "SCORED_DTYPES",
    "STATUSES",
    "in_contract",
]

STATUSES = ("scored", "too_new", "no_history", "unknown_customer")
"""What can become of a customer; see `score`."""

SCORED_DTYPES: Mapping[str, str] = {
    "customer_id": "str",
    "as_of": "datetime64[us]",
    "status": "str",
    "churn_probability": "float64",
    "churn_low": "float64",
    "churn_high": "float64",
    "risk_tier": "str",
    "p_alive": "float64",
    "expected_purchases": "float64",
    "expected_spend": "float64",
    "clv": "float64",
    "clv_low": "float64",
    "clv_high": "float64",
    "value_tier": "str",
    "next_purchase_date": "datetime64[us]",
    "reason_1": "str",
    "reason_2": "str",
    "reason_3": "str",
    "action": "str",
    "expected_value": "float64",
    "churn_model": "str",
    "clv_model": "str",
}
"""Columns of the scored list, in order, and their pandas types."""

CHURN_COLUMNS = (
    "churn_probability", "churn_low", "churn_high", "risk_tier", "reason_1", "reason_2", "reason_3",
)  # fmt: skip
"""Those that the churn model fills."""

CLV_COLUMNS = (
    "p_alive", "expected_purchases", "expected_spend", "clv", "clv_low", "clv_high", "value_tier",
)  # fmt: skip
"""Those that the value model fills."""

NEW_COLUMNS = ("expected_purchases", "expected_spend", "clv", "clv_low", "clv_high")
"""Those that it fills of a customer without a purchase."""


def in_contract(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with exactly the columns and types of the scored list."""
    columns = {}
    for name, dtype in SCORED_DTYPES.items():
        values = table[name] if name in table else pd.Series(None, index=table.index, dtype=object)
        columns[name] = values.astype(pd.api.types.pandas_dtype(dtype))
    return pd.DataFrame(columns)
