"""What to do with each customer: the best offer or none, under a budget, with a control group.

The steps, for a scored list at a cutoff:

1. What each offer is expected to earn from each customer and to cost (`models.decision`), by an
   assumed save rate or by the effect that an uplift model learned.
2. Who may not get one: the value or the risk is not known, contacted lately, not among those whom
   the offer is for.
3. The best list under the budget (`models.allocation`).
4. The random control: customers of the list who get nothing, so that the campaign can be measured.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.attributes import attributes
from features.errors import InputError
from features.progress import note
from features.window import ObservationWindow, known_rows
from models.allocation import NOBODY, allocate, held_back
from models.base import TIERS
from models.decision import Offer, effect_value, expected_cost

if TYPE_CHECKING:
    from features.ledger import Ledger

__all__ = ["PLAN_DTYPES", "WHY", "YEAR_DAYS", "Decision", "PlannedOffer", "plan"]

YEAR_DAYS = 365
"""Days that the value of a customer who stays looks ahead."""

WHY = (
    "",
    "control",
    "not worth it",
    "over budget",
    "contacted lately",
    "not eligible",
    "risk or value not known",
    "not scored",
)
"""Why nothing is sent to a customer; empty where something is."""

PLAN_DTYPES: Mapping[str, str] = {
    "customer_id": "str",
    "action": "str",
    "offer": "str",
    "arm": "str",
    "expected_value": "float64",
    "expected_cost": "float64",
    "offer_value": "float64",
    "effect": "float64",
    "value_if_kept": "float64",
    "churn_probability": "float64",
    "rank": "Int64",
    "why": "str",
    "next_category": "str",
}
"""Columns of a plan, in order, and their pandas types."""

_TIERS = ("risk_tier", "value_tier")

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class PlannedOffer:
    """An offer that customers may get.

    Attributes:
        name: What the scored list and the campaign call it.
        offer: What it costs, and what it is believed to do.
        effect: "assumed": it keeps those who would leave, and are still there, with the offer's
            save rate; "uplift": an uplift model says whom it keeps.
        earns: With a learned effect, what it brings: "value": the customers whom it keeps; "spend":
            what they spend more in the model's horizon, times the margin.
        campaign: Kind of campaign that this model is asked for.
        model: Name of the registered uplift model.
        keeps_days: For how many days a customer who is kept stays.
        only: Column of the scored list, or static attribute -> values that may get it.
        min_p_alive: Least chance of still being a customer with which they may get it: whoever
            left long ago is not kept by what keeps those who hesitate.
    """

    name: str = "offer"
    offer: Offer = field(default_factory=Offer)
    effect: Literal["assumed", "uplift"] = "assumed"
    campaign: str = ""
    model: str = "regulars-uplift"
    keeps_days: int = YEAR_DAYS
    only: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    min_p_alive: float = 0.0
    earns: Literal["value", "spend"] = "value"


@dataclass(frozen=True)
class Decision:
    """What may be sent, what it costs, and whom it is sent to; `[decision]` of the configuration.

    Attributes:
        offers: To choose from.
        budget: Most that the list may cost in expectation; None: no limit.
        list_size: Most customers who are sent something; None: no limit.
        max_contacts: Nobody gets an offer who got so many messages lately; None: no limit.
        contact_days: Days before the cutoff that are "lately".
        control_share: Share held back by lot of those who would get an offer.
        seed: Of that lot.
        value: What every customer is worth in a year who stays; None: each their own.
        margin: Share of spend that is profit, for the value of their own.
        use_acquisition_cost: Nobody is worth more than they cost to win.
    """

    offers: tuple[PlannedOffer, ...] = (PlannedOffer(),)
    budget: float | None = None
    list_size: int | None = None
    max_contacts: int | None = None
    contact_days: int = 30
    control_share: float = 0.10
    seed: int = 0
    value: float | None = None
    margin: float = 1.0
    use_acquisition_cost: bool = False


def plan(
    scored: pd.DataFrame,
    ledger: Ledger,
    decision: Decision,
    value: pd.Series[float],
    *,
    effects: Mapping[str, pd.DataFrame] | None = None,
    suggestions: pd.Series[str] | None = None,
) -> pd.DataFrame:
    """Decide what is done with each customer of a scored list.

    Budget and size are those of this list; without them, what a customer gets does not depend on
    who else is in it. The order of rows changes nothing.

    Args:
        scored: The scored list: customer_id, as_of, status, churn_probability, p_alive, risk_tier,
            value_tier.
        ledger: The trusted tables: past contacts, and attributes where an offer asks for some.
        decision: The offers and the limits.
        value: What each customer is worth in a year who stays (`models.worth.value_if_kept`), by
            customer_id.
        effects: For each offer whose effect is learned, a frame by customer_id: `kept`, P(stay |
            offer) - P(stay | nothing), `p`, P(leave | nothing), and `spend`, what the offer adds to
            the spend in the model's horizon.
        suggestions: The category or product that each customer is most likely to buy next, by
            customer_id, if there is a model for it.

    Returns:
        One row for each row of the list, in its order, with `PLAN_DTYPES`:

        - `action`: the offer's name, `control:NAME`, `suggest:CATEGORY` (nothing to be kept with,
          not at high risk, and what they buy next is known), `none`, or missing where not scored;
        - `offer`, `arm`: what is sent, "treatment" or "control"; missing without an offer;
        - `expected_value`, `expected_cost`: of the action, in money: 0 where nothing is sent;
        - `offer_value`: what the best offer for this customer would earn, sent or not; missing
          where no offer is for them;
        - `effect`: the chance that this offer keeps them;
        - `value_if_kept`, `churn_probability`: what this rests on;
        - `rank`: place on the list, control among the others: by what the offer earns above the
          price of money (all of it without a budget), then `offer_value`, then customer_id;
        - `why`: one of `WHY`;
        - `next_category`: the suggestion.

    Raises:
        KeyError: An offer whose effect is learned is not in `effects`.
        InputError: An offer is for customers by an attribute that no table has, or of a tier that
            there is not.
        ModelError: An impossible probability or effect.
    """
    ids = pd.Index(scored["customer_id"])
    p = np.asarray(scored["churn_probability"], dtype=np.float64)
    worth_kept = np.asarray(value.reindex(ids), dtype=np.float64)
    is_scored = (scored["status"] == "scored").to_numpy(bool)
    there = np.asarray(scored["p_alive"], dtype=np.float64)
    kept, earns, costs = _offered(ids, p, there, worth_kept, decision, effects or {})
    known = is_scored & ~np.isnan(earns).all(axis=1)
    allowed = _eligible(scored, ledger, decision.offers)
    open_to = np.where(allowed & is_scored[:, None], earns, np.nan)
    lately = _contacted_lately(ids, ledger, decision, _cutoff(scored))
    order = pd.factorize(ids, sort=True)[0]
    control = held_back(ids, decision.control_share, _cutoff(scored), decision.seed)
    found = allocate(
        np.where(lately[:, None], np.nan, open_to),
        costs,
        budget=decision.budget,
        most=decision.list_size,
        held_back=control,
        order=order,
    )
    listed = found.offer != NOBODY
    sent = listed & ~control
    offered = ~np.isnan(open_to).all(axis=1)
    best = np.where(listed, found.offer, np.where(np.isnan(open_to), -np.inf, open_to).argmax(1))
    at = np.arange(len(ids))
    offer_value = np.where(offered, open_to[at, best], np.nan)
    why = np.select(
        [sent, listed, ~is_scored, ~known, ~offered, lately, ~(offer_value > 0.0)],
        ["", "control", "not scored", "risk or value not known", "not eligible",
         "contacted lately", "not worth it"],
        "over budget",
    )  # fmt: skip
    names = np.array([each.name for each in decision.offers], dtype=object)[best]
    following = _suggested(ids, suggestions)
    suggest = np.isin(why, ["not worth it", "not eligible"]) & following.notna().to_numpy(bool)
    suggest &= scored["risk_tier"].isin(["low", "medium"]).to_numpy(bool)
    # Nothing is said of whom no model knows.
    money = np.where(is_scored, 0.0, np.nan)
    rank = pd.array([pd.NA] * len(ids), dtype="Int64")
    places = np.lexsort((order, -offer_value, -found.surplus, ~listed))[: int(listed.sum())]
    rank[places] = np.arange(1, len(places) + 1)
    frame = {
        "customer_id": ids,
        "action": _words(
            (is_scored, "none"),
            (suggest, "suggest:" + following.fillna("").to_numpy(object)),
            (listed, "control:" + names),
            (sent, names),
        ),
        "offer": _words((listed, names)),
        "arm": _words((listed, "control"), (sent, "treatment")),
        "expected_value": np.where(sent, offer_value, money),
        "expected_cost": np.where(sent, costs[at, best], money),
        "offer_value": offer_value,
        "effect": np.where(offered, kept[at, best], np.nan),
        "value_if_kept": worth_kept,
        "churn_probability": p,
        "rank": rank,
        "why": why,
        "next_category": following.to_numpy(object),
    }
    out = pd.DataFrame(frame).astype(dict(PLAN_DTYPES))
    out.attrs["price"] = found.price
    return out


def _words(*layers: tuple[npt.NDArray[np.bool_], Any]) -> npt.NDArray[np.object_]:
    """Texts laid one over the other: each where its condition holds, the last one wins."""
    out = np.full(len(layers[0][0]), None, dtype=object)
    for where, text in layers:
        out[where] = text if isinstance(text, str) else text[where]
    return out


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
    scored: pd.DataFrame, ledger: Ledger, offers: tuple[PlannedOffer, ...]
) -> npt.NDArray[np.bool_]:
    """Whether each customer may get each offer, (customers, offers)."""
    allowed = np.ones((len(scored), len(offers)), dtype=bool)
    for each in offers:
        for name in each.only.keys() & set(_TIERS):
            if unknown := [value for value in each.only[name] if value not in TIERS]:
                raise InputError(
                    f"The offer {each.name} is only for customers of {name} {unknown[0]!r}, which "
                    "there is not.",
                    f"Correct only under [[decision.offers]]: {', '.join(TIERS)}.",
                )
    names = sorted({name for each in offers for name in each.only} - set(_TIERS))
    columns = {name: scored[name] for name in _TIERS}
    if names:
        window = ObservationWindow(ledger.first_day, _cutoff(scored))
        found = attributes(ledger, window, names).reindex(scored["customer_id"])
        columns |= {name: found[name].map(_text, na_action="ignore") for name in names}
    for i, each in enumerate(offers):
        for name, values in each.only.items():
            if not columns[name].isin(values).any():
                note(f"The offer {each.name} is for nobody: no customer has such a {name}.")
            allowed[:, i] &= columns[name].isin(values).to_numpy(bool)
        if each.min_p_alive > 0.0:  # a chance that is not known is not enough
            allowed[:, i] &= (scored["p_alive"] >= each.min_p_alive).to_numpy(bool)
    return allowed


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
        note("There is no table contacts: nobody is left out for having been contacted lately.")
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
