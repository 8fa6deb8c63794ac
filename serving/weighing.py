"""What each offer would do for each customer, and who may get it: what a plan is made from."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.attributes import attributes
from features.errors import InputError
from features.progress import note
from features.window import ObservationWindow, known_rows
from models.allocation import held_back
from models.base import TIERS
from models.decision import effect_value, expected_cost
from serving.offers import YEAR_DAYS, Decision, PlannedOffer

if TYPE_CHECKING:
    from features.ledger import Ledger

__all__ = ["Weighed", "eligible_by", "note_unheeded", "weigh"]

_TIERS = ("risk_tier", "value_tier")

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Weighed:
    """Customers of a scored list with what each offer would do; rows as in the list.

    Attributes:
        kept: Chance that each offer keeps them, (customers, offers).
        earns: What it would earn, in money; NaN where not known.
        costs: What it is expected to cost.
        allowed: Whether they may get it.
        lately: Whether they were contacted lately, (customers,).
        control: Whether the lot holds them back, (customers,).
        value: What they are worth in a year if they stay, (customers,).
        following: What they are likeliest to buy next; missing where not known.
        held: Which conditions of offers somebody met, for `note_unheeded`.
    """

    kept: Array
    earns: Array
    costs: Array
    allowed: npt.NDArray[np.bool_]
    lately: npt.NDArray[np.bool_]
    control: npt.NDArray[np.bool_]
    value: Array
    following: pd.Series[str]
    held: tuple[str, ...] = ()


def weigh(
    scored: pd.DataFrame,
    ledger: Ledger,
    decision: Decision,
    value: pd.Series[float],
    *,
    effects: Mapping[str, pd.DataFrame] | None = None,
    suggestions: pd.Series[str] | None = None,
    numbers: Collection[str] | None = None,
) -> Weighed:
    """Weigh each offer for each customer of a scored list, or of a part of one.

    What is said of a customer does not depend on who else is in the list.

    Args:
        scored: As for `serving.actions.plan`, like all but the last.
        ledger: The trusted tables.
        decision: The offers and the limits.
        value: What each customer is worth.
        effects: Learned effects.
        suggestions: What each is likely to buy next.
        numbers: Which of `eligible_by` are numbers, where the ledger is about some customers.

    Raises:
        KeyError, InputError, ModelError: As `serving.actions.plan`.
    """
    ids = pd.Index(scored["customer_id"])
    p = np.asarray(scored["churn_probability"], dtype=np.float64)
    there = np.asarray(scored["p_alive"], dtype=np.float64)
    worth_kept = np.asarray(value.reindex(ids), dtype=np.float64)
    kept, earns, costs = _offered(ids, p, there, worth_kept, decision, effects or {})
    allowed, held = _eligible(scored, ledger, decision.offers, numbers)
    day = _cutoff(scored)
    return Weighed(
        kept,
        earns,
        costs,
        allowed,
        _contacted_lately(ids, ledger, decision, day),
        held_back(ids, decision.control_share, day, decision.seed),
        worth_kept,
        _suggested(ids, suggestions),
        tuple(held),
    )


def eligible_by(offers: Iterable[PlannedOffer]) -> list[str]:
    """The static attributes that say who may get an offer."""
    return sorted({name for each in offers for name in each.only} - set(_TIERS))


def note_unheeded(decision: Decision, ledger: Ledger, held: Collection[str]) -> None:
    """Say what the decision asks for and no customer of the list has, or no table.

    Args:
        decision: The offers and the limits.
        ledger: The trusted tables.
        held: `Weighed.held` of all parts of the list.
    """
    if decision.max_contacts is not None and "contacts" not in ledger.tables:
        note("There is no table contacts: nobody is left out for having been contacted lately.")
    for each in decision.offers:
        for name in each.only:
            if _said(each, name) not in held:
                note(f"The offer {each.name} is for nobody: no customer has such a {name}.")


def _said(offer: PlannedOffer, name: str) -> str:
    return f"{offer.name}\0{name}"


def _offered(
    ids: pd.Index[str],
    p: Array,
    there: Array,
    value: Array,
    decision: Decision,
    effects: Mapping[str, pd.DataFrame],
) -> tuple[Array, Array, Array]:
    """Chance to keep, expected value and expected cost: each (customers, offers).

    An assumed save rate is of those who would leave and can still be kept, at most `there`: whoever
    left long ago has nothing left to be saved from. Where P(alive) is not known, it is of all.
    """
    kept, earns, costs = (np.empty((len(ids), len(decision.offers))) for _ in range(3))
    for i, each in enumerate(decision.offers):
        worth = value * (each.keeps_days / YEAR_DAYS)
        if each.effect == "uplift":
            learned = effects[each.name].reindex(ids)
            kept[:, i] = learned["kept"].to_numpy(np.float64)
            leaves = learned["p"].to_numpy(np.float64)
            earns[:, i] = effect_value(kept[:, i], leaves, worth, each.offer)
            if each.earns == "spend":
                more = decision.margin * learned["spend"].to_numpy(np.float64)
                earns[:, i] = more - expected_cost(kept[:, i], leaves, each.offer)
        else:
            leaves = p
            kept[:, i] = np.fmin(p, there) * each.offer.save_rate
            earns[:, i] = effect_value(kept[:, i], leaves, worth, each.offer)
        costs[:, i] = expected_cost(kept[:, i], leaves, each.offer)
    return kept, earns, costs


def _cutoff(scored: pd.DataFrame) -> dt.date:
    day: dt.date = scored["as_of"].iloc[0].date()
    return day


def _eligible(
    scored: pd.DataFrame,
    ledger: Ledger,
    offers: tuple[PlannedOffer, ...],
    numbers: Collection[str] | None,
) -> tuple[npt.NDArray[np.bool_], list[str]]:
    """Whether each customer may get each offer, (customers, offers); and which `only` held."""
    allowed = np.ones((len(scored), len(offers)), dtype=bool)
    for each in offers:
        for name in each.only.keys() & set(_TIERS):
            if unknown := [value for value in each.only[name] if value not in TIERS]:
                raise InputError(
                    f"The offer {each.name} is only for customers of {name} {unknown[0]!r}, which "
                    "there is not.",
                    f"Correct only under [[decision.offers]]: {', '.join(TIERS)}.",
                )
    held = []
    names = eligible_by(offers)
    columns = {name: scored[name] for name in _TIERS}
    if names:
        window = ObservationWindow(ledger.first_day, _cutoff(scored))
        found = attributes(ledger, window, names, numbers=numbers).reindex(scored["customer_id"])
        columns |= {name: found[name].map(_text, na_action="ignore") for name in names}
    for i, each in enumerate(offers):
        for name, values in each.only.items():
            has = columns[name].isin(values).to_numpy(bool)
            if has.any():
                held.append(_said(each, name))
            allowed[:, i] &= has
        if each.min_p_alive > 0.0:  # a chance that is not known is not enough
            allowed[:, i] &= (scored["p_alive"] >= each.min_p_alive).to_numpy(bool)
    return allowed, held


def _text(value: object) -> str:
    """A value as a user writes it.

    >>> _text(3.0), _text(2.5), _text("GB")
    ('3', '2.5', 'GB')
    """
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _contacted_lately(
    ids: pd.Index[str], ledger: Ledger, decision: Decision, cutoff: dt.date
) -> npt.NDArray[np.bool_]:
    """Who got as many messages in the days before the cutoff as anybody may get.

    Nothing was sent to the control arm of a campaign, so it does not count.
    """
    if decision.max_contacts is None:
        return np.zeros(len(ids), dtype=bool)
    if "contacts" not in ledger.tables:
        return np.zeros(len(ids), dtype=bool)
    rows = known_rows(ledger.tables["contacts"], cutoff)
    since = dt.datetime.combine(cutoff, dt.time()) - dt.timedelta(days=decision.contact_days)
    rows = rows.filter(rows.timestamp >= since)
    if "arm" in rows.columns:
        rows = rows.filter(rows.arm.fill_null("") != "control")
    counted = rows.group_by("customer_id").agg(n=rows.count())
    often = counted.filter(counted.n >= decision.max_contacts).select("customer_id")
    found = ledger.con.to_pyarrow(often).column("customer_id").to_pylist()
    return np.asarray(ids.isin(found))


def _suggested(ids: pd.Index[str], suggestions: pd.Series[str] | None) -> pd.Series[str]:
    if suggestions is None:
        return pd.Series(None, index=ids, dtype="str")
    return suggestions.reindex(ids).astype("str")
