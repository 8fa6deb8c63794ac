"""Base rates: how many customers churned after each cutoff, and how many of them came back."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from features.labels import LabelSpec, due_in_window, future_activity
from features.rfm import rfm_summary
from features.window import ObservationWindow, monthly_cutoffs

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from features.ledger import Ledger

__all__ = ["MAX_CUTOFFS", "ChurnRate", "churn_rate", "churn_rates"]

MAX_CUTOFFS = 24


@dataclass(frozen=True)
class ChurnRate:
    """How many customers known at a cutoff did not buy in the label window after it.

    Attributes:
        cutoff: The cutoff.
        customers: Customers with a purchase before it.
        churned: Those of them without a purchase in the label window.
        one_time: Customers with one purchase before the cutoff.
        one_time_churned: Those of them who churned.
        due: Customers who are eligible by their cadence (`features.labels.due_in_window`).
        due_churned: Those of them who churned.
        came_back: Of the churned, those who bought in the horizon that follows the label
            window. None where it is not closed.
    """

    cutoff: dt.date
    customers: int
    churned: int
    one_time: int
    one_time_churned: int
    due: int
    due_churned: int
    came_back: int | None

    @property
    def rate(self) -> float:
        """Share of churned customers."""
        return self.churned / self.customers

    @property
    def one_time_rate(self) -> float | None:
        """Share of churned customers among one-time buyers; None without any."""
        return self.one_time_churned / self.one_time if self.one_time else None

    @property
    def repeat_rate(self) -> float | None:
        """Share of churned customers among repeat buyers; None without any."""
        repeat = self.customers - self.one_time
        return (self.churned - self.one_time_churned) / repeat if repeat else None

    @property
    def reactivation_rate(self) -> float | None:
        """Share of the churned who came back in the next horizon; None where unknown."""
        return (
            self.came_back / self.churned if self.came_back is not None and self.churned else None
        )

    def to_dict(self) -> dict[str, Any]:
        """Counts and rates as plain values for JSON."""
        return {
            **asdict(self),
            "cutoff": self.cutoff.isoformat(),
            "rate": self.rate,
            "one_time_rate": self.one_time_rate,
            "repeat_rate": self.repeat_rate,
            "reactivation_rate": self.reactivation_rate,
        }


def churn_rate(ledger: Ledger, spec: LabelSpec, cutoff: dt.date) -> ChurnRate | None:
    """Count the outcomes at one cutoff, as labels in training are made.

    Args:
        ledger: The trusted tables.
        spec: What churned means.
        cutoff: A cutoff whose label window is closed.

    Returns:
        The counts, or None where nobody is known at the cutoff.
    """
    window = spec.window(ledger.first_day, cutoff)
    after = ObservationWindow(window.start, cutoff, spec.reach_days, spec.horizon_days)
    followed = after.is_closed(ledger.last_day)
    rfm = rfm_summary(ledger.purchases(cutoff), cutoff)
    known = rfm.select(
        "customer_id",
        once=rfm.frequency == 0,
        due=due_in_window(rfm.frequency, rfm.recency, rfm["T"], spec),
    )
    known = _with_purchase(ledger, known, window, "bought")
    if followed:
        known = _with_purchase(ledger, known, after, "back")
    churned = ~known.bought
    counts = {
        "customers": known.count(),
        "churned": churned.sum(),
        "one_time": known.once.sum(),
        "one_time_churned": (churned & known.once).sum(),
        "due": known.due.sum(),
        "due_churned": (churned & known.due).sum(),
    }
    if followed:
        counts["came_back"] = (churned & known.back).sum()
    found = known.agg(**counts).to_pyarrow().to_pylist()[0]
    if not found["customers"]:
        return None
    came_back = int(found.pop("came_back")) if followed else None
    return ChurnRate(cutoff, came_back=came_back, **{n: int(v) for n, v in found.items()})


def _with_purchase(
    ledger: Ledger, known: ir.Table, window: ObservationWindow, name: str
) -> ir.Table:
    """Add whether each customer buys in a label window."""
    future = future_activity(ledger.transactions, window, ledger.purchase_unit, ledger.days)
    buyers = future.filter(future.future_purchases > 0).select(buyer=future.customer_id)
    both = known.left_join(buyers, known.customer_id == buyers.buyer)
    return both.mutate(**{name: both.buyer.notnull()}).drop("buyer")


def churn_rates(
    ledger: Ledger, spec: LabelSpec, cutoffs: Sequence[dt.date] | None = None
) -> tuple[ChurnRate, ...]:
    """Count the outcomes at several cutoffs.

    Args:
        ledger: The trusted tables.
        spec: What churned means.
        cutoffs: Closed cutoffs; by default the latest 24 monthly ones.

    Returns:
        One a cutoff at which anybody is known, in the order of the cutoffs.
    """
    if cutoffs is None:
        monthly = monthly_cutoffs(
            ledger.first_day, ledger.last_day, spec.horizon_days, spec.gap_days
        )
        cutoffs = monthly[-MAX_CUTOFFS:]
    rates = (churn_rate(ledger, spec, cutoff) for cutoff in cutoffs)
    return tuple(rate for rate in rates if rate is not None)
