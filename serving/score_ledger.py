"""The score ledger: what was said of each customer, when, and by which models.

Every scored list is kept, so that it can be held against what happened once its horizon is over.
Two tables, in a DuckDB file or a schema of a PostgreSQL database:

- `lists`: one row for each moment and pair of models (`LIST_TYPES`). To score that moment again
  with those models is to replace it;
- `scores`: one row for each customer that a list scored (`SCORE_TYPES`).

`serving.recording` writes them, `serving.cohorts` reads them.
"""

from __future__ import annotations

import datetime as dt
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from features.errors import InputError
from features.reading.addresses import (
    DUCKDB,
    expand,
    is_postgres,
    split_option,
    without_secrets,
)
from serving.ledger_store import opened

if TYPE_CHECKING:
    from serving.offers import Decision
    from serving.registry import RegisteredModel

__all__ = [
    "LIST_TYPES",
    "SCORES",
    "SCORE_TYPES",
    "ListFacts",
    "ScoreLedger",
    "forget_customers",
    "list_facts",
    "parse_score_ledger",
    "read_lists",
    "read_scores",
]

LIST_TYPES: Mapping[str, str] = {
    "list_id": "integer",
    "as_of": "date",
    "churn_model": "text",
    "clv_model": "text",
    "churn_model_id": "text",
    "clv_model_id": "text",
    "scored_at": "timestamp",
    "customers": "bigint",
    "whole": "boolean",
    "data_until": "date",
    "label": "text",
    "eligibility": "text",
    "gap_days": "integer",
    "horizon_days": "integer",
    "clv_horizon_days": "double precision",
    "annual_discount_rate": "double precision",
    "margin": "double precision",
    "churn_trained_until": "date",
    "clv_trained_until": "date",
    "test_auc": "double precision",
    "test_brier": "double precision",
    "test_clv_bias": "double precision",
    "offers": "text",
    "regulars_version": "text",
}
"""Columns of `lists` and their SQL types.

`whole`: everyone was scored, and not only customers asked for. `data_until`: last day of the
transactions at that time. `trained_until`: the model has learned from what happened before that
day. `test_...`: what its training measured out of time. `offers`: JSON, what could be sent on which
terms."""

SCORE_TYPES: Mapping[str, str] = {
    "customer_id": "text",
    "churn_probability": "double precision",
    "churn_low": "double precision",
    "churn_high": "double precision",
    "risk_tier": "text",
    "p_alive": "double precision",
    "expected_purchases": "double precision",
    "expected_spend": "double precision",
    "clv": "double precision",
    "clv_low": "double precision",
    "clv_high": "double precision",
    "value_tier": "text",
    "action": "text",
    "offer": "text",
    "arm": "text",
    "expected_value": "double precision",
    "expected_cost": "double precision",
    "effect": "double precision",
    "value_if_kept": "double precision",
}
"""Columns of `scores` beside `list_id`, and their SQL types: those of the scored list, and of the
plan from `offer` on (`serving.actions.PLAN_DTYPES`)."""

SCORES: Mapping[str, str] = {"list_id": "integer", **SCORE_TYPES}
"""All columns of `scores`."""

_FORM = (
    "Write a file such as score_ledger.duckdb, duckdb:///FILE, or "
    'postgresql://HOST/DATABASE?schema=regulars; "" turns it off.'
)


@dataclass(frozen=True)
class ScoreLedger:
    """Where the score ledger is.

    Attributes:
        url: Address of the database; it may hold a password, and is not shown.
        schema: The schema that holds the two tables.
    """

    url: str = field(repr=False)
    schema: str

    @property
    def shown(self) -> str:
        """What messages may show."""
        if self.path is not None:
            return str(self.path)
        return f"the schema {self.schema} of {without_secrets(self.url)}"

    @property
    def path(self) -> Path | None:
        """The file, where it is one."""
        return None if is_postgres(self.url) else Path(self.url.removeprefix(DUCKDB))


def parse_score_ledger(text: str, base: Path = Path()) -> ScoreLedger | None:
    """Understand where the score ledger is; `${NAME}` is taken from the environment.

    Args:
        text: `[monitor] score_ledger` of the configuration.
        base: The folder that a relative file is relative to.

    Returns:
        The place; None for an empty text: nothing is recorded.

    Raises:
        InputError: It is of no kind that can be written to.

    >>> parse_score_ledger("scores.duckdb", Path("/shop")).shown
    '/shop/scores.duckdb'
    >>> parse_score_ledger("postgresql://ann:secret@db/shop?schema=crm").shown
    'the schema crm of postgresql://db/shop'
    """
    if not text.strip():
        return None
    address = expand(text.strip())
    if is_postgres(address):
        url, schema = split_option(address, "schema")
        return ScoreLedger(url, schema or "regulars")
    name = address.removeprefix(DUCKDB)
    if "://" in name or "?" in name:
        raise InputError(f"{without_secrets(address)!r} is no place for the score ledger.", _FORM)
    return ScoreLedger(f"{DUCKDB}{base / name}", "main")


@dataclass(frozen=True)
class ListFacts:
    """What is noted of a scored list beside its customers: `LIST_TYPES`.

    Attributes:
        as_of: Its cutoff.
        churn_model: Name and version of the churn model.
        clv_model: Of the value model.
        whole: Whether everyone was scored.
        noted: The other columns, but for `list_id`, `scored_at` and `customers`.
    """

    as_of: dt.date
    churn_model: str
    clv_model: str
    whole: bool
    noted: Mapping[str, Any] = field(default_factory=dict)


def list_facts(
    as_of: dt.date,
    churn: RegisteredModel,
    clv: RegisteredModel,
    *,
    whole: bool,
    data_until: dt.date,
    decision: Decision | None = None,
) -> ListFacts:
    """Note what a list rests on.

    Args:
        as_of: Its cutoff.
        churn: The churn model.
        clv: The value model.
        whole: Whether everyone was scored, and not only customers asked for.
        data_until: Last day of the transactions.
        decision: What could be sent, and what it costs.
    """
    label = churn.card.get("label", {})
    settings = clv.card.get("extra", {})
    return ListFacts(
        as_of,
        churn.label,
        clv.label,
        whole,
        {
            "churn_model_id": churn.model_id,
            "clv_model_id": clv.model_id,
            "data_until": data_until,
            "label": str(label.get("of", "purchases")),
            "eligibility": str(label.get("eligibility", "everyone")),
            "gap_days": int(churn.card["gap_days"]),
            "horizon_days": int(churn.card["horizon_days"]),
            **{
                column: float(settings[name])
                for column, name in (
                    ("clv_horizon_days", "horizon_days"),
                    ("annual_discount_rate", "annual_discount_rate"),
                    ("margin", "margin"),
                )
                if name in settings
            },
            "churn_trained_until": churn.trained_until,
            "clv_trained_until": clv.trained_until,
            "test_auc": churn.metrics.get("churn/roc_auc"),
            "test_brier": churn.metrics.get("churn/brier"),
            "test_clv_bias": clv.metrics.get("clv/bias"),
            "offers": json.dumps(_terms(decision)),
            "regulars_version": str(churn.card.get("regulars_version", "")),
        },
    )


def _terms(decision: Decision | None) -> dict[str, dict[str, Any]]:
    """Offer -> what it costs and is believed to do; what was assumed can be judged later."""
    offers = () if decision is None else decision.offers
    return {
        each.name: {
            "contact_cost": each.offer.contact_cost,
            "offer_cost": each.offer.offer_cost,
            "redemption": each.offer.redemption,
            "effect": each.effect,
            "keeps_days": each.keeps_days,
        }
        for each in offers
    }


def read_lists(place: ScoreLedger) -> pd.DataFrame:
    """The lists of a score ledger, by cutoff and then as they came.

    Returns:
        One row a list with the columns of `LIST_TYPES`, days and times as `datetime64`; no rows
        where nothing was recorded yet.

    Raises:
        InputError: It cannot be read.
    """
    with opened(place.url, place.schema) as store:
        if store is None or not store.has("lists"):
            found = pd.DataFrame(columns=list(LIST_TYPES))
        else:
            store.check("lists", LIST_TYPES)
            found = store.frame("lists", list(LIST_TYPES))
    kinds = {
        "text": "str",
        "integer": "Int64",
        "bigint": "Int64",
        "boolean": "boolean",
        "date": "datetime64[us]",
        "timestamp": "datetime64[us]",
        "double precision": "float64",
    }
    found = found.astype({name: kinds[kind] for name, kind in LIST_TYPES.items()})
    return found.sort_values(["as_of", "scored_at", "list_id"], ignore_index=True)


def read_scores(
    place: ScoreLedger, list_id: int, columns: Sequence[str] = tuple(SCORE_TYPES)
) -> pd.DataFrame:
    """The customers of a list, sorted by id.

    Args:
        place: Where the score ledger is.
        list_id: The list.
        columns: Of `SCORE_TYPES`, without customer_id; what is not asked for is not read.

    Returns:
        The columns on the index customer_id.

    Raises:
        InputError: It cannot be read.
    """
    wanted = ["customer_id", *(name for name in columns if name != "customer_id")]
    with opened(place.url, place.schema) as store:
        if store is None or not store.has("scores"):
            raise InputError(f"There are no scores in {place.shown}.")
        store.check("scores", SCORES)
        found = store.frame("scores", wanted, where=("list_id", int(list_id)))
    kinds = {"text": "str", "double precision": "float64"}
    found = found.astype({name: kinds[SCORE_TYPES[name]] for name in wanted})
    return found.set_index("customer_id").sort_index()


def forget_customers(place: ScoreLedger, ids: Sequence[str]) -> int:
    """Remove customers from every list.

    Args:
        place: Where the score ledger is.
        ids: Whom.

    Returns:
        Number of rows removed. What the lists count of their customers is corrected with them.

    Raises:
        InputError: It cannot be written to; then nothing was removed.
    """
    with opened(place.url, place.schema, write=True, make=False) as store:
        if store is None or not store.has("scores"):
            return 0
        scores, lists = store.relation("scores"), store.relation("lists")
        gone = store.run(
            f"DELETE FROM {scores} WHERE customer_id = ANY(?) RETURNING list_id",  # noqa: S608
            [list(ids)],
        )
        for list_id, rows in Counter(number for (number,) in gone).items():
            store.run(
                f"UPDATE {lists} SET customers = customers - ? WHERE list_id = ?",  # noqa: S608
                [rows, list_id],
            )
    return len(gone)
