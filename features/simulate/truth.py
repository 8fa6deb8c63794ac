"""What is true of every customer and every contact, and what the best possible model knows."""

import datetime as dt

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from features.simulate.columns import times
from features.simulate.customers import Customers
from features.simulate.process import History, window_truth
from features.simulate.shop import CAMPAIGN_KINDS, CHANNELS, POPULATION, Floats, Ints, Shop, season

__all__ = ["contact_truth_table", "customer_truth_table", "no_purchase_given_history"]

_YEAR = 365


def customer_truth_table(
    customers: Customers,
    history: History,
    purchases: Ints,
    net_cents: Ints,
    pass_cancels: Floats,
    shop: Shop,
) -> pa.Table:
    """One row a customer: parameters, what they led to, and what is to be expected next.

    See the documentation of `features.simulate` for the columns.
    """
    dropout = customers.dropout_rate / 7
    alive = customers.end > shop.days
    member = np.where(np.isfinite(history.enrolled), 1 + POPULATION.loyalty_effect, 1.0)
    rate = customers.purchase_rate / 7
    coming = shop.season(shop.days, _YEAR)
    expected, any_purchase = window_truth(rate * member * alive, dropout, coming)
    # From the first order on, in average season, without campaigns and programme.
    plain = np.ones(3 * _YEAR)
    three_years = 1 + window_truth(rate, dropout, plain)[0]
    gone = shop.minutes(customers.end)
    joined = np.where(np.isfinite(history.enrolled), history.enrolled, 0.0)
    columns = {
        "customer_id": customers.ids,
        "channel": pa.array([c.name for c in CHANNELS]).take(pa.array(customers.channel)),
        "acquisition_cost": pa.array(customers.acquisition_cost),
        "first_order_at": times(shop.minutes(customers.first)),
        "alive_until": times(gone),
        "is_alive": pa.array(alive),
        "purchase_rate": pa.array(customers.purchase_rate),
        "dropout_rate": pa.array(customers.dropout_rate),
        "dropout_risk_90": pa.array(-np.expm1(-90 * dropout)),
        "mean_spend": pa.array(customers.mean_spend),
        "intent": pa.array(customers.intent),
        "satisfaction": pa.array(customers.satisfaction),
        "deal_seeking": pa.array(customers.deal_seeking),
    }
    for kind, name in enumerate(CAMPAIGN_KINDS):
        columns[f"effect_{name}"] = pa.array(customers.campaign_effect[:, kind])
    columns |= {
        "effect_loyalty": pa.array(np.full(len(customers), POPULATION.loyalty_effect)),
        "enrolled_at": pa.array(
            (shop.minutes(joined) * 60).astype("datetime64[s]"),
            pa.timestamp("s"),
            mask=np.isinf(history.enrolled),
        ),
        "pass_cancel_probability": pa.array(pass_cancels, mask=np.isnan(pass_cancels)),
        "orders": pa.array(np.bincount(history.customer, minlength=len(customers))),
        "expected_orders": pa.array(history.expected),
        "purchases": pa.array(purchases),
        "net_spend": pa.array(net_cents / 100),
        "expected_orders_next_year": pa.array(expected),
        "purchase_probability_next_year": pa.array(any_purchase),
        "expected_spend_next_year": pa.array(expected * customers.mean_spend),
        "expected_value_three_years": pa.array(three_years * customers.mean_spend),
    }
    return pa.table(columns)


def contact_truth_table(customers: Customers, history: History) -> pa.Table:
    """One row a campaign contact: what both arms would do in the window of the campaign."""
    parts = []
    for contact in history.contacts:
        who, kind = contact.customer, contact.campaign.kind
        arm = pa.array(["control", "treatment"]).take(pa.array(contact.treated.astype(np.int64)))
        parts.append(
            pa.table(
                {
                    "customer_id": customers.ids.take(pa.array(who)),
                    "campaign": pa.array([contact.campaign.name] * len(who), pa.string()),
                    "arm": arm,
                    "effect": pa.array(customers.campaign_effect[who, kind]),
                    "expected_orders_control": pa.array(contact.expected[:, 0]),
                    "expected_orders_treatment": pa.array(contact.expected[:, 1]),
                    "purchase_probability_control": pa.array(contact.probability[:, 0]),
                    "purchase_probability_treatment": pa.array(contact.probability[:, 1]),
                    "mean_spend": pa.array(customers.mean_spend[who]),
                }
            )
        )
    return pa.concat_tables(parts) if parts else _no_contacts()


def _no_contacts() -> pa.Table:
    number = pa.float64()
    return pa.schema(
        {
            "customer_id": pa.string(),
            "campaign": pa.string(),
            "arm": pa.string(),
            "effect": number,
            "expected_orders_control": number,
            "expected_orders_treatment": number,
            "purchase_probability_control": number,
            "purchase_probability_treatment": number,
            "mean_spend": number,
        }
    ).empty_table()


def no_purchase_given_history(
    first: npt.NDArray[np.datetime64],
    last: npt.NDArray[np.datetime64],
    frequency: Ints,
    channel: npt.NDArray[np.str_],
    enrolled: npt.NDArray[np.datetime64],
    cutoff: dt.date,
    horizon_days: int,
    block_size: int = 2_000,
) -> Floats:
    """P(no purchase in the horizon) for one who knows the population but not the customer.

    This is the best forecast from purchases, channel and membership, campaigns aside: the
    Pareto/NBD posterior on the season clock. With x repeat purchases, the last at t_x, S(u)
    the season added up from the first purchase to u (a member's season counts 1.2 times), and
    both rates integrated out, the chance of this history and silence up to t is

        L(t) = (a / (a + S(t)))^(r + x) * (b / (b + t))^s
               + int_{t_x}^{t} (a / (a + S(u)))^(r + x) * s b^s / (b + u)^(s + 1) du

    up to factors free of t (Fader & Hardie 2005, "A Note on Deriving the Pareto/NBD Model",
    with season time in the purchase part), and the forecast is L(cutoff + horizon) divided by
    L(cutoff). The integral runs over days, by the trapezoid rule,
    and purchases count as made at noon.

    Args:
        first: Day of the first purchase.
        last: Day of the last purchase before the cutoff.
        frequency: Repeat purchases before the cutoff.
        channel: Names of the acquisition channels.
        enrolled: Day of enrolment in the loyalty programme, NaT for none. Enrolment after the
            cutoff counts for nothing.
        cutoff: Day on whose midnight the forecast is made.
        horizon_days: Length of the window forecast.
        block_size: Customers worked on at a time; memory grows with it.

    Returns:
        Probabilities, shape (n,).
    """
    first = first.astype("datetime64[D]")
    begin, now = first.min(), np.datetime64(cutoff, "D")
    days = int((now - begin).astype(np.int64)) + horizon_days
    clock = np.concatenate([[0.0], np.cumsum(season(begin + np.arange(days)))]) / 7
    noon = np.append((clock[1:] + clock[:-1]) / 2, clock[-1])
    when = np.arange(days + 1)
    starts = (first - begin).astype(np.int64)
    ends = (last.astype("datetime64[D]") - begin).astype(np.int64)
    channels = {c.name: c for c in CHANNELS}
    now_day = days - horizon_days
    joins = (enrolled.astype("datetime64[D]") - begin).astype(np.int64)
    joins = np.where(np.isnat(enrolled) | (joins >= now_day), days, np.clip(joins, 0, days))
    alpha = POPULATION.alpha / np.array([channels[c].purchases for c in channel])
    beta = POPULATION.beta / np.array([channels[c].dropout for c in channel])
    result = np.empty(len(first))
    for low in range(0, len(first), block_size):
        rows = slice(low, low + block_size)
        t0, x = starts[rows, None], frequency[rows, None]
        a, b = alpha[rows, None], beta[rows, None]
        weeks = np.maximum(when - t0 - 0.5, 0) / 7
        passed = np.maximum(clock - noon[t0], 0)
        passed += POPULATION.loyalty_effect * np.maximum(clock - noon[joins[rows, None]], 0)
        silent = (a / (a + passed)) ** (POPULATION.r + x)
        density = silent * POPULATION.s / b * (b / (b + weeks)) ** (POPULATION.s + 1)
        cells = (density[:, 1:] + density[:, :-1]) / 2 / 7
        cells[when[:-1] < ends[rows, None]] = 0
        cells[when[:-1] == ends[rows, None]] /= 2
        left = np.concatenate([np.zeros_like(t0, dtype=np.float64), cells.cumsum(axis=1)], axis=1)
        chance = silent * (b / (b + weeks)) ** POPULATION.s + left
        result[rows] = chance[:, -1] / chance[:, now_day]
    return result
