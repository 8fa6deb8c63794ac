"""What customers say: survey answers and support tickets."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from features.simulate.columns import chance, is_fading, names, sorted_rows, times
from features.simulate.customers import Customers
from features.simulate.orders import Orders
from features.simulate.process import History
from features.simulate.shop import POPULATION, Floats, Ints, Shop
from features.simulate.texts import TOPICS, comments, ticket_texts

__all__ = ["surveys_table", "tickets_table"]


def _language(customers: Customers, who: Ints, rng: np.random.Generator) -> Ints:
    """The country's language, or now and then English."""
    return np.where(rng.random(len(who)) < 0.15, 0, customers.country[who])


def _answers(
    customers: Customers, who: Ints, time: Floats, rng: np.random.Generator
) -> npt.NDArray[np.bool_]:
    """Who answers a survey: the satisfied rather, those about to leave hardly."""
    log_odds = -0.7 + 0.3 * customers.satisfaction[who] - 0.9 * is_fading(customers, who, time)
    return np.asarray(rng.random(len(who)) < chance(log_odds))


def surveys_table(
    customers: Customers, history: History, orders: Orders, shop: Shop, rng: np.random.Generator
) -> tuple[pa.Table, tuple[Ints, Ints, npt.NDArray[np.bool_]]]:
    """NPS and CSAT answers, and everyone who was asked: position, minute, answered.

    After 30 % of the orders the customer is asked: three days later for NPS, the next day for
    CSAT, half each. An answer comes within two days and is known at four the next morning.
    """
    n = len(orders)
    asked = np.flatnonzero(rng.random(n) < 0.3)
    kind = (rng.random(len(asked)) < 0.5).astype(np.int64)
    invited = (orders.minute[asked] // 1440 + np.where(kind == 0, 3, 1)) * 1440 + 540
    # Nobody is asked twice on a day.
    once = np.unique(np.stack([orders.customer[asked], invited]), axis=1, return_index=True)[1]
    asked, kind, invited = asked[once], kind[once], invited[once]
    who, time = orders.customer[asked], history.time[asked]
    answered = _answers(customers, who, time, rng)
    minute = invited + 5 + np.minimum(rng.exponential(400.0, len(asked)), 2879).astype(np.int64)
    mood = customers.satisfaction[who]
    leaving = is_fading(customers, who, time)
    nps = 7.9 + 1.5 * mood - 2.2 * leaving + 1.3 * rng.standard_normal(len(asked))
    csat = 4.0 + 0.6 * mood - 1.0 * leaving + 0.7 * rng.standard_normal(len(asked))
    score = np.where(kind == 0, np.clip(np.round(nps), 0, 10), np.clip(np.round(csat), 1, 5))
    top = np.where(kind == 0, 10, 5)
    talks = rng.random(len(asked)) < 0.25
    share = score / top
    said = comments(
        (share > 0.65).astype(np.int64) + (share > 0.85), _language(customers, who, rng), rng
    )
    said = said.take(pa.array(np.arange(len(asked)), mask=~talks))
    table = pa.table(
        {
            "customer_id": customers.ids.take(pa.array(who)),
            "timestamp": times(minute),
            "kind": names(("nps", "csat"), kind),
            "score": pa.array(score.astype(np.int64)),
            "scale_max": pa.array(top),
            "comment": said,
            "known_at": times((minute // 1440 + 1) * 1440 + 240),
        }
    )
    in_time = invited < shop.end_minute
    rows = np.flatnonzero(answered & (minute < shop.end_minute))
    table = sorted_rows(table.take(pa.array(rows)), minute[rows], who[rows])
    return table, (who[in_time], invited[in_time], (answered & (minute < shop.end_minute))[in_time])


def tickets_table(
    customers: Customers, history: History, orders: Orders, shop: Shop, rng: np.random.Generator
) -> pa.Table:
    """Support tickets with topic, sentiment and text.

    Some follow an order, more often for less satisfied customers; one customer in four also
    complains in the days before leaving, mostly about deliveries and refunds.
    """
    n = len(orders)
    risk = 0.05 * np.exp(-0.3 * customers.satisfaction[orders.customer])
    after = np.flatnonzero(rng.random(n) < risk)
    ordered = np.floor(history.time[after])
    leaving = np.flatnonzero((customers.end < shop.days) & (rng.random(len(customers)) < 0.25))
    before = customers.end[leaving] - POPULATION.fading_days * rng.random(len(leaving))
    before = np.maximum(before, customers.first[leaving])
    who = np.concatenate([orders.customer[after], leaving])
    time = np.concatenate([ordered + 1 + rng.exponential(3.0, len(after)), before])
    complaint = np.arange(len(who)) >= len(after)
    shares = np.where(
        complaint[:, None], [0.40, 0.65, 0.90, 0.97, 1.0], [0.28, 0.43, 0.58, 0.85, 1.0]
    )
    topic = (rng.random(len(who))[:, None] >= shares).sum(axis=1)
    topic = np.minimum(topic, len(TOPICS) - 1)
    base = np.array([-0.25, -0.45, -0.35, 0.1, 0.0])[topic]
    noise = 0.35 * rng.standard_normal(len(who))
    mood = base + 0.25 * customers.satisfaction[who] - 0.3 * complaint + noise
    sentiment = np.round(np.clip(mood, -1, 1), 2)
    text = ticket_texts(
        topic,
        (sentiment > -0.2).astype(np.int64) + (sentiment > 0.25),
        _language(customers, who, rng),
        customers.category[who],
        rng,
    )
    opened = shop.minutes(time)
    hours = rng.lognormal(np.where(sentiment < -0.2, 3.6, 2.8), 0.9)
    resolved = opened + np.round(60 * hours).astype(np.int64)
    unresolved = (resolved >= shop.end_minute) | (rng.random(len(who)) < 0.02)
    table = pa.table(
        {
            "customer_id": customers.ids.take(pa.array(who)),
            "opened_at": times(opened),
            "resolved_at": pa.array(
                (resolved * 60).astype("datetime64[s]"), pa.timestamp("s"), mask=unresolved
            ),
            "topic": names(TOPICS, topic),
            "sentiment": pa.array(sentiment, mask=rng.random(len(who)) < 0.3),
            "text": text,
        }
    )
    rows = np.flatnonzero(opened < shop.end_minute)
    return sorted_rows(table.take(pa.array(rows)), opened[rows], who[rows])
