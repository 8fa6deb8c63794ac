"""What customers buy: order lines with products, prices and discounts, returns, and dirt."""

from dataclasses import dataclass, fields, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from features.simulate.customers import Customers
from features.simulate.process import History
from features.simulate.shop import (
    CATEGORIES,
    DIRT,
    N_PRICES,
    POPULATION,
    Floats,
    Ints,
    Shop,
    list_prices,
)

__all__ = [
    "ORDER_CHANNELS",
    "Lines",
    "Orders",
    "add_dirt",
    "customer_days",
    "draw_lines",
    "draw_orders",
    "draw_returns",
    "lines_table",
    "number_of_dirty",
]

ORDER_CHANNELS = ("web", "app", "store")
_SAMPLE = len(CATEGORIES) * N_PRICES  # product number of the free sample
_POSTAGE = _SAMPLE + 1
_BLOCK_INVOICES = 10_000_000


@dataclass(frozen=True)
class Orders:
    """Orders by position in `History`: clock minute, value wanted, channel, first category."""

    customer: Ints
    minute: Ints
    value: Floats
    channel: Ints
    category: Ints

    def __len__(self) -> int:
        """Number of orders."""
        return len(self.customer)


@dataclass(frozen=True)
class Lines:
    """Order lines; every field has one entry a line.

    Attributes:
        order: Position of the order; returns keep that of what is returned.
        invoice: Invoice number, without the C of a return.
        customer: Position of the customer, -1 when missing.
        minute: Minutes since 1970.
        product: Product number: category * N_PRICES + rung on the price ladder.
        quantity: Negative on returns and write-offs.
        price: Charged price of a unit in cents, after discount.
        discount: Cents taken off the line.
        channel: Index into `ORDER_CHANNELS`.
        is_return: A C-invoice.
        untidy: Way the text is written: 0 as it should be.
        bad_date: The date cannot be read: 0, or which wrong date plus one.
    """

    order: Ints
    invoice: Ints
    customer: Ints
    minute: Ints
    product: Ints
    quantity: Ints
    price: Ints
    discount: Ints
    channel: Ints
    is_return: npt.NDArray[np.bool_]
    untidy: Ints
    bad_date: Ints

    def __len__(self) -> int:
        """Number of lines."""
        return len(self.order)

    def take(self, rows: Ints) -> "Lines":
        """The lines at these positions."""
        return Lines(*(getattr(self, field.name)[rows] for field in fields(self)))

    def followed_by(self, *others: "Lines") -> "Lines":
        """These lines and then the others."""
        parts = (self, *others)
        return Lines(
            *(np.concatenate([getattr(p, field.name) for p in parts]) for field in fields(self))
        )


def draw_orders(
    customers: Customers, history: History, shop: Shop, rng: np.random.Generator
) -> Orders:
    """Give each order a gamma distributed value around the customer's mean, and a channel."""
    who, n = history.customer, len(history.customer)
    value = rng.gamma(POPULATION.p, 1 / POPULATION.p, n) * customers.mean_spend[who]
    in_store = rng.random(n) < customers.store_share[who]
    channel = np.where(in_store, 2, (rng.random(n) < 0.4).astype(np.int64))
    favourite = rng.random(n) < 0.55
    category = np.where(favourite, customers.category[who], rng.integers(0, len(CATEGORIES), n))
    minute = shop.minutes(history.time)
    month = (minute // 1440).astype("datetime64[D]").astype("datetime64[M]").astype(np.int64) % 12
    gift = (month >= 10) & (rng.random(n) < 0.25)
    return Orders(who, minute, value, channel, np.where(gift, CATEGORIES.index("Gifts"), category))


def draw_lines(customers: Customers, orders: Orders, block: int, rng: np.random.Generator) -> Lines:
    """Split each order over one to four lines of products of different categories.

    The wanted value of a line and a small quantity give the wanted list price; the product
    is the one of the category whose list price is nearest on a ladder 6 % apart. So products
    have fixed list prices and order values still follow Gamma-Gamma closely.
    """
    n = len(orders)
    count = 1 + rng.binomial(3, 0.3, n)
    order = np.repeat(np.arange(n), count)
    starts = np.cumsum(count) - count
    rank = np.arange(len(order)) - np.repeat(starts, count)
    weight = rng.gamma(3.0, 1.0, len(order))
    value = 100 * orders.value[order] * weight / np.add.reduceat(weight, starts)[order]

    others = len(CATEGORIES) - 1
    # What goes along: the next category in two of five orders. A step of 4 is coprime to 11,
    # so the lines of an order are all of different categories.
    partner = np.where(rng.random(n) < 0.4, 0, rng.integers(0, others, n))[order]
    offset = np.where(rank == 0, 0, 1 + (partner + 4 * (rank - 1)) % others)
    category = (orders.category[order] + offset) % len(CATEGORIES)

    day = (orders.minute[order] // 1440).astype("datetime64[D]")
    day_of_year = (day - day.astype("datetime64[Y]")).astype(np.int64)
    # Sales in January, July and around the last Friday of November.
    sale = (day_of_year < 20) | ((day_of_year >= 182) & (day_of_year < 203))
    sale |= (day_of_year >= 325) & (day_of_year < 335)
    deal = 0.5 * customers.deal_seeking[orders.customer[order]] + 0.3 * sale
    off = np.where(rng.random(len(order)) < deal, rng.integers(1, 5, len(order)) * 0.05 + 0.05, 0)

    ladder = list_prices()
    quantity = np.array([1, 1, 1, 1, 2, 2, 3, 4, 6])[rng.integers(0, 9, len(order))]
    wanted = value / (1 - off)
    quantity = np.maximum(np.minimum(quantity, (wanted / ladder[0]).astype(np.int64)), 1)
    steps = (N_PRICES - 1) / np.log(ladder[-1] / ladder[0])
    rung = np.round(steps * np.log(wanted / quantity / ladder[0])).astype(np.int64)
    rung = np.clip(rung, 0, N_PRICES - 1)
    # The few dearest orders want more than the dearest product: buy more pieces of it.
    top = rung == N_PRICES - 1
    quantity[top] = np.maximum(np.round(wanted[top] / ladder[-1]), 1).astype(np.int64)
    full = ladder[rung]
    price = np.round(full * (1 - off)).astype(np.int64)
    zeros = np.zeros(len(order), dtype=np.int64)
    numbers = np.empty(n, dtype=np.int64)
    numbers[np.argsort(orders.minute, kind="stable")] = np.arange(n)
    return Lines(
        order=order,
        invoice=(block + 1) * _BLOCK_INVOICES + numbers[order],
        customer=orders.customer[order],
        minute=orders.minute[order],
        product=category * N_PRICES + rung,
        quantity=quantity,
        price=price,
        discount=quantity * (full - price),
        channel=orders.channel[order],
        is_return=np.zeros(len(order), dtype=np.bool_),
        untidy=zeros,
        bad_date=zeros,
    )


def draw_returns(lines: Lines, n_orders: int, shop: Shop, rng: np.random.Generator) -> Lines:
    """Returns as lines with negative quantity under invoices of their own.

    0.8 % of orders go back whole on the day, 5 % later (after 2 days and then 12 on average),
    half of these whole and half by one line. What would come back after the last day is not
    in the data.
    """
    kind = rng.random(n_orders)
    same_day, later = kind < 0.008, (kind >= 0.008) & (kind < 0.058)
    whole = same_day | (rng.random(n_orders) < 0.5)
    starts = np.flatnonzero(np.diff(lines.order, prepend=-1))
    minute = lines.minute[starts]
    left = 1435 - minute % 1440
    soon = minute + np.minimum(20 + rng.integers(0, 220, n_orders), left)
    delay = 2 + rng.exponential(12.0, n_orders)
    day = (minute // 1440 - int(shop.first.astype(np.int64))).astype(np.float64)
    when = np.where(same_day, soon, shop.minutes(np.floor(day + delay) + rng.random(n_orders)))
    back = (same_day | later) & (when < shop.end_minute)
    number = lines.invoice[starts].max(initial=0) + 1 + np.cumsum(back) - 1

    first_line = np.zeros(len(lines), dtype=np.bool_)
    first_line[starts] = True
    rows = np.flatnonzero(back[lines.order] & (whole[lines.order] | first_line))
    gone = lines.take(rows)
    return replace(
        gone,
        invoice=number[gone.order],
        minute=when[gone.order],
        quantity=-gone.quantity,
        discount=-gone.discount,
        is_return=np.ones(len(gone), dtype=np.bool_),
    )


def customer_days(lines: Lines, n_customers: int) -> tuple[Ints, Ints]:
    """Purchases (days with positive net amount) and net spend in cents, by customer."""
    amount = lines.quantity * lines.price
    day = lines.minute // 1440
    order = np.lexsort((day, lines.customer))
    who, day, amount = lines.customer[order], day[order], amount[order]
    starts = np.flatnonzero((np.diff(who, prepend=-1) != 0) | (np.diff(day, prepend=-1) != 0))
    net = np.add.reduceat(amount, starts)
    purchases = np.bincount(who[starts][net > 0], minlength=n_customers)
    spend = np.zeros(n_customers, dtype=np.int64)
    np.add.at(spend, who[starts], net)
    return purchases, spend


def number_of_dirty(share: float, rows: int) -> int:
    """How many of `rows` rows a share of dirt makes; never none, never more than there are."""
    return min(max(1, round(share * rows)), rows)


def add_dirt(lines: Lines, rng: np.random.Generator) -> tuple[Lines, dict[str, int]]:
    """Add rows that a real export has and nobody wants; the clean rows stay as they are.

    Returns:
        All lines, and the count of each kind.
    """
    clean = len(lines)
    count = {kind: number_of_dirty(share, clean) for kind, share in DIRT.items()}
    sales = np.flatnonzero(~lines.is_return)
    next_invoice = int(lines.invoice.max()) + 1

    def pick(kind: str) -> Lines:
        """Copies of random sales under new invoices."""
        nonlocal next_invoice
        rows = rng.choice(sales, min(count[kind], len(sales)), replace=False)
        count[kind] = len(rows)
        numbers = next_invoice + np.arange(len(rows))
        next_invoice += len(rows)
        return replace(lines.take(rows), invoice=numbers)

    def along(kind: str) -> Lines:
        """The first line of random orders, to be made into one more line of each."""
        firsts = sales[np.flatnonzero(np.diff(lines.order[sales], prepend=-1))]
        count[kind] = min(count[kind], len(firsts))
        return lines.take(rng.choice(firsts, count[kind], replace=False))

    untidy = lines.untidy.copy()
    rows = rng.choice(clean, count["untidy_text"], replace=False)
    untidy[rows] = rng.integers(1, len(_WAYS), len(rows))
    lines = replace(lines, untidy=untidy)

    guests = pick("missing_customer")
    guests = replace(guests, customer=np.full(len(guests), -1))
    unread = pick("unparseable_date")
    unread = replace(unread, bad_date=rng.integers(1, len(_BAD_DATES) + 1, len(unread)))
    broken = pick("write_off")
    broken = replace(
        broken,
        customer=np.full(len(broken), -1),
        quantity=-rng.integers(1, 40, len(broken)),
        price=np.zeros_like(broken.price),
        discount=np.zeros_like(broken.price),
    )
    free = along("zero_price")
    nothing, one = np.zeros_like(free.price), np.ones_like(free.price)
    free = replace(free, product=nothing + _SAMPLE, quantity=one, price=nothing, discount=nothing)
    post = along("non_product_code")
    one = np.ones_like(post.price)
    post = replace(post, product=one * _POSTAGE, quantity=one, price=one * 495, discount=one * 0)
    twice = lines.take(rng.choice(sales, min(count["exact_duplicate"], len(sales)), replace=False))
    count["exact_duplicate"] = len(twice)
    return lines.followed_by(guests, unread, broken, free, post, twice), count


def _plain(text: str) -> str:
    return text


_WAYS = (_plain, str.upper, str.lower, " {}".format, "{}  ".format)
_BAD_DATES = ("n/a", "0000-00-00 00:00:00", "2023-02-30 10:15:00", "31.04. 12 Uhr")


def _spellings(names: list[str]) -> pa.Array:
    return pa.array([way(name) for way in _WAYS for name in names])


def product_codes() -> pa.Array:
    """Stock codes by product number, with the free sample and postage at the end."""
    codes = [
        f"{name[:3].upper()}{rung:03d}" for name in CATEGORIES for rung in range(1, N_PRICES + 1)
    ]
    return pa.array([*codes, "SAMPLE", "POST"])


def lines_table(lines: Lines, ids: pa.Array) -> pa.Table:
    """Order lines as the shop's export has them, sorted by time and then customer."""
    order = np.lexsort((lines.product, lines.invoice, lines.customer, lines.minute))
    lines = lines.take(order)
    categories = [*CATEGORIES, "Other"]
    category = np.minimum(lines.product // N_PRICES, len(CATEGORIES))
    written = pa.array(lines.minute * 60, pa.timestamp("s")).cast(pa.string())
    wrong = pa.array(["", *_BAD_DATES]).take(pa.array(lines.bad_date))
    who = pa.array(lines.customer, mask=lines.customer < 0)
    letter = pa.array(["", "C"]).take(pa.array(lines.is_return.astype(np.int64)))
    invoice = pa.array(lines.invoice).cast(pa.string())
    return pa.table(
        {
            "Invoice": pc.binary_join_element_wise(letter, invoice, ""),
            "StockCode": product_codes().take(pa.array(lines.product)),
            "Category": _spellings(categories).take(
                pa.array(lines.untidy * len(categories) + category)
            ),
            "Quantity": pa.array(lines.quantity),
            "InvoiceDate": pc.if_else(pa.array(lines.bad_date > 0), wrong, written),
            "Price": pa.array(lines.price / 100),
            "Discount": pa.array(lines.discount / 100),
            "Customer ID": ids.take(who),
            "Channel": _spellings(list(ORDER_CHANNELS)).take(
                pa.array(lines.untidy * len(ORDER_CHANNELS) + lines.channel)
            ),
        }
    )
