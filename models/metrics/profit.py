"""What a retention campaign can earn with a churn score (Verbraken et al. 2013).

Maximum-profit measures are computed here rather than by a library. The maintained one, empulse,
gives the same numbers to 14 digits (the tests compare them on random data, with ties), but it
has a copyleft licence that would pass on to whoever serves a model, loads SymPy, takes no weights,
which the bootstrap needs, and averages values that differ between customers. What matters for a
campaign with such values is the profit of its list: `campaign_profit`.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import special
from scipy.optimize import isotonic_regression

from ..decision import Offer, expected_value
from .inputs import Array, labels, probabilities
from .ranking import groups_by_score

__all__ = [
    "CampaignProfit",
    "ProfitMaximum",
    "campaign_profit",
    "customer_profit",
    "empc",
    "expected_maximum",
    "mpc",
    "values",
]


class ProfitMaximum(NamedTuple):
    """The best a retention campaign can do with a score.

    Attributes:
        profit: Per customer of the base, in the units of `clv`.
        share: Share of customers to contact at that optimum.
    """

    profit: float
    share: float


class CampaignProfit(NamedTuple):
    """What the list made of a probability promises, and what came of it.

    Attributes:
        expected: Per customer of the base, by the probabilities themselves.
        realised: The same, by what the customers did.
        share: Share of customers contacted.
    """

    expected: float
    realised: float
    share: float


def _hull(counts: Array, hits: Array) -> tuple[Array, Array]:
    """Groups of customers between the corners of the ROC hull: (customers, churn rate).

    The hull is the score made as good as relabelling can make it: the pool-adjacent-violators
    fit of the outcome (Fawcett and Niculescu-Mizil 2007, Machine Learning 68:97-106).

    Args:
        counts: Customers of each distinct score, the highest first, all above zero.
        hits: Churners among them.
    """
    fit = isotonic_regression(hits / counts, weights=counts, increasing=False)
    starts = np.asarray(fit.blocks[:-1], dtype=np.int64)
    size = np.add.reduceat(counts, starts)
    return size, np.add.reduceat(hits, starts) / size


def mpc(
    y: npt.ArrayLike,
    p: npt.ArrayLike,
    *,
    clv: float = 200.0,
    offer_cost: float = 10.0,
    contact_cost: float = 1.0,
    save_rate: float = 0.30,
) -> ProfitMaximum:
    """Maximum profit measure for churn: max over thresholds of P(T; gamma).

    P(T; gamma) = CLV (gamma (1 - delta) - phi) pi0 F0(T) - CLV (delta + phi) pi1 F1(T),
    delta = offer_cost / clv, phi = contact_cost / clv; pi0, F0 are the share of churners
    and the part of them contacted, pi1, F1 those of the others (Verbraken, Verbeke and
    Baesens 2013, IEEE TKDE 25:961-973). The defaults are theirs. Where nothing pays, nobody is
    contacted.
    """
    actual, score = labels(y, p)
    counts, hits = groups_by_score(score, actual)
    gain, cost = save_rate * (clv - offer_cost) - contact_cost, offer_cost + contact_cost
    profit = np.concatenate([[0.0], np.cumsum(gain * hits - cost * (counts - hits))])
    best = int(np.argmax(profit))
    contacted = float(counts[:best].sum())
    return ProfitMaximum(float(profit[best]) / actual.size, contacted / actual.size)


def empc(
    y: npt.ArrayLike,
    p: npt.ArrayLike,
    *,
    clv: float = 200.0,
    offer_cost: float = 10.0,
    contact_cost: float = 1.0,
    alpha: float = 6.0,
    beta: float = 14.0,
) -> ProfitMaximum:
    """Expected maximum profit measure for churn: MPC averaged over an unknown save rate.

    Integral over gamma of max_T P(T; gamma) times the Beta(alpha, beta) density of gamma
    (Verbraken, Verbeke and Baesens 2013; `mpc` has P). The defaults are theirs: a mean save
    rate of 0.30.
    """
    actual, score = labels(y, p)
    return expected_maximum(
        *groups_by_score(score, actual),
        clv=clv,
        offer_cost=offer_cost,
        contact_cost=contact_cost,
        alpha=alpha,
        beta=beta,
    )


def expected_maximum(
    counts: Array,
    hits: Array,
    *,
    clv: float = 200.0,
    offer_cost: float = 10.0,
    contact_cost: float = 1.0,
    alpha: float = 6.0,
    beta: float = 14.0,
) -> ProfitMaximum:
    """`empc` from the customers of each distinct score, the highest first.

    At any save rate the best threshold takes every stretch of the ROC hull that pays. So the
    measure is a sum over stretches of the expected positive part of what each one earns:
    gamma (clv - d) rate - f rate - (d + f) (1 - rate), a line in gamma, integrated from where
    it crosses zero: two incomplete beta functions a stretch.

    Args:
        counts: Customers of each score, all above zero; may be weights.
        hits: Churners among them.
        clv: Value of a customer who stays.
        offer_cost: d, cost of the offer.
        contact_cost: f, cost of a contact.
        alpha: First parameter of the density of the save rate.
        beta: Second parameter.
    """
    size, rate = _hull(counts, hits)
    slope = (clv - offer_cost) * rate
    fixed = contact_cost + offer_cost * (1.0 - rate)
    # Only a rising line can pay: with no churner, or a value below the offer, none does.
    paying = slope > 0.0
    size, slope, fixed = size[paying], slope[paying], fixed[paying]
    edge = np.minimum(fixed / slope, 1.0)
    mass = special.betaincc(alpha, beta, edge)
    mean = alpha / (alpha + beta) * special.betaincc(alpha + 1.0, beta, edge)
    total = float(counts.sum())
    return ProfitMaximum(
        float((size * (slope * mean - fixed * mass)).sum()) / total,
        float((size * mass).sum()) / total,
    )


def values(value: npt.ArrayLike, customers: int) -> Array:
    """The money that each customer brings who stays, checked: one for all, or one each.

    Raises:
        ValueError: Another number of values, or one that is not finite.
    """
    worth = np.asarray(value, dtype=np.float64)
    if worth.shape not in ((), (customers,)):
        raise ValueError(f"expected one value or {customers}, got shape {worth.shape}")
    if not np.isfinite(worth).all():
        raise ValueError("expected finite values; leave customers of unknown value out")
    return np.broadcast_to(worth, (customers,))


def customer_profit(y: npt.ArrayLike, value: npt.ArrayLike, offer: Offer) -> Array:
    """What a contact with each customer would have earned, in the money of `value`.

    y save_rate (V - offer_cost) - (1 - y) redemption offer_cost - contact_cost: what the
    customers did is real, the save rate and the redemption are those of the offer.
    """
    actual = np.asarray(y, dtype=np.float64)
    return expected_value(actual, values(value, actual.size), offer)


def campaign_profit(
    y: npt.ArrayLike, p: npt.ArrayLike, value: npt.ArrayLike, offer: Offer
) -> CampaignProfit:
    """Profit of contacting everybody for whom the probability says that it pays.

    Args:
        y: 1 where the customer churned.
        p: Forecast probability of that.
        value: Money that the customer brings who stays; one for all, or one each.
        offer: What is sent, and what it is believed to do.

    Returns:
        Profit per customer of the base, contacted or not. For a calibrated probability the
        two agree but for chance; expected above realised: the list promises too much.
    """
    actual, forecast = probabilities(y, p)
    worth = values(value, actual.size)
    promise = expected_value(forecast, worth, offer)
    chosen = promise > 0.0
    return CampaignProfit(
        float(np.where(chosen, promise, 0.0).mean()),
        float(np.where(chosen, customer_profit(actual, worth, offer), 0.0).mean()),
        float(chosen.mean()),
    )
