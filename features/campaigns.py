"""Campaigns: who was contacted, in which arm, and what they bought before and after.

A campaign's customers enter it on the day of their first contact; everything is counted from
the midnight that begins this day, so a purchase on that day counts as after the contact. What
leaves the engine is one row a contacted customer.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import ibis
import numpy as np
import pandas as pd

from features.errors import InputError
from features.purchases import customer_days
from features.rfm import weeks
from features.schema import nearest

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from features.ledger import Ledger

__all__ = [
    "BEFORE",
    "Campaign",
    "campaign_kind",
    "campaign_outcomes",
    "campaigns",
]

BEFORE = (
    "purchases_before", "spend_before", "frequency", "recency", "T", "monetary_value",
)  # fmt: skip
"""Columns of `campaign_outcomes` that were settled before the contact."""

_DATED = re.compile(r"[\W_]*(19|20)\d\d([\W_]?(q[1-4]|w?\d{1,2})){0,2}$|[\W_]+\d+$", re.IGNORECASE)


@dataclass(frozen=True)
class Campaign:
    """A campaign, by what its contacts say.

    Attributes:
        name: As in the contacts.
        first_day: Day of the first contact.
        last_day: Day of the last one.
        treated: Customers of the treatment arm.
        control: Customers of the control arm.
        unassigned: Customers whose contacts name no arm.
        crossed: Customers with contacts in both arms; they are in neither.
        cost: Of all contacts, in money; NaN where the contacts have no cost.
    """

    name: str
    first_day: dt.date
    last_day: dt.date
    treated: int
    control: int
    unassigned: int
    crossed: int
    cost: float

    @property
    def randomised(self) -> bool:
        """Whether it has both arms. That they were drawn at random is for a check to say."""
        return self.treated > 0 and self.control > 0

    @property
    def kind(self) -> str:
        """What it shares with its repetitions: `campaign_kind` of its name."""
        return campaign_kind(self.name)


def campaign_kind(name: str) -> str:
    """Return a campaign's name without the date or number that it ends with.

    >>> campaign_kind("voucher-2024-05"), campaign_kind("Spring call 3"), campaign_kind("win_back")
    ('voucher', 'Spring call', 'win_back')
    >>> campaign_kind("mail_2024Q3"), campaign_kind("2024-05")
    ('mail', '2024-05')
    """
    return _DATED.sub("", name) or name


def campaigns(ledger: Ledger) -> list[Campaign]:
    """The campaigns of a ledger in order of their first day, then name; empty without contacts."""
    contacts = ledger.tables.get("contacts")
    if contacts is None:
        return []
    each = _customers(contacts).group_by("campaign")
    first, last, crossed = ibis._.day.min(), ibis._.last.max(), ibis._.crossed
    found = each.agg(
        first_day=first,
        last_day=last,
        treated=ibis._.count(where=(ibis._.arm == "treatment") & ~crossed),
        control=ibis._.count(where=(ibis._.arm == "control") & ~crossed),
        unassigned=ibis._.count(where=~ibis._.assigned),
        crossed=ibis._.count(where=crossed),
        cost=ibis._.cost.sum(),
    ).order_by("first_day", "campaign")
    rows = found.to_pyarrow().to_pylist()
    return [
        Campaign(
            name=row["campaign"],
            cost=float("nan") if row["cost"] is None else float(row["cost"]),
            **{key: value for key, value in row.items() if key not in ("campaign", "cost")},
        )
        for row in rows
    ]


def campaign_outcomes(
    ledger: Ledger,
    campaign: str,
    *,
    window_days: int,
    horizon_days: int | None = None,
    value_days: int = 365,
    others: bool = False,
) -> pd.DataFrame:
    """What each customer of a campaign bought, before and after their first contact in it.

    Customers whose window of `window_days` is not over when the data ends are left out, and so
    are those with contacts in both arms.

    Args:
        ledger: The trusted tables.
        campaign: Its name.
        window_days: Length of the window after the contact, and of that before it.
        horizon_days: Days within which a customer must buy again to count as retained;
            `window_days` when left out.
        value_days: Days after the contact whose spend is added up as `spend_so_far`, as far as
            the data goes.
        others: Whether to add, as untreated, everybody who had bought before the campaign's first
            day and was not contacted in it, counted from that day; customers whose contacts name
            no arm then count as treated. For campaigns without a control arm.

    Returns:
        One row a customer, on the index customer_id, sorted by its text; float64 unless said:

        - treated: 1, 0, NaN where the contacts name no arm
        - contacted_on (datetime64): day of the first contact
        - cost: of all contacts with the customer, in money; 0 where none is noted
        - purchased (0 or 1), purchases, spend: in `[contact, contact + window_days)`; spend is
          the sum of all amounts, returns taken off
        - retained: 1 with a purchase in `[contact, contact + horizon_days)`, else 0; NaN where
          the horizon is not over
        - purchases_before, spend_before: the same in the `window_days` before the contact
        - frequency, recency, T (weeks), monetary_value: as `features.rfm` defines them, at the
          contact; NaN for who had never bought
        - days_so_far: days from the contact on that the data covers, at most `value_days`;
          spend_so_far: the spend in them; after_frequency, after_recency, after_T,
          after_monetary_value: the same summary at their end

    Raises:
        InputError: There is no such campaign, or a length is below one day.
    """
    horizon = window_days if horizon_days is None else horizon_days
    lengths = {"window_days": window_days, "horizon_days": horizon, "value_days": value_days}
    for name, length in lengths.items():
        if length < 1:
            raise InputError(f"{name} is {length}.", "It must be 1 or more.")
    start = _first_day(ledger, campaign)
    contacts = ledger.tables["contacts"]
    people = _customers(contacts.filter(contacts.campaign == campaign))
    end = ledger.last_day + dt.timedelta(days=1)
    if others:
        people = _with_others(people, ledger.purchases(start), start)
    people = people.filter(
        ~people.crossed, people.day + ibis.interval(days=window_days) <= ibis.literal(end)
    )
    covered = ibis.literal(end).delta(people.day, unit="day")
    people = people.mutate(covered=ibis.least(covered, value_days))
    money = ledger.days if ledger.days is not None else customer_days(ledger.transactions)
    bought = ledger.purchases(end)
    since = ibis._.since
    spans = {"": since.between(0, window_days - 1), "_before": since.between(-window_days, -1)}
    so_far = (since >= 0) & (since < ibis._.covered)
    sums = _beside(money, people).group_by("customer_id")
    counts = _beside(bought, people).group_by("customer_id")
    parts = (
        sums.agg(
            **{f"spend{name}": ibis._.value.sum(where=inside) for name, inside in spans.items()},
            spend_so_far=ibis._.value.sum(where=so_far),
        ),
        counts.agg(
            **{f"purchases{name}": ibis._.count(where=inside) for name, inside in spans.items()},
            in_horizon=ibis._.count(where=since.between(0, horizon - 1)),
        ),
        _rfm(bought, people.mutate(covered=0), ""),
        _rfm(bought, people, "after_"),
    )
    joined = people
    for part in parts:
        joined = joined.left_join(part, "customer_id").drop("customer_id_right")
    day = joined.day
    closed = day + ibis.interval(days=horizon) <= ibis.literal(end)
    frame = (
        joined.select(
            "customer_id",
            treated=(joined.arm == "treatment").cast("float64"),
            contacted_on=joined.day.cast("timestamp"),
            cost=joined.cost.fill_null(0).cast("float64"),
            purchased=(joined.purchases.fill_null(0) > 0).cast("float64"),
            purchases=joined.purchases.fill_null(0).cast("float64"),
            spend=joined.spend.fill_null(0).cast("float64"),
            retained=closed.ifelse((joined.in_horizon.fill_null(0) > 0).cast("float64"), None),
            purchases_before=joined.purchases_before.fill_null(0).cast("float64"),
            spend_before=joined.spend_before.fill_null(0).cast("float64"),
            days_so_far=joined.covered.cast("float64"),
            spend_so_far=joined.spend_so_far.fill_null(0).cast("float64"),
            **{
                f"{prefix}{name}": joined[f"{prefix}{name}"].cast("float64")
                for prefix in ("", "after_")
                for name in BEFORE[2:]
            },
        )
        .order_by("customer_id")
        .to_pyarrow()
        .to_pandas()
        .set_index("customer_id")
    )
    numbers = [name for name in frame.columns if name != "contacted_on"]
    typed: pd.DataFrame = frame.astype(dict.fromkeys(numbers, np.float64))
    return typed


def _first_day(ledger: Ledger, campaign: str) -> dt.date:
    """The day of a campaign's first contact."""
    known: list[str] = []
    if "contacts" in ledger.tables:
        con = ledger.con.con
        query = "SELECT CAST(min(timestamp) AS DATE) FROM contacts WHERE campaign = ?"
        first: dt.date | None = con.execute(query, [campaign]).fetchall()[0][0]
        if first is not None:
            return first
        known = [row[0] for row in con.execute("SELECT DISTINCT campaign FROM contacts").fetchall()]
    raise InputError(
        f"There is no campaign {campaign}.",
        nearest(campaign, sorted(known)) if known else "The data has no table of contacts.",
    )


def _customers(contacts: ir.Table) -> ir.Table:
    """One row a campaign and customer: first day, last day, arm, whether in both arms, cost."""
    arm = contacts.arm if "arm" in contacts.columns else ibis.null("string")
    cost = contacts.cost if "cost" in contacts.columns else ibis.null("decimal(18, 4)")
    rows = contacts.mutate(arm=arm, cost=cost, day=contacts.timestamp.date())
    return rows.group_by("campaign", "customer_id").agg(
        day=rows.day.min(),
        last=rows.day.max(),
        arm=rows.arm.max(),
        crossed=(rows.arm.min() != rows.arm.max()).fill_null(False),
        assigned=(rows.arm.max() != "").fill_null(False),
        cost=rows.cost.cast("decimal(38, 4)").sum(),
    )


def _with_others(people: ir.Table, bought: ir.Table, start: dt.date) -> ir.Table:
    """The contacted customers as treated, and all other buyers before a day as untreated."""
    treated = people.mutate(arm=people.arm.fill_null("treatment"))
    rest = bought.select("customer_id").distinct().anti_join(people, "customer_id")
    untreated = rest.mutate(
        day=ibis.literal(start),
        last=ibis.literal(start),
        arm=ibis.literal("control"),
        crossed=ibis.literal(False),
        assigned=ibis.literal(False),
        cost=ibis.literal(0).cast(people.cost.type()),
    )
    return treated.drop("campaign").union(untreated.select(*treated.drop("campaign").columns))


def _beside(rows: ir.Table, people: ir.Table) -> ir.Table:
    """Rows of the contacted customers, with `since`, days from contact to row, and `covered`."""
    contact = people.select("customer_id", "covered", contact=people.day)
    joined = rows.inner_join(contact, "customer_id")
    return joined.mutate(since=joined.day.delta(joined.contact, unit="day"))


def _rfm(bought: ir.Table, people: ir.Table, prefix: str) -> ir.Table:
    """`features.rfm.rfm_summary`, for each customer `covered` days after the contact."""
    rows = _beside(bought, people)
    rows = rows.filter(rows.since < rows.covered)
    daily = rows.group_by("customer_id", "day", "contact", "covered").agg(
        value=rows.value.sum(), first=rows.value.min(), orders=rows.count()
    )
    own = daily.group_by("customer_id").agg(
        frequency=daily.orders.sum() - 1,
        first_day=daily.day.min(),
        last_day=daily.day.max(),
        contact=daily.contact.min(),
        covered=daily.covered.min(),
        value=daily.value.sum(),
        first_value=daily["first"].argmin(daily.day),
    )
    repeat = (own.value - own.first_value).cast("float64") / own.frequency.nullif(0).cast("float64")
    return own.select(
        "customer_id",
        **{
            f"{prefix}frequency": own.frequency,
            f"{prefix}recency": weeks(own.last_day.delta(own.first_day, unit="day")),
            f"{prefix}T": weeks(own.contact.delta(own.first_day, unit="day") + own.covered),
            f"{prefix}monetary_value": repeat.fill_null(0.0),
        },
    )
