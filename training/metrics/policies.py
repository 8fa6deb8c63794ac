"""What a retention campaign earns under different rules for whom to contact.

A policy says of each customer whether they are contacted. What that earns is counted twice:
expected, by the probabilities that the policy itself believes in, and realised, by what the
customers did. Save rate and redemption are assumptions in both, since nobody in a ledger was
sent the offer; `stress` shows what hangs on the save rate.

The policies are nothing, everyone, one for each forecast (contact where its probability says that
it pays, see `models.decision`), the same number of customers as the model contacts (taken by
another forecast, by the highest risk only, by the highest value only, or at random), and the
oracle, who knows who will churn. Random is no draw but
the mean of all draws, and so is the choice among customers whom a forecast cannot tell apart.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from models.decision import Offer, expected_value
from models.metrics.bootstrap import (
    customer_draws,
    difference,
    distinct_customers,
    resampled_means,
)
from models.metrics.inputs import Array, probabilities
from models.metrics.profit import customer_profit, values

__all__ = [
    "Listed",
    "campaign_policies",
    "compare",
    "profit_curve",
    "simple_lists",
    "stress",
    "top",
]

MODEL = "model"
_OWN = ("nothing", "random", "everyone", "risk_only", "value_only")


def campaign_policies(
    y: npt.ArrayLike,
    forecasts: Mapping[str, npt.ArrayLike],
    value: npt.ArrayLike,
    offer: Offer,
    customers: npt.ArrayLike | None = None,
    *,
    model: str = MODEL,
    replicates: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> pd.DataFrame:
    """Expected and realised profit of every policy at one cutoff.

    Args:
        y: 1 where the customer made no purchase in the horizon.
        forecasts: Name -> churn probabilities, such as `recency_rule`, `btyd` and `model`.
        value: Money that the customer brings who stays; one for all, or one each.
        offer: What is sent, and what it is believed to do.
        customers: Customer of each row; None: every row is a customer of its own.
        model: The forecast that the others are compared with, a name of `forecasts`.
        replicates: Resampled sets of customers behind the intervals; a list stays as it is
            in all of them.
        seed: Seed of the resampling.
        level: Of the intervals.

    Returns:
        One row a policy: `nothing`, `random`, `everyone`, `risk_only` and `value_only` (as many as
        the model contacts, those with its highest probabilities or the highest values), each other
        forecast NAME and `NAME_same_size`, then `model` and `oracle`. Money is per row of the
        base, contacted or not. Columns:

        - `policy`, `contacted` (share of customers),
        - `expected_profit`: by the policy's own probabilities; by the model's for `random`,
          `everyone`, `risk_only` and `value_only`; by what happened for `oracle`,
        - `realised_profit`, `low`, `high`: by what happened, with its interval,
        - `realised_total`: the same for all customers together,
        - `of_oracle`: as a share of the oracle's; `nan` where the oracle earns nothing,
        - `minus_model`, `minus_model_low`, `minus_model_high`: realised profit against the
          model's, the same resampled customers for both,
        - `p_value`: one-sided, of that difference; `nan` for the model itself.

    Raises:
        ValueError: No forecast is called `model`, or the arguments do not fit together.
    """
    if model not in forecasts:
        raise ValueError(f"expected a forecast called {model}, got {', '.join(forecasts)}")
    reserved = {*_OWN, "oracle"} & set(forecasts)
    if reserved:
        raise ValueError(f"expected other names for forecasts than {', '.join(sorted(reserved))}")
    checked = {name: probabilities(y, p) for name, p in forecasts.items()}
    actual = checked[model][0]
    worth = values(value, actual.size)
    code, clusters = distinct_customers(customers, actual.size)
    order = np.lexsort((*(p for _, p in checked.values()), worth, actual, code))
    actual, worth, code = actual[order], worth[order], code[order]
    checked = {name: (actual, p[order]) for name, (_, p) in checked.items()}
    came = customer_profit(actual, worth, offer)
    promise = {name: expected_value(p, worth, offer) for name, (_, p) in checked.items()}

    chosen = (promise[model] > 0.0).astype(np.float64)
    size = float(chosen.sum())
    lists: dict[str, Listed] = {
        name: Listed(share, promise[model], came)
        for name, share in simple_lists(size, checked[model][1], worth).items()
    }
    for name, earns in promise.items():
        if name != model:
            lists[name] = Listed((earns > 0.0).astype(np.float64), earns, came)
            lists[f"{name}_same_size"] = Listed(top(earns, size), earns, came)
    lists[model] = Listed(chosen, promise[model], came)
    lists["oracle"] = Listed((came > 0.0).astype(np.float64), came, came)
    return compare(
        lists, code, clusters, model=model, replicates=replicates, seed=seed, level=level
    )


class Listed(NamedTuple):
    """A policy's list, one entry a row.

    Attributes:
        share: How much of the row is on the list: 1, 0, or in between where a lot decides.
        expected: What contacting it is expected to earn.
        realised: What contacting it earned.
    """

    share: Array
    expected: Array
    realised: Array


def simple_lists(size: float, p: Array, value: Array) -> dict[str, Array]:
    """Lists that need no decision: share of each customer by policy.

    Args:
        size: Customers on the lists of `random`, `risk_only` and `value_only`.
        p: Churn probabilities.
        value: Money that each customer brings who stays.
    """
    nobody, everybody = np.zeros(p.size), np.ones(p.size)
    return {
        "nothing": nobody,
        "random": everybody * (size / p.size),
        "everyone": everybody,
        "risk_only": top(p, size),
        "value_only": top(value, size),
    }


def compare(
    lists: Mapping[str, Listed],
    code: npt.NDArray[np.int64],
    clusters: int,
    *,
    model: str = MODEL,
    replicates: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> pd.DataFrame:
    """What lists of the same customers earn, with intervals: the table of `campaign_policies`.

    Args:
        lists: Policy -> its list; `oracle` and `model` among them.
        code: Number of each row's customer, of `distinct_customers`.
        clusters: How many customers there are.
        model: The policy that the others are compared with.
        replicates: Resampled sets of customers.
        seed: Seed of the resampling.
        level: Of the intervals.
    """
    realised = np.stack([share * came for share, _, came in lists.values()])
    drawn = resampled_means(realised, code, clusters, replicates, seed)
    mean = realised.mean(axis=1)
    names = list(lists)
    at, oracle = names.index(model), float(mean[names.index("oracle")])
    ends = np.quantile(drawn, [0.5 * (1 - level), 0.5 * (1 + level)], axis=0)
    against = [
        difference(float(mean[i] - mean[at]), drawn[:, i] - drawn[:, at], level)
        for i in range(len(names))
    ]
    return pd.DataFrame(
        {
            "policy": names,
            "contacted": [float(each.share.mean()) for each in lists.values()],
            "expected_profit": [
                float((each.share * each.expected).mean()) for each in lists.values()
            ],
            "realised_profit": mean,
            "low": ends[0],
            "high": ends[1],
            "realised_total": realised.sum(axis=1),
            "of_oracle": mean / oracle if oracle > 0.0 else np.full(len(names), np.nan),
            "minus_model": [each.value for each in against],
            "minus_model_low": [each.low for each in against],
            "minus_model_high": [each.high for each in against],
            "p_value": [each.p_value if i != at else np.nan for i, each in enumerate(against)],
        }
    )


def top(score: Array, size: float) -> Array:
    """How much of each customer is on a list of the `size` highest scores; ties share."""
    _, place = np.unique(-score, return_inverse=True)
    counts = np.bincount(place)
    before = np.concatenate([[0], np.cumsum(counts)[:-1]])
    return np.asarray(np.clip((size - before) / counts, 0.0, 1.0)[place], dtype=np.float64)


def profit_curve(
    y: npt.ArrayLike,
    p: npt.ArrayLike,
    value: npt.ArrayLike,
    offer: Offer,
    customers: npt.ArrayLike | None = None,
    *,
    points: int = 51,
    replicates: int = 200,
    seed: int = 0,
    level: float = 0.95,
) -> dict[str, Array]:
    """Profit by share of customers contacted, those with the highest expected value first.

    Args:
        y: 1 where the customer made no purchase in the horizon.
        p: Forecast probability of that.
        value: Money that the customer brings who stays; one for all, or one each.
        offer: What is sent, and what it is believed to do.
        customers: Customer of each row; None: every row is a customer of its own.
        points: Shares from 0 to 1 at which the curve is read.
        replicates: Resampled sets of customers behind the interval.
        seed: Seed of the resampling.
        level: Of the interval.

    Returns:
        Columns `share`, `expected`, `realised`, `low`, `high` (interval of realised): profit
        per customer of the base. Customers with one expected value come in random order.
    """
    actual, forecast = probabilities(y, p)
    worth = values(value, actual.size)
    code, clusters = distinct_customers(customers, actual.size)
    promise = expected_value(forecast, worth, offer)
    came = customer_profit(actual, worth, offer)
    order = np.lexsort((came, code, -promise))
    promise, came, code = promise[order], came[order], code[order]
    last = np.concatenate([promise[1:] != promise[:-1], [True]])
    at = np.append(0.0, np.flatnonzero(last) + 1.0) / actual.size
    share = np.linspace(0.0, 1.0, points)

    def read(earned: Array) -> Array:
        return np.asarray(np.interp(share, at, np.append(0.0, np.cumsum(earned)[last])))

    drawn = np.empty((replicates, points))
    for i, weight in enumerate(customer_draws(clusters, replicates, seed)):
        each = weight[code]
        drawn[i] = read(each * came) / each.sum()
    low, high = np.quantile(drawn, [0.5 * (1 - level), 0.5 * (1 + level)], axis=0)
    return {
        "share": share,
        "expected": read(promise) / actual.size,
        "realised": read(came) / actual.size,
        "low": low,
        "high": high,
    }


def stress(
    y: npt.ArrayLike,
    p: npt.ArrayLike,
    value: npt.ArrayLike,
    offer: Offer,
    *,
    assumed: Sequence[float] | None = None,
    true: Sequence[float] = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6),
) -> pd.DataFrame:
    """What a list built for one save rate earns if the true one is another.

    Args:
        y: 1 where the customer made no purchase in the horizon.
        p: Forecast probability of that.
        value: Money that the customer brings who stays; one for all, or one each.
        offer: The offer; its save rate is the middle one that lists are built for.
        assumed: Save rates that lists are built for; by default half, all of and one and a
            half times that of the offer, at most 1.
        true: Save rates that may turn out to be true; that of the offer is added.

    Returns:
        One row for each pair: `assumed`, `true`, `contacted` (share), `realised_profit` (per
        customer of the base), `best_profit` (of the list built for the true rate, which need
        not be the higher one where the probabilities are off).
    """
    actual, forecast = probabilities(y, p)
    worth = values(value, actual.size)
    middle = offer.save_rate
    built = sorted({0.5 * middle, middle, min(1.5 * middle, 1.0)} if assumed is None else assumed)
    rates = sorted({*true, middle})
    lists = {
        rate: expected_value(forecast, worth, replace(offer, save_rate=rate)) > 0.0
        for rate in {*built, *rates}
    }
    rows = []
    for rate in rates:
        came = customer_profit(actual, worth, replace(offer, save_rate=rate))
        best = float(np.where(lists[rate], came, 0.0).mean())
        rows += [
            {
                "assumed": guess,
                "true": rate,
                "contacted": float(lists[guess].mean()),
                "realised_profit": float(np.where(lists[guess], came, 0.0).mean()),
                "best_profit": best,
            }
            for guess in built
        ]
    return pd.DataFrame(rows).sort_values(["assumed", "true"], ignore_index=True)
