"""Simulate the whole shop, block by block."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np

from features.errors import InputError
from features.progress import task
from features.simulate.browsing import events_table
from features.simulate.customers import draw_customers
from features.simulate.files import TableFiles, new_folder
from features.simulate.marketing import (
    acquisition_table,
    contacts_table,
    customers_table,
    loyalty_table,
    subscriptions_table,
)
from features.simulate.orders import (
    add_dirt,
    customer_days,
    draw_lines,
    draw_orders,
    draw_returns,
    lines_table,
)
from features.simulate.process import simulate_purchases
from features.simulate.shop import CAMPAIGN_KINDS, CHANNELS, POPULATION, Shop
from features.simulate.truth import contact_truth_table, customer_truth_table
from features.simulate.voice import surveys_table, tickets_table

__all__ = ["FILES", "MAPPING", "START", "Simulation", "simulate"]

START = dt.date(2022, 7, 1)
_BLOCK = 50_000
_SHORTEST = 60
_LONGEST = 3653

# Table of the data contract (and the two of the truth) -> file.
FILES: Mapping[str, str] = MappingProxyType(
    {
        "transactions": "orders.csv",
        "events": "events.parquet",
        "surveys": "surveys.csv",
        "tickets": "tickets.csv",
        "contacts": "contacts.csv",
        "loyalty": "loyalty.csv",
        "acquisition": "acquisition.csv",
        "customers": "customers.csv",
        "subscriptions": "subscriptions.csv",
        "truth": "truth.parquet",
        "contact_truth": "truth_contacts.parquet",
    }
)

# Table -> its settings as in `[tables.NAME]`; what is left out has a name everyone uses.
MAPPING: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "transactions": MappingProxyType(
            {
                "from": "orders.csv",
                "customer_id": "Customer ID",
                "timestamp": "InvoiceDate",
                "amount": "Quantity * Price",
                "order_id": "Invoice",
                "product_id": "StockCode",
                "category": "upper(trim(Category))",
                "quantity": "Quantity",
                "discount": "Discount",
                "channel": "lower(trim(Channel))",
                "where": "StockCode <> 'POST'",
            }
        ),
        **{
            table: MappingProxyType({"from": file})
            for table, file in FILES.items()
            if table not in ("transactions", "truth", "contact_truth")
        },
    }
)

# Every part draws from its own stream, so that a change in one leaves the others alone.
_PARTS = (
    "customers",
    "purchases",
    "orders",
    "lines",
    "returns",
    "dirt",
    "events",
    "surveys",
    "tickets",
    "contacts",
    "loyalty",
    "subscriptions",
)


@dataclass(frozen=True)
class Simulation:
    """What was written.

    Attributes:
        folder: Where the files are.
        files: Path by table, with `truth` and `contact_truth`.
        rows: Rows by table.
        dirt: Dirty rows by table and kind.
        customers: Number of customers.
        first_day, last_day: The days simulated.
        seed: Seed of everything.
    """

    folder: Path
    files: Mapping[str, Path]
    rows: Mapping[str, int]
    dirt: Mapping[str, Mapping[str, int]]
    customers: int
    first_day: dt.date
    last_day: dt.date
    seed: int


def simulate(
    folder: Path,
    customers: int = 5000,
    days: int = 1095,
    seed: int = 0,
    start: dt.date = START,
    dirt: bool = True,
) -> Simulation:
    """Write the tables of a made-up shop whose truth is known into `folder`.

    The same arguments give the same bytes. Customers are made in blocks of 50,000, so memory
    does not grow with their number. The files appear in `folder` when all are complete;
    an earlier simulation there is replaced.

    Args:
        folder: A new or empty folder, or one with an earlier simulation.
        customers: Number of customers, all of whom order at least once.
        days: Length of the period, 60 to 3653.
        seed: Seed of everything, 0 or more.
        start: First day.
        dirt: Whether to add the rows that real exports have and nobody wants.

    Raises:
        InputError: An argument is out of range, or the folder cannot be used.
    """
    _check("customers", customers, 1, 9_999_999)
    _check("days", days, _SHORTEST, _LONGEST)
    _check("seed", seed, 0, 2**63 - 1)
    shop = Shop(start, days)
    counts: dict[str, dict[str, int]] = {"transactions": {}, "events": {}}
    blocks = range(0, customers, _BLOCK)
    with new_folder(folder) as (unfinished, mark):
        with (
            task("simulating customers", total=customers) as progress,
            TableFiles(unfinished, FILES) as files,
        ):
            for block, low in enumerate(blocks):
                size = min(_BLOCK, customers - low)
                _block(shop, block, low + 1, size, seed, dirt, files, counts)
                progress.advance(size)
        result = Simulation(
            folder=folder,
            files={table: folder / name for table, name in FILES.items()},
            rows=files.rows,
            dirt=counts,
            customers=customers,
            first_day=start,
            last_day=shop.last_day,
            seed=seed,
        )
        mark |= _summary(result, shop)
    return result


def _check(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise InputError(f"A simulation cannot have {name} = {value}.", f"Choose {low} to {high}.")


def _block(
    shop: Shop,
    block: int,
    number: int,
    size: int,
    seed: int,
    dirt: bool,
    files: TableFiles,
    counts: dict[str, dict[str, int]],
) -> None:
    """Simulate one block of customers and add its rows to the files."""
    rng = {
        part: np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(block, place)))
        for place, part in enumerate(_PARTS)
    }
    people = draw_customers(shop, number, size, rng["customers"])
    history = simulate_purchases(people, shop, rng["purchases"])
    orders = draw_orders(people, history, shop, rng["orders"])
    sales = draw_lines(people, orders, block, rng["lines"])
    lines = sales.followed_by(draw_returns(sales, len(orders), shop, rng["returns"]))
    purchases, spend = customer_days(lines, size)
    dirty_lines: dict[str, int] = {}
    if dirt:
        lines, dirty_lines = add_dirt(lines, rng["dirt"])
    files.add("transactions", lines_table(lines, people.ids))
    events, dirty_events = events_table(people, orders, sales, shop, block, rng["events"], dirt)
    files.add("events", events)
    surveys, invitations = surveys_table(people, history, orders, shop, rng["surveys"])
    files.add("surveys", surveys)
    files.add("tickets", tickets_table(people, history, orders, shop, rng["tickets"]))
    files.add("contacts", contacts_table(people, history, invitations, shop, rng["contacts"]))
    files.add("loyalty", loyalty_table(people, history, orders, sales, shop, rng["loyalty"]))
    files.add("acquisition", acquisition_table(people, shop))
    files.add("customers", customers_table(people, shop))
    passes, cancels = subscriptions_table(people, shop, rng["subscriptions"])
    files.add("subscriptions", passes)
    files.add("truth", customer_truth_table(people, history, purchases, spend, cancels, shop))
    files.add("contact_truth", contact_truth_table(people, history))
    for table, new in (("transactions", dirty_lines), ("events", dirty_events)):
        for kind, count in new.items():
            counts[table][kind] = counts[table].get(kind, 0) + count


def _summary(result: Simulation, shop: Shop) -> dict[str, object]:
    """The arguments, the counts, and what is true of all customers."""
    return {
        "customers": result.customers,
        "seed": result.seed,
        "first_day": result.first_day.isoformat(),
        "last_day": result.last_day.isoformat(),
        "rows": dict(result.rows),
        "dirt": {table: dict(kinds) for table, kinds in result.dirt.items()},
        "population": asdict(POPULATION),
        "channels": [asdict(channel) for channel in CHANNELS],
        "campaigns": [
            asdict(c) | {"kind": CAMPAIGN_KINDS[c.kind], "first_day": str(shop.first + c.day)}
            for c in shop.campaigns
        ],
        "programme_first_day": str(shop.first + shop.programme_day),
    }
