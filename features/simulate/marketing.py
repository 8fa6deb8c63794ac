"""What the shop does with customers: contacts, points, delivery passes, its own records."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from features.simulate.columns import chance, names, sorted_rows, times
from features.simulate.customers import AGE_GROUPS, COUNTRIES, Customers
from features.simulate.orders import Lines, Orders
from features.simulate.process import History
from features.simulate.shop import CHANNELS, VOUCHER_VALUE, Floats, Ints, Shop

__all__ = [
    "acquisition_table",
    "contacts_table",
    "customers_table",
    "loyalty_table",
    "subscriptions_table",
]


def contacts_table(
    customers: Customers,
    history: History,
    invitations: tuple[Ints, Ints, npt.NDArray[np.bool_]],
    shop: Shop,
    rng: np.random.Generator,
) -> pa.Table:
    """Campaign contacts of both arms, and the survey invitations (no arm, no cost).

    Nothing is sent to the control arm. Contacts go out before the first order of the day.
    The cost of a redeemed voucher is on its contact. An answered invitation is a click.
    """
    parts = []
    day_zero = int(shop.first.astype(np.int64))
    for contact in history.contacts:
        campaign, who, treated = contact.campaign, contact.customer, contact.treated
        n = len(who)
        minute = (day_zero + campaign.day) * 1440 + 300 + rng.integers(0, 115, n)
        gone = customers.end[who] < campaign.day
        log_odds = np.where(gone, -2.6, -0.5 + 0.3 * customers.satisfaction[who])
        opened = rng.random(n) < chance(log_odds)
        clicked = opened & (rng.random(n) < 0.25)
        inside = (history.time >= campaign.day) & (
            history.time < campaign.day + campaign.window_days
        )
        bought = np.zeros(len(customers), dtype=np.bool_)
        bought[history.customer[inside]] = True
        redeemed = bought[who] & (rng.random(n) < 0.6) & (campaign.kind == 1)
        cost = np.where(treated, campaign.send_cost + VOUCHER_VALUE * redeemed, 0.0)
        silent = ~treated
        channel = ("email", "post", "phone")[campaign.kind]
        parts.append(
            pa.table(
                {
                    "customer_id": customers.ids.take(pa.array(who)),
                    "timestamp": times(minute),
                    "campaign": pa.array([campaign.name] * n, pa.string()),
                    "arm": names(("control", "treatment"), treated.astype(np.int64)),
                    "channel": pa.array([channel] * n, pa.string()),
                    "cost": pa.array(np.round(cost, 2)),
                    "opened": pa.array(opened, mask=silent),
                    "clicked": pa.array(clicked, mask=silent),
                    "redeemed": pa.array(redeemed, mask=silent),
                }
            )
        )
    who, minute, answered = invitations
    n = len(who)
    parts.append(
        pa.table(
            {
                "customer_id": customers.ids.take(pa.array(who)),
                "timestamp": times(minute),
                "campaign": pa.array(["survey"] * n, pa.string()),
                "arm": pa.nulls(n, pa.string()),
                "channel": pa.array(["email"] * n, pa.string()),
                "cost": pa.array(np.zeros(n)),
                "opened": pa.array(answered | (rng.random(n) < 0.3)),
                "clicked": pa.array(answered),
                "redeemed": pa.nulls(n, pa.bool_()),
            }
        )
    )
    table = pa.concat_tables(parts)
    everyone = np.concatenate([*(contact.customer for contact in history.contacts), who])
    stamp = table["timestamp"].cast(pa.int64()).to_numpy()
    return sorted_rows(table, stamp, everyone)


def loyalty_table(
    customers: Customers,
    history: History,
    orders: Orders,
    lines: Lines,
    shop: Shop,
    rng: np.random.Generator,
) -> pa.Table:
    """Points: a welcome gift, one point for each unit of money spent, vouchers, expiry.

    Every 250 points earned are worth a voucher, taken at that order by two customers in
    three; all that is left expires 365 days after the last order.
    """
    first_line = np.flatnonzero(np.diff(lines.order, prepend=-1))
    spent = np.add.reduceat(lines.quantity * lines.price, first_line) // 100
    joined = history.enrolled[orders.customer]
    rows = np.flatnonzero(history.time >= joined)
    who, minute, points = orders.customer[rows], orders.minute[rows], spent[rows]
    starts = np.flatnonzero(np.diff(who, prepend=-1))
    sizes = np.diff(starts, append=len(who))
    total = np.cumsum(points)
    before = np.repeat(total[starts] - points[starts], sizes)
    total = total - before
    vouchers = total // 250 - (total - points) // 250
    saver = rng.random(len(customers)) < 1 / 3
    burnt = np.where(saver[who], 0, 250 * vouchers)
    uses = np.flatnonzero(burnt)
    members, first_row = who[starts], minute[starts]
    final = starts + sizes - 1
    welcome = 50
    earned = welcome + total[final]
    left = (
        earned - np.bincount(who, weights=burnt, minlength=len(customers)).astype(np.int64)[members]
    )
    expiry = minute[final] + 365 * 1440
    lapses = np.flatnonzero((expiry < shop.end_minute) & (left > 0))
    tier = np.searchsorted([250, 1000], total, side="right")

    none = np.zeros(len(members), dtype=np.int64)
    all_who = np.concatenate([members, who, who[uses], members[lapses]])
    all_minutes = np.concatenate([first_row, minute, minute[uses], expiry[lapses]])
    all_points = np.concatenate([none + welcome, points, -burnt[uses], -left[lapses]])
    kinds = np.repeat([0, 1, 2, 3], [len(members), len(who), len(uses), len(lapses)])
    tiers = np.concatenate([none, tier, tier[uses], tier[final][lapses]])
    table = pa.table(
        {
            "customer_id": customers.ids.take(pa.array(all_who)),
            "timestamp": times(all_minutes),
            "points": pa.array(all_points),
            "tier": names(("bronze", "silver", "gold"), tiers),
            "kind": names(("enrol", "earn", "burn", "expire"), kinds),
        }
    )
    return table.take(pa.array(np.lexsort((kinds, all_who, all_minutes))))


def acquisition_table(customers: Customers, shop: Shop) -> pa.Table:
    """How each customer was won and what it cost."""
    day = shop.first + np.floor(customers.first).astype(np.int64)
    year = day.astype("datetime64[Y]").astype(np.int64) + 1970
    quarter = day.astype("datetime64[M]").astype(np.int64) % 12 // 3
    low = int(year.min())
    labels = [
        f"{channel.name}-{y}-q{q}" if channel.cost else None
        for channel in CHANNELS
        for y in range(low, int(year.max()) + 1)
        for q in range(1, 5)
    ]
    years = int(year.max()) + 1 - low
    place = (customers.channel * years + year - low) * 4 + quarter
    return pa.table(
        {
            "customer_id": customers.ids,
            "channel": names(tuple(c.name for c in CHANNELS), customers.channel),
            "cost": pa.array(customers.acquisition_cost),
            "campaign": pa.array(labels, pa.string()).take(pa.array(place)),
        }
    )


def customers_table(customers: Customers, shop: Shop) -> pa.Table:
    """Static attributes, known from the first order on."""
    return pa.table(
        {
            "customer_id": customers.ids,
            "country": names(COUNTRIES, customers.country),
            "age_group": names(AGE_GROUPS, customers.age),
            "newsletter": names(("no", "yes"), customers.opted_in.astype(np.int64)),
            "known_at": times(shop.minutes(customers.first)),
        }
    )


def subscriptions_table(
    customers: Customers, shop: Shop, rng: np.random.Generator
) -> tuple[pa.Table, Floats]:
    """A delivery pass for one customer in ten, renewed every 30 days.

    At each renewal the holder cancels with an own probability, beta(0.8, 6) over holders: the
    shifted beta-geometric process (Fader & Hardie 2007, J. Interactive Marketing 21:76). It
    is independent of the orders.

    Returns:
        The table and the cancelling probability by customer, nan without a pass.
    """
    n = len(customers)
    cancels = np.where(rng.random(n) < 0.1, rng.beta(0.8, 6.0, n), np.nan)
    holders = np.flatnonzero(np.isfinite(cancels))
    premium = rng.random(len(holders)) < 0.3
    begin = shop.minutes(customers.first[holders] + rng.exponential(60.0, len(holders)))
    paid = rng.geometric(np.clip(cancels[holders], 1e-6, 1.0))
    finish = begin + np.minimum(paid, 3000) * 30 * 1440
    ended = finish < shop.end_minute
    table = pa.table(
        {
            "customer_id": customers.ids.take(pa.array(holders)),
            "started_at": times(begin),
            "ended_at": pa.array(
                (finish * 60).astype("datetime64[s]"), pa.timestamp("s"), mask=~ended
            ),
            "fee": pa.array(np.where(premium, 7.90, 3.90)),
            "plan": names(("standard", "premium"), premium.astype(np.int64)),
        }
    )
    rows = np.flatnonzero(begin < shop.end_minute)
    cancels[np.setdiff1d(holders, holders[rows])] = np.nan
    return sorted_rows(table.take(pa.array(rows)), begin[rows], holders[rows]), cancels
