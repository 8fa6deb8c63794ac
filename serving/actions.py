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

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from models.allocation import NOBODY, allocate
from serving.offers import Decision
from serving.weighing import Weighed, note_unheeded, weigh

if TYPE_CHECKING:
    from features.ledger import Ledger

__all__ = [
    "PLAN_DTYPES",
    "WHY",
    "Bids",
    "Shares",
    "plan",
    "planned",
    "share_out",
]

WHY = (
    "",
    "control",
    "not worth it",
    "list is full",
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

Array = npt.NDArray[np.float64]


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
    weighed = weigh(scored, ledger, decision, value, effects=effects, suggestions=suggestions)
    note_unheeded(decision, ledger, weighed.held)
    order = pd.factorize(pd.Index(scored["customer_id"]), sort=True)[0]
    shares = share_out([Bids.of(scored, weighed, np.arange(len(scored)), order)], decision)
    return planned(scored, weighed, shares.of(0, len(scored)), decision)


@dataclass(frozen=True)
class Bids:
    """The customers among whom the list is chosen: those whom an offer they may get earns from.

    Attributes:
        place: Row in the scored list, ascending, (n,).
        order: Number that decides between equals, (n,).
        earns: What each offer earns; NaN where they may not get it, (n, offers).
        costs: What it costs, (n, offers).
        control: Whether the lot holds them back, (n,).
    """

    place: npt.NDArray[np.int64]
    order: npt.NDArray[np.int64]
    earns: Array
    costs: Array
    control: npt.NDArray[np.bool_]

    @classmethod
    def of(
        cls,
        scored: pd.DataFrame,
        weighed: Weighed,
        place: npt.NDArray[np.int64],
        order: npt.NDArray[np.int64],
    ) -> Bids:
        """Those of a part of the list, whose rows have these places and orders."""
        earns = np.where(_open(scored, weighed) & ~weighed.lately[:, None], weighed.earns, np.nan)
        some = np.flatnonzero((earns > 0.0).any(axis=1))
        return cls(place[some], order[some], earns[some], weighed.costs[some],
                   weighed.control[some])  # fmt: skip


@dataclass(frozen=True)
class Shares:
    """Who is on the list.

    Attributes:
        place: Rows of the scored list that are on it, ascending, (n,).
        offer: Place of the offer of each, (n,).
        rank: Place of each on the list, from 1, (n,).
        price: What the last unit of the budget earns.
        full: Whether the list is as long as it may be.
    """

    place: npt.NDArray[np.int64]
    offer: npt.NDArray[np.int64]
    rank: npt.NDArray[np.int64]
    price: float
    full: bool

    def of(self, start: int, stop: int) -> Shares:
        """Those of a range of rows, by their places in it."""
        a, b = np.searchsorted(self.place, [start, stop])
        return replace(
            self, place=self.place[a:b] - start, offer=self.offer[a:b], rank=self.rank[a:b]
        )


def share_out(bids: Sequence[Bids], decision: Decision) -> Shares:
    """Choose the best list under the limits.

    Args:
        bids: Of each part of the scored list, one after the other.
        decision: The limits.
    """
    place, order, earns, costs, control = (
        np.concatenate([getattr(part, name) for part in bids])
        for name in ("place", "order", "earns", "costs", "control")
    )
    found = allocate(
        earns, costs, budget=decision.budget, most=decision.list_size, held_back=control,
        order=order,
    )  # fmt: skip
    on = np.flatnonzero(found.offer != NOBODY)
    offer = found.offer[on]
    rank = np.empty(len(on), dtype=np.int64)
    best = np.lexsort((order[on], -earns[on, offer], -found.surplus[on]))
    rank[best] = np.arange(1, len(on) + 1)
    most = decision.list_size
    full = most is not None and int((~control[on]).sum()) >= most
    return Shares(place[on], offer, rank, found.price, full)


def planned(
    scored: pd.DataFrame, weighed: Weighed, shares: Shares, decision: Decision
) -> pd.DataFrame:
    """The rows of the plan for a part of the scored list.

    Args:
        scored: The part.
        weighed: Its customers, weighed.
        shares: Who of them is on the list (`Shares.of`).
        decision: The offers.

    Returns:
        As `plan`.
    """
    ids, w = pd.Index(scored["customer_id"]), weighed
    at = np.arange(len(ids))
    is_scored = (scored["status"] == "scored").to_numpy(bool)
    known = is_scored & ~np.isnan(w.earns).all(axis=1)
    open_to = np.where(_open(scored, w), w.earns, np.nan)
    chosen = np.full(len(ids), NOBODY, dtype=np.int64)
    chosen[shares.place] = shares.offer
    listed = chosen != NOBODY
    sent = listed & ~w.control
    offered = ~np.isnan(open_to).all(axis=1)
    best = np.where(listed, chosen, np.where(np.isnan(open_to), -np.inf, open_to).argmax(1))
    offer_value = np.where(offered, open_to[at, best], np.nan)
    why = np.select(
        [sent, listed, ~is_scored, ~known, ~offered, w.lately, ~(offer_value > 0.0)],
        ["", "control", "not scored", "risk or value not known", "not eligible",
         "contacted lately", "not worth it"],
        "list is full" if shares.full else "over budget",
    )  # fmt: skip
    names = np.array([each.name for each in decision.offers], dtype=object)[best]
    following = w.following
    suggest = np.isin(why, ["not worth it", "not eligible"]) & following.notna().to_numpy(bool)
    suggest &= scored["risk_tier"].isin(["low", "medium"]).to_numpy(bool)
    # Nothing is said of whom no model knows.
    money = np.where(is_scored, 0.0, np.nan)
    rank = pd.array([pd.NA] * len(ids), dtype="Int64")
    rank[shares.place] = shares.rank
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
        "expected_cost": np.where(sent, w.costs[at, best], money),
        "offer_value": offer_value,
        "effect": np.where(offered, w.kept[at, best], np.nan),
        "value_if_kept": w.value,
        "churn_probability": np.asarray(scored["churn_probability"], dtype=np.float64),
        "rank": rank,
        "why": why,
        "next_category": following.to_numpy(object),
    }
    out = pd.DataFrame(frame).astype(dict(PLAN_DTYPES))
    out.attrs["price"] = shares.price
    return out


def _open(scored: pd.DataFrame, weighed: Weighed) -> npt.NDArray[np.bool_]:
    """Whether each offer is for each customer."""
    is_scored = (scored["status"] == "scored").to_numpy(bool)
    return np.asarray(weighed.allowed & is_scored[:, None])


def _words(*layers: tuple[npt.NDArray[np.bool_], Any]) -> npt.NDArray[np.object_]:
    """Texts laid one over the other: each where its condition holds, the last one wins."""
    out = np.full(len(layers[0][0]), None, dtype=object)
    for where, text in layers:
        out[where] = text if isinstance(text, str) else text[where]
    return out
