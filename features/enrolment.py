"""Enrolment in the loyalty programme: who joined when, and the purchases at which one could join.

To see what a programme does, those who joined at a purchase are set beside those who bought
then, had the like history, and did not join. Each purchase of a customer who is not yet a
member is one such comparison: a trial of a sequence of emulated trials (Hernan & Robins 2016,
"Using Big Data to Emulate a Target Trial", Am J Epidemiol 183:758; Danaei et al. 2013, Stat
Methods Med Res 22:70). What was known at the purchase describes the customer; the purchase
itself is no effect of joining, so outcomes begin on the next day.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

import ibis
import pandas as pd

from features.errors import InputError, NotEnoughDataError
from features.expressions import ratio

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from features.ledger import Ledger

__all__ = [
    "COVARIATES",
    "MOST_CUSTOMERS",
    "Trials",
    "enrolment_trials",
    "enrolments",
    "members_and_others",
]

MOST_CUSTOMERS = 50_000
"""Of a larger shop about as many customers are drawn, by a hash of the customer_id."""

COVARIATES = (
    "log_purchases",
    "log_purchases_90",
    "log_purchases_365",
    "log_tenure",
    "log_gap",
    "log_value",
    "log_mean_value",
    "month",
    "channel",
)
"""Columns of `Trials.frame` that describe a customer at a purchase; channel only where known."""

_JOINS = r"^\s*(enrol|join|sign|regist|welcome)"


@dataclass(frozen=True)
class Trials:
    """The purchases of customers from the start of the programme on.

    Attributes:
        frame: One row a customer and day with a purchase, sorted by customer_id and day:

            - customer_id (text), day (whole number: days since 1970-01-01)
            - purchases (int64) and spend (float64, money): made on the day
            - member: whether the customer had joined before the day
            - enrols: whether the customer joins on the day
            - trial: whether the row is a trial: no member yet, and the horizon is over
            - the `COVARIATES`: logarithms of the purchases so far, in the last 90 and in the
              last 365 days (all with the day's own), and of 1 + the days since the first
              purchase, the days since the one before (NaN for the first), the day's spend and
              the mean spend of a day so far; the month and the channel of acquisition (text)
        horizon_days: Days after the purchase in which outcomes are counted.
        first_day: The day of the first enrolment; trials begin with it.
        last_day: The last day of the data.
        members: Customers who joined, of those drawn.
        at_purchase: How many of them joined on a day with a purchase.
        share: Share of all customers that was drawn.
    """

    frame: pd.DataFrame
    horizon_days: int
    first_day: dt.date
    last_day: dt.date
    members: int
    at_purchase: int
    share: float

    @property
    def covariates(self) -> list[str]:
        """Those of `COVARIATES` that the frame has."""
        return [name for name in COVARIATES if name in self.frame.columns]


def enrolments(loyalty: ir.Table) -> ir.Table:
    """When each customer joined the programme.

    Args:
        loyalty: The standard table.

    Returns:
        One row a customer: customer_id, enrolled_at (time). It is the first row whose `kind`
        says so (enrol, join, sign up, register, welcome), else the customer's first row.
    """
    first = loyalty.timestamp.min()
    if "kind" in loyalty.columns:
        said = loyalty.kind.lower().re_search(_JOINS).fill_null(False)
        first = ibis.coalesce(loyalty.timestamp.min(where=said), first)
    return loyalty.group_by("customer_id").agg(enrolled_at=first)


def enrolment_trials(
    ledger: Ledger, horizon_days: int = 90, most_customers: int = MOST_CUSTOMERS
) -> Trials:
    """The purchases at which a customer could have joined, and what is known of each.

    Args:
        ledger: The trusted tables, with loyalty.
        horizon_days: Days after a purchase in which outcomes are counted.
        most_customers: Of a shop with more customers about so many are drawn.

    Returns:
        See `Trials`.

    Raises:
        InputError: There is no loyalty table, or the horizon is below one day.
        NotEnoughDataError: The programme began so late that no horizon is over.
    """
    if "loyalty" not in ledger.tables:
        raise InputError("There is no table of the loyalty programme.", "Add a table loyalty.")
    if horizon_days < 1:
        raise InputError(f"horizon_days is {horizon_days}.", "Use 1 or more.")
    end = ledger.last_day + dt.timedelta(days=1)
    joined = enrolments(ledger.tables["loyalty"])
    joined = joined.mutate(enrolled_on=joined.enrolled_at.date()).drop("enrolled_at")
    begun = joined.enrolled_on.min().to_pyarrow().as_py()
    last_trial = ledger.last_day - dt.timedelta(days=horizon_days)
    if begun is None or begun > last_trial:
        raise NotEnoughDataError(
            f"The loyalty programme began on {begun}; {horizon_days} days after it are not over "
            f"when the data ends on {ledger.last_day}.",
            "Wait, or use a shorter horizon.",
        )
    bought = ledger.purchases(end)
    everyone = int(bought.customer_id.nunique().to_pyarrow().as_py() or 0)
    step = -(-everyone // most_customers) if everyone else 1
    if step > 1:
        bought = bought.filter(bought.customer_id.hash() % step == 0)
        joined = joined.filter(joined.customer_id.hash() % step == 0)
    days = bought.group_by("customer_id", "day").agg(
        purchases=ibis._.count(), spend=bought.value.sum()
    )
    rows = _described(days).left_join(joined, "customer_id").drop("customer_id_right")
    if "acquisition" in ledger.tables:
        won = ledger.tables["acquisition"].select(owner="customer_id", channel="channel")
        rows = rows.left_join(won, rows.customer_id == won.owner).drop("owner")
    today = (rows.enrolled_on == rows.day).fill_null(False)
    member = (rows.enrolled_on < rows.day).fill_null(False)
    counted = rows.agg(at_purchase=rows.count(where=today), drawn=rows.customer_id.nunique())
    counts = counted.to_pyarrow().to_pylist()[0]
    after = rows.filter(rows.day >= begun).select(
        "customer_id",
        day=rows.day.delta(dt.date(1970, 1, 1), unit="day").cast("int64"),
        purchases=rows.purchases.cast("int64"),
        spend=rows.spend.cast("float64"),
        member=member,
        enrols=today,
        trial=~member & (rows.day <= last_trial),
        **{name: rows[name] for name in COVARIATES if name in rows.columns},
    )
    return Trials(
        after.order_by("customer_id", "day").to_pyarrow().to_pandas(),
        horizon_days,
        begun,
        ledger.last_day,
        int(joined.count().to_pyarrow().as_py()),
        counts["at_purchase"],
        counts["drawn"] / max(everyone, 1),
    )


def members_and_others(ledger: Ledger, horizon_days: int = 90) -> pd.DataFrame:
    """What members and all other customers bought in the last days of the data.

    Everyone counts who had bought before these days; members are those who had joined by then,
    and who joined within them is left out.

    Args:
        ledger: The trusted tables, with loyalty.
        horizon_days: How many days.

    Returns:
        On the index member (bool): customers (int64), and of both purchases and spend by
        customer the sum and the sum of squares (float64): purchases, purchases_squared, spend,
        spend_squared.
    """
    end = ledger.last_day + dt.timedelta(days=1)
    start = end - dt.timedelta(days=horizon_days)
    bought = ledger.purchases(end)
    inside = bought.day >= start
    cents = (bought.value * 100).round().cast("decimal(19, 0)")
    each = bought.group_by("customer_id").agg(
        known=bought.count(where=~inside) > 0,
        purchases=bought.count(where=inside),
        # Wider than 18 digits, or the engine would multiply in 64 bits.
        cents=cents.sum(where=inside).fill_null(0).cast("decimal(19, 0)"),
    )
    joined = enrolments(ledger.tables["loyalty"])
    each = each.left_join(joined, "customer_id").drop("customer_id_right")
    each = each.filter(each.known & (each.enrolled_at < start).fill_null(True))
    grouped = each.group_by(member=(each.enrolled_at < start).fill_null(False)).agg(
        customers=each.count(),
        purchases=each.purchases.sum(),
        purchases_squared=(each.purchases * each.purchases).sum(),
        spend=each.cents.sum(),
        spend_squared=(each.cents * each.cents).sum(),
    )
    frame: pd.DataFrame = grouped.to_pyarrow().to_pandas().set_index("member").sort_index()
    frame = frame.astype("float64")
    frame[["spend", "spend_squared"]] /= [100, 100**2]
    return frame.astype({"customers": "int64"})


def _described(days: ir.Table) -> ir.Table:
    """Customer-days with the covariates of `COVARIATES` but the channel."""
    of = {"group_by": "customer_id", "order_by": "day"}
    so_far = ibis.cumulative_window(**of)
    recent = {
        length: ibis.range_window(preceding=ibis.interval(days=length - 1), following=0, **of)
        for length in (90, 365)
    }
    history = days.mutate(
        so_far=days.purchases.sum().over(so_far),
        spent=days.spend.sum().over(so_far),
        number=days.count().over(so_far),
        first=days.day.min().over(so_far),
        before=days.day.lag().over(ibis.window(**of)),
        **{f"last_{length}": days.purchases.sum().over(over) for length, over in recent.items()},
    )
    gap = history.day.delta(history.before, unit="day")
    counts = {
        "log_purchases": history.so_far,
        "log_purchases_90": history.last_90,
        "log_purchases_365": history.last_365,
    }
    sizes = {
        "log_tenure": history.day.delta(history.first, unit="day"),
        "log_gap": gap,
        "log_value": history.spend,
        "log_mean_value": ratio(history.spent, history.number),
    }
    return history.select(
        "customer_id",
        "day",
        "purchases",
        "spend",
        **{name: value.cast("float64").ln() for name, value in counts.items()},
        **{name: (value.cast("float64") + 1.0).ln() for name, value in sizes.items()},
        month=history.day.strftime("%Y-%m"),
    )
