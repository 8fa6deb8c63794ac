"""What customers do without any campaign in mind: what the plan of an experiment starts from."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

from features.errors import InputError
from features.purchases import customer_days

if TYPE_CHECKING:
    from features.ledger import Ledger

__all__ = ["Base", "campaign_base"]


@dataclass(frozen=True)
class Base:
    """What customers do in a window without any campaign in mind: what an experiment starts from.

    Attributes:
        cutoff: The window begins here and ends with the data.
        window_days: Its length.
        customers: Customers with a purchase in the `active_days` before the cutoff.
        buyers: Those of them with a purchase in the window.
        spend: Their mean spend in the window.
        deviation: Its standard deviation between customers.
        yearly_spend: Mean spend in the 365 days that end with the data of those who bought in the
            window: what a customer who stays is worth, in money.
        new_a_day: New customers a day in the window.
    """

    cutoff: dt.date
    window_days: int
    customers: int
    buyers: int
    spend: float
    deviation: float
    yearly_spend: float
    new_a_day: float

    @property
    def share(self) -> float:
        """Share of the customers who bought in the window."""
        return self.buyers / self.customers


def campaign_base(ledger: Ledger, window_days: int, active_days: int = 365) -> Base:
    """Count what active customers did in the last `window_days` days of the data.

    Raises:
        InputError: Nobody was active before the window.
    """
    end = ledger.last_day + dt.timedelta(days=1)
    cutoff = end - dt.timedelta(days=window_days)
    year = end - dt.timedelta(days=365)
    bought = ledger.purchases(end)
    money = ledger.days if ledger.days is not None else customer_days(ledger.transactions)
    day = bought.day
    people = bought.group_by("customer_id").agg(
        active=((day >= cutoff - dt.timedelta(days=active_days)) & (day < cutoff)).any(),
        buyer=(day >= cutoff).any(),
        new=day.min() >= cutoff,
    )
    sums = money.group_by("customer_id").agg(
        spend=money.value.sum(where=money.day >= cutoff),
        yearly=money.value.sum(where=money.day >= year),
    )
    joined = people.left_join(sums, "customer_id")
    # Whole cents, so that sums and sums of squares are exact.
    cents = (joined.spend.fill_null(0) * 100).cast("decimal(38, 0)")
    both = joined.active & joined.buyer
    found = joined.agg(
        customers=joined.active.sum(),
        buyers=both.sum(),
        total=cents.sum(where=joined.active),
        squares=(cents * cents).cast("decimal(38, 0)").sum(where=joined.active),
        yearly=joined.yearly.sum(where=both),
        new=joined.new.sum(),
    )
    row = found.to_pyarrow().to_pylist()[0]
    customers, buyers = int(row["customers"] or 0), int(row["buyers"] or 0)
    if not buyers or customers < 2:
        raise InputError(
            f"No customer of the {active_days} days before {cutoff} bought in the {window_days} "
            "days after it.",
            "Choose a longer window, or give --base.",
        )
    mean = float(row["total"]) / customers
    variance = (float(row["squares"]) - customers * mean**2) / (customers - 1)
    return Base(
        cutoff,
        window_days,
        customers,
        buyers,
        mean / 100,
        max(variance, 0.0) ** 0.5 / 100,
        float(row["yearly"]) / buyers,
        int(row["new"] or 0) / window_days,
    )
