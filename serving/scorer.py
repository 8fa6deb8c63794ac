"""Score customers: one row for every id asked for, in the order asked, whatever happens to it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import ibis
import numpy as np
import pandas as pd

from features.attributes import attributes
from features.catalogue import CATALOGUE, catalogue_hash
from features.errors import InputError
from features.extra import extra_source
from features.progress import note, task
from features.purchases import purchases
from features.settings import FeatureSettings
from features.snapshot import Snapshot, build_snapshot
from features.subscriptions import subscription_snapshot
from features.window import ObservationWindow, known_rows
from models.btyd.features import btyd_features
from serving.actions import PLAN_DTYPES, Decision, plan
from serving.batch import check_unique
from serving.segments import next_purchases
from serving.stakes import learned_effects, values_if_kept

if TYPE_CHECKING:
    from features.ledger import Ledger
    from serving.registry import RegisteredModel

__all__ = ["SCORED_DTYPES", "STATUSES", "default_cutoff", "score", "score_and_plan"]

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

_CHURN_COLUMNS = (
    "churn_probability", "churn_low", "churn_high", "risk_tier", "reason_1", "reason_2", "reason_3",
)  # fmt: skip
_CLV_COLUMNS = (
    "p_alive", "expected_purchases", "expected_spend", "clv", "clv_low", "clv_high", "value_tier",
)  # fmt: skip
_CLV_SETTINGS = ("horizon_days", "annual_discount_rate", "margin")
_NEW_COLUMNS = ("expected_purchases", "expected_spend", "clv", "clv_low", "clv_high")
_BLOCK = 50_000  # customers whose reasons are worked out at once
_VALUE_BLOCK = 250_000  # every call of a value model prepares what all its customers share


def default_cutoff(ledger: Ledger) -> dt.date:
    """The day after the last day of the ledger: everything it holds is known."""
    return ledger.last_day + dt.timedelta(days=1)


def score(
    ledger: Ledger,
    cutoff: dt.date | None,
    churn: RegisteredModel,
    clv: RegisteredModel,
    ids: Sequence[str] | None = None,
    *,
    settings: FeatureSettings | None = None,
    language: str = "en",
) -> pd.DataFrame:
    """The scored list of `score_and_plan` without a decision: action and value of it are empty."""
    return score_and_plan(ledger, cutoff, churn, clv, ids, settings=settings, language=language)[0]


def score_and_plan(
    ledger: Ledger,
    cutoff: dt.date | None,
    churn: RegisteredModel,
    clv: RegisteredModel,
    ids: Sequence[str] | None = None,
    *,
    settings: FeatureSettings | None = None,
    language: str = "en",
    decision: Decision | None = None,
    uplift: Mapping[str, RegisteredModel] | None = None,
    following: RegisteredModel | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Score customers at a cutoff with the registered models, and decide what to do with each.

    The status of a customer is

    - `scored`: has a purchase before the cutoff;
    - `too_new`: the first purchase comes at or after the cutoff (or became known after it);
    - `no_history`: is in some table, but never bought: only returns or zero amounts, or only
      events, surveys and the like;
    - `unknown_customer`: is in no table.

    A customer with `no_history` has the estimate of a new customer in `expected_purchases`,
    `expected_spend`, `clv`, `clv_low` and `clv_high`: what follows if they make their first
    purchase at the cutoff, without that purchase itself. Whether they ever will the models do not
    say, and of somebody who never bought there is no `p_alive`. Their static attributes are not
    read. All other rows that are not scored carry no predictions.

    Probabilities are of no purchase within the churn model's horizon after its gap; purchases,
    spend (undiscounted, before margin) and CLV (discounted margin) are expected within the CLV
    model's horizon, and a model with a calendar takes it from the cutoff on. `action` and
    `expected_value` are those of the plan (`serving.actions.plan`); of somebody who is not scored
    they say nothing.

    Args:
        ledger: The trusted tables.
        cutoff: Everything before its midnight is known; `default_cutoff` when None.
        churn: The churn model.
        clv: The customer-lifetime-value model.
        ids: The customers asked for. When None, everyone with a transaction before the
            cutoff, sorted by id.
        settings: Features beside the catalogue, as in training.
        language: Of the reasons: "en" or "zh".
        decision: What may be sent, and what it costs; None: nothing is decided.
        uplift: Offer -> the uplift model that knows its effect, for each offer of the decision
            whose effect is learned.
        following: The model of what is bought next, for suggestions to those who stay.

    Returns:
        The scored list, one row for each id, in the order asked, with the columns and types of
        `SCORED_DTYPES`; and the plan, row for row (no rows without a decision).

    Raises:
        InputError: The cutoff lies outside the data, an id is asked for twice or empty, a
            model does not fit the data or this version's features, an offer needs a model that
            was not given, or a model knows no campaign of its kind.
    """
    as_of = _checked_cutoff(ledger, cutoff)
    _check_kind(churn, "churn")
    _check_kind(clv, "clv")
    _check_catalogue(churn, settings or FeatureSettings())
    for model in (churn, clv):
        _note_seen(model, as_of)
    params = _clv_params(clv, as_of)
    asked = _everyone(ledger, as_of) if ids is None else _checked_ids(ids)
    window = ObservationWindow(
        start=ledger.first_day,
        cutoff=as_of,
        gap_days=int(churn.card["gap_days"]),
        horizon_days=int(churn.card["horizon_days"]),
    )
    with task("Building features", total=1) as building:
        # All customers, not only those asked for: what is learned from everyone at the
        # cutoff must not depend on the list.
        snapshot = build_snapshot(ledger, window, labels=False, settings=settings)
        at_risk = snapshot
        if churn.card.get("label", {}).get("of") == "subscriptions":
            at_risk = subscription_snapshot(ledger, window, labels=False, settings=settings)
        inputs = _churn_inputs(at_risk)
        value_inputs = _clv_inputs(ledger, snapshot, clv)
        building.advance()
    wanted = pd.Index(asked, dtype=snapshot.rfm.index.dtype, name="customer_id")
    is_scored = snapshot.rfm.index.get_indexer(wanted) >= 0
    present = wanted[is_scored]
    table = pd.DataFrame(index=wanted)
    table["as_of"] = pd.Timestamp(as_of)
    table["status"] = _statuses(ledger, wanted, is_scored)
    risky = wanted[inputs.index.get_indexer(wanted) >= 0]
    with task("Scoring churn", total=len(risky)) as scoring:
        churned = []
        for block in _blocks(risky, _BLOCK):
            churned.append(churn.predict(inputs.loc[block], language=language))
            scoring.advance(len(block))
    with task("Scoring value", total=len(present)) as scoring:
        valued = []
        for block in _blocks(present, _VALUE_BLOCK):
            valued.append(clv.predict(value_inputs.loc[block], **params))
            scoring.advance(len(block))
    if churned:
        risk = pd.concat(churned)
        for name in _CHURN_COLUMNS:
            table[name] = risk[name].replace("", None).reindex(wanted)
    if valued:
        value = pd.concat(valued)
        # The cutoff is a midnight, so a purchase 3.7 days after it falls on the third day on.
        days = pd.to_timedelta(np.floor(value["next_purchase_days"]), unit="D")
        value["next_purchase_date"] = pd.Timestamp(as_of) + days
        for name in (*_CLV_COLUMNS, "next_purchase_date"):
            table[name] = value[name].reindex(wanted)
    new = wanted[table["status"] == "no_history"]
    if len(new):
        found = clv.predict(_without_purchase(new, value_inputs), **params)
        for name in _NEW_COLUMNS:
            table.loc[new, name] = found[name]
    table["churn_model"] = churn.label
    table["clv_model"] = clv.label
    scored = _in_contract(table.rename_axis("customer_id").reset_index())
    if decision is None:
        return scored, pd.DataFrame(columns=list(PLAN_DTYPES)).astype(dict(PLAN_DTYPES))
    with task("Deciding", total=1) as deciding:
        worth = values_if_kept(ledger, at_risk, inputs, decision, contracts=at_risk is not snapshot)
        effects = learned_effects(decision, uplift or {}, inputs.loc[risky])
        suggestions = None
        if following is not None:
            suggestions = next_purchases(ledger, as_of, following, present)["next_category"]
        planned = plan(scored, ledger, decision, worth, effects=effects, suggestions=suggestions)
        deciding.advance()
    decided = scored.assign(action=planned["action"], expected_value=planned["expected_value"])
    return decided, planned


def _checked_cutoff(ledger: Ledger, cutoff: dt.date | None) -> dt.date:
    latest = default_cutoff(ledger)
    if cutoff is None:
        return latest
    if cutoff > latest:
        raise InputError(
            f"The cutoff {cutoff} is after the end of the data: the last transaction is of "
            f"{ledger.last_day}.",
            f"Use {latest} or an earlier day. Later, days without data would count as silence.",
        )
    if cutoff <= ledger.first_day:
        raise InputError(
            f"Nothing is known at the cutoff {cutoff}: the first transaction is of "
            f"{ledger.first_day}.",
            f"Use a day from {ledger.first_day + dt.timedelta(days=1)} to {latest}.",
        )
    return cutoff


def _checked_ids(ids: Iterable[str]) -> list[str]:
    asked = list(ids)
    if not asked:
        raise InputError("The list of customers is empty.", "Give at least one customer id.")
    empty = [row for row, value in enumerate(asked, 1) if not value]
    if empty:
        raise InputError(f"The list of customers has an empty id in row {empty[0]}.")
    check_unique(asked, range(1, len(asked) + 1), "The list of customers")
    return asked


def _check_kind(model: RegisteredModel, kind: str) -> None:
    # "clv_learned" and "clv_stack" are kinds of "clv".
    if str(model.card.get("kind")).split("_")[0] != kind:
        raise InputError(
            f"{model.label} is a {model.card.get('kind')} model, not a {kind} model.",
            "Run `regulars train` to register the right one.",
        )


def _check_catalogue(churn: RegisteredModel, settings: FeatureSettings) -> None:
    """Refuse a model whose features mean something else than they do here."""
    hashed = catalogue_hash(extra_source=extra_source(settings))
    if churn.card.get("catalogue_hash") == hashed:
        return
    here = {feature.name for feature in CATALOGUE}
    there = set(churn.card.get("feature_names", ()))
    gone = sorted(there - here)
    difference = (
        f"It needs features that are not in the catalogue: {', '.join(gone)}."
        if gone
        else "The names are the same, but the definition of at least one feature has changed."
    )
    raise InputError(
        f"{churn.label} was trained by Regulars {churn.card.get('regulars_version', '?')} with "
        f"another catalogue of features, or another file of extra ones. {difference}",
        "Run `regulars train` again, or restore `extra` under [features].",
    )


def _note_seen(model: RegisteredModel, cutoff: dt.date) -> None:
    """Say so when the model was trained on what happened after the cutoff."""
    until = model.card.get("trained_until") or model.card.get("extra", {}).get("trained_until")
    if until and dt.date.fromisoformat(until) > cutoff:
        note(
            f"{model.label} has learned from what happened up to {until}, after the cutoff "
            f"{cutoff}: do not judge it by these scores."
        )


def _clv_params(model: RegisteredModel, cutoff: dt.date) -> dict[str, float | str]:
    """Return the settings that the model was trained and judged with, at this cutoff."""
    settings = model.card.get("extra", {})
    missing = [name for name in _CLV_SETTINGS if name not in settings]
    if missing:
        raise InputError(
            f"The card of {model.label} does not say its {', '.join(missing)}.",
            "Run `regulars train` again.",
        )
    found: dict[str, float | str] = {name: float(settings[name]) for name in _CLV_SETTINGS}
    if "cutoff" in model.params:
        found["cutoff"] = cutoff.isoformat()
    return found


def _churn_inputs(snapshot: Snapshot) -> pd.DataFrame:
    bought = snapshot.rfm.dropna(subset=["frequency"])
    if not (bought["frequency"] > 0).any():
        return snapshot.features
    extra = btyd_features(bought, snapshot.window.horizon_days).reindex(snapshot.rfm.index)
    return pd.concat([snapshot.features, extra], axis=1)


def _clv_inputs(ledger: Ledger, snapshot: Snapshot, clv: RegisteredModel) -> pd.DataFrame:
    """The RFM summary, and what else the model reads: features, and static attributes."""
    wanted = set(clv.card.get("input_columns", ())) - set(snapshot.rfm.columns)
    chosen = [name for name in snapshot.features.columns if name in wanted]
    found = pd.concat([snapshot.rfm, snapshot.features[chosen]], axis=1)
    if others := sorted(wanted - set(chosen)):
        found = found.join(attributes(ledger, snapshot.window, others))
    return found


def _without_purchase(ids: pd.Index[str], like: pd.DataFrame) -> pd.DataFrame:
    """Rows of customers of whom no purchase is known, as the value model takes them."""
    empty = like.iloc[:0].reindex(ids)
    return empty.assign(frequency=0.0, recency=0.0, T=0.0)


def _everyone(ledger: Ledger, cutoff: dt.date) -> list[str]:
    rows = known_rows(ledger.transactions, cutoff)
    found = rows.select("customer_id").distinct().to_pyarrow().column("customer_id").to_pylist()
    if not found:
        raise InputError(f"Nobody has a transaction before the cutoff {cutoff}.")
    ids: list[str] = sorted(found)
    return ids


def _statuses(ledger: Ledger, wanted: pd.Index[str], is_scored: np.ndarray[Any, Any]) -> list[str]:
    """Return the status of each id asked for."""
    others = list(wanted[~is_scored])
    status = dict.fromkeys(others, "unknown_customer")
    if others:
        asked = ibis.memtable({"customer_id": others}, schema={"customer_id": "string"})
        ever = purchases(ledger.transactions, dt.date.max, ledger.purchase_unit)
        for name, tables in (
            ("no_history", list(ledger.tables.values())),
            ("too_new", [ever]),  # the stronger word, so it comes last
        ):
            ids = [table.select("customer_id") for table in tables]
            rows = (ids[0] if len(ids) == 1 else ibis.union(*ids)).semi_join(asked, "customer_id")
            found = ledger.con.to_pyarrow(rows.distinct()).column("customer_id").to_pylist()
            status.update(dict.fromkeys(found, name))
    return [status.get(customer, "scored") for customer in wanted]


def _blocks(index: pd.Index[str], size: int) -> Iterator[pd.Index[str]]:
    for start in range(0, len(index), size):
        yield index[start : start + size]


def _in_contract(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with exactly the columns and types of the scored list."""
    columns = {}
    for name, dtype in SCORED_DTYPES.items():
        values = table[name] if name in table else pd.Series(None, index=table.index, dtype=object)
        columns[name] = values.astype(pd.api.types.pandas_dtype(dtype))
    return pd.DataFrame(columns)
