"""What the plan would have earned at earlier cutoffs, against simple rules and an oracle.

How good are the lists, if the offers do what is assumed of them? Expected profit is by the
forecasts of the day, realised profit by what the customers did after it. The save rate is assumed
in both; what lists would have earned by the effects of real campaigns: `training.off_policy`.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from models.allocation import NOBODY, allocate
from models.decision import Offer, expected_cost, expected_value
from models.metrics.bootstrap import distinct_customers
from models.metrics.inputs import Array
from training.metrics.policies import MODEL, Listed, compare, simple_lists

__all__ = ["ALL", "Moment", "Terms", "policy_backtest", "policy_lists"]

ALL = "all"
"""Instead of a cutoff: all of them together."""


@dataclass(frozen=True)
class Terms:
    """What may be sent.

    Attributes:
        offers: To choose from.
        years: For what part of a year each of them keeps a customer; empty: all of it.
        budget: Most that a list may cost in expectation; None: no limit.
        most: Most customers on a list; None: no limit.
    """

    offers: tuple[Offer, ...] = (Offer(),)
    years: tuple[float, ...] = ()
    budget: float | None = None
    most: int | None = None


@dataclass(frozen=True)
class Moment:
    """The customers of one cutoff: what was foretold, and what came.

    Attributes:
        cutoff: The day.
        churned: 1 where the customer made no purchase in the horizon.
        forecasts: Name -> churn probabilities made at the cutoff.
        value: Money that each brings who stays.
        customers: Who they are.
    """

    cutoff: dt.date
    churned: Array
    forecasts: Mapping[str, Array]
    value: Array
    customers: npt.NDArray[np.object_]


def policy_backtest(
    moments: Sequence[Moment],
    terms: Terms,
    *,
    model: str = MODEL,
    replicates: int = 300,
    seed: int = 0,
) -> pd.DataFrame:
    """Expected against realised profit of the plan and of simpler policies, cutoff by cutoff.

    The plan is that of `serving.actions` without control group, contact limits and attributes: the
    best offer for each customer or none, under the budget and the size, by the model's forecasts.
    Other forecasts (a recency rule, a purchase model) plan in the same way; the oracle knows who
    will churn. `random`, `risk_only` and `value_only` contact as many customers as the plan, and
    `everyone` all of them, with the one offer that the model expects most of.

    Args:
        moments: The cutoffs, with the same forecasts each.
        terms: Offers and limits of a list at one cutoff.
        model: The forecast that the plan is made by.
        replicates: Resampled sets of customers behind the intervals, all cutoffs of a customer
            together.
        seed: Seed of the resampling.

    Returns:
        The table of `training.metrics.policies.campaign_policies` with `cutoff` in front: "all" for
        all cutoffs together, then each of them. Money is per customer and cutoff.
    """
    listed = [policy_lists(each, terms, model) for each in moments]
    tables = {}
    if len(moments) > 1:
        pooled = {
            name: Listed(*map(np.concatenate, zip(*(each[name] for each in listed), strict=True)))
            for name in listed[0]
        }
        who = np.concatenate([each.customers for each in moments])
        tables[ALL] = (pooled, who)
    for moment, lists in zip(moments, listed, strict=True):
        tables[str(moment.cutoff)] = (lists, moment.customers)
    found = []
    for cutoff, (lists, who) in tables.items():
        code, clusters = distinct_customers(who, len(who))
        table = compare(lists, code, clusters, model=model, replicates=replicates, seed=seed)
        table.insert(0, "cutoff", cutoff)
        found.append(table)
    return pd.concat(found, ignore_index=True)


def policy_lists(moment: Moment, terms: Terms, model: str = MODEL) -> dict[str, Listed]:
    """The list of every policy of `policy_backtest` at a cutoff."""
    came = _worth(moment.churned, moment.value, terms)
    promise = {name: _worth(p, moment.value, terms) for name, p in moment.forecasts.items()}
    plans = {name: _plan(p, moment, terms) for name, p in moment.forecasts.items()}
    size = float((plans[model] != NOBODY).sum())
    usual = int(promise[model].sum(axis=0).argmax())
    simple = simple_lists(size, moment.forecasts[model], moment.value)
    lists = {
        name: Listed(share, promise[model][:, usual], came[:, usual])
        for name, share in simple.items()
    }
    others = [name for name in plans if name != model]
    for name in [*others, model]:
        lists[name] = _listed(plans[name], promise[name], came)
    perfect = _plan(moment.churned, moment, terms)
    return lists | {"oracle": _listed(perfect, came, came)}


def _plan(p: Array, moment: Moment, terms: Terms) -> npt.NDArray[np.int64]:
    """The place of each customer's offer by a forecast, `NOBODY` for none."""
    cost = np.column_stack([expected_cost(p * o.save_rate, p, o) for o in terms.offers])
    return allocate(
        _worth(p, moment.value, terms),
        cost,
        budget=terms.budget,
        most=terms.most,
        order=pd.factorize(moment.customers, sort=True)[0],
    ).offer


def _worth(p: Array, value: Array, terms: Terms) -> Array:
    years = terms.years or (1.0,) * len(terms.offers)
    return np.column_stack(
        [
            expected_value(p, value * year, offer)
            for offer, year in zip(terms.offers, years, strict=True)
        ]
    )


def _listed(offer: npt.NDArray[np.int64], expected: Array, came: Array) -> Listed:
    rows, at = np.arange(len(offer)), np.maximum(offer, 0)
    return Listed((offer != NOBODY).astype(np.float64), expected[rows, at], came[rows, at])
