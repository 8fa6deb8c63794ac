"""The segments of a scored list: RFM, value and risk, clusters, and what each may buy next."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from features.baskets import Baskets, bought_items
from features.errors import InputError
from features.progress import task
from features.snapshot import build_snapshot
from features.window import ObservationWindow
from models.next_purchase import history_text
from models.playbook import play_of
from models.segments import SEGMENTS

if TYPE_CHECKING:
    from features.ledger import Ledger
    from features.settings import FeatureSettings
    from serving.registry import RegisteredModel

__all__ = [
    "NEXT",
    "SEGMENTS_MODEL",
    "SEGMENT_DTYPES",
    "next_purchases",
    "segment_customers",
    "summarise_segments",
]

SEGMENTS_MODEL = "regulars-segments"
"""Name of the registered model of segments."""
NEXT = "regulars-next"
"""Name of the registered model of the next purchase."""

SEGMENT_DTYPES: Mapping[str, str] = {
    "customer_id": "str",
    "as_of": "datetime64[us]",
    "recency_score": "Int64",
    "frequency_score": "Int64",
    "monetary_score": "Int64",
    "rfm_segment": "str",
    "value_tier": "str",
    "risk_tier": "str",
    "playbook": "str",
    "cluster": "str",
    "next_category": "str",
    "new_category": "str",
}
"""Columns of the table of segments, in order, and their pandas types."""

_SCORED = ("customer_id", "as_of", "value_tier", "risk_tier")
_BLOCK = 250_000


def segment_customers(
    ledger: Ledger,
    scored: pd.DataFrame,
    segments: RegisteredModel,
    following: RegisteredModel | None = None,
    *,
    settings: FeatureSettings | None = None,
    language: str = "en",
) -> pd.DataFrame:
    """Put every customer of a scored list into segments.

    Args:
        ledger: The trusted tables.
        scored: A scored list, as `serving.scorer.score` gives it; one cutoff.
        segments: The model of segments.
        following: The model of the next purchase; without it the last two columns are empty.
        settings: Features beside the catalogue, as in training.
        language: Of the names of clusters: "en" or "zh". Segments keep the names of the field.

    Returns:
        One row for each row of `scored`, in its order: the columns and types of `SEGMENT_DTYPES`.
        `next_category` is what the customer is likeliest to buy next, `new_category` the same of
        what they never bought before: a category, or a product where the shop has no categories.
        What is not known of a customer is missing.

    Raises:
        InputError: The list holds no customers or several cutoffs, or a model is not of the kind.
    """
    _check_kind(segments, "segments")
    cutoffs = scored["as_of"].unique()
    if len(cutoffs) != 1:
        raise InputError(
            f"Segments are those of one cutoff; the scored list has {len(cutoffs)}.",
            "Give a scored list that is not empty and was made in one go.",
        )
    cutoff = pd.Timestamp(cutoffs[0]).date()
    table = scored[list(_SCORED)].set_index("customer_id")
    with task("Finding segments", total=1):
        window = ObservationWindow(ledger.first_day, cutoff)
        snapshot = build_snapshot(ledger, window, labels=False, settings=settings)
        inputs = snapshot.rfm.join(snapshot.features).reindex(table.index)
        inputs = inputs[inputs["frequency"].notna()]
        found = [
            segments.predict(inputs.iloc[start : start + _BLOCK], language=language)
            for start in range(0, len(inputs), _BLOCK)
        ]
    if found:
        table = table.join(pd.concat(found))
    table["playbook"] = play_of(table["value_tier"], table["risk_tier"])
    if following is not None:
        table = table.join(next_purchases(ledger, cutoff, following, table.index))
    return _in_contract(table.reset_index())


def next_purchases(
    ledger: Ledger, cutoff: dt.date, following: RegisteredModel, customers: pd.Index[str]
) -> pd.DataFrame:
    """What customers are likeliest to buy next.

    Args:
        ledger: The trusted tables.
        cutoff: What was bought before it counts.
        following: The model of the next purchase.
        customers: Who is asked about.

    Returns:
        On the index `customers`: `next_category`, and `new_category`, the same of what they never
        bought before; missing where not known.

    Raises:
        InputError: The model is of another kind, or its column is not in the transactions.
    """
    _check_kind(following, "next_purchase")
    item = following.card["item"]
    if item not in ledger.transactions.columns:
        raise InputError(
            f"{following.label} needs the column {item} of the transactions.",
            "Bring it back, or run `regulars train next`.",
        )
    texts = _histories(bought_items(ledger, cutoff, item)).reindex(customers)
    named = _predicted(following, texts.dropna()).reindex(customers)
    return named.rename(columns={"next_1": "next_category", "new_1": "new_category"})


def summarise_segments(
    segmented: pd.DataFrame, scored: pd.DataFrame, by: str = "rfm_segment"
) -> pd.DataFrame:
    """Add up a scored list by segment.

    Args:
        segmented: As `segment_customers` gives it.
        scored: The scored list that it was made from, in the same order.
        by: A column of `segmented`.

    Returns:
        One row a segment that has customers, RFM segments in their usual order and others by name:
        the segment, customers (int64), share, clv (sum), clv_share, churn_probability (mean) and
        value_at_risk (sum of clv x churn_probability). Money is in the currency of the ledger.
    """
    money = scored["clv"].to_numpy(np.float64)
    risk = scored["churn_probability"].to_numpy(np.float64)
    frame = pd.DataFrame(
        {
            by: segmented[by].to_numpy(),
            "clv": money,
            "churn_probability": risk,
            "value_at_risk": money * risk,
        }
    ).dropna(subset=[by])
    groups = frame.groupby(by, sort=True)
    table = groups.agg(
        customers=("clv", "size"),
        clv=("clv", "sum"),
        churn_probability=("churn_probability", "mean"),
        value_at_risk=("value_at_risk", "sum"),
    )
    if by == "rfm_segment":
        table = table.reindex([name for name in SEGMENTS if name in table.index])
    total = table["clv"].sum()
    table.insert(1, "share", table["customers"] / max(table["customers"].sum(), 1))
    table.insert(3, "clv_share", table["clv"] / total if total else np.nan)
    return table.rename_axis(by).reset_index()


def _check_kind(model: RegisteredModel, kind: str) -> None:
    if model.card.get("kind") != kind:
        raise InputError(
            f"{model.label} is a {model.card.get('kind')} model, not a {kind} model.",
            "Run `regulars train segments` or `regulars train next` to register the right one.",
        )


def _histories(baskets: Baskets) -> pd.Series[str]:
    """What each customer bought, as the text that the model reads, by customer."""
    starts = np.flatnonzero(np.diff(baskets.row, prepend=-1))
    ends = np.append(starts[1:], len(baskets.row))
    items, days = baskets.items[baskets.column].tolist(), baskets.days.tolist()
    texts = [
        history_text(dict(zip(items[a:b], days[a:b], strict=True)))
        for a, b in zip(starts, ends, strict=True)
    ]
    return pd.Series(texts, index=pd.Index(baskets.customers, name="customer_id"), dtype="str")


def _predicted(model: RegisteredModel, texts: pd.Series[str]) -> pd.DataFrame:
    """What is bought next, by customer; equal histories are asked for once."""
    code, distinct = pd.factorize(texts)
    columns = ("next_1", "new_1")
    if not len(distinct):
        return pd.DataFrame(index=texts.index, columns=list(columns), dtype="str")
    found = [
        model.predict(pd.DataFrame({"bought": distinct[start : start + _BLOCK]}))
        for start in range(0, len(distinct), _BLOCK)
    ]
    answers = pd.concat(found, ignore_index=True)
    return pd.DataFrame(
        {name: answers[name].replace("", None).to_numpy()[code] for name in columns},
        index=texts.index,
    )


def _in_contract(table: pd.DataFrame) -> pd.DataFrame:
    columns = {}
    for name, dtype in SEGMENT_DTYPES.items():
        values = table[name] if name in table else pd.Series(None, index=table.index, dtype=object)
        if dtype == "str":
            values = values.astype(object).where(values.notna() & (values != ""), None)
        columns[name] = values.astype(pd.api.types.pandas_dtype(dtype))
    return pd.DataFrame(columns)
