"""Browsing: views, carts and purchases on the web and in the app."""

import numpy as np
import pyarrow as pa

from features.simulate.columns import names
from features.simulate.customers import Customers
from features.simulate.orders import Lines, Orders, number_of_dirty, product_codes
from features.simulate.shop import CATEGORIES, EVENT_DIRT, N_PRICES, POPULATION, Ints, Shop

__all__ = ["events_table"]

_BLOCK_SESSIONS = 100_000_000


def events_table(
    customers: Customers,
    orders: Orders,
    lines: Lines,
    shop: Shop,
    block: int,
    rng: np.random.Generator,
    dirt: bool,
) -> tuple[pa.Table, dict[str, int]]:
    """Views, carts and purchases, by session.

    Browsing sessions come at the rate `intent` a week in season, at a lower one in the last
    days before dropout and hardly at all after it. Every online order ends a session too.
    """
    browser, browse_minute = _browsing(customers, shop, rng)
    online = np.flatnonzero(orders.channel < 2)
    who = np.concatenate([browser, orders.customer[online]])
    n_browse, n = len(browser), len(browser) + len(online)
    buys = np.arange(n) >= n_browse
    views = 1 + rng.poisson(np.where(buys, 0.5, 1.1), n)
    cart = buys | (rng.random(n) < 0.2)
    # An order's session ends with it: the views come before.
    length = 2 + 3 * views + 2 * cart
    begin = np.concatenate([browse_minute, orders.minute[online] - length[n_browse:]])

    session = np.repeat(np.arange(n), views)
    rank = np.arange(len(session)) - np.repeat(np.cumsum(views) - views, views)
    chance = rng.integers(0, len(CATEGORIES), len(session))
    favourite = rng.random(len(session)) < 0.5
    category = np.where(favourite, customers.category[who[session]], chance)
    viewed = category * N_PRICES + rng.integers(0, N_PRICES, len(session))
    last_view = np.cumsum(views) - 1
    carted = np.flatnonzero(cart)
    bought = np.arange(n_browse, n)
    # What is carted and bought is the first line of the order; else the last thing viewed.
    first_line = np.flatnonzero(np.diff(lines.order, prepend=-1))
    product = viewed[last_view]
    product[bought] = lines.product[first_line][online]
    viewed[last_view[bought]] = product[bought]
    value = np.add.reduceat(lines.quantity * lines.price, first_line)[online] / 100

    where = np.concatenate([session, carted, bought])
    kind = np.repeat([0, 1, 2], [len(session), len(carted), len(bought)])
    minute = begin[where] + np.concatenate([3 * rank, 3 * views[carted], length[bought]])
    product = np.concatenate([viewed, product[carted], product[bought]])
    money = np.concatenate([np.full(len(session) + len(carted), np.nan), value])
    customer = who[where]
    rows = np.flatnonzero(minute < shop.end_minute)
    count: dict[str, int] = {}
    anonymous = 0
    if dirt and len(rows):
        count = {name: number_of_dirty(share, len(rows)) for name, share in EVENT_DIRT.items()}
        extra = rng.choice(rows, count["exact_duplicate"], replace=False)
        # Visits of people who are not logged in: copies without a customer, one a session.
        nobody = rng.choice(rows, count["missing_customer"], replace=False)
        rows = np.concatenate([rows, extra, nobody])
        anonymous = len(nobody)
    lost = np.arange(len(rows)) >= len(rows) - anonymous
    number = where[rows] + np.where(lost, n, 0)
    order = np.lexsort((number, customer[rows], minute[rows]))
    rows, lost, number = rows[order], lost[order], number[order]
    money = money[rows]
    table = pa.table(
        {
            "customer_id": customers.ids.take(pa.array(customer[rows], mask=lost)),
            "timestamp": pa.array(minute[rows] * 60_000_000, pa.timestamp("us")),
            "event": names(("view", "cart", "purchase"), kind[rows]),
            "session_id": pa.array((block + 1) * _BLOCK_SESSIONS + number),
            "product_id": product_codes().take(pa.array(product[rows])),
            "value": pa.array(money, mask=np.isnan(money)),
        }
    )
    return table, count


def _browsing(customers: Customers, shop: Shop, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Customers and clock minutes of browsing sessions."""
    clock, grid = shop.season_clock(), np.arange(shop.days + 1.0)
    fades = np.maximum(customers.first, customers.end - POPULATION.fading_days)
    never = np.full(len(customers), float(shop.days))
    phases = (
        (customers.first, fades, 1.0),
        (fades, customers.end, POPULATION.fading_browse),
        (customers.end, never, POPULATION.gone_browse),
    )
    who, times = [], []
    for begin, finish, factor in phases:
        low = np.interp(np.minimum(begin, shop.days), grid, clock)
        high = np.interp(np.minimum(finish, shop.days), grid, clock)
        count = rng.poisson(customers.intent / 7 * factor * np.maximum(high - low, 0))
        place = np.repeat(np.arange(len(customers)), count)
        at = low[place] + rng.random(len(place)) * (high - low)[place]
        who.append(place)
        times.append(np.minimum(np.interp(at, clock, grid), np.nextafter(shop.days, 0)))
    return np.concatenate(who), shop.minutes(np.concatenate(times))
