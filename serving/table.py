"""Score a plain table of customers with a model that was trained on one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import pandas as pd

from features.customer_table import customer_table
from features.errors import InputError
from features.progress import note
from serving.id_list import check_unique
from serving.scorer import SCORED_DTYPES

if TYPE_CHECKING:
    from serving.registry import RegisteredModel

__all__ = ["REGISTERED_NAME", "TABLE_COLUMNS", "TABLE_KEY", "score_table"]

REGISTERED_NAME = "regulars-churn-table"
"""Name of the registered churn model of a table, unless another was given in training."""

_PREDICTED = (
    "churn_probability", "churn_low", "churn_high", "risk_tier", "reason_1", "reason_2", "reason_3",
)  # fmt: skip

TABLE_COLUMNS = ("customer_id", "status", *_PREDICTED, "churn_model")
"""Columns of a scored table: those of the scored list that speak of churn."""

TABLE_KEY = ("customer_id", "churn_model")
"""What its rows are known by in a database: a table says nothing of its day."""


def score_table(
    frame: pd.DataFrame,
    churn: RegisteredModel,
    ids: Sequence[str] | None = None,
    *,
    id: str | None = None,  # noqa: A002
    decimal: Literal[".", ","] | None = None,
    language: str = "en",
) -> pd.DataFrame:
    """Score the customers of a table.

    Args:
        frame: One row a customer, with the columns that the model was trained on, as
            `features.customer_table.read_customers` gives it. Other columns are ignored.
        churn: A model that `training.table.train_table` registered.
        ids: The customers asked for; None: all of the table, in its order.
        id: Column with the customer ids; None: found by its name.
        decimal: Decimal mark of numbers that are written as text; None: what they prove.
        language: Of the reasons: "en" or "zh".

    Returns:
        One row for every customer asked for, in that order: `TABLE_COLUMNS`. `status` is
        "scored", or "unknown_customer" for an id that the table does not have; such a row has no
        predictions.

    Raises:
        InputError: The model was not trained on a table, a column is missing, or an id is missing
            or repeats.
    """
    if "label" not in churn.card.get("extra", {}):
        raise InputError(
            f"{churn.label} was not trained on a table with a given label.",
            "Run `regulars train churn --table FILE --label COLUMN`, or leave out --table.",
        )
    kinds = {f["name"]: f["kind"] for f in churn.card["features"]}
    table = customer_table(frame, id=id, kinds=kinds, decimal=decimal)
    for sentence in table.notes():
        note(sentence)
    known = table.features.index
    if ids is None:
        wanted = known
    else:
        check_unique(ids, range(1, len(ids) + 1), "The list of customers")
        wanted = pd.Index(list(ids), name="customer_id", dtype="str")
    found = known.intersection(wanted, sort=False)
    scored = pd.DataFrame({"status": "unknown_customer", "churn_model": churn.label}, index=wanted)
    scored.loc[found, "status"] = "scored"
    if len(found):
        predicted = churn.predict(table.features.loc[found], language=language)
        for name in _PREDICTED:
            scored[name] = predicted[name].replace("", None).reindex(wanted)
    scored = scored.rename_axis("customer_id").reset_index()
    return scored.reindex(columns=list(TABLE_COLUMNS)).astype(
        {name: SCORED_DTYPES[name] for name in TABLE_COLUMNS}
    )
