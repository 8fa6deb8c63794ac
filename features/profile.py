"""What a ledger holds, and whether it is enough to learn from."""

import datetime as dt
import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

from features.base_rates import ChurnRate, churn_rates
from features.gate import GateCheck, count_buyers, data_gate
from features.labels import LabelSpec
from features.ledger import Ledger
from features.sale_days import Gap, sale_days

__all__ = ["Profile", "profile"]

_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


@dataclass(frozen=True)
class Profile:
    """What the transactions hold.

    Attributes:
        rows: Trusted transactions.
        customers: Customers with any transaction.
        buyers: Customers with a purchase (a positive net day or order).
        purchases: Purchases.
        first_day: Day of the first transaction.
        last_day: Day of the last one.
        history_days: Days from the first to the last, both counted.
        sales: Sum of the positive amounts.
        returns: Transactions with a negative amount.
        returned_share: Their value as a share of sales.
        duplicates: Exact repeats that were set aside.
        duplicates_kept: Exact repeats that were kept.
        without_customer: Rows that were set aside because they name no customer.
        without_customer_share: The same as a share of the rows read.
        one_time_share: Share of buyers with one purchase.
        closed_weekdays: Weekdays on which the shop hardly ever sells.
        days_without_sales: Days without a sale, closed weekdays not counted.
        gaps: Runs of such days that are longer than chance explains.
        churn: Base churn rate at each monthly cutoff, the latest 24.
        horizon_days: The horizon that the rates are for.
        gate: Whether the data is enough.
    """

    rows: int
    customers: int
    buyers: int
    purchases: int
    first_day: dt.date
    last_day: dt.date
    history_days: int
    sales: float
    returns: int
    returned_share: float
    duplicates: int
    duplicates_kept: int
    without_customer: int
    without_customer_share: float
    one_time_share: float
    closed_weekdays: tuple[str, ...]
    days_without_sales: int
    gaps: tuple[Gap, ...]
    churn: tuple[ChurnRate, ...]
    horizon_days: int
    gate: tuple[GateCheck, ...]

    @property
    def ready(self) -> bool:
        """Whether every check of the gate is met."""
        return all(check.ok for check in self.gate)

    def to_dict(self) -> dict[str, Any]:
        """The same as plain values for JSON: dates in ISO form, an undefined share as None."""
        found = {name: _plain(value) for name, value in asdict(self).items()}
        found["churn"] = [rate.to_dict() for rate in self.churn]
        found["ready"] = self.ready
        return found


def _plain(value: Any) -> Any:
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, float) and math.isnan(value):
        return None
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def profile(
    ledger: Ledger,
    horizon_days: int,
    gap_days: int = 0,
    eligibility: Literal["everyone", "cadence"] = "everyone",
) -> Profile:
    """Describe the transactions of a ledger and check whether they are enough.

    Args:
        ledger: The trusted tables.
        horizon_days: Length of the label window of the base churn rate.
        gap_days: Days between a cutoff and its label window.
        eligibility: Whom the model is to be trained on; see `features.labels.LabelSpec`.
    """
    spec = LabelSpec(horizon_days, gap_days, eligibility)
    row = ledger.con.con.execute(
        "SELECT count(*), count(DISTINCT customer_id), "
        "CAST(coalesce(sum(amount) FILTER (amount > 0), 0) AS DOUBLE), "
        "count(*) FILTER (amount < 0), "
        "CAST(coalesce(-sum(amount) FILTER (amount < 0), 0) AS DOUBLE) FROM transactions"
    ).fetchall()[0]
    rows, customers, sales, returns, returned = row
    first, last = ledger.first_day, ledger.last_day
    buyers = count_buyers(ledger)
    quality = ledger.quality.tables["transactions"]
    without_customer = quality.quarantined.get("no_customer", 0)
    sales_days = sale_days(ledger)
    churn = churn_rates(ledger, spec)
    return Profile(
        rows=rows,
        customers=customers,
        buyers=buyers.buyers,
        purchases=buyers.purchases,
        first_day=first,
        last_day=last,
        history_days=(last - first).days + 1,
        sales=sales,
        returns=returns,
        returned_share=returned / sales if sales else math.nan,
        duplicates=quality.quarantined.get("duplicate", 0),
        duplicates_kept=quality.policies.get("duplicates_kept", 0),
        without_customer=without_customer,
        without_customer_share=without_customer / quality.read,
        one_time_share=1 - buyers.repeat / buyers.buyers if buyers.buyers else math.nan,
        closed_weekdays=tuple(_WEEKDAYS[day] for day in sales_days.closed),
        days_without_sales=sales_days.silent,
        gaps=sales_days.gaps,
        churn=churn,
        horizon_days=horizon_days,
        gate=data_gate(ledger, spec, buyers, churn[-1] if churn else None, sales_days.gaps),
    )
